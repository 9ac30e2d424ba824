"""How both dialects write a batch: the parameters of the statements of sql/writes.sql, and the order of its parts.

The order of every list is the order in which rows are locked.
"""

from __future__ import annotations

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, TypeAlias

from tracking_core.clock import from_microseconds, to_microseconds
from tracking_core.dataclass import dataclass, field, fields
from tracking_core.errors import StoreRefused
from tracking_core.events import ORDER_OF_TAGS, Batch, PhaseChange, RaisedError, RunEnd, RunStart
from tracking_core.histogram import pack
from tracking_core.requests import SERIES_FINE_S, CellKey, RequestColumns, RequestRow, Tally, less, series_slot, tally
from tracking_core.store.dialect import COUNTED, Forms
from tracking_core.store.retention import forgotten_before

SHARDS = 8
KEEP_FINE_S = 900
KEEP_MINUTES_S = 3 * 3600
"""All runs together are kept in cells of 10 s for a quarter of an hour, of 60 s for three hours, of 10 min for ever.

There are shards only where writers meet: wider cells are joined into shard 0, so that a day is about a thousand rows.
"""

WIDENINGS = ((10, 60, KEEP_FINE_S), (60, 600, KEEP_MINUTES_S))
"""(width, wider, age in seconds from which cells of that width are due)."""

FORGET_EVERY = 64
FORGET_AT_MOST = 128
"""Of so many keyed batches one forgets at most so many old batch keys: twice as many as came since the last one."""

Moment: TypeAlias = Callable[[int], Any]
"""Turns microseconds since 1970-01-01Z into a dialect's parameter."""

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

    Which of a writer's batches do depends on its id, which is random: so short jobs take part as well.
    """
    return batch.batch_seq is not None and batch.batch_seq % FORGET_EVERY == batch.writer_id % FORGET_EVERY


def to_json(mapping: Mapping[str, object]) -> str:
    """Return JSON text of a mapping of tags, counters or overheads."""
    return json.dumps(mapping, ensure_ascii=False, separators=(",", ":"), default=dict)


def columns_of(event: Any, moment: Moment) -> dict[str, Any]:
    """Return an event's fields by the columns that hold them: times in the dialect's form, mappings as JSON."""
    columns: dict[str, Any] = {}
    for name, column in _columns(event.__class__):
        value = getattr(event, name)
        if column != name:
            value = None if value is None else moment(value)
        elif isinstance(value, Mapping):
            value = to_json(value)
        columns[column] = value
    return columns


@cache
def _columns(kind: type[Any]) -> tuple[tuple[str, str], ...]:
    """Return the fields of an event, each with its column: `started_us` is stored in `started_at`, `at_us` in `at`."""
    names = [field.name for field in fields(kind)]
    return tuple((name, {"at_us": "at"}.get(name, re.sub("_us$", "_at", name))) for name in names)


def start_columns(start: RunStart, ends: Sequence[RunEnd], moment: Moment) -> dict[str, Any]:
    """Return the parameters of a run's row; its end, when the batch holds one, decides whether it is too old."""
    ended = next((moment(end.ended_us) for end in ends if end.run_id == start.run_id), None)
    columns = columns_of(start, moment) | {"ended_at": ended}
    if len(start.tags) > 1:
        columns["tags"] = to_json({ORDER_OF_TAGS: list(start.tags), **start.tags})
    return columns


def phase_columns(change: PhaseChange, moment: Moment) -> dict[str, Any]:
    """Return the parameters of a phase's row and of its sample, which is as wide as the run's series at that age."""
    seconds = change.at_us // 1_000_000
    processed = {unit: counts["processed"] for unit, counts in change.counters.items() if "processed" in counts}
    return columns_of(change, moment) | {
        "bucket": series_slot(change.run_id, seconds - seconds % SERIES_FINE_S)[0],
        "processed": to_json(processed),
        "sampled": bool(processed) or change.memory_mb is not None,
    }


