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
from tracking_core.events import Batch
from tracking_core.requests import RequestRow, tally
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


def write_one(store: Store, run_ids: list[int]) -> object:
    row = RequestRow(run_ids[0], 1, to_microseconds(NOW), "/a", None, None, 200, 1, 5, False, None)
    with store.writer(10.0) as writer:
        return writer.write(Batch(writer_id=9, batch_seq=None, requests=(row,), cells=tally((row,)))).refused


def beat(store: Store, run_ids: list[int]) -> object:
    with store.writer(10.0) as writer:
        return writer.beat(run_ids).refused


def end_transactions(dsn: str, state: str, times: int) -> None:
    """Have the server end the next transactions that change a run, with a state that it uses for conflicts."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE public.tries")
        connection.execute(
            f"""CREATE FUNCTION public.conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('public.tries') <= {times} THEN RAISE EXCEPTION 'in conflict' USING ERRCODE = '{state}'; END IF;
            RETURN coalesce(new, old); END $$""".encode()
        )
        connection.execute(
            "CREATE TRIGGER conflict BEFORE UPDATE OR DELETE ON tracking.runs"
            " FOR EACH ROW EXECUTE FUNCTION public.conflict()"
        )


@pytest.fixture
def runs(postgres_store_dsn: str) -> list[int]:
    """Two runs, by their ids."""
    stock = Stock(postgres_store_dsn)
    run_ids = sorted(stock.start(NOW) for _ in range(2))
    stock.close()
    return run_ids


Work = Callable[[Store, list[int]], object]


@pytest.mark.parametrize("state", ["40P01", "40001"])
@pytest.mark.parametrize("work", [write, write_one, beat])
def test_what_a_conflict_ends_is_written_again(
    postgres_store_dsn: str, runs: list[int], work: Work, state: str
) -> None:
    end_transactions(postgres_store_dsn, state, 2)
    assert work(open_store(postgres_store_dsn), runs) == {}
    with open_store(postgres_store_dsn).reader(5.0) as reader:
        found = [run.requests for run in reversed(reader.recent_runs(5))]
        assert sum(found) == sum(cell.requests for run_id in runs for cell in reader.endpoints(run_id))
    assert sum(found) == {write: 2, write_one: 1, beat: 0}[work]


@pytest.mark.parametrize("state", ["40P01", "40001"])
def test_a_clean_up_and_a_close_that_a_conflict_ends_are_made_again(postgres_store_dsn: str, state: str) -> None:
    stock = Stock(postgres_store_dsn)
    for _ in range(2):
        stock.finished(NOW - timedelta(days=50), NOW - timedelta(days=40))
    running = stock.start(NOW)
    stock.close()
    end_transactions(postgres_store_dsn, state, 2)
    with open_store(postgres_store_dsn).administration(10.0) as admin:
        assert sum(admin.cleanup(30, actor="ana")) == 2
        assert admin.close_run(running, actor="ana", reason="")
    with open_store(postgres_store_dsn).reader(5.0) as reader:
        assert [run.status for run in reader.recent_runs(5)] == ["abandoned"]
        assert [entry.action for entry in reader.audit()] == ["close run", "cleanup"]


@pytest.mark.parametrize("work", [write, write_one, beat])
def test_it_is_tried_a_few_times_only(postgres_store_dsn: str, runs: list[int], work: Work) -> None:
    end_transactions(postgres_store_dsn, "40P01", 1000)
    with pytest.raises(StoreConflict, match="in conflict"):
        work(open_store(postgres_store_dsn), runs)


def test_a_clean_up_is_tried_a_few_times_only(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    stock.finished(NOW - timedelta(days=50), NOW - timedelta(days=40))
    stock.close()
    end_transactions(postgres_store_dsn, "40P01", 1000)
    with (
        open_store(postgres_store_dsn).administration(10.0) as admin,
        pytest.raises(StoreConflict, match="in conflict"),
    ):
        list(admin.cleanup(30, actor="ana"))


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
