"""Sealed batches on their way: exact numbers and figures, the spool, the breaker, poison, bounded memory."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.clocks import ManualClock
from tests.support.fake_store import FakeStore
from tests.tracking_core.memory_spool import MemorySpool
from tests.tracking_core.sample_batches import BEGAN_US, OTHER_RUN, RUN, batch_of, start_of
from tracking_core.delivery import event_queue, unsent
from tracking_core.delivery.batch_sender import BatchSender
from tracking_core.delivery.counts import Replay
from tracking_core.delivery.event_queue import SHIP_MOST, EventQueue
from tracking_core.delivery.spool import DiskSpool
from tracking_core.delivery.store_link import Breaker, StoreLink
from tracking_core.errors import RowBlocked, RowRejected, StoreUnavailable
from tracking_core.events import Batch, RawCount, RawEnd, RawError, RawPhase, Receipt
from tracking_core.failures import Failure
from tracking_core.process import deadlines
from tracking_core.process.forks import begin_in_child
from tracking_core.records import DeliveryReport
from tracking_core.store.writing import add_up
from tracking_core.switch import TrackingSwitch

HOUR_US = 3_600_000_000


class Bench:
    """A sender on a bench: every part of it at hand, time standing still."""

    def __init__(self, overload: str = "aggregate", clock: ManualClock | None = None) -> None:
        self.store, self.clock, self.spool = FakeStore(), clock or ManualClock(us=BEGAN_US), MemorySpool()
        self.switch, self.queue = TrackingSwitch({}), EventQueue(overload=overload)
        self.store.store_us = BEGAN_US
        self.breaker = Breaker(lambda: 0.0)
        self.link = StoreLink(
            lambda: self.store,  # type: ignore[arg-type, return-value]
            deadline=1,
            switch=self.switch,
            clock=self.clock,
            make_spool=lambda: self.spool,
            breaker=self.breaker,
        )
        self.runs = self.link.runs
        self.sender = BatchSender(self.link, self.queue)

    def begin(self, run_id: int = RUN) -> None:
        start = start_of(run_id)
        self.runs.begin(start, self.clock.monotonic())
        self.queue.event(start)

    def log(self, count: int, *, run_id: int = RUN, error: str | None = None) -> None:
        for page in range(count):
            self.queue.request((run_id, self.clock.us, f"/{page % 2}", page, 10, 200, 1, 5.0, False, error))

    def fail(self, message: str = "oops", run_id: int = RUN) -> None:
        failure = Failure(error_type="E", message=message, traceback="Traceback …", fingerprint="f00d")
        self.queue.event(RawError(run_id, self.clock.us, None, failure))

    def phase(self, status: str = "running", run_id: int = RUN) -> None:
        self.queue.event(RawPhase(run_id, self.clock.us, "extract", status, {}, {"a": 1}, None))

    def end(self, run_id: int = RUN) -> None:
        self.queue.event(RawEnd(run_id, self.clock.us, "completed", None, "job"))

    def ship(self, seconds: float = 0.0) -> DeliveryReport:
        self.clock.seconds += seconds
        self.clock.us += round(seconds * 1_000_000)
        self.sender.send()
        return self.link.report

    def down(self) -> None:
        self.store.failing = {"writer", "write"}

    def up(self) -> None:
        self.store.failing = set()

    def totals(self) -> dict[int, int]:
        """Return what the store counts of each run: what has a known key counts once."""
        counted: dict[int, int] = {}
        seen = set()
        for batch in self.store.batches:
            keys = {(batch.writer_id, batch.batch_seq)}
            if batch.batch_seq is None:
                keys = {(row.run_id, row.seq) for row in batch.requests}
            if keys & seen:
                continue
            seen |= keys
            for run_id, cell in add_up(batch.cells).runs.items():
                counted[run_id] = counted.get(run_id, 0) + cell.requests
        return counted


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.begin()
    return made


# -- sealing -----------------------------------------------------------------------------------------------------------


def test_requests_and_errors_are_numbered_without_a_gap_across_batches(bench: Bench) -> None:
    bench.log(SHIP_MOST + 200)
    bench.fail()
    bench.ship()
    bench.log(3)
    bench.ship()
    rows, errors = bench.store.events("requests"), bench.store.events("errors")
    assert sorted([row.seq for row in rows] + [error.seq for error in errors]) == list(range(1, SHIP_MOST + 205))
    assert [batch.batch_seq for batch in bench.store.batches] == list(range(1, len(bench.store.batches) + 1))
    assert max(len(batch.requests) for batch in bench.store.batches) == SHIP_MOST


def test_each_run_has_its_own_numbers(bench: Bench) -> None:
    bench.begin(OTHER_RUN)
    bench.log(2)
    bench.log(3, run_id=OTHER_RUN)
    bench.ship()
    rows = bench.store.events("requests")
    assert [(row.run_id, row.seq) for row in rows] == [(RUN, 1), (RUN, 2), *((OTHER_RUN, seq) for seq in (1, 2, 3))]


def test_a_batch_says_how_far_its_writer_has_come(bench: Bench) -> None:
    bench.log(4)
    bench.fail()
    bench.ship()
    assert [(entry.run_id, entry.emitted, entry.dropped) for entry in bench.store.events("ledger")] == [(RUN, 5, 0)]


def test_a_start_goes_along_until_a_receipt_confirms_it(bench: Bench) -> None:
    bench.down()
    for _ in range(3):
        bench.log(1)
        bench.ship()
    bench.up()
    bench.ship(1.0)
    bench.log(1)
    bench.ship()
    bench.log(1)
    bench.ship()
    assert [len(batch.starts) for batch in bench.store.batches] == [1, 1, 1, 0, 0]


def test_nothing_is_sent_when_nothing_was_said(bench: Bench) -> None:
    bench.ship()
    sent = len(bench.store.batches)
    bench.ship(5.0)
    assert len(bench.store.batches) == sent


def test_what_comes_while_a_batch_is_on_its_way_is_left_for_the_next_time(bench: Bench) -> None:
    bench.log(500)
    # A job that logs as fast as its batches are sent must not keep a flush waiting for ever.
    bench.store.on_batch = lambda _batch: bench.log(500)
    bench.ship()
    assert len(bench.store.batches) <= 2
    assert len(bench.queue.requests) >= 500


def test_the_next_batch_is_made_while_the_store_takes_in_one(bench: Bench) -> None:
    bench.ship()
    bench.log(2 * SHIP_MOST)
    left: list[int] = []
    bench.store.on_batch = lambda _batch: left.append(len(bench.queue.requests))
    assert bench.ship().sent == 1 + 2 * SHIP_MOST
    assert left == [0, 0]
    assert [row.seq for row in bench.store.events("requests")] == list(range(1, 2 * SHIP_MOST + 1))


@pytest.mark.parametrize("fault", [StoreUnavailable("connection reset"), KeyboardInterrupt()], ids=["down", "ctrl-c"])
def test_a_batch_that_was_made_ahead_is_not_lost_with_the_one_before_it(bench: Bench, fault: BaseException) -> None:
    bench.ship()
    bench.log(2 * SHIP_MOST)
    bench.store.failing, bench.store.fault = {"write after meanwhile"}, fault
    with suppress(KeyboardInterrupt):
        bench.ship()
    assert bench.queue.is_empty
    bench.up()
    assert bench.ship(1.0).sent == 1 + 2 * SHIP_MOST
    assert bench.totals() == {RUN: 2 * SHIP_MOST}


def test_leaving_spools_a_batch_that_was_made_ahead(bench: Bench) -> None:
    bench.ship()
    bench.log(2 * SHIP_MOST)
    bench.store.failing, bench.store.fault = {"write after meanwhile"}, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.ship()
    bench.sender.leave()
    assert sum(len(batch.requests) for batch in bench.spool.batches) == 2 * SHIP_MOST


def test_an_event_that_nobody_foresaw_does_not_take_the_others_along(bench: Bench) -> None:
    bench.log(2)
    bench.queue.requests.append((RUN, "no time", "/a", 0, 1, 200, 1, 1.0, False, None))  # type: ignore[arg-type]
    bench.log(2)
    assert bench.ship() == DeliveryReport(sent=5, dropped=1)


def test_the_duration_of_a_run_is_the_monotonic_clock_s(bench: Bench) -> None:
    bench.clock.seconds += 12.5
    bench.clock.us -= HOUR_US
    bench.end()
    bench.ship()
    assert bench.store.events("ends")[0].duration_ms == 12_500


def test_the_first_events_carry_the_store_s_clock_already(bench: Bench) -> None:
    bench.store.store_us = BEGAN_US + HOUR_US
    bench.log(1)
    bench.phase()
    bench.ship()
    (start,), (row,), (phase,) = (bench.store.events(kind) for kind in ("starts", "requests", "phases"))
    assert start.started_us == row.at_us == phase.at_us == BEGAN_US + HOUR_US
    assert start.clock_offset_ms == 3_600_000


def test_a_store_of_another_version_is_said_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.store.version = 3
    for _ in range(3):
        bench.log(1)
        bench.ship()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "schema version 3, this program has 1" in caplog.text
    assert len(bench.store.events("requests")) == 3


# -- the spool and the breaker -----------------------------------------------------------------------------------------


def test_what_the_store_does_not_take_is_spooled_and_sent_when_it_works_again(bench: Bench) -> None:
    bench.down()
    bench.log(3)
    assert bench.ship() == DeliveryReport(spooled=4)
    bench.log(2)
    bench.end()
    assert bench.ship() == DeliveryReport(spooled=7)
    bench.up()
    assert bench.ship(0.5) == DeliveryReport(spooled=7)
    assert bench.ship(0.5) == DeliveryReport(sent=7)
    assert bench.totals() == {RUN: 5}
    assert bench.spool.is_empty


def test_a_dead_store_is_left_alone_between_two_tries(bench: Bench) -> None:
    bench.down()
    for _ in range(10):
        bench.log(1)
        bench.ship()
    assert bench.store.calls.count("writer") == 1
    bench.ship(1.0)
    assert bench.store.calls.count("writer") == 2


def test_the_writer_rests_no_longer_than_until_the_next_try_when_something_waits(bench: Bench) -> None:
    assert bench.sender.rest_s(1.0) == 1.0
    bench.down()
    bench.log(1)
    bench.ship()
    bench.clock.seconds += 0.75
    assert bench.sender.rest_s(1.0) == pytest.approx(0.25)
    bench.clock.seconds += 10
    assert 0 < bench.sender.rest_s(1.0) < 0.1


def test_a_batch_whose_answer_was_lost_is_sent_again_under_its_key(bench: Bench) -> None:
    bench.ship()

    def lose_the_answer(_batch: Batch) -> None:
        bench.store.on_batch = lambda _batch: None
        raise StoreUnavailable("connection reset")

    bench.store.on_batch = lose_the_answer
    bench.log(4)
    assert bench.ship() == DeliveryReport(sent=1, spooled=4)
    assert bench.ship(1.0) == DeliveryReport(sent=5)
    first, again = bench.store.batches[-2:]
    assert first == again
    assert bench.totals() == {RUN: 4}


def test_a_failed_connection_is_closed_and_another_one_opened(bench: Bench) -> None:
    bench.ship()
    bench.store.failing = {"write"}
    bench.log(1)
    bench.ship()
    assert (bench.store.opened, bench.store.closed) == (1, 1)
    bench.up()
    bench.ship(1.0)
    assert (bench.store.opened, bench.store.closed) == (2, 1)


def test_ctrl_c_loses_nothing_and_reaches_the_caller(bench: Bench) -> None:
    bench.store.failing, bench.store.fault = {"write"}, KeyboardInterrupt()
    bench.log(3)
    with pytest.raises(KeyboardInterrupt):
        bench.ship()
    bench.up()
    assert bench.ship(1.0) == DeliveryReport(sent=4)


def test_spools_of_dead_processes_are_looked_for_once_a_minute(bench: Bench, tmp_path: Path) -> None:
    asked: list[bool] = []
    replay = bench.spool.replay

    def remember(write: Callable[[Batch], Receipt], *, others: bool = True, **more: object) -> Replay:
        asked.append(others)
        return replay(write, others=others, **more)  # type: ignore[arg-type]

    bench.spool.replay = remember  # type: ignore[method-assign]
    bench.ship()
    assert asked == [True]
    for _ in range(59):
        bench.ship(1.0)
    assert asked == [True]
    bench.ship(1.0)
    assert asked == [True, True]


def test_a_dead_process_s_batches_are_sent_and_not_counted_as_one_s_own(tmp_path: Path) -> None:
    # The spool on the disk measures its time itself.
    bench = Bench(clock=ManualClock(us=BEGAN_US, seconds=time.monotonic()))
    dead = DiskSpool(bench.store.label, (tmp_path,))
    assert dead.take(batch_of(5, starts=(start_of(),)))
    dead.close()
    mine = DiskSpool(bench.store.label, (tmp_path,))
    bench.spool = mine  # type: ignore[assignment]
    bench.begin(OTHER_RUN)
    assert bench.ship() == DeliveryReport(sent=1)
    assert bench.totals() == {RUN: 5}


# -- the switch --------------------------------------------------------------------------------------------------------


def test_a_run_begun_while_the_switch_is_off_is_dropped_whole_and_counted(bench: Bench) -> None:
    bench.store.off = frozenset({"job"})
    bench.log(3)
    assert bench.ship() == DeliveryReport(dropped=4)
    bench.store.off = frozenset()
    bench.log(2)
    bench.end()
    assert bench.ship() == DeliveryReport(dropped=7)
    assert bench.store.known == set()


def test_a_live_run_s_events_are_dropped_while_the_switch_is_off_and_its_end_is_not(bench: Bench) -> None:
    bench.ship()
    bench.store.off = frozenset({"*"})
    bench.log(2)
    bench.end()
    report = bench.ship()
    assert report == DeliveryReport(sent=1, dropped=3) or report.sent + report.dropped == 4
    assert bench.store.running == set()


def test_the_switch_turned_on_again_is_noticed_with_the_next_batch(bench: Bench) -> None:
    bench.ship()
    bench.store.off = frozenset({"job"})
    bench.log(2)
    bench.ship()
    assert bench.switch.shared_off("job")
    bench.store.off = frozenset()
    bench.log(3)
    assert bench.ship() == DeliveryReport(sent=4, dropped=2)
    assert not bench.switch.shared_off("job")


def test_nothing_is_spooled_for_a_job_that_was_last_seen_switched_off(bench: Bench) -> None:
    bench.ship()
    bench.store.off = frozenset({"job"})
    bench.log(1)
    bench.ship()
    bench.down()
    bench.log(4)
    assert bench.ship() == DeliveryReport(sent=1, dropped=5)
    bench.end()
    bench.ship()
    assert [len(batch.requests) for batch in bench.spool.batches] == [0]
    assert len(bench.spool.batches[0].ends) == 1


def test_a_removed_run_s_events_are_dropped_and_counted(bench: Bench) -> None:
    bench.ship()
    bench.store.known.clear()
    bench.log(3)
    assert bench.ship() == DeliveryReport(sent=1, dropped=3)


# -- poison ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 37, 500])
def test_a_poison_row_does_not_take_its_batch_along(bench: Bench, count: int) -> None:
    def reject(batch: Batch) -> None:
        if any(row.error == "poison" for row in batch.requests):
            bench.store.batches.pop()
            raise RowRejected("odd")

    bench.store.on_batch = reject
    bench.log(count)
    bench.log(1, error="poison")
    bench.fail()
    bench.phase()
    assert bench.ship() == DeliveryReport(sent=count + 3, dropped=1)
    assert bench.totals() == {RUN: count}
    assert len(bench.store.events("errors")) == len(bench.store.events("phases")) == 1
    keys = [batch.batch_seq for batch in bench.store.batches if batch.batch_seq is not None]
    assert len(set(keys)) == len(keys)
    (aside,) = bench.spool.aside
    assert [row.error for row in aside.requests] == ["poison"]
    bench.log(1)
    bench.ship()
    assert bench.store.batches[-1].ledger[0].dropped == 1


def test_rows_that_a_rule_stops_wait_apart_and_nothing_else_does(bench: Bench) -> None:
    def block(batch: Batch) -> None:
        if any(row.error == "blocked" for row in batch.requests):
            bench.store.batches.pop()
            raise RowBlocked("a trigger")

    bench.store.on_batch = block
    bench.log(100)
    bench.log(2, error="blocked")
    bench.log(100)
    assert bench.ship() == DeliveryReport(sent=201, spooled=2)
    assert bench.totals() == {RUN: 200}
    assert sum(len(batch.requests) for batch in bench.spool.blocked) == 2
    assert bench.spool.batches == []


def test_what_is_stopped_throughout_is_searched_a_little_and_waits_whole(bench: Bench) -> None:
    tries = 0

    def block(batch: Batch) -> None:
        nonlocal tries
        tries += 1
        if batch.requests:
            bench.store.batches.pop()
            raise RowBlocked("no partition")

    bench.store.on_batch = block
    bench.log(2_000)
    assert bench.ship() == DeliveryReport(sent=1, spooled=2_000)
    assert sum(len(batch.requests) for batch in bench.spool.blocked) == 2_000
    assert tries < 60


def test_a_store_that_goes_away_while_a_batch_is_divided_keeps_it_whole(bench: Bench) -> None:
    tries = 0

    def block(batch: Batch) -> None:
        nonlocal tries
        tries += 1
        if any(row.error == "blocked" for row in batch.requests):
            bench.store.batches.pop()
            raise RowBlocked("a trigger") if tries < 4 else StoreUnavailable("gone")

    bench.store.on_batch = block
    bench.log(100)
    bench.log(1, error="blocked")
    assert bench.ship() == DeliveryReport(spooled=101, sent=1)
    (whole,) = bench.spool.batches
    assert len(whole.requests) == 101


def test_a_poison_word_is_dropped_alone(bench: Bench) -> None:
    def reject(batch: Batch) -> None:
        if any(error.message == "poison" for error in batch.errors):
            bench.store.batches.pop()
            raise RowRejected("odd")

    bench.store.on_batch = reject
    bench.log(20)
    bench.fail("poison")
    bench.fail("harmless")
    bench.end()
    assert bench.ship() == DeliveryReport(sent=23, dropped=1)
    assert [error.message for error in bench.store.events("errors")] == ["harmless"]
    assert bench.store.running == set()


# -- neither store nor spool -------------------------------------------------------------------------------------------


@pytest.fixture
def cramped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a bench whose store is down and whose spool is full, with room for 50 requests and 30 other events."""
    monkeypatch.setattr(event_queue, "MOST_REQUESTS", 50)
    monkeypatch.setattr(event_queue, "MOST_EVENTS", 30)
    bench.queue = EventQueue(overload="aggregate")
    bench.sender = BatchSender(bench.link, bench.queue)
    bench.begin()
    bench.down()
    bench.spool.full = True
    return bench


