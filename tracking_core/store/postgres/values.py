"""Events as the parameters of PostgreSQL's statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tracking_core.clock import from_microseconds
from tracking_core.events import SERIES_FINE_S, RequestRow, RunEnd, RunStart, Tally, series_slot
from tracking_core.store import parameters


def moment(microseconds: int | None) -> datetime | None:
    """Return microseconds as the datetime that the driver takes; None stays None."""
    return None if microseconds is None else from_microseconds(microseconds)


def counted(cells: Sequence[Tally]) -> dict[str, list[Any]]:
    """Return cells as columns: every count, and the histograms as array literals."""
    columns: dict[str, list[Any]] = {name: [getattr(cell, name) for cell in cells] for name in parameters.COUNTED}
    columns["histogram"] = ["{" + ",".join(map(str, parameters.packed(cell))) + "}" for cell in cells]
    return columns


def of_request(writer_id: int, request: RequestRow) -> dict[str, Any]:
    """Return the parameters of one immediate request."""
    cell = Tally()
    cell.add_request(request)
    seconds = request.at_us // 1_000_000
    fine = seconds - seconds % SERIES_FINE_S
    bucket, width = series_slot(request.run_id, fine)
    return {
        **request._asdict(),
        **{name: getattr(cell, name) for name in parameters.COUNTED if name.startswith("status_")},
        "at": from_microseconds(request.at_us),
        "writer_id": writer_id,
        "failed": cell.failed,
        "throttled_count": cell.throttled,
        "histogram": parameters.packed(cell),
        "bucket": bucket,
        "width": width,
        "fine_bucket": fine,
        "shard": writer_id % parameters.SHARDS,
    }


def of_start(start: RunStart, ends: Sequence[RunEnd]) -> dict[str, Any]:
    """Return the parameters of a run's row; its end, when the batch holds one, decides whether it is too old."""
    ended = next((end.ended_us for end in ends if end.run_id == start.run_id), None)
    return {
        "run_id": start.run_id,
        "job": start.job,
        "notes": start.notes,
        "tags": parameters.to_json(start.tags),
        "started_at": from_microseconds(start.started_us),
        "ended_at": moment(ended),
        "heartbeat_interval_s": start.heartbeat_interval_s,
        "host": start.host,
        "pid": start.pid,
        "boot_id": start.boot_id,
        "username": start.username,
        "command": start.command,
        "code_version": start.code_version,
        "tracker_version": start.tracker_version,
        "parent_run_id": start.parent_run_id,
        "clock_offset_ms": start.clock_offset_ms,
    }


def of_end(end: RunEnd) -> dict[str, Any]:
    """Return the parameters of a run's end."""
    return {
        "run_id": end.run_id,
        "status": end.status,
        "ended_at": from_microseconds(end.ended_us),
        "duration_ms": end.duration_ms,
        "notes": end.notes,
        "ended_by": end.ended_by,
    }
