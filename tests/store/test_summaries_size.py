"""What the summaries cost beside the raw requests that they add up, in bytes, indexes included."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.store.stocking import Stock
from tests.support.postgres import OwnPostgres
from tracking_core.store import open_store

RAW = "requests"
SUMMARIES = ("run_endpoints", "run_series", "throughput")
SHARE = 0.25
"""All summaries together stay under this share of the raw bytes."""

FLUSH_S = 10
TIDY_S = 300
ENDPOINTS = ("/api/v2/contacts", "/api/v2/companies", "/api/v2/opportunities")


@pytest.fixture
def store_dsn(request: pytest.FixtureRequest, kind: str, private_postgres: Callable[[], OwnPostgres]) -> str:
    """Return the DSN of a store on a server of its own.

    A transaction in any other database of a shared one keeps the room of updated rows from being used again, and how
    many neighbours there are is chance. A pooler in between stores the same bytes.
    """
    if kind == "sqlite":
        dsn: str = request.getfixturevalue("sqlite_store_dsn")
        return dsn
    dsn = private_postgres().superuser_dsn
    open_store(dsn).initialize()
    return dsn


def record_run(dsn: str, *, rate: int, seconds: int) -> None:
    """Record a run that ends now; between its parts passes what an hour brings along: old cells widened, a vacuum."""
    random_source = random.Random(5)
    start = datetime.now(UTC) - timedelta(seconds=seconds)
    stock = Stock(dsn, writer_id=1)
    run_id = stock.start(start)
    for part in range(0, seconds, FLUSH_S):
        made = [
            (
                start + timedelta(seconds=part + number / rate),
                ENDPOINTS[number % len(ENDPOINTS)],
                200,
                100,
                int(random_source.lognormvariate(5.3, 0.5)),
            )
            for number in range(rate * FLUSH_S)
        ]
        stock.requests(run_id, made)
        if part % TIDY_S == TIDY_S - FLUSH_S:
            stock.close()
            vacuum(dsn)
            # A new connection widens what is due at its first batch.
            stock = Stock(dsn, writer_id=2 + part)
            stock.continue_run(run_id, itertools.count(1 + rate * (part + FLUSH_S)))
    stock.end(run_id, datetime.now(UTC))
    stock.close()


def vacuum(dsn: str) -> None:
    if not dsn.startswith("sqlite"):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("VACUUM tracking.run_endpoints, tracking.run_series, tracking.throughput")


def sizes(dsn: str) -> dict[str, int]:
    """Return the bytes of every table with its partitions and indexes, without the maps that every table has."""
    if dsn.startswith("sqlite"):
        with closing(sqlite3.connect(dsn.removeprefix("sqlite:///"))) as file:
            if ("ENABLE_DBSTAT_VTAB",) not in file.execute("PRAGMA compile_options").fetchall():
                pytest.skip("this SQLite cannot say how large a table is (dbstat)")
            return dict(
                file.execute(
                    "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_master USING (name) GROUP BY tbl_name"
                )
            )
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT whole.relname, sum(pg_relation_size(part.oid) + pg_indexes_size(part.oid))::bigint "
            "FROM pg_class AS part "
            "JOIN pg_class AS whole ON whole.oid = coalesce(pg_partition_root(part.oid), part.oid) "
            "WHERE part.relnamespace = 'tracking'::regnamespace AND part.relkind = 'r' GROUP BY 1"
        ).fetchall()
    return dict(rows)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize(("rate", "seconds"), [(1, 3600), (200, 300)], ids=["slow", "fast for five minutes"])
def test_summaries_stay_under_a_quarter_of_the_raw_bytes(store_dsn: str, rate: int, seconds: int) -> None:
    empty = sizes(store_dsn)
    record_run(store_dsn, rate=rate, seconds=seconds)
    full = sizes(store_dsn)
    grown = {table: full[table] - empty[table] for table in (RAW, *SUMMARIES)}
    assert grown[RAW] > rate * seconds * 50
    share = sum(grown[table] for table in SUMMARIES) / grown[RAW]
    assert share < SHARE, grown
