"""What tracking costs the job stands in the run's ledger: calls, processor time, the worst call."""

import pytest

from tracking_core import SimpleETLTracker
from tracking_core.store import open_store


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_a_run_s_ledger_tells_its_overhead(store_dsn: str, delivery: str) -> None:
    tracker = SimpleETLTracker(store_dsn, delivery=delivery)  # type: ignore[arg-type]
    run_id, other = tracker.start_run("measured"), tracker.start_run("another")
    assert run_id is not None
    assert other is not None
    for page in range(30):
        tracker.log_request(run_id, "/a", page, 1, 200, 1, 1)
    tracker.log_error(run_id, "oops")
    tracker.flush()
    tracker.end_run(run_id, True)
    tracker.end_run(other, True)
    tracker.close()
    with open_store(store_dsn).reader(5) as reader:
        (ledger,) = reader.ledger(run_id)
    assert (ledger.emitted, ledger.stored, ledger.missing) == (31, 31, 0)
    # The end itself is counted by the delivery that has measured it before it is sent.
    assert ledger.overhead["calls"] in (32, 33)
    assert 0 < ledger.overhead["cpu_ms"] < 10_000
    assert 0 < ledger.overhead["worst_us"] < 10_000_000
