"""One tracker's link to its store: connecting, failures, the spool, and what became of events.

Both deliveries use it; when something is sent and how long a connection is kept is decided there.

After a failure the circuit breaker is open: nobody may try until the pause is over, then one try is let through; its
success closes the breaker. A store that fails at once costs nothing to ask, so for a minute it is asked every second (a
restart is seen within two: P4 of docs/promises.md); after that, and after every try that took its time, the pause
doubles, up to less than the half minute of P1.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from tracking_core.clock import Clock, ClockOffset
from tracking_core.delivery.counts import Counts, Mark, ReceiptHandler, Replay, of_process
from tracking_core.delivery.health_log import HealthLog
from tracking_core.delivery.rows import PendingBatch, batch_of, events_in
from tracking_core.delivery.run_registry import RunRegistry
from tracking_core.errors import RowBlocked, RowRejected
from tracking_core.events import Batch, Receipt, RunStart
from tracking_core.process.forks import Step, around_forks, renew_in_child
from tracking_core.process.interrupts import from_outside, suppress_faults
from tracking_core.process.locks import ReentrantLock
from tracking_core.store.base import Store, Writer
from tracking_core.switch import TrackingSwitch

if TYPE_CHECKING:
    from tracking_core.delivery.spool import DiskSpool
    from tracking_core.records import DeliveryReport

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 25.0
JITTER = 0.2
"""Pauses are shortened by up to a fifth, so that many jobs do not come back at the same moment."""

QUICK_S = 0.25
"""A failure that took no longer cost nobody anything."""

IMPATIENT_S = 60.0
"""So long after the first failure quick ones do not lengthen the pause."""


def _random_share() -> float:
    # The random module would cost a good part of what importing this package may.
    return int.from_bytes(os.urandom(2), "big") / 0xFFFF


class Breaker:
    """Whether a store may be tried now."""

    def __init__(self, random_share: Callable[[], float] = _random_share) -> None:
        self._random_share = random_share
        # Guards the numbers below: one thread alone may be let through after a pause.
        self._lock = ReentrantLock()
        self._doublings = 0
        self._since: float | None = None
        self._retry_at: float | None = None
        self._trying_until = 0.0
        renew_in_child(self.unknown)
        self.failed_at = -math.inf
        """When a try failed last, on the monotonic clock."""

    @property
    def is_open(self) -> bool:
        """Whether the last try failed."""
        return self._retry_at is not None

    def may_try(self, now: float) -> bool:
        """Return whether the store may be tried at this moment of the monotonic clock; a yes must be answered for.

        After a yes call `worked`, `failed` or `unknown`, or no other caller will be let through for the longest pause.
        """
        if not self.is_open:
            return True
        with self._lock:
            if self._retry_at is None:
                return True
            if now < max(self._retry_at, self._trying_until):
                return False
            # Whoever is let through may be interrupted and never answer.
            self._trying_until = now + LONGEST_PAUSE_S
            return True

    def worked(self) -> None:
        """Close the breaker: the store took something."""
        if self._retry_at is None:
            return
        with self._lock:
            self._doublings, self._since, self._retry_at, self._trying_until = 0, None, None, 0.0

    def failed(self, now: float, took: float = 0.0) -> float:
        """Open the breaker for the next pause; return how long it is, in seconds. `took`: how long the try lasted."""
        share = self._random_share()
        with self._lock:
            if self._since is None:
                self._since = now
            pause = min(FIRST_PAUSE_S * float(1 << self._doublings), LONGEST_PAUSE_S)
            shortened = pause * (1 - JITTER * share)
            if took > QUICK_S or now - self._since >= IMPATIENT_S:
                self._doublings = min(self._doublings + 1, 16)
            self._retry_at, self._trying_until, self.failed_at = now + shortened, 0.0, now
            return shortened

    def try_now(self) -> None:
        """Let the next try through before the pause is over: a process that leaves has no later."""
        with self._lock:
            if self._retry_at is not None:
                self._retry_at = -math.inf

    def unknown(self) -> None:
        """Note that the store was not tried after all: the next caller may."""
        with self._lock:
            self._trying_until = 0.0

    def remaining(self, now: float) -> float:
        """Return the seconds until the next try is let through; 0 when it may be now."""
        retry_at = self._retry_at
        return 0.0 if retry_at is None else max(retry_at - now, 0.0)


class StoreLink:
    """What is shared by everything that brings one tracker's events to its store."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        deadline: float,
        switch: TrackingSwitch,
        make_spool: Callable[[], DiskSpool],
        health: HealthLog | None = None,
        clock: Clock | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._open_store = open_store
        self.deadline = deadline
        """Seconds for connecting and for each operation."""

        self.switch = switch
        self._make_spool = make_spool
        self._spool: DiskSpool | None = None
        # Guards the making: what two threads put into two spools would be held by none.
        self._making = ReentrantLock()
        self.health = health or HealthLog()
        self.clock = clock or Clock()
        self.breaker = breaker or Breaker()
        self.runs = RunRegistry()
        self.counts = Counts(of_process if self.health.writes_stderr else None)
        self.clock_offset = ClockOffset(self.clock)
        self.receipts = ReceiptHandler(self.runs, switch, self.counts, self.health)
        self.answered_at: float | None = None
        """When the store last answered a batch, on the monotonic clock."""

        around_forks(Step.LOAD, self._load)

    @property
    def report(self) -> DeliveryReport:
        """What became of everything so far."""
        return self.counts.report

    @property
    def spool(self) -> DiskSpool:
        """Where batches wait that the store did not take; made when it is first needed, since most jobs need none."""
        if self._spool is None:
            with self._making:
                if self._spool is None:
                    self._spool = self._make_spool()
        return self._spool

    @property
    def spool_is_empty(self) -> bool:
        """Whether this process has nothing waiting in the spool."""
        return self._spool is None or self._spool.is_empty

    def close_spool(self) -> None:
        """Let go of what waits, so that another process may replay it."""
        if self._spool is not None:
            self._spool.close()

    def attach(self, run_id: int, start: RunStart | None = None) -> None:
        """Let a run be recorded into that another process began; without its start the store must hold it."""
        with self.runs.lock:
            if start is None:
                self.runs.state(run_id)
            else:
                self.runs.adopt(start)

    def start_of(self, run_id: int) -> RunStart | None:
        """Return how a run began, to be handed over to another process; None where that is unknown here."""
        with self.runs.lock:
            return next((state.start for state in self.runs.known((run_id,))), None)

    # -- talking to the store ----------------------------------------------------------------------------------------

    def connect(self) -> Writer:
        """Return a new connection; raises what the store raises."""
        return self._open_store().writer(self.deadline)

    def may_try(self) -> bool:
        """Return whether the store may be tried now; a yes is answered by `answered`, `failed` or `replay`."""
        return self.breaker.may_try(self.clock.monotonic())

    def greet(self, writer: Writer) -> None:
        """Measure the store's clock, before the first events get their time, and compare the versions."""
        asked = self.clock.monotonic()
        hello = writer.hello()
        self.clock_offset.measure(hello.store_us, asked)
        self.health.version(hello.schema_version, hello.known_version, self.label())

    def write(self, writer: Writer, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        """Write a batch and measure the store's clock; raises what the store raises."""
        asked = self.clock.monotonic()
        receipt = writer.write(batch, meanwhile)
        self.clock_offset.measure(receipt.store_us, asked)
        self.answered_at = self.clock.monotonic()
        return receipt

    def answered(self) -> None:
        """Note that the store took a batch."""
        self.breaker.worked()
        self.health.worked(self.label())

    def failed(self, error: BaseException, began: float) -> None:
        """Note why an attempt that began at a moment of the monotonic clock did not succeed."""
        now = self.clock.monotonic()
        if from_outside(error):
            # A call that waited long before it was interrupted counts as a failure.
            if now - began > QUICK_S:
                self.breaker.failed(now, now - began)
            else:
                self.breaker.unknown()
            return
        if isinstance(error, RowRejected | RowBlocked):
            self.breaker.worked()
        else:
            self.breaker.failed(now, now - began)
        self.health.failed(error, self.label())

    def replay(self, write: Callable[[Batch], Receipt], until: float | None, *, others: bool) -> Replay:
        """Send what waits in the spool until a moment of the monotonic clock; `others`: that of dead processes too."""
        began, replayed = self.clock.monotonic(), Replay()
        try:
            self.spool.replay(write, until=until, others=others, outcome=replayed)
            self.counts.replayed(replayed)
        except BaseException as error:
            # What was sent before is counted, once.
            self.counts.replayed(replayed)
            if from_outside(error):
                self.failed(error, began)
                raise
            replayed.error = str(error) or type(error).__name__
        now = self.clock.monotonic()
        if replayed.error:
            self.breaker.failed(now, now - began)
        elif replayed.batches:
            self.breaker.worked()
        else:
            self.breaker.unknown()
        self.health.replayed(replayed)
        return replayed

    # -- what became of events ---------------------------------------------------------------------------------------

    def spooled(self, item: PendingBatch | Batch, *, once: Mark | None = None, reported: bool = True) -> None:
        """Count what the spool took, with `once` not again; `reported`: on stderr, where nobody configured logging."""
        self.receipts.starts(batch_of(item), "spooled")
        self.counts.add(spooled=events_in(item), once=once)
        if reported:
            self.health.undelivered("spooled")

    def label(self) -> str:
        """Return where the store is, without credentials."""
        # A fault is reported elsewhere.
        with suppress_faults():
            return self._open_store().label
        return "the store"

    def _load(self) -> None:
        """Import what talking to the store needs, if a run was begun: a child forked meanwhile could not."""
        if not self.runs.is_empty:
            with suppress_faults():
                self._open_store()
                importlib.import_module("tracking_core.delivery.spool")
