"""Errors of a context, recorded by hand and by the block form."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tests.tracking_core.etl_doubles import failing
from tracking_core import ETLContext


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

    def test_any_other_object_is_recorded_by_its_type_and_text(self) -> None:
        context = ETLContext()
        context.record_error("load", None)  # type: ignore[arg-type]
        context.record_error("extract", 7)  # type: ignore[arg-type]
        recorded = [(each["error_type"], each["error_message"]) for each in context.statistics["errors"]]
        assert recorded == [("NoneType", "None"), ("int", "7")]
        assert context.phase_status["extract"] == "failed"

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

    @pytest.mark.parametrize("error", [ValueError("row 7"), GeneratorExit()])
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
        assert recorded["traceback"].count("File ") == 1
        assert __file__ in recorded["traceback"]

    @pytest.mark.parametrize("code", [3, ""])
    def test_sys_exit_fails_the_phase_and_the_error_is_what_was_handled(self, code: object) -> None:
        context = ETLContext()

        def work() -> None:
            with context.phase("extract"):
                try:
                    raise ValueError("row 7")
                except ValueError:
                    raise SystemExit(code)  # noqa: B904 - as jobs do

        with pytest.raises(SystemExit):
            work()
        with pytest.raises(SystemExit), context.phase("load"):
            raise SystemExit(code)
        assert (context.phase_status["extract"], context.phase_status["load"]) == ("failed", "failed")
        assert [error["error_type"] for error in context.statistics["errors"]] == ["ValueError"]

    def test_an_error_that_the_block_recorded_itself_is_recorded_once(self) -> None:
        context = ETLContext()

        def work() -> None:
            with context.phase("extract"):
                try:
                    raise ValueError("row 7")
                except ValueError as error:
                    context.record_error("extract", error)
                    raise

        with pytest.raises(ValueError, match="row 7"):
            work()
        assert len(context.statistics["errors"]) == 1

    @pytest.mark.parametrize("stop", [KeyboardInterrupt(), asyncio.CancelledError()])
    def test_a_block_stopped_from_outside_is_failed_and_has_no_error(self, stop: BaseException) -> None:
        context = ETLContext()
        with pytest.raises(type(stop)), context.phase("extract"):
            raise stop
        assert context.phase_status["extract"] == "failed"
        assert "errors" not in context.statistics

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
