"""Immediate delivery: one connection an operation, exact events, and nothing that a store does reaches the job."""

import logging
import math
import threading
import time
from collections.abc import Callable

import pytest

from tests.support.clocks import ManualClock
from tests.support.fake_store import FakeStore
from tests.tracking_core.memory_spool import MemorySpool
from tracking_core import ETLRunContext, SimpleETLTracker
from tracking_core.delivery.counts import Replay
from tracking_core.delivery.immediate import ImmediateDelivery
from tracking_core.delivery.run_registry import RunRegistry
from tracking_core.delivery.store_link import Breaker, StoreLink
from tracking_core.errors import RowBlocked, RowRejected, StoreRefused, StoreUnavailable
from tracking_core.events import Batch, RawCount, RawEnd, RawPhase, RawRequest, Receipt, RunStart
from tracking_core.process import deadlines
from tracking_core.records import DeliveryReport
from tracking_core.switch import TrackingSwitch

HOUR_US = 3_600_000_000
EMPTY_CFG = "sqlite:////nowhere.db"


@pytest.fixture
def tracker(fake_store: FakeStore) -> SimpleETLTracker:
    return SimpleETLTracker(EMPTY_CFG)


def start_of(run_id: int, started_us: int = 0) -> RunStart:
    return RunStart(
        run_id=run_id,
        job="job",
        notes=None,
        tags={},
        started_us=started_us,
        host="h",
        pid=1,
        boot_id="",
        username="u",
        command="c",
        code_version="",
        tracker_version="0",
    )


def request(tracker: SimpleETLTracker, run_id: int | None) -> bool:
    return tracker.log_request(run_id, "/contacts", 0, 100, 200, 50, 120)


OPERATIONS: dict[str, tuple[Callable[[SimpleETLTracker, int | None], object], object]] = {
    "start_run": (lambda t, run_id: type(t.start_run("x")), int),
    "end_run": (lambda t, run_id: t.end_run(run_id, True, "done"), False),
    "log_request": (request, False),
    "log_source_count": (lambda t, run_id: t.log_source_count(run_id, "contacts", 5), False),
    "log_phase": (lambda t, run_id: t.log_phase(run_id, "extract", "running", totals={"a": 1}), False),
    "log_error": (lambda t, run_id: t.log_error(run_id, ValueError("x")), False),
    "attach": (lambda t, run_id: t.attach(run_id or 0).log_error("x"), False),
    "get_run_metrics": (lambda t, run_id: t.get_run_metrics(run_id), None),
    "get_recent_runs": (lambda t, run_id: t.get_recent_runs(), []),
    "cleanup_old_runs": (lambda t, run_id: t.cleanup_old_runs(0), 0),
    "flush": (lambda t, run_id: t.flush(), DeliveryReport(sent=1)),
    "close": (lambda t, run_id: t.close(), None),
}
FAULTS = [StoreUnavailable("down"), RowRejected("odd"), KeyError("a bug")]
VERBS = [
    "*",
    "writer",
    "write",
    "reader",
    "recent_runs",
    "one_view",
    "run",
    "administration",
    "cleanup",
    "switched_off",
]


@pytest.mark.parametrize(("operation", "nothing"), OPERATIONS.values(), ids=OPERATIONS.keys())
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_no_store_fault_leaves_any_method(
    tracker: SimpleETLTracker,
    fake_store: FakeStore,
    operation: Callable[[SimpleETLTracker, int | None], object],
    nothing: object,
    fault: Exception,
) -> None:
    run_id = tracker.start_run("a job")
    fake_store.fault = fault
    for verb in reversed(VERBS):
        fake_store.failing = {verb}
        result = operation(tracker, run_id)
    # The last one failed in every verb.
    assert result == nothing


