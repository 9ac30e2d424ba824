"""The heartbeat: one statement for each store and beat, however many runs, whatever goes wrong."""

import threading
import time

import pytest

from tests.support.clocks import ManualClock
from tests.support.fake_store import FakeStore
from tracking_core import SimpleETLTracker
from tracking_core.process.heartbeat import Heartbeat, HeartbeatSettings
from tracking_core.switch import TrackingSwitch


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(seconds=100.0)


@pytest.fixture
def heartbeat(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Heartbeat:
    """Return a heartbeat whose beats the test makes; no thread runs."""
    monkeypatch.setattr(Heartbeat, "_run", lambda _self: True)
    return Heartbeat(clock.monotonic)


def settings(store: FakeStore, interval: float = 10.0, key: str = "one") -> HeartbeatSettings:
    return HeartbeatSettings(
        store_key=key, open_store=lambda: store, deadline=1.0, interval=interval, switch=TrackingSwitch({})
    )


def test_all_runs_of_all_trackers_of_a_store_beat_in_one_statement(heartbeat: Heartbeat, clock: ManualClock) -> None:
    store = FakeStore()
    store.known = {1, 2, 3}
    for run_id in (1, 2, 3):
        heartbeat.watch(run_id, "job", settings(store))
    clock.seconds += 10
    assert heartbeat.beat_due() == 10.0
    assert store.beats == [[1, 2, 3]]
    assert (store.opened, store.closed) == (1, 1)


def test_nothing_beats_before_its_time(heartbeat: Heartbeat, clock: ManualClock) -> None:
    store = FakeStore()
    heartbeat.watch(1, "job", settings(store))
    clock.seconds += 9
    assert heartbeat.beat_due() == pytest.approx(1.0)
    assert store.calls == []


def test_without_runs_there_is_no_next_beat(heartbeat: Heartbeat) -> None:
    assert heartbeat.beat_due() is None


def test_each_store_has_its_own_turn(heartbeat: Heartbeat, clock: ManualClock) -> None:
    slow, fast = FakeStore(), FakeStore()
    heartbeat.watch(1, "job", settings(slow, interval=10, key="slow"))
    heartbeat.watch(2, "job", settings(fast, interval=1, key="fast"))
    for _ in range(10):
        clock.seconds += 1
        heartbeat.beat_due()
    assert (len(slow.beats), len(fast.beats)) == (1, 10)


def test_the_shortest_interval_of_a_store_s_runs_counts(heartbeat: Heartbeat, clock: ManualClock) -> None:
    store = FakeStore()
    heartbeat.watch(1, "job", settings(store, interval=10))
    heartbeat.watch(2, "job", settings(store, interval=2))
    clock.seconds += 2
    assert heartbeat.beat_due() == 2.0
    assert store.beats == [[1, 2]]


def test_missed_turns_are_not_made_up_for(heartbeat: Heartbeat, clock: ManualClock) -> None:
    store = FakeStore()
    heartbeat.watch(1, "job", settings(store))
    clock.seconds += 95
    assert heartbeat.beat_due() == 10.0
    assert len(store.beats) == 1


def test_a_forgotten_run_beats_no_more(heartbeat: Heartbeat, clock: ManualClock) -> None:
    store = FakeStore()
    heartbeat.watch(1, "job", settings(store))
    heartbeat.watch(2, "job", settings(store))
    heartbeat.forget(1)
    heartbeat.forget(4711)
    clock.seconds += 10
    heartbeat.beat_due()
    assert store.beats == [[2]]


@pytest.mark.parametrize("verb", ["writer", "beat", "close"])
def test_a_beat_that_fails_is_followed_by_the_next(heartbeat: Heartbeat, clock: ManualClock, verb: str) -> None:
    store = FakeStore()
    store.failing, store.fault, store.heals = {verb}, KeyError("a bug"), True
    heartbeat.watch(1, "job", settings(store))
    for _ in range(3):
        clock.seconds += 10
        assert heartbeat.beat_due() == 10.0
    assert len(store.beats) >= 2


def test_a_beat_teaches_the_switch(heartbeat: Heartbeat, clock: ManualClock) -> None:
    store = FakeStore()
    store.known, store.off = {1}, frozenset({"crm"})
    mine, other = settings(store), settings(store)
    heartbeat.watch(1, "crm", mine)
    heartbeat.watch(2, "unknown to the store", other)
    clock.seconds += 10
    heartbeat.beat_due()
    assert mine.switch.shared_off("crm") is True
    assert other.switch.shared_off("unknown to the store") is None


def test_where_no_thread_can_start_nothing_beats_and_the_run_says_so(
    fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("tracking_core.tracker.heartbeat", Heartbeat())
    monkeypatch.setattr("tracking_core.process.heartbeat.threading.Thread.start", refuse)
    assert SimpleETLTracker("sqlite:////nowhere.db").start_run("no thread") is not None
    assert fake_store.events("starts")[0].heartbeat_interval_s is None


def test_a_run_stores_the_interval_at_which_it_beats(fake_store: FakeStore) -> None:
    tracker = SimpleETLTracker("sqlite:////nowhere.db", heartbeat_interval=7.5)
    run_id = tracker.start_run("beating")
    assert fake_store.events("starts")[0].heartbeat_interval_s == 7.5
    tracker.end_run(run_id, True)


def test_a_run_beats_from_its_start_to_its_end(fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat = Heartbeat()
    monkeypatch.setattr("tracking_core.tracker.heartbeat", heartbeat)
    tracker = SimpleETLTracker("sqlite:////nowhere.db", heartbeat_interval=0.05)
    run_id = tracker.start_run("beating")
    give_up = time.monotonic() + 10
    while not fake_store.beats and time.monotonic() < give_up:
        time.sleep(0.01)
    assert fake_store.beats[0] == [run_id]
    tracker.end_run(run_id, True)
    assert heartbeat.beat_due() is None
    heartbeat.stop(time.monotonic() + 5)
    assert heartbeat._thread is not None
    assert not heartbeat._thread.is_alive()


def test_while_tracking_is_off_live_runs_still_beat(fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock(seconds=100.0)
    heartbeat = Heartbeat(clock.monotonic)
    monkeypatch.setattr(Heartbeat, "_run", lambda _self: True)
    monkeypatch.setattr("tracking_core.tracker.heartbeat", heartbeat)
    tracker = SimpleETLTracker("sqlite:////nowhere.db")
    run_id = tracker.start_run("beating")
    tracker.disable()
    clock.seconds += 10
    heartbeat.beat_due()
    assert fake_store.beats == [[run_id]]
    tracker.end_run(run_id, True)


def test_a_run_that_was_refused_does_not_beat(fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat = Heartbeat()
    monkeypatch.setattr(Heartbeat, "_run", lambda _self: True)
    monkeypatch.setattr("tracking_core.tracker.heartbeat", heartbeat)
    fake_store.off = frozenset({"*"})
    assert SimpleETLTracker("sqlite:////nowhere.db").start_run("refused") is None
    assert heartbeat.beat_due() is None
