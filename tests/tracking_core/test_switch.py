"""Enable and disable: the environment, the tracker's own flag and the shared switch together."""

import pytest

from tests.support.fake_store import FakeStore
from tracking_core import SimpleETLTracker

EMPTY_CFG = "sqlite:////nowhere.db"


def tries(tracker: SimpleETLTracker, run_id: int | None) -> list[bool]:
    return [
        tracker.log_request(run_id, "/a", 0, 1, 200, 1, 1),
        tracker.log_source_count(run_id, "a", 1),
        tracker.log_phase(run_id, "a", "running"),
        tracker.log_error(run_id, "a"),
    ]


def test_a_fresh_tracker_is_enabled_and_asks_the_store_once(fake_store: FakeStore) -> None:
    tracker = SimpleETLTracker(EMPTY_CFG)
    assert tracker.is_enabled()
    assert tracker.is_enabled()
    assert fake_store.calls.count("switched_off") == 1


def test_an_unreachable_store_is_asked_once_and_means_on(fake_store: FakeStore) -> None:
    fake_store.failing = {"writer"}
    tracker = SimpleETLTracker(EMPTY_CFG)
    assert tracker.is_enabled()
    assert tracker.is_enabled()
    assert fake_store.calls.count("writer") == 1


def test_disable_and_enable_are_this_tracker_s_own(fake_store: FakeStore) -> None:
    one, other = SimpleETLTracker(EMPTY_CFG), SimpleETLTracker(EMPTY_CFG)
    run_id = one.start_run("one")
    one.disable()
    assert not one.is_enabled()
    assert other.is_enabled()
    assert one.start_run("refused") is None
    assert tries(one, run_id) == [False] * 4
    one.enable()
    assert one.is_enabled()
    assert tries(one, run_id) == [True] * 4


def test_the_environment_switches_a_job_off_at_once_and_on_again(
    fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = SimpleETLTracker(EMPTY_CFG)
    run_id = tracker.start_run("environment")
    monkeypatch.setenv("TRACKING_ENABLED", "off")
    calls = len(fake_store.calls)
    assert not tracker.is_enabled()
    assert tracker.start_run("refused") is None
    assert tries(tracker, run_id) == [False] * 4
    assert len(fake_store.calls) == calls
    monkeypatch.setenv("TRACKING_ENABLED", "1")
    assert tries(tracker, run_id) == [True] * 4


def test_enable_does_not_overrule_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKING_ENABLED", "no")
    tracker = SimpleETLTracker(EMPTY_CFG)
    tracker.enable()
    assert not tracker.is_enabled()


@pytest.mark.parametrize("off", [{"*"}, {"crm"}], ids=["all jobs", "this job"])
def test_the_shared_switch_blocks_all_but_ends_and_comes_back_with_what_is_sent(
    fake_store: FakeStore, off: set[str]
) -> None:
    tracker = SimpleETLTracker(EMPTY_CFG)
    run_id = tracker.start_run("shared", job="crm")
    assert tracker.is_enabled()
    fake_store.off = frozenset(off)
    assert tracker.is_enabled()
    assert tries(tracker, run_id) == [False] * 4
    assert not tracker.is_enabled()
    assert tracker.start_run("refused", job="crm") is None
    assert tracker.end_run(run_id, True)
    fake_store.off = frozenset()
    assert tracker.start_run("again", job="crm") is not None
    assert tracker.is_enabled()
    assert "switched_off" not in fake_store.calls


def test_the_switch_keeps_its_last_known_value_while_the_store_is_down(fake_store: FakeStore) -> None:
    tracker = SimpleETLTracker(EMPTY_CFG)
    run_id = tracker.start_run("shared", job="crm")
    fake_store.off = frozenset({"crm"})
    tries(tracker, run_id)
    fake_store.failing = {"writer"}
    assert not tracker.is_enabled()
    assert tracker.start_run("refused", job="crm") is None


def test_a_run_begun_elsewhere_teaches_its_job(fake_store: FakeStore) -> None:
    tracker = SimpleETLTracker(EMPTY_CFG)
    fake_store.known.add(77)
    fake_store.off = frozenset({"crm"})
    assert not tracker.attach(77).log_error("x")
    assert tracker._switch.shared_off("crm")


def test_a_run_no_store_holds_is_not_begun_by_its_end_while_off(fake_store: FakeStore) -> None:
    tracker = SimpleETLTracker(EMPTY_CFG)
    fake_store.failing = {"writer"}
    run_id = tracker.start_run("born in the dark")
    fake_store.failing = set()
    tracker.disable()
    assert not tracker.end_run(run_id, True)
    assert fake_store.known == set()


def test_while_off_reads_and_clean_up_work_and_recorded_runs_end(fake_store: FakeStore) -> None:
    tracker = SimpleETLTracker(EMPTY_CFG)
    run_id = tracker.start_run("on")
    tracker.disable()
    assert tracker.get_recent_runs() == []
    assert tracker.get_run_metrics(run_id) is None
    assert tracker.cleanup_old_runs() == 3
    assert {"recent_runs", "run", "cleanup"} <= set(fake_store.calls)
    assert tracker.end_run(run_id, True)
