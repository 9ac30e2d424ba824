"""A connection that the server ended while nobody used it is replaced; what was to be done is done on the new one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.acceptance.ledger import assert_nothing_lost
from tests.store.stocking import Stock
from tests.support.waiting import wait_until
from tracking_core import SimpleETLTracker
from tracking_core.errors import StoreUnavailable
from tracking_core.store import open_store
from tracking_core.store.postgres import connection


@pytest.fixture
def end_connections(postgres_store_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Return what ends all of our connections, each of which counts as idle."""
    monkeypatch.setattr(connection, "IDLE_S", 0)
    with psycopg.connect(postgres_store_dsn, autocommit=True) as other:

        def end() -> int:
            ended = other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return len(ended.fetchall())

        yield end


def test_a_writer_goes_on(postgres_store_dsn: str, end_connections: Callable[[], int]) -> None:
    with open_store(postgres_store_dsn).writer(5) as writer:
        for work in (writer.hello, lambda: writer.beat([1]), lambda: writer.switched_off("j")):
            assert end_connections() == 1
            work()


def test_a_reader_goes_on_with_and_without_a_view(postgres_store_dsn: str, end_connections: Callable[[], int]) -> None:
    now = datetime.now(UTC)
    with closing(Stock(postgres_store_dsn)) as stock:
        stock.finished(now - timedelta(hours=1), now)
    with open_store(postgres_store_dsn).reader(5) as reader:
        assert end_connections() == 1
        assert len(reader.recent_runs(5)) == 1
        for _ in range(2):
            assert end_connections() == 1
            with reader.one_view():
                assert len(reader.recent_runs(5)) == 1
                assert reader.count_live() in (0, 1)


def test_a_connection_that_ends_inside_a_view_is_not_replaced(
    postgres_store_dsn: str, end_connections: Callable[[], int]
) -> None:
    with open_store(postgres_store_dsn).reader(5) as reader, reader.one_view():
        reader.recent_runs(5)
        assert end_connections() == 1
        with pytest.raises(StoreUnavailable):
            reader.runs_of_job("j", 3)


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_nothing_is_spooled_after_an_idle_time(
    delivery: str,
    postgres_store_dsn: str,
    end_connections: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TRACKING_SPOOL_DIR", str(tmp_path))
    caplog.set_level(logging.INFO, "tracking_core")
    tracker = SimpleETLTracker(postgres_store_dsn, delivery=delivery)
    run_id = tracker.start_run(job="j")
    assert run_id
    for number in range(3):
        for request in range(40):
            tracker.log_request(run_id, "/a", number * 40 + request, 10, 200, 1, 1)
        tracker.flush()
        end_connections()
    tracker.end_run(run_id, success=True)
    report = tracker.flush()
    tracker.close()
    assert (report.sent, report.spooled, report.dropped) == (122, 0, 0)
    assert_nothing_lost(postgres_store_dsn, 120)
    assert not caplog.records


def test_the_servers_own_limit_is_such_an_end(
    postgres_store_dsn: str, monkeypatch: pytest.MonkeyPatch, end_connections: Callable[[], int]
) -> None:
    with psycopg.connect(postgres_store_dsn, autocommit=True) as other:
        if other.info.server_version < 140000:
            pytest.skip("servers before PostgreSQL 14 have no idle_session_timeout")
        database = sql.Identifier(str(other.info.dbname))
        other.execute(sql.SQL("ALTER DATABASE {} SET idle_session_timeout = '50ms'").format(database))
        with open_store(postgres_store_dsn).writer(5) as writer:
            writer.hello()
            sessions = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
            )
            wait_until(
                lambda: other.execute(sessions, [connection.APPLICATION]).fetchall() == [(0,)], "the session has ended"
            )
            assert writer.hello().schema_version
