"""`stats` on both stores: in all, by job, by interval; only what lies in the window."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etlwatch.analysis.series import interval_of
from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def fleet(stock: Stock) -> Stock:
    """Two jobs in the last six hours, and one run that began before them and goes on."""
    for hours, job, status in ((5, "crm", "completed"), (3, "crm", "failed"), (2, "ads", "completed")):
        began = NOW - hours * HOUR
        run_id = stock.start(began, job=job)
        made = [
            (began + n * MINUTE, "/contacts", 429 if n == 9 else 500 if n == 8 else 200, 10, 100) for n in range(10)
        ]
        stock.requests(run_id, made)
        stock.end(run_id, began + 20 * MINUTE, status=status)
    old = stock.start(NOW - 30 * HOUR, job="crm")
    stock.requests(old, [(NOW - 29 * HOUR, "/contacts", 200, 10, 4_000), (NOW - HOUR, "/contacts", 200, 10, 4_000)])
    return stock


def stats(etlwatch: Program, store_dsn: str, *words: str) -> Any:
    return etlwatch("stats", "--dsn", store_dsn, "--format", "json", *words).data


def test_only_what_lies_in_the_window_counts(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    found = stats(etlwatch, store_dsn)
    total = found["total"]
    assert (total["requests"], total["items"], total["failed"], total["throttled"]) == (31, 310, 3, 3)
    assert total["server_errors"] == 3
    assert total["p50_ms"] == pytest.approx(100, rel=0.05)
    assert total["p99_ms"] == pytest.approx(4_000, rel=0.05)
    assert total["requests_per_s"] == pytest.approx(31 / 86_400, abs=0.001)
    assert stats(etlwatch, store_dsn, "--window", "2d")["total"]["requests"] == 32


def test_jobs_are_told_apart_with_how_their_runs_ended(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    crm, ads = stats(etlwatch, store_dsn)["jobs"]
    assert (crm["job"], crm["requests"], crm["began"], crm["completed"], crm["runs_failed"]) == ("crm", 21, 2, 1, 1)
    assert (crm["living"], crm["lost"], crm["median_s"]) == (1, 0, 1_200)
    assert (ads["job"], ads["requests"], ads["p99_ms"]) == ("ads", 10, pytest.approx(100, rel=0.05))
    only = stats(etlwatch, store_dsn, "--job", "a*")
    assert [job["job"] for job in only["jobs"]] == ["ads"]
    assert only["total"]["requests"] == 10


def test_intervals_lie_on_the_clock_and_add_up(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    found = stats(etlwatch, store_dsn, "--window", "6h", "--interval", "1h")
    intervals = found["intervals"]
    assert sum(each["requests"] for each in intervals) == found["total"]["requests"] == 31
    assert all(each["begin"].endswith(":00:00.000000+00:00") for each in intervals[1:])
    assert sum(each["seconds"] for each in intervals) == pytest.approx(6 * 3_600, abs=2)
    assert len(intervals) in (6, 7)


@pytest.mark.parametrize(
    ("window", "step"), [("5m", 30), ("1h", 300), ("24h", 3_600), ("7d", 43_200), ("365d", 604_800)]
)
def test_a_window_has_about_two_dozen_intervals(window: str, step: int) -> None:
    unit = {"m": 60, "h": 3_600, "d": 86_400}[window[-1]]
    assert interval_of(timedelta(seconds=int(window[:-1]) * unit)) == step


def test_rows_of_csv_are_intervals_or_jobs(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    by_job = etlwatch("stats", "--dsn", store_dsn, "--by", "job", "--format", "csv").out
    assert [row["job"] for row in csv.DictReader(io.StringIO(by_job))] == ["crm", "ads"]
    by_interval = etlwatch("stats", "--dsn", store_dsn, "--format", "csv", "--window", "1h").out
    assert len(list(csv.DictReader(io.StringIO(by_interval)))) in (12, 13)


def test_a_person_reads_totals_jobs_and_intervals(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    out = etlwatch("stats", "--dsn", store_dsn, "--window", "6h").out
    lines = out.splitlines()
    assert lines[0].startswith("6h until ")
    assert lines[2].split()[:4] == ["31", "310", "3", "3"]
    assert "by job" in lines
    assert "by 30m" in lines


@pytest.mark.parametrize(
    "words", [["--interval", "15s"], ["--interval", "1d", "--window", "0s"], ["--window", "300d", "--interval", "10s"]]
)
def test_impossible_intervals_are_wrong_usage(etlwatch: Program, store_dsn: str, words: list[str]) -> None:
    assert etlwatch("stats", "--dsn", store_dsn, *words).status == 2


def test_an_empty_store_did_nothing(etlwatch: Program, store_dsn: str) -> None:
    assert stats(etlwatch, store_dsn)["total"]["requests"] == 0
    assert "no requests" in etlwatch("stats", "--dsn", store_dsn).out


def test_a_job_that_there_is_not_is_named(etlwatch: Program, fleet: Stock, store_dsn: str) -> None:
    answer = etlwatch("stats", "--dsn", store_dsn, "--job", "crn")
    assert (answer.status, answer.err) == (1, "etlwatch: no job 'crn'; did you mean 'crm'?\n")
    assert etlwatch("stats", "--dsn", store_dsn, "--job", "crm", "--window", "10s").status == 0
