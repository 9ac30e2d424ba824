"""Immediate delivery: each operation on a connection of its own, committed when the call returns.

It keeps no connection, no thread and no queue. What the store does not take is put into the spool, which is replayed a
little with each call once the store works again, and as a whole at a run's end. One deadline holds for all that a call
does: connecting, writing, replaying.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from tracking_core.dataclass import replace
from tracking_core.delivery.batches import MOST_CELLS, events_in, fewer
from tracking_core.delivery.counts import Mark
from tracking_core.delivery.rows import event_rows, request_row, run_end
from tracking_core.delivery.run_registry import RunState
from tracking_core.delivery.store_link import FIRST_PAUSE_S, StoreLink
from tracking_core.errors import RowBlocked, RowRejected
from tracking_core.events import Batch, LedgerEntry, RawCount, RawEnd, RawError, RawPhase, RawRequest, Receipt, RunStart
from tracking_core.process import deadlines
from tracking_core.process.exit import open_runs
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import from_outside, suppress_faults
from tracking_core.process.locks import defer, store_busy
from tracking_core.requests import CellKey, Tally, add_cells, tally
from tracking_core.sanitize import ADJUSTED
from tracking_core.store.base import Writer

if TYPE_CHECKING:
    from tracking_core.records import DeliveryReport

REPLAY_STEP_S = 0.1
"""How long the spool is replayed within one call."""

REPLAY_AT_END_S = 1.0
"""How long spools of dead processes are replayed at the end of a process's first run."""


class Attempt(Mark):
    """One event on its way to the store."""

    def __init__(self, make: Callable[[], Batch]) -> None:
        self._make = make
        self._made: Batch | None = None
        self.receipt: Receipt | None = None
        """What the store answered, once the batch is known to be committed."""

    def batch(self) -> Batch:
        """Return the batch, made at the first call."""
        if self._made is None:
            self._made = self._make()
        return self._made


