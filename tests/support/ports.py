"""Pick TCP ports for servers that stop and come back on the same port. Owns no socket."""

import random
import socket

# Below the ephemeral ranges of Linux (32768-60999) and BSD (49152-65535). A client that dials a closed
# port inside that range can be given the very port it dials and connects to itself; one outside cannot.
FIRST_PORT = 15_000
LAST_PORT = 30_000


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nothing listens now; another process may still take it first."""
    for _ in range(200):
        port = random.randint(FIRST_PORT, LAST_PORT)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free TCP port between {FIRST_PORT} and {LAST_PORT} on {host}")
