"""A batch turned into the parameters of both dialects' statements: what is added up, in which order, for which runs.

Pure: nothing here touches a database. The order of every list is the order in which rows are locked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracking_core.dataclass import dataclass, field
from tracking_core.errors import StoreRefused
from tracking_core.events import (
    SERIES_FINE_S,
    Batch,
    CellKey,
    PhaseChange,
    RaisedError,
    RequestColumns,
    RequestRow,
    Tally,
    less,
    series_slot,
    tally,
)
from tracking_core.histogram import pack

SHARDS = 8
KEEP_FINE_S = 900
KEEP_MINUTES_S = 3 * 3600
"""All runs together are kept in cells of 10 s for a quarter of an hour, of 60 s for three hours, of 10 min for ever.

Shards stand apart only where writers meet: wider cells are joined into shard 0, so that a day is about a thousand rows.
"""

WIDENINGS = ((10, 60, KEEP_FINE_S), (60, 600, KEEP_MINUTES_S))
"""(width, wider, age in seconds from which cells of that width are due)."""

FORGET_EVERY = 64
FORGET_AT_MOST = 128
"""Of so many keyed batches one forgets at most so many old batch keys: twice as many as came since the last one."""

COUNTED = (
    "requests",
    "failed",
    "throttled",
    "items",
    "duration_ms",
    "status_2xx",
    "status_3xx",
    "status_4xx",
    "status_5xx",
    "status_other",
)


_SEQ, _AT_US = RequestRow._fields.index("seq"), RequestRow._fields.index("at_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The cells of a batch added up for each summary table, every list in key order."""

    endpoints: list[tuple[tuple[int, str], Tally]]
    series: list[tuple[tuple[int, int, int], Tally]]
    throughput: list[tuple[int, Tally]]
    runs: dict[int, Tally]


def add_up(cells: Mapping[CellKey, Tally]) -> Sums:
    """Return the cells added up by endpoint, by the run's series, over all runs and by run."""
    endpoints: dict[tuple[int, str], Tally] = {}
    series: dict[tuple[int, int, int], Tally] = {}
    throughput: dict[int, Tally] = {}
    runs: dict[int, Tally] = {}
    for key, cell in cells.items():
        bucket, width = series_slot(key.run_id, key.bucket)
        endpoints.setdefault((key.run_id, key.endpoint), Tally()).add(cell)
        series.setdefault((key.run_id, bucket, width), Tally()).add(cell)
        throughput.setdefault(key.bucket, Tally()).add(cell)
        runs.setdefault(key.run_id, Tally()).add(cell)
    return Sums(
        endpoints=sorted(endpoints.items()),
        series=sorted(series.items()),
        throughput=sorted(throughput.items()),
        runs=runs,
    )


def forgets_batches(batch: Batch) -> bool:
    """Return whether a batch clears away batch keys that have outlived every spool, so that a store stays bounded.

    The writer's id, which is random, says which of its batches do: so those of short jobs have their turn as well.
    """
    return batch.batch_seq is not None and batch.batch_seq % FORGET_EVERY == batch.writer_id % FORGET_EVERY


def only(batch: Batch, taken: Iterable[int]) -> Batch:
    """Return the batch without what it says of runs that are not taken; ends stay, the caller decides on them."""
    keep = set(taken)
    if batch.run_ids() <= keep:
        return batch
    return Batch(
        writer_id=batch.writer_id,
        batch_seq=batch.batch_seq,
        starts=tuple(start for start in batch.starts if start.run_id in keep),
        requests=tuple(row for row in batch.requests if row.run_id in keep),
        cells={key: cell for key, cell in batch.cells.items() if key.run_id in keep},
        phases=tuple(change for change in batch.phases if change.run_id in keep),
        source_counts=tuple(count for count in batch.source_counts if count.run_id in keep),
        errors=tuple(error for error in batch.errors if error.run_id in keep),
        ends=batch.ends,
        ledger=tuple(entry for entry in batch.ledger if entry.run_id in keep),
    )


def request_columns(rows: Sequence[RequestRow]) -> dict[str, list[object]]:
    """Return rows turned into columns, by the names of the table."""
    columns = RequestColumns.of(rows)
    return {
        name if name != "at_us" else "at": list(columns.column(position))
        for position, name in enumerate(RequestRow._fields)
    }


def packed(counts: Tally) -> list[int]:
    """Return the latencies of a tally as they are stored."""
    return pack(counts.histogram)


def to_json(mapping: Mapping[str, object]) -> str:
    """Return JSON text of a mapping of tags, counters or overheads."""
    return json.dumps(mapping, ensure_ascii=False, separators=(",", ":"), default=dict)


def phase_bucket(change: PhaseChange) -> int:
    """Return the bucket in which a phase's sample stands: as wide as the run's series at that age."""
    seconds = change.at_us // 1_000_000
    return series_slot(change.run_id, seconds - seconds % SERIES_FINE_S)[0]


def processed(change: PhaseChange) -> dict[str, int]:
    """Return what a phase has processed, per unit that it says anything of."""
    return {unit: counts["processed"] for unit, counts in change.counters.items() if "processed" in counts}


