"""Large stores made in seconds: rows made inside the database, as writers would have left them.

Owns what a stock consists of, in both dialects. Each run lasted fifty minutes, began half a minute before the next
newer one and has four endpoints, three phases, ten cells and as many raw requests as its counters say; every tenth
failed with two errors. The newest are alive.
"""

from __future__ import annotations

import sqlite3
import time
from array import array
from contextlib import closing
from dataclasses import dataclass

import psycopg

from tracking_core.identity import RUN_EPOCH_MS

TRACEBACK = '  File "sync.py", line 88, in load\n    store(row)\n' * 20
CELLS = 10
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """How large a stock is."""

    runs: int
    requests: int
    """Raw requests of each run."""

    alive: int = 20
    jobs: int = 100


POSTGRES = (
    """
    INSERT INTO tracking.runs (
        run_id, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s, progress_at, requests, items,
        failed_requests, errors, emitted, pid, job, status, notes, tags, host, boot_id, username, command, code_version,
        tracker_version, ended_by)
    SELECT
        ((extract(epoch FROM at) * 1000)::bigint - {epoch} << 22) + n, at,
        CASE WHEN n > {alive} THEN at + interval '50 minutes' END, CASE WHEN n > {alive} THEN 3000000 END,
        now() + interval '1 day', 10, now(), {requests}, {requests} * 100, {requests} / 50,
        CASE n % 10 WHEN 0 THEN 2 ELSE 0 END, {requests}, 4711, 'job-' || n % {jobs},
        CASE WHEN n <= {alive} THEN 'running' WHEN n % 10 = 0 THEN 'failed' ELSE 'completed' END,
        'nightly sync of contacts ' || n, '{{"team": "crm"}}', 'worker-' || n % 20, 'b0', 'etl', 'python sync.py --all',
        'abc123', '0.1.0', CASE WHEN n > {alive} THEN 'job' END
    FROM (SELECT n, now() - interval '1 minute' - n * interval '30 seconds' AS at FROM generate_series(1, {runs}) AS n)
    """,
    """
    INSERT INTO tracking.run_endpoints (
        run_id, endpoint, requests, failed, throttled, items, duration_ms, max_ms, status_2xx, status_3xx, status_4xx,
        status_5xx, status_other, histogram)
    SELECT
        run_id, '/v2/endpoint/' || n, requests / 4, 0, 0, items / 4, requests * 20, 900, requests / 4, 0, 0, 0, 0,
        {histogram}
    FROM tracking.runs CROSS JOIN generate_series(1, 4) AS n
    """,
    """
    INSERT INTO tracking.phases (
        run_id, phase, position, status, started_at, ended_at, changed_at, counters, memory_mb, peak_memory_mb)
    SELECT
        run_id, name, n, CASE WHEN ended_at IS NULL AND n > 1 THEN 'running' ELSE 'completed' END, started_at, ended_at,
        started_at, '{{"items": {{"total": 100000, "processed": 50000}}}}', 200, 300
    FROM tracking.runs CROSS JOIN (VALUES ('extract', 1), ('transform', 2), ('load', 3)) AS phase (name, n)
    """,
    """
    INSERT INTO tracking.errors (run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint)
    SELECT
        run_id, 1, n, started_at + interval '30 minutes', 'load', 'ValueError', 'row ' || n, '{traceback}',
        'kind' || run_id % 50
    FROM tracking.runs CROSS JOIN generate_series(1, 2) AS n
    WHERE errors > 0
    """,
    """
    INSERT INTO tracking.run_series (
        run_id, bucket, width, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx,
        status_5xx, status_other, histogram)
    SELECT
        run_id, extract(epoch FROM started_at)::bigint / 60 * 60 + n * 60, 60, requests / {cells}, 0, 0,
        items / {cells}, requests, requests / {cells}, 0, 0, 0, 0, {histogram}
    FROM tracking.runs CROSS JOIN generate_series(1, {cells}) AS n
    """,
    """
    INSERT INTO tracking.requests (
        run_id, writer_id, seq, at, page_offset, page_limit, items, duration_ms, status, throttled, endpoint)
    SELECT
        run_id, 1, n, started_at + n * interval '1 millisecond', n * 100, 100, 100, 50 + n % 400, 200, false,
        '/v2/endpoint/' || 1 + n % 4
    FROM (SELECT run_id, started_at, requests FROM tracking.runs ORDER BY run_id) AS run,
        LATERAL generate_series(1, requests) AS n
    """,
    "VACUUM ANALYZE",
)

