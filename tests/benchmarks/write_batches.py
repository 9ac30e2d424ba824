"""Batches and sustained writing, beside raw binary COPY and bare INSERTs of the same rows."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg

from tests.benchmarks.measuring import Case, Effort, Finding, interleaved, median_ratio, medians
from tests.benchmarks.places import Places
from tests.benchmarks.traffic import BARE_COPY, COPY_TYPES, Traffic, make_bare_table, writer_ids
from tracking_core import SimpleETLTracker
from tracking_core.delivery.event_queue import SHIP_MOST
from tracking_core.events import Batch
from tracking_core.identity import new_writer_id
from tracking_core.requests import tally
from tracking_core.store import open_store
from tracking_core.store.base import Writer
from tracking_core.store.sqlite.writer import ROWS_AT_A_TIME

BATCH = 500
SUSTAINED = 50_000
DEADLINE_S = 60.0

BARE_FILE_TABLE = """
CREATE TABLE bare_requests (
    run_id INTEGER NOT NULL, writer_id INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    page_offset INTEGER, page_limit INTEGER, items INTEGER NOT NULL, duration_ms INTEGER NOT NULL, status INTEGER,
    throttled INTEGER NOT NULL, endpoint TEXT NOT NULL, error TEXT, PRIMARY KEY (run_id, writer_id, seq)) WITHOUT ROWID
"""
BARE_FILE_INSERT = """
INSERT INTO bare_requests (
    run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error)
VALUES """
BARE_FILE_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def findings(places: Places, effort: Effort) -> list[Finding]:
    """Return the rows of batches of 500 and of sustained writing, for both stores; the peers have the same key."""
    return [
        _batches(places, effort, runs=1, least=0.70, what="batch of 500, PostgreSQL"),
        _batches(places, effort, runs=10, least=0.60, what="batch of 500, 10 runs share it"),
        *_sustained_postgres(places, effort),
        *_sustained_sqlite(places, effort),
    ]


def _batches(places: Places, effort: Effort, *, runs: int, least: float, what: str) -> Finding:
    traffic = Traffic(runs=runs)
    keys = writer_ids()
    with places.postgres_store() as dsn:
        make_bare_table(dsn)
        with (
            open_store(dsn).writer(DEADLINE_S) as writer,
            psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as raw,
        ):
            ours = _batch_case(writer, traffic)

            def bare() -> float:
                rows = traffic.bare_rows(BATCH, next(keys))
                began = time.perf_counter()
                copy_rows(raw, rows)
                return time.perf_counter() - began

            costs = interleaved({"ours": ours, "bare": bare}, effort.rounds(150), warm_up=5)
    ratio = median_ratio(costs["bare"], costs["ours"])
    middle = medians(costs)
    return Finding(
        what=what,
        ours=BATCH / middle["ours"],
        unit="rows/s",
        peer="raw binary COPY",
        theirs=BATCH / middle["bare"],
        budget=f"≥ {least:.2f} ×",
        met=ratio >= least,
        judged_ratio=ratio,
        note="key, counting and all summaries included; both one transaction of 500 rows on a kept connection",
    )


def _batch_case(writer: Writer, traffic: Traffic) -> Callable[[], float]:
    writer_id = new_writer_id()
    batch_seqs = itertools.count(1)
    writer.write(Batch(writer_id=writer_id, batch_seq=next(batch_seqs), starts=traffic.starts()))

    def case() -> float:
        rows = traffic.columns(BATCH)
        began = time.perf_counter()
        receipt = writer.write(Batch(writer_id=writer_id, batch_seq=next(batch_seqs), requests=rows, cells=tally(rows)))
        cost = time.perf_counter() - began
        assert not receipt.refused
        return cost

    return case


def copy_rows(raw: psycopg.Connection[tuple[object, ...]], rows: Sequence[tuple[object, ...]]) -> None:
    """Write rows by binary COPY, typed, in one transaction."""
    with raw.cursor() as cursor, cursor.copy(BARE_COPY.encode()) as copy:
        copy.set_types(COPY_TYPES)
        for row in rows:
            copy.write_row(row)


def _sustained_postgres(places: Places, effort: Effort) -> list[Finding]:
    size = effort.size(SUSTAINED)
    keys = writer_ids()
    traffic = Traffic()
    with places.postgres_store() as dsn:
        make_bare_table(dsn)
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as raw, _tracked(dsn, size) as ours:

            def bare(rows_at_a_time: int) -> float:
                rows = traffic.bare_rows(size, next(keys))
                began = time.perf_counter()
                for start in range(0, size, rows_at_a_time):
                    copy_rows(raw, rows[start : start + rows_at_a_time])
                return time.perf_counter() - began

            costs = interleaved(_beside(ours, bare), effort.rounds(9))
    return _sustained(costs, size, what="sustained, PostgreSQL", peer="raw binary COPY", least=0.70)


def _sustained_sqlite(places: Places, effort: Effort) -> list[Finding]:
    size = effort.size(SUSTAINED)
    keys = writer_ids()
    traffic = Traffic()
    with places.sqlite_store() as dsn, _tracked(dsn, size) as ours:
        path = dsn.removeprefix("sqlite:///").replace("tracking.db", "bare.db")
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute("PRAGMA synchronous = NORMAL")
            raw.execute(BARE_FILE_TABLE)

            def bare(rows_at_a_time: int) -> float:
                writer_id = next(keys)
                rows = [(row[0], writer_id, *row[1:]) for row in traffic.rows(size)]
                began = time.perf_counter()
                for start in range(0, size, rows_at_a_time):
                    raw.execute("BEGIN IMMEDIATE")
                    _insert(raw, rows[start : start + rows_at_a_time])
                    raw.execute("COMMIT")
                return time.perf_counter() - began

            costs = interleaved(_beside(ours, bare), effort.rounds(9))
    return _sustained(costs, size, what="sustained, SQLite", peer="bare INSERTs", least=0.80)


def _insert(raw: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows, as many a statement as our own writer."""
    many = BARE_FILE_INSERT + ", ".join([BARE_FILE_ROW] * ROWS_AT_A_TIME)
    whole = len(rows) // ROWS_AT_A_TIME * ROWS_AT_A_TIME
    for start in range(0, whole, ROWS_AT_A_TIME):
        raw.execute(many, list(itertools.chain.from_iterable(rows[start : start + ROWS_AT_A_TIME])))
    raw.executemany(BARE_FILE_INSERT + BARE_FILE_ROW, rows[whole:])


