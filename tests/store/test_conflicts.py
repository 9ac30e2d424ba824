"""What PostgreSQL ends because of another transaction is tried again within the deadline, and nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.store.stocking import Stock
from tests.support.waiting import wait_until
from tracking_core.clock import to_microseconds
from tracking_core.errors import StoreConflict
from tracking_core.events import Batch, RequestRow, tally
from tracking_core.store import open_store
from tracking_core.store.base import Store

NOW = datetime.now(UTC).replace(microsecond=0)
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"


def write(store: Store, run_ids: list[int]) -> object:
    rows = tuple(
        RequestRow(run_id, seq, to_microseconds(NOW), "/a", None, None, 200, 1, 5, False, None)
        for seq, run_id in enumerate(run_ids, start=1)
    )
    with store.writer(10.0) as writer:
        return writer.write(Batch(writer_id=9, batch_seq=1, requests=rows, cells=tally(rows))).refused


def beat(store: Store, run_ids: list[int]) -> object:
    with store.writer(10.0) as writer:
        return writer.beat(run_ids).refused


def clean(store: Store, _: list[int]) -> object:
    with store.administration(10.0) as admin:
        return sum(admin.cleanup(30, actor="ana"))


def in_a_deadlock(dsn: str, work: Callable[[Store, list[int]], object], run_ids: list[int]) -> list[object]:
    """Do some work that meets another transaction, which has the second run and then wants the first."""
    done: list[object] = []

    def run() -> None:
        try:
            # This one looks for a deadlock first, so it is the one that is ended.
            done.append(work(open_store(f"{dsn}?options=-c%20deadlock_timeout%3D50ms"), run_ids))
        except StoreConflict as error:
            done.append(error)

    lock = "SELECT FROM tracking.runs WHERE run_id = %s FOR UPDATE"
    working = threading.Thread(target=run)
    with psycopg.connect(dsn) as other, psycopg.connect(dsn, autocommit=True) as watch:
        other.execute("SET deadlock_timeout = '1min'")
        other.execute(lock, [run_ids[1]])
        working.start()
        pid: list[Any] = [other.info.backend_pid]
        wait_until(lambda: watch.execute(WAITING, pid).fetchone() == (1,), "it waits for the second run")
        other.execute(lock, [run_ids[0]])
        other.rollback()
        working.join()
    return done


@pytest.fixture
def runs(postgres_store_dsn: str) -> list[int]:
    """Two runs, by their ids."""
    stock = Stock(postgres_store_dsn)
    run_ids = sorted(stock.start(NOW) for _ in range(2))
    stock.close()
    return run_ids


@pytest.mark.parametrize("work", [write, beat])
def test_a_writer_that_is_ended_by_a_deadlock_tries_again(
    postgres_store_dsn: str, runs: list[int], work: Callable[[Store, list[int]], object]
) -> None:
    assert in_a_deadlock(postgres_store_dsn, work, runs) == [{}]
    with open_store(postgres_store_dsn).reader(5.0) as reader:
        assert [run.requests for run in reader.recent_runs(5)] == ([1, 1] if work is write else [0, 0])


def test_a_clean_up_that_is_ended_by_a_deadlock_tries_again(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    old = sorted(stock.finished(NOW - timedelta(days=50), NOW - timedelta(days=40)) for _ in range(2))
    stock.close()
    assert in_a_deadlock(postgres_store_dsn, clean, old) == [2]
    with open_store(postgres_store_dsn).reader(5.0) as reader:
        assert reader.recent_runs(5) == []


@pytest.mark.parametrize("work", [write, beat])
def test_it_is_tried_a_few_times_only(
    postgres_store_dsn: str,
    runs: list[int],
    work: Callable[[Store, list[int]], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tracking_core.store.postgres.writer.ATTEMPTS", 1)
    (error,) = in_a_deadlock(postgres_store_dsn, work, runs)
    assert isinstance(error, StoreConflict)
    assert "deadlock" in str(error)


@pytest.mark.parametrize("carried", [False, True])
def test_a_run_that_is_removed_while_a_batch_waits_for_it_is_refused_and_not_made_anew(
    postgres_store_dsn: str, runs: list[int], carried: bool
) -> None:
    dsn, (run_id, _) = postgres_store_dsn, runs
    stock = Stock(dsn)
    start = stock.run_start(run_id, to_microseconds(NOW))
    stock.close()
    row = RequestRow(run_id, 1, to_microseconds(NOW), "/a", None, None, 200, 1, 5, False, None)
    batch = Batch(writer_id=9, batch_seq=1, starts=(start,) if carried else (), requests=(row,), cells=tally((row,)))
    refused: list[object] = []
    with (
        open_store(dsn).writer(10.0) as writer,
        psycopg.connect(dsn) as other,
        psycopg.connect(dsn, autocommit=True) as watch,
    ):
        writing = threading.Thread(target=lambda: refused.append(writer.write(batch).refused))
        # As a clean-up does it.
        other.execute("SELECT FROM tracking.runs WHERE run_id = %s FOR UPDATE", [run_id])
        writing.start()
        pid: list[Any] = [other.info.backend_pid]
        wait_until(lambda: watch.execute(WAITING, pid).fetchone() == (1,), "the batch waits for the run")
        other.execute("INSERT INTO tracking.removed_runs (run_id) VALUES (%s)", [run_id])
        other.execute("DELETE FROM tracking.runs WHERE run_id = %s", [run_id])
        other.commit()
        writing.join()
    assert refused == [{run_id: "removed"}]
    with open_store(dsn).reader(5.0) as reader:
        assert reader.run(run_id) is None
        assert reader.endpoints(run_id) == []
