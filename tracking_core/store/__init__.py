"""The stores: PostgreSQL and SQLite behind one set of Protocols (base.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking_core.config import resolve
from tracking_core.process.interrupts import load

if TYPE_CHECKING:
    from tracking_core.store.base import Store

__all__ = ["open_store"]


def open_store(cfg: object = None) -> Store:
    """Return the store that a `cfg` means; nothing is opened yet, only its driver is imported.

    Raises ConfigurationError for a `cfg` that names no store.
    """
    location = resolve(cfg)
    if location.kind == "postgres":
        load("tracking_core.store.postgres.store")
        from tracking_core.store.postgres.store import PostgresStore

        return PostgresStore(location)
    load("tracking_core.store.sqlite.store")
    from tracking_core.store.sqlite.store import SqliteStore

    return SqliteStore(location)
