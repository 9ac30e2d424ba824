"""The other side of a buffered delivery: sealed batches brought to the store, or to the spool, or kept in memory.

Runs on one thread at a time, the writer's own or, at the very end, the leaving one; keeps one connection. Nothing here
raises but what is not an Exception.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tracking_core.clock import Clock
from tracking_core.delivery.backlog import Backlog
from tracking_core.delivery.base import Replay, Spool
from tracking_core.delivery.batches import events_in, events_of, is_empty, without_runs
from tracking_core.delivery.breaker import Breaker
from tracking_core.delivery.counts import Counts, of_process
from tracking_core.delivery.dividing import write_divided
from tracking_core.delivery.health import Health
from tracking_core.delivery.intake import SHIP_FROM, Intake
from tracking_core.delivery.learning import Learning
from tracking_core.delivery.runbook import RunBook
from tracking_core.delivery.sealing import Sealer
from tracking_core.delivery.skew import Skew
from tracking_core.errors import RowBlocked, RowRejected
from tracking_core.events import Batch, Receipt
from tracking_core.locks import reentrant_lock
from tracking_core.store import due
from tracking_core.store.base import Store, Writer
from tracking_core.switch import TrackingSwitch

if TYPE_CHECKING:
    from tracking_core.records import DeliveryReport

REPLAY_STEP_S = 0.5
"""How long a spool is replayed before new events are looked at again."""

LOOK_EVERY_S = 60.0
"""How often spools of dead processes are looked for."""

SHORTEST_REST_S = 0.05


class Shipper:
    """What brings the events of an Intake to a store."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        intake: Intake,
        book: RunBook,
        *,
        deadline: float,
        switch: TrackingSwitch,
        health: Health,
        clock: Clock,
        spool: Spool,
        breaker: Breaker | None = None,
    ) -> None:
        self._open_store = open_store
        self._intake = intake
        self._book = book
        self._deadline = deadline
        self._health = health
        self._clock = clock
        self._spool = spool
        self._breaker = breaker or Breaker()
        self._counts = Counts(of_process if self._health.speaks else None)
        self._skew = Skew(clock)
        self._learning = Learning(book, switch, self._counts, health)
        self._sealer = Sealer(intake, book, clock=clock, skew=self._skew, counts=self._counts, health=health)
        self._backlog = Backlog(self._detail_lost, keeps_detail=intake.waits)
        self._sealed: deque[Batch] = deque()
        """Batches that were made and not sent yet; one of more than a moment's detail is made while another is sent."""

        self._connection: Writer | None = None
        self._inherited: list[Writer] = []
        self._begin()

    def _begin(self) -> None:
        # One thread ships at a time; the leaving thread takes over only when the writer's has let go.
        self.lock = reentrant_lock()
        self._shipping = False
        self._left = 0
        self._look_at = self._clock.monotonic()
        self.answered_at: float | None = None
        """When the store last answered, on the monotonic clock."""

    def renew(self) -> None:
        """Begin anew in a forked child: the parent's connection is neither used nor closed."""
        if self._connection is not None:
            self._inherited.append(self._connection)
        self._connection = None
        self._sealer.renew()
        self._sealed.clear()
        self._counts.renew()
        self._backlog.clear()
        self._breaker.renew()
        self._spool.renew()
        self._health.renew()
        self._begin()

    @property
    def report(self) -> DeliveryReport:
        """What became of everything so far."""
        return self._counts.report

    def rest_s(self, most: float) -> float:
        """Return how long to rest before the next `ship`: until the store may be tried again when something waits."""
        if not self._backlog and self._spool.is_empty:
            return most
        return min(most, max(self._breaker.remaining(self._clock.monotonic()), SHORTEST_REST_S))

    def ship(self) -> None:
        """Bring everything that waits at this moment to the store or the spool."""
        with self.lock:
            if self._shipping:
                # A call from within: a `__del__` on this thread that flushes.
                return
            self._shipping = True
            try:
                began = time.thread_time()
                self._greet()
                self._ship_waiting()
                self._sealer.spent(time.thread_time() - began)
                self._catch_up()
            finally:
                self._shipping = False

    def let_go(self) -> None:
        """Close the connection and the spool; what waits in memory is spooled as far as that is possible."""
        with self.lock:
            if self._shipping:
                return
            while self._sealed:
                self._keep(self._sealed.popleft())
            while self._backlog:
                batch = self._backlog.pop()
                if not self._spooled(batch):
                    self._given_up(batch)
            self.disconnect()
            self._spool.close()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _ship_waiting(self) -> None:
        # What comes meanwhile is left for the next time, or a busy job would keep everything else waiting.
        self._left = max(len(self._intake.requests) + len(self._intake.words), 1)
        while self._sealed or self._left > 0:
            if self._intake.waits and self._backlog.is_full and not due.is_leaving():
                # Nobody takes anything: the job waits, which is what it asked for.
                return
            if self._sealed:
                self._send(self._sealed.popleft())
            elif not self._seal():
                return

    def _seal(self) -> bool:
        """Make batches of what waits; return whether there was anything."""
        if self._intake.is_empty:
            return False
        taken, batches = self._sealer.seal()
        self._left -= taken
        self._sealed += batches
        return bool(taken or batches)

    def _seal_ahead(self) -> None:
        """Make the next batch while the store takes in one, if there is enough for it."""
        if not self._sealed and self._left >= SHIP_FROM:
            self._seal()

    def _send(self, batch: Batch) -> None:
        now = self._clock.monotonic()
        if self._backlog or not self._breaker.may_try(now):
            self._keep(batch)
            return
        try:
            self._write(batch, self._seal_ahead)
        except (RowRejected, RowBlocked) as error:
            self._breaker.worked()
            self._divide(batch, error)
        except BaseException as error:
            self._failed(error, now)
            self._keep(batch)
            if not isinstance(error, Exception):
                raise

    def _write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> None:
        """Write a batch and learn from the receipt; raises what the store raises."""
        receipt = self._write_only(batch, meanwhile)
        self._breaker.worked()
        self._health.worked(self._label())
        lost = events_of(batch, receipt.refused)
        self._counts.add(sent=events_in(batch) - lost, dropped=lost)

    def _write_only(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        before_us = self._clock.now_us()
        receipt = self._connected().write(batch, meanwhile)
        self._skew.measure(receipt.store_us, before_us, self._clock.now_us())
        self.answered_at = self._clock.monotonic()
        self._learning.learn(batch, receipt)
        return receipt

    def _connected(self) -> Writer:
        if self._connection is None:
            self._connection = self._open_store().writer(self._deadline)
        return self._connection

    def _greet(self) -> None:
        """Learn the store's clock before the first events are timed by it."""
        now = self._clock.monotonic()
        if self._skew.is_known or self._intake.is_empty or not self._breaker.may_try(now):
            return
        try:
            before_us = self._clock.now_us()
            hello = self._connected().hello()
            self._skew.measure(hello.store_us, before_us, self._clock.now_us())
            self._health.version(hello.schema_version, hello.known_version, self._label())
        except BaseException as error:
            self._failed(error, now)
            if not isinstance(error, Exception):
                raise
        else:
            self._breaker.worked()

    def _failed(self, error: BaseException, began: float) -> None:
        now = self._clock.monotonic()
        self._breaker.failed(now, now - began)
        self._health.failed(error, self._label())
        self.disconnect()

    def disconnect(self) -> None:
        """Close the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    # -- what the store does not take --------------------------------------------------------------------------------

    def _keep(self, batch: Batch) -> None:
        batch = self._without_runs_switched_off(batch)
        if not is_empty(batch) and not self._spooled(batch):
            self._backlog.add(batch)
            self._health.undelivered("memory")

    def _spooled(self, batch: Batch) -> bool:
        if not self._spool.take(batch):
            return False
        self._counts.add(spooled=events_in(batch))
        self._learning.starts(batch, "spooled")
        self._health.undelivered("spooled")
        return True

    def _given_up(self, batch: Batch) -> None:
        self._counts.add(dropped=events_in(batch))
        self._learning.starts(batch, "dropped")
        self._health.undelivered("dropped")

    def _without_runs_switched_off(self, batch: Batch) -> Batch:
        """Return a batch without the runs for which tracking was off when the store was last heard."""
        off = self._learning.runs_off(batch)
        if not off:
            return batch
        left = without_runs(batch, off)
        lost = events_in(batch) - events_in(left)
        self._counts.add(dropped=lost, off=lost)
        return left

    def _detail_lost(self, rows_by_run: dict[int, int]) -> dict[int, int]:
        """Count requests whose detail was given up; return how many that makes of each run."""
        self._counts.add(dropped=sum(rows_by_run.values()))
        with self._book.lock:
            for state in self._book.known(rows_by_run):
                state.dropped += rows_by_run[state.run_id]
            return {state.run_id: state.dropped for state in self._book.known(rows_by_run)}

    def _divide(self, batch: Batch, error: RowRejected | RowBlocked) -> None:
        """Send what is around the rows that the store does not take; these wait in the spool, or are set aside."""
        self._health.failed(error, self._label())
        began = self._clock.monotonic()
        try:
            divided = write_divided(self._write_only, batch, error)
        except BaseException as fault:
            self._failed(fault, began)
            self._keep(batch)
            if not isinstance(fault, Exception):
                raise
            return
        self._counts.add(sent=divided.sent, dropped=divided.lost)
        for part in divided.blocked:
            if self._spool.take_blocked(part):
                self._counts.add(spooled=events_in(part))
                self._learning.starts(part, "spooled")
            else:
                self._reject(part)
        for part in divided.rejected:
            self._spool.set_aside(part)
            self._reject(part)

    def _reject(self, batch: Batch) -> None:
        """Count events that are given up, also as their runs'."""
        self._given_up(batch)
        run_ids = [row.run_id for row in batch.requests] + [error.run_id for error in batch.errors]
        with self._book.lock:
            for state in self._book.known(set(run_ids)):
                state.dropped += run_ids.count(state.run_id)

    # -- what waits --------------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Send what waits in memory and in the spool, as far as the store takes it."""
        now = self._clock.monotonic()
        others = self._connection is not None and now >= self._look_at
        if not (self._backlog or others or not self._spool.is_empty) or not self._breaker.may_try(now):
            return
        try:
            while self._backlog:
                self._send_first()
            replayed = self._spool.replay(self._write_only, until=now + REPLAY_STEP_S, others=others)
        except BaseException as error:
            self._failed(error, now)
            if not isinstance(error, Exception):
                raise
        else:
            self._after_replay(replayed, now, others=others)

    def _send_first(self) -> None:
        try:
            self._write(self._backlog.first)
        except (RowRejected, RowBlocked) as error:
            batch = self._backlog.pop()
            self._breaker.worked()
            self._divide(batch, error)
        else:
            self._backlog.pop()

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

    def _label(self) -> str:
        try:
            return self._open_store().label
        except Exception:  # noqa: BLE001 - the store that cannot be opened is the news, not its name
            return "the store"
