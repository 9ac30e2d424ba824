"""A job as its author would write it, for the type checker alone: it is never run."""

from collections.abc import Iterator
from typing import assert_type

from tracking_core import (
    DeliveryReport,
    ETLContext,
    ETLRunContext,
    Run,
    RunMetrics,
    SimpleETLTracker,
    TrackingError,
    get_etl_tracker,
)


def pages() -> Iterator[tuple[int, list[str]]]:
    yield 0, ["a"]


def explicit(tracker: SimpleETLTracker) -> None:
    run_id = tracker.start_run("Contact sync", job="contacts", tags={"env": "prod"})
    assert_type(run_id, int | None)
    for offset, items in pages():
        recorded = tracker.log_request(run_id, "/contacts", offset, 100, 200, len(items), 12.5, throttled=False)
        assert_type(recorded, bool)
    tracker.log_request(run_id, "/contacts", None, None, None, 0, 30_000, error=TimeoutError("30 s"))
    assert_type(tracker.log_source_count(run_id, "contacts", 5), bool)
    assert_type(tracker.log_phase(run_id, "load", "running", totals={"rows": 5}, processed={"rows": 1}), bool)
    assert_type(tracker.log_error(run_id, ValueError("x"), phase="load"), bool)
    assert_type(tracker.end_run(run_id, True, "done"), bool)
    assert_type(tracker.get_run_metrics(run_id), RunMetrics | None)
    assert_type(tracker.get_recent_runs(limit=5), list[Run])
    assert_type(tracker.cleanup_old_runs(days=30), int)
    assert_type(tracker.flush(1.5), DeliveryReport)
    tracker.close()


def with_blocks(tracker: SimpleETLTracker) -> None:
    with ETLRunContext(tracker, "Context", job="contacts") as run:
        assert_type(run, ETLRunContext)
        assert_type(run.run_id, int | None)
        with run.phase("extract", contacts=100) as phase:
            phase.update(contacts=10)
        context = ETLContext(run=run)
        context.start_phase("load", total_messages=5)
        context.end_phase()
    assert_type(run.success, bool)
    if run.run_id is not None:
        with tracker.attach(run.run_id) as attached:
            attached.log_error("late")


def old(cfg: object) -> None:
    tracker = get_etl_tracker(cfg)
    try:
        tracker.start_run("old")
        tracker.log_request("/contacts", 0, 100, 200, 5, 12)
        tracker.record_source_count("contacts", 5)
        tracker.finish_run(True, None)
    except TrackingError:
        assert_type(tracker.get_run_summary(), RunMetrics | None)


explicit(SimpleETLTracker(delivery="buffered", overload="wait", deadline=2, heartbeat_interval=5.0))
