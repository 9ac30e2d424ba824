"""Requests as an API client makes them, and the bare tables that peers write them to."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Iterator

import psycopg

from tracking_core.clock import from_microseconds
from tracking_core.events import RunStart
from tracking_core.identity import new_run_id
from tracking_core.requests import RequestColumns, RequestRow

ENDPOINTS = ("/v2/contacts", "/v2/companies", "/v2/deals/search", "/v2/owners")
PAGE = 100

BARE_TABLE = """
CREATE TABLE bare_requests (
    run_id bigint NOT NULL, writer_id bigint NOT NULL, seq bigint NOT NULL, at timestamptz NOT NULL,
    page_offset bigint, page_limit bigint, items bigint NOT NULL, duration_ms bigint NOT NULL, status integer,
    throttled boolean NOT NULL, endpoint text NOT NULL, error text, PRIMARY KEY (run_id, writer_id, seq))
"""
"""The columns, types and key of `requests`, without partitions, summaries or anything else of ours."""

BARE_INSERT = """
INSERT INTO bare_requests (
    run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

BARE_COPY = """
COPY bare_requests (
    run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
FROM STDIN (FORMAT BINARY)
"""

COPY_TYPES = ("int8", "int8", "int8", "timestamptz", "text", "int8", "int8", "int4", "int8", "int8", "bool", "text")


class Traffic:
    """Requests of one writer: four endpoints in turn, 3 % throttled or failed, latencies log-normal."""

    def __init__(self, *, runs: int = 1, seed: int = 7) -> None:
        self.run_ids = [new_run_id() for _ in range(runs)]
        self._random = random.Random(seed)
        self._seqs = {run_id: itertools.count(1) for run_id in self.run_ids}
        self._numbers = itertools.count()

    def starts(self) -> tuple[RunStart, ...]:
        """Return the runs' beginnings."""
        return tuple(run_start(run_id) for run_id in self.run_ids)

    def calls(self, count: int) -> list[tuple[str, int, int, int, int, float]]:
        """Return what a job hands to `log_request`: endpoint, offset, limit, status, count, milliseconds."""
        return [self._call(next(self._numbers)) for _ in range(count)]

    def rows(self, count: int) -> tuple[RequestRow, ...]:
        """Return requests as they stand in a batch, spread over the runs in turn, all of this moment."""
        now_us = time.time_ns() // 1000
        runs = itertools.cycle(self.run_ids)
        return tuple(self._row(next(runs), now_us + number) for number in range(count))

    def columns(self, count: int) -> RequestColumns:
        """Return the same as buffered delivery seals them: as columns, a block for each run."""
        rows = self.rows(count)
        by_run = ([row for row in rows if row.run_id == run_id] for run_id in self.run_ids)
        return RequestColumns(tuple(zip(*of_run, strict=True)) for of_run in by_run if of_run)

    def bare_rows(self, count: int, writer_id: int) -> list[tuple[object, ...]]:
        """Return the same as the tuples that a driver is given."""
        return [(row.run_id, writer_id, row.seq, from_microseconds(row.at_us), *row[3:]) for row in self.rows(count)]

    def _call(self, number: int) -> tuple[str, int, int, int, int, float]:
        chance = self._random.random()
        status = 200 if chance < 0.97 else 429 if chance < 0.99 else 500
        duration_ms = math.exp(self._random.gauss(4.0, 0.6))
        return ENDPOINTS[number % 4], number * PAGE, PAGE, status, PAGE if status == 200 else 0, duration_ms

    def _row(self, run_id: int, at_us: int) -> RequestRow:
        endpoint, offset, limit, status, items, duration = self._call(next(self._numbers))
        seq = next(self._seqs[run_id])
        return RequestRow(
            run_id, seq, at_us, endpoint, offset, limit, status, items, round(duration), status == 429, None
        )


def run_start(run_id: int) -> RunStart:
    """Return a run as a tracker begins it."""
    return RunStart(
        run_id=run_id,
        job="benchmark",
        notes=None,
        tags={},
        started_us=time.time_ns() // 1000,
        host="worker-3",
        pid=4711,
        boot_id="",
        username="etl",
        command="python sync.py",
        code_version="",
        tracker_version="",
    )


def make_bare_table(dsn: str) -> None:
    """Make the peers' table."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(BARE_TABLE.encode())


def writer_ids() -> Iterator[int]:
    """Yield a writer id for each peer's batch, so that no two rows share a key."""
    return itertools.count(1_000)
