"""A look into a store's tables by bare SQL, past all code under test. For assertions only."""

import sqlite3
from typing import Any

import psycopg

from tracking_core.config import resolve


def peek(dsn: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; its tables are written as `tracking.runs` for both stores."""
    location = resolve(dsn)
    if location.path is not None:
        connection = sqlite3.connect(location.path)
        try:
            return connection.execute(query.replace("tracking.", "")).fetchall()
        finally:
            connection.close()
    with psycopg.connect(location.dsn) as postgres:
        return postgres.execute(query).fetchall()  # type: ignore[arg-type]
