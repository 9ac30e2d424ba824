"""A batch that a store does not take because of some of its rows: sent in parts until these are found.

Parts carry no batch key, since the keys of their events are enough: whatever is interrupted may be repeated as a whole.
Only requests without detail have no key of their own; they come last, under that of the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tracking_core.dataclass import dataclass, field, replace
from tracking_core.delivery.batches import events_in, events_of, loose_of, of_run, only_runs, parts_of
from tracking_core.errors import RowBlocked, RowRejected
from tracking_core.events import Batch, Receipt
from tracking_core.requests import tally

MOST_FAILURES = 40
"""Of so many refusals one batch is searched; what is left then waits as it is, in case nothing would be taken."""


@dataclass(slots=True)
class Divided:
    """What became of the parts of a batch."""

    sent: int = 0
    """Events committed."""

    refused: dict[int, str] = field(default_factory=dict)
    """Runs whose events the store did not take, and why (see events.Receipt)."""

    ended: set[int] = field(default_factory=set)
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
        self.ended |= receipt.ended


def write_divided(write: Callable[[Batch], Receipt], batch: Batch, error: RowRejected | RowBlocked) -> Divided:
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
