"""What found no room in a queue: requests added up exactly, errors counted by their kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from tracking_core.dataclass import replace
from tracking_core.delivery.batches import LEFT_OUT, MOST_CELLS, MOST_KINDS, OTHER_ENDPOINTS, SHORT_MESSAGE, fewer
from tracking_core.delivery.rows import request_row
from tracking_core.process.interrupts import suppress_faults
from tracking_core.raw_events import RawError, RawRequest
from tracking_core.requests import CellKey, Tally, cell_of
from tracking_core.sanitize import clean_text

Kind: TypeAlias = tuple[int, str | None, str]
"""Run, phase and fingerprint."""


class Aggregate:
    """Requests whose detail found no room, and errors of which the first of each kind stands for all others."""

    def __init__(self) -> None:
        self.cells: dict[CellKey, Tally] = {}
        self.errors: dict[Kind, tuple[RawError, int]] = {}
        """The first of each kind in a line, and how many there were."""

    def __bool__(self) -> bool:
        return bool(self.cells or self.errors)

    def with_more(self, raws: Iterable[RawRequest | RawError], offset_us: int) -> Aggregate:
        """Return one that has counted these too; this one stays as it is, for who is interrupted meanwhile."""
        more = Aggregate()
        more.cells.update(self.cells)
        more.errors.update(self.errors)
        own: set[CellKey] = set()
        for raw in raws:
            # One that nobody foresaw must not take the others along.
            with suppress_faults():
                if isinstance(raw, RawError):
                    more._add_error(raw)
                else:
                    more._add_request(raw, offset_us, own)
        if len(more.cells) > 2 * MOST_CELLS:
            # Nobody has taken any for long: each stretch of time has cells of its own.
            more.cells = fewer(more.cells, MOST_CELLS)
        return more

    def _add_request(self, raw: RawRequest, offset_us: int, own: set[CellKey]) -> None:
        """Count one request, in a copy of its cell unless that is our own."""
        row = request_row(raw, 0, offset_us)
        key = cell_of(row.run_id, row.endpoint, row.at_us)
        if key not in self.cells and len(self.cells) >= MOST_CELLS:
            key = key._replace(endpoint=OTHER_ENDPOINTS)
        if key not in own:
            own.add(key)
            copy = Tally()
            if key in self.cells:
                copy.add(self.cells[key])
            self.cells[key] = copy
        self.cells[key].add_request(row)

    def _add_error(self, raw: RawError) -> None:
        kind: Kind = (raw.run_id, raw.phase, raw.failure.fingerprint)
        if kind not in self.errors and len(self.errors) >= MOST_KINDS:
            # Whatever kind came first beyond so many of them.
            kind = (raw.run_id, None, "")
        first, many = self.errors.get(kind, (None, 0))
        self.errors[kind] = (first or shortened(raw), many + 1)


def shortened(error: RawError) -> RawError:
    """Return an error in a line."""
    failure = error.failure
    return error._replace(
        failure=replace(failure, message=clean_text(failure.message)[:SHORT_MESSAGE], traceback=LEFT_OUT)
    )
