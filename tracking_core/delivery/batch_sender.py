"""The writer's side of a buffered delivery: batches of what waits in the queue, brought to the store or to the spool.

One thread at a time sends, the writer's own or, at the very end, the leaving one, over one kept connection. A leaving
thread may hand all that waits to the spool beside a writer that is in the midst of something: what that writer is
sending goes there too, under the same key, so that it is stored once. While neither store nor spool takes a batch, all
later events stay in the queue, which is bounded. Nothing here raises but exceptions from outside.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from tracking_core.delivery.batch_builder import EVENTS_AT_A_TIME
from tracking_core.delivery.batches import events_of, is_empty, joined, write_divided
from tracking_core.delivery.event_queue import SHIP_FROM, EventQueue
from tracking_core.delivery.rows import PendingBatch, batch_of, events_in
from tracking_core.delivery.store_link import StoreLink
from tracking_core.delivery.unsent import Item, Unsent, in_time, timeout
from tracking_core.errors import RowBlocked, RowRejected
from tracking_core.events import Batch, Receipt
from tracking_core.process import deadlines
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import from_outside, suppress_faults
from tracking_core.process.locks import ReentrantLock, take
from tracking_core.store.base import Writer

REPLAY_STEP_S = 0.5
"""How long a spool is replayed before new events are looked at again."""

LOOK_EVERY_S = 60.0
"""How often spools of dead processes are looked for."""

CLOSING_S = 0.25
"""What is kept of a leaving thread's time for the last line, or for the store when there is no spool."""

SHORTEST_REST_S = 0.05
TRY_AGAIN_S = 1.0
"""How long a process that leaves waits for a store that did not answer before."""


