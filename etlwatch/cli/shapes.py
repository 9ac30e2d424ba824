"""What a record looks like as data: plain mappings, in the order in which the columns are documented.

The keys are the stored columns, and what a reader derives from them. Ids beyond 2**53 are decimal strings, since
most JSON readers hold numbers as doubles. Times are ISO 8601 in UTC. Owns no format: see `output`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from etlwatch.analysis.health import Finding
from tracking_core.histogram import percentile, unpack
from tracking_core.identity import format_run_id
from tracking_core.records import (
    CleanupPlan,
    EndpointTotals,
    ErrorRecord,
    Phase,
    Run,
    SourceCount,
    Switch,
    WriterLedger,
)

RUN_FIELDS = (
    "run_id", "id", "job", "notes", "status", "state", "started_at", "ended_at", "duration_s", "requests", "items",
    "failed_requests", "throttled_requests", "errors", "state_since", "evidence", "duration_ms", "heartbeat_at",
    "heartbeat_interval_s", "progress_at", "emitted", "dropped", "host", "pid", "boot_id", "username", "command",
    "code_version", "tracker_version", "parent_run_id", "ended_by", "clock_offset_ms", "tags",
)  # fmt: skip
ERROR_FIELDS = (
    "run_id", "id", "job", "writer_id", "seq", "at", "phase", "error_type", "message", "traceback", "fingerprint",
)  # fmt: skip
SWITCH_FIELDS = ("scope", "job", "enabled", "changed_at", "changed_by", "reason")
CLEANUP_JOB_FIELDS = ("job", "runs", "requests", "errors", "oldest")
PERCENTILES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}


def moment(value: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC with its offset, to the microsecond."""
    return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")


def percentiles(histogram: Mapping[int, int]) -> dict[str, float | None]:
    """Return p50_ms, p95_ms and p99_ms of a latency histogram; None without requests."""
    return {name: _rounded(percentile(histogram, share)) for name, share in PERCENTILES.items()}


def percentile_of(endpoint: EndpointTotals, share: float) -> float | None:
    """Return a percentile of an endpoint's latencies, None without requests; never above the greatest of them.

    A histogram's bucket stands for its middle, which may lie beyond the slowest request.
    """
    value = percentile(unpack(endpoint.histogram), share)
    return None if value is None else min(value, float(endpoint.max_ms))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def run_shape(run: Run) -> dict[str, object]:
    """Return a run, its keys RUN_FIELDS."""
    return {
        "run_id": str(run.run_id),
        "id": run.id,
        "job": run.job,
        "notes": run.notes,
        "status": str(run.status),
        "state": str(run.state),
        "started_at": moment(run.started_at),
        "ended_at": moment(run.ended_at),
        "duration_s": round(run.duration_s, 3),
        "requests": run.requests,
        "items": run.items,
        "failed_requests": run.failed_requests,
        "throttled_requests": run.throttled_requests,
        "errors": run.errors,
        "state_since": moment(run.state_since),
        "evidence": run.evidence,
        # The column is empty while a run goes on; duration_s then reaches to the moment of reading.
        "duration_ms": None if run.ended_at is None else round(run.duration_s * 1000),
        "heartbeat_at": moment(run.heartbeat_at),
        "heartbeat_interval_s": run.heartbeat_interval_s,
        "progress_at": moment(run.progress_at),
        "emitted": run.emitted,
        "dropped": run.dropped,
        "host": run.host,
        "pid": run.pid,
        "boot_id": run.boot_id,
        "username": run.user,
        "command": run.command,
        "code_version": run.code_version,
        "tracker_version": run.tracker_version,
        "parent_run_id": None if run.parent_run_id is None else str(run.parent_run_id),
        "ended_by": run.ended_by,
        "clock_offset_ms": run.clock_offset_ms,
        "tags": dict(run.tags),
    }


def phase_shape(phase: Phase) -> dict[str, object]:
    """Return a phase with the columns of `phases`."""
    return {
        "run_id": str(phase.run_id),
        "phase": phase.phase,
        "position": phase.position,
        "status": str(phase.status),
        "started_at": moment(phase.started_at),
        "ended_at": moment(phase.ended_at),
        "counters": {unit: dict(counter) for unit, counter in phase.counters.items()},
        "memory_mb": phase.memory_mb,
        "peak_memory_mb": phase.peak_memory_mb,
        "memory_limit_mb": phase.memory_limit_mb,
    }


