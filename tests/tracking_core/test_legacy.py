"""The first-generation tracker: one active run, one kept connection, faults raised."""

import gc
import re
import warnings
from pathlib import Path

import pytest

import tracking_core
from tests.support.fake_store import FakeStore
from tracking_core import ConfigurationError, SimpleETLTracker, TrackingError, get_etl_tracker
from tracking_core.legacy import MIGRATION_GUIDE, StatefulETLTracker
from tracking_core.records import Run

EMPTY_CFG = "sqlite:////nowhere.db"


@pytest.fixture
def tracker(store_dsn: str) -> StatefulETLTracker:
    return StatefulETLTracker(store_dsn)


@pytest.fixture
def faked(fake_store: FakeStore) -> StatefulETLTracker:
    return StatefulETLTracker(EMPTY_CFG)


def only_run(dsn: str) -> Run:
    (run,) = SimpleETLTracker(dsn).get_recent_runs()
    return run


def test_each_call_warns_at_the_caller_s_line_and_names_the_guide() -> None:
    for _ in range(2):
        with pytest.warns(DeprecationWarning, match=re.escape(str(MIGRATION_GUIDE))) as caught:
            get_etl_tracker(EMPTY_CFG)
        assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]


def test_the_guide_that_is_named_comes_with_the_package() -> None:
    assert MIGRATION_GUIDE.is_relative_to(Path(tracking_core.__file__).parent)
    assert "get_etl_tracker" in MIGRATION_GUIDE.read_text(encoding="utf-8")


def test_a_wrong_cfg_is_a_configuration_error() -> None:
    with pytest.warns(DeprecationWarning, match=re.escape(str(MIGRATION_GUIDE))), pytest.raises(ConfigurationError):
        get_etl_tracker(42)


def test_a_run_is_active_from_its_start_to_its_end(tracker: StatefulETLTracker, store_dsn: str) -> None:
    assert tracker.get_run_summary() is None
    run_id = tracker.start_run("My sync")
    assert tracker.run_id == run_id
    tracker.log_request("/contacts", 0, 100, 200, 50, 1000)
    tracker.log_source_count("contacts", 50)
    tracker.end_run(True, "Completed")
    assert tracker.run_id is None
    run = only_run(store_dsn)
    assert (run.run_id, run.status, run.notes, run.requests) == (run_id, "completed", "My sync\nCompleted", 1)


def test_the_older_names_still_work(tracker: StatefulETLTracker, store_dsn: str) -> None:
    tracker.start_run("aliases")
    assert tracker.record_source_count("contacts", 50)
    assert tracker.finish_run(False, "gave up")
    assert (tracker.run_id, only_run(store_dsn).status) == (None, "failed")


def test_the_summary_is_that_of_the_active_or_the_last_run(tracker: StatefulETLTracker) -> None:
    run_id = tracker.start_run("summary")
    tracker.log_request("/contacts", 0, 100, 200, 50, 1000)
    during = tracker.get_run_summary()
    tracker.end_run(True)
    after = tracker.get_run_summary()
    assert during == after
    assert after is not None
    assert (after.run_id, after.total_items) == (run_id, 50)


def test_without_an_active_run_nothing_happens(faked: StatefulETLTracker, fake_store: FakeStore) -> None:
    faked.log_request("/contacts", 0, 100, 200, 50, 1000)
    faked.log_source_count("contacts", 50)
    faked.end_run(True)
    assert fake_store.calls == []


def test_it_keeps_one_connection_for_all_its_runs(faked: StatefulETLTracker, fake_store: FakeStore) -> None:
    for _ in range(3):
        faked.start_run("kept")
        faked.log_request("/contacts", 0, 100, 200, 50, 1000)
        faked.end_run(True)
    assert (fake_store.opened, fake_store.closed) == (1, 0)
    faked.close()
    assert (fake_store.opened, fake_store.closed) == (1, 1)


def test_its_connection_is_closed_with_it(fake_store: FakeStore) -> None:
    tracker = StatefulETLTracker(EMPTY_CFG)
    tracker.start_run("kept")
    tracker.end_run(True)
    del tracker
    gc.collect()
    assert (fake_store.opened, fake_store.closed) == (1, 1)


def test_a_connection_that_was_cut_while_idle_is_opened_again(faked: StatefulETLTracker, fake_store: FakeStore) -> None:
    faked.start_run("idle")
    writes = len(fake_store.batches)
    fake_store.failing, fake_store.heals = {"write"}, True
    assert faked.log_request("/contacts", 0, 100, 200, 50, 1000)
    assert len(fake_store.batches) == writes + 1
    assert (fake_store.opened, fake_store.closed) == (2, 1)


def test_store_faults_are_raised_as_tracking_errors(faked: StatefulETLTracker, fake_store: FakeStore) -> None:
    fake_store.failing = {"*"}
    with pytest.raises(TrackingError, match="nobody answers"):
        faked.start_run("down")
    assert faked.run_id is None
    fake_store.failing = set()
    faked.start_run("up")
    fake_store.failing, fake_store.fault = {"*"}, OSError("a driver's own")
    with pytest.raises(TrackingError, match="a driver's own"):
        faked.log_request("/contacts", 0, 100, 200, 50, 1000)
    with pytest.raises(TrackingError):
        faked.get_run_summary()
    with pytest.raises(TrackingError):
        faked.end_run(True)
    assert faked.run_id is None


def test_while_tracking_is_off_no_run_becomes_active(
    faked: StatefulETLTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_ENABLED", "0")
    assert faked.start_run("off") is None
    assert faked.run_id is None


def test_it_may_be_used_beside_the_new_one(tracker: StatefulETLTracker, store_dsn: str) -> None:
    old = tracker.start_run("old")
    new = SimpleETLTracker(store_dsn)
    run_id = new.start_run("new")
    assert new.log_request(old, "/both", 0, 1, 200, 1, 1)
    assert tracker.log_request("/both", 1, 1, 200, 1, 1)
    assert tracker.end_run(True)
    assert new.end_run(run_id, True)
    assert [(run.run_id, run.requests) for run in new.get_recent_runs()] == [(run_id, 0), (old, 2)]
    tracker.close()


def test_a_job_that_never_closes_it_leaves_no_warning(store_dsn: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracker = StatefulETLTracker(store_dsn)
        tracker.start_run("unclosed")
        tracker.end_run(True)
        del tracker
        gc.collect()


def test_a_second_start_abandons_the_run_that_is_active_and_warns(
    tracker: StatefulETLTracker, store_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = tracker.start_run("first")
    second = tracker.start_run("second")
    tracker.end_run(True)
    tracker.start_run("third")
    assert ["abandoned" in record.message for record in caplog.records] == [True]
    runs = SimpleETLTracker(store_dsn).get_recent_runs()
    assert [run.status for run in runs] == ["running", "completed", "abandoned"]
    assert [run.run_id for run in runs[1:]] == [second, first]
    assert runs[2].notes == "first\nabandoned: start_run() was called again"


def test_a_second_start_goes_on_where_no_end_is_taken(faked: StatefulETLTracker, fake_store: FakeStore) -> None:
    faked.start_run("first")
    fake_store.failing = {"*"}
    with pytest.raises(TrackingError):
        faked.start_run("second")
    assert faked.run_id is None
    fake_store.failing = set()
    assert faked.start_run("third") is not None
