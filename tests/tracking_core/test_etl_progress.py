"""How far a phase has come."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.tracking_core.etl_doubles import SEED_KEYS, SteppedClock
from tracking_core.etl import ProgressTracker


def test_a_new_tracker_knows_no_phase_and_has_counted_nothing() -> None:
    tracker = ProgressTracker()
    assert (tracker.phase, tracker.start_time, tracker.end_time) == (None, None, None)
    assert tracker.totals == tracker.processed == {"conversations": 0, "messages": 0}


def test_finished_statistics_are_the_seeds_twelve_keys_in_its_order() -> None:
    clock = SteppedClock()
    tracker = ProgressTracker(clock=clock)
    tracker.start_phase("extract", 10, 200)
    tracker.update(5, 50)
    tracker.update(conversations=1)
    clock.advance(4)
    statistics = tracker.finish_phase()
    assert list(statistics) == SEED_KEYS
    assert statistics == {
        "phase": "extract",
        "start_time": "2023-11-14T22:13:20+00:00",
        "end_time": "2023-11-14T22:13:24+00:00",
        "duration_seconds": 4.0,
        "total_conversations": 10,
        "processed_conversations": 6,
        "conversation_percent": 60.0,
        "total_messages": 200,
        "processed_messages": 50,
        "message_percent": 25.0,
        "conversations_per_second": 1.5,
        "messages_per_second": 12.5,
    }


def test_times_are_aware_utc() -> None:
    tracker = ProgressTracker()
    before = datetime.now(UTC)
    tracker.start_phase("extract")
    tracker.finish_phase()
    assert tracker.start_time is not None
    assert tracker.end_time is not None
    assert tracker.start_time.tzinfo is tracker.end_time.tzinfo is UTC
    # Microseconds are truncated.
    assert (tracker.start_time - before).total_seconds() > -0.001


def test_a_stepping_wall_clock_does_not_change_the_duration() -> None:
    clock = SteppedClock()
    tracker = ProgressTracker(clock=clock)
    tracker.start_phase("extract")
    clock.advance(2)
    clock.us -= 3600 * 1_000_000
    assert tracker.finish_phase()["duration_seconds"] == 2.0


def test_percent_is_zero_without_a_total_and_not_clamped_beyond_it() -> None:
    tracker = ProgressTracker()
    tracker.start_phase("load", total_conversations=2)
    tracker.update(conversations=5, messages=5)
    statistics = tracker.finish_phase()
    assert statistics["conversation_percent"] == 250.0
    assert statistics["message_percent"] == 0


def test_rates_are_zero_when_no_time_has_passed() -> None:
    tracker = ProgressTracker(clock=SteppedClock())
    tracker.start_phase("load")
    tracker.update(messages=5)
    assert tracker.finish_phase()["messages_per_second"] == 0


def test_finishing_before_a_start_is_a_runtime_error() -> None:
    tracker = ProgressTracker()
    with pytest.raises(RuntimeError, match="no phase was started"):
        tracker.finish_phase()
    tracker.start_phase("extract")
    tracker.reset()
    with pytest.raises(RuntimeError, match="no phase was started"):
        tracker.finish_phase()


def test_a_start_forgets_the_phase_before() -> None:
    tracker = ProgressTracker()
    tracker.start_phase("extract", 10, 20)
    tracker.update(1, 2)
    tracker.finish_phase()
    tracker.start_phase("load", total_messages=3)
    assert (tracker.phase, tracker.end_time) == ("load", None)
    assert tracker.totals == {"conversations": 0, "messages": 3}
    assert tracker.processed == {"conversations": 0, "messages": 0}


def test_totals_may_be_set_mid_phase() -> None:
    tracker = ProgressTracker()
    tracker.start_phase("extract")
    tracker.update(messages=5)
    tracker.total_messages = 20
    tracker.processed_conversations += 3
    assert (tracker.total_messages, tracker.processed_conversations) == (20, 3)
    assert tracker.finish_phase()["message_percent"] == 25.0


@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), (True, TypeError), (1.5, ValueError)])
def test_a_counter_takes_only_counts(value: Any, error: type[Exception]) -> None:
    tracker = ProgressTracker()
    with pytest.raises(error, match="total_messages"):
        tracker.total_messages = value
    assert tracker.total_messages == 0


def test_a_misspelt_counter_is_an_error_and_not_a_new_attribute() -> None:
    tracker = ProgressTracker()
    with pytest.raises(AttributeError, match="'total_mesages'; its counters are total_conversations, "):
        tracker.total_mesages = 3
    with pytest.raises(AttributeError, match="processed_rows"):
        _ = tracker.processed_rows


@pytest.mark.parametrize(
    ("positional", "named", "error"),
    [
        ((1, -2), {}, ValueError),
        ((), {"conversations": 1, "messages": -2}, ValueError),
        ((1, True), {}, TypeError),
        ((1, "2"), {}, TypeError),
        ((), {"messages": 2.5}, ValueError),
        ((1, 2, 3), {}, TypeError),
        ((1,), {"rows": 2}, TypeError),
    ],
)
def test_a_refused_update_changes_nothing(positional: Any, named: Any, error: type[Exception]) -> None:
    tracker = ProgressTracker()
    tracker.start_phase("extract")
    with pytest.raises(error):
        tracker.update(*positional, **named)
    assert tracker.processed == {"conversations": 0, "messages": 0}


@pytest.mark.parametrize(
    ("totals", "error"),
    [({"total_messages": -1}, ValueError), ({"messages": 1}, TypeError), ({"total_messages": True}, TypeError)],
)
def test_a_refused_start_changes_nothing(totals: Any, error: type[Exception]) -> None:
    tracker = ProgressTracker()
    tracker.start_phase("extract", 10, 20)
    tracker.update(1, 1)
    with pytest.raises(error):
        tracker.start_phase("load", **totals)
    assert (tracker.phase, tracker.total_messages, tracker.processed_messages) == ("extract", 20, 1)


def test_units_name_parameters_attributes_and_keys() -> None:
    tracker = ProgressTracker(units=["rows", "files"])
    tracker.start_phase("copy", 8, total_files=2)
    tracker.update(4, files=1)
    statistics = tracker.finish_phase()
    assert tracker.units == ("rows", "files")
    assert (tracker.total_rows, tracker.processed_files) == (8, 1)
    assert list(statistics)[4:] == [
        "total_rows",
        "processed_rows",
        "row_percent",
        "total_files",
        "processed_files",
        "file_percent",
        "rows_per_second",
        "files_per_second",
    ]
    assert (statistics["row_percent"], statistics["file_percent"]) == (50.0, 50.0)


def test_what_totals_and_processed_return_is_a_copy() -> None:
    tracker = ProgressTracker()
    tracker.totals["messages"] = 9
    tracker.processed["messages"] = 9
    assert tracker.totals["messages"] == tracker.processed["messages"] == 0


def test_asking_a_half_made_tracker_for_an_attribute_does_not_recurse() -> None:
    with pytest.raises(AttributeError):
        _ = ProgressTracker.__new__(ProgressTracker).total_messages
    assert copy.deepcopy(ProgressTracker()).total_messages == 0