class BatchSender:
    """Sends the events of one queue."""

    def __init__(self, link: StoreLink, queue: EventQueue) -> None:
        self._link = link
        self._queue = queue
        self._unsent = Unsent(link, queue)
        self._connection: Writer | None = None
        self._inherited: list[Writer] = []
        # One thread sends at a time; the leaving thread takes over only when the writer's has let go.
        self._lock = ReentrantLock()
        # One thread at a time leaves, also beside one that sends.
        self._leaving = ReentrantLock()
        self._begin()
        renew_in_child(self._renew)

    def _begin(self) -> None:
        self._sending = self._is_leaving = False
        self._left = 0
        self._refused_key: int | None = None
        """Of the batch that neither store nor spool took: the spool is asked again when the store was."""

        self._look_at = self._link.clock.monotonic()

    def _renew(self) -> None:
        """Begin anew in a forked child: the parent's connection is neither used nor closed."""
        if self._connection is not None:
            self._inherited.append(self._connection)
        self._connection = None
        self._begin()

    @property
    def unsent(self) -> int:
        """How many events were taken from the queue and are not stored or spooled yet."""
        return self._unsent.events

    @property
    def is_stuck(self) -> bool:
        """Whether neither the store nor the spool took the oldest batch."""
        return bool(self._unsent)

    def rest_s(self, most: float) -> float:
        """Return how long to rest before the next `send`: until the store may be tried again when something waits."""
        if not self._unsent and self._link.spool_is_empty:
            return most
        return min(most, max(self._link.breaker.remaining(self._link.clock.monotonic()), SHORTEST_REST_S))

    def send(self) -> None:
        """Bring everything that waits at this moment to the store or the spool; no more than there is time for."""
        moment, held = deadlines.moment(math.inf), list[bool]()
        try:
            if not take(self._lock, held, timeout(moment)) or self._sending:
                # No time is left, or it is a call from within: a `__del__` on this thread that flushes.
                return
            self._send_alone(in_time=moment == math.inf)
        finally:
            if True in held:
                self._lock.release()

    def _send_alone(self, *, in_time: bool) -> None:
        self._sending = True
        try:
            began = time.thread_time()
            waits = self._unsent or not (self._link.spool_is_empty and self._queue.is_empty)
            if not in_time and waits and self._link.breaker.is_open:
                # A store that failed a while ago is asked once more, since there is no later for what waits.
                self._link.breaker.try_now()
                deadlines.bounded(TRY_AGAIN_S, self._greet)
            if not (self._link.clock_offset.is_known or self._queue.is_empty):
                self._greet()
            self._send_waiting()
            self._unsent.builder.spent(time.thread_time() - began)
            if self._unsent.in_time:
                self._replay()
        finally:
            self._sending = False

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send_waiting(self) -> None:
        # What comes meanwhile is left for the next time, or a busy job would keep everything else waiting.
        self._left = max(len(self._queue.requests) + len(self._queue.events), 1)
        while (self._unsent or self._left > 0) and self._unsent.in_time:
            key = self._unsent.key()
            if key is None:
                if not self._take():
                    return
            elif (batch := self._unsent.built(key, in_time)) is not None:
                if not self._send_batch(batch):
                    return
            elif key == self._unsent.key():
                # There is no time to make it.
                return

    def _take(self) -> bool:
        taken = self._unsent.take()
        self._left -= taken or 0
        return taken is not None

    def _build_ahead(self) -> None:
        """Make the next batch while the store takes in one, if there is enough for it."""
        if len(self._unsent) == 1 and self._left >= SHIP_FROM:
            self._take()
            if (key := self._unsent.key(1)) is not None:
                self._unsent.built(key, in_time)

    def _send_batch(self, batch: Batch) -> bool:
        """Return whether the store or the spool has a batch now."""
        if not self._link.may_try():
            return batch.batch_seq != self._refused_key and self._spool(batch)
        began = self._link.clock.monotonic()
        try:
            lost = self._write(batch, self._build_ahead)
        except (RowRejected, RowBlocked) as error:
            self._link.failed(error, began)
            return self._divide(batch, error)
        except BaseException as error:
            self._failed(error, began)
            taken = self._spool(batch)
            if from_outside(error):
                raise
            return taken
        self._unsent.settle(batch, sent=events_in(batch) - lost, dropped=lost)
        return True

    def _write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> int:
        """Write a batch and return how many of its events were refused; raises what the store raises."""
        self._unsent.tried.add(batch.batch_seq)
        receipt = self._write_only(batch, meanwhile)
        self._unsent.tried.discard(batch.batch_seq)
        self._link.answered()
        return events_of(batch, receipt.refused)

    def _write_only(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        receipt = self._link.write(self._connected(), batch, meanwhile)
        self._link.receipts.apply(batch, receipt)
        return receipt

    def _connected(self) -> Writer:
        if self._connection is None:
            self._connection = self._link.connect()
        return self._connection

    def _greet(self) -> None:
        """Measure the store's clock before the first events get their time."""
        if not self._link.may_try():
            return
        began = self._link.clock.monotonic()
        try:
            self._link.greet(self._connected())
        except BaseException as error:
            self._failed(error, began)
            if from_outside(error):
                raise
        else:
            self._link.breaker.worked()

    def _failed(self, error: BaseException, began: float) -> None:
        self._link.failed(error, began)
        self.disconnect()

    def disconnect(self) -> None:
        """Close the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress_faults():
                connection.close()

    def _replay(self) -> None:
        """Send what waits in the spool, as far as the store takes it."""
        now = self._link.clock.monotonic()
        others = self._connection is not None and now >= self._look_at
        if not (others or not self._link.spool_is_empty) or not self._link.may_try():
            return
        leave_by = deadlines.moment(math.inf)
        try:
            if leave_by != math.inf and not self._link.spool_is_empty:
                # What this process has spooled itself is not left for the next job, if there is time.
                self._link.replay(self._write_only, leave_by, others=False)
            replayed = self._link.replay(self._write_only, now + REPLAY_STEP_S, others=others)
        except BaseException:
            self.disconnect()
            raise
        if replayed.error:
            self.disconnect()
        elif others and not replayed.unfinished:
            self._look_at = self._link.clock.monotonic() + LOOK_EVERY_S

    # -- what the store does not take --------------------------------------------------------------------------------

    def _spool(self, batch: Batch) -> bool:
        """Return whether the spool took a batch, or nothing is left of it without the runs that are switched off."""
        off = self._link.receipts.runs_off(batch)
        left = batch.without(off)
        lost = events_in(batch) - events_in(left)
        if is_empty(left):
            self._unsent.settle(batch, dropped=lost, off=lost)
            return True
        if self._link.spool.take(left, again=True):
            self._unsent.spooled(left, off=lost)
            return True
        self._refused_key = batch.batch_seq
        self._link.health.undelivered("memory")
        self._unsent.replace(left)
        self._link.counts.add(dropped=lost, off=lost)
        return False

    def _divide(self, batch: Batch, error: RowRejected | RowBlocked) -> bool:
        """Send what is around the rows that the store does not take; these wait in the spool, or are set aside."""
        began = self._link.clock.monotonic()
        try:
            divided = write_divided(self._write_only, batch, error)
        except BaseException as fault:
            self._failed(fault, began)
            taken = self._spool(batch)
            if from_outside(fault):
                raise
            return taken
        kept, gone = list[Batch](), list[Batch]()
        for part in divided.blocked:
            (kept if self._link.spool.take_blocked(part) else gone).append(part)
        for part in divided.rejected:
            self._link.spool.set_aside(part)
            gone.append(part)
        spooled, dropped = sum(map(events_in, kept)), divided.lost + sum(map(events_in, gone))
        if self._unsent.settle(batch, sent=divided.sent, spooled=spooled, dropped=dropped):
            for part in kept:
                self._link.receipts.starts(part, "spooled")
                self._link.health.undelivered("spooled")
            for part in gone:
                self._unsent.note_given_up(part)
        return True

    # -- leaving -----------------------------------------------------------------------------------------------------

    def leave(self, until: float = math.inf) -> None:
        """Put into the spool all that waits, by a moment of the monotonic clock; close spool and connection.

        What finds no room there is added up and tried with the store, and what the store does not take either is
        counted as dropped. While the writer is at work on another thread the connection stays open.
        """
        held: list[bool] = []
        try:
            if not take(self._leaving, held, timeout(until)) or self._is_sending_here() or self._is_leaving:
                # No time is left, or it is a call from within: a `__del__` on this thread that closes.
                return
            self._leave_alone(until)
        finally:
            if True in held:
                self._leaving.release()

    def _leave_alone(self, until: float) -> None:
        held: list[bool] = []
        self._is_leaving = True
        try:
            spooled = self._hand_over(until - CLOSING_S)
            alone = take(self._lock, held, timeout(until - CLOSING_S) if self._unsent else 0)
            self._close_with(spooled, until, alone=alone)
            if alone:
                self.disconnect()
            self._link.close_spool()
        finally:
            self._is_leaving = False
            if True in held:
                self._lock.release()

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

    def _close_with(self, spooled: set[int], until: float, *, alone: bool) -> None:
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
                if alone and in_time() and self._takes_last(batch):
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

    def _is_sending_here(self) -> bool:
        """Return whether the calling thread sends; False while another one does."""
        held: list[bool] = []
        try:
            return take(self._lock, held, 0) and self._sending
        finally:
            if True in held:
                self._lock.release()

    def _takes_last(self, batch: Batch) -> bool:
        """Return whether the store takes a batch, which is no longer anywhere else."""
        if not self._link.may_try():
            return False
        began = self._link.clock.monotonic()
        try:
            lost = self._write(batch)
        except Exception as error:
            self._failed(error, began)
            if from_outside(error):
                raise
            return False
        self._link.counts.add(sent=events_in(batch) - lost, dropped=lost)
        return True
