"""Functions on batches: counting, taking apart, joining, making smaller, and writing around rows that a store rejects.

A batch that a store may have seen is never changed but by leaving detail out (its key then still stands for the same
totals); batches that no store has seen may be joined.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from tracking_core.dataclass import dataclass, field, replace
from tracking_core.errors import RowBlocked, RowRejected
from tracking_core.events import Batch, LedgerEntry, PhaseChange, RaisedError, Receipt
from tracking_core.requests import CellKey, Tally, add_cells, less, tally

MOST_CELLS = 5_000
"""Distinct (run, endpoint, time) that requests without detail are kept by; beyond it endpoints and times are joined."""

OTHER_ENDPOINTS = "(other)"
MOST_KINDS = 200
"""Distinct (run, phase, fingerprint) that errors without room are kept by; beyond it by their run alone."""

SHORT_MESSAGE = 200
LEFT_OUT = "[left out: neither the store nor the spool took anything]"
_FOR_ALL = "\n[kept as one for "
_LINE = SHORT_MESSAGE + len(_FOR_ALL) + 40

E = TypeVar("E")


def events_in(batch: Batch) -> int:
    """Return how many events a batch carries; requests that are only added up were given up when they were."""
    return len(batch.requests) + len(batch.phases) + len(batch.source_counts) + len(batch.errors) + len(batch.ends)


def events_of(batch: Batch, run_ids: Collection[int]) -> int:
    """Return how many events a batch carries for these runs."""
    if not run_ids:
        return 0
    groups: tuple[Iterable[Any], ...] = (batch.requests, batch.phases, batch.source_counts, batch.errors, batch.ends)
    return sum(event.run_id in run_ids for group in groups for event in group)


def is_empty(batch: Batch) -> bool:
    """Return whether a batch carries nothing at all."""
    return not (batch.starts or batch.cells or batch.ledger or events_in(batch))


# -- a batch that the store rejects ------------------------------------------------------------------------------


def parts_of(batch: Batch) -> list[Batch]:
    """Return a batch of one run in smaller ones: each lasting event alone, requests in halves; [] for one event.

    Starts go along with every part: they are taken once. Requests without detail are left out (see `loose_of`).
    """
    empty = only_runs(batch)
    others = [replace(empty, phases=(change,)) for change in batch.phases]
    others += [replace(empty, source_counts=(count,)) for count in batch.source_counts]
    others += [replace(empty, errors=(error,)) for error in batch.errors]
    others += [replace(empty, ends=(end,)) for end in batch.ends]
    rows = batch.requests
    halves = [rows] if others else [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    parts = [replace(empty, requests=half, cells=tally(half)) for half in halves if half]
    parts += others
    if len(parts) < 2:
        return []
    # The ledger counts all of it.
    parts[-1] = replace(parts[-1], ledger=batch.ledger)
    return parts


def only_runs(batch: Batch, *, cells: Mapping[CellKey, Tally] | None = None) -> Batch:
    """Return a batch that carries the same runs, and no events but these requests without detail."""
    return replace(batch, requests=(), cells=cells or {}, phases=(), source_counts=(), errors=(), ends=(), ledger=())


def loose_of(batch: Batch) -> dict[CellKey, Tally]:
    """Return what a batch counts beyond its requests: those without detail."""
    counted = tally(batch.requests)
    loose = {key: less(cell, counted[key]) if key in counted else cell for key, cell in batch.cells.items()}
    return {key: cell for key, cell in loose.items() if cell.requests}


def stand_alone(batch: Batch) -> bool:
    """Return whether a batch holds single events only, which have keys of their own and may be sent with others."""
    if batch.batch_seq is not None or any(error.many > 1 for error in batch.errors):
        return False
    return not batch.cells or sum(cell.requests for cell in batch.cells.values()) == len(batch.requests)


def together(batches: Sequence[Batch]) -> Batch:
    """Return single events of one writer as one batch without a key; one that comes twice is taken once."""
    if len(batches) == 1:
        return batches[0]
    rows = {(row.run_id, row.seq): row for batch in batches for row in batch.requests}
    return Batch(
        writer_id=batches[0].writer_id,
        batch_seq=None,
        starts=tuple({start.run_id: start for batch in batches for start in batch.starts}.values()),
        requests=tuple(rows.values()),
        phases=tuple(change for batch in batches for change in batch.phases),
        source_counts=tuple(count for batch in batches for count in batch.source_counts),
        errors=tuple(error for batch in batches for error in batch.errors),
        ends=tuple(end for batch in batches for end in batch.ends),
        ledger=_newest(
            tuple(entry for batch in batches for entry in batch.ledger), attrgetter("run_id"), _greater_ledger
        ),
    )


def of_run(batch: Batch, run_id: int) -> Batch:
    """Return the part of a batch that is about one run."""
    part = batch.without(batch.run_ids() - {run_id})
    return replace(part, ends=tuple(end for end in batch.ends if end.run_id == run_id))


# -- too much to keep --------------------------------------------------------------------------------------------------


def with_short_errors(batch: Batch) -> Batch:
    """Return a batch whose errors are a line each."""
    if all(error.traceback in ("", LEFT_OUT) and len(error.message) <= _LINE for error in batch.errors):
        return batch
    return replace(batch, errors=tuple(map(shortened, batch.errors)))


def shortened(error: RaisedError) -> RaisedError:
    """Return an error without its traceback and with the beginning of its message."""
    return replace(error, message=error.message[:SHORT_MESSAGE], traceback=LEFT_OUT)


def standing_for(error: RaisedError, many: int) -> RaisedError:
    """Return an error that stands for so many, itself among them, with their number in its message."""
    if many == error.many:
        return error
    own_words = error.message.rpartition(_FOR_ALL)[0] if error.many > 1 else error.message
    return replace(error, many=many, message=f"{own_words}{_FOR_ALL}{many:,} errors]")


def joined(first: Batch, second: Batch) -> Batch:
    """Return two batches of one writer, neither of which a store has seen, as one with the first one's key."""
    starts = {start.run_id: start for start in (*first.starts, *second.starts)}
    return Batch(
        writer_id=first.writer_id,
        batch_seq=first.batch_seq,
        starts=tuple(starts.values()),
        requests=(*first.requests, *second.requests),
        cells=fewer(add_cells(add_cells({}, first.cells), second.cells)),
        phases=_newest(first.phases + second.phases, attrgetter("run_id", "phase"), _later_phase),
        source_counts=_newest(
            first.source_counts + second.source_counts, attrgetter("run_id", "entity"), lambda _, after: after
        ),
        errors=first.errors + second.errors,
        ends=first.ends + second.ends,
        ledger=_newest(first.ledger + second.ledger, attrgetter("run_id"), _greater_ledger),
    )


