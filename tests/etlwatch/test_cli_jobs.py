"""`jobs` on both stores: one line a job, what is late first, and the same as data."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def fleet(stock: Stock) -> Stock:
    """A nightly job that is two hours late, one that runs slow, one that is young."""
    for night in range(1, 11):
        began = NOW - night * DAY - 2 * HOUR
        stock.finished(began, began + 12 * MINUTE, job="ledger")
    for night in range(1, 8):
        began = NOW - night * DAY
        stock.finished(began, began + 10 * MINUTE, job="sync")
    stock.start(NOW - 20 * MINUTE, job="sync")
    stock.start(NOW - MINUTE, job="young")
    return stock


def test_what_is_late_comes_first_then_what_has_trouble(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    lines = etlwatch("jobs", "--dsn", store_dsn).out.splitlines()
    assert lines[0].split() == ["job", "last", "runs", "success", "usual", "p95", "trend", "last", "began", "next"]
    assert [line.split()[0] for line in lines[1:4]] == ["ledger", "sync", "young"]
    assert "▄▄▄▄▄▄▄▄▄▄!" in lines[1]
    assert "10/10 100%" in lines[1]
    # A rhythm is known to the minute.
    assert "overdue 2h 0" in lines[1] or "overdue 1h 59m" in lines[1]
    # 2.0 when the file was imported; a suite takes minutes.
    assert "now ▲ 2." in lines[2]
    assert "1 run" in lines[3]
    assert lines[5].startswith("ledger has not begun: expected at ")


def test_as_data_a_job_has_what_proves_it_late(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    late, sync, young = etlwatch("jobs", "--dsn", store_dsn, "--format", "json").data
    assert (late["job"], late["trouble"], late["completed"], late["counted"]) == ("ledger", "overdue", 10, 10)
    assert late["overdue_s"] == pytest.approx(7_200, abs=120)
    assert (late["rhythm_hits"], late["rhythm_of"], late["usual_s"]) == (10, 10, 720)
    assert datetime.fromisoformat(late["next_expected"]) == pytest.approx(NOW - 2 * HOUR, abs=2 * MINUTE)
    assert [run["state"] for run in late["last_runs"]] == ["completed"] * 10
    assert (sync["trouble"], sync["last_state"], sync["overdue_s"]) == ("slow", "slow", None)
    assert (young["usual_s"], young["trouble"], young["next_expected"]) == (None, None, None)


def test_only_the_jobs_that_are_asked_for_are_listed(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    listed = etlwatch("jobs", "--dsn", store_dsn, "--job", "s*", "--job", "young", "--format", "jsonl").out
    assert len(listed.splitlines()) == 2
    unknown = etlwatch("jobs", "--dsn", store_dsn, "--job", "unknown")
    assert (unknown.status, unknown.err) == (1, "etlwatch: no job 'unknown'\n")
    near = etlwatch("jobs", "--dsn", store_dsn, "--job", "yuong", "--format", "json")
    assert (near.status, near.data, near.err) == (1, [], "etlwatch: no job 'yuong'; did you mean 'young'?\n")


def test_csv_has_one_line_a_job(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    rows = list(csv.DictReader(io.StringIO(etlwatch("jobs", "--dsn", store_dsn, "--format", "csv").out)))
    assert [row["job"] for row in rows] == ["ledger", "sync", "young"]
    assert rows[2]["success"] == ""


def test_an_empty_store_has_no_jobs(etlwatch: Program, store_dsn: str) -> None:
    answer = etlwatch("jobs", "--dsn", store_dsn)
    assert (answer.status, answer.out) == (0, "")
    assert answer.err.startswith("no runs in ")
    assert etlwatch("jobs", "--dsn", store_dsn, "--format", "json").data == []


def test_jobs_are_filtered_as_in_the_dashboard(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    def named(*words: str) -> list[str]:
        return [row["job"] for row in etlwatch("jobs", *words, "--dsn", store_dsn, "--format", "json").data]

    assert named("state:overdue") == ["ledger"]
    assert named("!sync", "!led*") == ["young"]
    refused = etlwatch("jobs", "state:nonsense", "--dsn", store_dsn)
    assert refused.status == 2
    assert "no state 'nonsense'" in refused.err


def test_the_last_run_of_a_job_counts_as_check_and_runs_show_it(
    etlwatch: Program, stock: Stock, store_dsn: str
) -> None:
    """A job whose last run processed half of its total has trouble; a whole run after it makes that good."""
    for hours, processed in ((3, 100), (2, 50)):
        began, rows = NOW - hours * HOUR, {"total": 100, "processed": processed}
        run_id = stock.start(began, job="crm")
        stock.phase(run_id, "load", began, status="completed", counters={"rows": rows})
        stock.end(run_id, began + MINUTE)
    check = etlwatch("check", "--dsn", store_dsn)
    assert check.status == 2
    assert "CRITICAL - crm incomplete: 50% of rows" in check.out
    assert [job["trouble"] for job in etlwatch("jobs", "--dsn", store_dsn, "--format", "json").data] == ["incomplete"]
    assert [run["state"] for run in etlwatch("runs", "--dsn", store_dsn, "--format", "json").data] == [
        "incomplete",
        "completed",
    ]
    run_id = stock.start(NOW - HOUR, job="crm")
    stock.end(run_id, NOW - HOUR + MINUTE)
    assert etlwatch("check", "--dsn", store_dsn).status == 0
    assert [job["trouble"] for job in etlwatch("jobs", "--dsn", store_dsn, "--format", "json").data] == [None]