def test_a_clean_up_that_fails_midway_says_what_it_removed(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    assert tracker.cleanup_old_runs(0) == 3
    fake_store.failing = {"cleanup second step"}
    assert tracker.cleanup_old_runs(0) == 2


@pytest.mark.parametrize("verb", VERBS)
def test_no_store_fault_leaves_is_enabled_which_then_says_on(fake_store: FakeStore, verb: str) -> None:
    fake_store.failing = {verb}
    assert SimpleETLTracker(EMPTY_CFG).is_enabled()


def test_a_store_that_cannot_even_be_opened_does_not_break_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_store(_cfg: object) -> FakeStore:
        raise ImportError("no driver")

    monkeypatch.setattr("tracking_core.store.open_store", open_store)
    tracker = SimpleETLTracker("postgresql://db/x")
    with ETLRunContext(tracker, "without a driver") as run:
        assert run.run_id is not None
        assert run.log_request("/a", 0, 1, 200, 1, 1)
    assert run.success


def test_ctrl_c_during_an_operation_reaches_the_job(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    fake_store.fault, fake_store.failing = KeyboardInterrupt(), {"write"}
    with pytest.raises(KeyboardInterrupt):
        tracker.start_run("interrupted")
    assert fake_store.closed == fake_store.opened == 1


@pytest.mark.parametrize(
    "failing", [set(), {"write"}, {"close"}, {"write", "close"}], ids=["nothing", "writing", "closing", "both"]
)
def test_each_operation_opens_one_connection_and_closes_it_on_every_path(
    tracker: SimpleETLTracker, fake_store: FakeStore, failing: set[str]
) -> None:
    run_id = tracker.start_run("connections")
    fake_store.failing = failing
    for operation in ("log_request", "log_source_count", "log_phase", "log_error", "end_run"):
        before = fake_store.opened
        OPERATIONS[operation][0](tracker, run_id)
        assert fake_store.opened == before + 1
        assert fake_store.closed == fake_store.opened


def test_a_connection_that_fails_to_close_loses_nothing_that_was_committed(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    run_id = tracker.start_run("closing")
    fake_store.failing = {"close"}
    assert request(tracker, run_id)


def test_an_event_the_store_does_not_take_is_not_recorded(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("down")
    fake_store.failing = {"write"}
    assert not request(tracker, run_id)
    assert tracker.flush() == DeliveryReport(sent=1, dropped=1)


def test_a_run_has_its_id_while_the_store_is_down_and_is_stored_with_its_first_event_after(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    fake_store.failing = {"writer"}
    run_id = tracker.start_run("born in the dark")
    assert run_id is not None
    fake_store.failing = set()
    assert request(tracker, run_id)
    assert [start.run_id for start in fake_store.batches[0].starts] == [run_id]


def test_a_start_goes_along_until_a_receipt_confirms_it_and_with_every_end(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    run_id = tracker.start_run("confirmed")
    request(tracker, run_id)
    tracker.end_run(run_id, True)
    assert [len(batch.starts) for batch in fake_store.batches] == [1, 0, 1]


def test_a_foreign_run_must_be_known_to_the_store(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    assert not request(tracker, 12345)
    assert not tracker.attach(12345).log_source_count("contacts", 1)
    fake_store.known.add(12345)
    assert request(tracker, 12345)
    assert all(not batch.starts for batch in fake_store.batches)


def test_requests_and_errors_share_one_gapless_sequence_per_run(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    first, second = tracker.start_run("one"), tracker.start_run("two")
    request(tracker, first)
    tracker.log_error(first, "oops")
    request(tracker, second)
    request(tracker, first)
    assert [(row.run_id, row.seq) for row in fake_store.events("requests")] == [(first, 1), (second, 1), (first, 3)]
    assert [(row.run_id, row.seq) for row in fake_store.events("errors")] == [(first, 2)]


def test_what_a_store_did_not_take_leaves_a_gap_that_the_end_s_ledger_shows(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    run_id = tracker.start_run("gap")
    request(tracker, run_id)
    fake_store.failing = {"write"}
    request(tracker, run_id)
    fake_store.failing = set()
    request(tracker, run_id)
    tracker.end_run(run_id, True)
    assert [row.seq for row in fake_store.events("requests")] == [1, 3]
    assert [(entry.run_id, entry.emitted) for entry in fake_store.events("ledger")] == [(run_id, 0), (run_id, 3)]


def test_two_trackers_are_two_writers(fake_store: FakeStore) -> None:
    for _ in range(2):
        SimpleETLTracker(EMPTY_CFG).start_run("writer")
    assert len({batch.writer_id for batch in fake_store.batches}) == 2
    assert all(batch.batch_seq is None for batch in fake_store.batches)


def test_sequence_numbers_are_exact_under_threads(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("threads")
    threads = [
        threading.Thread(target=lambda: [request(tracker, run_id) for _ in range(200)], name=f"job {number}")
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.seq for row in fake_store.events("requests")) == list(range(1, 1601))
    assert tracker.flush().sent == 1601


def test_a_request_s_cells_say_what_its_row_says(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("cells")
    tracker.log_request(run_id, "/a", 0, 10, 429, 0, 80)
    (key, cell), *others = fake_store.batches[-1].cells.items()
    assert others == []
    assert (key.run_id, key.endpoint) == (run_id, "/a")
    assert (cell.requests, cell.throttled, cell.failed, cell.duration_ms) == (1, 1, 0, 80)


def test_one_warning_a_change_and_one_word_when_it_works_again(
    tracker: SimpleETLTracker, fake_store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tracking_core")
    run_id = tracker.start_run("flapping")
    fake_store.failing = {"write"}
    for _ in range(20):
        request(tracker, run_id)
    fake_store.failing = set()
    for _ in range(20):
        request(tracker, run_id)
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("tracking_core", "WARNING"),
        ("tracking_core", "INFO"),
    ]
    assert "nobody answers" in caplog.messages[0]
    assert "the fake store" in caplog.messages[0]


def test_another_kind_of_fault_is_said_too(
    tracker: SimpleETLTracker, fake_store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    fake_store.failing = {"write"}
    run_id = tracker.start_run("changing faults")
    fake_store.fault = StoreRefused("password authentication failed")
    request(tracker, run_id)
    request(tracker, run_id)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_a_refused_run_is_said_once(
    tracker: SimpleETLTracker, caplog: pytest.LogCaptureFixture, fake_store: FakeStore
) -> None:
    for _ in range(5):
        request(tracker, 12345)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the store does not hold it" in caplog.text


def test_a_job_without_logging_hears_nothing(
    tracker: SimpleETLTracker, fake_store: FakeStore, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    fake_store.failing = {"write"}
    tracker.start_run("quiet")
    assert capfd.readouterr() == ("", "")


def test_a_log_handler_that_raises_or_records_through_the_tracker_does_no_harm(
    tracker: SimpleETLTracker, fake_store: FakeStore
) -> None:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tracker.log_error(run_id, record.getMessage())
            raise RuntimeError("a broken handler")

    handler = Handler()
    run_id = tracker.start_run("handler")
    logging.getLogger("tracking_core").addHandler(handler)
    try:
        fake_store.failing = {"write"}
        assert not request(tracker, run_id)
    finally:
        logging.getLogger("tracking_core").removeHandler(handler)


def test_a_number_out_of_range_is_marked_in_its_row_and_said_once(
    tracker: SimpleETLTracker, fake_store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = tracker.start_run("numbers")
    for _ in range(3):
        assert tracker.log_request(run_id, "/a", 2**63, 10, 200, float("nan"), -3.0)  # type: ignore[arg-type]
    row = fake_store.events("requests")[0]
    assert (row.page_offset, row.items, row.duration_ms) == (2**63 - 1, 0, 0)
    assert row.error == (
        "[adjusted] offset was 9.22337e+18, stored as 9223372036854775807; "
        "count was nan, stored as 0; duration was -3, stored as 0"
    )
    assert not row.failed
    assert len(caplog.records) == 1


def test_a_mark_does_not_hide_an_error(tracker: SimpleETLTracker, fake_store: FakeStore) -> None:
    run_id = tracker.start_run("numbers")
    tracker.log_request(run_id, "/a", 0, 10, 200, 1, float("inf"), error="cut off")
    row = fake_store.events("requests")[0]
    assert row.error is not None
    assert row.error.startswith("cut off\n[adjusted] duration was inf")
    assert row.failed


class Kept:
    """A spool that takes everything."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

        self.blocked: list[Batch] = []
        self.aside: list[Batch] = []

    is_empty = True
    """Nothing is replayed from here."""

    def take_blocked(self, batch: Batch) -> bool:
        self.blocked.append(batch)
        return True

    def set_aside(self, batch: Batch) -> bool:
        self.aside.append(batch)
        return True

    def take(self, batch: Batch, *, again: bool = False) -> bool:
        self.batches.append(batch)
        return True

    def replay(
        self,
        write: Callable[[Batch], Receipt],
        *,
        until: float | None = None,
        others: bool = True,
        outcome: Replay | None = None,
    ) -> Replay:
        return Replay()

    def close(self) -> None:
        """Keep all."""


class Bench:
    """An immediate delivery on a bench: every part of it at hand."""

    def __init__(self) -> None:
        self.store, self.clock, self.spool, self.switch = FakeStore(), ManualClock(), Kept(), TrackingSwitch({})
        self.memory = MemorySpool()
        self.link = StoreLink(
            lambda: self.store,  # type: ignore[arg-type, return-value]
            deadline=1,
            switch=self.switch,
            clock=self.clock,
            make_spool=lambda: self.spool,
        )
        self.delivery = ImmediateDelivery(self.link)

    def begin(self, run_id: int) -> bool:
        return self.delivery.begin(start_of(run_id, self.clock.us))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_spool_takes_what_an_unreachable_store_does_not(bench: Bench) -> None:
    bench.store.failing = {"writer"}
    assert bench.begin(5)
    assert bench.delivery.request((5, 0, "/a", 0, 1, 200, 1, 1, False, None))
    assert bench.delivery.end(RawEnd(5, 0, "completed", None, "job"))
    assert [len(batch.starts) for batch in bench.spool.batches] == [1, 1, 1]
    assert bench.delivery.flush(None) == DeliveryReport(spooled=3)


def test_a_row_that_was_rejected_for_its_values_is_not_spooled(bench: Bench) -> None:
    bench.begin(5)
    bench.store.failing, bench.store.fault = {"write"}, RowRejected("odd")
    assert not bench.delivery.request((5, 0, "/a", 0, 1, 200, 1, 1, False, None))
    assert bench.spool.batches == []
    assert len(bench.spool.aside) == 1
    assert bench.delivery.flush(1).dropped == 1


def test_a_row_that_a_rule_stops_waits_apart(bench: Bench) -> None:
    bench.begin(5)
    bench.store.failing, bench.store.fault = {"write"}, RowBlocked("a trigger")
    assert bench.delivery.request((5, 0, "/a", 0, 1, 200, 1, 1, False, None))
    assert (len(bench.spool.batches), len(bench.spool.blocked)) == (0, 1)
    bench.store.failing = set()
    assert bench.delivery.request((5, 0, "/b", 0, 1, 200, 1, 1, False, None))
    assert bench.delivery.flush(1) == DeliveryReport(sent=2, spooled=1)


def test_nothing_is_spooled_while_the_switch_was_last_seen_off(bench: Bench) -> None:
    bench.begin(5)
    bench.store.off = frozenset({"job"})
    bench.delivery.event(RawCount(5, 0, "contacts", 3))
    bench.store.failing = {"writer"}
    assert not bench.delivery.event(RawCount(5, 0, "contacts", 3))
    assert bench.spool.batches == []


def test_events_carry_the_store_s_clock_once_it_was_measured(bench: Bench) -> None:
    bench.store.store_us = bench.clock.us + HOUR_US
    bench.begin(5)
    bench.delivery.request((5, bench.clock.us, "/a", 0, 1, 200, 1, 1, False, None))
    assert bench.store.events("requests")[0].at_us == bench.clock.us + HOUR_US
    bench.begin(6)
    later = bench.store.events("starts")[-1]
    assert (later.started_us, later.clock_offset_ms) == (bench.clock.us + HOUR_US, 3_600_000)


def test_a_difference_within_the_network_s_noise_is_no_offset(bench: Bench) -> None:
    bench.store.store_us = bench.clock.us + 20_000
    bench.begin(5)
    bench.begin(6)
    assert bench.store.events("starts")[-1].clock_offset_ms == 0


def test_durations_are_the_monotonic_clock_s_when_the_wall_clock_steps(bench: Bench) -> None:
    bench.begin(5)
    bench.clock.seconds += 12.3456
    bench.clock.us -= HOUR_US
    bench.delivery.end(RawEnd(5, bench.clock.us, "completed", None, "job"))
    assert bench.store.events("ends")[0].duration_ms == 12_346


def test_the_duration_of_a_foreign_run_is_left_to_the_store(bench: Bench) -> None:
    bench.store.known.add(9)
    bench.delivery.end(RawEnd(9, 0, "completed", None, "job"))
    assert bench.store.events("ends")[0].duration_ms is None


def test_a_phase_s_later_word_wins_although_the_clock_stepped_back(bench: Bench) -> None:
    bench.begin(5)
    now = bench.clock.us
    bench.delivery.event(RawPhase(5, now, "extract", "running", {"a": 10}, {}, 10.0))
    bench.delivery.event(RawPhase(5, now - HOUR_US, "extract", "running", {}, {"a": 4}, 30.0))
    bench.delivery.event(RawPhase(5, now - HOUR_US, "load", "pending", {}, {}, None))
    bench.delivery.event(RawPhase(5, now - HOUR_US, "extract", "completed", {}, {"a": 10}, 20.0))
    first, second, other, last = bench.store.events("phases")
    assert first.at_us < second.at_us < other.at_us < last.at_us
    assert (first.position, other.position, last.position) == (1, 2, 1)
    assert last.started_us == first.started_us == now
    assert (first.ended_us, last.ended_us) == (None, last.at_us)
    assert (other.started_us, other.ended_us) == (None, None)
    assert first.counters == {"a": {"place": 0, "total": 10}}
    assert second.counters == {"a": {"place": 0, "processed": 4}}
    assert (last.memory_mb, last.peak_memory_mb) == (20.0, 30.0)


def test_a_phase_run_again_starts_again(bench: Bench) -> None:
    bench.begin(5)
    for at_us, status in ((10, "running"), (20, "completed"), (30, "running")):
        bench.delivery.event(RawPhase(5, at_us, "extract", status, {}, {}, None))
    assert [change.started_us for change in bench.store.events("phases")] == [10, 10, 30]


def test_positions_in_a_foreign_run_are_the_store_s_to_give(bench: Bench) -> None:
    bench.store.known.add(9)
    bench.delivery.event(RawPhase(9, 0, "load", "running", {}, {}, None))
    assert bench.store.events("phases")[0].position is None


def test_a_long_lived_process_does_not_remember_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracking_core.delivery.run_registry.MOST_ENDED_RUNS", 3)
    runs = RunRegistry()
    for run_id in range(1, 6):
        runs.begin(start_of(run_id), 0.0).seq = 7
        runs.end(run_id)
    assert (runs.state(5).seq, runs.state(5).writer_id) == (7, runs.writer_id)
    forgotten = runs.state(1)
    assert (forgotten.seq, forgotten.start) == (0, None)
    assert forgotten.writer_id != runs.writer_id


# -- the spool and what comes back from it -----------------------------------------------------------------------------


@pytest.fixture
def spooling(bench: Bench) -> Bench:
    """Return a bench whose spool gives back what it took, and whose breaker lets every call through."""
    bench.spool = bench.memory  # type: ignore[assignment]
    bench.link.breaker = Breaker(lambda: 1.0)
    return bench


def raw(run_id: int = 5) -> RawRequest:
    return (run_id, 0, "/a", 0, 1, 200, 1, 1.0, False, None)


def test_what_was_spooled_is_sent_with_the_next_call_and_counted_once(spooling: Bench) -> None:
    spooling.store.failing = {"write"}
    spooling.begin(5)
    spooling.delivery.request(raw())
    assert spooling.delivery.flush(None) == DeliveryReport(spooled=2)
    spooling.store.failing = set()
    spooling.clock.seconds += 60
    spooling.delivery.request(raw())
    assert spooling.delivery.flush(None) == DeliveryReport(sent=3)
    assert spooling.memory.is_empty


def test_a_run_whose_start_came_through_the_spool_is_known_from_then_on(spooling: Bench) -> None:
    spooling.store.failing = {"write"}
    spooling.begin(5)
    spooling.store.failing = set()
    spooling.clock.seconds += 60
    assert spooling.delivery.flush(None) == DeliveryReport(sent=1)
    spooling.delivery.request(raw())
    assert [len(batch.starts) for batch in spooling.store.batches] == [1, 0]


def test_spooled_events_of_a_removed_run_are_lost_and_counted(spooling: Bench) -> None:
    spooling.begin(5)
    spooling.store.failing = {"write"}
    spooling.delivery.request(raw())
    spooling.store.failing = set()
    spooling.store.known.clear()
    spooling.clock.seconds += 60
    assert spooling.delivery.flush(None) == DeliveryReport(sent=1, dropped=1)


def test_a_second_end_changes_nothing_and_asks_nobody(spooling: Bench) -> None:
    spooling.begin(5)
    spooling.store.failing = {"write"}
    assert spooling.delivery.end(RawEnd(5, 0, "completed", None, "job"))
    calls = len(spooling.store.calls)
    assert not spooling.delivery.end(RawEnd(5, 0, "failed", None, "job"))
    assert len(spooling.store.calls) == calls
    assert len(spooling.memory.batches) == 1


def test_the_end_s_ledger_says_how_many_events_nobody_took(spooling: Bench) -> None:
    spooling.begin(5)
    spooling.memory.full = True
    spooling.store.failing = {"write"}
    for _ in range(3):
        assert not spooling.delivery.request(raw())
    spooling.store.failing = set()
    spooling.clock.seconds += 60
    spooling.delivery.end(RawEnd(5, 0, "completed", None, "job"))
    (entry,) = [entry for entry in spooling.store.events("ledger") if entry.emitted]
    assert (entry.emitted, entry.dropped) == (3, 3)


@pytest.mark.parametrize("attached", [False, True])
def test_what_nobody_took_after_a_run_s_end_is_told_when_leaving(spooling: Bench, attached: bool) -> None:
    if attached:
        spooling.delivery.attach(5)
    else:
        spooling.begin(5)
        spooling.delivery.end(RawEnd(5, 0, "completed", None, "job"))
    spooling.memory.full = True
    spooling.store.failing = {"write"}
    for _ in range(3):
        assert not spooling.delivery.request(raw())
    spooling.store.failing = set()
    spooling.clock.seconds += 60
    for _ in range(2):
        spooling.delivery.leave(time.monotonic() + 5)
    *_, entry = spooling.store.events("ledger")
    assert (entry.run_id, entry.emitted, entry.dropped) == (5, 3, 3)
    assert sum(entry.dropped > 0 for entry in spooling.store.events("ledger")) == 1


def test_after_ctrl_c_the_store_is_tried_again(spooling: Bench) -> None:
    spooling.begin(5)
    spooling.store.failing, spooling.store.fault = {"write"}, KeyboardInterrupt()
    for _ in range(3):
        spooling.clock.seconds += 60
        with pytest.raises(KeyboardInterrupt):
            spooling.delivery.request(raw())
    spooling.store.failing = set()
    spooling.clock.seconds += 60
    assert spooling.delivery.request(raw())
    # What was interrupted is recorded too: it was spooled, and replayed by the call that worked.
    assert sorted(row.seq for row in spooling.store.events("requests")) == [1, 2, 3, 4]


def test_the_store_is_asked_for_its_clock_once(spooling: Bench) -> None:
    spooling.store.store_us = spooling.clock.us
    spooling.begin(5)
    for _ in range(5):
        spooling.delivery.request(raw())
    assert spooling.store.calls.count("hello") == 1


def test_the_first_run_s_start_carries_the_store_s_clock_already(spooling: Bench) -> None:
    spooling.store.store_us = spooling.clock.us + HOUR_US
    spooling.begin(5)
    (start,) = spooling.store.events("starts")
    assert (start.started_us, start.clock_offset_ms) == (spooling.clock.us + HOUR_US, 3_600_000)


def test_one_deadline_holds_for_all_that_a_call_does(spooling: Bench) -> None:
    left: list[float] = []
    spooling.store.on_batch = lambda _batch: left.append(deadlines.moment(math.inf) - time.monotonic())
    spooling.begin(5)
    spooling.delivery.request(raw())
    spooling.delivery.end(RawEnd(5, 0, "completed", None, "job"))
    assert len(left) == 3
    # The bench's deadline is a second, however many operations a call is made of.
    assert all(0 < seconds <= 1 for seconds in left)
    assert deadlines.moment(math.inf) == math.inf
