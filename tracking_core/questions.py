"""Answers put together from several readings of a store."""

from __future__ import annotations

from tracking_core.histogram import percentile
from tracking_core.records import RunMetrics
from tracking_core.store.base import Reader


def metrics_of(reader: Reader, run_id: int) -> RunMetrics | None:
    """Return a run's request figures, all of one moment; None for an unknown run."""
    with reader.one_view():
        run = reader.run(run_id)
        if run is None:
            return None
        duration_ms = sum(endpoint.duration_ms for endpoint in reader.endpoints(run_id))
        latencies = reader.latencies([run_id]).get(run_id, {})
    return RunMetrics(
        run_id=run_id,
        total_requests=run.requests,
        total_items=run.items,
        total_duration_ms=duration_ms,
        error_count=run.failed_requests,
        throttle_count=run.throttled_requests,
        p50_ms=percentile(latencies, 0.50) or 0.0,
        p95_ms=percentile(latencies, 0.95) or 0.0,
        p99_ms=percentile(latencies, 0.99) or 0.0,
    )
