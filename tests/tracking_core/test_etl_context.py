"""The context in memory: phases, statistics, errors, resources."""

from __future__ import annotations

import inspect
import json
import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.tracking_core.etl_doubles import SteppedClock, set_memory
from tests.tracking_core.test_etl_progress import SEED_KEYS
from tracking_core.etl import ETLContext, MemoryMonitor, ProgressTracker


def failing(message: str = "boom") -> ValueError:
    """Return an error that was raised and caught."""
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


class TestConstruction:
    def test_the_signature_is_the_contracts(self) -> None:
        parameters = inspect.signature(ETLContext).parameters
        assert {name: parameter.default for name, parameter in parameters.items()} == {
            "db_config": None,
            "batch_size": 100,
            "memory_limit_mb": None,
            "parallel_processing": False,
            "output_dir": None,
            "phases": ("extract", "transform", "load"),
            "units": ("conversations", "messages"),
            "run": None,
        }
        positional = [p.name for p in parameters.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        assert positional == ["db_config", "batch_size", "memory_limit_mb", "parallel_processing", "output_dir"]

    def test_every_argument_is_kept_as_an_attribute(self) -> None:
        config = {"host": "localhost"}
        context = ETLContext(config, 200, 1024, True, "out", phases=["a", "b"], units=["rows"], run=None)
        assert context.db_config is config
        assert (context.batch_size, context.memory_limit_mb, context.parallel_processing) == (200, 1024, True)
        assert (context.output_dir, context.phases, context.units, context.run) == ("out", ("a", "b"), ("rows",), None)
        assert context.memory_monitor.memory_limit_mb == 1024

    def test_a_new_context_is_pending_and_has_no_errors(self) -> None:
        context = ETLContext()
        assert context.current_phase is None
        assert context.phase_status == {"extract": "pending", "transform": "pending", "load": "pending"}
        assert isinstance(context.progress_tracker, ProgressTracker)
        assert isinstance(context.memory_monitor, MemoryMonitor)
        started = context.statistics["total"]["start_time"]
        assert started.tzinfo is UTC
        assert context.statistics == {
            "phases": {},
            "total": {
                "start_time": started,
                "end_time": None,
                "duration_seconds": 0,
                "conversations_processed": 0,
                "messages_processed": 0,
            },
        }

    @pytest.mark.parametrize("limit", [0, -5])
    def test_a_memory_limit_of_zero_or_less_is_refused(self, limit: int) -> None:
        with pytest.raises(ValueError, match="memory_limit_mb must be above 0"):
            ETLContext(memory_limit_mb=limit)

    def test_what_is_no_run_is_refused(self) -> None:
        with pytest.raises(TypeError, match="run must be an ETLRunContext"):
            ETLContext(run=object())  # type: ignore[arg-type]


class TestStartPhase:
    def test_a_started_phase_is_current_and_running(self) -> None:
        context = ETLContext()
        context.start_phase("extract", 10, 200)
        assert context.current_phase == "extract"
        assert context.phase_status["extract"] == "running"
        assert context.progress_tracker.phase == "extract"
        assert context.progress_tracker.totals == {"conversations": 10, "messages": 200}

    def test_parameters_keep_the_seeds_names(self) -> None:
        context = ETLContext()
        context.start_phase(phase_name="load", total_conversations=1, total_messages=2)
        assert context.progress_tracker.totals == {"conversations": 1, "messages": 2}

    def test_an_unknown_phase_is_the_seeds_value_error_and_checked_first(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        with pytest.raises(ValueError) as raised:
            context.start_phase("archive", -1)
        assert str(raised.value) == "Invalid phase name: archive. Valid phases are: extract, transform, load"

    def test_a_second_start_is_the_seeds_value_error_and_changes_nothing(self) -> None:
        context = ETLContext()
        context.start_phase("extract", 10)
        context.update_progress(3)
        with pytest.raises(ValueError) as raised:
            context.start_phase("load")
        assert str(raised.value) == "Cannot start phase 'load': Phase 'extract' is already in progress"
        assert context.phase_status == {"extract": "running", "transform": "pending", "load": "pending"}
        assert context.progress_tracker.processed_conversations == 3

    @pytest.mark.parametrize(
        ("totals", "error"),
        [
            ({"total_messages": -1}, ValueError),
            ({"total_messages": True}, TypeError),
            ({"total_messages": 1.5}, TypeError),
            ({"total_rows": 1}, TypeError),
        ],
    )
    def test_refused_totals_start_nothing(self, totals: Any, error: type[Exception]) -> None:
        context = ETLContext()
        with pytest.raises(error):
            context.start_phase("extract", **totals)
        assert context.current_phase is None
        assert context.phase_status["extract"] == "pending"

    def test_an_unknown_total_names_what_is_accepted(self) -> None:
        with pytest.raises(TypeError, match="'total_rows'; accepted: total_conversations, total_messages"):
            ETLContext().start_phase("extract", total_rows=1)

    def test_a_start_is_logged_under_tracking_core(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "tracking_core"):
            ETLContext().start_phase("extract")
        assert [(record.name.split(".")[0], record.levelname, record.message) for record in caplog.records] == [
            ("tracking_core", "INFO", "Started ETL phase: extract")
        ]


class TestUpdateProgress:
    def test_work_is_counted_by_position_and_by_name(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.update_progress(1, 20)
        context.update_progress(messages=5)
        context.update_progress()
        assert context.progress_tracker.processed == {"conversations": 1, "messages": 25}

    def test_without_a_phase_it_is_the_seeds_value_error(self) -> None:
        with pytest.raises(ValueError) as raised:
            ETLContext().update_progress(-1)
        assert str(raised.value) == "Cannot update progress: No phase is currently in progress"

    @pytest.mark.parametrize(
        ("increments", "error"),
        [({"messages": -1}, ValueError), ({"conversations": 1, "messages": True}, TypeError), ({"rows": 1}, TypeError)],
    )
    def test_refused_progress_counts_nothing(self, increments: Any, error: type[Exception]) -> None:
        context = ETLContext()
        context.start_phase("extract")
        with pytest.raises(error):
            context.update_progress(**increments)
        assert context.progress_tracker.processed == {"conversations": 0, "messages": 0}

    def test_work_is_counted_before_the_memory_is_checked(self) -> None:
        context = ETLContext(memory_limit_mb=10)
        context.start_phase("extract")
        set_memory(context.memory_monitor, 20)
        with pytest.raises(MemoryError) as raised:
            context.update_progress(messages=7)
        assert str(raised.value) == "Memory usage (20.00 MB) exceeds limit (10 MB)"
        assert context.progress_tracker.processed_messages == 7
        assert context.current_phase == "extract"

    def test_without_a_limit_no_usage_is_too_much_and_the_peak_is_sampled(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        set_memory(context.memory_monitor, 1_000_000, 5)
        context.update_progress(1)
        assert context.end_phase()["peak_memory_mb"] == 1_000_000
        assert context.memory_monitor.peak_memory_mb == 1_000_000


class TestEndPhase:
    def test_statistics_are_the_seeds_and_the_peak_and_the_status(self) -> None:
        context = ETLContext()
        context.start_phase("extract", 10, 200)
        context.update_progress(5, 50)
        statistics = context.end_phase()
        assert list(statistics) == [*SEED_KEYS, "peak_memory_mb", "status"]
        assert (statistics["phase"], statistics["status"]) == ("extract", "completed")
        assert (statistics["conversation_percent"], statistics["message_percent"]) == (50.0, 25.0)
        assert statistics["peak_memory_mb"] > 0
        assert datetime.fromisoformat(statistics["start_time"]).tzinfo is UTC
        assert context.statistics["phases"] == {"extract": statistics}
        assert context.current_phase is None
        assert context.phase_status["extract"] == "completed"

    def test_the_peak_is_the_phases_own(self) -> None:
        context = ETLContext()
        set_memory(context.memory_monitor, 900, 900, 100)
        context.start_phase("extract")
        assert context.end_phase()["peak_memory_mb"] == 900
        context.start_phase("load")
        assert context.end_phase()["peak_memory_mb"] == 100

    def test_without_a_phase_it_is_the_seeds_value_error_and_checked_first(self) -> None:
        with pytest.raises(ValueError) as raised:
            ETLContext().end_phase("no dict")  # type: ignore[arg-type]
        assert str(raised.value) == "Cannot end phase: No phase is currently in progress"

    def test_a_result_that_is_no_dict_is_the_seeds_value_error_and_ends_nothing(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        with pytest.raises(ValueError) as raised:
            context.end_phase([("status", "completed")])  # type: ignore[arg-type]
        assert str(raised.value) == "Result must be a dictionary or None"
        assert context.current_phase == "extract"

    @pytest.mark.parametrize("status", ["running", "pending", "done", "", None, ["completed"]])
    def test_a_status_that_ends_nothing_is_refused_before_anything_changes(self, status: Any) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.update_progress(messages=5)
        with pytest.raises(ValueError) as raised:
            context.end_phase({"status": status})
        assert str(raised.value) == f"Invalid status: {status}. Valid statuses are: completed, failed"
        assert (context.current_phase, context.phase_status["extract"]) == ("extract", "running")
        assert context.statistics["phases"] == {}
        assert context.statistics["total"]["messages_processed"] == 0
        assert context.progress_tracker.end_time is None

    @pytest.mark.parametrize("result", [None, {}, {"rows": 1}])
    def test_a_bare_end_after_an_error_of_this_phase_stays_failed(self, result: dict[str, Any] | None) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.record_error("extract", failing())
        assert context.end_phase(result)["status"] == "failed"
        assert context.phase_status["extract"] == "failed"

    def test_an_explicit_status_wins_over_a_recorded_error(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.record_error("extract", failing())
        assert context.end_phase({"status": "completed"})["status"] == "completed"
        assert context.phase_status["extract"] == "completed"

    def test_an_error_of_another_phase_does_not_fail_this_one(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.record_error("load", failing())
        assert context.end_phase()["status"] == "completed"
        assert context.phase_status["load"] == "failed"

    def test_an_error_of_the_last_time_does_not_fail_this_one(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.record_error("extract", failing())
        context.end_phase()
        context.start_phase("extract")
        assert context.end_phase()["status"] == "completed"

    def test_result_wins_in_what_is_returned_and_totals_use_the_counters(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.update_progress(messages=5)
        returned = context.end_phase({"processed_messages": 999, "duration_seconds": "long", "source": "file"})
        assert (returned["processed_messages"], returned["duration_seconds"], returned["source"]) == (
            999,
            "long",
            "file",
        )
        assert context.statistics["total"]["messages_processed"] == 5

    def test_changing_what_was_returned_or_given_changes_nothing_stored(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        given = {"files": ["a"], "by_kind": {"json": [1]}, "pair": ([1], 2), "seen": {1}}
        returned = context.end_phase(given)
        for owner in (given, returned):
            owner["files"].append("b")
            owner["by_kind"]["json"].append(2)
            owner["pair"][0].append(3)
            owner["seen"].add(4)
            owner["new"] = True
        stored = context.statistics["phases"]["extract"]
        assert "new" not in stored
        assert (stored["files"], stored["by_kind"], stored["pair"], stored["seen"]) == (
            ["a"],
            {"json": [1]},
            ([1], 2),
            {1},
        )

    def test_a_result_may_hold_what_cannot_be_copied(self) -> None:
        context = ETLContext(run=None)
        handle = (number for number in range(3))
        circle: dict[str, Any] = {"handle": handle}
        circle["itself"] = circle
        context.start_phase("extract")
        returned = context.end_phase(circle)
        assert returned["handle"] is handle
        assert returned["itself"]["itself"] is returned["itself"] is not circle

    def test_running_a_phase_again_adds_to_totals_and_replaces_its_statistics(self) -> None:
        context = ETLContext()
        for count in (5, 7):
            context.start_phase("extract")
            context.update_progress(messages=count)
            context.end_phase({f"try_{count}": True})
        assert context.statistics["total"]["messages_processed"] == 12
        assert context.statistics["phases"]["extract"]["processed_messages"] == 7
        assert "try_5" not in context.statistics["phases"]["extract"]

    def test_an_end_is_logged_with_its_status(self, caplog: pytest.LogCaptureFixture) -> None:
        context = ETLContext()
        context.start_phase("extract")
        with caplog.at_level(logging.INFO, "tracking_core"):
            context.end_phase({"status": "failed"})
        assert [record.message for record in caplog.records] == ["Completed ETL phase: extract (Status: failed)"]

    def test_totals_of_other_units_are_named_after_them(self) -> None:
        context = ETLContext(phases=["copy"], units=["rows", "files"])
        context.start_phase("copy", 8, total_files=2)
        context.update_progress(4, files=1)
        statistics = context.end_phase()
        assert (statistics["row_percent"], statistics["processed_files"]) == (50.0, 1)
        assert "files_per_second" in statistics
        total = context.statistics["total"]
        assert (total["rows_processed"], total["files_processed"]) == (4, 1)
        assert "messages_processed" not in total


class TestPhaseStatus:
    def test_a_status_is_read_and_set(self) -> None:
        context = ETLContext()
        for status in ("running", "completed", "failed", "pending"):
            context.set_phase_status("load", status)
            assert context.get_phase_status("load") == status
        assert context.current_phase is None

    def test_an_unknown_phase_is_the_seeds_value_error_and_checked_first(self) -> None:
        context = ETLContext()
        message = "Invalid phase name: archive. Valid phases are: extract, transform, load"
        with pytest.raises(ValueError) as raised:
            context.get_phase_status("archive")
        assert str(raised.value) == message
        with pytest.raises(ValueError) as raised:
            context.set_phase_status("archive", "lost")
        assert str(raised.value) == message

    def test_an_unknown_status_is_the_seeds_value_error(self) -> None:
        context = ETLContext()
        with pytest.raises(ValueError) as raised:
            context.set_phase_status("load", "lost")
        expected = "Invalid status: lost. Valid statuses are: pending, running, completed, failed"
        assert str(raised.value) == expected
        assert context.get_phase_status("load") == "pending"

    def test_a_change_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "tracking_core"):
            ETLContext().set_phase_status("load", "failed")
        assert [record.message for record in caplog.records] == ["ETL phase 'load' status changed to 'failed'"]


class TestRecordError:
    def test_an_error_is_recorded_with_the_seeds_keys(self) -> None:
        context = ETLContext()
        before = datetime.now(UTC)
        details = context.record_error("extract", failing("row 7 is short"))
        assert list(details) == ["error_type", "error_message", "timestamp", "phase", "traceback"]
        assert (details["error_type"], details["error_message"]) == ("ValueError", "row 7 is short")
        assert details["phase"] == "extract"
        assert before <= datetime.fromisoformat(details["timestamp"]) <= datetime.now(UTC)
        assert context.statistics["errors"] == [details]
        assert context.phase_status["extract"] == "failed"

    def test_the_traceback_is_the_errors_own_outside_except(self) -> None:
        error = failing("mine")
        details = ETLContext().record_error("extract", error)
        assert "in failing\n" in details["traceback"]
        assert details["traceback"].endswith("ValueError: mine\n")

    def test_a_string_has_the_type_str_and_no_traceback(self) -> None:
        details = ETLContext().record_error("extract", "source is empty")
        assert (details["error_type"], details["error_message"], details["traceback"]) == ("str", "source is empty", "")

    def test_the_current_phase_stays_current(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.record_error("extract", failing())
        assert context.current_phase == "extract"
        context.update_progress(messages=1)
        context.end_phase({"status": "failed"})

    def test_errors_are_kept_in_order(self) -> None:
        context = ETLContext()
        context.record_error("extract", "first")
        context.record_error("load", "second")
        assert [error["error_message"] for error in context.statistics["errors"]] == ["first", "second"]

    def test_an_unknown_phase_is_the_seeds_value_error_and_records_nothing(self) -> None:
        context = ETLContext()
        with pytest.raises(ValueError) as raised:
            context.record_error("archive", failing())
        assert str(raised.value) == "Invalid phase name: archive. Valid phases are: extract, transform, load"
        assert "errors" not in context.statistics

    def test_what_is_no_error_is_refused_and_records_nothing(self) -> None:
        context = ETLContext()
        with pytest.raises(TypeError, match="exception or a string"):
            context.record_error("extract", 7)  # type: ignore[arg-type]
        assert "errors" not in context.statistics
        assert context.phase_status["extract"] == "pending"

    def test_changing_what_was_returned_changes_nothing_stored(self) -> None:
        context = ETLContext()
        context.record_error("extract", "kept")["error_message"] = "changed"
        assert context.statistics["errors"][0]["error_message"] == "kept"

    def test_an_error_is_logged_as_the_seed_does(self, caplog: pytest.LogCaptureFixture) -> None:
        ETLContext().record_error("extract", failing("row 7 is short"))
        assert [(record.levelname, record.message) for record in caplog.records] == [
            ("ERROR", "Error in ETL phase 'extract': row 7 is short")
        ]


class TestPhaseBlock:
    def test_a_block_starts_counts_and_completes(self) -> None:
        context = ETLContext()
        with context.phase("extract", total_messages=10) as phase:
            assert (context.current_phase, phase.name) == ("extract", "extract")
            phase.update(messages=4)
            context.update_progress(messages=1)
            phase.result["source"] = "file"
        statistics = context.statistics["phases"]["extract"]
        assert (statistics["status"], statistics["message_percent"], statistics["source"]) == (
            "completed",
            50.0,
            "file",
        )
        assert context.current_phase is None

    @pytest.mark.parametrize("error", [ValueError("row 7"), KeyboardInterrupt(), SystemExit(3), SystemExit("")])
    def test_an_exception_is_recorded_fails_the_phase_and_goes_on(self, error: BaseException) -> None:
        context = ETLContext()

        def work() -> None:
            with context.phase("extract") as phase:
                phase.result["status"] = "completed"
                raise error

        with pytest.raises(type(error)) as raised:
            work()
        assert raised.value is error
        assert context.current_phase is None
        assert context.phase_status["extract"] == context.statistics["phases"]["extract"]["status"] == "failed"
        (recorded,) = context.statistics["errors"]
        assert (recorded["error_type"], recorded["error_message"]) == (type(error).__name__, str(error))
        assert __file__ in recorded["traceback"]

    @pytest.mark.parametrize("code", [0, None])
    def test_leaving_with_success_completes_the_phase(self, code: int | None) -> None:
        context = ETLContext()
        with pytest.raises(SystemExit), context.phase("extract"):
            raise SystemExit(code)
        assert context.phase_status["extract"] == "completed"
        assert "errors" not in context.statistics

    def test_a_block_after_a_recorded_error_is_failed(self) -> None:
        context = ETLContext()
        with context.phase("extract"):
            context.record_error("extract", "one file was unreadable")
        assert context.phase_status["extract"] == "failed"

    def test_a_block_may_end_its_phase_itself(self) -> None:
        context = ETLContext()
        with context.phase("extract"):
            context.end_phase({"status": "failed"})
            context.start_phase("load")
        assert context.current_phase == "load"
        assert context.phase_status["extract"] == "failed"

    def test_a_block_that_cannot_start_does_not_run(self) -> None:
        context = ETLContext()
        with pytest.raises(ValueError, match="Invalid phase name: archive"), context.phase("archive"):
            raise AssertionError
        assert "errors" not in context.statistics


class TestFinalizeAndToDict:
    def test_finalize_sets_end_and_duration(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = SteppedClock()
        monkeypatch.setattr("tracking_core.etl.context.monotonic", clock.monotonic)
        context = ETLContext()
        clock.advance(90)
        context.finalize()
        total = context.statistics["total"]
        assert total["duration_seconds"] == 90.0
        assert total["end_time"].tzinfo is UTC
        clock.advance(10)
        context.finalize()
        assert total["duration_seconds"] == 100.0

    def test_a_copy_can_be_written_as_strict_json(self) -> None:
        class Odd:
            def __str__(self) -> str:
                raise RuntimeError

        context = ETLContext({"host": "h", "password": "hunter2"})
        context.start_phase("extract", 10)
        circle: list[Any] = []
        circle.append(circle)
        context.end_phase(
            {
                "at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
                "day": date(2026, 1, 2),
                "took": timedelta(seconds=90),
                "price": Decimal("1.10"),
                "ratio": float("nan"),
                "path": Path("a/b"),
                "kinds": {"json"},
                "pair": (1, 2.5),
                3: True,
                "odd": Odd(),
                "circle": circle,
            }
        )
        context.record_error("load", "kept")
        context.finalize()
        ready = json.loads(json.dumps(context.to_dict(), allow_nan=False))
        assert list(ready) == ["phases", "total", "errors", "current_phase", "phase_status"]
        extract = ready["phases"]["extract"]
        assert (extract["at"], extract["day"], extract["took"]) == ("2026-01-02T03:04:00+00:00", "2026-01-02", 90.0)
        assert (extract["price"], extract["ratio"], extract["path"]) == ("1.10", None, "a/b")
        assert (extract["kinds"], extract["pair"], extract["3"]) == (["json"], [1, 2.5], True)
        assert extract["odd"] == "<unprintable Odd>"
        assert ready["total"]["start_time"] == context.statistics["total"]["start_time"].isoformat()
        assert ready["errors"][0]["error_message"] == "kept"
        assert ready["phase_status"] == {"extract": "completed", "transform": "pending", "load": "failed"}
        assert "hunter2" not in json.dumps(ready)

    def test_changing_the_copy_changes_nothing(self) -> None:
        context = ETLContext()
        context.start_phase("extract")
        context.end_phase({"files": ["a"]})
        copied = context.to_dict()
        copied["phases"]["extract"]["files"].append("b")
        copied["phase_status"]["extract"] = "failed"
        assert context.statistics["phases"]["extract"]["files"] == ["a"]
        assert context.phase_status["extract"] == "completed"

    def test_the_statistics_are_the_jobs_to_add_to(self) -> None:
        context = ETLContext()
        context.statistics["total"]["end_time"] = datetime(2026, 1, 2, tzinfo=UTC)
        context.statistics["note"] = "by hand"
        assert context.to_dict()["total"]["end_time"] == "2026-01-02T00:00:00+00:00"
        assert context.to_dict()["note"] == "by hand"


class TestResources:
    def test_a_resource_is_shared_as_it_is(self) -> None:
        context = ETLContext()
        parser = object()
        context.set_resource("parser", parser)
        assert context.get_resource("parser") is parser

    def test_a_missing_resource_is_the_default(self) -> None:
        context = ETLContext()
        assert context.get_resource("parser") is None
        assert context.get_resource("parser", "plain") == "plain"

    def test_a_resource_that_is_none_is_not_missing(self) -> None:
        context = ETLContext()
        context.set_resource("parser", None)
        assert context.get_resource("parser", "plain") is None
