"""Peers on this machine that do not behave: they refuse, say nothing, or fall silent in the middle.

Owns their sockets. What connects to them is the code that connects to the user's server; that server is not involved.
"""

from __future__ import annotations

import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tracking_core.config import StoreLocation
from tracking_core.store import open_store
from tracking_core.store.base import Store

LOOPBACK = "127.0.0.1"


def _postgres_at(port: int) -> Store:
    # Everything is said here, so that none of libpq's own variables leads elsewhere.
    keywords = {
        "host": LOOPBACK, "hostaddr": LOOPBACK, "port": str(port), "user": "doctor", "dbname": "doctor",
        "password": "", "sslmode": "disable", "gssencmode": "disable", "target_session_attrs": "any", "options": "",
    }  # fmt: skip
    return open_store(StoreLocation(kind="postgres", label=f"{LOOPBACK}:{port}", keywords=keywords))


@contextmanager
def refusing() -> Iterator[Store]:
    """Yield a server at a port that is taken and not listened on: every connection is refused."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield _postgres_at(held.getsockname()[1])


@contextmanager
def silent() -> Iterator[Store]:
    """Yield a server that accepts connections and never says a word."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        # The system itself accepts as many, nobody has to.
        listening.listen(128)
        yield _postgres_at(listening.getsockname()[1])


@contextmanager
def falling_silent() -> Iterator[Store]:
    """Yield a server that lets everybody in and answers no question."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen(16)
        guests: list[socket.socket] = []
        host = threading.Thread(target=_welcome, args=(listening, guests), daemon=True, name="silent peer")
        host.start()
        try:
            yield _postgres_at(listening.getsockname()[1])
        finally:
            # Closing alone does not wake who waits for the next connection.
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            for guest in guests:
                guest.close()


def _welcome(listening: socket.socket, guests: list[socket.socket]) -> None:
    with suppress(OSError):
        while True:
            guest, _ = listening.accept()
            guests.append(guest)
            guest.recv(8192)
            guest.sendall(_GREETING)


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


def _setting(name: bytes, value: bytes) -> bytes:
    return _message(b"S", name + b"\0" + value + b"\0")


# https://www.postgresql.org/docs/current/protocol-flow.html: let in, told the settings, ready for a question.
_GREETING = (
    _message(b"R", struct.pack("!i", 0))
    + _setting(b"server_version", b"17.0")
    + _setting(b"client_encoding", b"UTF8")
    + _setting(b"standard_conforming_strings", b"on")
    + _setting(b"integer_datetimes", b"on")
    + _message(b"K", struct.pack("!ii", 1, 1))
    + _message(b"Z", b"I")
)


@contextmanager
def held_file() -> Iterator[Store]:
    """Yield a SQLite store of its own whose file another connection holds for as long as it likes."""
    import sqlite3

    with tempfile.TemporaryDirectory(prefix="etlwatch-doctor-") as folder:
        path = Path(folder) / "held.db"
        store = open_store(StoreLocation(kind="sqlite", label=str(path), path=path))
        store.initialize()
        holder = sqlite3.connect(path, isolation_level=None)
        try:
            holder.execute("BEGIN EXCLUSIVE")
            yield store
        finally:
            holder.close()