def test_what_nobody_takes_waits_in_memory_and_is_sent_when_the_store_works_again(cramped: Bench) -> None:
    for _ in range(3):
        cramped.log(4)
        assert cramped.ship() == DeliveryReport()
        assert cramped.sender.is_stuck
    cramped.up()
    assert cramped.ship(1.0) == DeliveryReport(sent=13)
    assert not cramped.sender.is_stuck
    assert cramped.totals() == {RUN: 12}
    assert len(cramped.store.events("requests")) == 12


def test_memory_is_bounded_totals_stay_exact_and_events_are_all_kept(cramped: Bench) -> None:
    for _ in range(40):
        cramped.log(10)
        cramped.fail()
        cramped.ship()
        assert len(cramped.queue.requests) <= 50
        assert cramped.sender.unsent <= 20
    cramped.phase("completed")
    cramped.end()
    cramped.ship()
    cramped.up()
    report = cramped.ship(1.0)
    rows, errors = cramped.store.events("requests"), cramped.store.events("errors")
    dropped = 440 - len(rows) - len(errors)
    assert dropped > 300
    assert report == DeliveryReport(sent=443 - dropped, dropped=dropped)
    assert cramped.totals() == {RUN: 400}
    assert sum(error.many for error in errors) == 40
    assert len(cramped.store.events("ends")) == 1
    last = max(cramped.store.events("ledger"), key=lambda entry: entry.emitted)
    assert (last.emitted, last.dropped) == (440, dropped)


