"""What was declared keeps its order, and no percentile is beyond what was measured, on every store."""

import pytest

from tracking_core import SimpleETLTracker
from tracking_core.histogram import Latencies, bucket_of, percentile
from tracking_core.store import open_store


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_units_keep_the_order_in_which_they_were_declared(store_dsn: str, delivery: str) -> None:
    tracker = SimpleETLTracker(store_dsn, delivery=delivery, heartbeat_interval=60)
    run_id = tracker.start_run("order")
    tracker.log_phase(run_id, "load", "running", totals={"conversations": 2, "messages": 9, "b": 1, "aaa": 1})
    tracker.flush()
    tracker.log_phase(run_id, "load", "running", processed={"aaa": 1, "messages": 4})
    tracker.log_phase(run_id, "load", "completed", processed={"zz": 1})
    tracker.end_run(run_id, True)
    tracker.close()
    with open_store(store_dsn).reader(5) as reader:
        (phase,) = reader.phases([run_id])
    assert list(phase.counters) == ["conversations", "messages", "b", "aaa", "zz"]
    assert phase.counters["messages"] == {"total": 9, "processed": 4}


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
@pytest.mark.parametrize("names", [["tenant", "env", "aaa", "b"], ["long name", "", "b"], ["one"], []])
def test_tags_keep_the_order_in_which_they_were_given(store_dsn: str, delivery: str, names: list[str]) -> None:
    tracker = SimpleETLTracker(store_dsn, delivery=delivery, heartbeat_interval=60)
    run_id = tracker.start_run("order", tags={name: f"value of {name}" for name in names})
    tracker.end_run(run_id, True)
    tracker.close()
    with open_store(store_dsn).reader(5) as reader:
        run = reader.run(run_id)
    assert run is not None
    assert run.tags == {name: f"value of {name}" for name in names}
    if "" not in names:
        assert list(run.tags) == names


@pytest.mark.parametrize("durations", [[1000], [1000, 1000], [0], [7, 1000], [999, 1000], [1, 2, 3, 4096]])
def test_a_percentile_is_never_beyond_the_greatest_duration(store_dsn: str, durations: list[int]) -> None:
    tracker = SimpleETLTracker(store_dsn, heartbeat_interval=60)
    run_id = tracker.start_run("slow")
    for page, duration in enumerate(durations):
        tracker.log_request(run_id, "/a", page, 1, 200, 1, duration)
    metrics = tracker.get_run_metrics(run_id)
    tracker.end_run(run_id, True)
    assert metrics is not None
    assert metrics.p50_ms <= metrics.p95_ms <= metrics.p99_ms == max(durations)
    if len(set(durations)) == 1:
        assert metrics.p50_ms == durations[0]


def test_without_what_was_measured_the_middle_of_a_bucket_stands_for_it() -> None:
    counts = {bucket_of(1000): 1}
    assert percentile(counts, 0.5) == pytest.approx(980.6, abs=0.1)
    assert percentile(Latencies(counts, max_ms=1000, total_ms=1000), 0.5) == 1000
