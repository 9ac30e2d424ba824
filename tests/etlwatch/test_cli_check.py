"""`check` on both stores: one line and an exit status, whatever happens."""

from __future__ import annotations

import re
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etlwatch.cli import check as check_module
from tests.etlwatch.cli_program import Answer, Program
from tests.store.stocking import Stock
from tracking_core.events import RunEnd
from tracking_core.identity import first_run_id_at

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LINE = re.compile(r"ETLWATCH (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| [^|\n]+)?\n([^|\n]+\n)*")
STATUS = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


def checked(answer: Answer) -> Answer:
    """Return an answer that is one line, of the convention's form, with the exit status that it says."""
    match = LINE.fullmatch(answer.out)
    assert match is not None, answer.out
    assert answer.status == STATUS[match[1]]
    assert answer.err == ""
    return answer


def test_a_quiet_store_is_ok(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    assert checked(etlwatch("check", "--dsn", store_dsn)).out.startswith("ETLWATCH OK - no runs yet")
    stock.finished(NOW - HOUR, NOW, job="crm")
    assert checked(etlwatch("check", "--dsn", store_dsn)).status == 0


def test_a_failed_job_is_critical_until_it_succeeds(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    run_id = stock.start(NOW - HOUR, job="crm")
    stock.end(run_id, NOW - 50 * MINUTE, status="failed")
    answer = checked(etlwatch("check", "--dsn", store_dsn))
    assert answer.status == 2
    assert "crm failed" in answer.out
    assert checked(etlwatch("check", "--dsn", store_dsn, "--warning", "failed")).status == 1
    stock.finished(NOW - 40 * MINUTE, NOW, job="crm")
    assert checked(etlwatch("check", "--dsn", store_dsn)).status == 0


def test_a_job_that_has_not_begun_is_critical(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    for night in range(1, 8):
        stock.finished(NOW - night * DAY - 2 * HOUR, NOW - night * DAY - HOUR, job="ledger")
    answer = checked(etlwatch("check", "--dsn", store_dsn))
    assert answer.status == 2
    assert "ledger has not begun: due" in answer.out
    assert checked(etlwatch("check", "--dsn", store_dsn, "--overdue", "3h")).status == 0
    assert checked(etlwatch("check", "--dsn", store_dsn, "--overdue", "3h", "--max-age", "12h")).status == 2


def test_a_slow_run_is_a_warning(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    for night in range(1, 7):
        stock.finished(NOW - night * DAY, NOW - night * DAY + 10 * MINUTE, job="crm")
    stock.start(NOW - 30 * MINUTE, job="crm")
    answer = checked(etlwatch("check", "--dsn", store_dsn, "--job", "c*"))
    assert answer.status == 1
    assert "crm slow: 3.0× its p95" in answer.out
    assert checked(etlwatch("check", "--dsn", store_dsn, "--critical", "slow")).status == 2


def test_a_job_that_there_is_not_is_unknown(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    stock.finished(NOW - HOUR, NOW, job="crm")
    answer = checked(etlwatch("check", "--dsn", store_dsn, "--job", "crn"))
    assert answer.out == "ETLWATCH UNKNOWN - no job 'crn'; did you mean 'crm'?\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--bogus"],
        ["surplus"],
        ["--critical", "fast"],
        ["--critical", "slow", "--warning", "slow"],
        ["--overdue", "soon"],
        ["--dsn", "mysql://u:hunter2@h/x"],
        ["--target", "nowhere"],
        ["-t", "nowhere"],
        ["-w", "20:10"],
        ["-c", "rows=5"],
    ],
)
def test_wrong_usage_is_unknown_and_keeps_passwords(etlwatch: Program, sqlite_store_dsn: str, words: list[str]) -> None:
    dsn = [] if "--dsn" in words else ["--dsn", sqlite_store_dsn]
    answer = checked(etlwatch("check", *dsn, *words))
    assert answer.status == 3
    assert "hunter2" not in answer.out


def test_one_jobs_last_run_is_told_with_its_figures(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    stock.finished(NOW - 2 * HOUR, NOW - HOUR, job="crm", requests=3)
    stock.finished(NOW - 2 * HOUR, NOW - HOUR, job="ads")
    answer = checked(etlwatch("check", "--dsn", store_dsn, "-j", "crm"))
    assert re.search(r"; last run completed \S+( \S+)?, 1h 00m, 30 items, 3 requests, 0 errors \|", answer.out), (
        answer.out
    )
    assert "items=30;;;0" in answer.out
    assert checked(etlwatch("check", "--dsn", store_dsn, "-j", "crm", "-c", "items=100:")).status == 2
    assert "last run" not in etlwatch("check", "--dsn", store_dsn).out
    assert checked(etlwatch("check", "--dsn", store_dsn, "-c", "items=100:")).status == 3


def test_all_problems_follow_below_the_line(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    for n in range(5):
        stock.end(stock.start(NOW - HOUR, job=f"job-{n}"), NOW - 50 * MINUTE, status="failed")
    answer = checked(etlwatch("check", "--dsn", store_dsn))
    assert "; 2 more below |" in answer.out
    assert len(answer.out.splitlines()) == 1 + 5
    assert checked(etlwatch("check", "--dsn", store_dsn, "-w", "4", "-c", "9")).status == 1
    assert checked(etlwatch("check", "--dsn", store_dsn, "-w", "5", "-c", "9")).status == 0


def test_no_job_is_left_out_however_many_there_are(etlwatch: Program, stock: Stock, store_dsn: str) -> None:
    began = int((NOW - HOUR).timestamp() * 1_000_000)
    runs = [first_run_id_at(began) + n for n in range(1_200)]
    stock.write(starts=tuple(stock.run_start(run_id, began, job=f"job-{n}") for n, run_id in enumerate(runs)))
    ended = began + 60_000_000
    stock.write(ends=tuple(RunEnd(run_id=run_id, status="failed", ended_us=ended, duration_ms=None) for run_id in runs))
    answer = checked(etlwatch("check", "--dsn", store_dsn))
    assert "failed=1200;;0;0" in answer.out
    assert len(answer.out.splitlines()) == 1 + 1_200
    assert "failed=11;;0;0" in checked(etlwatch("check", "--dsn", store_dsn, "--job", "job-99*")).out
    assert len(etlwatch("jobs", "--dsn", store_dsn, "--format", "jsonl").out.splitlines()) == 1_200
    listed = etlwatch("runs", "--dsn", store_dsn, "--job", "job-99*", "--limit", "3")
    assert listed.err == "the newest 3 of 11 are listed; --limit lists more\n"
    assert etlwatch("runs", "--dsn", store_dsn, "--job", "job-99*", "--limit", "11").err == ""


def test_help_and_version_are_unknown_by_the_convention(etlwatch: Program) -> None:
    assert (etlwatch("check", "-V").status, etlwatch("check", "-h").status) == (3, 3)
    assert etlwatch("check", "-V").out.startswith("check (etlwatch) ")


def test_t_is_the_timeout_and_still_names_a_target(
    etlwatch: Program, sqlite_store_dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert checked(etlwatch("check", "--dsn", sqlite_store_dsn, "-t", "10")).status == 0
    assert checked(etlwatch("check", "--dsn", sqlite_store_dsn, "-t", "1m")).status == 0
    config = tmp_path / "config.toml"
    config.write_text(f'[target.prod]\ndsn = "{sqlite_store_dsn}"\n')
    monkeypatch.setenv("ETLWATCH_CONFIG", str(config))
    assert checked(etlwatch("check", "-t", "prod")).status == 0


def test_a_store_that_cannot_answer_is_unknown(etlwatch: Program, tmp_path: object) -> None:
    answer = checked(etlwatch("check", "--dsn", "postgresql://u:hunter2@127.0.0.1:1/x"))
    assert answer.status == 3
    assert "hunter2" not in answer.out
    assert checked(etlwatch("check", "--dsn", f"sqlite:///{tmp_path}/none.db")).status == 3


def test_a_fault_of_our_own_is_unknown_and_no_warning(
    etlwatch: Program, sqlite_store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise KeyError("surprise | surprise")

    monkeypatch.setattr(check_module, "read_job_checks", broken)
    answer = checked(etlwatch("check", "--dsn", sqlite_store_dsn))
    assert answer.status == 3
    assert "unexpected KeyError" in answer.out


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarms")
def test_a_check_that_takes_too_long_is_unknown(
    etlwatch: Program, sqlite_store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module, "read_job_checks", lambda *_arguments, **_options: time.sleep(60))
    before = signal.getitimer(signal.ITIMER_REAL)[0]
    answer = checked(etlwatch("check", "--dsn", sqlite_store_dsn, "--timeout", "1s"))
    assert answer.out == "ETLWATCH UNKNOWN - no answer within 1 s\n"
    assert signal.getitimer(signal.ITIMER_REAL)[0] > before - 30, "the caller's own alarm stays"