def fewer(cells: Mapping[CellKey, Tally], most: int = MOST_CELLS) -> dict[CellKey, Tally]:
    """Return cells joined until there are at most so many: other endpoints first, then wider stretches of time.

    What they count stays exact; what goes first is where and when it was.
    """
    found = dict(cells)
    for coarser in _COARSER:
        if len(found) > most:
            found = add_cells({}, found, coarser)
    return found


def _in_stretch(seconds: int, key: CellKey) -> CellKey:
    return key._replace(bucket=key.bucket - key.bucket % seconds)


_COARSER: tuple[Callable[[CellKey], CellKey], ...] = (
    lambda key: key._replace(endpoint=OTHER_ENDPOINTS),
    *[partial(_in_stretch, seconds) for seconds in (60, 600, 3600, 86_400)],
)


def _newest(events: Iterable[E], key: Callable[[E], object], later: Callable[[E, E], E]) -> tuple[E, ...]:
    found: dict[object, E] = {}
    for event in events:
        before = found.get(key(event))
        found[key(event)] = event if before is None else later(before, event)
    return tuple(found.values())


def _later_phase(before: PhaseChange, after: PhaseChange) -> PhaseChange:
    counters = {unit: dict(counts) for unit, counts in before.counters.items()}
    for unit, counts in after.counters.items():
        counters.setdefault(unit, {}).update(counts)
    return replace(
        after,
        counters=counters,
        memory_mb=before.memory_mb if after.memory_mb is None else after.memory_mb,
        memory_limit_mb=before.memory_limit_mb if after.memory_limit_mb is None else after.memory_limit_mb,
    )


