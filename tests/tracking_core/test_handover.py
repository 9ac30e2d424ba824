"""A run handed on by the environment: who takes it, how often, and what stands in it."""

import json
from dataclasses import replace

import pytest

from tracking_core import ETLRunContext, SimpleETLTracker, get_etl_tracker
from tracking_core.config import resolve
from tracking_core.delivery.spool_codec import HANDED_RUN, LONGEST_HANDED, handed_on, take_handed
from tracking_core.events import RunStart
from tracking_core.identity import format_run_id
from tracking_core.store import open_store

START = RunStart(
    run_id=7 << 40,
    job="nightly",
    notes="of Tuesday",
    tags={"team": "crm"},
    started_us=1_700_000_000_000_000,
    host="h",
    pid=1,
    boot_id="",
    username="u",
    command="c",
    code_version="",
    tracker_version="1",
    heartbeat_interval_s=10.0,
)


def test_a_run_is_taken_once_as_it_was_given() -> None:
    environ = handed_on(START, "here")
    assert environ["TRACKING_RUN"] == format_run_id(START.run_id)
    assert take_handed(environ, "here") == START
    assert take_handed(environ, "here") is None
    assert set(environ) == {"TRACKING_RUN"}


def test_a_run_of_another_store_is_left_for_whoever_records_there() -> None:
    environ = handed_on(START, "there")
    assert take_handed(environ, "here") is None
    assert take_handed(environ, "there") == START


def test_a_newer_program_may_say_more() -> None:
    content = json.loads(handed_on(START, "here")[HANDED_RUN])
    content["start"]["colour"] = "blue"
    content["colour"] = "blue"
    assert take_handed({HANDED_RUN: json.dumps(content)}, "here") == START


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"store": "here"}', '{"store": "here", "start": {"run_id": 7}}'])
def test_what_is_no_run_is_passed_over(text: str) -> None:
    environ = {HANDED_RUN: text}
    assert take_handed(environ, "here") is None
    assert take_handed(environ, "here") is None


@pytest.mark.parametrize("run_id", [0, -1, 2**63, "7", None])
def test_a_number_that_is_no_run_is_passed_over(run_id: object) -> None:
    content = {
        "store": "here",
        "start": {**json.loads(handed_on(START, "here")[HANDED_RUN])["start"], "run_id": run_id},
    }
    assert take_handed({HANDED_RUN: json.dumps(content)}, "here") is None


def test_a_variable_stays_short_enough_for_every_program_to_be_started() -> None:
    environ = handed_on(replace(START, notes="日" * LONGEST_HANDED, tags={"a": "b" * LONGEST_HANDED}), "here")
    assert len(environ[HANDED_RUN]) <= LONGEST_HANDED
    assert take_handed(environ, "here") == replace(START, notes=None, tags={})


@pytest.fixture
def handed(store_dsn: str, monkeypatch: pytest.MonkeyPatch) -> RunStart:
    """Return a run that was handed to this process and that its store does not hold yet."""
    for name, value in handed_on(START, resolve(store_dsn).label).items():
        monkeypatch.setenv(name, value)
    return START


def status_of(dsn: str, run_id: int) -> str | None:
    with open_store(dsn).reader(5) as reader:
        run = reader.run(run_id)
    return None if run is None else run.status


def test_the_first_run_is_the_one_handed_on_and_the_next_its_child(store_dsn: str, handed: RunStart) -> None:
    tracker = SimpleETLTracker(store_dsn)
    first, second = tracker.start_run("mine", job="my own"), tracker.start_run("mine too", job="my own")
    assert first == handed.run_id
    assert second != first
    assert tracker.log_request(first, "/a", 0, 1, 200, 1, 1)
    with open_store(store_dsn).reader(5) as reader:
        run, child = reader.run(handed.run_id), reader.run(second or 0)
    assert run is not None
    assert child is not None
    assert (run.job, run.notes, run.requests) == ("nightly", "of Tuesday", 1)
    assert (child.job, child.parent_run_id) == ("my own", run.run_id)
    tracker.end_run(second, True)


def test_a_success_is_left_to_whoever_handed_the_run_on(store_dsn: str, handed: RunStart) -> None:
    with ETLRunContext(SimpleETLTracker(store_dsn)) as run:
        run.log_source_count("contacts", 3)
    assert run.success
    assert run.run_id == handed.run_id
    assert status_of(store_dsn, handed.run_id) == "running"


def test_a_failure_ends_the_run_at_once(store_dsn: str, handed: RunStart) -> None:
    with pytest.raises(ValueError, match="broken"), ETLRunContext(SimpleETLTracker(store_dsn)):
        raise ValueError("broken")
    assert status_of(store_dsn, handed.run_id) == "failed"


def test_the_old_tracker_takes_it_too(store_dsn: str, handed: RunStart) -> None:
    with pytest.warns(DeprecationWarning, match="old tracker"):
        old = get_etl_tracker(store_dsn)
    old.start_run("old")
    assert old.run_id == handed.run_id
    assert old.end_run(True)
    assert status_of(store_dsn, handed.run_id) in (None, "running")


def test_nothing_is_taken_while_tracking_is_off(
    store_dsn: str, handed: RunStart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_ENABLED", "off")
    assert SimpleETLTracker(store_dsn).start_run() is None
