"""Buffered delivery as its tracker sees it: what is accepted, what a flush and a close promise, one thread for it all.

Nothing here depends on how long anything takes: waits are for something that happens, with a bound.
"""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.fake_store import FakeStore
from tests.support.waiting import wait_until
from tracking_core import SimpleETLTracker
from tracking_core.delivery import buffered as module
from tracking_core.delivery.buffered import BufferedDelivery
from tracking_core.events import Batch
from tracking_core.process import deadlines
from tracking_core.records import DeliveryReport

CFG = "sqlite:////nowhere.db"


@pytest.fixture
def make(fake_store: FakeStore) -> Iterator[Callable[..., SimpleETLTracker]]:
    """Return a maker of buffered trackers, each closed at the end."""
    made: list[SimpleETLTracker] = []

    def tracker(**keywords: object) -> SimpleETLTracker:
        made.append(SimpleETLTracker(CFG, delivery="buffered", **keywords))  # type: ignore[arg-type]
        return made[-1]

    yield tracker
    fake_store.failing = set()
    for each in made:
        each.close()


@pytest.fixture
def tracker(make: Callable[..., SimpleETLTracker]) -> SimpleETLTracker:
    return make()


def log(tracker: SimpleETLTracker, run_id: int | None, count: int = 1) -> None:
    for page in range(count):
        assert tracker.log_request(run_id, "/a", page, 10, 200, 1, 5)


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tracking_core writer"]


