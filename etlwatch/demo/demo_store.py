"""Where the demo records: a store of its own, begun afresh.

Owns the demo's file and who may throw it away. A store that the user named is never emptied, only
initialised.
"""

import fcntl
import logging
import os
from pathlib import Path
from typing import IO

from tracking_core.config import resolve

logger = logging.getLogger(__name__)

_FILE_NAME = "demo.db"
# Held until the process ends: a second demo must not delete the file under the first one.
_claims: list[IO[str]] = []


def demo_path() -> Path:
    """Give the demo's own SQLite file, beside the embedded default store."""
    environment = {name: value for name, value in os.environ.items() if name != "TRACKING_DSN"}
    embedded = resolve(environ=environment).path
    assert embedded is not None  # the embedded default is a file
    return embedded.with_name(_FILE_NAME)


def default_demo_dsn() -> str:
    """Give the DSN of the demo's own store: `demo.db` beside the embedded default."""
    return f"sqlite:///{demo_path()}"


def prepare(dsn: str, *, fresh: bool) -> None:
    """Make the store ready to record into.

    With `fresh`, the demo's own file is deleted first, unless another demo is using it; any other store
    keeps what it holds. Raises `ConfigurationError` for a DSN that is none and `TrackingError` for a store
    that cannot be initialised.
    """
    # Imported here, because the rest of the demo needs no driver.
    from tracking_core.store import open_store

    if dsn == default_demo_dsn():
        demo_path().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if fresh:
            _begin_afresh(demo_path())
    open_store(dsn).initialize()


def _begin_afresh(path: Path) -> None:
    claim = path.with_name(path.name + ".lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        claim.close()
        logger.warning("another demo is using %s: its runs are kept", path)
        return
    _claims.append(claim)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