SQLITE = (
    """
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {runs})
    INSERT INTO runs (
        run_id, started_at, ended_at, duration_ms, heartbeat_at, heartbeat_interval_s, progress_at, requests, items,
        failed_requests, errors, emitted, pid, job, status, notes, tags, host, boot_id, username, command, code_version,
        tracker_version, ended_by)
    SELECT
        ((at / 1000 - {epoch}) << 22) + n, at, CASE WHEN n > {alive} THEN at + 3000000000 END,
        CASE WHEN n > {alive} THEN 3000000 END, {now} + 86400000000, 10, {now}, {requests}, {requests} * 100,
        {requests} / 50, CASE n % 10 WHEN 0 THEN 2 ELSE 0 END, {requests}, 4711, 'job-' || (n % {jobs}),
        CASE WHEN n <= {alive} THEN 'running' WHEN n % 10 = 0 THEN 'failed' ELSE 'completed' END,
        'nightly sync of contacts ' || n, '{{"team": "crm"}}', 'worker-' || (n % 20), 'b0', 'etl',
        'python sync.py --all', 'abc123', '0.1.0', CASE WHEN n > {alive} THEN 'job' END
    FROM (SELECT n, {now} - 60000000 - n * 30000000 AS at FROM number)
    """,
    """
    INSERT INTO run_endpoints (
        run_id, endpoint, requests, failed, throttled, items, duration_ms, max_ms, status_2xx, status_3xx, status_4xx,
        status_5xx, status_other, histogram)
    SELECT
        run_id, '/v2/endpoint/' || value, requests / 4, 0, 0, items / 4, requests * 20, 900, requests / 4, 0, 0, 0, 0,
        {histogram}
    FROM runs CROSS JOIN json_each('[1, 2, 3, 4]')
    """,
    """
    INSERT INTO phases (
        run_id, phase, position, status, started_at, ended_at, changed_at, counters, memory_mb, peak_memory_mb)
    SELECT
        run_id, value, key + 1, CASE WHEN ended_at IS NULL AND key > 0 THEN 'running' ELSE 'completed' END, started_at,
        ended_at, started_at, '{{"items": {{"total": 100000, "processed": 50000}}}}', 200, 300
    FROM runs CROSS JOIN json_each('["extract", "transform", "load"]')
    """,
    """
    INSERT INTO errors (run_id, writer_id, seq, at, phase, error_type, message, traceback, fingerprint)
    SELECT
        run_id, 1, value, started_at + 1800000000, 'load', 'ValueError', 'row ' || value, '{traceback}',
        'kind' || (run_id % 50)
    FROM runs CROSS JOIN json_each('[1, 2]')
    WHERE errors > 0
    """,
    """
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {cells})
    INSERT INTO run_series (
        run_id, bucket, width, requests, failed, throttled, items, duration_ms, status_2xx, status_3xx, status_4xx,
        status_5xx, status_other, histogram)
    SELECT
        run_id, started_at / 60000000 * 60 + n * 60, 60, requests / {cells}, 0, 0, items / {cells}, requests,
        requests / {cells}, 0, 0, 0, 0, {histogram}
    FROM runs CROSS JOIN number
    """,
    """
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {requests})
    INSERT INTO requests (
        run_id, writer_id, seq, at, page_offset, page_limit, items, duration_ms, status, throttled, endpoint)
    SELECT
        run_id, 1, n, started_at + n * 1000, n * 100, 100, 100, 50 + n % 400, 200, 0, '/v2/endpoint/' || (1 + n % 4)
    FROM (SELECT run_id, started_at FROM runs ORDER BY run_id) CROSS JOIN number
    WHERE {requests} > 0
    """,
    "ANALYZE",
)


def stock(dsn: str, fleet: Fleet) -> None:
    """Fill a fresh store."""
    packed = [(1 + fleet.requests // 100) * 256 + bucket for bucket in range(30, 60)]
    values = {
        "runs": fleet.runs,
        "requests": fleet.requests,
        "alive": fleet.alive,
        "jobs": fleet.jobs,
        "cells": CELLS,
        "epoch": RUN_EPOCH_MS,
        "traceback": TRACEBACK,
    }
    if dsn.startswith("sqlite:///"):
        values |= {"now": time.time_ns() // 1000, "histogram": f"x'{array('q', packed).tobytes().hex()}'"}
        with closing(sqlite3.connect(dsn.removeprefix("sqlite:///"), isolation_level=None)) as file:
            for statement in SQLITE:
                file.execute(statement.format(**values))
        return
    values["histogram"] = f"'{{{','.join(map(str, packed))}}}'::bigint[]"
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in POSTGRES:
            connection.execute(statement.format(**values).encode())