def test_a_flush_waits_until_all_that_was_accepted_is_committed(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    run_id = tracker.start_run("flushed")
    log(tracker, run_id, 1_234)
    tracker.log_error(run_id, "oops")
    assert tracker.flush() == DeliveryReport(sent=1_236)
    assert len(fake_store.events("requests")) == 1_234


def test_a_flush_without_anything_to_do_returns(tracker: SimpleETLTracker) -> None:
    assert tracker.flush() == DeliveryReport()


def test_a_flush_waits_no_longer_than_it_was_told(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    release = threading.Event()
    fake_store.on_batch = lambda _batch: release.wait(20)
    log(tracker, tracker.start_run("slow store"), 3)
    began = time.monotonic()
    assert tracker.flush(0.05).sent == 0
    assert time.monotonic() - began < 10
    release.set()
    assert tracker.flush().sent == 4


def test_a_flush_returns_though_the_job_logs_on_and_on(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("busy")
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            log(tracker, run_id, 50)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        assert tracker.flush(60).sent > 0
    finally:
        stop.set()
        thread.join()


def test_what_was_accepted_goes_out_by_itself_within_the_flush_interval(
    tracker: SimpleETLTracker, fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = tracker.start_run("by itself")
    tracker.flush()
    log(tracker, run_id, 2)
    wait_until(lambda: len(fake_store.events("requests")) == 2, "they are sent")


def test_the_flush_interval_is_a_second(tracker: SimpleETLTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    rested: list[float] = []
    delivery = tracker._delivery
    assert isinstance(delivery, BufferedDelivery)
    monkeypatch.setattr(delivery._queue, "rest", lambda seconds, **_: (rested.append(seconds), time.sleep(0.001)))
    tracker.start_run("interval")
    wait_until(lambda: len(rested) > 3, "the writer rested")
    assert set(rested) == {1.0}


@pytest.mark.parametrize("what", ["a batch's worth", "a start", "an end"])
def test_nobody_has_to_wait_for_the_interval(
    tracker: SimpleETLTracker, fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(module, "FLUSH_EVERY_S", 3600.0)
    run_id = tracker.start_run("at once")
    wait_until(lambda: fake_store.events("starts"), "the start is sent")
    if what == "a batch's worth":
        log(tracker, run_id, 501)
        wait_until(lambda: fake_store.events("requests"), "the batch is sent")
    elif what == "an end":
        tracker.end_run(run_id, True)
        wait_until(lambda: fake_store.events("ends"), "the end is sent")


def test_calls_return_while_the_store_hangs(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    release = threading.Event()
    fake_store.on_batch = lambda _batch: release.wait(60)
    run_id = tracker.start_run("hanging store")
    wait_until(lambda: fake_store.batches, "the writer is at it")
    log(tracker, run_id, 5_000)
    assert tracker.log_phase(run_id, "extract", "running", processed={"a": 1})
    assert tracker.log_error(run_id, "oops")
    assert tracker.end_run(run_id, True)
    assert len(fake_store.batches) == 1
    release.set()
    assert tracker.flush().sent == 5_004


def test_a_run_ends_once(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("twice")
    assert tracker.end_run(run_id, True)
    assert not tracker.end_run(run_id, False)
    tracker.flush()
    assert len(fake_store.events("ends")) == 1


def test_what_arrives_after_the_end_goes_on_with_the_run_s_numbers(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    run_id = tracker.start_run("late")
    log(tracker, run_id, 2)
    tracker.end_run(run_id, True)
    log(tracker, run_id, 2)
    tracker.flush()
    assert [row.seq for row in fake_store.events("requests")] == [1, 2, 3, 4]


def test_a_close_flushes_and_ends_the_thread_and_connection_and_the_tracker_lives_on(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    run_id = tracker.start_run("closed")
    log(tracker, run_id, 3)
    tracker.close()
    assert len(fake_store.events("requests")) == 3
    assert fake_store.opened == fake_store.closed == 1
    assert writers() == []
    tracker.close()
    log(tracker, run_id, 2)
    assert tracker.flush().sent == 6
    assert [row.seq for row in fake_store.events("requests")] == [1, 2, 3, 4, 5]


def test_one_thread_and_one_connection_serve_all(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    runs = [tracker.start_run(f"run {number}") for number in range(5)]
    for run_id in runs:
        log(tracker, run_id, 300)
    tracker.flush()
    assert len(writers()) == 1
    assert fake_store.opened == 1


def test_the_thread_outlives_whatever_happens_to_a_batch(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("bugs")
    tracker.flush()
    fake_store.failing, fake_store.fault = {"write"}, KeyError("a bug in a store")
    log(tracker, run_id, 2)
    tracker.flush()
    fake_store.failing = set()
    log(tracker, run_id, 2)
    wait_until(lambda: tracker.flush().sent == 5, "all is sent")


def test_where_no_thread_can_start_everything_is_shipped_at_once(
    make: Callable[..., SimpleETLTracker], fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    tracker = make()
    run_id = tracker.start_run("late")
    log(tracker, run_id, 1)
    tracker.end_run(run_id, True)
    assert len(fake_store.events("requests")) == len(fake_store.events("ends")) == 1
    assert tracker.flush() == DeliveryReport(sent=3)
    monkeypatch.undo()


def test_leaving_cuts_short_what_the_writer_waits_for(
    make: Callable[..., SimpleETLTracker], fake_store: FakeStore
) -> None:
    def hang(_batch: Batch) -> None:
        # As a connection waits: until its operation is due.
        while deadlines.moment(time.monotonic() + 3600) > time.monotonic():
            time.sleep(0.001)
        raise TimeoutError("no answer within the deadline")

    fake_store.on_batch = hang
    tracker = make()
    log(tracker, tracker.start_run("leaving"), 3)
    wait_until(lambda: fake_store.batches, "the writer waits")
    delivery = tracker._delivery
    delivery.leave(time.monotonic() + 0.6)
    assert writers() == []
    assert tracker.flush().sent == 0
    # The store was given up on its side of the time, and the spool had its turn: there is none here, so all is counted.
    assert sum(tracker.flush().__getattribute__(name) for name in ("spooled", "dropped")) > 0


# -- the switch --------------------------------------------------------------------------------------------------------


def test_a_run_begun_while_the_switch_is_off_gets_its_id_and_is_dropped_and_counted(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    fake_store.off = frozenset({"*"})
    run_id = tracker.start_run("unknown yet")
    assert run_id is not None
    log(tracker, run_id, 4)
    assert tracker.flush() == DeliveryReport(dropped=5)
    assert fake_store.known == set()


def test_a_run_begun_right_after_the_store_said_off_is_none(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    fake_store.off = frozenset({"*"})
    tracker.start_run("first")
    tracker.flush()
    assert tracker.start_run("second") is None


def test_what_the_store_said_long_ago_does_not_keep_a_run_from_being_recorded(
    tracker: SimpleETLTracker, fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_store.off = frozenset({"*"})
    tracker.start_run("first")
    tracker.flush()
    fake_store.off = frozenset()
    monkeypatch.setattr(module, "FLUSH_EVERY_S", 0.0)
    run_id = tracker.start_run("second")
    assert run_id is not None
    log(tracker, run_id, 2)
    tracker.flush()
    assert fake_store.known == {run_id}


def test_the_tracker_s_own_switch_works_at_once(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("mine")
    tracker.disable()
    assert not tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1)
    assert not tracker.log_phase(run_id, "extract", "running")
    assert tracker.start_run("not begun") is None
    assert tracker.end_run(run_id, True)
    tracker.enable()
    assert tracker.flush() == DeliveryReport(sent=2)


# -- from within (promise P7) ------------------------------------------------------------------------------------------


def test_sixteen_threads_are_counted_exactly(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("threads")
    threads = [threading.Thread(target=log, args=(tracker, run_id, 500)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tracker.flush() == DeliveryReport(sent=8_001)
    assert sorted(row.seq for row in fake_store.events("requests")) == list(range(1, 8_001))


def test_recording_from_a_finalizer_neither_hangs_nor_loses_anything(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    run_id = tracker.start_run("finalizers")

    class Records:
        """Says something when it goes, in whatever thread collects it: also the writer's own."""

        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            tracker.log_request(run_id, "/del", 0, 1, 200, 1, 1)
            tracker.log_error(run_id, "gone")
            tracker.end_run(run_id, True)

    gc.collect()
    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(40):
            for _ in range(10):
                Records()
            log(tracker, run_id, 100)
            tracker.flush()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert tracker.flush() == DeliveryReport(sent=1 + 4_000 + 800 + 1)
    numbers = [row.seq for row in fake_store.events("requests")] + [one.seq for one in fake_store.events("errors")]
    assert sorted(numbers) == list(range(1, 4_801))


def test_a_flush_on_the_writer_s_own_thread_does_not_wait_for_itself(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    reports: list[DeliveryReport] = []
    fake_store.on_batch = lambda _batch: (reports.append(tracker.flush()), tracker.close())
    log(tracker, tracker.start_run("within"), 3)
    assert tracker.flush(60).sent == 4
    assert reports


class RecordingHandler(logging.Handler):
    """A job's handler that records every line, and waits for it, with its lock held as `logging` does it."""

    def __init__(self, record: Callable[[], object]) -> None:
        super().__init__()
        self.record = record
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Record a line."""
        self.said.append(record.name)
        self.record()


@pytest.fixture
def handled() -> Iterator[Callable[[Callable[[], object]], RecordingHandler]]:
    handlers: list[RecordingHandler] = []

    def add(record: Callable[[], object]) -> RecordingHandler:
        handlers.append(RecordingHandler(record))
        logging.getLogger().addHandler(handlers[-1])
        return handlers[-1]

    yield add
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("overload", ["aggregate", "wait"])
def test_a_log_handler_may_record_and_flush_while_the_store_fails(
    make: Callable[..., SimpleETLTracker],
    fake_store: FakeStore,
    handled: Callable[[Callable[[], object]], RecordingHandler],
    overload: str,
) -> None:
    tracker = make(overload=overload)
    run_id = tracker.start_run("handlers")
    tracker.flush()

    def record() -> None:
        tracker.log_request(run_id, "/log", 0, 1, 200, 1, 1)
        # The writer wants to log that the store fails, and this thread holds the handler's lock meanwhile.
        tracker.flush()

    handler = handled(record)
    fake_store.failing = {"write"}
    for number in range(20):
        logging.getLogger("job").warning("line %d", number)
    fake_store.failing = set()
    wait_until(lambda: "tracking_core" in handler.said, "the tracker's own warning is said")
    wait_until(lambda: tracker.flush(20).sent >= 21, "all is sent")


def test_a_call_costs_an_event_loop_nothing(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    release = threading.Event()
    fake_store.on_batch = lambda _batch: release.wait(20)

    async def job() -> int:
        run_id = tracker.start_run("in a loop")
        for _ in range(20):
            log(tracker, run_id, 100)
            await asyncio.sleep(0)
        return len(fake_store.batches)

    # The store answers nothing all the while: were anything waited for, this would hang.
    assert asyncio.run(job()) <= 1
    release.set()
    assert tracker.flush().sent == 2_001
