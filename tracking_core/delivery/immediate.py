"""Immediate delivery: each operation on a connection of its own, committed when the call returns.

Owns the way of one event to the store and what its receipt means for the next one. Keeps no connection, no thread and
no queue; what the store does not take is put into the spool, which is replayed a little with each call once the store
works again, and as a whole at a run's end.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from tracking_core.clock import Clock, SystemClock
from tracking_core.delivery.base import (
    RawCount,
    RawEnd,
    RawError,
    RawPhase,
    RawRequest,
    Replay,
    Spool,
    renew_after_fork,
)
from tracking_core.delivery.breaker import Breaker
from tracking_core.delivery.health import Health
from tracking_core.delivery.rows import counted_source, phase_change, raised_error, request_row, run_end
from tracking_core.delivery.runbook import RunBook, RunState
from tracking_core.errors import RowRejected
from tracking_core.events import ADJUSTED, Batch, LedgerEntry, Receipt, RunStart, tally
from tracking_core.locks import reentrant_lock
from tracking_core.records import DeliveryReport
from tracking_core.store.base import Store, Writer
from tracking_core.switch import TrackingSwitch

REPLAY_STEP_S = 0.1
"""How long the spool is replayed within one call."""

REPLAY_AT_END_S = 1.0
"""How long spools of dead processes are replayed at the end of a process's first run."""

OFFSET_NOISE_US = 50_000
"""A measured clock offset that differs less than this from the one in use is the network's noise and is ignored."""