def _greater_ledger(before: LedgerEntry, after: LedgerEntry) -> LedgerEntry:
    return replace(
        after,
        emitted=max(before.emitted, after.emitted),
        dropped=max(before.dropped, after.dropped),
        overhead={**before.overhead, **after.overhead},
    )


MOST_FAILURES = 40
"""Of so many refusals one batch is searched; what is left then waits as it is, in case nothing would be taken."""


@dataclass(slots=True)
class Divided:
    """What became of the parts of a batch."""

    sent: int = 0
    """Events committed."""

    refused: dict[int, str] = field(default_factory=dict)
    """Runs whose events the store did not take, and why (see events.Receipt)."""

    lost: int = 0
    """Events of refused runs."""

    rejected: list[Batch] = field(default_factory=list)
    """Whose values do not fit."""

    blocked: list[Batch] = field(default_factory=list)
    """Which a rule of the store stops, or which were not searched any further."""

    def add(self, part: Batch, receipt: Receipt) -> None:
        """Count a part that was taken."""
        lost = events_of(part, receipt.refused)
        self.sent += events_in(part) - lost
        self.lost += lost
        self.refused.update(receipt.refused)


def write_divided(
    write: Callable[[Batch], Receipt], batch: Batch, error: RowRejected | RowBlocked | None = None
) -> Divided:
    """Send a batch that was not taken in parts; raises what `write` raises beyond RowRejected and RowBlocked.

    A run that cannot be stored keeps all of its events back, and nobody else's.
    """
    divided = Divided()
    todo = deque([batch])
    fault: RowRejected | RowBlocked | None = error
    sound: set[int] = set()
    failures = 0
    while todo:
        part = todo.popleft()
        if fault is None:
            try:
                divided.add(part, write(part))
                sound |= part.run_ids()
                continue
            except (RowRejected, RowBlocked) as found:
                fault = found
        failures += 1
        smaller = _smaller(part)
        if smaller and failures >= MOST_FAILURES:
            divided.blocked.append(part)
        elif smaller and _runs_are_taken(write, part, sound):
            todo.extendleft(reversed(smaller))
        else:
            (divided.blocked if isinstance(fault, RowBlocked) else divided.rejected).append(part)
        fault = None
    return divided


def _smaller(batch: Batch) -> list[Batch]:
    """Return a batch in parts; [] for one event, and for requests without detail."""
    loose = loose_of(batch)
    runs = batch.run_ids()
    if loose:
        rest = replace(batch, batch_seq=None, cells=tally(batch.requests))
        return [rest, only_runs(batch, cells=loose)] if events_in(rest) else []
    if len(runs) > 1:
        return [of_run(replace(batch, batch_seq=None), run_id) for run_id in sorted(runs)]
    return [replace(part, batch_seq=None) for part in parts_of(batch)]


def _runs_are_taken(write: Callable[[Batch], Receipt], part: Batch, sound: set[int]) -> bool:
    """Return whether the run of a part can be stored at all; it is tried once."""
    if len(part.starts) != 1 or part.starts[0].run_id in sound:
        return True
    try:
        write(only_runs(replace(part, batch_seq=None)))
    except (RowRejected, RowBlocked):
        return False
    sound.add(part.starts[0].run_id)
    return True
