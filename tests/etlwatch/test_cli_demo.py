"""`etlwatch demo` without a terminal: real jobs once, in a store of their own or in a named one."""

import re
from pathlib import Path

import pytest

from tests.etlwatch.cli_program import Program
from tests.support.ports import free_port


@pytest.mark.usefixtures("quick_demo")
def test_the_demo_runs_once_shows_its_runs_and_the_command_to_see_them_again(etlwatch: Program, tmp_path: Path) -> None:
    answer = etlwatch("demo")
    assert answer.status == 0
    assert "completed" in answer.out
    assert "failed" in answer.out
    again = re.search(r"etlwatch --dsn (\S+)$", answer.out.strip())
    assert again is not None
    assert str(tmp_path) in again[1]
    runs = etlwatch("runs", "--dsn", again[1], "--format", "json").data
    assert {run["status"] for run in runs} >= {"completed", "failed"}
    assert sum(run["requests"] for run in runs) > 50
    failed = next(run for run in runs if run["status"] == "failed")
    errors = etlwatch("errors", failed["id"], "--dsn", again[1], "--format", "json").data
    assert "Traceback" in errors[0]["traceback"]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run no jobs, and note where they would have recorded."""
    places: list[str] = []

    def run_once(dsn: str) -> int:
        places.append(dsn)
        return 0

    monkeypatch.setattr("etlwatch.demo.runner.run_once", run_once)
    return places


def test_a_demo_never_records_into_the_store_of_the_environment(
    etlwatch: Program, jobs: list[str], monkeypatch: pytest.MonkeyPatch, sqlite_store_dsn: str
) -> None:
    monkeypatch.setenv("TRACKING_DSN", sqlite_store_dsn)
    assert etlwatch("demo").status == 0
    (place,) = jobs
    assert place.endswith("/etlwatch/demo.db")


def test_a_named_store_is_initialised_and_keeps_what_it_holds(
    etlwatch: Program, jobs: list[str], postgres_dsn: str
) -> None:
    for words in (["demo", "--dsn", postgres_dsn], ["--dsn", postgres_dsn, "demo"]):
        answer = etlwatch(*words)
        assert answer.status == 0
        assert "its tables are there" in answer.err
        assert f"--dsn {postgres_dsn}" in answer.out
    assert len(jobs) == 2
    assert etlwatch("runs", "--dsn", postgres_dsn, "--format", "json").data == []


def test_an_unreachable_store_is_reported_before_any_job_starts(etlwatch: Program, jobs: list[str]) -> None:
    answer = etlwatch("demo", "--dsn", f"postgresql://ana:hunter2@127.0.0.1:{free_port()}/etl")
    assert answer.status == 3
    assert "hunter2" not in answer.complaint
    assert jobs == []
