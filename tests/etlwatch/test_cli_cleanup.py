"""`cleanup` on both stores: what it would remove, what it asks, what it never touches."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.etlwatch.cli_program import MAIN, PROJECT, Program
from tests.store.stocking import Stock
from tests.support.terminal import Terminal
from tracking_core.store import open_store

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def kept(store_dsn: str) -> Iterator[set[int]]:
    """Fill the store with three old runs of two jobs, and yield those that a clean-up of 30 days keeps."""
    stock = Stock(store_dsn)
    for days in (40, 50):
        stock.finished(NOW - days * DAY, NOW - days * DAY + HOUR, job="sync", requests=3)
    stock.finished(NOW - 60 * DAY, NOW - 59 * DAY, job="import")
    yield {
        stock.start(NOW - 90 * DAY, job="still running"),
        stock.finished(NOW - 5 * DAY, NOW - 5 * DAY + HOUR, job="sync"),
        stock.finished(NOW - 31 * DAY, NOW - 29 * DAY, job="ended lately"),
    }
    stock.close()


def listed(etlwatch: Program, dsn: str) -> set[int]:
    return {int(run["run_id"]) for run in etlwatch("runs", "--dsn", dsn, "--format", "json").data}


def test_a_dry_run_counts_by_job_and_removes_nothing(etlwatch: Program, store_dsn: str, kept: set[int]) -> None:
    ask = ["cleanup", "--older-than", "30d", "--dry-run", "--dsn", store_dsn]
    plan = etlwatch(*ask, "--format", "json").data
    assert (plan["runs"], plan["requests"], plan["days"], plan["removed"]) == (3, 6, 30, None)
    assert plan["kept_running"] == 1
    assert {part["job"]: part["runs"] for part in plan["jobs"]} == {"sync": 2, "import": 1}
    assert NOW - 31 * DAY < datetime.fromisoformat(plan["cutoff"]) < NOW - 29 * DAY
    table = etlwatch(*ask)
    assert table.status == 0
    for part in ("30 days ago", "sync", "3 runs", "Kept 1 run"):
        assert part in table.out
    assert len(listed(etlwatch, store_dsn)) == 6


def test_yes_removes_what_the_plan_says_and_keeps_the_rest(etlwatch: Program, store_dsn: str, kept: set[int]) -> None:
    answer = etlwatch("cleanup", "--older-than", "30d", "--yes", "--dsn", store_dsn)
    assert answer.status == 0
    assert "removed 3 runs" in answer.err
    assert listed(etlwatch, store_dsn) == kept
    again = etlwatch("cleanup", "--older-than", "30d", "--yes", "--dsn", store_dsn, "--format", "json")
    assert (again.status, again.data["runs"], again.data["removed"]) == (0, 0, 0)
    with open_store(store_dsn).reader(5.0) as reader:
        assert any("30" in str(operation.detail) for operation in reader.audit())


def test_weeks_are_days(etlwatch: Program, store_dsn: str, kept: set[int]) -> None:
    plan = etlwatch("cleanup", "--older-than", "6w", "--dry-run", "--dsn", store_dsn, "--format", "json").data
    assert (plan["days"], plan["runs"]) == (42, 2)


def test_zero_days_mean_every_finished_run_and_no_other(etlwatch: Program, store_dsn: str, kept: set[int]) -> None:
    answer = etlwatch("cleanup", "--older-than", "0d", "--yes", "--dsn", store_dsn, "--format", "json")
    assert (answer.status, answer.data["removed"]) == (0, 5)
    (run,) = etlwatch("runs", "--dsn", store_dsn, "--format", "json").data
    assert run["job"] == "still running"


def test_the_last_success_of_each_job_stays_when_it_is_asked_for(
    etlwatch: Program, store_dsn: str, kept: set[int]
) -> None:
    ask = ["cleanup", "--older-than", "30d", "--dsn", store_dsn]
    hint = etlwatch(*ask, "--dry-run").out
    assert "Among them the last success of a job: --keep-last-success keeps it" in hint
    plan = etlwatch(*ask, "--keep-last-success", "--dry-run", "--format", "json").data
    assert (plan["runs"], plan["keep_last_success"], plan["last_successes"]) == (2, True, 1)
    assert "Kept 1 run: each job's last success" in etlwatch(*ask, "--keep-last-success", "--dry-run").out
    assert "removed 2 runs" in etlwatch(*ask, "--keep-last-success", "--yes").err
    left = etlwatch("runs", "--dsn", store_dsn, "--format", "json").data
    assert {int(run["run_id"]) for run in left} > kept
    assert {run["job"] for run in left} == {"import", "still running", "sync", "ended lately"}


def test_weeks_of_requests_are_named_dropped_and_told_of(etlwatch: Program, postgres_store_dsn: str) -> None:
    dsn = postgres_store_dsn
    day = (NOW - 28 * DAY).replace(hour=0, minute=0, second=0)
    monday = day - day.weekday() * DAY
    stock = Stock(dsn)
    stock.finished(monday, monday + HOUR, requests=4)
    stock.close()
    ask = ["cleanup", "--older-than", "14d", "--dsn", dsn]
    plan = etlwatch(*ask, "--dry-run", "--format", "json").data
    assert (plan["dropped_weeks"], plan["cut_weeks"], plan["waiting_requests"]) == (1, 0, 0)
    assert plan["dropped_bytes"] > 0
    assert "Drops 1 week of requests, " in etlwatch(*ask, "--dry-run").out
    with psycopg.connect(dsn) as dump:
        dump.execute("SELECT count(*) FROM tracking.requests")
        assert "1 week of requests is in use: the next clean-up drops it" in etlwatch(*ask, "--yes").err
    # No run is left to remove; what its requests take is given back all the same.
    answer = etlwatch(*ask, "--yes")
    assert (answer.status, "dropped 1 week of requests" in answer.err) == (0, True)
    assert etlwatch(*ask, "--yes").err == ""


def in_terminal(dsn: str) -> Terminal:
    command = [sys.executable, "-c", MAIN, "cleanup", "--older-than", "30d", "--dsn", dsn]
    return Terminal(command, environment={"PYTHONPATH": str(PROJECT)})


def test_on_a_terminal_the_number_of_runs_is_asked_for(etlwatch: Program, store_dsn: str, kept: set[int]) -> None:
    with in_terminal(store_dsn) as terminal:
        terminal.wait_for("Type 3 to remove")
        terminal.send("3\n")
        assert terminal.wait_for_exit() == 0
        assert "removed 3 runs" in terminal.text
    assert listed(etlwatch, store_dsn) == kept


@pytest.mark.parametrize(
    ("store_dsn", "keys", "status"),
    [("sqlite", "yes\n", 1), ("postgres", "\n", 1), ("sqlite", "\x04", 1), ("postgres", "\x03", 130)],
    indirect=["store_dsn"],
)
def test_any_other_answer_removes_nothing(
    etlwatch: Program, store_dsn: str, kept: set[int], keys: str, status: int
) -> None:
    with in_terminal(store_dsn) as terminal:
        terminal.wait_for("Type 3 to remove")
        terminal.send(keys)
        assert terminal.wait_for_exit() == status
        assert "Traceback" not in terminal.text
    assert len(listed(etlwatch, store_dsn)) == 6
