"""A context tied to a run: what the run is told, when, and what it cannot do to the job."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.tracking_core.etl_doubles import RecordingRun, RecordingTracker, SteppedClock, set_memory
from tracking_core import ETLContext


def context_of(run: Any, clock: SteppedClock | None = None, **arguments: Any) -> ETLContext:
    """Return a context whose pace of telling progress follows a clock that stands still."""
    context = ETLContext(run=run, **arguments)
    context._throttle._monotonic = (clock if clock is not None else SteppedClock()).monotonic
    return context


def test_the_first_start_tells_every_phase_in_order() -> None:
    run = RecordingRun()
    context = context_of(run)
    set_memory(context.memory_monitor, 100)
    context.start_phase("transform", 10, 200)
    nothing = {"conversations": 0, "messages": 0}
    assert run.told == [
        ("phase", "extract", "pending", None, None, None),
        ("phase", "transform", "running", {"conversations": 10, "messages": 200}, nothing, 100),
        ("phase", "load", "pending", None, None, None),
    ]
    context.end_phase()
    run.told.clear()
    context.start_phase("load")
    assert [event[1:3] for event in run.told] == [("load", "running")]


def test_progress_is_told_cumulatively_with_totals_and_memory() -> None:
    run, clock = RecordingRun(), SteppedClock()
    context = context_of(run, clock)
    set_memory(context.memory_monitor, 100)
    context.start_phase("extract", total_messages=10)
    context.update_progress(messages=3)
    context.progress_tracker.total_conversations = 4
    clock.advance(1)
    context.update_progress(conversations=1, messages=3)
    assert run.last("extract") == (
        "running",
        {"conversations": 4, "messages": 10},
        {"conversations": 1, "messages": 6},
        100,
    )


def test_progress_is_told_twice_a_second_and_ends_always() -> None:
    run, clock = RecordingRun(), SteppedClock()
    context = context_of(run, clock)
    context.start_phase("extract")
    run.told.clear()
    for _ in range(100):
        context.update_progress(messages=1)
        clock.advance(0.0625)
    assert len(run.told) == 13  # 6.25 s, the first at once
    run.told.clear()
    context.update_progress(messages=1)
    context.end_phase()
    assert run.last("extract")[:3:2] == ("completed", {"conversations": 0, "messages": 101})


def test_each_phase_has_a_pace_of_its_own() -> None:
    run = RecordingRun()
    context = context_of(run)
    for phase in ("extract", "load"):
        context.start_phase(phase)
        context.update_progress(messages=1)
        assert run.last(phase)[2] == {"conversations": 0, "messages": 1}
        context.end_phase()


def test_the_end_tells_the_counters_and_the_greatest_memory() -> None:
    run = RecordingRun()
    context = context_of(run)
    context.start_phase("extract", 1, 2)
    set_memory(context.memory_monitor, 900, 300)
    context.memory_monitor.check_memory()
    context.progress_tracker.update(messages=2)
    context.end_phase({"processed_messages": 77})
    expected = ({"conversations": 1, "messages": 2}, {"conversations": 0, "messages": 2})
    assert run.last("extract") == ("completed", *expected, 900)


def test_work_is_stored_before_the_memory_limit_raises() -> None:
    run = RecordingRun()
    context = context_of(run, memory_limit_mb=500)
    set_memory(context.memory_monitor, 100)
    context.start_phase("extract")
    context.update_progress(messages=1)
    set_memory(context.memory_monitor, 900)
    with pytest.raises(MemoryError):
        context.update_progress(messages=1)
    assert run.last("extract")[2:] == ({"conversations": 0, "messages": 2}, 900)


def test_a_limit_is_told_with_the_phase_that_has_it_and_never_where_there_is_none() -> None:
    class OlderRun:
        """A run of another make, whose `log_phase` has no such parameter."""

        def __init__(self) -> None:
            self.states: list[str] = []

        def log_phase(self, phase_name: str, status: str, *, totals: Any, processed: Any, memory_mb: Any) -> bool:
            self.states.append(status)
            return True

        def log_error(self, error: BaseException | str, *, phase: str | None = None) -> bool:
            return True

    run, older = RecordingRun(), OlderRun()
    with context_of(run, memory_limit_mb=1e6).phase("extract"), context_of(older).phase("extract"):
        pass
    assert run.limits == {None, 1e6}
    assert older.states == ["running", "pending", "pending", "completed"]


def test_an_error_is_told_and_its_phase_failed_while_it_goes_on() -> None:
    run, clock = RecordingRun(), SteppedClock()
    context = context_of(run, clock)
    context.start_phase("extract")
    error = ValueError("row 7")
    context.record_error("extract", error)
    assert run.told[-2] == ("error", error, "extract")
    assert run.last("extract")[0] == "failed"
    clock.advance(1)
    context.update_progress(messages=1)
    assert run.last("extract")[0] == "failed"
    context.end_phase({"status": "completed"})
    assert run.last("extract")[0] == "completed"


def test_an_error_of_a_phase_that_was_not_started_tells_no_counts_for_it() -> None:
    run = RecordingRun()
    context = context_of(run)
    context.start_phase("extract", 10)
    context.record_error("load", "target is full")
    assert run.last("load") == ("failed", None, None, None)


def test_a_status_set_by_hand_is_told() -> None:
    run = RecordingRun()
    context = context_of(run)
    context.set_phase_status("load", "completed")
    assert run.told == [("phase", "load", "completed", None, None, None)]


def test_the_block_form_tells_start_progress_and_end() -> None:
    run = RecordingRun()
    context = context_of(run)
    with context.phase("extract", total_messages=2) as phase:
        phase.update(messages=2)
    assert run.states("extract") == ["running", "running", "completed"]


def test_a_pair_of_tracker_and_run_id_is_a_run() -> None:
    tracker = RecordingTracker()
    context = context_of((tracker, 4711), phases=["copy"], units=["rows"])
    context.start_phase("copy", 3)
    context.record_error("copy", "broken")
    assert {event[0] for event in tracker.told} == {4711}
    assert tracker.told[0][3]["totals"] == {"rows": 3}


def test_what_a_run_raises_costs_the_job_nothing_and_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    context = context_of(RecordingRun(failure=ConnectionError("gone")))
    with caplog.at_level(logging.WARNING, "tracking_core"):
        with context.phase("extract", 10, 20) as phase:
            phase.update(1, 2)
        context.record_error("load", "kept")
        context.set_phase_status("load", "completed")
    assert context.statistics["total"]["messages_processed"] == 2
    assert context.statistics["errors"][0]["error_message"] == "kept"
    assert [record.levelname for record in caplog.records if "ConnectionError" in record.message] == ["WARNING"]


def test_a_run_that_logs_into_the_same_context_does_not_hang() -> None:
    class EchoingRun(RecordingRun):
        def log_phase(self, *arguments: Any, **details: Any) -> bool:
            if context.current_phase:
                context.update_progress(messages=1)
            return super().log_phase(*arguments, **details)

    run = EchoingRun()
    context = context_of(run)
    context.start_phase("extract")
    context.update_progress(messages=1)
    context.end_phase()
    assert run.states("extract")[-1] == "completed"


class SlowRun(RecordingRun):
    """A run that is busy from the first progress it is told until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.let_go = False

    def log_phase(self, phase_name: str, status: str, **details: Any) -> bool:
        if details["processed"] and details["processed"]["messages"] and not self.busy.is_set():
            self.busy.set()
            self.let_go = self.go_on.wait(20)
        return super().log_phase(phase_name, status, **details)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_slow_run_holds_up_no_other_threads_counting() -> None:
    run, clock = SlowRun(), SteppedClock()
    context = context_of(run, clock)
    context.start_phase("extract")
    telling = in_thread(lambda: context.update_progress(messages=1))
    assert run.busy.wait(30)
    clock.advance(10)
    for _ in range(100):
        context.update_progress(messages=1)
    assert context.progress_tracker.processed_messages == 101
    run.go_on.set()
    telling.join()
    assert run.let_go


def test_an_end_is_told_after_the_progress_that_is_still_being_told() -> None:
    run = SlowRun()
    context = context_of(run)
    context.start_phase("extract")
    telling = in_thread(lambda: context.update_progress(messages=1))
    assert run.busy.wait(30)
    ending = in_thread(context.end_phase)
    run.go_on.set()
    telling.join()
    ending.join()
    assert run.states("extract") == ["running", "running", "completed"]


def test_without_a_run_nothing_is_told_and_nothing_needed() -> None:
    context = ETLContext()
    with context.phase("extract", 1) as phase:
        phase.update(1)
    assert context.run is None