class ImmediateDelivery:
    """A delivery that talks to the store within each call."""

    def __init__(self, link: StoreLink) -> None:
        self._link = link
        self._switch = link.switch
        self._runs = link.runs
        self.attach, self.start_of = link.attach, link.start_of
        self._looked_for_others = False
        self._keys = count(1)
        self._begin()
        open_runs.flush_at_exit(self)
        renew_in_child(self._begin)

    def _begin(self) -> None:
        self._sums: dict[int, dict[CellKey, Tally]] = {}
        """By run: requests for which there was no room anywhere, added up."""

    # -- the verbs ---------------------------------------------------------------------------------------------------

    def begin(self, start: RunStart) -> bool:
        """Record a run's start; False only when the shared switch turned out to be off."""
        if not self._switch.refresh():
            return False
        with self._runs.lock:
            state = self._runs.begin(start, self._link.clock.monotonic())

        def batch() -> Batch:
            offset_us = self._offset_at(start.started_us)
            state.start = replace(
                start, started_us=start.started_us + offset_us, clock_offset_ms=round(offset_us / 1000)
            )
            # The ledger's row is there before several threads add to it at a time.
            ledger = (LedgerEntry(run_id=start.run_id, emitted=0),)
            return self._batch(state, starts=(state.start,), ledger=ledger)

        receipt = self._deliver(batch, state)
        off = receipt.refused.get(start.run_id) == "off" if receipt else self._switch.shared_off(start.job) is True
        if off:
            with self._runs.lock:
                self._runs.forget(start.run_id)
        return not off

    def request(self, raw: RawRequest) -> bool:
        """Record one request; True when it is committed or spooled."""

        def events(state: RunState, number: list[int]) -> dict[str, Any]:
            row = request_row(raw, self._numbered(state, number), self._offset_at(raw[1]))
            if row.error is not None and ADJUSTED in row.error:
                self._link.health.adjusted(row.error.rpartition(ADJUSTED)[2])
            return {"requests": (row,), "cells": tally((row,))}

        return self._record(raw[0], events)

    def event(self, raw: RawPhase | RawCount | RawError) -> bool:
        """Record a phase's state, a source count or an error; True when it is committed or spooled."""

        def events(state: RunState, number: list[int]) -> dict[str, Any]:
            seq = self._numbered(state, number) if isinstance(raw, RawError) else 0
            with self._runs.lock:
                return event_rows(raw, state, seq, self._offset_at(raw.at_us))

        return self._record(raw.run_id, events)

    def end(self, raw: RawEnd) -> bool:
        """End a run; True when that changed it, or will once the spool is replayed. Goes on while tracking is off."""
        enabled = self._switch.refresh()
        state = self._state(raw.run_id)
        if state.ended:
            return False
        batch = self._ending(raw, state, enabled=enabled)

        def deliver() -> Receipt | None:
            receipt = self._deliver(batch, state)
            if not self._looked_for_others and not self._link.breaker.is_open:
                self._looked_for_others = True
                self._replay(REPLAY_AT_END_S, others=True)
            return receipt

        receipt = deadlines.bounded(self._link.deadline, deliver)
        ended = receipt is not None and raw.run_id in receipt.ended
        if ended:
            with self._runs.lock:
                self._runs.end(raw.run_id)
        return ended

    def finish(self, raw: RawEnd) -> None:
        """Spool the end of a run that is known from its start and has not ended."""
        with self._runs.lock:
            known = [state for state in self._runs.known((raw.run_id,)) if state.start is not None and not state.ended]
        for state in known:
            self._keep(Attempt(self._ending(raw, state, enabled=True)), state)
            self._runs.end(raw.run_id)

    def _ending(self, raw: RawEnd, state: RunState, *, enabled: bool) -> Callable[[], Batch]:
        """Return what makes the batch of a run's end."""
        duration_ms = state.duration_ms(self._link.clock.monotonic())

        def batch() -> Batch:
            return self._with_sums(
                state,
                # A run that no store holds yet is not begun by its end while tracking is off.
                starts=(state.start,) if state.start and (enabled or state.confirmed) else (),
                ends=(run_end(raw, duration_ms, self._offset_at(raw.at_us)),),
                ledger=(state.ledger(),),
            )

        return batch

    def flush(self, timeout: float | None) -> DeliveryReport:
        """Return the report; what waits in the spool is replayed first, for at most `timeout` seconds."""
        self._replay_waiting(timeout)
        return self._link.report

    def leave(self, until: float) -> None:
        """Replay what waits in the spool, by this moment of the monotonic clock, and let go of it."""
        if self._link.clock.monotonic() - self._link.breaker.failed_at >= FIRST_PAUSE_S:
            # Not where a try has just failed, or ctrl-c ended it: nobody waits for another one.
            self._link.breaker.try_now()
        # Without the report: a module that is loaded while the interpreter leaves makes it forget a ctrl-c.
        with self._runs.lock:
            owing = [state for state in self._runs.numbered() if state.owes_ledger or state.run_id in self._sums]
        for state in owing:
            # Of runs that have ended, or that another process ends.
            batch = partial(self._with_sums, state, ledger=(state.ledger(),))
            deadlines.bounded(max(until - time.monotonic(), 0), partial(self._deliver, batch, state))
        self._replay_waiting(max(min(until - time.monotonic(), REPLAY_AT_END_S), 0))
        self._link.close_spool()

    def _replay_waiting(self, timeout: float | None) -> None:
        if not self._link.spool_is_empty and self._link.may_try():
            deadlines.bounded(math.inf if timeout is None else timeout, lambda: self._replay(timeout, others=False))

    # -- sending one event -------------------------------------------------------------------------------------------

    def _state(self, run_id: int) -> RunState:
        with self._runs.lock:
            return self._runs.state(run_id)

    def _numbered(self, state: RunState, number: list[int]) -> int:
        """Return the sequence number of an event: the same one when an interrupted call is made up for."""
        if not number[0]:
            with self._runs.lock:
                number[0] = state.seq = state.seq + 1
        return number[0]

    def _offset_at(self, at_us: int) -> int:
        self._link.clock_offset.look()
        return self._link.clock_offset.corrected(at_us) - at_us

    def _batch(self, state: RunState, *, starts: tuple[RunStart, ...] | None = None, **events: Any) -> Batch:
        """Return a batch of this writer; the run's start goes along until a store is known to hold it."""
        if starts is None:
            starts = (state.start,) if state.start is not None and not state.confirmed else ()
        return Batch(writer_id=state.writer_id, batch_seq=None, starts=starts, **events)

    def _record(self, run_id: int, events: Callable[[RunState, list[int]], dict[str, Any]]) -> bool:
        """Bring one event to the store; `events` makes what a batch carries of it, numbered in the list."""
        if not self._switch.refresh():
            return False
        state, number = self._state(run_id), [0]
        receipt = self._deliver(lambda: self._batch(state, **events(state, number)), state)
        return receipt is not None and state.run_id not in receipt.refused

    def _deliver(self, make: Callable[[], Batch], state: RunState) -> Receipt | None:
        """Return the store's receipt, a stand-in for one, or None when nobody took the batch.

        `make` gives the batch when the store's clock is known, if it can be known.
        """

        def later(interrupted: bool) -> None:
            if interrupted:
                self._not_taken(Attempt(make), state, None)
            else:
                self._deliver(make, state)

        if not deadlines.is_leaving() and defer(later):
            return Receipt(ended=frozenset((state.run_id,)))
        began, began_cpu = self._link.clock.monotonic(), time.thread_time()
        attempt = Attempt(make)
        try:
            return store_busy(
                lambda: deadlines.bounded(self._link.deadline, lambda: self._deliver_now(attempt, state, began))
            )
        except BaseException as error:
            if from_outside(error) and attempt.receipt is not None:
                self._count(attempt, state, attempt.receipt)
            elif from_outside(error) and not attempt.counted:
                self._keep(attempt, state)
            raise
        finally:
            state.took(self._link.clock.monotonic() - began, time.thread_time() - began_cpu)

    def _deliver_now(self, attempt: Attempt, state: RunState, began: float) -> Receipt | None:
        if not self._link.may_try():
            return self._not_taken(attempt, state, None)
        try:
            attempt.receipt = receipt = self._write(attempt)
        except BaseException as error:
            self._link.failed(error, began)
            if from_outside(error):
                raise
            return self._not_taken(attempt, state, error)
        self._link.answered()
        self._link.receipts.apply(attempt.batch(), receipt)
        self._count(attempt, state, receipt)
        if not self._link.spool_is_empty:
            self._replay(REPLAY_STEP_S, others=False)
        return receipt

    def _write(self, attempt: Attempt) -> Receipt:
        """Write a batch on a connection of its own."""
        writer = self._link.connect()
        try:
            return self._exchange(writer, attempt)
        finally:
            # The work is done or has failed: what closing does changes nothing about what was committed.
            with suppress_faults():
                writer.close()

    def _exchange(self, writer: Writer, attempt: Attempt) -> Receipt:
        """Write a batch, which is made when the store's clock is known."""
        if not self._link.clock_offset.is_known:
            self._link.greet(writer)
        return self._link.write(writer, attempt.batch())

    # -- what became of it -------------------------------------------------------------------------------------------

    def _count(self, attempt: Attempt, state: RunState, receipt: Receipt) -> None:
        refused = receipt.refused.get(state.run_id)
        if refused is None:
            self._link.counts.add(sent=events_in(attempt.batch()), once=attempt)
            state.note_ledger(attempt.batch().ledger)
            return
        if state.start is None and refused != "off":
            # An id that no store holds.
            with self._runs.lock:
                self._runs.forget(state.run_id)
        self._drop(attempt, state)

    def _drop(self, attempt: Attempt, state: RunState, *, off: bool = False) -> None:
        batch = attempt.batch()
        events = events_in(batch)
        self._link.counts.add(dropped=events, off=events if off else 0, once=attempt)
        state.dropped += len(batch.requests) + len(batch.errors)

    def _keep(self, attempt: Attempt, state: RunState) -> None:
        """Spool what an interrupted call may have committed or not: replayed, it is stored once."""
        if self._link.spool.take(attempt.batch(), again=True):
            self._link.spooled(attempt.batch(), once=attempt, reported=False)
            state.note_ledger(attempt.batch().ledger)
        else:
            self._drop(attempt, state)

    def _not_taken(self, attempt: Attempt, state: RunState, error: BaseException | None) -> Receipt | None:
        batch, spool = attempt.batch(), self._link.spool
        off = bool(state.job is not None and self._switch.shared_off(state.job) and not batch.ends)
        rejected = isinstance(error, RowRejected)
        if rejected and not off:
            # It would be rejected again when the spool is replayed.
            spool.set_aside(batch)
        take = spool.take_blocked if isinstance(error, RowBlocked) else spool.take
        if not (off or rejected) and take(batch):
            self._link.spooled(batch, once=attempt)
            state.note_ledger(batch.ledger)
            return Receipt(ended=frozenset(end.run_id for end in batch.ends))
        if not (off or rejected):
            self._add_up(batch, state)
        self._drop(attempt, state, off=off)
        self._link.receipts.starts(batch, "dropped")
        if not off:
            self._link.health.undelivered("dropped")
        return None

    def _add_up(self, batch: Batch, state: RunState) -> None:
        """Keep the sums of requests for which there is no room anywhere; their detail is dropped."""
        if not batch.requests:
            return
        with self._runs.lock:
            cells = add_cells(self._sums.setdefault(state.run_id, {}), tally(batch.requests))
            if len(cells) > MOST_CELLS:
                self._sums[state.run_id] = fewer(cells)

    def _with_sums(self, state: RunState, **events: Any) -> Batch:
        """Return a batch with the sums of requests that were dropped: under a key, as they have none of their own."""
        with self._runs.lock:
            cells = self._sums.pop(state.run_id, None)
        batch = self._batch(state, **events)
        return replace(batch, cells=cells, batch_seq=next(self._keys)) if cells else batch

    def _replay(self, seconds: float | None, *, others: bool) -> None:
        """Send what waits in the spool, for at most so long."""
        until = None if seconds is None else self._link.clock.monotonic() + seconds
        writers: list[Writer] = []

        def write(batch: Batch) -> Receipt:
            # Connected only when something waits.
            if not writers:
                writers.append(self._link.connect())
            receipt = self._link.write(writers[0], batch)
            self._link.receipts.apply(batch, receipt)
            return receipt

        try:
            store_busy(lambda: self._link.replay(write, until, others=others))
        finally:
            for writer in writers:
                with suppress_faults():
                    writer.close()
