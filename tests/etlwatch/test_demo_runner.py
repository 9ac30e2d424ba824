"""The whole demo: real processes, recorded in both stores, all ended at the end."""

import itertools
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from etlwatch.demo import runner
from etlwatch.demo.runner import JobCall, LiveDemo, TimetableRow, run_once
from tests.support.waiting import wait_until
from tracking_core import SimpleETLTracker
from tracking_core.store import open_store

SYNC = "etlwatch.demo.crm_sync"
IMPORT = "etlwatch.demo.conversation_import"


pytestmark = pytest.mark.usefixtures("quick_demo")


def test_every_job_runs_once_and_one_fails_as_it_should(postgres_store_dsn: str) -> None:
    assert run_once(postgres_store_dsn) == 0
    runs = SimpleETLTracker(postgres_store_dsn).get_recent_runs()
    assert sorted((run.job, run.status) for run in runs) == [
        ("conversation-import", "completed"),
        ("conversation-import", "failed"),
        ("crm-sync", "completed"),
        ("inventory", "completed"),
    ]
    assert sum(run.requests for run in runs) > 50
    with open_store(postgres_store_dsn).reader(5.0) as reader:
        assert any("direct cause" in error.traceback for error in reader.errors())
    assert psutil.Process().children() == []


def test_a_job_that_ends_otherwise_than_it_should_is_reported(
    sqlite_store_dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner, "ONCE", (JobCall(module=IMPORT, arguments=("/nowhere/export.json",)),))
    assert run_once(sqlite_store_dsn) == 1
    assert "conversation_import ended with status 1 instead of 0: FileNotFoundError" in caplog.text


def test_a_job_that_takes_too_long_is_ended(
    sqlite_store_dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner, "ONCE", (JobCall(module=IMPORT, arguments=("--pace", "600")),))
    monkeypatch.setattr(runner, "RUN_ONCE_DEADLINE_S", 0.5)
    assert run_once(sqlite_store_dsn) == 1
    assert "conversation_import was not done after" in caplog.text
    assert psutil.Process().children() == []


def test_a_live_demo_keeps_jobs_coming_until_it_is_left(
    store_dsn: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    short = TimetableRow(
        calls=(JobCall(module=IMPORT, arguments=("--messages", "100")),), first_after_s=0.0, pause_s=0.0
    )
    long = TimetableRow(calls=(JobCall(module=SYNC, arguments=("--pace", "600")),), first_after_s=0.0, pause_s=0.0)
    monkeypatch.setattr(runner, "LIVE", (short, long))
    tracker = SimpleETLTracker(store_dsn)

    def statuses() -> list[tuple[str, str]]:
        return [(run.job, run.status) for run in tracker.get_recent_runs(1000)]

    with LiveDemo(store_dsn) as demo:
        wait_until(
            lambda: (
                statuses().count(("conversation-import", "completed")) >= 2
                and any(run.requests for run in tracker.get_recent_runs(1000))
            ),
            "two imports are completed and a sync has begun",
        )
        assert ("crm-sync", "running") in statuses()
    assert ("crm-sync", "terminated") in statuses()
    assert demo.problems == []
    assert psutil.Process().children() == []
    assert capfd.readouterr() == ("", "")


class Started:
    """Stands for the demo's processes: each job ends at once."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def start(self, call: JobCall) -> runner.Job:
        self.calls.append((call.module, time.monotonic()))
        process = subprocess.Popen(["true"], stdin=subprocess.DEVNULL, text=True)
        return runner.Job(call=call, process=process, log=Path("/nowhere"))

    def close(self) -> None:
        """There is nothing left."""


def test_the_jobs_of_a_row_take_turns_with_pauses_and_rows_begin_at_their_own_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, other = (JobCall(module=name) for name in ("first", "second", "other"))
    monkeypatch.setattr(runner, "LIVE", (TimetableRow(0.0, 0.2, (first, second)), TimetableRow(0.5, 60.0, (other,))))
    started = Started()
    monkeypatch.setattr(runner, "Jobs", lambda dsn: started)
    began = time.monotonic()
    with LiveDemo("sqlite:///anything.db"):
        wait_until(lambda: len(started.calls) >= 5, "the jobs have taken turns")
    mine = [(name, at) for name, at in started.calls if name != "other"]
    assert [name for name, _ in mine[:4]] == ["first", "second", "first", "second"]
    assert all(later - sooner >= 0.2 for (_, sooner), (_, later) in itertools.pairwise(mine))
    assert [at - began >= 0.5 for name, at in started.calls if name == "other"] == [True]


def test_leaving_a_live_demo_at_once_leaves_nothing_behind(
    sqlite_store_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with LiveDemo(sqlite_store_dsn):
        pass
    assert psutil.Process().children() == []
    assert not list(tmp_path.glob("etlwatch-demo-*"))


def test_a_live_demo_lists_jobs_that_ended_unexpectedly(
    sqlite_store_dsn: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = TimetableRow(
        calls=(JobCall(module=IMPORT, arguments=("/nowhere.json",)),), first_after_s=0.0, pause_s=600.0
    )
    monkeypatch.setattr(runner, "LIVE", (wrong,))
    with LiveDemo(sqlite_store_dsn) as demo:
        wait_until(lambda: demo.problems, "the failed job is noticed")
    assert "FileNotFoundError" in demo.problems[0]
    assert capfd.readouterr() == ("", "")