def endpoint_shape(endpoint: EndpointTotals) -> dict[str, object]:
    """Return an endpoint's totals with the columns of `run_endpoints`, and the percentiles of its latencies."""
    return {
        "run_id": str(endpoint.run_id),
        "endpoint": endpoint.endpoint,
        "requests": endpoint.requests,
        "failed": endpoint.failed,
        "throttled": endpoint.throttled,
        "items": endpoint.items,
        "duration_ms": endpoint.duration_ms,
        "max_ms": endpoint.max_ms,
        **{name: _rounded(percentile_of(endpoint, share)) for name, share in PERCENTILES.items()},
        "status_2xx": endpoint.status_2xx,
        "status_3xx": endpoint.status_3xx,
        "status_4xx": endpoint.status_4xx,
        "status_5xx": endpoint.status_5xx,
        "status_other": endpoint.status_other,
        "histogram": list(endpoint.histogram),
    }


def source_count_shape(counted: SourceCount) -> dict[str, object]:
    """Return what a source said it has, with the columns of `source_counts`."""
    return {
        "run_id": str(counted.run_id),
        "entity": counted.entity,
        "items": counted.items,
        "at": moment(counted.at),
    }


def error_shape(error: ErrorRecord, job: str | None) -> dict[str, object]:
    """Return an error with the columns of `errors` and its run's job, its keys ERROR_FIELDS."""
    return {
        "run_id": str(error.run_id),
        "id": format_run_id(error.run_id),
        "job": job,
        "writer_id": str(error.writer_id),
        "seq": error.seq,
        "at": moment(error.at),
        "phase": error.phase,
        "error_type": error.error_type,
        "message": error.message,
        "traceback": error.traceback,
        "fingerprint": error.fingerprint,
    }


def ledger_shape(entry: WriterLedger) -> dict[str, object]:
    """Return what a writer emitted and what of it is stored, with the columns of `writers`."""
    return {
        "run_id": str(entry.run_id),
        "writer_id": str(entry.writer_id),
        "emitted": entry.emitted,
        "stored": entry.stored,
        "dropped": entry.dropped,
        "missing": entry.missing,
        "overhead": dict(entry.overhead),
    }


def switch_shape(switch: Switch) -> dict[str, object]:
    """Return a shared switch, its keys SWITCH_FIELDS."""
    return {
        "scope": switch.scope,
        "job": switch.job,
        "enabled": switch.enabled,
        "changed_at": moment(switch.changed_at),
        "changed_by": switch.changed_by,
        "reason": switch.reason,
    }


def never_turned(job: str | None) -> dict[str, object]:
    """Return the switch that nobody has ever turned: it is on."""
    scope = "global" if job is None else "job"
    return {
        "scope": scope,
        "job": job or "",
        "enabled": True,
        "changed_at": None,
        "changed_by": None,
        "reason": None,
    }


def plan_shape(plan: CleanupPlan, *, removed: int | None) -> dict[str, object]:
    """Return a clean-up's plan; `removed` counts the runs it removed, None where nothing was done."""
    return {
        "cutoff": moment(plan.cutoff),
        "days": plan.days,
        "runs": plan.runs,
        "requests": plan.requests,
        "errors": plan.errors,
        "kept_running": plan.kept_running,
        "keep_last_success": plan.keep_last_success,
        "last_successes": plan.last_successes,
        "dropped_weeks": plan.dropped_weeks,
        "dropped_bytes": plan.dropped_bytes,
        "cut_weeks": plan.cut_weeks,
        "waiting_requests": plan.waiting_requests,
        "removed": removed,
        "jobs": [
            {
                "job": part.job,
                "runs": part.runs,
                "requests": part.requests,
                "errors": part.errors,
                "oldest": moment(part.oldest),
            }
            for part in plan.jobs
        ],
    }


def finding_shape(finding: Finding) -> dict[str, object]:
    """Return one way in which a run is behind; `value` and `limit` are in the same unit."""
    return {
        "state": finding.state,
        "since": moment(finding.since),
        "because": finding.because,
        "value": round(finding.value, 3),
        "limit": round(finding.limit, 3),
    }


def run_detail_shape(
    run: Run,
    *,
    findings: Iterable[Finding],
    histogram: Mapping[int, int],
    phases: Iterable[Phase],
    endpoints: Iterable[EndpointTotals],
    source_counts: Iterable[SourceCount],
    errors: Iterable[ErrorRecord],
    ledger: Iterable[WriterLedger],
) -> dict[str, object]:
    """Return everything about one run as one object."""
    return {
        "run": run_shape(run) | percentiles(histogram),
        "findings": [finding_shape(finding) for finding in findings],
        "phases": [phase_shape(phase) for phase in phases],
        "endpoints": [endpoint_shape(endpoint) for endpoint in endpoints],
        "source_counts": [source_count_shape(counted) for counted in source_counts],
        "errors": [error_shape(error, run.job) for error in errors],
        "ledger": [ledger_shape(entry) for entry in ledger],
    }
