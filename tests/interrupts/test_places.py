"""What an exception from outside leaves at each place of single calls."""

import gc
import sys
from decimal import Decimal
from itertools import count
from types import ModuleType
from typing import Any

import pytest

from tests.interrupts.raising import Call, Killed, Late, at_step
from tests.support.peek import peek
from tests.support.ports import free_port
from tests.tracking_core.test_batch_sender import Bench
from tests.tracking_core.test_event_queue import error, phase, raw
from tracking_core import DeliveryReport, ETLRunContext, SimpleETLTracker, run_context
from tracking_core.arguments import number_of, text_of
from tracking_core.delivery import event_queue as module
from tracking_core.delivery.event_queue import EventQueue
from tracking_core.errors import StoreUnavailable
from tracking_core.failures import message_of
from tracking_core.legacy import StatefulETLTracker
from tracking_core.process.interrupts import is_stop, mark_recorded
from tracking_core.run_context import PhaseContext
from tracking_core.store import open_store
from tracking_core.store.postgres.connection import quiet_pipeline


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a queue have room for two requests and four words."""
    for name, value in {"MOST_REQUESTS": 2, "MOST_EVENTS": 4, "FOLD_FROM": 2}.items():
        monkeypatch.setattr(module, name, value, raising=False)


def test_a_request_beyond_the_bounds_is_counted_whole_or_not_at_all() -> None:
    for step in count(1):
        queue = EventQueue(overload="aggregate")
        for page in range(3):
            queue.request(raw(page))
        outcome = at_step(lambda queue=queue: queue.request(raw(3)), step, Late)  # type: ignore[misc]
        queue.request(raw(4))
        aggregate = queue.take_aggregate()
        assert aggregate is not None
        (cell,) = aggregate.cells.values()
        assert cell.requests - 2 in ((0, 1) if outcome.came_out else (1,))
        assert (cell.items, cell.duration_ms, sum(cell.histogram.values())) == (
            3 * cell.requests,
            40 * cell.requests,
            cell.requests,
        )
        if not outcome.raised:
            break


def test_an_error_beyond_the_bounds_is_counted_whole_or_not_at_all() -> None:
    for step in count(1):
        queue = EventQueue(overload="aggregate")
        for _ in range(5):
            queue.event(error())
        outcome = at_step(lambda queue=queue: queue.event(error()), step, Late)  # type: ignore[misc]
        aggregate = queue.take_aggregate()
        assert aggregate is not None
        ((_, many),) = aggregate.errors.values()
        assert many - 1 in ((0, 1) if outcome.came_out else (1,))
        if not outcome.raised:
            break


def test_an_interrupted_call_loses_no_word_that_waits() -> None:
    for step in count(1):
        queue = EventQueue(overload="aggregate")
        for name in ("a", "b", "c"):
            queue.event(phase("completed", name))
        queue.event(phase("running", "d", items=1))
        outcome = at_step(lambda queue=queue: queue.event(phase("running", "d", items=2)), step, Late)  # type: ignore[misc]
        words = queue.take_events(99)
        assert words[:3] == [phase("completed", name) for name in ("a", "b", "c")]
        assert words[3] == phase("running", "d", items=1)
        if not outcome.raised:
            break


def test_a_run_whose_end_is_interrupted_ends(sqlite_store_dsn: str) -> None:
    tracker = SimpleETLTracker(sqlite_store_dsn, delivery="buffered")
    for step in count(1):
        run_id = tracker.start_run("interrupted")
        outcome = at_step(lambda run_id=run_id: tracker.end_run(run_id, success=True), step, Killed)  # type: ignore[misc]
        tracker.end_run(run_id, success=True)
        if not outcome.raised:
            break
    tracker.close()
    assert peek(sqlite_store_dsn, "SELECT run_id FROM tracking.runs WHERE status <> 'completed'") == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_interrupted_runs_of_the_old_tracker_have_ended_when_it_is_closed(store_dsn: str) -> None:
    tracker = StatefulETLTracker(store_dsn)

    def run() -> None:
        tracker.start_run("interrupted")
        tracker.log_source_count("contacts", 1)
        tracker.end_run(success=True)

    for step in count(1, 61):
        outcome = at_step(run, step, Killed)
        if not outcome.raised:
            break
    tracker.end_run(success=False)
    tracker.close()
    assert peek(store_dsn, "SELECT run_id FROM tracking.runs WHERE status = 'running'") == []
    assert step > 500


@pytest.mark.parametrize(("verb", "works"), [("send", True), ("leave", True), ("send", False)])
def test_what_interrupts_the_making_of_batches_loses_and_doubles_nothing(verb: str, *, works: bool) -> None:
    for step in count(1, 9):
        bench = Bench()
        bench.begin()
        bench.log(2)
        bench.fail()
        bench.log(7)
        bench.phase()
        if not works:
            bench.down()
        outcome = at_step(getattr(bench.sender, verb), step, Late)
        bench.log(1)
        bench.sender.send()
        bench.sender.leave()
        written = [*bench.store.batches, *bench.spool.batches]
        once = list({(batch.writer_id, batch.batch_seq): batch for batch in written}.values())
        numbers = [row.seq for batch in once for row in (*batch.requests, *batch.errors)]
        assert sum(cell.requests for batch in once for cell in batch.cells.values()) == 10
        assert sorted(numbers) == sorted(set(numbers))
        assert max(entry.emitted for batch in once for entry in batch.ledger) == 11
        assert len([phase for batch in once for phase in batch.phases]) == 1
        report = bench.link.report
        assert report.sent + report.spooled + report.dropped == 13, outcome.where
        if not outcome.raised:
            break
    assert step > 150


def test_a_phase_whose_block_is_interrupted_is_over_but_where_its_end_begins(sqlite_store_dsn: str) -> None:
    tracker = SimpleETLTracker(sqlite_store_dsn, delivery="buffered")
    run = ETLRunContext.attached(tracker, 1)
    left_open = []
    for step in count(1):

        def block() -> None:
            with run.phase("load", items=5):
                pass

        outcome = at_step(block, step, Late)
        if any(phase.entered for phase in run_context._open._phases.values()):
            left_open.append(outcome.where)
            run_context._open._begin()
        if not outcome.raised:
            break
    tracker.close()
    # Python enters a block's end like any function: what comes at that very moment ends the block without it.
    begins = PhaseContext.__exit__.__code__.co_firstlineno
    assert {where.partition(" < ")[0] for where in left_open} <= {f"run_context.py:{begins}"}
    assert step > 100


def test_what_an_interrupted_call_recorded_is_counted_once(sqlite_store_dsn: str) -> None:
    tracker = SimpleETLTracker(sqlite_store_dsn)
    run_id = tracker.start_run("interrupted")

    def request() -> bool:
        return tracker.log_request(run_id, "/a", 1, 1, 200, 1, 1)

    for step in count(1, 31):
        for _ in range(step % 3):
            # Interrupted before it reaches the store: it waits in the spool.
            at_step(request, 120, Late)
        outcome = at_step(request, step, Late)
        tracker.flush()
        if not outcome.raised:
            break
    # What interrupts a function that SQLite calls is a fault of the store, which is left alone for a moment.
    tracker._delivery._link.breaker.worked()  # type: ignore[attr-defined]
    report = tracker.flush()
    rows = peek(sqlite_store_dsn, "SELECT count(*) FROM tracking.requests")[0][0]
    assert (report, step > 300) == (DeliveryReport(sent=rows + 1, spooled=0, dropped=0), True)


def test_what_interrupts_a_pipeline_stays_the_one_raised(
    postgres_store_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(postgres_store_dsn)
    for step in count(1, 3):
        with store.writer(5.0) as writer:

            def statements(writer: Any = writer) -> None:
                with writer.operation() as raw, quiet_pipeline(raw):
                    raw.execute("SELECT 1")
                    raw.execute("SELECT 2")

            outcome = at_step(statements, step, Late)
        if not outcome.raised:
            break
    assert step > 30
    assert caplog.text == ""


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_interrupts_connecting_stays_the_one_raised(postgres_store_dsn: str) -> None:
    store = open_store(postgres_store_dsn)
    for step in count(1, 7):
        # Not a TimeoutError: a few steps of psycopg take that for a fault of a name.
        outcome = at_step(lambda: store.writer(5.0).close(), step, Late, also="conninfo")
        if not outcome.raised:
            break
        assert outcome.came_out or outcome.late
    assert step > 100
    # Connections that nobody was given are closed here, and not with a warning in the midst of another test.
    gc.collect()


def test_what_the_job_handles_when_a_store_fails_is_not_taken_for_an_interrupt() -> None:
    store = open_store(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(StoreUnavailable):
            store.writer(5.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: text_of(5),
        lambda: number_of("a number", Decimal(5)),
        lambda: message_of(ValueError("a fault")),
        lambda: mark_recorded(ValueError("a fault"), 5),
    ],
)
def test_what_interrupts_the_reading_of_a_value_comes_out(call: Call) -> None:
    for step in count(1):
        outcome = at_step(call, step, TimeoutError)
        if not outcome.raised:
            break
        assert outcome.came_out or outcome.late


def test_what_interrupts_a_close_comes_out(sqlite_store_dsn: str) -> None:
    tracker = SimpleETLTracker(sqlite_store_dsn, delivery="buffered")
    for step in count(1, 3):
        outcome = at_step(tracker.close, step, TimeoutError)
        if not outcome.raised:
            break
        assert outcome.came_out or outcome.late


def test_a_module_that_another_thread_is_importing_does_not_end_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncio", ModuleType("asyncio"))
    assert not is_stop(ValueError())
    assert is_stop(KeyboardInterrupt())
