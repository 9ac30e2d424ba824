"""Stores of an older schema version: upgraded they equal a fresh one, and a job writes into them what they can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.peek import peek
from tracking_core import SimpleETLTracker
from tracking_core.store import open_store, sql_files

COLUMNS = {
    "postgres": """
        SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
        WHERE table_schema = 'tracking' AND table_name NOT LIKE 'requests\\_%' ORDER BY 1, 2""",
    "sqlite": """
        SELECT tables.name, columns.name, columns.type, columns."notnull", columns.dflt_value
        FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns
        WHERE tables.type = 'table' ORDER BY 1, 2""",
}


def columns(dsn: str) -> list[tuple[object, ...]]:
    return peek(dsn, COLUMNS[open_store(dsn).kind])


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store_dsn(kind: str, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{kind}_store_dsn"))


@pytest.fixture
def old_store_dsn(kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of schema version 1, as etlwatch 0.1.0 made it."""
    dsn = f"sqlite:///{tmp_path / 'old.db'}" if kind == "sqlite" else str(request.getfixturevalue("postgres_dsn"))
    with monkeypatch.context() as patch:
        known = sql_files.migrations
        patch.setattr(sql_files, "migrations", lambda dialect: known(dialect)[:1])
        assert open_store(dsn).initialize() == ["001_initial"]
    return dsn


def test_an_upgraded_store_equals_a_fresh_one(old_store_dsn: str, store_dsn: str) -> None:
    assert open_store(old_store_dsn).initialize() == ["002_skipped_phases"]
    assert columns(old_store_dsn) == columns(store_dsn)
    assert open_store(old_store_dsn).initialize() == []


def run_with_a_skipped_phase(dsn: str, delivery: str) -> None:
    tracker = SimpleETLTracker(dsn, delivery=delivery)  # type: ignore[arg-type]
    run_id = tracker.start_run("skips")
    assert tracker.log_phase(run_id, "extract", "completed", processed={"rows": 3})
    assert tracker.log_phase(run_id, "load", "skipped")
    assert tracker.end_run(run_id, True)
    tracker.close()


@pytest.fixture(params=["immediate", "buffered"])
def delivery(request: pytest.FixtureRequest) -> str:
    return str(request.param)


PHASES = "SELECT phase, status, ended_at IS NOT NULL FROM tracking.phases ORDER BY phase"


def test_a_phase_may_be_skipped(store_dsn: str, delivery: str) -> None:
    run_with_a_skipped_phase(store_dsn, delivery)
    assert peek(store_dsn, PHASES) == [("extract", "completed", 1), ("load", "skipped", 1)]


def test_a_skipped_phase_is_completed_and_marked_where_the_tables_are_older(old_store_dsn: str, delivery: str) -> None:
    run_with_a_skipped_phase(old_store_dsn, delivery)
    assert peek(old_store_dsn, PHASES) == [("extract", "completed", 1), ("load", "completed", 1)]
    with open_store(old_store_dsn).reader(5.0) as reader:
        (run,) = reader.recent_runs(1)
        phases = {phase.phase: phase.counters for phase in reader.phases([run.run_id])}
    assert phases == {"extract": {"rows": {"processed": 3}}, "load": {"skipped": {"processed": 1}}}
