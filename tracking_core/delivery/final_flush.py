"""The last thing a buffered delivery does: what waits goes into the spool, and what finds no room to the store."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from tracking_core.delivery.batch_builder import EVENTS_AT_A_TIME
from tracking_core.delivery.batches import joined
from tracking_core.delivery.pending_batch import PendingBatch, batch_of, events_in
from tracking_core.delivery.store_link import StoreLink
from tracking_core.delivery.unsent import Item, Unsent, in_time, timeout
from tracking_core.events import Batch
from tracking_core.process import deadlines
from tracking_core.process.forks import renew_in_child
from tracking_core.process.locks import ReentrantLock, take

if TYPE_CHECKING:
    from tracking_core.delivery.batch_sender import BatchSender

CLOSING_S = 0.25
"""What is kept of a leaving thread's time for the last line, or for the store when there is no spool."""


class FinalFlush:
    """Puts what waits into the spool; beside a writer that is in the midst of something, what that writer sends too."""

    def __init__(self, link: StoreLink, unsent: Unsent, sender: BatchSender) -> None:
        self._link = link
        self._unsent = unsent
        self._sender = sender
        # One thread at a time.
        self._lock = ReentrantLock()
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        self._runs = False

    def run(self, until: float = math.inf) -> None:
        """Put into the spool all that waits, by a moment of the monotonic clock; close spool and connection.

        What finds no room there is added up and tried with the store, and what the store does not take either is
        counted as dropped. While the writer is at work on another thread the connection stays open.
        """
        held: list[bool] = []
        try:
            if not take(self._lock, held, timeout(until)) or self._sender.is_sending_here() or self._runs:
                # No time is left, or it is a call from within: a `__del__` on this thread that closes.
                return
            self._run_alone(until)
        finally:
            if True in held:
                self._lock.release()

    def _run_alone(self, until: float) -> None:
        held: list[bool] = []
        self._runs = True
        try:
            spooled = self._hand_over(until - CLOSING_S)
            alone = take(self._sender.lock, held, timeout(until - CLOSING_S) if self._unsent else 0)
            self._close(spooled, until, alone=alone)
            if alone:
                self._sender.disconnect()
            self._link.close_spool()
        finally:
            self._runs = False
            if True in held:
                self._sender.lock.release()

    def _hand_over(self, until: float) -> set[int]:
        """Put all that waits into the spool, as far as it takes it; return the runs of what it took."""
        runs: set[int] = set()
        full = False
        for item in self._unsent.take_all(until):
            if full and events_in(item) > EVENTS_AT_A_TIME:
                # No room for that many.
                continue
            if self._link.spool.take(item, until, again=True):
                runs.update(entry.run_id for entry in batch_of(item).ledger)
                self._unsent.spooled(item)
            else:
                full = True
        return runs

    def _close(self, spooled: set[int], until: float, *, alone: bool) -> None:
        """Send what the spool did not take without its detail, and how far this writer came with its runs."""
        light: list[Batch] = []
        if spooled:
            # First of all, and whatever the time: without it what is missing is not counted.
            last = time.monotonic() + CLOSING_S
            closing = self._unsent.builder.closing(spooled)
            light += [batch for batch in closing if not self._link.spool.take(batch, last)]
        for item in self._unsent.clear():
            batch = self._light(item, until) if alone else None
            if batch is None:
                self._unsent.given_up_for_now(item)
            elif light and self._may_join(light[-1], batch):
                light[-1] = joined(light[-1], batch)
            else:
                light.append(batch)
        if not spooled:
            light += self._unsent.builder.closing(())
        if light and alone and deadlines.is_leaving():
            # What was kept of the time for the spool is the store's after all.
            deadlines.leave_by(max(until, time.monotonic()))
        with deadlines.limit_thread(threading.get_ident(), until):
            for batch in light:
                if alone and in_time() and self._sender.takes_last(batch):
                    continue
                if self._link.spool.take(batch, until):
                    self._link.spooled(batch)
                else:
                    self._unsent.given_up(batch)

    def _light(self, item: Item, until: float) -> Batch | None:
        """Return a batch without the detail of its requests, which is counted as dropped; None when time is over."""
        builder = self._unsent.builder
        batch = builder.build(item, lambda: time.monotonic() < until) if isinstance(item, PendingBatch) else item
        return None if batch is None else builder.without_detail(batch)

    def _may_join(self, first: Batch, second: Batch) -> bool:
        """Return whether two batches may become one: no store may have seen either under its key."""
        seen = self._unsent.tried & {first.batch_seq, second.batch_seq}
        return first.writer_id == second.writer_id and not seen
