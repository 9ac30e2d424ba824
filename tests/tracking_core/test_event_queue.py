"""The job's side of a buffered delivery: what is taken, what is given up beyond the bounds, who has to wait."""

import threading
from collections.abc import Callable

import pytest

from tests.support.waiting import wait_until
from tests.tracking_core.sample_batches import BEGAN_US, OTHER_RUN, RUN, start_of
from tracking_core.delivery import event_queue as module
from tracking_core.delivery.batches import LEFT_OUT, OTHER_ENDPOINTS
from tracking_core.delivery.event_queue import EventQueue
from tracking_core.events import RawCount, RawEnd, RawError, RawPhase, RawRequest
from tracking_core.failures import Failure
from tracking_core.process.forks import begin_in_child


def raw(page: int = 0, *, run_id: int = RUN, endpoint: str = "/a", error: str | None = None) -> RawRequest:
    return (run_id, BEGAN_US + page, endpoint, page, 10, 200, 3, 40.0, False, error)


def failure(message: str = "oops", traceback: str = "Traceback …", fingerprint: str = "f00d") -> Failure:
    return Failure(error_type="ValueError", message=message, traceback=traceback, fingerprint=fingerprint)


def error(message: str = "oops", traceback: str = "Traceback …", fingerprint: str = "f00d") -> RawError:
    return RawError(RUN, BEGAN_US, "load", failure(message, traceback, fingerprint))


def phase(status: str = "running", name: str = "extract", **processed: int) -> RawPhase:
    return RawPhase(RUN, BEGAN_US, name, status, {}, processed, None)


@pytest.fixture
def queue() -> EventQueue:
    return EventQueue(overload="aggregate")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> EventQueue:
    """Return a queue with room for four requests and six words."""
    monkeypatch.setattr(module, "MOST_REQUESTS", 4)
    monkeypatch.setattr(module, "MOST_EVENTS", 6)
    return EventQueue(overload="aggregate")


def is_woken(queue: EventQueue) -> bool:
    """Return whether the sender would look at once; it has looked then."""
    slept: list[float] = []

    class Signals:
        """What the sender waits for."""

        def get(self, timeout: float) -> None:
            slept.append(timeout)
            raise module.Empty

    woken = not queue._signals.empty()
    queue._signals = Signals()  # type: ignore[assignment]
    queue.rest(60.0)
    queue._signals = module.SimpleQueue()
    queue._awake = False
    return woken or slept == [0]


def test_requests_come_out_as_they_went_in(queue: EventQueue) -> None:
    given = [raw(page) for page in range(7)]
    for one in given:
        queue.request(one)
    assert queue.take_requests(5) == given[:5]
    assert queue.take_requests(5) == given[5:]
    assert queue.is_empty


def test_a_batch_s_worth_of_requests_wakes_the_shipper(queue: EventQueue) -> None:
    for page in range(500):
        queue.request(raw(page))
    assert queue._signals.empty()
    queue.request(raw(500))
    assert is_woken(queue)


def test_a_megabyte_of_texts_wakes_the_shipper(queue: EventQueue) -> None:
    for page in range(16):
        assert queue._signals.empty()
        queue.request(raw(page, error="x" * 65_536))
    assert is_woken(queue)


def test_a_megabyte_at_a_time_is_taken(queue: EventQueue) -> None:
    for page in range(40):
        queue.request(raw(page, error="x" * 60_000))
    assert len(queue.take_requests(500)) == 18


@pytest.mark.parametrize("word", [start_of(), RawEnd(RUN, 0, "completed", None, "job")], ids=["start", "end"])
def test_a_start_and_an_end_wake_the_shipper_even_if_it_was_at_work(queue: EventQueue, word: object) -> None:
    queue._awake = True
    queue.event(word)  # type: ignore[arg-type]
    assert is_woken(queue)


def test_other_words_wait_for_their_turn(queue: EventQueue) -> None:
    for word in (phase(), error(), RawCount(RUN, 0, "contacts", 3)):
        queue.event(word)
    assert not is_woken(queue)
    assert queue.take_events(10) == [phase(), error(), RawCount(RUN, 0, "contacts", 3)]


def test_a_shipper_that_works_is_not_told_again_and_again(small: EventQueue) -> None:
    small.rest(0)
    for page in range(1000):
        small.request(raw(page))
    assert small._signals.qsize() <= 1


# -- no room: aggregate ------------------------------------------------------------------------------------------------


def test_beyond_the_bound_requests_lose_their_detail_and_are_counted(small: EventQueue) -> None:
    for page in range(10):
        small.request(raw(page, endpoint=f"/{page % 2}"))
    assert len(small.requests) == 4
    aggregate = small.take_aggregate()
    assert aggregate is not None
    assert {key.endpoint: cell.requests for key, cell in aggregate.cells.items()} == {"/0": 3, "/1": 3}
    assert sum(cell.items for cell in aggregate.cells.values()) == 6 * 3
    assert small.take_aggregate() is None


