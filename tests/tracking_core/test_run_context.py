"""A run as a `with` block: what an exception means for it and for its phases."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from tests.support.clocks import ManualClock
from tests.support.fake_store import FakeStore
from tests.support.peek import peek
from tracking_core import ETLRunContext, Run, SimpleETLTracker


@pytest.fixture
def tracker(store_dsn: str) -> SimpleETLTracker:
    return SimpleETLTracker(store_dsn)


def only_run(tracker: SimpleETLTracker) -> Run:
    (run,) = tracker.get_recent_runs()
    return run


def errors_of(dsn: str) -> list[tuple[Any, ...]]:
    return peek(dsn, "SELECT error_type, message, phase FROM tracking.errors ORDER BY seq")


def test_a_clean_exit_completes_the_run_and_leaves_its_notes_alone(tracker: SimpleETLTracker) -> None:
    with ETLRunContext(tracker, "Context test", job="context") as run:
        assert not run.success
        assert run.log_request("/test", 0, 100, 200, 25, 500)
        assert run.log_source_count("contacts", 1000)
        assert run.log_phase("extract", "running", totals={"a": 1}, processed={"a": 1}, memory_mb=1.0)
        assert run.log_error("a hiccup", phase="extract")
        assert only_run(tracker).status == "running"
    assert run.success
    stored = only_run(tracker)
    assert (stored.run_id, stored.status, stored.notes, stored.ended_by) == (
        run.run_id,
        "completed",
        "Context test",
        "job",
    )
    assert (stored.job, stored.requests, stored.errors) == ("context", 1, 1)


def test_an_exception_is_recorded_fails_the_run_and_goes_on_its_way(tracker: SimpleETLTracker, store_dsn: str) -> None:
    with pytest.raises(ValueError, match="page 7 is empty"), ETLRunContext(tracker, "failing") as run:
        raise ValueError("page 7 is empty")
    assert not run.success
    stored = only_run(tracker)
    assert (stored.status, stored.notes, stored.errors) == ("failed", "failing\npage 7 is empty", 1)
    ((text,),) = peek(store_dsn, "SELECT traceback FROM tracking.errors")
    assert "ValueError: page 7 is empty" in text
    assert "test_run_context.py" in text


def test_an_exception_without_a_message_gives_its_class_name(tracker: SimpleETLTracker) -> None:
    with pytest.raises(ZeroDivisionError), ETLRunContext(tracker) as _:
        raise ZeroDivisionError
    assert only_run(tracker).notes == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("code", "status", "notes", "errors"),
    [
        (None, "completed", None, 0),
        (0, "completed", None, 0),
        (False, "completed", None, 0),
        (3, "failed", "exit status 3", 0),
        (True, "failed", "exit status 1", 0),
        ("cannot go on", "failed", "cannot go on", 0),
    ],
)
def test_sys_exit_means_what_it_means_to_the_shell(
    tracker: SimpleETLTracker, code: object, status: str, notes: str | None, errors: int
) -> None:
    with pytest.raises(SystemExit), ETLRunContext(tracker) as run:
        sys.exit(code)  # type: ignore[arg-type]
    stored = only_run(tracker)
    assert (stored.status, stored.notes, stored.errors) == (status, notes, errors)
    assert run.success == (status == "completed")


def test_ctrl_c_terminates_the_run(tracker: SimpleETLTracker) -> None:
    with pytest.raises(KeyboardInterrupt), ETLRunContext(tracker) as run:
        raise KeyboardInterrupt
    stored = only_run(tracker)
    assert (stored.status, stored.ended_by, stored.errors) == ("terminated", "signal SIGINT", 0)
    assert not run.success


def test_a_cancelled_task_terminates_its_run(tracker: SimpleETLTracker) -> None:
    async def job() -> None:
        with ETLRunContext(tracker):
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(job())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    assert only_run(tracker).status == "terminated"


def test_an_exception_whose_text_raises_is_recorded_all_the_same(tracker: SimpleETLTracker) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(Broken), ETLRunContext(tracker):
        raise Broken
    assert (only_run(tracker).status, only_run(tracker).notes) == ("failed", "<unprintable Broken>")


def test_an_error_that_was_logged_and_raised_again_is_recorded_once(tracker: SimpleETLTracker, store_dsn: str) -> None:
    def job(run: ETLRunContext) -> None:
        try:
            raise ValueError("x")
        except ValueError as error:
            run.log_error(error, phase="extract")
            raise

    with pytest.raises(ValueError, match="x"), ETLRunContext(tracker) as run:
        job(run)
    assert errors_of(store_dsn) == [("ValueError", "x", "extract")]
    assert only_run(tracker).status == "failed"


def test_a_run_ended_inside_its_block_keeps_that_end(tracker: SimpleETLTracker) -> None:
    with ETLRunContext(tracker, "early") as run:
        assert tracker.end_run(run.run_id, False, "gave up")
    assert (only_run(tracker).status, only_run(tracker).notes) == ("failed", "early\ngave up")


def test_one_context_may_be_used_again_but_not_inside_itself(tracker: SimpleETLTracker) -> None:
    context = ETLRunContext(tracker, "twice")
    with context:
        first = context.run_id
        with pytest.raises(RuntimeError, match="under way"), context:
            pass
    with context:
        assert context.run_id != first
    assert [run.status for run in tracker.get_recent_runs()] == ["completed", "completed"]


def test_while_tracking_is_off_the_block_runs_and_nothing_is_recorded(fake_store: FakeStore) -> None:
    tracker = SimpleETLTracker("sqlite:////nowhere.db")
    tracker.disable()
    with ETLRunContext(tracker) as run, run.phase("extract", contacts=5) as phase:
        assert run.run_id is None
        assert not run.log_request("/a", 0, 1, 200, 1, 1)
        phase.update(contacts=5)
    assert run.success
    assert fake_store.calls == []


def test_an_attached_context_ends_nothing_and_still_records_its_exception(
    tracker: SimpleETLTracker, store_dsn: str
) -> None:
    run_id = tracker.start_run("shared")
    assert run_id is not None
    with pytest.raises(ValueError, match="in a worker"), SimpleETLTracker(store_dsn).attach(run_id):
        raise ValueError("in a worker")
    assert (only_run(tracker).status, only_run(tracker).errors) == ("running", 1)


def test_a_phase_completes_with_its_block(tracker: SimpleETLTracker, store_dsn: str) -> None:
    with ETLRunContext(tracker) as run, run.phase("extract", contacts=100, total_pages=10) as phase:
        phase.update(contacts=60, pages=6)
        phase.update(contacts=40)
    ((name, status, position, counters),) = peek(
        store_dsn, "SELECT phase, status, position, CAST(counters AS text) FROM tracking.phases"
    )
    assert (name, status, position) == ("extract", "completed", 1)
    assert json.loads(counters) == {
        "contacts": {"place": 0, "total": 100, "processed": 100},
        "pages": {"place": 1, "total": 10, "processed": 6},
    }


def test_a_phase_fails_with_its_block_and_the_error_bears_its_name_once(
    tracker: SimpleETLTracker, store_dsn: str
) -> None:
    with pytest.raises(ValueError, match="no such file"), ETLRunContext(tracker) as run, run.phase("load"):
        raise ValueError("no such file")
    assert errors_of(store_dsn) == [("ValueError", "no such file", "load")]
    assert peek(store_dsn, "SELECT status FROM tracking.phases") == [("failed",)]
    assert only_run(tracker).status == "failed"


def test_a_phase_whose_error_is_swallowed_leaves_the_run_to_complete(tracker: SimpleETLTracker, store_dsn: str) -> None:
    with ETLRunContext(tracker) as run:
        for attempt in range(2):
            try:
                with run.phase("load"):
                    raise ConnectionError(f"attempt {attempt}")
            except ConnectionError:
                pass
    assert [row[1] for row in errors_of(store_dsn)] == ["attempt 0", "attempt 1"]
    assert (only_run(tracker).status, only_run(tracker).errors) == ("completed", 2)


@pytest.mark.parametrize(
    ("leave", "status"),
    [(lambda: sys.exit(0), "completed"), (lambda: sys.exit(3), "failed"), (lambda: _interrupt(), "failed")],
    ids=["exit 0", "exit 3", "ctrl-c"],
)
def test_leaving_the_program_ends_the_phase(
    tracker: SimpleETLTracker, store_dsn: str, leave: Callable[[], None], status: str
) -> None:
    with pytest.raises((SystemExit, KeyboardInterrupt)), ETLRunContext(tracker) as run, run.phase("load"):
        leave()
    assert peek(store_dsn, "SELECT status FROM tracking.phases") == [(status,)]


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def test_progress_reaches_the_store_at_a_pace(fake_store: FakeStore) -> None:
    clock = ManualClock(seconds=100.0)
    with ETLRunContext(SimpleETLTracker("sqlite:////nowhere.db")) as run:
        phase = run.phase("load", rows=4)
        phase._throttle._monotonic = clock.monotonic
        phase.__enter__()
        for moment in (100.2, 100.4, 101.1, 101.3):
            clock.seconds = moment
            phase.update(rows=1)
        phase.__exit__(None, None, None)
    told = [change.counters["rows"]["processed"] for change in fake_store.events("phases")]
    assert told == [0, 3, 4]


def test_negative_progress_counts_as_nothing_and_raises_where_arguments_are_strict(fake_store: FakeStore) -> None:
    with ETLRunContext(SimpleETLTracker("sqlite:////nowhere.db")) as run, run.phase("load", rows=-1) as phase:
        phase.update(rows=-1)
        assert (phase.totals, phase.processed) == ({"rows": 0}, {"rows": 0})
    strict = ETLRunContext(SimpleETLTracker("sqlite:////nowhere.db", strict=True))
    with pytest.raises(ValueError, match="units"), strict.phase("load") as phase:
        phase.update(rows=-1)
    with pytest.raises(ValueError, match="totals"):
        strict.phase("load", rows=-1)


def test_a_child_that_leaves_the_block_it_inherited_ends_nothing(
    fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ETLRunContext(SimpleETLTracker("sqlite:////nowhere.db"))
    run.__enter__()
    child = os.getpid() + 1
    monkeypatch.setattr("tracking_core.run_context.os.getpid", lambda: child)
    run.__exit__(None, None, None)
    assert fake_store.events("ends") == []


def leaving(work: Callable[[], None], tracker: SimpleETLTracker) -> None:
    with pytest.raises(SystemExit), ETLRunContext(tracker):
        work()


def exit_while_handling() -> None:
    try:
        raise ValueError("row 7")
    except ValueError:
        try:
            sys.exit(2)
        except SystemExit:
            sys.exit(1)


def exit_from_an_error() -> None:
    raise SystemExit(1) from ValueError("row 7")


def exit_after_ctrl_c() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(130)


@pytest.mark.parametrize(
    ("work", "errors"),
    [(exit_while_handling, ["ValueError"]), (exit_from_an_error, ["ValueError"]), (exit_after_ctrl_c, [])],
)
def test_sys_exit_records_the_error_that_was_handled(
    tracker: SimpleETLTracker, store_dsn: str, work: Callable[[], None], errors: list[str]
) -> None:
    leaving(work, tracker)
    assert [row[0] for row in errors_of(store_dsn)] == errors
    assert only_run(tracker).status == "failed"


@pytest.mark.parametrize("recorded_by", ["run", "tracker"])
def test_the_error_behind_sys_exit_is_recorded_once(
    tracker: SimpleETLTracker, store_dsn: str, recorded_by: str
) -> None:
    def work() -> None:
        with ETLRunContext(tracker) as run, run.phase("load"):
            try:
                raise ValueError("row 7")
            except ValueError as error:
                if recorded_by == "run":
                    run.log_error(error)
                else:
                    tracker.log_error(run.run_id, error)
                sys.exit(1)

    with pytest.raises(SystemExit):
        work()
    assert errors_of(store_dsn) == [("ValueError", "row 7", None)]


def test_an_error_from_before_the_block_is_not_its_own(tracker: SimpleETLTracker, store_dsn: str) -> None:
    try:
        raise OSError("the first way failed")
    except OSError:
        with pytest.raises(SystemExit), ETLRunContext(tracker) as run, run.phase("load"):
            sys.exit(1)
    assert errors_of(store_dsn) == []


def test_tags_are_those_of_the_run(tracker: SimpleETLTracker) -> None:
    with ETLRunContext(tracker, "tagged", tags={"region": "eu"}):
        pass
    assert only_run(tracker).tags == {"region": "eu"}


def test_a_run_is_an_async_block_too(tracker: SimpleETLTracker, store_dsn: str) -> None:
    async def work(fail: bool) -> None:
        async with ETLRunContext(tracker, "async") as run:
            assert run.log_request("/a", 0, 1, 200, 1, 1)
            if fail:
                raise ValueError("row 7")

    asyncio.run(work(fail=False))
    with pytest.raises(ValueError, match="row 7"):
        asyncio.run(work(fail=True))
    assert {run.status for run in tracker.get_recent_runs()} == {"completed", "failed"}
    assert [row[0] for row in errors_of(store_dsn)] == ["ValueError"]


@pytest.mark.parametrize("by", ["run", "tracker"])
def test_success_is_that_of_the_end_inside_the_block(tracker: SimpleETLTracker, by: str) -> None:
    for well in (True, False):
        with ETLRunContext(tracker) as run:
            assert run.end_run(well, "early") if by == "run" else tracker.end_run(run.run_id, well)
            assert run.success is well
        assert run.success is well
    with run:
        pass
    assert run.success


def test_threads_that_enter_one_context_together_begin_one_run(tracker: SimpleETLTracker) -> None:
    run, together, refused = ETLRunContext(tracker), threading.Barrier(4), list[RuntimeError]()
    done = threading.Barrier(4)

    def enter() -> None:
        together.wait(30)
        try:
            with run:
                done.wait(30)
        except RuntimeError as error:
            refused.append(error)
            done.wait(30)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert only_run(tracker).status == "completed"
    assert len(refused) == 3


def phases_in(dsn: str) -> list[tuple[Any, ...]]:
    """Return (status, total, processed) of the one unit of each phase."""
    counters = peek(dsn, "SELECT status, counters FROM tracking.phases ORDER BY position")
    read = [(status, json.loads(text) if isinstance(text, str) else text) for status, text in counters]
    return [(status, units["items"]["total"], units["items"]["processed"]) for status, units in read]


@pytest.mark.parametrize("form", ["five contexts", "one object", "attached"])
def test_a_phase_entered_five_times_together_adds_up(tracker: SimpleETLTracker, store_dsn: str, form: str) -> None:
    with ETLRunContext(tracker) as run:
        shared = run.phase("load", items=2)
        together = threading.Barrier(5)

        def work() -> None:
            mine = run if form != "attached" else tracker.attach(run.run_id or 0)
            with shared if form == "one object" else mine.phase("load", items=2) as phase:
                together.wait(30)
                phase.update(items=1)
                phase.update(items=1)
                together.wait(30)

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert phases_in(store_dsn) == [("completed", 10, 10)]
        with run.phase("load", items=3) as again:
            again.update(items=1)
        assert phases_in(store_dsn) == [("completed", 3, 1)]


def test_a_phase_is_over_with_its_last_block_and_failed_if_one_failed(
    tracker: SimpleETLTracker, store_dsn: str
) -> None:
    with ETLRunContext(tracker) as run:
        with run.phase("load", items=1) as last:
            last.update(items=1)
            with pytest.raises(ValueError, match="row 7"), run.phase("load", items=1):
                raise ValueError("row 7")
            assert phases_in(store_dsn) == [("running", 2, 1)]
            with run.phase("load", items=5) as phase, run.phase("extract", items=9):
                phase.update(items=5)
        assert phases_in(store_dsn) == [("failed", 7, 6), ("completed", 9, 0)]
        with run.phase("load", items=1):
            pass
        assert phases_in(store_dsn)[0][0] == "completed"


def test_a_phase_whose_start_was_interrupted_does_not_stay_open(
    tracker: SimpleETLTracker, store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt_the_first(*arguments: Any, **counts: Any) -> bool:
        return _interrupt() if counts["totals"] == {"items": 7} else told(*arguments, **counts)

    with ETLRunContext(tracker) as run:
        told = run.log_phase
        monkeypatch.setattr(run, "log_phase", interrupt_the_first)
        with pytest.raises(KeyboardInterrupt), run.phase("load", items=7):
            pytest.fail("the block was entered")
        with run.phase("load", items=1) as phase:
            phase.update(items=1)
        assert phases_in(store_dsn) == [("completed", 1, 1)]
