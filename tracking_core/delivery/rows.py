"""Raw events made into clean rows: text capped, numbers brought into range, changes marked (docs/promises.md, P11).

Runs where the delivery has time: at once in an immediate one, on the writer's thread in a buffered one. Nothing raises.
Of a `PendingBatch` the requests were taken and numbered, but are not rows yet. Numbering is quick, making rows is not:
a process that leaves with little processor time puts pending batches into the spool as they are, and whoever replays
them makes the rows. Key and numbers are final, so what is built twice, by the writer and by a replay, is stored once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tracking_core.dataclass import dataclass, replace
from tracking_core.delivery import batches
from tracking_core.delivery.run_registry import PhaseState, RunState
from tracking_core.events import (
    PLACE,
    Batch,
    CountedSource,
    PhaseChange,
    RaisedError,
    RawCount,
    RawEnd,
    RawError,
    RawPhase,
    RawRequest,
    RunEnd,
)
from tracking_core.process.interrupts import suppress_faults
from tracking_core.requests import CellKey, Columns, RequestColumns, RequestRow, Tally, add_cells, tally
from tracking_core.sanitize import (
    ADJUSTED,
    KEY_BYTES,
    MAX_DURATION_MS,
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_STATUS,
    clean_key,
    clean_optional,
    clean_text,
    whole_number,
)

STEP_US = 100_000
"""A difference between two clocks beyond their noise and that of measuring the store's."""

_MAX_MEMORY_MB = 1e9
_MOST_NAMES = 4096
_clean_names: dict[str, str] = {}
_INTEGER, _NONE, _NUMBER = frozenset({int}), frozenset({type(None)}), frozenset({int, float})


def clean_name(name: str) -> str:
    """Return a clean key; the few names that a job uses are cleaned once."""
    clean = _clean_names.get(name)
    if clean is None:
        clean = clean_key(name)
        if len(_clean_names) >= _MOST_NAMES:
            _clean_names.clear()
        if len(name) <= KEY_BYTES:
            _clean_names[name] = clean
    return clean


def request_row(raw: RawRequest, seq: int, offset_us: int) -> RequestRow:
    """Return the row of a request; `offset_us` is the store's clock minus the job's."""
    run_id, at_us, endpoint, offset, limit, status, items, duration, throttled, error = raw
    changes: list[str] = []

    def whole(name: str, value: float | None, low: int, high: int) -> int | None:
        if value is None:
            return None
        number, change = whole_number(value, low, high)
        if change:
            changes.append(f"{name} {change}")
        return number

    page_offset = whole("offset", offset, -MAX_INTEGER, MAX_INTEGER)
    page_limit = whole("limit", limit, -MAX_INTEGER, MAX_INTEGER)
    code = whole("status", status, -MAX_STATUS, MAX_STATUS)
    count = whole("count", items, 0, MAX_ITEMS)
    milliseconds = whole("duration", duration, 0, MAX_DURATION_MS)
    text = clean_optional(error)
    if changes:
        mark = ADJUSTED + "; ".join(changes)
        text = mark if text is None else f"{text}\n{mark}"
    return RequestRow(
        run_id,
        seq,
        at_us + offset_us,
        clean_name(endpoint),
        page_offset,
        page_limit,
        code,
        count or 0,
        milliseconds or 0,
        throttled or code == 429,
        text,
    )


def plain_columns(raws: Sequence[RawRequest], first_seq: int, offset_us: int) -> Columns | None:
    """Return the rows, as columns, of requests of one run of which none needs anything changed; None when one does.

    The same as `request_row` of each in a tenth of the time, which the job's own threads wait for.
    """
    run_ids, times, endpoints, offsets, limits, statuses, items, durations, throttleds, errors = zip(*raws, strict=True)
    if (
        errors.count(None) != len(errors)
        or not set(map(type, items)) <= _INTEGER
        or not set(map(type, durations)) <= _NUMBER
        or not (
            _are_whole(offsets, MAX_INTEGER) and _are_whole(limits, MAX_INTEGER) and _are_whole(statuses, MAX_STATUS)
        )
        or not (min(items) >= 0 and max(items) <= MAX_ITEMS)
        or not (min(durations) >= 0 and max(durations) <= MAX_DURATION_MS)
    ):
        return None
    try:
        milliseconds = list(map(round, durations))
    except ValueError:
        # A NaN compares with nothing, so the bounds above let it pass.
        return None
    names = {name: clean_name(name) for name in set(endpoints)}
    if 429 in statuses:
        throttleds = tuple([given or status == 429 for given, status in zip(throttleds, statuses, strict=True)])
    return (
        run_ids,
        range(first_seq, first_seq + len(raws)),
        [at_us + offset_us for at_us in times],
        endpoints if all(map(str.__eq__, names, names.values())) else list(map(names.__getitem__, endpoints)),
        offsets,
        limits,
        statuses,
        items,
        milliseconds,
        throttleds,
        errors,
    )


