"""What a tracker says in the log: one line a change, no password, and never from a thread that somebody waits for."""

import logging
import threading

import pytest

from tests.support.waiting import wait_until
from tracking_core.delivery.counts import Replay
from tracking_core.delivery.health_log import HealthLog, LogThread
from tracking_core.errors import SchemaMissing, StoreRefused, StoreUnavailable
from tracking_core.process import deadlines
from tracking_core.process.forks import begin_in_child

LABEL = "postgresql://db/x"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="tracking_core")
    return caplog


def test_a_fault_is_said_once_and_its_end_once(said: pytest.LogCaptureFixture) -> None:
    health = HealthLog()
    for _ in range(5):
        health.failed(StoreUnavailable(f"{LABEL}: connection refused"), LABEL)
    assert not health.is_good
    for _ in range(5):
        health.worked(LABEL)
    assert health.is_good
    assert [record.levelname for record in said.records] == ["WARNING", "INFO"]


def test_faults_that_take_turns_are_no_storm(said: pytest.LogCaptureFixture) -> None:
    health = HealthLog()
    # A server that restarts refuses, then says that it is starting up, then refuses again …
    for _ in range(10):
        health.failed(StoreUnavailable("refused"), LABEL)
        health.failed(StoreRefused("starting up"), LABEL)
    assert len(said.records) == 2
    health.worked(LABEL)
    health.failed(StoreUnavailable("refused"), LABEL)
    assert len(said.records) == 4


def test_a_fault_that_nobody_foresaw_is_said_by_its_name(said: pytest.LogCaptureFixture) -> None:
    HealthLog().failed(KeyError("x"), LABEL)
    assert f"{LABEL}: KeyError: 'x'" in said.messages[0]


def test_no_password_is_said(said: pytest.LogCaptureFixture) -> None:
    HealthLog().failed(StoreUnavailable("cannot reach postgresql://job:hunter2@db/x password=hunter2"), LABEL)
    assert "hunter2" not in said.text


def test_another_version_of_the_tables_is_said_once_with_its_mend(said: pytest.LogCaptureFixture) -> None:
    health = HealthLog()
    health.version(1, 1, LABEL)
    assert said.records == []
    health.version(1, 3, LABEL)
    health.version(1, 3, LABEL)
    assert len(said.records) == 1
    assert "etlwatch init" in said.text
    HealthLog().version(5, 3, LABEL)
    assert "upgrade etlwatch here" in said.text


def test_a_run_s_refusal_is_said_once_a_run_and_reason(said: pytest.LogCaptureFixture) -> None:
    health = HealthLog()
    for _ in range(3):
        health.refused(5, "removed")
        health.refused(6, "removed")
        health.refused(5, "off")
    assert [record.levelname for record in said.records] == ["WARNING", "WARNING", "INFO"]


def test_what_a_replay_set_aside_is_said_once_a_kind(said: pytest.LogCaptureFixture) -> None:
    health = HealthLog()
    for _ in range(3):
        health.replayed(Replay(rejected=2))
        health.replayed(Replay(expired=1))
        health.replayed(Replay(sent=5))
    assert [message.split()[:2] for message in said.messages] == [["2", "batches"], ["1", "files"]]


def test_refusals_of_very_many_runs_are_not_all_remembered() -> None:
    health = HealthLog()
    for run_id in range(1000):
        health.refused(run_id, "unknown")
    assert len(health._remarks) <= 256


def test_nothing_is_said_while_the_process_leaves(
    said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "is_leaving", lambda: True)
    HealthLog().failed(StoreUnavailable("x"), LABEL)
    LogThread().log("warning", "x")
    assert said.records == []


def test_what_is_said_aside_is_said_in_order_by_another_thread(said: pytest.LogCaptureFixture) -> None:
    health = HealthLog()
    health.log_in_thread()
    for number in range(20):
        health.failed(StoreUnavailable(f"fault {number}"), LABEL)
        health.worked(LABEL)
    wait_until(lambda: len(said.records) == 40, "all is said")
    assert [record.levelname for record in said.records] == ["WARNING", "INFO"] * 20
    assert {record.threadName for record in said.records} == {"tracking_core log"}
    wait_until(lambda: not any(t.name == "tracking_core log" for t in threading.enumerate()), "the thread has ended")


def test_where_no_thread_can_start_it_is_said_at_once(
    said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    LogThread().log("warning", "at once")
    assert said.messages == ["at once"]


def test_a_forked_child_s_voice_is_not_held_by_its_parent_s_thread(said: pytest.LogCaptureFixture) -> None:
    health = HealthLog()
    health.log_in_thread()
    health._log.__self__._is_logging = True  # type: ignore[attr-defined]
    begin_in_child()
    health.failed(SchemaMissing("no tables"), LABEL)
    wait_until(lambda: said.records, "it is said")