def test_what_is_added_up_lands_in_the_store_s_time(small: EventQueue) -> None:
    small.offset_us = 3_600_000_000
    for page in range(5):
        small.request(raw(page))
    aggregate = small.take_aggregate()
    assert aggregate is not None
    (key,) = aggregate.cells
    assert key.bucket * 1_000_000 >= BEGAN_US + 3_590_000_000


def test_very_many_endpoints_become_one(small: EventQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 3)
    for page in range(20):
        small.request(raw(0, endpoint=f"/{page}"))
    aggregate = small.take_aggregate()
    assert aggregate is not None
    assert {key.endpoint for key in aggregate.cells} == {"/4", "/5", "/6", OTHER_ENDPOINTS}
    assert sum(cell.requests for cell in aggregate.cells.values()) == 16


def test_a_flood_of_errors_is_counted_by_kind_while_all_other_words_are_kept(small: EventQueue) -> None:
    for number in range(20):
        small.event(error(f"{number}", "t" * 1_000, fingerprint=f"kind {number % 2}"))
    for name in ("extract", "load"):
        small.event(phase("completed", name))
    assert [type(word) for word in small.events] == [RawError] * 6 + [RawPhase] * 2
    aggregate = small.take_aggregate()
    assert aggregate is not None
    assert {kind: (one.failure.message, many) for (_, _, kind), (one, many) in aggregate.errors.items()} == {
        "kind 0": ("6", 7),
        "kind 1": ("7", 7),
    }
    assert {one.failure.traceback for one, _ in aggregate.errors.values()} == {LEFT_OUT}
    assert small.take_aggregate() is None


