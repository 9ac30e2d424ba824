"""Clean-up: five million requests dropped by the week beside a DELETE of the same, and a file's steps one by one.

What is removed is made by the databases themselves, row for row as the writers leave it: a job would take minutes.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from tests.benchmarks.measuring import Effort, Finding, quantile, timed
from tests.benchmarks.places import Places
from tracking_core.clock import to_microseconds
from tracking_core.identity import first_run_id_at
from tracking_core.store import open_store

REQUESTS, RUNS = 5_000_000, 500
FILE_REQUESTS, FILE_RUNS = 1_000_000, 500
WEEKS = 3
ROUNDS = 3
CELLS = 135
"""Of a run of an hour: 90 of ten seconds, 45 of a minute."""

TIMES_FASTER = 12
MOST_SECONDS = 1.0
MOST_STEP_MS = 20.0
ACTOR = "benchmark"

POSTGRES_STOCK = (
    """
    INSERT INTO tracking.runs (
        run_id, started_at, ended_at, duration_ms, requests, items, pid, job, status, host, boot_id, username, command,
        code_version, tracker_version)
    SELECT
        %(first)s + number * %(step)s, %(began)s + number * %(apart)s,
        %(began)s + number * %(apart)s + interval '1 hour', 3600000, %(each)s, 100 * %(each)s, 4711,
        'job ' || number %% 10, 'completed', 'worker-3', '', 'etl', 'python sync.py', '', ''
    FROM generate_series(0, %(runs)s - 1) AS number""",
    """
    INSERT INTO tracking.requests (
        run_id, writer_id, seq, at, page_offset, page_limit, items, duration_ms, status, throttled, endpoint)
    SELECT
        run_id, 1, seq, started_at + seq * interval '350 ms', 100 * seq, 100, 100, 20 + seq %% 90, 200, false,
        '/contacts/' || seq %% 4
    FROM tracking.runs CROSS JOIN generate_series(1, %(each)s) AS seq
    ORDER BY run_id, seq""",
    """
    INSERT INTO tracking.run_endpoints (
        run_id, requests, failed, throttled, items, duration_ms, max_ms, status_2xx, status_3xx, status_4xx, status_5xx,
        status_other, endpoint, histogram)
    SELECT run_id, %(each)s / 4, 0, 0, 25 * %(each)s, 100000, 400, %(each)s / 4, 0, 0, 0, 0, '/contacts/' || number,
        (SELECT array_agg(slot * 300) FROM generate_series(1, 30) AS slot)
    FROM tracking.runs CROSS JOIN generate_series(0, 3) AS number""",
    """
    INSERT INTO tracking.run_series (
        run_id, bucket, items, duration_ms, width, requests, failed, throttled, status_2xx, status_3xx, status_4xx,
        status_5xx, status_other, histogram)
    SELECT run_id, bucket, 7400, 5000, 10, 74, 0, 0, 74, 0, 0, 0, 0,
        (SELECT array_agg(slot * 300) FROM generate_series(1, 15) AS slot)
    FROM tracking.runs CROSS JOIN generate_series(1, %(cells)s) AS bucket""",
    """
    INSERT INTO tracking.writers (run_id, writer_id, emitted, stored)
    SELECT run_id, 1, %(each)s, %(each)s FROM tracking.runs""",
)

DELETES = tuple(
    f"DELETE FROM tracking.{table} WHERE run_id IN (SELECT run_id FROM tracking.runs WHERE ended_at < %s)"
    for table in ("requests", "run_endpoints", "run_series", "writers", "runs")
)

SQLITE_NUMBERS = "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < {})"
SQLITE_STOCK = (
    """
    INSERT INTO runs (
        run_id, started_at, ended_at, duration_ms, requests, items, pid, job, status, host, boot_id, username, command,
        code_version, tracker_version)
    SELECT
        :first + n * :step, :began + n * :apart, :began + n * :apart + 3600000000, 3600000, :each, 100 * :each, 4711,
        'job ' || n % 10, 'completed', 'worker-3', '', 'etl', 'python sync.py', '', ''
    FROM number""",
    """
    INSERT INTO requests (
        run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
    SELECT
        run_id, 1, n + 1, started_at + n * 350000, '/contacts/' || n % 4, 100 * n, 100, 200, 100, 20 + n % 90, 0, NULL
    FROM runs CROSS JOIN number""",
    """
    INSERT INTO run_series (
        run_id, bucket, width, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx,
        status_5xx, status_other, histogram)
    SELECT run_id, n, 10, 74, 0, 0, 7400, 5000, 74, 0, 0, 0, 0, zeroblob(120) FROM runs CROSS JOIN number""",
)


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of a clean-up on PostgreSQL and of its steps on a file."""
    return [
        _weeks(places, effort, "at the end of a week", timedelta(days=7 * WEEKS)),
        _weeks(places, effort, "inside a week", timedelta(days=7 * WEEKS - 3)),
        *_file(places, effort),
    ]


@dataclass(frozen=True, slots=True)
class _Round:
    """What one clean-up took, in seconds, and what it left."""

    seconds: float
    delete: float
    right: bool
    """Whether exactly the runs before the cutoff were removed, with their requests."""

    note: str


def _weeks(places: Places, effort: Effort, where: str, upto: timedelta) -> Finding:
    """Return the row of a cutoff that lies so far behind the first of three weeks."""
    requests = effort.size(REQUESTS)
    rounds = [_clean(places, effort, upto) for _ in range(ROUNDS)]
    seconds = statistics.median(each.seconds for each in rounds)
    ratio = statistics.median(each.seconds / each.delete for each in rounds)
    return Finding(
        what=f"clean-up of {requests / 1e6:g} M requests, PostgreSQL, cutoff {where}",
        ours=seconds,
        unit="s",
        peer="DELETE of the same",
        theirs=statistics.median(each.delete for each in rounds),
        budget=f"≤ {MOST_SECONDS:g} s, ≤ 1/{TIMES_FASTER} ×",
        met=seconds <= MOST_SECONDS and ratio <= 1 / TIMES_FASTER and all(each.right for each in rounds),
        judged_ratio=ratio,
        note=f"median of {ROUNDS}; {rounds[-1].note}",
    )


def _clean(places: Places, effort: Effort, upto: timedelta) -> _Round:
    requests, runs = effort.size(REQUESTS), effort.size(RUNS)
    monday = _old_monday()
    cutoff = monday + upto
    with places.postgres_store() as dsn:
        _stock_postgres(dsn, monday, requests, runs)
        delete = _delete_and_take_it_back(dsn, cutoff)
        steps: list[float] = []
        with open_store(dsn).administration(60.0) as admin:
            plan = admin.plan_cleanup(14, cutoff=cutoff)
            began = time.perf_counter()
            removed = 0
            for step in admin.cleanup(14, actor=ACTOR, cutoff=cutoff):
                steps.append(time.perf_counter() - began - sum(steps))
                removed += step
            seconds = time.perf_counter() - began
        left, old = _requests_left(dsn), _runs_left(dsn, cutoff)
    return _Round(
        seconds,
        delete,
        right=removed == plan.runs and not old and (removed < runs or not left),
        note=(
            f"{removed} runs with {CELLS} cells each in {len(steps)} steps, the longest {max(steps) * 1000:.0f} ms; "
            f"{plan.dropped_weeks} weeks dropped, {plan.dropped_bytes >> 20} MB given back; {left} requests left, of a "
            "week that is dropped later"
        ),
    )


def _old_monday() -> datetime:
    """Return the beginning of the first of three weeks that are over, and for which a fresh store has partitions."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=28)
    return day - timedelta(days=day.weekday())


def _stock_postgres(dsn: str, monday: datetime, requests: int, runs: int) -> None:
    apart = timedelta(days=7) * WEEKS / runs
    given = {
        "first": first_run_id_at(to_microseconds(monday)),
        "step": first_run_id_at(to_microseconds(monday + apart)) - first_run_id_at(to_microseconds(monday)),
        "began": monday,
        "apart": apart,
        "each": requests // runs,
        "runs": runs,
        "cells": CELLS,
    }
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in POSTGRES_STOCK:
            connection.execute(statement.encode(), given)
        # What a day of quiet brings along: known sizes, and pages that say who is visible.
        connection.execute("VACUUM ANALYZE")


def _delete_and_take_it_back(dsn: str, cutoff: datetime) -> float:
    with psycopg.connect(dsn) as connection:
        seconds = sum(timed(lambda one=one: connection.execute(one.encode(), [cutoff])) for one in DELETES)  # type: ignore[misc]
        connection.rollback()
    return seconds


def _requests_left(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM tracking.requests").fetchone()
    return int(row[0]) if row else -1


def _runs_left(dsn: str, cutoff: datetime) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM tracking.runs WHERE ended_at < %s", [cutoff]).fetchone()
    return int(row[0]) if row else -1


def _file(places: Places, effort: Effort) -> list[Finding]:
    requests = effort.size(FILE_REQUESTS)
    with places.sqlite_store() as dsn:
        path = Path(dsn.removeprefix("sqlite:///"))
        _stock_file(path, requests)
        before = path.stat().st_size
        steps: list[float] = []
        with open_store(dsn).administration(60.0) as admin:
            began = time.perf_counter()
            for _ in admin.cleanup(30, actor=ACTOR):
                steps.append(time.perf_counter() - began)
                began = time.perf_counter()
        after = path.stat().st_size
    steps_ms = [seconds * 1000 for seconds in steps]
    slowest = quantile(steps_ms, 0.99)
    return [
        Finding(
            what=f"step of a clean-up of {requests / 1e6:g} M requests, SQLite: p99",
            ours=slowest,
            unit="ms",
            budget=f"≤ {MOST_STEP_MS:.0f} ms",
            met=slowest <= MOST_STEP_MS,
            note=f"p50 {quantile(steps_ms, 0.5):.1f} ms, {len(steps):,} steps, {sum(steps):.1f} s in all",
        ),
        Finding(
            what="the file afterwards",
            ours=after / 1e6,
            unit="MB",
            peer="before",
            theirs=before / 1e6,
            budget="given back",
            met=after < before / 20,
        ),
    ]


def _stock_file(path: Path, requests: int) -> None:
    began = datetime.now(UTC) - timedelta(days=90)
    apart_us = 1_000_000
    given = {
        "first": first_run_id_at(to_microseconds(began)),
        "step": 1000 << 22,
        "began": to_microseconds(began),
        "apart": apart_us,
        "each": requests // FILE_RUNS,
    }
    counts = (FILE_RUNS, requests // FILE_RUNS, CELLS)
    with closing(sqlite3.connect(path)) as file:
        for statement, count in zip(SQLITE_STOCK, counts, strict=True):
            file.execute(SQLITE_NUMBERS.format(count) + statement, given)
        file.commit()
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