def _beside(ours: Case, bare: Callable[[int], float]) -> dict[str, Case]:
    return {"ours": ours, "bare": lambda: bare(BATCH), "bare, many": lambda: bare(SHIP_MOST)}


@contextmanager
def _tracked(dsn: str, size: int) -> Iterator[Callable[[], float]]:
    """Yield a case: a job that logs as fast as it can, until all of it is committed."""
    tracker = SimpleETLTracker(dsn, delivery="buffered", overload="wait")
    run_id = tracker.start_run(job="sustained")
    calls = Traffic().calls(size)
    log_request = tracker.log_request

    def case() -> float:
        before = tracker.flush()
        began = time.perf_counter()
        for call in calls:
            log_request(run_id, *call)
        report = tracker.flush()
        cost = time.perf_counter() - began
        assert (report.sent - before.sent, report.dropped, report.spooled) == (size, 0, 0)
        return cost

    yield case
    tracker.close()


def _sustained(costs: dict[str, list[float]], size: int, *, what: str, peer: str, least: float) -> list[Finding]:
    """Return a row for each size of the peer's commits, both judged: the budget is held only if both are."""
    rates = {name: size / cost for name, cost in medians(costs).items()}
    rows = []
    for name, commits in (("bare", BATCH), ("bare, many", SHIP_MOST)):
        ratio = median_ratio(costs[name], costs["ours"])
        rows.append(
            Finding(
                what=what,
                ours=rates["ours"],
                unit="rows/s",
                peer=f"{peer}, {commits} a commit",
                theirs=rates[name],
                budget=f"≥ {least:.2f} ×",
                met=ratio >= least,
                judged_ratio=ratio,
                note=f"ours commits {BATCH} to {SHIP_MOST} rows, by how many wait; from the first log_request to the "
                "last commit, one process; the peer is given ready-made tuples",
            )
        )
    return rows
