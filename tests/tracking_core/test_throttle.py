"""Progress is told at a pace, all of it in the end, and never after a later state."""

import threading
from collections.abc import Callable

import pytest

from tests.support.clocks import ManualClock
from tests.support.fake_store import FakeStore
from tracking_core import ETLContext, ETLRunContext, SimpleETLTracker
from tracking_core.etl.context import PROGRESS_INTERVAL_S
from tracking_core.process.forks import begin_in_child
from tracking_core.process.heartbeat import REPORT_AFTER_S, Heartbeat, HeartbeatSettings, Throttle
from tracking_core.run_context import PhaseContext
from tracking_core.switch import TrackingSwitch


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(seconds=100.0)


@pytest.fixture
def heartbeat(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    """Return the heartbeat of the process, whose turns the test takes; no thread runs."""
    monkeypatch.setattr(Heartbeat, "_run", lambda _self: True)
    heartbeat = Heartbeat(clock.monotonic)
    for module in ("process.heartbeat", "tracker", "process.exit"):
        monkeypatch.setattr(f"tracking_core.{module}.heartbeat", heartbeat)
    return heartbeat


class Phase:
    """A phase that counts, and remembers what was told of it."""

    def __init__(self, clock: ManualClock, interval_s: float = 1.0) -> None:
        self.count = 0
        self.told: list[int | str] = []
        self.while_telling: Callable[[], object] = lambda: None
        self.throttle = Throttle(interval_s, self.tell, clock.monotonic)

    def tell(self) -> None:
        self.told.append(self.count)
        self.while_telling()

    def update(self) -> None:
        self.count += 1
        self.throttle.counted()

    def end(self) -> None:
        with self.throttle:
            self.throttle.reported()
            self.told.append("completed")


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_the_first_progress_is_told_at_once_and_the_next_after_its_interval(
    heartbeat: Heartbeat, clock: ManualClock
) -> None:
    phase = Phase(clock, interval_s=2.0)
    phase.update()
    clock.seconds += 1.9
    phase.update()
    assert phase.told == [1]
    clock.seconds += 0.1
    phase.update()
    assert phase.told == [1, 3]


def test_what_came_too_soon_is_told_a_moment_later_though_no_update_follows(
    heartbeat: Heartbeat, clock: ManualClock
) -> None:
    phase = Phase(clock)
    for _ in range(50):
        phase.update()
    assert phase.told == [1]
    assert heartbeat.take_turn() == REPORT_AFTER_S
    assert phase.told == [1]
    clock.seconds += REPORT_AFTER_S
    assert heartbeat.take_turn() is None
    assert phase.told == [1, 50]


def test_what_a_later_update_has_told_is_not_told_again(heartbeat: Heartbeat, clock: ManualClock) -> None:
    phase = Phase(clock)
    phase.update()
    phase.update()
    clock.seconds += 1
    phase.update()
    heartbeat.take_turn()
    assert phase.told == [1, 3]


@pytest.mark.parametrize("interval_s", [0.5, 1.0])
def test_a_busy_phase_is_told_no_more_often_for_being_asked(
    heartbeat: Heartbeat, clock: ManualClock, interval_s: float
) -> None:
    phase = Phase(clock, interval_s)
    for _ in range(1000):
        phase.update()
        heartbeat.take_turn()
        clock.seconds += 0.015625
    seconds = 1000 * 0.015625
    assert seconds / interval_s - 1 <= len(phase.told) <= seconds / interval_s + 1


def test_the_last_word_is_there_within_two_seconds_whenever_the_updates_end(
    heartbeat: Heartbeat, clock: ManualClock
) -> None:
    for updates in range(1, 100):
        phase = Phase(clock)
        for _ in range(updates):
            phase.update()
            heartbeat.take_turn()
            clock.seconds += 0.03125
        for _ in range(64):
            heartbeat.take_turn()
            clock.seconds += 0.03125
        assert phase.told[-1] == updates


def test_neither_an_update_nor_the_heartbeat_waits_for_who_is_telling(heartbeat: Heartbeat, clock: ManualClock) -> None:
    phase = Phase(clock)
    go_on = threading.Event()
    busy = threading.Event()
    phase.while_telling = lambda: (busy.set(), go_on.wait(20))
    telling = in_thread(phase.update)
    assert busy.wait(20)
    clock.seconds += 5
    phase.update()
    clock.seconds += REPORT_AFTER_S
    assert heartbeat.take_turn() == REPORT_AFTER_S
    go_on.set()
    telling.join()
    assert phase.told == [1]
    clock.seconds += REPORT_AFTER_S
    heartbeat.take_turn()
    assert phase.told == [1, 2]


def test_an_end_waits_for_the_progress_that_the_heartbeat_tells(heartbeat: Heartbeat, clock: ManualClock) -> None:
    phase = Phase(clock)
    phase.update()
    phase.update()
    busy, go_on = threading.Event(), threading.Event()

    def dawdle() -> None:
        busy.set()
        go_on.wait(20)
        phase.told.append("told")

    phase.while_telling = dawdle
    clock.seconds += REPORT_AFTER_S
    asking = in_thread(heartbeat.take_turn)
    assert busy.wait(20)
    ending = in_thread(phase.end)
    go_on.set()
    asking.join()
    ending.join()
    assert phase.told == [1, 2, "told", "completed"]


def test_an_end_does_not_wait_for_ever(
    heartbeat: Heartbeat, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A finalizer ends the phase on a thread which holds what the one that tells waits for.
    monkeypatch.setattr("tracking_core.process.heartbeat.LONGEST_TURN_S", 0.01)
    phase = Phase(clock)
    busy, go_on = threading.Event(), threading.Event()
    phase.while_telling = lambda: (busy.set(), go_on.wait(20))
    telling = in_thread(phase.update)
    assert busy.wait(20)
    phase.end()
    go_on.set()
    telling.join()
    assert phase.told == [1, "completed"]


def test_who_is_led_back_while_it_tells_does_not_hang_and_tells_the_rest_later(
    heartbeat: Heartbeat, clock: ManualClock
) -> None:
    phase = Phase(clock)
    phase.while_telling = phase.update
    phase.update()
    assert phase.told == [1]
    phase.while_telling = lambda: None
    clock.seconds += REPORT_AFTER_S
    heartbeat.take_turn()
    assert phase.told == [1, 2]


def test_nobody_is_kept_alive_for_what_it_holds_back(heartbeat: Heartbeat, clock: ManualClock) -> None:
    phase = Phase(clock)
    told = phase.told
    phase.update()
    phase.update()
    del phase
    clock.seconds += REPORT_AFTER_S
    assert heartbeat.take_turn() is None
    assert told == [1]


def test_a_teller_that_raises_is_asked_no_more_than_others(heartbeat: Heartbeat, clock: ManualClock) -> None:
    broken, sound = Phase(clock), Phase(clock)
    for phase in (broken, sound):
        phase.update()
        phase.update()
    broken.while_telling = lambda: 1 / 0
    clock.seconds += REPORT_AFTER_S
    heartbeat.take_turn()
    heartbeat.take_turn()
    assert sound.told == [1, 2]


def test_a_turn_beats_first_and_asks_one_at_a_time(heartbeat: Heartbeat, clock: ManualClock) -> None:
    store = FakeStore()
    switch = TrackingSwitch({})
    heartbeat.watch(
        7, "job", HeartbeatSettings(store_key="s", open_store=lambda: store, deadline=1.0, interval=1.0, switch=switch)
    )
    phases = [Phase(clock), Phase(clock)]
    beats_before: list[int] = []
    for phase in phases:
        phase.update()
        phase.update()

        def slow() -> None:
            beats_before.append(len(store.beats))
            clock.seconds += 5

        phase.while_telling = slow
    clock.seconds += REPORT_AFTER_S
    heartbeat.take_turn()
    heartbeat.take_turn()
    assert beats_before == [1, 2]


def test_a_fork_leaves_what_is_held_back_to_the_parent(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bool] = []
    monkeypatch.setattr(Heartbeat, "_run", lambda _self: started.append(True) is None)
    heartbeat = Heartbeat(clock.monotonic)
    monkeypatch.setattr("tracking_core.process.heartbeat.heartbeat", heartbeat)
    phase = Phase(clock)
    phase.update()
    phase.update()
    started.clear()
    heartbeat.resume()
    assert started
    begin_in_child()
    clock.seconds += REPORT_AFTER_S
    assert heartbeat.take_turn() is None
    assert phase.told == [1]
    phase.throttle.reported()
    phase.update()
    clock.seconds += REPORT_AFTER_S
    heartbeat.take_turn()
    assert phase.told == [1, 3]


# -- both contexts, both deliveries ----------------------------------------------------------------------------------


class Job:
    """A job in a phase, through one of the contexts, with a clock that stands still."""

    def __init__(self, run: ETLRunContext, kind: str, clock: ManualClock) -> None:
        self.phase: PhaseContext | None = None
        if kind == "phase":
            self.phase = run.phase("load", rows=9)
            self.phase._throttle._monotonic = clock.monotonic
            self.phase.__enter__()
        else:
            self.context = ETLContext(run=run, units=["rows"])
            self.context._throttle._monotonic = clock.monotonic
            self.context.start_phase("load", total_rows=9)

    def update(self) -> None:
        if self.phase is not None:
            self.phase.update(rows=1)
        else:
            self.context.update_progress(rows=1)

    def end(self) -> None:
        if self.phase is not None:
            self.phase.__exit__(None, None, None)
        else:
            self.context.end_phase()


@pytest.fixture(params=["phase", "context"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["immediate", "buffered"])
def tracker(request: pytest.FixtureRequest, fake_store: FakeStore) -> SimpleETLTracker:
    return SimpleETLTracker("sqlite:////nowhere.db", delivery=request.param)


def told(store: FakeStore, tracker: SimpleETLTracker) -> list[tuple[str, int]]:
    """Return (status, rows) of the phase `load` as they were told."""
    tracker.flush()
    changes = [change for change in store.events("phases") if change.phase == "load"]
    return [(change.status, change.counters["rows"]["processed"]) for change in changes if change.counters]


def test_a_job_that_hangs_after_quick_updates_is_shown_as_far_as_it_came(
    heartbeat: Heartbeat, clock: ManualClock, fake_store: FakeStore, tracker: SimpleETLTracker, kind: str
) -> None:
    with ETLRunContext(tracker) as run:
        job = Job(run, kind, clock)
        for _ in range(5):
            job.update()
        assert told(fake_store, tracker)[-1][1] < 5
        clock.seconds += REPORT_AFTER_S
        heartbeat.take_turn()
        assert told(fake_store, tracker)[-1] == ("running", 5)


def test_after_the_end_no_progress_is_told(
    heartbeat: Heartbeat, clock: ManualClock, fake_store: FakeStore, tracker: SimpleETLTracker, kind: str
) -> None:
    with ETLRunContext(tracker) as run:
        job = Job(run, kind, clock)
        for _ in range(5):
            job.update()
        job.end()
        if job.phase is not None:
            clock.seconds += 10
            job.update()
        clock.seconds += 10
        heartbeat.take_turn()
        assert told(fake_store, tracker)[-1] == ("completed", 5)


def test_a_dead_store_neither_ends_the_heartbeat_nor_the_telling(
    heartbeat: Heartbeat, clock: ManualClock, fake_store: FakeStore, tracker: SimpleETLTracker, kind: str
) -> None:
    with ETLRunContext(tracker) as run:
        job = Job(run, kind, clock)
        tracker.flush()
        fake_store.failing = {"*"}
        for _ in range(2):
            job.update()
            job.update()
            clock.seconds += 30
            heartbeat.take_turn()
        fake_store.failing = set()
        job.update()
        job.update()
        clock.seconds += 30
        heartbeat.take_turn()
        assert told(fake_store, tracker)[-1] == ("running", 6)
        assert fake_store.beats


def test_an_attached_run_s_progress_is_told_by_a_process_that_does_not_beat_it(
    heartbeat: Heartbeat, clock: ManualClock, fake_store: FakeStore, tracker: SimpleETLTracker, kind: str
) -> None:
    fake_store.known = {4711}
    job = Job(tracker.attach(4711), kind, clock)
    job.update()
    job.update()
    clock.seconds += REPORT_AFTER_S
    heartbeat.take_turn()
    assert told(fake_store, tracker)[-1] == ("running", 2)
    assert fake_store.beats == []


def test_while_tracking_is_off_nobody_is_asked(
    heartbeat: Heartbeat, clock: ManualClock, fake_store: FakeStore, tracker: SimpleETLTracker, kind: str
) -> None:
    tracker.disable()
    with ETLRunContext(tracker) as run:
        job = Job(run, kind, clock)
        job.update()
        job.update()
        assert heartbeat.take_turn() is None
        job.end()
    assert fake_store.calls == []


def test_a_process_that_leaves_tells_the_rest_before_the_end_of_its_run(
    heartbeat: Heartbeat, clock: ManualClock, fake_store: FakeStore, tracker: SimpleETLTracker, kind: str
) -> None:
    run = ETLRunContext(tracker)
    run.__enter__()
    job = Job(run, kind, clock)
    for _ in range(5):
        job.update()
    heartbeat.report_all()
    assert told(fake_store, tracker)[-1] == ("running", 5)
    job.end()
    tracker.end_run(run.run_id, True)


def test_the_context_tells_progress_at_most_twice_a_second() -> None:
    assert PROGRESS_INTERVAL_S >= 0.5
