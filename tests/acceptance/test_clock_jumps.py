"""P10: the wall clock of a job steps by hours while it runs; no duration is negative or hours long, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.ledger import assert_nothing_lost
from tests.support.peek import peek
from tracking_core import ETLRunContext, SimpleETLTracker, tracker
from tracking_core.store import open_store

MINUTE = timedelta(minutes=1)
"""Much longer than the job takes, much shorter than a step."""


@pytest.fixture
def step_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what sets this process's wall clock to so many hours from the real one."""
    real, ahead = time.time_ns, [0]

    def stepping() -> int:
        return real() + ahead[0]

    monkeypatch.setattr(time, "time_ns", stepping)
    monkeypatch.setattr(tracker, "time_ns", stepping)

    def step(hours: float) -> None:
        ahead[0] = round(hours * 3600e9)

    return step


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
@pytest.mark.parametrize("hours", [(5, -26), (-5, 3)])
def test_a_clock_that_steps_by_hours_spoils_no_duration(
    delivery: str,
    hours: tuple[float, ...],
    store_dsn: str,
    step_to: Callable[[float], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRACKING_SPOOL_DIR", str(tmp_path / "spool"))
    began = datetime.now(UTC)
    recorder = SimpleETLTracker(store_dsn, delivery=delivery)
    with ETLRunContext(recorder, job="stepping") as run:
        for number, ahead in enumerate(hours):
            with run.phase(f"part {number}", items=10) as phase:
                run.log_request("/a", 20 * number, 10, 200, 3, 5)
                recorder.flush()
                step_to(ahead)
                run.log_request("/a", 20 * number + 10, 10, 200, 3, 5)
                phase.update(items=10)
            recorder.flush()
    recorder.close()
    assert_nothing_lost(store_dsn, 2 * len(hours))
    with open_store(store_dsn).reader(5) as reader:
        (recorded,) = reader.recent_runs(2)
        phases = reader.phases([recorded.run_id])
    assert recorded.duration_s is not None
    assert 0 <= recorded.duration_s < MINUTE.total_seconds()
    assert recorded.ended_at is not None
    assert recorded.ended_at >= recorded.started_at
    for each in phases:
        assert each.started_at is not None
        assert each.ended_at is not None
        assert timedelta() <= each.ended_at - each.started_at < MINUTE
    if not store_dsn.startswith("sqlite"):
        # A file has no other clock than this one.
        ((first, last),) = peek(store_dsn, "SELECT min(at), max(at) FROM tracking.requests")
        assert began - MINUTE < first <= last < began + 2 * MINUTE
