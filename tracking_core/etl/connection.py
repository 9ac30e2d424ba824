"""The job's own database connection: opened when first asked for, reopened when it was closed.

The tracking store has connections of its own (tracking_core/store).
"""

from __future__ import annotations

import os
from typing import Any

from tracking_core.config import ACCEPTED, resolve
from tracking_core.errors import ConfigurationError
from tracking_core.process.interrupts import load
from tracking_core.process.locks import ReentrantLock

_ACCEPTED = (
    "db_config may be a mapping of libpq keywords, {'dsn': DSN}, a DSN (postgresql://..., sqlite:///file), "
    "or an object with db_host, db_port, db_name, db_user and db_password"
)


class JobConnection:
    """Hold the one connection that the components of a job share.

    `db_config` takes the forms of a tracker's `cfg`. No message shows its values.
    """

    def __init__(self) -> None:
        """Begin without a connection."""
        # Guards the connection; its own lock, because opening one takes seconds and must not stop the counting.
        self._lock = ReentrantLock(slow=True)
        self._connection: Any = None
        self._opened_by: int | None = None
        self._inherited: list[Any] = []

    def get(self, db_config: object) -> Any:
        """Return the open connection, a psycopg or sqlite3 one; open it where there is none or it was closed.

        Raises ValueError when `db_config` is None or fits no accepted form; what the driver raises passes through.
        """
        with self._lock:
            if self._connection is not None and self._opened_by != os.getpid():
                # Kept, not closed: closing a parent's connection in a forked child hangs up on the parent.
                self._inherited.append(self._connection)
                self._connection = None
            if self._connection is None or _is_closed(self._connection):
                self._connection = _connect(db_config)
                self._opened_by = os.getpid()
            return self._connection

    def close(self) -> None:
        """Close the connection where this process has opened one; closing twice is fine."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if self._opened_by != os.getpid():
                self._inherited.append(connection)
                return
            connection.close()


def _connect(db_config: object) -> Any:
    if db_config is None:
        raise ValueError(f"Cannot open a database connection: no db_config was given; {_ACCEPTED}")
    try:
        location = resolve(db_config)
    except ConfigurationError as error:
        # None, which means a place of its own to a tracker, is no database of the job's.
        problem = str(error).removesuffix(ACCEPTED)
        raise ValueError(f"Cannot open a database connection: {problem}{_ACCEPTED}") from None
    # The drivers are imported at the first connection: most jobs that are tracked never ask for one.
    if location.path is not None:
        load("sqlite3")
        import sqlite3

        # A library built without locks of its own must not be shared, and raises then.
        return sqlite3.connect(location.path, check_same_thread=sqlite3.threadsafety < 3)
    load("psycopg")
    import psycopg

    return psycopg.connect(location.dsn)


def _is_closed(connection: Any) -> bool:
    closed = getattr(connection, "closed", None)
    if closed is not None:
        return bool(closed)
    # sqlite3 has no such attribute; this reading is the cheapest that a closed connection refuses.
    import sqlite3

    try:
        return bool(connection.total_changes < 0)
    except sqlite3.ProgrammingError:
        return True