def test_a_flood_of_errors_that_nobody_takes_is_bounded_in_number_and_each_is_counted(cramped: Bench) -> None:
    for number in range(6_000):
        cramped.fail(f"number {number}")
        if number % 500 == 0:
            cramped.ship()
    cramped.phase("completed")
    cramped.end()
    cramped.ship()
    assert len(cramped.queue.events) <= 32
    cramped.up()
    report = cramped.ship(1.0)
    errors = cramped.store.events("errors")
    assert sum(error.many for error in errors) == 6_000
    assert len(errors) < 100
    assert {error.fingerprint for error in errors} == {"f00d"}
    assert any("[kept as one for " in error.message for error in errors)
    ledger = cramped.store.events("ledger")
    assert max(entry.emitted for entry in ledger) == 6_000
    assert max(entry.dropped for entry in ledger) == 6_000 - len(errors)
    assert report == DeliveryReport(sent=len(errors) + 3, dropped=6_000 - len(errors))


def test_memory_is_bounded_in_bytes_too(cramped: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_queue, "MOST_LONG_BYTES", 100_000)
    for _ in range(8):
        cramped.log(10, error="x" * 20_000)
        cramped.fail("y" * 60_000)
        cramped.ship()
    waiting = [len(raw[9] or "") for raw in cramped.queue.requests]
    waiting += [len(event.failure.message) for event in cramped.queue.events if isinstance(event, RawError)]
    assert sum(waiting) <= 2 * (100_000 + 60_000)
    cramped.up()
    cramped.ship(1.0)
    assert cramped.totals() == {RUN: 80}
    assert len(cramped.store.events("errors")) == 8


