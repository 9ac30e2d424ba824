"""One request at a time, as immediate delivery writes it: the same sums as in a batch, short lists."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.store.stocking import Stock
from tests.support.peek import peek
from tests.support.waiting import wait_until
from tracking_core.clock import to_microseconds
from tracking_core.dataclass import replace
from tracking_core.events import Batch, LedgerEntry, RunEnd
from tracking_core.records import WriterLedger
from tracking_core.requests import RequestRow, tally
from tracking_core.store.base import Writer
from tracking_core.store.postgres.writer import SUM_UP_EVERY
from tracking_core.store.queries import Reader

NOW = datetime.now(UTC).replace(microsecond=0)
WRITER_ID = 4096
MADE = list(
    itertools.islice(itertools.cycle([(200, 35), (200, 41), (429, 3), (500, 900), (302, 12), (None, 5000)]), 200)
)


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    stock = Stock(store_dsn)
    yield stock
    stock.close()


def single(run_id: int, seq: int, status: int | None = 200, duration_ms: int = 35, at: datetime = NOW) -> Batch:
    row = RequestRow(
        run_id, seq, to_microseconds(at), f"/{seq % 2}", None, None, status, 7, duration_ms, status == 429, None
    )
    return Batch(writer_id=WRITER_ID, batch_seq=None, requests=(row,), cells=tally((row,)))


def write_all(writer: Writer, run_id: int) -> None:
    for seq, (status, duration_ms) in enumerate(MADE, start=1):
        assert not writer.write(single(run_id, seq, status, duration_ms)).refused


@pytest.mark.parametrize("batch_seq", [None, 1])
def test_progress_is_the_latest_unless_the_store_s_clock_has_stepped_back(
    stock: Stock, store_dsn: str, batch_seq: int | None
) -> None:
    run_id, found = stock.start(NOW), []
    with stock.store.writer(5.0) as writer:
        for seq, ahead_s in enumerate((-60, -120, 7200, -90), start=1):
            batch = single(run_id, seq, at=NOW + timedelta(seconds=ahead_s))
            writer.write(replace(batch, batch_seq=batch_seq and seq))
            with stock.store.reader(5.0) as reader:
                run = reader.run(run_id)
            assert run is not None
            assert run.progress_at is not None
            found.append((run.progress_at - NOW).total_seconds())
    assert found == [-60, -60, 7200, -90]


def test_single_requests_add_up_to_what_a_batch_of_them_does(stock: Stock, store_dsn: str) -> None:
    one_by_one, together = stock.start(NOW), stock.start(NOW)
    with stock.store.writer(5.0) as writer:
        write_all(writer, one_by_one)
        rows = [single(together, seq, *made).requests[0] for seq, made in enumerate(MADE, start=1)]
        writer.write(Batch(writer_id=WRITER_ID, batch_seq=1, requests=tuple(rows), cells=tally(rows)))
    with stock.store.reader(5.0) as reader:
        assert sums_of(reader, one_by_one) == sums_of(reader, together)
        assert reader.latencies([one_by_one])[one_by_one] == reader.latencies([together])[together]
        assert reader.ledger(one_by_one)[-1].stored == len(MADE) == reader.ledger(one_by_one)[-1].emitted
    assert peek(store_dsn, "SELECT sum(requests), sum(items) FROM tracking.throughput") == [(400, 2800)]


def sums_of(reader: Reader, run_id: int) -> list[object]:
    run = reader.run(run_id)
    assert run is not None
    totals = (run.requests, run.items, run.failed_requests, run.throttled_requests, run.emitted)
    endpoints = [
        (cell.endpoint, cell.requests, cell.failed, cell.throttled, cell.duration_ms, cell.max_ms, cell.status_5xx)
        for cell in reader.endpoints(run_id)
    ]
    series = [(cell.bucket, cell.requests, cell.items, cell.status_other) for cell in reader.series(run_id)]
    return [totals, endpoints, series]


def test_the_lists_of_latencies_stay_short(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    run_id = stock.start(NOW)
    with stock.store.writer(5.0) as writer:
        for seq in range(1, 10 * SUM_UP_EVERY + 1):
            writer.write(single(run_id, seq))
    stock.close()
    for table in ("run_endpoints", "run_series", "throughput"):
        (longest,) = peek(postgres_store_dsn, f"SELECT max(cardinality(histogram)) FROM tracking.{table}")
        assert longest[0] <= 3 * SUM_UP_EVERY, table


def test_a_request_that_is_sent_again_counts_once(stock: Stock, store_dsn: str) -> None:
    run_id = stock.start(NOW)
    with stock.store.writer(5.0) as writer:
        receipts = [writer.write(single(run_id, 1)) for _ in range(3)]
    assert [receipt.refused for receipt in receipts] == [{}, {}, {}]
    assert peek(store_dsn, "SELECT requests, items, emitted FROM tracking.runs") == [(1, 7, 1)]
    assert peek(store_dsn, "SELECT sum(requests) FROM tracking.run_series") == [(1,)]


def test_single_requests_sent_together_count_once_whichever_of_them_are_stored(stock: Stock, store_dsn: str) -> None:
    run_id = stock.start(NOW)
    rows = [single(run_id, seq).requests[0] for seq in range(1, 301)]

    def some(first: int, after_last: int) -> Batch:
        return Batch(writer_id=WRITER_ID, batch_seq=None, requests=tuple(rows[first:after_last]))

    with stock.store.writer(5.0) as writer:
        for first, after_last in ((0, 100), (100, 200), (50, 250), (0, 300), (0, 300)):
            writer.write(some(first, after_last))
    counted = "SELECT requests, items FROM tracking."
    assert peek(store_dsn, "SELECT count(*) FROM tracking.requests") == [(300,)]
    assert peek(store_dsn, f"{counted}runs") == [(300, 2100)]
    assert peek(store_dsn, "SELECT sum(requests), sum(items) FROM tracking.throughput") == [(300, 2100)]
    with stock.store.reader(5.0) as reader:
        (entry,) = [entry for entry in reader.ledger(run_id) if entry.writer_id == WRITER_ID]
        assert entry.stored == 300


def test_a_switch_that_is_off_for_another_job_is_no_hindrance(stock: Stock) -> None:
    run_id = stock.start(NOW, job="inventory")
    with stock.store.administration(5.0) as admin:
        admin.set_switch(enabled=False, job="crm", actor="ana", reason="")
    with stock.store.writer(5.0) as writer:
        assert writer.write(single(run_id, 1)).refused == {}
    with stock.store.administration(5.0) as admin:
        admin.set_switch(enabled=False, job="inventory", actor="ana", reason="")
    with stock.store.writer(5.0) as writer:
        receipt = writer.write(single(run_id, 2))
    assert (receipt.refused, receipt.switched_off) == ({run_id: "off"}, {"inventory"})


def test_a_lost_request_shows_in_what_the_run_emitted(stock: Stock) -> None:
    run_id = stock.start(NOW)
    with stock.store.writer(5.0) as writer:
        for seq in (1, 2, 5):
            writer.write(single(run_id, seq))
    assert requests_and_emitted(stock, run_id) == (3, 5)


def requests_and_emitted(stock: Stock, run_id: int) -> tuple[int, int]:
    with stock.store.reader(5.0) as reader:
        run = reader.run(run_id)
    assert run is not None
    return run.requests, run.emitted


def end_that_counts(run_id: int, *, emitted: int, dropped: int = 0) -> Batch:
    end = RunEnd(run_id=run_id, status="completed", ended_us=to_microseconds(NOW), duration_ms=None, ended_by="job")
    entry = LedgerEntry(run_id=run_id, emitted=emitted, dropped=dropped)
    return Batch(writer_id=WRITER_ID, batch_seq=None, ends=(end,), ledger=(entry,))


def test_what_arrives_behind_the_end_that_counted_it_is_not_counted_as_emitted_again(stock: Stock) -> None:
    run_id = stock.start(NOW)
    with stock.store.writer(5.0) as writer:
        for seq in (2, 1):
            writer.write(single(run_id, seq))
        assert writer.write(end_that_counts(run_id, emitted=5, dropped=1)).ended == {run_id}
        for seq in (4, 3):
            writer.write(single(run_id, seq))
        assert requests_and_emitted(stock, run_id) == (4, 5)
        writer.write(single(run_id, 6))
        assert requests_and_emitted(stock, run_id) == (5, 6)
        (entry,) = (each for each in reader_ledger(stock, run_id) if each.writer_id == WRITER_ID)
    assert (entry.emitted, entry.stored, entry.dropped, entry.missing) == (6, 5, 1, 0)


def reader_ledger(stock: Stock, run_id: int) -> list[WriterLedger]:
    with stock.store.reader(5.0) as reader:
        return reader.ledger(run_id)


def test_requests_that_race_the_end_of_their_run_are_counted_as_emitted_once(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    run_id = stock.start(NOW)
    batches = [single(run_id, 1), single(run_id, 2), end_that_counts(run_id, emitted=3), single(run_id, 3)]
    with (
        contextlib.ExitStack() as writers,
        psycopg.connect(postgres_store_dsn) as holder,
        psycopg.connect(postgres_store_dsn, autocommit=True) as watch,
    ):
        holder.execute("SELECT FROM tracking.runs FOR UPDATE")
        threads = []
        for number, batch in enumerate(batches, start=1):
            writer = writers.enter_context(stock.store.writer(30.0))
            threads.append(threading.Thread(target=writer.write, args=[batch]))
            threads[-1].start()
            wait_until(lambda many=number: waiting(watch) == many, "all wait for the run or for one another")  # type: ignore[misc]
        holder.rollback()
        for thread in threads:
            thread.join()
    assert requests_and_emitted(stock, run_id) == (3, 3)
    stock.close()


def waiting(watch: psycopg.Connection[Any]) -> int:
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return int(watch.execute(count).fetchall()[0][0])


def test_a_run_of_a_week_without_a_partition_is_recorded_and_its_requests_move_when_the_week_is_made_again(
    postgres_store_dsn: str,
) -> None:
    stock = Stock(postgres_store_dsn)
    run_ids = [stock.start(NOW - timedelta(days=days)) for days in (0, 3650)]
    of_its_week = (
        f"SELECT seq, tableoid::regclass::text FROM tracking.requests WHERE run_id = {run_ids[0]} ORDER BY seq"
    )
    with stock.store.writer(5.0) as writer:
        writer.write(single(run_ids[0], 1))
        ((_, week),) = peek(postgres_store_dsn, of_its_week)
        assert week.startswith("tracking.requests_p")
        with psycopg.connect(postgres_store_dsn, autocommit=True) as connection:
            connection.execute(f"DROP TABLE {week}".encode())
        for run_id in run_ids:
            assert not writer.write(single(run_id, 2)).refused
        ((_, elsewhere),) = peek(postgres_store_dsn, of_its_week)
        assert elsewhere.startswith("tracking.requests_from_")
        assert elsewhere.endswith("_default")
        stock.store.initialize()
        writer.write(single(run_ids[0], 3))
    stock.close()
    assert peek(postgres_store_dsn, of_its_week) == [(2, week), (3, week)]


def test_requests_of_a_clock_far_ahead_move_when_time_has_come_so_far(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    run_id = stock.start(NOW + timedelta(days=600))
    with stock.store.writer(5.0) as writer:
        writer.write(single(run_id, 1))
    where = f"SELECT tableoid::regclass::text FROM tracking.requests WHERE run_id = {run_id}"
    ((week,),) = peek(postgres_store_dsn, where)
    block = "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = %s::regclass"
    with psycopg.connect(postgres_store_dsn, autocommit=True) as connection:
        # As before this block was made.
        ((above,),) = connection.execute(block, [week]).fetchall()
        connection.execute("CREATE TABLE kept AS TABLE tracking.requests")
        connection.execute(f"DROP TABLE {above}".encode())
        connection.execute("INSERT INTO tracking.requests TABLE kept")
        assert peek(postgres_store_dsn, where) == [("tracking.requests_default",)]
        stock.store.initialize()
    stock.close()
    assert peek(postgres_store_dsn, where) == [(week,)]