def summary_rows(sums: Sums, writer_id: int, packed: Callable[[list[int]], Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that a batch adds to the summaries of endpoints, series and all runs, in key order."""

    def row(cell: Tally, **key: object) -> dict[str, Any]:
        return {**key, **{name: getattr(cell, name) for name in COUNTED}, "histogram": packed(pack(cell.histogram))}

    shard = writer_id % SHARDS
    return {
        "endpoint": [
            row(cell, run_id=run_id, endpoint=endpoint, max_ms=cell.max_ms)
            for (run_id, endpoint), cell in sums.endpoints
        ],
        "series": [
            row(cell, run_id=run_id, bucket=bucket, width=width) for (run_id, bucket, width), cell in sums.series
        ],
        "all": [row(cell, width=SERIES_FINE_S, bucket=bucket, shard=shard) for bucket, cell in sums.throughput],
    }


@dataclass(slots=True)
class Known:
    """The runs of a batch as the store had them before anything of it was written."""

    taken: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    here: set[int] = field(default_factory=set)
    """The runs that the store holds, taken or not."""

    switched_off: frozenset[str] = frozenset()
    store_us: int = 0


def judge_runs(
    rows: Iterable[tuple[Any, ...]], off: Collection[str], batch: Batch, label: str, cutoff_us: Callable[[], int]
) -> Known:
    """Return what becomes of each run of a batch, given (run_id, job, removed) of each and the jobs switched off.

    `cutoff_us` is only called for a finished run that is not there: it returns before which end runs are refused.
    Raises StoreRefused where the batch carried a run and the store does not show it, for no reason of ours.
    """
    jobs = {start.run_id: start.job for start in batch.starts}
    ended = {end.run_id: end.ended_us for end in batch.ends}
    known = Known()
    switched_off = {"*"} if "" in off else set()
    for run_id, job, removed in rows:
        own_job = job or jobs.get(run_id)
        is_off = "" in off or own_job in off
        if own_job is not None and own_job in off:
            switched_off.add(own_job)
        if job is not None:
            known.here.add(run_id)
            if not is_off:
                known.taken.add(run_id)
                continue
        elif not (removed or is_off) and run_id in jobs and (run_id not in ended or ended[run_id] >= cutoff_us()):
            raise StoreRefused(f"{label} does not show a run that it has just taken: row security or a trigger")
        if job is None and (removed or run_id not in jobs):
            known.refused[run_id] = "removed" if removed else "unknown"
        else:
            # Carried and not taken: its job's switch, which no run of this store shows yet, or the cutoff.
            known.refused[run_id] = "off" if is_off else "removed"
    known.switched_off = frozenset(switched_off)
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
    batch: Batch,
    by_run: Mapping[int, Tally],
    stored_errors: Sequence[RaisedError],
    ends: Sequence[RunEnd],
    moment: Moment,
) -> list[dict[str, Any]]:
    """Return what a batch adds to each run's own counters, in key order.

    What was emitted and dropped the store takes from its ledger, where the batch has an entry for the run
    (`in_ledger`): how far the writer came since its last entry, lost events between included. Single operations may
    overtake each other and the end of their run; only the ledger's row, once it is locked, shows what has been counted.
    Runs that end are among several, so that all are locked in their order.
    """
    latest = RequestColumns.of(batch.requests).greatest(_AT_US)
    for group in (batch.phases, batch.source_counts, batch.errors):
        for event in group:
            latest[event.run_id] = max(latest.get(event.run_id, 0), event.at_us)
    in_ledger = _last_numbers(batch).keys() | {entry.run_id for entry in batch.ledger}
    errors: dict[int, int] = {}
    for error in stored_errors:
        errors[error.run_id] = errors.get(error.run_id, 0) + error.many
    additions = []
    changed = by_run.keys() | latest.keys() | in_ledger
    ending = {end.run_id for end in ends}
    for run_id in sorted(changed | ending if len(changed | ending) > 1 else changed):
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
                "writer_id": batch.writer_id,
                "progress_at": moment(latest[run_id]) if run_id in latest else None,
            }
        )
    return additions


def _last_numbers(batch: Batch) -> dict[int, int]:
    last = RequestColumns.of(batch.requests).greatest(_SEQ)
    for error in batch.errors:
        last[error.run_id] = max(last.get(error.run_id, 0), error.seq)
    return last


WIDEN_EVERY_S = 60.0


class EventWriter(ABC):
    """The statements of sql/writes.sql in the order of their locks, inside a transaction that the dialect makes."""

    forms: ClassVar[Forms]
    _widened_at: float | None = None

    @abstractmethod
    def _run(self, block: str, values: Mapping[str, Any]) -> Any:
        """Run a statement of writes.sql; return its cursor."""

    @abstractmethod
    def _run_many(self, block: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement for each of some rows, or one for all, in their order."""

    @abstractmethod
    def _add_sums(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Add rows to the summaries: `endpoint`, `series`, and `all` runs together, in this order."""

    @abstractmethod
    def _save_ledger_and_runs(
        self, ledger: Sequence[Mapping[str, Any]], additions: Sequence[Mapping[str, Any]]
    ) -> None:
        """Save the ledger of a batch, and add to its runs' own counters, locking the runs in order."""

    @abstractmethod
    def _inserted(self, cursor: Any) -> bool:
        """Return whether an INSERT that passes over what is here inserted its row."""

    @abstractmethod
    def _lock(self, block: str, run_ids: Sequence[int]) -> None:
        """Run a statement that locks rows of runs, given in order."""

    @staticmethod
    @abstractmethod
    def _moment(microseconds: int, /) -> Any:
        """Return a time as a parameter."""

    @staticmethod
    @abstractmethod
    def _packed(histogram: list[int], /) -> Any:
        """Return a packed histogram as a parameter."""

    def _cutoff_us(self) -> int:
        """Return the moment before which a run must have ended that no longer enters; 0 without a clean-up."""
        (cutoff,) = self._run("cutoff", {}).fetchone()
        return 0 if cutoff is None else to_microseconds(self.forms.moment(cutoff))

    @abstractmethod
    def _widen(self, bounds: Mapping[str, int]) -> None:
        """Join narrow cells of all runs into wider ones."""

    def _carry_runs(self, starts: Sequence[RunStart], batch: Batch) -> None:
        for start in sorted(starts, key=lambda start: start.run_id):
            self._run("carry_run", start_columns(start, batch.ends, self._moment))

    def _write_events(self, batch: Batch, known: Known, rows: Sequence[RequestRow], sums: Sums) -> dict[int, Any]:
        """Write everything of a batch but its requests, `rows` being those just stored; return a cursor for each end.

        The batch holds events of runs that are taken, and all ends. An end took effect if its cursor changed a row.
        """
        if sums.runs:
            self._add_sums(summary_rows(sums, batch.writer_id, self._packed))
            self._widen_when_due(known.store_us // 1_000_000)
        errors = sorted(batch.errors, key=lambda error: (error.run_id, error.seq))
        writer = {"writer_id": batch.writer_id}
        inserts = [self._run("insert_error", columns_of(error, self._moment) | writer) for error in errors]
        stored_errors = [error for error, insert in zip(errors, inserts, strict=True) if self._inserted(insert)]
        self._save_phases(batch)
        ends = sorted((end for end in batch.ends if end.run_id in known.here), key=lambda end: end.run_id)
        additions = additions_to_runs(batch, sums.runs, stored_errors, ends, self._moment)
        if additions:
            self._save_ledger_and_runs(ledger_of(batch, rows, stored_errors), additions)
        cursors = {}
        for end in ends:
            columns = columns_of(end, self._moment)
            self._run("audit_end", columns)
            cursors[end.run_id] = self._run("end_run", columns)
        if forgets_batches(batch):
            before = to_microseconds(forgotten_before(from_microseconds(known.store_us)))
            self._run("forget_batches", {"before": self._moment(before), "most": FORGET_AT_MOST})
        return cursors

    def _save_phases(self, batch: Batch) -> None:
        changed = {change.run_id for change in batch.phases} | {count.run_id for count in batch.source_counts}
        if not changed:
            return
        self._lock("lock_phases", sorted(changed))
        for change in batch.phases:
            columns = phase_columns(change, self._moment)
            self._run("save_phase", columns)
            if columns["sampled"]:
                self._run("sample_phase", columns)
        for count in batch.source_counts:
            self._run("save_source_count", columns_of(count, self._moment))

    def _widen_when_due(self, now_s: int) -> None:
        now = time.monotonic()
        if self._widened_at is not None and now - self._widened_at < WIDEN_EVERY_S:
            return
        self._widened_at = now
        for width, wider, age in WIDENINGS:
            before = now_s - age
            self._widen({"width": width, "wider": wider, "before": before - before % wider})
