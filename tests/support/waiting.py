"""Wait for what another process or thread does, with a bound. Nothing here asserts how long it took."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 20.0


def wait_until(condition: Callable[[], object], what: str, *, timeout: float = PATIENCE_SECONDS) -> None:
    """Return once `condition()` is true; raise TimeoutError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout:g} s still waiting until {what}")
        time.sleep(0.005)