def _are_whole(column: Sequence[float | None], most: int) -> bool:
    types = set(map(type, column))
    if types == _INTEGER:
        return -most <= min(column) and max(column) <= most  # type: ignore[type-var, operator]
    return types == _NONE or (types <= _INTEGER | _NONE and _are_whole([n for n in column if n is not None], most))


def event_rows(
    raw: RawPhase | RawCount | RawError, state: RunState, seq: int, offset_us: int
) -> dict[str, tuple[PhaseChange | CountedSource | RaisedError]]:
    """Return what an event puts into a batch, by the name of its field; `seq` is the number of an error."""
    if isinstance(raw, RawPhase):
        return {"phases": (phase_change(raw, state, offset_us),)}
    if isinstance(raw, RawCount):
        return {"source_counts": (counted_source(raw, state, offset_us),)}
    return {"errors": (raised_error(raw, seq, offset_us),)}


def phase_change(raw: RawPhase, state: RunState, offset_us: int) -> PhaseChange:
    """Return a phase's state, with what its writer has sent of it before."""
    at_us = state.moment(raw.at_us + offset_us)
    phase = clean_name(raw.phase)
    memory_mb = _megabytes(raw.memory_mb)
    known = state.phases.get(phase)
    status = raw.status or (known.status if known is not None else "pending")
    memory = state.update_phase(phase, status, at_us, memory_mb, raw.at_s)
    if raw.started_us is not None:
        memory.started_us, memory.started_s = raw.started_us + offset_us, None
    ended_us = None
    if status in ("completed", "failed", "skipped"):
        ended_us = _phase_end(memory, at_us, raw.at_s) if raw.ended_us is None else raw.ended_us + offset_us
    return PhaseChange(
        run_id=raw.run_id,
        phase=phase,
        position=memory.position,
        status=status,
        at_us=at_us,
        started_us=memory.started_us,
        ended_us=ended_us,
        counters=_counters(raw.totals, raw.processed, memory.units),
        memory_mb=memory_mb,
        peak_memory_mb=memory.peak_memory_mb,
        memory_limit_mb=_megabytes(raw.memory_limit_mb),
    )


def _phase_end(phase: PhaseState, at_us: int, at_s: float | None) -> int:
    """Return when a phase ended; as long after its start as it took, where a clock has stepped in between."""
    if phase.started_us is None or phase.started_s is None or at_s is None:
        return at_us
    measured_us = round((at_s - phase.started_s) * 1_000_000)
    stepped_us = at_us - phase.started_us - measured_us
    return at_us if abs(stepped_us) <= STEP_US else phase.started_us + measured_us


def _counters(
    totals: Mapping[str, float], processed: Mapping[str, float], places: dict[str, int]
) -> dict[str, dict[str, int]]:
    counters: dict[str, dict[str, int]] = {}
    for kind, numbers in (("total", totals), ("processed", processed)):
        for unit, number in numbers.items():
            name = clean_name(unit)
            # PostgreSQL's jsonb does not keep the order of its keys.
            counts = counters.setdefault(name, {PLACE: places.setdefault(name, len(places))})
            counts[kind] = whole_number(number, 0, MAX_INTEGER)[0]
    return counters


def _megabytes(value: float | None) -> float | None:
    if value is None or not 0 <= value <= _MAX_MEMORY_MB:
        return None
    return float(value)


def counted_source(raw: RawCount, state: RunState, offset_us: int) -> CountedSource:
    """Return a source count."""
    items, _ = whole_number(raw.items, 0, MAX_INTEGER)
    at_us = state.moment(raw.at_us + offset_us)
    return CountedSource(run_id=raw.run_id, entity=clean_name(raw.entity), items=items, at_us=at_us)


