"""The statements of a writer as the server reads them: placeholders numbered, comments and indentation gone.

Done once a process instead of once a statement: psycopg keeps no converted statement of more than 4 kB, and what is not
sent need not be parsed either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from psycopg import Connection, RawCursor

from tracking_core.clock import from_microseconds
from tracking_core.dataclass import dataclass
from tracking_core.events import SERIES_FINE_S, RequestRow, RunEnd, RunStart, Tally, series_slot
from tracking_core.store import parameters, sql_files

_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One block of SQL and the names of its parameters, in the order of their numbers."""

    text: bytes
    names: tuple[str, ...]

    def run(self, connection: Connection[Any], values: Mapping[str, Any]) -> RawCursor[Any]:
        """Run it and return its cursor, answers in binary; values that it does not name are passed over."""
        return RawCursor(connection).execute(self.text, [values[name] for name in self.names], binary=True)


@cache
def statements(name: str) -> dict[str, Statement]:
    """Return the blocks of sql/postgres/<name>.sql."""
    return {block: _statement(text) for block, text in sql_files.blocks("postgres", name).items()}


def _statement(text: str) -> Statement:
    names: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return "%" if match[1] is None else f"${names.setdefault(match[1], len(names) + 1)}"

    plain = _SPACE.sub(" ", _COMMENT.sub("", text)).strip().rstrip(";")
    return Statement(text=_PLACEHOLDER.sub(numbered, plain).encode(), names=tuple(names))


NULL = "NULL"
"""No number, in an array literal."""

ADDED = ("run_id", "requests", "items", "failed", "throttled", "errors")


def moment(microseconds: int | None) -> datetime | None:
    """Return microseconds as the datetime that the driver takes; None stays None."""
    return None if microseconds is None else from_microseconds(microseconds)


def of_sums(writer_id: int, sums: parameters.Sums) -> dict[str, Any]:
    """Return the cells of all summaries as columns of one list: endpoints, series, all runs together."""
    places: list[tuple[int | str, str | None, int | str, int | str]] = [
        *((run_id, endpoint, NULL, NULL) for (run_id, endpoint), _ in sums.endpoints),
        *((run_id, None, bucket, width) for (run_id, bucket, width), _ in sums.series),
        *((NULL, None, bucket, SERIES_FINE_S) for bucket, _ in sums.throughput),
    ]
    cells = [cell for group in (sums.endpoints, sums.series, sums.throughput) for _, cell in group]
    return {
        "shard": writer_id % parameters.SHARDS,
        "run_id": array_of([run_id for run_id, _, _, _ in places]),
        "endpoint": [endpoint for _, endpoint, _, _ in places],
        "bucket": array_of([bucket for _, _, bucket, _ in places]),
        "width": array_of([width for _, _, _, width in places]),
        "max_ms": array_of([cell.max_ms for cell in cells]),
        **{name: array_of([getattr(cell, name) for cell in cells]) for name in parameters.COUNTED},
        "histogram": array_of([f'"{array_of(parameters.packed(cell))}"' for cell in cells]),
    }


def of_progress(
    writer_id: int, ledger: Sequence[Mapping[str, Any]], additions: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return how far a writer has come with its runs, and what that adds to them, as columns."""
    return {
        "writer_id": writer_id,
        **{name: array_of([row[name] for row in additions]) for name in ADDED},
        "progress_at": [moment(row["progress_us"]) for row in additions],
        **{
            f"ledger_{name}": array_of([row[name] for row in ledger])
            for name in ("run_id", "emitted", "stored", "dropped")
        },
        "ledger_overhead": [row["overhead"] for row in ledger],
    }


def of_request(writer_id: int, request: RequestRow) -> dict[str, Any]:
    """Return the parameters of one immediate request.

    Numbers go as text without a type, which the server takes for that of the column: for a number psycopg names the
    narrowest type that holds it, and on a fresh connection each type's operators and casts are looked up anew.
    """
    cell = Tally()
    cell.add_request(request)
    seconds = request.at_us // 1_000_000
    fine = seconds - seconds % SERIES_FINE_S
    bucket, width = series_slot(request.run_id, fine)
    numbers = {
        "run_id": request.run_id,
        "writer_id": writer_id,
        "seq": request.seq,
        "page_offset": request.page_offset,
        "page_limit": request.page_limit,
        "status": request.status,
        "items": request.items,
        "duration_ms": request.duration_ms,
        "failed": cell.failed,
        "throttled_count": cell.throttled,
        "status_2xx": cell.status_2xx,
        "status_3xx": cell.status_3xx,
        "status_4xx": cell.status_4xx,
        "status_5xx": cell.status_5xx,
        "status_other": cell.status_other,
        "bucket": bucket,
        "width": width,
        "fine_bucket": fine,
        "shard": writer_id % parameters.SHARDS,
    }
    return {
        **{name: None if number is None else str(number) for name, number in numbers.items()},
        "at": from_microseconds(request.at_us),
        "endpoint": request.endpoint,
        "throttled": request.throttled,
        "error": request.error,
        "histogram": array_of(parameters.packed(cell)),
    }


def array_of(numbers: Iterable[int | str]) -> str:
    """Return numbers, or what stands for one, as an array literal, which the driver need not look into."""
    return "{" + ",".join(map(str, numbers)) + "}"


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
