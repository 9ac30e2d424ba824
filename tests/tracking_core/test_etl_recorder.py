"""How a context reaches a tracked run."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.tracking_core.etl_doubles import RecordingRun, RecordingTracker, SteppedClock
from tracking_core.etl.recorder import PROGRESS_INTERVAL_S, PhaseReporter, TrackedRun, recorder_of


def test_a_run_is_its_own_recorder_and_none_is_none() -> None:
    run = RecordingRun()
    assert recorder_of(run) is run
    assert recorder_of(None) is None


@pytest.mark.parametrize("run_id", [7, None])
def test_a_pair_puts_its_run_id_first(run_id: int | None) -> None:
    tracker = RecordingTracker()
    recorder = recorder_of((tracker, run_id))
    assert isinstance(recorder, TrackedRun)
    totals, processed = {"messages": 9}, {"messages": 3}
    assert recorder.log_phase("load", "running", totals=totals, processed=processed, memory_mb=1.5) is (run_id == 7)
    assert recorder.log_error("broken", phase="load") is (run_id == 7)
    details = {"totals": totals, "processed": processed, "memory_mb": 1.5}
    assert tracker.told == [(run_id, "load", "running", details), (run_id, "broken", "load")]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (7, "not int"),
        ("run", "not str"),
        ((RecordingTracker(), 7, 8), "not tuple"),
        ((object(), 7), "not tuple"),
        ((RecordingTracker(), True), "must be an int or None, not bool"),
        ((RecordingTracker(), "7"), "must be an int or None, not str"),
    ],
)
def test_what_is_no_run_is_refused(run: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        recorder_of(run)


def test_the_first_progress_of_a_phase_is_due_at_once_and_the_next_after_its_interval() -> None:
    clock = SteppedClock()
    reporter = PhaseReporter(RecordingRun(), clock=clock)
    reporter.begin_phase()
    assert reporter.progress_is_due()
    reporter.begin_progress()
    assert not reporter.progress_is_due()
    clock.advance(PROGRESS_INTERVAL_S - 0.01)
    assert not reporter.progress_is_due()
    clock.advance(0.01)
    assert reporter.progress_is_due()
    reporter.begin_progress()
    reporter.begin_phase()
    assert reporter.progress_is_due()


def test_progress_is_told_at_most_twice_a_second() -> None:
    assert PROGRESS_INTERVAL_S >= 0.5


def test_a_stepping_wall_clock_does_not_change_the_pace() -> None:
    clock = SteppedClock()
    reporter = PhaseReporter(RecordingRun(), clock=clock)
    reporter.begin_progress()
    clock.us += 3_600_000_000
    assert not reporter.progress_is_due()


def test_without_a_recorder_nothing_is_due_and_nothing_told() -> None:
    reporter = PhaseReporter(None)
    reporter.begin_phase()
    assert not reporter.progress_is_due()
    reporter.tell_phase("load", "running")
    reporter.tell_error("broken", "load")


def test_what_a_recorder_raises_is_warned_of_once_by_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    reporter = PhaseReporter(RecordingRun(failure=OSError("password=hunter2")))
    with caplog.at_level(logging.WARNING, "tracking_core"):
        for _ in range(3):
            reporter.tell_phase("load", "running")
            reporter.tell_error("broken", "load")
    assert [(record.name.partition(".")[0], record.levelname) for record in caplog.records] == [
        ("tracking_core", "WARNING")
    ]
    assert "OSError" in caplog.text
    assert "hunter2" not in caplog.text


def test_ctrl_c_while_the_run_is_told_is_not_swallowed() -> None:
    reporter = PhaseReporter(RecordingRun(failure=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        reporter.tell_phase("load", "running")
