"""The other side of a buffered delivery: batches brought to the store, or to the spool, or kept in memory.

Ships on one thread at a time, the writer's own or, at the very end, the leaving one; keeps one connection. A leaving
thread may hand all that waits to the spool beside a writer that is in the midst of something: what is in the writer's
hands goes there too, under the same key, so that it is stored once. Nothing here raises but what is not an Exception.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tracking_core.clock import Clock
from tracking_core.delivery.backlog import Backlog
from tracking_core.delivery.base import Replay, Spool
from tracking_core.delivery.batch_builder import MOST_WORDS, BatchBuilder
from tracking_core.delivery.batches import events_of, is_empty, joined, without_detail, without_runs
from tracking_core.delivery.breaker import Breaker
from tracking_core.delivery.clock_offset import ClockOffset
from tracking_core.delivery.counts import Counts, of_process
from tracking_core.delivery.dividing import write_divided
from tracking_core.delivery.event_queue import SHIP_FROM, SHIP_MOST, EventQueue
from tracking_core.delivery.health_log import HealthLog
from tracking_core.delivery.pending_batch import PendingBatch, batch_of, events_in, numbered_in
from tracking_core.delivery.receipts import ReceiptHandler
from tracking_core.delivery.run_registry import RunRegistry
from tracking_core.errors import RowBlocked, RowRejected
from tracking_core.events import Batch, Receipt
from tracking_core.process import deadlines
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import from_outside, suppress_faults
from tracking_core.process.locks import ReentrantLock, take
from tracking_core.store.base import Store, Writer
from tracking_core.switch import TrackingSwitch

if TYPE_CHECKING:
    from tracking_core.records import DeliveryReport

REPLAY_STEP_S = 0.5
"""How long a spool is replayed before new events are looked at again."""

LOOK_EVERY_S = 60.0
"""How often spools of dead processes are looked for."""

SHORTEST_REST_S = 0.05
HAND_OVER_MOST = 2_000
"""Requests of one line of the spool when they are handed over by a leaving process: it looks at the time in between."""

TRY_AGAIN_S = 1.0
"""How long a process that leaves waits for a store that did not answer before."""

CLOSING_S = 0.25
"""What is kept of a leaving thread's time for the last line, or for the store when there is no spool."""


