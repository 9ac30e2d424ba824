"""How a phase and a context end, and what they leave behind."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.tracking_core.etl_doubles import SEED_KEYS, SteppedClock, failing, set_memory
from tracking_core import ETLContext


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


class TestWhileAnExceptionPropagates:
    @pytest.mark.parametrize("error", [OSError("gone"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
    def test_a_bare_end_in_finally_fails(self, error: BaseException) -> None:
        context = ETLContext()
        with pytest.raises(type(error)):  # noqa: PT012 - the seed's try and finally
            try:
                context.start_phase("extract")
                raise error
            finally:
                context.end_phase({"files": 1})
        assert context.get_phase_status("extract") == "failed"
        assert context.statistics["phases"]["extract"]["status"] == "failed"

    @pytest.mark.parametrize("error", [SystemExit(0), StopIteration()])
    def test_the_end_of_a_program_or_loop_that_went_well_completes(self, error: BaseException) -> None:
        context = ETLContext()
        try:
            context.start_phase("extract")
            raise error
        except (SystemExit, StopIteration):
            context.end_phase()
        assert context.get_phase_status("extract") == "completed"

    def test_a_status_that_is_given_wins(self) -> None:
        context = ETLContext()
        try:
            context.start_phase("extract")
            raise OSError
        except OSError:
            context.end_phase({"status": "completed"})
        assert context.get_phase_status("extract") == "completed"

    def test_an_exception_from_before_the_phase_does_not_fail_it(self) -> None:
        context = ETLContext()
        try:
            raise OSError
        except OSError:
            context.start_phase("extract")
            context.end_phase()
            with context.phase("load"):
                pass
            with pytest.raises(KeyError), context.phase("transform"):
                raise KeyError from None
        assert list(context.phase_status.values()) == ["completed", "failed", "completed"]
        assert context._handled_at_start is None
