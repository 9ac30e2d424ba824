"""The context in memory: construction, starts, progress, states and resources."""

from __future__ import annotations

import inspect
import logging
from datetime import UTC
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.tracking_core.etl_doubles import set_memory
from tracking_core.etl import ETLContext, MemoryMonitor, ProgressTracker


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
            ({"total_messages": 1.5}, ValueError),
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

    def test_counts_may_be_of_any_numeric_type_and_totals_unknown(self) -> None:
        context = ETLContext()
        context.start_phase("extract", None, total_messages=Decimal(10))
        context.update_progress(messages=3.0)
        context.update_progress(Fraction(2), messages=Decimal(4))
        context.progress_tracker.total_messages = None
        assert context.progress_tracker.processed == {"conversations": 2, "messages": 7}
        assert context.progress_tracker.totals == {"conversations": 0, "messages": 0}

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

    def test_without_a_limit_the_memory_is_sampled_ten_times_a_second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        at_s, readings = 100.0, list[float]()

        def read() -> float:
            readings.append(at_s)
            return 1.0

        monkeypatch.setattr("tracking_core.etl.progress.monotonic", lambda: at_s)
        context, limited = ETLContext(), ETLContext(memory_limit_mb=10)
        context.memory_monitor.get_current_memory_mb = read  # type: ignore[method-assign]
        limited.memory_monitor.get_current_memory_mb = read  # type: ignore[method-assign]
        context.start_phase("extract")
        limited.start_phase("extract")
        readings.clear()
        for step in range(100):
            at_s = 100 + step / 64
            context.update_progress(1)
        assert 13 <= len(readings) <= 15
        readings.clear()
        for _ in range(10):
            limited.update_progress(1)
        assert len(readings) == 10


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
