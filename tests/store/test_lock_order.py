"""One lock order everywhere on PostgreSQL, so that no two writers ever wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from tests.store.stocking import Stock
from tests.support.waiting import wait_until
from tracking_core.clock import to_microseconds
from tracking_core.events import Batch, CountedSource, PhaseChange, Receipt
from tracking_core.requests import RequestRow, tally

NOW = datetime.now(UTC).replace(microsecond=0)
WRITER_ID = 4096
LOCK_ORDER = ("runs", "run_endpoints", "run_series", "throughput", "writers")
"""As sql/writes.sql describes it, the requests themselves left out."""

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def request(run_id: int, seq: int) -> RequestRow:
    return RequestRow(run_id, seq, to_microseconds(NOW), "/a", None, None, 200, 7, 35, False, None)


def one_request(run_id: int, number: int) -> Batch:
    rows = (request(run_id, 2 * number),)
    return Batch(writer_id=WRITER_ID, batch_seq=None, requests=rows, cells=tally(rows))


def batch(run_id: int, number: int) -> Batch:
    rows = tuple(request(run_id, 100 * number + seq) for seq in range(60))
    return Batch(writer_id=WRITER_ID, batch_seq=number, requests=rows, cells=tally(rows))


@contextmanager
def held_up(dsn: str, stock: Stock, statement: str, late: Batch) -> Iterator[psycopg.Connection[Any]]:
    """Hold the rows of a statement while a batch is being written, and yield what tells which rows are still free."""
    receipts: list[Receipt] = []
    with (
        stock.store.writer(30.0) as writer,
        psycopg.connect(dsn) as holder,
        psycopg.connect(dsn, autocommit=True) as watch,
    ):
        holder.execute(statement.encode())
        writing = threading.Thread(target=lambda: receipts.append(writer.write(late)))
        writing.start()
        wait_until(lambda: watch.execute(WAITING).fetchone() == (1,), "the batch waits for the row that is held")
        yield watch
        holder.rollback()
        writing.join()
    assert [receipt.refused for receipt in receipts] == [{}]


@pytest.mark.parametrize("make", [one_request, batch])
@pytest.mark.parametrize("held", LOCK_ORDER)
def test_locks_are_taken_in_the_one_order(
    postgres_store_dsn: str, held: str, make: Callable[[int, int], Batch]
) -> None:
    stock = Stock(postgres_store_dsn)
    run_id = stock.start(NOW)
    with stock.store.writer(30.0) as writer:
        writer.write(make(run_id, 1))
    with held_up(postgres_store_dsn, stock, f"SELECT FROM tracking.{held} FOR UPDATE", make(run_id, 2)) as watch:
        free = {table: is_free(watch, table) for table in LOCK_ORDER if table != held}
    stock.close()
    before, after = LOCK_ORDER[: LOCK_ORDER.index(held)], LOCK_ORDER[LOCK_ORDER.index(held) + 1 :]
    assert free == {**dict.fromkeys(before, False), **dict.fromkeys(after, True)}


@pytest.mark.parametrize("make", [one_request, batch])
def test_a_run_is_changed_last_and_first_locked_against_removal_alone(
    postgres_store_dsn: str, make: Callable[[int, int], Batch]
) -> None:
    stock = Stock(postgres_store_dsn)
    run_id = stock.start(NOW)
    with stock.store.writer(30.0) as writer:
        writer.write(make(run_id, 1))
    # As another batch changes it.
    changed = "SELECT FROM tracking.runs FOR NO KEY UPDATE"
    with held_up(postgres_store_dsn, stock, changed, make(run_id, 2)) as watch:
        free = [table for table in LOCK_ORDER[1:] if is_free(watch, table)]
    stock.close()
    assert free == []


def test_phases_of_a_run_are_changed_by_one_writer_at_a_time(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    run_ids = sorted(stock.start(NOW) for _ in range(2))
    for run_id in run_ids:
        stock.phase(run_id, "extract", NOW, position=1)
        stock.source_count(run_id, "items", 1, NOW)
    at_us = to_microseconds(NOW)
    late = Batch(
        writer_id=WRITER_ID,
        batch_seq=1,
        phases=tuple(
            PhaseChange(
                run_id=run_id,
                phase="extract",
                position=1,
                status="completed",
                at_us=at_us,
                started_us=at_us,
                ended_us=at_us,
                counters={},
            )
            for run_id in reversed(run_ids)
        ),
        source_counts=(CountedSource(run_id=run_ids[1], entity="items", items=2, at_us=at_us),),
    )
    # As a writer that changes the first of the runs.
    held = f"SELECT pg_advisory_xact_lock({run_ids[0]})"
    with held_up(postgres_store_dsn, stock, held, late) as watch:
        free = [
            len(watch.execute(f"SELECT FROM tracking.{table} FOR UPDATE SKIP LOCKED".encode()).fetchall())
            for table in ("phases", "source_counts")
        ]
    stock.close()
    assert free == [2, 2]


@pytest.mark.parametrize("table", ["run_endpoints", "run_series", "runs"])
def test_the_runs_of_a_batch_are_taken_in_the_order_of_their_keys(postgres_store_dsn: str, table: str) -> None:
    stock = Stock(postgres_store_dsn)
    run_ids = sorted(stock.start(NOW) for _ in range(5))
    # As a job says it: the newest run first.
    first, second = (
        tuple(request(run_id, seq) for seq in numbers for run_id in reversed(run_ids))
        for numbers in (range(1, 20), range(20, 40))
    )
    with stock.store.writer(30.0) as writer:
        writer.write(Batch(writer_id=WRITER_ID, batch_seq=1, requests=first, cells=tally(first)))
    middle = f"SELECT FROM tracking.{table} WHERE run_id = {run_ids[2]} FOR UPDATE"
    late = Batch(writer_id=WRITER_ID, batch_seq=2, requests=second, cells=tally(second))
    free = f"SELECT run_id FROM tracking.{table} ORDER BY run_id FOR UPDATE SKIP LOCKED"
    with held_up(postgres_store_dsn, stock, middle, late) as watch:
        still_free = [run_id for (run_id,) in watch.execute(free.encode())]
    stock.close()
    assert still_free == run_ids[3:]


def is_free(watch: psycopg.Connection[Any], table: str) -> bool:
    return len(watch.execute(f"SELECT FROM tracking.{table} FOR UPDATE SKIP LOCKED".encode()).fetchall()) == 1