class BatchSender:
    """What brings the events of an EventQueue to a store."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        queue: EventQueue,
        runs: RunRegistry,
        *,
        deadline: float,
        switch: TrackingSwitch,
        health: HealthLog,
        clock: Clock,
        spool: Spool,
        breaker: Breaker | None = None,
    ) -> None:
        self._open_store = open_store
        self._event_queue = queue
        self._runs = runs
        self._deadline = deadline
        self._health = health
        self._clock = clock
        self._spool = spool
        self._breaker = breaker or Breaker()
        self._counts = Counts(of_process if self._health.writes_stderr else None)
        self._clock_offset = ClockOffset(clock)
        self._receipts = ReceiptHandler(runs, switch, self._counts, health)
        self._builder = BatchBuilder(
            queue, runs, clock=clock, clock_offset=self._clock_offset, counts=self._counts, health=health
        )
        self._backlog = Backlog(self._builder.lost, keeps_detail=queue.waits)
        self._unsent: dict[int, PendingBatch | Batch] = {}
        """By key, in order: what was taken from the queue and is neither stored, nor spooled, nor in the backlog."""

        self._queue: deque[int] = deque()
        """Keys of what was not tried yet; one of more than a moment's detail is made while another is sent."""

        self._tried: set[int | None] = set()
        """Keys of batches that were tried in vain: a store may have seen them."""

        self._connection: Writer | None = None
        self._inherited: list[Writer] = []
        # One thread ships at a time; the leaving thread takes over only when the writer's has let go.
        self.lock = ReentrantLock()
        # Guards what moves between the queue, the unsent and the backlog; never held while talking to store or disk.
        self._moving = ReentrantLock()
        # One thread lets go at a time.
        self._letting_go = ReentrantLock()
        self._begin()
        renew_in_child(self._renew)

    def _begin(self) -> None:
        self._lets_go = False
        self._shipping = False
        self._left = 0
        self._look_at = self._clock.monotonic()
        self.answered_at: float | None = None
        """When the store last answered, on the monotonic clock."""

    def _renew(self) -> None:
        """Begin anew in a forked child: the parent's connection is neither used nor closed."""
        if self._connection is not None:
            self._inherited.append(self._connection)
        self._connection = None
        self._unsent.clear()
        self._queue.clear()
        self._tried.clear()
        self._backlog.clear()
        self._begin()

    @property
    def report(self) -> DeliveryReport:
        """What became of everything so far."""
        return self._counts.report

    @property
    def unsent(self) -> int:
        """How many events were taken from the queue and are not stored or spooled yet."""
        with self._moving:
            return sum(map(events_in, self._unsent.values()))

    def rest_s(self, most: float) -> float:
        """Return how long to rest before the next `ship`: until the store may be tried again when something waits."""
        if not self._backlog and self._spool.is_empty:
            return most
        return min(most, max(self._breaker.remaining(self._clock.monotonic()), SHORTEST_REST_S))

    def ship(self) -> None:
        """Bring everything that waits at this moment to the store or the spool; no more than there is time for."""
        moment, held = deadlines.moment(math.inf), list[bool]()
        try:
            if not take(self.lock, held, _timeout(moment)) or self._shipping:
                # No time is left, or it is a call from within: a `__del__` on this thread that flushes.
                return
            self._ship_alone(in_time=moment == math.inf)
        finally:
            if True in held:
                self.lock.release()

    def _ship_alone(self, *, in_time: bool) -> None:
        self._shipping = True
        try:
            began = time.thread_time()
            if not in_time:
                self._try_again()
            self._greet()
            self._ship_waiting()
            self._builder.spent(time.thread_time() - began)
            self._catch_up()
        finally:
            self._shipping = False

    def let_go(self, until: float = math.inf) -> None:
        """Put into the spool all that waits, by a moment of the monotonic clock; close spool and connection.

        What finds no room there is added up and tried with the store, and what the store does not take either is
        counted as dropped. While the writer is at work on another thread the connection stays open.
        """
        held: list[bool] = []
        try:
            if not take(self._letting_go, held, _timeout(until)) or self._shipping_here() or self._lets_go:
                # No time is left, or it is a call from within: a `__del__` on this thread that closes.
                return
            self._let_go_alone(until)
        finally:
            if True in held:
                self._letting_go.release()

    def _let_go_alone(self, until: float) -> None:
        held: list[bool] = []
        self._lets_go = True
        try:
            spooled = self._hand_over(until - CLOSING_S)
            left = self._unsent or self._backlog
            alone = take(self.lock, held, _timeout(until - CLOSING_S) if left else 0)
            self._close(spooled, until, alone=alone)
            if alone:
                self.disconnect()
            self._spool.close()
        finally:
            self._lets_go = False
            if True in held:
                self.lock.release()

    def _shipping_here(self) -> bool:
        """Return whether the calling thread ships; it cannot tell while another one does, and is not it then."""
        held: list[bool] = []
        try:
            return take(self.lock, held, 0) and self._shipping
        finally:
            if True in held:
                self.lock.release()

    # -- handing over --------------------------------------------------------------------------------------------------

    def _hand_over(self, until: float) -> set[int]:
        """Put all that waits into the spool, as far as it takes it; return the runs of what it took."""
        runs: set[int] = set()
        full = False
        for item in self._take_all(until):
            if full and events_in(item) > MOST_WORDS:
                # No room for that many.
                continue
            if self._spool.take(item, until, again=True):
                runs.update(entry.run_id for entry in batch_of(item).ledger)
                if self._release(item):
                    self._count_spooled(item)
            else:
                full = True
        return runs

    def _take_all(self, until: float) -> list[PendingBatch | Batch]:
        """Return all that waits, oldest first; the queue is empty then, but for what comes meanwhile."""
        held: list[bool] = []
        try:
            if not take(self._moving, held, _timeout(until)):
                return []
            for waiting, most in ((self._event_queue.words, 0), (self._event_queue.requests, HAND_OVER_MOST)):
                # Words first: the end of a run is a small line, and its requests may need more room than there is.
                left = len(waiting)
                while left > 0 and (taken := self._take(most)):
                    left -= taken
            self._take(0)
            return [*self._backlog.batches, *self._unsent.values()]
        finally:
            if True in held:
                self._moving.release()

    def _close(self, spooled: set[int], until: float, *, alone: bool) -> None:
        """Send what the spool did not take without its detail, and how far this writer came with its runs."""
        light: list[Batch] = []
        if spooled:
            # First of all, and whatever the time: without it nobody learns what is missing.
            light += [batch for batch in self._builder.closing(spooled) if not self._take_closing(batch)]
        for item in self._remaining():
            batch = self._light(item, until) if alone else None
            if batch is None:
                self._given_up(item)
            elif light and self._may_join(light[-1], batch):
                light[-1] = joined(light[-1], batch)
            else:
                light.append(batch)
        if not spooled:
            light += self._builder.closing(())
        if light and alone and deadlines.is_leaving():
            # What was kept of the time for the spool is the store's after all.
            deadlines.leave_by(max(until, time.monotonic()))
        with deadlines.limit_thread(threading.get_ident(), until):
            for batch in light:
                if alone and _in_time() and self._took_last(batch):
                    continue
                if self._spool.take(batch, until):
                    self._count_spooled(batch)
                else:
                    self._given_up(batch)

    def _take_closing(self, batch: Batch) -> bool:
        return self._spool.take(batch, time.monotonic() + CLOSING_S)

    def _remaining(self) -> list[PendingBatch | Batch]:
        with self._moving:
            items = [*self._backlog.batches, *self._unsent.values()]
            self._backlog.clear()
            self._unsent.clear()
            self._queue.clear()
        return items

    def _light(self, item: PendingBatch | Batch, until: float) -> Batch | None:
        """Return a batch without the detail of its requests, which is counted as dropped; None when time is over."""
        batch = self._builder.build(item, lambda: time.monotonic() < until) if isinstance(item, PendingBatch) else item
        return None if batch is None else self._backlog.owned_up(*without_detail(batch))

    def _may_join(self, first: Batch, second: Batch) -> bool:
        """Return whether two batches may become one: no store may have seen either under its key."""
        seen = first.batch_seq in self._tried or second.batch_seq in self._tried
        return first.writer_id == second.writer_id and not seen

    def _took_last(self, batch: Batch) -> bool:
        """Return whether the store takes a batch, which is no longer anywhere else."""
        now = self._clock.monotonic()
        if not self._breaker.may_try(now):
            return False
        try:
            self._counts.add(sent=self._write(batch))
        except Exception as error:
            self._failed(error, now)
            if from_outside(error):
                raise
            return False
        return True

    # -- sending -----------------------------------------------------------------------------------------------------

    def _ship_waiting(self) -> None:
        # What comes meanwhile is left for the next time, or a busy job would keep everything else waiting.
        self._left = max(len(self._event_queue.requests) + len(self._event_queue.words), 1)
        while (self._queue or self._left > 0) and _in_time():
            if self._event_queue.waits and self._backlog.is_full and not deadlines.is_leaving():
                # Nobody takes anything: the job waits, which is what it asked for.
                return
            if self._queue:
                self._send_next()
            elif not self._take():
                return

    def _take(self, most: int = SHIP_MOST) -> int:
        """Make pending_batches of what waits; return how many events and batches that were."""
        if self._event_queue.is_empty:
            return 0
        with self._moving:
            taken, made = self._builder.take(most, self._unsent, self._queue)
        self._left -= taken
        return taken + made

    def _built(self, key: int) -> Batch | None:
        """Return the batch of a key; None when another thread has taken it, or there is no time to make it."""
        item = self._unsent.get(key)
        if not isinstance(item, PendingBatch):
            return item
        batch = self._builder.build(item, _in_time)
        with self._moving:
            if batch is None or key not in self._unsent:
                return None
            if is_empty(batch):
                del self._unsent[key]
                return None
            self._unsent[key] = batch
        return batch

    def _build_ahead(self) -> None:
        """Make the next batch while the store takes in one, if there is enough for it."""
        if not self._queue and self._left >= SHIP_FROM:
            self._take()
            if self._queue:
                self._built(self._queue[0])

    def _send_next(self) -> None:
        try:
            key = self._queue.popleft()
        except IndexError:
            # A leaving thread has just taken them all.
            return
        batch = self._built(key)
        if batch is not None:
            self._send(batch)
        elif key in self._unsent:
            self._queue.appendleft(key)

    def _release(self, item: PendingBatch | Batch) -> bool:
        """Keep something no longer; False when another thread has done so, which counts it."""
        with self._moving:
            key = _key_of(item)
            return self._unsent.pop(key, None) is not None or self._backlog.discard(key)

    def _send(self, batch: Batch) -> None:
        now = self._clock.monotonic()
        if self._backlog or not self._breaker.may_try(now):
            self._keep(batch)
            return
        try:
            sent = self._write(batch, self._build_ahead)
        except (RowRejected, RowBlocked) as error:
            self._breaker.worked()
            self._divide(batch, error)
        except BaseException as error:
            self._failed(error, now)
            self._keep(batch)
            if from_outside(error):
                raise
        else:
            if self._release(batch):
                self._counts.add(sent=sent)

    def _write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> int:
        """Write a batch, learn from the receipt and return how many events were taken; raises what the store raises."""
        self._tried.add(batch.batch_seq)
        receipt = self._write_only(batch, meanwhile)
        self._tried.discard(batch.batch_seq)
        self._breaker.worked()
        self._health.worked(self._label())
        lost = events_of(batch, receipt.refused)
        self._counts.add(dropped=lost)
        return events_in(batch) - lost

    def _write_only(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        asked = self._clock.monotonic()
        receipt = self._connected().write(batch, meanwhile)
        self._clock_offset.measure(receipt.store_us, asked)
        self.answered_at = self._clock.monotonic()
        self._receipts.learn(batch, receipt)
        return receipt

    def _connected(self) -> Writer:
        if self._connection is None:
            self._connection = self._open_store().writer(self._deadline)
        return self._connection

    def _greet(self) -> None:
        """Learn the store's clock before the first events are timed by it."""
        if not (self._clock_offset.is_known or self._event_queue.is_empty):
            self._hello()

    def _try_again(self) -> None:
        """Ask a store that failed a while ago once more, since there is no later for what waits."""
        if self._breaker.is_open and (
            self._unsent or self._backlog or not (self._spool.is_empty and self._event_queue.is_empty)
        ):
            self._breaker.try_now()
            with deadlines.within(TRY_AGAIN_S):
                self._hello()

    def _hello(self) -> None:
        now = self._clock.monotonic()
        if not self._breaker.may_try(now):
            return
        try:
            asked = self._clock.monotonic()
            hello = self._connected().hello()
            self._clock_offset.measure(hello.store_us, asked)
            self._health.version(hello.schema_version, hello.known_version, self._label())
        except BaseException as error:
            self._failed(error, now)
            if from_outside(error):
                raise
        else:
            self._breaker.worked()

    def _failed(self, error: BaseException, began: float) -> None:
        now = self._clock.monotonic()
        self._breaker.failed(now, now - began)
        if not from_outside(error):
            self._health.failed(error, self._label())
        self.disconnect()

    def disconnect(self) -> None:
        """Close the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress_faults():
                connection.close()

    # -- what the store does not take --------------------------------------------------------------------------------

    def _keep(self, batch: Batch) -> None:
        left = self._without_runs_switched_off(batch)
        if is_empty(left):
            self._release(batch)
        elif self._spool.take(left, again=True):
            if self._release(batch):
                self._count_spooled(left)
        else:
            self._health.undelivered("memory")
            with self._moving:
                if self._release(batch):
                    self._backlog.add(left)

    def _count_spooled(self, item: PendingBatch | Batch) -> None:
        self._counts.add(spooled=events_in(item))
        self._receipts.starts(batch_of(item), "spooled")
        self._health.undelivered("spooled")

    def _given_up(self, item: PendingBatch | Batch) -> None:
        rows = numbered_in(item)
        self._builder.lost(rows)
        self._counts.add(dropped=events_in(item) - sum(rows.values()))
        self._receipts.starts(batch_of(item), "dropped")
        self._health.undelivered("dropped")

    def _without_runs_switched_off(self, batch: Batch) -> Batch:
        """Return a batch without the runs for which tracking was off when the store was last heard."""
        off = self._receipts.runs_off(batch)
        if not off:
            return batch
        left = without_runs(batch, off)
        lost = events_in(batch) - events_in(left)
        self._counts.add(dropped=lost, off=lost)
        return left

    def _divide(self, batch: Batch, error: RowRejected | RowBlocked) -> None:
        """Send what is around the rows that the store does not take; these wait in the spool, or are set aside."""
        self._health.failed(error, self._label())
        began = self._clock.monotonic()
        try:
            divided = write_divided(self._write_only, batch, error)
        except BaseException as fault:
            self._failed(fault, began)
            self._keep(batch)
            if from_outside(fault):
                raise
            return
        if not self._release(batch):
            return
        self._counts.add(sent=divided.sent, dropped=divided.lost)
        for part in divided.blocked:
            if self._spool.take_blocked(part):
                self._count_spooled(part)
            else:
                self._given_up(part)
        for part in divided.rejected:
            self._spool.set_aside(part)
            self._given_up(part)

    # -- what waits --------------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Send what waits in memory and in the spool, as far as the store takes it."""
        now = self._clock.monotonic()
        others = self._connection is not None and now >= self._look_at
        if not (self._backlog or others or not self._spool.is_empty) or not self._breaker.may_try(now):
            return
        try:
            while self._backlog and _in_time():
                self._send_first()
            leave_by = deadlines.moment(math.inf)
            if leave_by != math.inf and not self._spool.is_empty:
                # What this process has spooled itself is not left for the next job, if there is time.
                replayed = self._spool.replay(self._write_only, until=leave_by, others=False)
                self._counts.replayed(replayed)
            replayed = self._spool.replay(self._write_only, until=now + REPLAY_STEP_S, others=others)
        except BaseException as error:
            self._failed(error, now)
            if from_outside(error):
                raise
        else:
            self._after_replay(replayed, now, others=others)

    def _send_first(self) -> None:
        batch = self._backlog.first
        if batch is None:
            # A leaving thread has just taken it.
            return
        try:
            sent = self._write(batch)
        except (RowRejected, RowBlocked) as error:
            self._breaker.worked()
            self._divide(batch, error)
        else:
            if self._release(batch):
                self._counts.add(sent=sent)

    def _after_replay(self, replayed: Replay, began: float, *, others: bool) -> None:
        now = self._clock.monotonic()
        if replayed.error:
            self._breaker.failed(now, now - began)
            self.disconnect()
        elif replayed.batches:
            self._breaker.worked()
        else:
            self._breaker.unknown()
        if others and not replayed.error and not replayed.unfinished:
            self._look_at = now + LOOK_EVERY_S
        self._counts.replayed(replayed)
        self._health.replayed(replayed)

    def _label(self) -> str:
        try:
            return self._open_store().label
        except Exception as error:
            if from_outside(error):
                raise
            # That the store cannot be opened is the news, not its name.
            return "the store"


def _key_of(item: PendingBatch | Batch) -> int:
    key = batch_of(item).batch_seq
    assert key is not None
    return key


def _in_time() -> bool:
    """Return whether the calling thread may begin something: nobody who leaves waits for it in vain."""
    return time.monotonic() < deadlines.moment(math.inf)


def _timeout(until: float) -> float:
    return -1 if until == math.inf else max(until - time.monotonic(), 0)
