"""What was taken from the queue and is neither stored nor spooled yet: numbered batches by key, oldest first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeAlias

from tracking_core.delivery.batch_builder import BatchBuilder
from tracking_core.delivery.batches import is_empty
from tracking_core.delivery.counts import Mark
from tracking_core.delivery.event_queue import SHIP_MOST, EventQueue
from tracking_core.delivery.rows import PendingBatch, batch_of, events_in, numbered_in
from tracking_core.delivery.store_link import StoreLink
from tracking_core.events import Batch
from tracking_core.process import deadlines
from tracking_core.process.forks import renew_in_child
from tracking_core.process.locks import ReentrantLock, take

HAND_OVER_MOST = 2_000
"""Requests of one line of the spool when they are handed over by a leaving process: it looks at the time in between."""

SLOW_BUILD_S = 0.1
SLOW_SHARE = 0.1
"""Of a processor: a thread that makes a batch for longer than that with less than this share is starved."""

Item: TypeAlias = PendingBatch | Batch


class Unsent:
    """The batches that one writer sends, which a leaving thread may hand to the spool at the same time."""

    def __init__(self, link: StoreLink, queue: EventQueue) -> None:
        self._link = link
        self._queue = queue
        self.builder = BatchBuilder(link, queue)
        # Guards what moves from the queue to here and away; never held while talking to store or disk.
        self._moving = ReentrantLock()
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        self._items: dict[int, Item] = {}
        self._given_up: dict[int, Item] = {}
        self._starved = False
        self._marks: dict[int, Mark] = {}
        """By key: whether a batch is counted as stored, spooled or dropped."""

        self.tried: set[int | None] = set()
        """Keys of batches that were tried in vain: a store may have seen them."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def events(self) -> int:
        """How many events all of them carry."""
        with self._moving:
            return sum(map(events_in, self._items.values()))

    def key(self, position: int = 0) -> int | None:
        """Return the key of the oldest batch, or of one after it; None where there are fewer."""
        with self._moving:
            self._remove_settled()
            keys = list(self._items)
        return keys[position] if position < len(keys) else None

    def take(self, most: int = SHIP_MOST) -> int | None:
        """Make pending batches of what waits in the queue; return how many events that were, None if nothing waits."""
        if self._queue.is_empty:
            return None
        with self._moving:
            taken, made = self.builder.take(most, self._items)
        return taken if taken or made else None

    def take_all(self, until: float) -> list[Item]:
        """Return all that waits, oldest first; the queue is empty then, but for what comes meanwhile."""
        held: list[bool] = []
        try:
            if not take(self._moving, held, timeout(until)):
                return []
            for waiting, most in ((self._queue.events, 0), (self._queue.requests, HAND_OVER_MOST)):
                # Events first: the end of a run is a small line, and its requests may need more room than there is.
                left = len(waiting)
                while left > 0 and (taken := self.take(most)) is not None:
                    left -= taken
            self.take(0)
            self._remove_settled()
            return list(self._items.values())
        finally:
            if True in held:
                self._moving.release()

    def clear(self) -> list[Item]:
        """Return all of them, which are no longer here."""
        with self._moving:
            self._remove_settled()
            items = list(self._items.values())
            self._items.clear()
        return items

    def built(self, key: int, go_on: Callable[[], bool]) -> Batch | None:
        """Return the batch of a key; None when another thread has taken it, or `go_on` returned False meanwhile."""
        item = self._items.get(key)
        if not isinstance(item, PendingBatch):
            return item
        began, cpu_s = time.monotonic(), time.thread_time()
        batch = self.builder.build(item, go_on)
        took_s = time.monotonic() - began
        self._starved = took_s > SLOW_BUILD_S and time.thread_time() - cpu_s < took_s * SLOW_SHARE
        with self._moving:
            if batch is None or key not in self._items:
                return None
            if is_empty(batch):
                del self._items[key]
                return None
            self._items[key] = batch
        return batch

    @property
    def in_time(self) -> bool:
        """Whether the calling thread may begin something for which somebody who leaves waits.

        Not where this thread gets so little of a processor that the store would take all of that time: what the spool
        takes costs less, and the interpreter's own end has to find some as well.
        """
        return in_time() and not (self._starved and deadlines.moment(math.inf) != math.inf)

    def replace(self, batch: Batch) -> None:
        """Keep a batch instead of the one of its key, if that is still here."""
        with self._moving:
            if key_of(batch) in self._items:
                self._items[key_of(batch)] = batch

    def settle(self, item: Item, *, sent: int = 0, spooled: int = 0, dropped: int = 0, off: int = 0) -> bool:
        """Count, once, what became of the events of an item, and keep it no longer; False if another thread has.

        What a leaving thread has given up while this one was still at work on it is dropped no more.
        """
        key = key_of(item)
        with self._moving:
            given_up = self._given_up.pop(key, None)
            mark = self._marks.setdefault(key, Mark()) if key in self._items else None
        if given_up is not None:
            self.builder.lost({run_id: -rows for run_id, rows in numbered_in(given_up).items()})
            dropped -= events_in(given_up)
        elif mark is None:
            return False
        counted = self._link.counts.add(sent=sent, spooled=spooled, dropped=dropped, off=off, once=mark)
        with self._moving:
            self._remove_settled()
        return counted

    def _remove_settled(self) -> None:
        """Keep no longer what is counted, also by a call that was interrupted there; the lock is held."""
        for key in [key for key, mark in self._marks.items() if mark.counted]:
            self._items.pop(key, None)
            self._marks.pop(key, None)

    def spooled(self, item: Item, *, off: int = 0) -> None:
        """Count what the spool took, and `off` events that were left out because tracking is off."""
        self._link.receipts.starts(batch_of(item), "spooled")
        if self.settle(item, spooled=events_in(item), dropped=off, off=off):
            self._link.health.undelivered("spooled")

    def given_up_for_now(self, item: Item) -> None:
        """Count as dropped what another thread may still be at work on (see `settle`)."""
        with self._moving:
            self._given_up[key_of(item)] = item
        self.given_up(item)

    def given_up(self, item: Item) -> None:
        """Count what nobody took, which is no longer here."""
        self._link.counts.add(dropped=events_in(item))
        self.note_given_up(item)

    def note_given_up(self, item: Item) -> None:
        """Note, of what is counted as dropped, which runs lack it, and that there is something to report."""
        self.builder.lost(numbered_in(item))
        self._link.receipts.starts(batch_of(item), "dropped")
        self._link.health.undelivered("dropped")


def key_of(item: Item) -> int:
    """Return the key of a batch."""
    key = batch_of(item).batch_seq
    assert key is not None
    return key


def in_time() -> bool:
    """Return whether the calling thread may begin something: nobody who leaves waits for it in vain."""
    return time.monotonic() < deadlines.moment(math.inf)


def timeout(until: float) -> float:
    """Return the seconds until a moment of the monotonic clock as a lock takes them, -1 without an end."""
    return -1 if until == math.inf else max(until - time.monotonic(), 0)
