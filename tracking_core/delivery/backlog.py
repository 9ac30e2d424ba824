"""Batches that wait in memory because neither the store nor the spool takes them.

Bounded in number and bytes. Beyond the bounds the oldest lose their detail and are joined: totals, lifecycle and phases
stay (docs/promises.md, P13, P14), and errors, at last as one of each kind with their number. Only the first batch may
have been seen by a store, so it alone is never joined.
"""

from __future__ import annotations

from collections.abc import Callable

from tracking_core.dataclass import dataclass, replace
from tracking_core.delivery.batches import bytes_of, joined, with_errors_by_kind, with_short_errors, without_detail
from tracking_core.events import Batch

MOST_BATCHES = 40
MOST_BYTES = 8 * 1024 * 1024
MOST_ERRORS = 1_000
"""Errors that joined batches keep one by one: what a store takes within any deadline."""


@dataclass(slots=True)
class _Waiting:
    batch: Batch
    size: int


class Backlog:
    """The batches of one sender that nobody took, oldest first."""

    def __init__(self, detail_lost: Callable[[dict[int, int]], dict[int, int]], *, keeps_detail: bool = False) -> None:
        self._detail_lost = detail_lost
        self._keeps_detail = keeps_detail
        self._waiting: list[_Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next batch would cost detail."""
        return len(self._waiting) >= MOST_BATCHES or self._bytes() >= MOST_BYTES

    @property
    def first(self) -> Batch | None:
        """The oldest batch."""
        return self._waiting[0].batch if self._waiting else None

    @property
    def batches(self) -> list[Batch]:
        """All of them, oldest first."""
        return [each.batch for each in self._waiting]

    def add(self, batch: Batch) -> None:
        """Keep a batch, at the cost of detail when there is no room; not where callers wait when it is full."""
        self._waiting.append(_Waiting(batch, bytes_of(batch)))
        while not self._keeps_detail and (len(self._waiting) > MOST_BATCHES or self._bytes() > MOST_BYTES):
            if not (self._leave_out_detail() or self._join() or self._shorten() or self._fold()):
                return

    def discard(self, key: int | None) -> bool:
        """Keep the batch of a key no longer; False when it is not here."""
        before = len(self._waiting)
        self._waiting = [each for each in self._waiting if each.batch.batch_seq != key]
        return len(self._waiting) < before

    def clear(self) -> None:
        """Keep nothing."""
        self._waiting.clear()

    def _bytes(self) -> int:
        return sum(each.size for each in self._waiting)

    def _put(self, place: int, batch: Batch) -> None:
        self._waiting[place] = _Waiting(batch, bytes_of(batch))

    def _leave_out_detail(self) -> bool:
        for place, each in enumerate(self._waiting):
            if each.batch.requests:
                self._put(place, self.owned_up(*without_detail(each.batch)))
                return True
        return False

    def owned_up(self, smaller: Batch, lost: dict[int, int]) -> Batch:
        """Return a batch whose ledger says what it has lost."""
        dropped = self._detail_lost(lost)
        ledger = tuple(replace(entry, dropped=dropped.get(entry.run_id, entry.dropped)) for entry in smaller.ledger)
        return replace(smaller, ledger=ledger)

    def _join(self) -> bool:
        for place in range(1, len(self._waiting) - 1):
            first, second = self._waiting[place].batch, self._waiting[place + 1].batch
            if first.writer_id == second.writer_id:
                both = joined(first, second)
                self._put(place, self._with_fewer_errors(both) if len(both.errors) > MOST_ERRORS else both)
                del self._waiting[place + 1]
                return True
        return False

    def _shorten(self) -> bool:
        for place, each in enumerate(self._waiting):
            shorter = with_short_errors(each.batch)
            if shorter is not each.batch:
                self._put(place, shorter)
                return True
        return False

    def _fold(self) -> bool:
        for place in range(1, len(self._waiting)):
            batch = self._waiting[place].batch
            smaller = self._with_fewer_errors(batch)
            if smaller is not batch:
                self._put(place, smaller)
                return True
        return False

    def _with_fewer_errors(self, batch: Batch) -> Batch:
        smaller, lost = with_errors_by_kind(batch)
        return self.owned_up(smaller, lost) if lost else batch
