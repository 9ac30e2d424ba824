"""`compare` on both stores: with another run, with the last success, and the same as data."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from etlwatch.cli import compare as command
from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock
from tracking_core import SimpleETLTracker
from tracking_core.identity import format_run_id

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def runs(stock: Stock) -> tuple[int, int, int]:
    """A success of ten minutes, a failure, and a success of thirty, slower by its endpoint."""
    ids = []
    for number, (minutes, ms, status) in enumerate(
        ((10, 1_000, "completed"), (2, 500, "failed"), (30, 4_000, "completed"))
    ):
        began = NOW - timedelta(hours=9 - 3 * number)
        run_id = stock.start(began, job="crm")
        stock.requests(run_id, [(began + n * MINUTE / 10, "/contacts", 200, 10, ms) for n in range(300)])
        if status == "failed":
            stock.error(run_id, "bad date", began + MINUTE)
        stock.end(run_id, began + minutes * MINUTE, status=status)
        ids.append(run_id)
    return ids[0], ids[1], ids[2]


def test_without_b_it_is_the_last_success_of_the_job(
    etlwatch: Program, runs: tuple[int, int, int], store_dsn: str
) -> None:
    answer = etlwatch("compare", "crm@latest", "--dsn", store_dsn, "--format", "json").data
    assert answer["after"]["run_id"] == str(runs[2])
    assert answer["before"]["run_id"] == str(runs[0]), "the failed run between them is no success"
    assert answer["difference_s"] == 20 * 60
    waited = next(each for each in answer["differences"] if each["what"] == "/contacts" and each["measure"] == "time")
    assert waited["share"] == pytest.approx(0.75, abs=0.01)
    latency = next(each for each in answer["differences"] if each["measure"] == "p95")
    assert latency["before"] == pytest.approx(1_000, rel=0.05)
    assert latency["changed"]


def test_any_two_runs_can_be_compared(etlwatch: Program, runs: tuple[int, int, int], store_dsn: str) -> None:
    answer = etlwatch("compare", str(runs[1]), str(runs[2]), "--dsn", store_dsn, "--format", "json").data
    assert answer["difference_s"] == -28 * 60
    error = next(each for each in answer["differences"] if each["kind"] == "error")
    assert (error["what"], error["before"], error["after"]) == ("ValueError in load", 0, 1)


def test_a_person_reads_what_changed_and_what_is_the_same(
    etlwatch: Program, runs: tuple[int, int, int], store_dsn: str
) -> None:
    lines = etlwatch("compare", "crm@latest", "--dsn", store_dsn).out.splitlines()
    assert lines[0].startswith("before  crm  ")
    assert lines[1].startswith("after   crm  ")
    assert lines[2].startswith("30m 00s against 10m 00s: +20m, 3.0× as long")
    assert lines[4].split() == ["what", "before", "after", "difference", "share"]
    assert lines[5].split() == ["endpoint", "/contacts", "time", "5m", "00s", "20m", "00s", "+15m", "75%"]
    assert lines[-1] == "same code version, command, host, user and tracker version"
    assert "/contacts requests" not in "\n".join(lines), "as many as before"
    assert "/contacts requests" in etlwatch("compare", "crm@latest", "--all", "--dsn", store_dsn).out


def test_csv_has_a_line_for_each_figure(etlwatch: Program, runs: tuple[int, int, int], store_dsn: str) -> None:
    out = etlwatch("compare", "crm@latest", "--dsn", store_dsn, "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["kind"] for row in rows} == {"endpoint", "run", "origin"}
    assert all(row["after_run_id"] == str(runs[2]) for row in rows)


def test_a_run_without_a_success_before_it_needs_another(
    etlwatch: Program, runs: tuple[int, int, int], store_dsn: str
) -> None:
    answer = etlwatch("compare", str(runs[0]), "--dsn", store_dsn)
    assert answer.status == 1
    assert f"no run of 'crm' completed before {format_run_id(runs[0])}" in answer.complaint
    same = etlwatch("compare", str(runs[0]), str(runs[0]), "--dsn", store_dsn)
    assert same.status == 1
    assert "nothing to compare" in same.complaint
    assert etlwatch("compare", "unknown@latest", "--dsn", store_dsn).status == 1


def test_a_run_that_goes_on_is_compared_as_it_is_judged(
    etlwatch: Program, runs: tuple[int, int, int], stock: Stock, store_dsn: str
) -> None:
    for _ in range(12):
        stock.finished(NOW - timedelta(hours=3), NOW - timedelta(hours=3) + 10 * MINUTE, job="crm")
    stock.start(NOW - 50 * MINUTE, job="crm")
    answer = etlwatch("compare", "crm@latest", "--dsn", store_dsn, "--format", "json").data
    assert answer["so_far"]
    assert answer["after"]["state"] == "slow"


def test_it_is_told_which_run_is_earlier_and_that_jobs_differ(
    etlwatch: Program, runs: tuple[int, int, int], store_dsn: str
) -> None:
    def lines(*words: str) -> list[str]:
        return etlwatch("compare", *words, "--dsn", store_dsn).out.splitlines()

    earlier, later = str(runs[0]), str(runs[1])
    before, after, *_ = lines(later, earlier)
    assert before.endswith(", the earlier run by 3h 00m")
    assert "earlier" not in after
    before, after, *rest = lines(earlier, later)
    assert after.endswith(", the earlier run by 3h 00m")
    assert "earlier" not in before
    assert "the jobs differ" not in "".join(rest)
    tracker = SimpleETLTracker(store_dsn)
    other = tracker.start_run(job="other")
    tracker.end_run(other, success=True)
    assert "the jobs differ: crm and other" in lines(str(other), later)


def test_errors_beyond_those_that_are_compared_are_told(
    etlwatch: Program, runs: tuple[int, int, int], stock: Stock, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        stock.error(runs[2], "again", NOW)
    asked = ("compare", str(runs[1]), str(runs[2]), "--dsn", store_dsn)
    assert "were compared" not in etlwatch(*asked).err
    monkeypatch.setattr(command, "ERRORS_COMPARED", 1)
    assert "the newest 1 were compared" in etlwatch(*asked).err
