"""Batches whose requests were taken and numbered, but are not rows yet.

Numbering is quick, making rows is not: a process that leaves with little processor time puts pending batches into the
spool as they are, and whoever replays them makes the rows. Key and numbers are final, so what is built twice, by the
writer and by a replay, is stored once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tracking_core.dataclass import dataclass, replace
from tracking_core.delivery import batches
from tracking_core.delivery.rows import plain_columns, request_row
from tracking_core.events import Batch
from tracking_core.process.interrupts import suppress_faults
from tracking_core.raw_events import RawRequest
from tracking_core.requests import CellKey, RequestColumns, RequestRow, Tally, tally
from tracking_core.sanitize import ADJUSTED

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
        counted.update(batches.rows_by_run(item.requests))
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
            _add(cells, tally(found[-1]))
    _add(cells, pending.batch.cells)
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


def _add(cells: dict[CellKey, Tally], more: Mapping[CellKey, Tally]) -> None:
    for key, cell in more.items():
        cells.setdefault(key, Tally()).add(cell)