class ImmediateDelivery:
    """A Delivery that talks to the store within each call."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        deadline: float,
        switch: TrackingSwitch,
        health: Health | None = None,
        clock: Clock | None = None,
        spool: Spool,
        breaker: Breaker | None = None,
    ) -> None:
        self._open_store = open_store
        self._deadline = deadline
        self._switch = switch
        self._health = health or Health()
        self._clock = clock or SystemClock()
        self._spool = spool
        self._breaker = breaker or Breaker()
        self._looked_for_others = False
        self._book = RunBook()
        self._offset_us = 0
        # Guards the counters below, which several threads add to; re-entrant, see runbook.py.
        self._report_lock = reentrant_lock()
        self._sent = self._spooled = self._dropped = 0
        renew_after_fork(self)

    # -- the verbs ---------------------------------------------------------------------------------------------------

    def begin(self, start: RunStart) -> bool:
        """Record a run's start; False only when the shared switch turned out to be off."""
        if not self._switch.refresh():
            return False
        start = replace(
            start, started_us=start.started_us + self._offset_us, clock_offset_ms=round(self._offset_us / 1000)
        )
        with self._book.lock:
            state = self._book.begin(start, self._clock.monotonic())
        receipt = self._deliver(self._batch(state, starts=(start,)), state)
        off = receipt.refused.get(start.run_id) == "off" if receipt else self._switch.shared_off(start.job) is True
        if off:
            with self._book.lock:
                self._book.forget(start.run_id)
        return not off

    def attach(self, run_id: int, start: RunStart | None = None) -> None:
        """Let a run be recorded into that another process began; without its start the store must hold it."""
        with self._book.lock:
            if start is None:
                self._book.state(run_id)
            else:
                self._book.adopt(start)

    def start_of(self, run_id: int) -> RunStart | None:
        """Return how a run began, to be handed over to another process."""
        with self._book.lock:
            return self._book.start_of(run_id)

    def request(self, raw: RawRequest) -> bool:
        """Record one request; True when it is committed or spooled."""
        if not self._switch.refresh():
            return False
        state, seq = self._draw(raw[0])
        row = request_row(raw, seq, self._offset_us)
        if row.error is not None and ADJUSTED in row.error:
            self._health.adjusted(row.error.rpartition(ADJUSTED)[2])
        return self._recorded(self._batch(state, requests=(row,), cells=tally((row,))), state)

    def phase(self, raw: RawPhase) -> bool:
        """Record a phase's state; True when it is committed or spooled."""
        if not self._switch.refresh():
            return False
        with self._book.lock:
            state = self._book.state(raw.run_id)
            change = phase_change(raw, state, self._offset_us)
        return self._recorded(self._batch(state, phases=(change,)), state)

    def source_count(self, raw: RawCount) -> bool:
        """Record a source count; True when it is committed or spooled."""
        if not self._switch.refresh():
            return False
        with self._book.lock:
            state = self._book.state(raw.run_id)
            counted = counted_source(raw, state, self._offset_us)
        return self._recorded(self._batch(state, source_counts=(counted,)), state)

    def error(self, raw: RawError) -> bool:
        """Record an error; True when it is committed or spooled."""
        if not self._switch.refresh():
            return False
        state, seq = self._draw(raw.run_id)
        return self._recorded(self._batch(state, errors=(raised_error(raw, seq, self._offset_us),)), state)

    def end(self, raw: RawEnd) -> bool:
        """End a run; True when that changed it, or will once the spool is replayed. Goes on while tracking is off."""
        enabled = self._switch.refresh()
        with self._book.lock:
            state = self._book.state(raw.run_id)
            began = state.started_monotonic
            ledger = LedgerEntry(run_id=raw.run_id, emitted=state.seq, overhead=state.overhead())
        duration_ms = None if began is None else max(round((self._clock.monotonic() - began) * 1000), 0)
        batch = self._batch(
            state,
            # A run that no store holds yet is not begun by its end while tracking is off.
            starts=(state.start,) if state.start and (enabled or state.confirmed) else (),
            ends=(run_end(raw, duration_ms, self._offset_us),),
            ledger=(ledger,),
        )
        receipt = self._deliver(batch, state)
        if not self._looked_for_others and not self._breaker.is_open:
            self._looked_for_others = True
            self._replay(REPLAY_AT_END_S, others=True)
        ended = receipt is not None and raw.run_id in receipt.ended
        if ended:
            with self._book.lock:
                self._book.end(raw.run_id)
        return ended

    def flush(self, timeout: float | None) -> DeliveryReport:
        """Return the report; what waits in the spool is replayed first, for at most `timeout` seconds."""
        if not self._spool.is_empty and self._breaker.may_try(self._clock.monotonic()):
            self._replay(timeout, others=False)
        return DeliveryReport(sent=self._sent, spooled=self._spooled, dropped=self._dropped)

    def leave(self, until: float) -> None:  # noqa: ARG002 - nothing waits here
        """Let go of the spool; every connection was closed with its operation."""
        self._spool.close()

    def renew_in_child(self) -> None:
        """Become another writer in a forked child, which counts what it delivers from nothing."""
        self._book.renew()
        self._health.renew()
        self._breaker.renew()
        self._spool.renew()
        self._report_lock = reentrant_lock()
        self._sent = self._spooled = self._dropped = 0

    # -- one event's way ---------------------------------------------------------------------------------------------

    def _draw(self, run_id: int) -> tuple[RunState, int]:
        with self._book.lock:
            state = self._book.state(run_id)
            return state, state.draw()

    def _batch(self, state: RunState, *, starts: tuple[RunStart, ...] | None = None, **events: Any) -> Batch:
        """Return a batch of this writer; the run's start goes along until a store is known to hold it."""
        if starts is None:
            starts = (state.start,) if state.start is not None and not state.confirmed else ()
        return Batch(writer_id=state.writer_id, batch_seq=None, starts=starts, **events)

    def _recorded(self, batch: Batch, state: RunState) -> bool:
        receipt = self._deliver(batch, state)
        return receipt is not None and state.run_id not in receipt.refused

    def _deliver(self, batch: Batch, state: RunState) -> Receipt | None:
        """Return the store's receipt, the spool's stand-in for one, or None when nobody took the batch."""
        began, began_cpu = self._clock.monotonic(), time.thread_time()
        try:
            return self._deliver_now(batch, state, began)
        finally:
            state.took(self._clock.monotonic() - began, time.thread_time() - began_cpu)

    def _deliver_now(self, batch: Batch, state: RunState, now: float) -> Receipt | None:
        if not self._breaker.may_try(now):
            return self._not_taken(batch, state, None)
        try:
            receipt = self._write(batch)
        except BaseException as error:
            if isinstance(error, RowRejected):
                self._breaker.worked()
            else:
                # Also after ctrl-c: a breaker that let a call through waits for its answer.
                self._breaker.failed(self._clock.monotonic())
            if not isinstance(error, Exception):
                raise
            self._health.failed(error, self._label())
            return self._not_taken(batch, state, error)
        self._breaker.worked()
        self._health.worked(self._label())
        self._learn(receipt, state)
        if not self._spool.is_empty:
            self._replay(REPLAY_STEP_S, others=False)
        refused = receipt.refused.get(state.run_id)
        if refused is not None:
            self._health.refused(state.run_id, refused)
        self._count(sent=refused is None, dropped=refused is not None)
        return receipt

    def _write(self, batch: Batch) -> Receipt:
        """Write a batch on a connection of its own."""
        writer = self._open_store().writer(self._deadline)
        try:
            before_us = self._clock.now_us()
            receipt = writer.write(batch)
            after_us = self._clock.now_us()
        finally:
            # The work is done or has failed: what closing does changes nothing about what was committed.
            with contextlib.suppress(Exception):
                writer.close()
        self._measure(receipt.store_us, before_us, after_us)
        return receipt

    def _not_taken(self, batch: Batch, state: RunState, error: Exception | None) -> Receipt | None:
        off = state.job is not None and self._switch.shared_off(state.job) and not batch.ends
        # A row that a store rejects for its values would be rejected again when the spool is replayed.
        if off or isinstance(error, RowRejected) or not self._spool.take(batch):
            self._count(dropped=True)
            return None
        self._count(spooled=True)
        return Receipt(ended=frozenset(end.run_id for end in batch.ends))

    def _replay(self, seconds: float | None, *, others: bool) -> None:
        """Send what waits in the spool, for at most so long; what goes wrong is the breaker's news."""
        until = None if seconds is None else self._clock.monotonic() + seconds
        try:
            with ExitStack() as stack:
                writers: list[Writer] = []

                def write(batch: Batch) -> Receipt:
                    # Connected only when something waits.
                    if not writers:
                        writers.append(stack.enter_context(self._open_store().writer(self._deadline)))
                    return writers[0].write(batch)

                replayed = self._spool.replay(write, until=until, others=others)
        except Exception as error:  # noqa: BLE001 - whatever a store does, its job goes on
            replayed = Replay(error=str(error))
        if replayed.error:
            self._breaker.failed(self._clock.monotonic())
        else:
            self._breaker.worked()
        for run_id, reason in replayed.refused.items():
            self._health.refused(run_id, reason)
        with self._report_lock:
            moved = min(replayed.own_sent, self._spooled)
            self._sent += moved
            self._spooled -= moved

    def _learn(self, receipt: Receipt, state: RunState) -> None:
        jobs: Iterable[str] = (state.job,) if state.job is not None else ()
        self._switch.learn(jobs, receipt.switched_off)
        if state.run_id not in receipt.refused:
            with self._book.lock:
                self._book.confirm((state.run_id,))
        elif state.start is None and receipt.refused[state.run_id] != "off":
            # An id that no store holds is not worth remembering.
            with self._book.lock:
                self._book.forget(state.run_id)

    def _measure(self, store_us: int, before_us: int, after_us: int) -> None:
        if store_us:
            measured = store_us - (before_us + after_us) // 2
            if abs(measured - self._offset_us) > OFFSET_NOISE_US + (after_us - before_us):
                self._offset_us = measured

    def _count(self, *, sent: bool = False, spooled: bool = False, dropped: bool = False) -> None:
        with self._report_lock:
            self._sent += sent
            self._spooled += spooled
            self._dropped += dropped

    def _label(self) -> str:
        try:
            return self._open_store().label
        except Exception:  # noqa: BLE001 - the store that cannot be opened is the news, not its name
            return "the store"