@dataclass(slots=True)
class Known:
    """What the store said of a batch's runs before anything of it was written."""

    taken: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    here: set[int] = field(default_factory=set)
    """The runs that the store holds, taken or not."""

    switched_off: frozenset[str] = frozenset()
    store_us: int = 0


def judge_runs(rows: Sequence[tuple[Any, ...]], batch: Batch, label: str) -> Known:
    """Return what becomes of each run of a batch, given the rows of `runs_of_batch` (the clock in microseconds).

    Raises StoreRefused where the batch carried a run and the store does not show it, for no reason of ours.
    """
    jobs = {start.run_id: start.job for start in batch.starts}
    known = Known()
    off: set[str] = set()
    for run_id, job, removed, all_off, job_off, store_us in rows:
        known.store_us = store_us
        if all_off:
            off.add("*")
        if job_off:
            off.add(job or jobs[run_id])
        if job is not None:
            known.here.add(run_id)
            if all_off or job_off:
                known.refused[run_id] = "off"
            else:
                known.taken.add(run_id)
        elif removed:
            known.refused[run_id] = "removed"
        elif run_id not in jobs:
            known.refused[run_id] = "unknown"
        else:
            # It was carried and not taken: a switch of its job, which no run of this store shows yet, or the cutoff.
            ended = any(end.run_id == run_id for end in batch.ends)
            if not (ended or all_off or job_off):
                raise StoreRefused(f"{label} does not show a run that it has just taken: row security or a trigger")
            known.refused[run_id] = "off" if all_off or job_off else "removed"
    known.switched_off = frozenset(off)
    return known


def left_out(requests: int, label: str) -> StoreRefused:
    """Return the error for requests that were inserted without an error and are not there."""
    return StoreRefused(f"{label} leaves out {requests} requests: a trigger or a rule of its table of requests")


def cells_of(batch: Batch, stored: Sequence[RequestRow]) -> Mapping[CellKey, Tally]:
    """Return what a batch adds up to when only these of its requests were not here already."""
    if len(stored) == len(batch.requests) and batch.cells:
        return batch.cells
    cells = tally(stored)
    counted = tally(batch.requests) if batch.cells else {}
    for key, cell in batch.cells.items():
        # Requests without detail are not among the rows.
        loose = less(cell, counted[key]) if key in counted else cell
        if loose.requests:
            cells.setdefault(key, Tally()).add(loose)
    return cells


def ledger_of(batch: Batch, rows: Sequence[RequestRow], stored_errors: Sequence[RaisedError]) -> list[dict[str, Any]]:
    """Return the ledger rows of a batch in key order; runs without an entry of their own follow from their rows."""
    emitted = _last_numbers(batch)
    stored = RequestColumns.of(rows).by_run()
    stored.update(error.run_id for error in stored_errors)
    entries = {entry.run_id: entry for entry in batch.ledger}
    ledgers = []
    for run_id in sorted(emitted.keys() | entries.keys()):
        entry = entries.get(run_id)
        ledgers.append(
            {
                "run_id": run_id,
                "writer_id": batch.writer_id,
                "emitted": max(emitted.get(run_id, 0), entry.emitted if entry else 0),
                "stored": stored[run_id],
                "dropped": entry.dropped if entry else 0,
                "overhead": to_json(entry.overhead if entry else {}),
            }
        )
    return ledgers


def additions_to_runs(
    batch: Batch, by_run: Mapping[int, Tally], stored_errors: Sequence[RaisedError]
) -> list[dict[str, Any]]:
    """Return what a batch adds to each run's own counters, in key order.

    What was emitted and dropped the store takes from its ledger, where the batch has a word for the run (`in_ledger`):
    how far the writer came since its last word, lost events between included. Single operations may overtake each other
    and the end of their run; only the ledger's row, once it is locked, says what has been counted already.
    """
    latest = _last_moments(batch)
    in_ledger = _last_numbers(batch).keys() | {entry.run_id for entry in batch.ledger}
    errors: dict[int, int] = {}
    for error in stored_errors:
        errors[error.run_id] = errors.get(error.run_id, 0) + error.many
    additions = []
    for run_id in sorted(by_run.keys() | latest.keys() | in_ledger):
        cell = by_run.get(run_id) or Tally()
        additions.append(
            {
                "run_id": run_id,
                "requests": cell.requests,
                "items": cell.items,
                "failed": cell.failed,
                "throttled": cell.throttled,
                "errors": errors.get(run_id, 0),
                "in_ledger": run_id in in_ledger,
                "progress_us": latest.get(run_id),
            }
        )
    return additions


def _last_numbers(batch: Batch) -> dict[int, int]:
    last = RequestColumns.of(batch.requests).greatest(_SEQ)
    for error in batch.errors:
        last[error.run_id] = max(last.get(error.run_id, 0), error.seq)
    return last


def _last_moments(batch: Batch) -> dict[int, int]:
    last = RequestColumns.of(batch.requests).greatest(_AT_US)
    for group in (batch.phases, batch.source_counts, batch.errors):
        for event in group:
            last[event.run_id] = max(last.get(event.run_id, 0), event.at_us)
    return last
