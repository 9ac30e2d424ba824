"""How a context reaches a tracked run."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.tracking_core.etl_doubles import RecordingRun, RecordingTracker
from tracking_core.etl.recorder import PhaseReporter


@pytest.mark.parametrize("run_id", [7, None])
def test_a_pair_puts_its_run_id_first(run_id: int | None) -> None:
    tracker = RecordingTracker()
    reporter = PhaseReporter((tracker, run_id))
    totals, processed = {"messages": 9}, {"messages": 3}
    reporter.report_phase("load", "running", totals=totals, processed=processed, memory_mb=1.5, memory_limit_mb=None)
    reporter.report_error("broken", "load")
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
        PhaseReporter(run)


def test_without_a_recorder_nothing_is_told() -> None:
    reporter = PhaseReporter(None)
    assert not reporter.has_recorder
    reporter.report_phase("load", "running")
    reporter.report_error("broken", "load")


@pytest.mark.parametrize(
    ("recorder", "aside"),
    [((RecordingTracker(), 7), True), ((RecordingTracker(), None), False), (RecordingRun(), False)],
    ids=["a run", "tracking is off", "somebody else's recorder"],
)
def test_only_a_run_with_an_id_is_told_by_another_thread_than_the_job_s(recorder: Any, aside: bool) -> None:
    assert PhaseReporter(recorder).reports_aside is aside


def test_what_a_recorder_raises_is_warned_of_once_by_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    reporter = PhaseReporter(RecordingRun(failure=OSError("password=hunter2")))
    with caplog.at_level(logging.WARNING, "tracking_core"):
        for _ in range(3):
            reporter.report_phase("load", "running")
            reporter.report_error("broken", "load")
    assert [(record.name.partition(".")[0], record.levelname) for record in caplog.records] == [
        ("tracking_core", "WARNING")
    ]
    assert "OSError" in caplog.text
    assert "hunter2" not in caplog.text


def test_ctrl_c_while_the_run_is_told_is_not_swallowed() -> None:
    reporter = PhaseReporter(RecordingRun(failure=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        reporter.report_phase("load", "running")