def test_errors_of_very_many_kinds_are_counted_by_their_run(small: EventQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KINDS", 3)
    for number in range(20):
        small.event(error(fingerprint=f"kind {number}"))
    aggregate = small.take_aggregate()
    assert aggregate is not None
    assert sorted(many for _, many in aggregate.errors.values()) == [1, 1, 1, 11]


def test_long_texts_are_bounded_in_bytes(queue: EventQueue) -> None:
    for page in range(300):
        queue.request(raw(page, error="x" * 60_000))
    waiting = sum(len(one[9] or "") for one in queue.requests)
    assert module.MOST_LONG_BYTES - 65_536 <= waiting <= module.MOST_LONG_BYTES
    aggregate = queue.take_aggregate()
    assert aggregate is not None
    assert sum(cell.requests for cell in aggregate.cells.values()) == 300 - len(queue.requests)
    while queue.take_requests(500):
        pass
    assert queue._long_bytes == 0


def test_no_text_is_kept_longer_than_a_store_keeps_it(queue: EventQueue) -> None:
    queue.request(raw(error="x" * 10_000_000, endpoint="/" * 10_000))
    queue.event(error("y" * 10_000_000, "z" * 10_000_000))
    (request,), (word,) = queue.take_requests(1), queue.take_events(1)
    assert len(request[9] or "") <= 65_536
    assert len(request[2]) <= 1024
    assert isinstance(word, RawError)
    assert len(word.failure.message) <= 65_536
    assert len(word.failure.traceback) <= 65_536


def test_errors_are_never_given_up_but_shortened_when_very_many_wait(
    queue: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LONG_BYTES", 10_000)
    for _ in range(50):
        queue.event(error("m" * 500, "t" * 4_000))
    words = queue.take_events(100)
    assert len(words) == 50
    short = [word for word in words if isinstance(word, RawError) and word.failure.traceback == LEFT_OUT]
    assert len(short) >= 45
    assert {word.failure.message for word in short} == {"m" * 200}
    assert {word.failure.fingerprint for word in short} == {"f00d"}
    assert queue._event_bytes == 0


def test_words_that_a_later_one_says_again_are_left_out_when_very_many_wait(small: EventQueue) -> None:
    small.event(start_of())
    for step in range(1, 4):
        small.event(phase(contacts=step))
        small.event(RawCount(RUN, step, "contacts", step))
    small.event(error())
    words = small.take_events(100)
    # What came when there was no room any more is looked at the next time.
    late = [RawCount(RUN, 3, "contacts", 3), error()]
    assert words == [start_of(), phase(contacts=3), RawCount(RUN, 2, "contacts", 2), *late]


def test_the_units_of_a_phase_s_words_are_put_together(small: EventQueue) -> None:
    small.event(phase(contacts=1)._replace(totals={"contacts": 9}, memory_mb=7.0))
    for step in range(6):
        small.event(phase(deals=step))
    word, _ = small.take_events(100)
    assert isinstance(word, RawPhase)
    assert (word.totals, word.processed, word.memory_mb) == ({"contacts": 9}, {"contacts": 1, "deals": 4}, 7.0)


def test_a_phase_s_end_and_its_new_beginning_are_never_left_out(small: EventQueue) -> None:
    said = ["running", "running", "completed", "running", "running", "failed", "running"]
    for status in said:
        small.event(phase(status))
    assert [word.status for word in small.take_events(100) if isinstance(word, RawPhase)] == [
        "running",
        "completed",
        "running",
        "failed",
        "running",
    ]


def test_words_that_cannot_be_left_out_are_kept_beyond_the_bound(small: EventQueue) -> None:
    for number in range(40):
        small.event(phase("completed", name=f"part {number}"))
    assert len(small.take_events(100)) == 40


# -- no room: wait -----------------------------------------------------------------------------------------------------


class Writer(threading.Thread):
    """A thread that takes what waits once `go` is set."""

    def __init__(self, queue: EventQueue, take: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.go = threading.Event()
        self.take = take
        queue.writer = self

    def run(self) -> None:
        self.go.wait(20)
        self.take()


@pytest.fixture
def waiting(small: EventQueue) -> EventQueue:
    """Return a small queue whose callers wait."""
    return EventQueue(overload="wait")


def test_a_caller_waits_for_room_and_nothing_is_lost(waiting: EventQueue) -> None:
    taken: list[RawRequest] = []

    def drain() -> None:
        while len(taken) < 40:
            taken.extend(waiting.take_requests(3))

    sender = Writer(waiting, drain)
    sender.start()
    caller = threading.Thread(target=lambda: [waiting.request(raw(page)) for page in range(40)])
    caller.start()
    wait_until(lambda: len(waiting.requests) == 4, "the queue is full")
    assert caller.is_alive()
    sender.go.set()
    caller.join(20)
    sender.join(20)
    assert taken == [raw(page) for page in range(40)]
    assert waiting.take_aggregate() is None


def test_a_waiting_caller_is_told_of_room_and_does_not_find_it_by_chance(
    waiting: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT_STEP_S", 3600.0)
    sender = Writer(waiting, lambda: waiting.take_requests(1))
    sender.start()
    for page in range(4):
        waiting.request(raw(page))
    caller = threading.Thread(target=waiting.request, args=(raw(4),), daemon=True)
    caller.start()
    sender.go.set()
    caller.join(20)
    assert not caller.is_alive()


def test_nobody_waits_where_nobody_can_make_room(waiting: EventQueue) -> None:
    for page in range(10):
        waiting.request(raw(page))
    waiting.writer = threading.current_thread()
    waiting.request(raw(10))
    dead = Writer(waiting, lambda: None)
    dead.go.set()
    dead.start()
    dead.join()
    waiting.request(raw(11))
    assert len(waiting.requests) == 12


def test_nobody_waits_while_the_process_leaves(waiting: EventQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Writer(waiting, lambda: None)
    sender.start()
    monkeypatch.setattr(module.deadlines, "is_leaving", lambda: True)
    for page in range(6):
        waiting.request(raw(page))
    assert len(waiting.requests) == 6
    sender.go.set()


def test_errors_wait_for_room_too_and_keep_their_text(waiting: EventQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LONG_BYTES", 5_000)
    words: list[object] = []

    def drain() -> None:
        while len(words) < 20:
            words.extend(waiting.take_events(2))

    sender = Writer(waiting, drain)
    sender.start()
    sender.go.set()
    for _ in range(20):
        waiting.event(error("m" * 300, "t" * 2_000))
    sender.join(20)
    assert words == [error("m" * 300, "t" * 2_000)] * 20


# -- from within -------------------------------------------------------------------------------------------------------


def test_a_call_from_within_is_counted_exactly(small: EventQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in range(4):
        small.request(raw(page))
    add, nested = module.Aggregate.with_more, [raw(50), raw(51)]

    def interrupted(aggregate: module.Aggregate, raws: list[RawRequest | RawError], offset_us: int) -> module.Aggregate:
        # A `__del__` comes between the reading and the writing of a count.
        while nested:
            small.request(nested.pop())
        return add(aggregate, raws, offset_us)

    monkeypatch.setattr(module, "FOLD_FROM", 1)
    monkeypatch.setattr(module.Aggregate, "with_more", interrupted)
    small.request(raw(4))
    aggregate = small.take_aggregate()
    assert aggregate is not None
    assert sum(cell.requests for cell in aggregate.cells.values()) == 3


def test_a_forked_child_begins_empty(small: EventQueue) -> None:
    for page in range(9):
        small.request(raw(page))
    small.event(error())
    begin_in_child()
    assert small.is_empty
    assert small.writer is None
    small.request(raw(run_id=OTHER_RUN))
    assert small.take_requests(9) == [raw(run_id=OTHER_RUN)]
