"""A pooler in session mode is as good as the server; one in statement mode, without transactions, loses nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from etlwatch.doctor import outage_checks, probe, store_checks
from etlwatch.doctor.checks import Check, CheckStatus, Target, run_checks
from tests.acceptance.test_faulty_servers import EVENTS, record
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PostgresServer
from tests.support.session import SharedSession
from tracking_core.config import resolve
from tracking_core.errors import StoreRefused
from tracking_core.store import open_store


@contextmanager
def pooled(session: SharedSession, server: PostgresServer, dsn: str, mode: str) -> Iterator[str]:
    bouncer = PgBouncer.create(session, server, mode)
    try:
        yield bouncer.dsn(dsn)
    finally:
        bouncer.stop()


def checks_named(name: str) -> list[Check]:
    checks = (*store_checks.CHECKS, *probe.CHECKS, *outage_checks.CHECKS)
    return [check for check in checks if check.name == name]


def stored(dsn: str) -> list[str]:
    with open_store(dsn).reader(5) as reader:
        return [run.status for run in reader.recent_runs(5)]


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_statement_mode_spools_everything_and_warns_once(
    delivery: str,
    postgres_server: PostgresServer,
    postgres_store_dsn: str,
    shared_session: SharedSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "tracking_core")
    with pooled(shared_session, postgres_server, postgres_store_dsn, "statement") as dsn:
        became = record(dsn, delivery, text="e")
    assert (stored(postgres_store_dsn), became) == ([], (0, EVENTS, 0))
    (warning,) = caplog.records
    assert "a pooler in statement mode" in warning.message
    assert "session or transaction mode" in warning.message


def test_statement_mode_is_named_to_readers_administration_and_doctor(
    postgres_server: PostgresServer, postgres_store_dsn: str, shared_session: SharedSession
) -> None:
    with pooled(shared_session, postgres_server, postgres_store_dsn, "statement") as dsn:
        with (
            open_store(dsn).reader(5) as reader,
            reader.one_view(),
            pytest.raises(StoreRefused, match="statement mode"),
        ):
            reader.recent_runs(5)
        with pytest.raises(StoreRefused, match="statement mode"):
            open_store(dsn).administration(5)
        with pytest.raises(StoreRefused, match="statement mode"):
            open_store(dsn).initialize()
        (found,) = (result for _, result in run_checks(Target(location=resolve(dsn)), checks_named("store")))
    assert found.status == CheckStatus.FAILED
    assert "statement mode" in found.figure


def test_a_session_pool_of_one_is_too_small_says_the_doctor(
    postgres_server: PostgresServer, postgres_store_dsn: str, shared_session: SharedSession
) -> None:
    with pooled(shared_session, postgres_server, postgres_store_dsn, "session") as dsn:
        (found,) = (
            result for _, result in run_checks(Target(location=resolve(dsn), patience=0.3), checks_named("pooler"))
        )
    assert found.status == CheckStatus.FAILED
    assert found.figure == "in between, session mode with room for one connection"


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_session_mode_is_as_good_as_the_server(
    delivery: str, postgres_server: PostgresServer, postgres_store_dsn: str, shared_session: SharedSession
) -> None:
    with pooled(shared_session, postgres_server, postgres_store_dsn, "session") as dsn:
        assert record(dsn, delivery, text="e") == (EVENTS, 0, 0)
        assert stored(dsn) == ["completed"]
        with open_store(dsn).administration(5) as admin:
            assert sum(admin.cleanup(0, actor="p")) == 1