def test_sums_of_a_long_time_without_store_and_spool_are_bounded(
    cramped: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking_core.delivery.event_queue.MOST_CELLS", 20)
    cramped.ship()
    for _ in range(100):
        cramped.clock.us += 60_000_000
        cramped.log(10)
        cramped.ship()
    cramped.up()
    cramped.ship(1.0)
    assert cramped.totals() == {RUN: 1_000}
    assert max(len(batch.cells) for batch in cramped.store.batches) <= 60


def test_a_batch_that_a_store_may_have_seen_keeps_its_key_and_content(cramped: Bench) -> None:
    cramped.store.failing = {"write"}
    cramped.log(10)
    cramped.ship()
    tries = len(cramped.store.calls)
    for _ in range(20):
        cramped.log(10)
        cramped.ship()
    assert cramped.sender.unsent == 10
    assert len(cramped.store.calls) == tries, "the breaker leaves the store alone"
    cramped.up()
    cramped.ship(1.0)
    first = cramped.store.batches[0]
    assert (first.batch_seq, len(first.requests)) == (1, 10)


def test_a_full_spool_is_asked_again_when_the_store_was(cramped: Bench) -> None:
    cramped.log(4)
    cramped.ship()
    cramped.spool.full = False
    assert cramped.ship() == DeliveryReport()
    assert cramped.ship(1.0) == DeliveryReport(spooled=5)


def test_the_duration_of_a_run_does_not_count_how_long_its_end_waited(cramped: Bench) -> None:
    cramped.log(1)
    cramped.ship()
    cramped.clock.seconds += 5.0
    cramped.runs.end(RUN, cramped.clock.monotonic())
    cramped.end()
    cramped.ship(600.0)
    cramped.up()
    cramped.ship(60.0)
    assert cramped.store.events("ends")[0].duration_ms == 5_000


def test_leaving_puts_into_the_spool_what_waits_in_memory(cramped: Bench) -> None:
    cramped.log(4)
    cramped.ship()
    cramped.spool.full = False
    cramped.sender.leave()
    assert cramped.link.report == DeliveryReport(spooled=5)
    assert cramped.spool.closed == 1


def test_leaving_asks_a_store_once_more_and_sends_what_was_spooled_meanwhile(bench: Bench) -> None:
    bench.ship()
    bench.down()
    bench.log(3)
    bench.ship()
    bench.up()
    assert bench.ship().spooled == 3, "the breaker leaves the store alone"
    with deadlines.limit_thread(threading.get_ident(), time.monotonic() + 60):
        assert bench.ship() == DeliveryReport(sent=4)
    assert bench.spool.is_empty


def test_a_leaving_thread_hands_over_what_the_writer_has_in_its_hands_and_each_is_stored_once(bench: Bench) -> None:
    bench.ship()
    bench.log(SHIP_MOST + 3_500)
    bench.end()
    hands_over = threading.Event()
    goes_on = threading.Event()

    def slow(_batch: Batch) -> None:
        hands_over.set()
        assert goes_on.wait(30)

    bench.store.on_batch = slow
    writer = threading.Thread(target=bench.sender.send)
    writer.start()
    assert hands_over.wait(30)
    bench.sender.leave(time.monotonic() + 0.3)
    assert bench.link.report == DeliveryReport(sent=1, spooled=SHIP_MOST + 3_501)
    # It lives on after all, and replays what was handed over.
    goes_on.set()
    writer.join()
    assert bench.link.report == DeliveryReport(sent=SHIP_MOST + 3_502)
    assert bench.totals() == {RUN: SHIP_MOST + 3_500}
    assert sorted({row.seq for row in bench.store.events("requests")}) == list(range(1, SHIP_MOST + 3_501))
    closing = bench.store.events("ledger")[-1]
    assert (closing.emitted, closing.dropped) == (SHIP_MOST + 3_500, SHIP_MOST + 3_500)


@pytest.mark.parametrize("store_takes_it", [True, False])
def test_what_is_given_up_beside_the_writer_is_counted_where_the_writer_puts_it(
    bench: Bench, store_takes_it: bool
) -> None:
    bench.ship()
    bench.log(30)
    gives_up = threading.Event()
    goes_on = threading.Event()

    def slow(_batch: Batch) -> None:
        gives_up.set()
        assert goes_on.wait(30)
        if not store_takes_it:
            raise StoreUnavailable("down")

    bench.store.on_batch = slow
    writer = threading.Thread(target=bench.sender.send)
    writer.start()
    assert gives_up.wait(30)
    bench.spool.full = True
    bench.sender.leave(time.monotonic() + 0.3)
    assert bench.link.report == DeliveryReport(sent=1, dropped=30)
    bench.spool.full = False
    goes_on.set()
    writer.join()
    assert bench.link.report == (DeliveryReport(sent=31) if store_takes_it else DeliveryReport(sent=1, spooled=30))


def test_without_a_spool_a_leaving_process_sends_the_totals_and_the_words(bench: Bench) -> None:
    bench.ship()
    bench.spool.full = True
    bench.log(SHIP_MOST + 2_500)
    bench.end()
    with deadlines.limit_thread(threading.get_ident(), time.monotonic() - 1):
        bench.sender.send()
    bench.sender.leave(time.monotonic() + 60)
    assert bench.totals() == {RUN: SHIP_MOST + 2_500}
    assert [end.status for end in bench.store.events("ends")] == ["completed"]
    assert bench.store.events("requests") == []
    assert bench.link.report == DeliveryReport(sent=2, dropped=SHIP_MOST + 2_500)
    entry = bench.store.events("ledger")[-1]
    assert (entry.emitted, entry.dropped) == (SHIP_MOST + 2_500, SHIP_MOST + 2_500)


def test_the_end_of_a_run_carries_how_many_requests_were_accepted_before_it(bench: Bench) -> None:
    bench.log(3 * SHIP_MOST)
    bench.runs.end(RUN)
    bench.end()
    bench.ship()
    first = next(batch for batch in bench.store.batches if batch.ends)
    assert first.ledger[0].emitted == 3 * SHIP_MOST > len(first.requests)


def test_what_cannot_be_spooled_at_the_end_is_counted_as_dropped(cramped: Bench) -> None:
    cramped.log(4)
    cramped.ship()
    cramped.sender.leave()
    assert cramped.link.report == DeliveryReport(dropped=5)


def test_where_callers_wait_no_detail_is_given_up() -> None:
    bench = Bench("wait")
    bench.begin()
    bench.down()
    bench.spool.full = True
    bench.log(5 * SHIP_MOST, error="x" * 1_000)
    for _ in range(20):
        bench.ship()
    assert len(bench.queue.requests) + bench.sender.unsent == 5 * SHIP_MOST
    bench.up()
    for _ in range(30):
        bench.ship(1.0)
    assert len(bench.store.events("requests")) == 5 * SHIP_MOST
    assert bench.link.report == DeliveryReport(sent=5 * SHIP_MOST + 1)


def test_requests_that_found_no_room_are_counted_as_dropped_and_not_as_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracking_core.delivery.event_queue.MOST_REQUESTS", 10)
    bench.log(25)
    assert bench.ship() == DeliveryReport(sent=11, dropped=15)
    assert bench.totals() == {RUN: 25}
    assert [(entry.emitted, entry.dropped) for entry in bench.store.events("ledger")] == [(25, 15)]


# -- from within, and in a child ---------------------------------------------------------------------------------------


def test_a_call_from_within_does_not_disturb_the_batch_under_way(bench: Bench) -> None:
    bench.store.on_batch = lambda _batch: (bench.sender.send(), bench.sender.leave())  # type: ignore[func-returns-value]
    bench.log(3)
    assert bench.ship() == DeliveryReport(sent=4)
    assert bench.store.closed == 0


def test_a_forked_child_neither_uses_nor_closes_the_connection_and_counts_from_nothing(bench: Bench) -> None:
    bench.log(2)
    bench.ship()
    begin_in_child()
    assert bench.link.report == DeliveryReport()
    bench.log(1)
    bench.ship()
    assert (bench.store.opened, bench.store.closed) == (2, 0)
    parent, child = bench.store.batches[0], bench.store.batches[-1]
    assert parent.writer_id != child.writer_id
    assert (child.batch_seq, child.requests[0].seq) == (1, 1)


def test_a_count_of_a_source_is_sent(bench: Bench) -> None:
    bench.queue.event(RawCount(RUN, bench.clock.us, "contacts", 12))
    bench.ship()
    assert [(count.entity, count.items) for count in bench.store.events("source_counts")] == [("contacts", 12)]


def test_a_starved_process_that_leaves_hands_to_the_spool_what_it_has_no_time_to_send(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsent, "SLOW_BUILD_S", 0)
    monkeypatch.setattr(time, "thread_time", lambda: 0.0)
    bench.log(2 * SHIP_MOST)
    assert bench.ship() == DeliveryReport(sent=2 * SHIP_MOST + 1, spooled=0, dropped=0)
    bench.log(4 * SHIP_MOST)
    with deadlines.limit_thread(threading.get_ident(), time.monotonic() + 60):
        bench.ship()
        bench.sender.leave(time.monotonic() + 60)
    report = bench.link.report
    assert (report.sent + report.spooled, report.dropped) == (6 * SHIP_MOST + 1, 0)
    assert report.spooled >= 2 * SHIP_MOST
