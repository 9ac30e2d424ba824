"""The job's own database connection: opened when first asked for, reopened when it was closed.

Owns one connection and the forms of `db_config`. It refuses to own transactions, cursors and the tracking store, which
has connections of its own (see tracking_core.store).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tracking_core.etl.locks import ForkSafeLock

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")
_OBJECT_ATTRIBUTES = {
    "db_host": "host",
    "db_port": "port",
    "db_name": "dbname",
    "db_user": "user",
    "db_password": "password",
}
_ACCEPTED = (
    "a mapping of libpq keywords, {'dsn': ...}, a postgresql:// or sqlite:/// DSN, a libpq connection string, "
    "or an object with db_host, db_port, db_name, db_user and db_password"
)


class JobConnection:
    """Hold the one connection that the components of a job share.

    Source: CONTRACT 5, decision 12. `db_config` takes the forms of CONTRACT 1. No message shows its values.
    """

    def __init__(self) -> None:
        """Begin without a connection."""
        # Guards the connection; its own lock, because opening one takes seconds and must not stop the counting.
        self._lock = ForkSafeLock()
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
        raise ValueError(f"Cannot open a database connection: no db_config was given; it may be {_ACCEPTED}")
    if isinstance(db_config, str):
        return _connect_to_dsn(db_config, {})
    if isinstance(db_config, Mapping):
        keywords = dict(db_config)
        dsn = keywords.pop("dsn", None)
        if dsn is not None and not isinstance(dsn, str):
            raise ValueError(f"Cannot open a database connection: db_config['dsn'] is a {type(dsn).__name__}, not text")
        return _connect_to_dsn(dsn or "", keywords)
    keywords = {keyword: getattr(db_config, name, None) for name, keyword in _OBJECT_ATTRIBUTES.items()}
    if all(value is None for value in keywords.values()):
        raise ValueError(
            f"Cannot open a database connection: db_config is a {type(db_config).__name__}; it may be {_ACCEPTED}"
        )
    return _connect_to_dsn("", keywords)


def _connect_to_dsn(dsn: str, keywords: dict[str, Any]) -> Any:
    if dsn.startswith("sqlite:"):
        return _connect_to_sqlite(dsn)
    # Imported at the first connection: most jobs that are tracked never ask for one.
    import psycopg

    _check_conninfo(dsn)
    return psycopg.connect(dsn, **keywords)


def _connect_to_sqlite(dsn: str) -> Any:
    import sqlite3

    path = dsn.removeprefix(_SQLITE)
    if not dsn.startswith(_SQLITE) or not path:
        raise ValueError(
            "Cannot open a database connection: a SQLite DSN is sqlite:///relative.db or sqlite:////absolute.db"
        )
    # A library built without locks of its own must not be shared, and then says so itself.
    return sqlite3.connect(path, check_same_thread=sqlite3.threadsafety < 3)


def _check_conninfo(dsn: str) -> None:
    """Refuse what libpq would refuse while quoting parts of it, the password among them."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    scheme, separator, _ = dsn.partition("://")
    if separator and scheme.isalpha() and not dsn.startswith(_POSTGRESQL):
        raise ValueError(f"Cannot open a database connection: unknown scheme {scheme}://; db_config may be {_ACCEPTED}")
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise ValueError(
            f"Cannot open a database connection: db_config is no valid connection string; it may be {_ACCEPTED}"
        ) from None
    ports = str(parts.get("port") or "").replace(",", "")
    if "@" in str(parts.get("host") or "") or (ports and not ports.isdecimal()):
        raise ValueError(
            "Cannot open a database connection: host or port of db_config is not one; "
            "the characters @ : / ? # in a user name or password must be percent-encoded"
        )


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