def raised_error(raw: RawError, seq: int, offset_us: int) -> RaisedError:
    """Return a recorded error."""
    failure = raw.failure
    return RaisedError(
        run_id=raw.run_id,
        seq=seq,
        at_us=raw.at_us + offset_us,
        phase=None if raw.phase is None else clean_name(raw.phase),
        error_type=clean_key(failure.error_type),
        message=clean_text(failure.message),
        traceback=clean_text(failure.traceback),
        fingerprint=failure.fingerprint,
    )


def run_end(raw: RawEnd, duration_ms: int | None, offset_us: int) -> RunEnd:
    """Return a run's end; its duration is None when another process began it."""
    return RunEnd(
        run_id=raw.run_id,
        # Plain text: a driver may write an enum by its name.
        status=str(raw.status),
        ended_us=raw.at_us + offset_us,
        duration_ms=duration_ms,
        notes=clean_optional(raw.notes) or None,
        ended_by=clean_key(raw.ended_by),
    )


MOST_REQUESTS = 10_000
"""More than one pending batch ever has."""

ROWS_AT_A_TIME = 250
"""So many are made before other threads get their turn: an event loop of the job must not feel this one."""


class Numbered(NamedTuple):
    """Requests of one run with their sequence numbers, which follow each other."""

    run_id: int
    first_seq: int
    offset_us: int
    """The store's clock minus the job's."""

    raws: list[RawRequest]


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingBatch:
    """A batch that still lacks its requests, and these."""

    batch: Batch
    requests: tuple[Numbered, ...]

    def __len__(self) -> int:
        return sum(len(numbered.raws) for numbered in self.requests)


def batch_of(item: PendingBatch | Batch) -> Batch:
    """Return the batch of either: what stands in it besides requests, its key above all, is the same."""
    return item.batch if isinstance(item, PendingBatch) else item


def events_in(item: PendingBatch | Batch) -> int:
    """Return how many events a pending or a batch carries."""
    return batches.events_in(batch_of(item)) + (len(item) if isinstance(item, PendingBatch) else 0)


def numbered_in(item: PendingBatch | Batch) -> Counter[int]:
    """Return how many sequence numbers of each run a pending or a batch carries: its requests and errors."""
    counted = Counter(error.run_id for error in batch_of(item).errors)
    if isinstance(item, PendingBatch):
        counted.update({numbered.run_id: len(numbered.raws) for numbered in item.requests})
    else:
        counted.update(RequestColumns.of(item.requests).by_run())
    return counted


def build(
    pending: PendingBatch,
    *,
    go_on: Callable[[], bool] = lambda: True,
    adjusted: Callable[[str], object] = lambda _what: None,
) -> Batch | None:
    """Return the batch of a pending one; None as soon as `go_on`, called before each few rows, returns False.

    A request of which no row can be made is left out. `adjusted` is called with what was changed in a row.
    """
    if not pending.requests:
        return pending.batch
    found: list[RequestColumns] = []
    cells: dict[CellKey, Tally] = {}
    for numbered in pending.requests:
        for first in range(0, len(numbered.raws), ROWS_AT_A_TIME):
            if not go_on():
                return None
            some = numbered.raws[first : first + ROWS_AT_A_TIME]
            found.append(_rows_of(some, numbered.first_seq + first, numbered.offset_us, adjusted))
            add_cells(cells, tally(found[-1]))
    add_cells(cells, pending.batch.cells)
    return replace(
        pending.batch, requests=RequestColumns([block for rows in found for block in rows.blocks]), cells=cells
    )


def _rows_of(
    raws: list[RawRequest], first_seq: int, offset_us: int, adjusted: Callable[[str], object]
) -> RequestColumns:
    plain = None
    with suppress_faults():
        plain = plain_columns(raws, first_seq, offset_us)
    if plain is not None:
        return RequestColumns([plain])
    rows: list[RequestRow] = []
    for seq, raw in enumerate(raws, first_seq):
        # One request that nobody foresaw must not take the others along.
        with suppress_faults():
            rows.append(request_row(raw, seq, offset_us))
            error = rows[-1].error
            if error is not None and ADJUSTED in error:
                adjusted(error.rpartition(ADJUSTED)[2])
    return RequestColumns.of(rows)
