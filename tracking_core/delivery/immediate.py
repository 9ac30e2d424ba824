"""Immediate delivery: each operation on a connection of its own, committed when the call returns.

Owns the way of one event to the store. Keeps no connection, no thread and no queue; what the store does not take is put
into the spool, which is replayed a little with each call once the store works again, and as a whole at a run's end. One
deadline holds for all that a call does: connecting, writing, replaying.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from tracking_core.clock import Clock, SystemClock
from tracking_core.dataclass import replace
from tracking_core.delivery.base import Replay, Spool
from tracking_core.delivery.batches import MOST_CELLS, events_in, fewer
from tracking_core.delivery.breaker import FIRST_PAUSE_S, QUICK_S, Breaker
from tracking_core.delivery.clock_offset import ClockOffset
from tracking_core.delivery.counts import Counts, of_process
from tracking_core.delivery.health_log import HealthLog
from tracking_core.delivery.receipts import ReceiptHandler
from tracking_core.delivery.rows import counted_source, phase_change, raised_error, request_row, run_end
from tracking_core.delivery.run_registry import RunRegistry, RunState
from tracking_core.errors import RowBlocked, RowRejected
from tracking_core.events import Batch, CellKey, LedgerEntry, Receipt, RunStart, Tally, tally
from tracking_core.process import deadlines
from tracking_core.process.exit import open_runs
from tracking_core.process.forks import Step, around_forks, renew_in_child
from tracking_core.process.interrupts import from_outside, suppress_faults
from tracking_core.process.locks import defer, store_busy
from tracking_core.raw_events import RawCount, RawEnd, RawError, RawPhase, RawRequest
from tracking_core.sanitize import ADJUSTED
from tracking_core.store.base import Store, Writer
from tracking_core.switch import TrackingSwitch

if TYPE_CHECKING:
    from tracking_core.records import DeliveryReport

REPLAY_STEP_S = 0.1
"""How long the spool is replayed within one call."""

REPLAY_AT_END_S = 1.0
"""How long spools of dead processes are replayed at the end of a process's first run."""


class Attempt:
    """One event on its way to the store."""

    def __init__(self, make: Callable[[], Batch]) -> None:
        self._make = make
        self._made: Batch | None = None
        self.receipt: Receipt | None = None
        """What the store said, once it is known to be committed."""

        self.counted = False
        """Whether it is counted as sent, spooled or dropped."""

    def batch(self) -> Batch:
        """Return the batch, made at the first call."""
        if self._made is None:
            self._made = self._make()
        return self._made


class ImmediateDelivery:
    """A Delivery that talks to the store within each call."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        deadline: float,
        switch: TrackingSwitch,
        health: HealthLog | None = None,
        clock: Clock | None = None,
        spool: Spool,
        breaker: Breaker | None = None,
    ) -> None:
        self._open_store = open_store
        self._deadline = deadline
        self._switch = switch
        self._health = health or HealthLog()
        self._clock = clock or SystemClock()
        self._spool = spool
        self._breaker = breaker or Breaker()
        self._looked_for_others = False
        self._runs = RunRegistry()
        self._counts = Counts(of_process if self._health.writes_stderr else None)
        self._loose: dict[int, dict[CellKey, Tally]] = {}
        self._keys = count(1)
        self._clock_offset = ClockOffset(self._clock)
        self._receipts = ReceiptHandler(self._runs, switch, self._counts, self._health)
        open_runs.flush_at_exit(self)
        around_forks(Step.LOAD, self._load)
        renew_in_child(self._renew)

    # -- the verbs ---------------------------------------------------------------------------------------------------

    def begin(self, start: RunStart) -> bool:
        """Record a run's start; False only when the shared switch turned out to be off."""
        if not self._switch.refresh():
            return False
        with self._runs.lock:
            state = self._runs.begin(start, self._clock.monotonic())

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

    def attach(self, run_id: int, start: RunStart | None = None) -> None:
        """Let a run be recorded into that another process began; without its start the store must hold it."""
        with self._runs.lock:
            if start is None:
                self._runs.state(run_id)
            else:
                self._runs.adopt(start)

    def start_of(self, run_id: int) -> RunStart | None:
        """Return how a run began, to be handed over to another process."""
        with self._runs.lock:
            return self._runs.start_of(run_id)

    def request(self, raw: RawRequest) -> bool:
        """Record one request; True when it is committed or spooled."""
        if not self._switch.refresh():
            return False
        state, number = self._state(raw[0]), [0]

        def batch() -> Batch:
            row = request_row(raw, self._numbered(state, number), self._offset_at(raw[1]))
            if row.error is not None and ADJUSTED in row.error:
                self._health.adjusted(row.error.rpartition(ADJUSTED)[2])
            return self._batch(state, requests=(row,), cells=tally((row,)))

        return self._recorded(batch, state)

    def phase(self, raw: RawPhase) -> bool:
        """Record a phase's state; True when it is committed or spooled."""
        if not self._switch.refresh():
            return False
        state = self._state(raw.run_id)

        def batch() -> Batch:
            with self._runs.lock:
                change = phase_change(raw, state, self._offset_at(raw.at_us))
            return self._batch(state, phases=(change,))

        return self._recorded(batch, state)

    def source_count(self, raw: RawCount) -> bool:
        """Record a source count; True when it is committed or spooled."""
        if not self._switch.refresh():
            return False
        state = self._state(raw.run_id)

        def batch() -> Batch:
            with self._runs.lock:
                counted = counted_source(raw, state, self._offset_at(raw.at_us))
            return self._batch(state, source_counts=(counted,))

        return self._recorded(batch, state)

    def error(self, raw: RawError) -> bool:
        """Record an error; True when it is committed or spooled."""
        if not self._switch.refresh():
            return False
        state, number = self._state(raw.run_id), [0]

        def batch() -> Batch:
            error = raised_error(raw, self._numbered(state, number), self._offset_at(raw.at_us))
            return self._batch(state, errors=(error,))

        return self._recorded(batch, state)

    def end(self, raw: RawEnd) -> bool:
        """End a run; True when that changed it, or will once the spool is replayed. Goes on while tracking is off."""
        enabled = self._switch.refresh()
        state = self._state(raw.run_id)
        if state.ended:
            return False
        batch = self._ending(raw, state, enabled=enabled)

        def deliver() -> Receipt | None:
            receipt = self._deliver(batch, state)
            if not self._looked_for_others and not self._breaker.is_open:
                self._looked_for_others = True
                self._replay(REPLAY_AT_END_S, others=True)
            return receipt

        receipt = deadlines.bounded(self._deadline, deliver)
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
        began = state.started_monotonic
        duration_ms = None if began is None else max(round((self._clock.monotonic() - began) * 1000), 0)

        def batch() -> Batch:
            return self._with_sums(
                state,
                # A run that no store holds yet is not begun by its end while tracking is off.
                starts=(state.start,) if state.start and (enabled or state.confirmed) else (),
                ends=(run_end(raw, duration_ms, self._offset_at(raw.at_us)),),
                ledger=(self._ledger_of(state),),
            )

        return batch

    def flush(self, timeout: float | None) -> DeliveryReport:
        """Return the report; what waits in the spool is replayed first, for at most `timeout` seconds."""
        self._replay_waiting(timeout)
        return self._counts.report

    def leave(self, until: float) -> None:
        """Replay what waits in the spool, by this moment of the monotonic clock, and let go of it."""
        if self._clock.monotonic() - self._breaker.failed_at >= FIRST_PAUSE_S:
            # Not where a try has just failed, or somebody's ctrl-c ended it: nobody waits for another one.
            self._breaker.try_now()
        # Without the report: a module that is loaded while the interpreter leaves makes it forget a ctrl-c.
        left_s = max(until - time.monotonic(), 0)
        for state in self._owing():
            deadlines.bounded(left_s, lambda state=state: self._deliver(lambda: self._last_of(state), state))  # type: ignore[misc]
        self._replay_waiting(max(min(until - time.monotonic(), REPLAY_AT_END_S), 0))
        self._spool.close()

    def _owing(self) -> list[RunState]:
        """Return the runs of which something was dropped since their ledgers were told: ended, or ended elsewhere."""
        with self._runs.lock:
            return [
                state
                for state in self._runs.told()
                if not state.void and (state.dropped != state.told_dropped or state.run_id in self._loose)
            ]

    def _last_of(self, state: RunState) -> Batch:
        return self._with_sums(state, ledger=(self._ledger_of(state),))

    def _ledger_of(self, state: RunState) -> LedgerEntry:
        return LedgerEntry(run_id=state.run_id, emitted=state.seq, dropped=state.dropped, overhead=state.overhead())

    def _replay_waiting(self, timeout: float | None) -> None:
        if not self._spool.is_empty and self._breaker.may_try(self._clock.monotonic()):
            deadlines.bounded(math.inf if timeout is None else timeout, lambda: self._replay(timeout, others=False))

    def _load(self) -> None:
        """Import what talking to the store needs, if a run was begun at all."""
        if not self._runs.is_empty:
            with suppress_faults():
                self._open_store()
                importlib.import_module("tracking_core.delivery.spool")

    def _renew(self) -> None:
        self._loose.clear()

    # -- one event's way ---------------------------------------------------------------------------------------------

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
        self._clock_offset.look()
        return self._clock_offset.corrected(at_us) - at_us

    def _batch(self, state: RunState, *, starts: tuple[RunStart, ...] | None = None, **events: Any) -> Batch:
        """Return a batch of this writer; the run's start goes along until a store is known to hold it."""
        if starts is None:
            starts = (state.start,) if state.start is not None and not state.confirmed else ()
        return Batch(writer_id=state.writer_id, batch_seq=None, starts=starts, **events)

    def _recorded(self, make: Callable[[], Batch], state: RunState) -> bool:
        receipt = self._deliver(make, state)
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
        began, began_cpu = self._clock.monotonic(), time.thread_time()
        way = Attempt(make)
        try:
            return store_busy(lambda: deadlines.bounded(self._deadline, lambda: self._deliver_now(way, state, began)))
        except BaseException as error:
            if from_outside(error) and way.receipt is not None:
                self._count(way, state, way.receipt)
            elif from_outside(error) and not way.counted:
                self._keep(way, state)
            raise
        finally:
            state.took(self._clock.monotonic() - began, time.thread_time() - began_cpu)

    def _deliver_now(self, way: Attempt, state: RunState, began: float) -> Receipt | None:
        if not self._breaker.may_try(began):
            return self._not_taken(way, state, None)
        try:
            way.receipt = receipt = self._write(way)
        except BaseException as error:
            if from_outside(error) or not isinstance(error, Exception):
                # A breaker that let a call through waits for its answer; somebody's patience is one, if it was long.
                now = self._clock.monotonic()
                if now - began > QUICK_S:
                    self._breaker.failed(now, now - began)
                else:
                    self._breaker.unknown()
                raise
            self._failed(error, began)
            return self._not_taken(way, state, error)
        self._breaker.worked()
        self._health.worked(self._label())
        self._receipts.learn(way.batch(), receipt)
        self._count(way, state, receipt)
        if not self._spool.is_empty:
            self._replay(REPLAY_STEP_S, others=False)
        return receipt

    def _failed(self, error: Exception, began: float) -> None:
        if isinstance(error, RowRejected | RowBlocked):
            self._breaker.worked()
        else:
            now = self._clock.monotonic()
            self._breaker.failed(now, now - began)
        self._health.failed(error, self._label())

    def _keep(self, way: Attempt, state: RunState) -> None:
        """Spool what an interrupted call may have committed or not: replayed, it is stored once."""
        batch = way.batch()
        if self._spool.take(batch, again=True):
            self._counts.add(spooled=events_in(batch), once=way)
            self._told(batch, state)
            self._receipts.starts(batch, "spooled")
        else:
            self._drop(way, state)

    def _write(self, way: Attempt) -> Receipt:
        """Write a batch on a connection of its own."""
        writer = self._open_store().writer(self._deadline)
        try:
            return self._exchange(writer, way)
        finally:
            # The work is done or has failed: what closing does changes nothing about what was committed.
            with suppress_faults():
                writer.close()

    def _exchange(self, writer: Writer, way: Attempt) -> Receipt:
        """Write a batch, which is made when the store's clock is known."""
        if not self._clock_offset.is_known:
            self._greet(writer)
        batch = way.batch()
        asked = self._clock.monotonic()
        receipt = writer.write(batch)
        self._clock_offset.measure(receipt.store_us, asked)
        return receipt

    def _greet(self, writer: Writer) -> None:
        """Learn the store's clock before the first events are timed by it."""
        asked = self._clock.monotonic()
        hello = writer.hello()
        self._clock_offset.measure(hello.store_us, asked)
        self._health.version(hello.schema_version, hello.known_version, self._label())

    def _count(self, way: Attempt, state: RunState, receipt: Receipt) -> None:
        refused = receipt.refused.get(state.run_id)
        if refused is not None and state.start is None and refused != "off":
            # An id that no store holds is not worth remembering.
            with self._runs.lock:
                self._runs.forget(state.run_id)
        if refused is None:
            self._counts.add(sent=events_in(way.batch()), once=way)
            self._told(way.batch(), state)
        else:
            self._drop(way, state)

    def _told(self, batch: Batch, state: RunState) -> None:
        for entry in batch.ledger:
            state.told_dropped = entry.dropped

    def _drop(self, way: Attempt, state: RunState, *, off: bool = False) -> None:
        batch = way.batch()
        events = events_in(batch)
        self._counts.add(dropped=events, off=events if off else 0, once=way)
        state.dropped += len(batch.requests) + len(batch.errors)

    def _not_taken(self, way: Attempt, state: RunState, error: Exception | None) -> Receipt | None:
        batch = way.batch()
        off = state.job is not None and self._switch.shared_off(state.job) and not batch.ends
        if not off and isinstance(error, RowRejected):
            # It would be rejected again when the spool is replayed.
            self._spool.set_aside(batch)
        take = self._spool.take_blocked if isinstance(error, RowBlocked) else self._spool.take
        if off or isinstance(error, RowRejected) or not take(batch):
            if batch.requests and not (off or isinstance(error, RowRejected)):
                self._add_up(batch, state)
            self._drop(way, state, off=bool(off))
            self._receipts.starts(batch, "dropped")
            if not off:
                self._health.undelivered("dropped")
            return None
        self._counts.add(spooled=events_in(batch), once=way)
        self._told(batch, state)
        self._receipts.starts(batch, "spooled")
        self._health.undelivered("spooled")
        return Receipt(ended=frozenset(end.run_id for end in batch.ends))

    def _add_up(self, batch: Batch, state: RunState) -> None:
        """Keep the sums of requests for which there is no room anywhere; their detail is dropped."""
        with self._runs.lock:
            cells = self._loose.setdefault(state.run_id, {})
            for key, cell in tally(batch.requests).items():
                cells.setdefault(key, Tally()).add(cell)
            if len(cells) > MOST_CELLS:
                self._loose[state.run_id] = fewer(cells)

    def _with_sums(self, state: RunState, **events: Any) -> Batch:
        """Return a batch with the sums of requests that were dropped: under a key, as they have none of their own."""
        with self._runs.lock:
            cells = self._loose.pop(state.run_id, None)
        batch = self._batch(state, **events)
        return replace(batch, cells=cells, batch_seq=next(self._keys)) if cells else batch

    # -- what waits in the spool -------------------------------------------------------------------------------------

    def _replay(self, seconds: float | None, *, others: bool) -> None:
        """Send what waits in the spool, for at most so long; what goes wrong is the breaker's news."""
        began = self._clock.monotonic()
        until = None if seconds is None else began + seconds
        try:
            replayed = store_busy(lambda: self._replay_now(until, others=others))
        except BaseException as error:
            if from_outside(error) or not isinstance(error, Exception):
                self._breaker.unknown()
                raise
            replayed = Replay(error=str(error) or type(error).__name__)
        now = self._clock.monotonic()
        if replayed.error:
            self._breaker.failed(now, now - began)
        elif replayed.batches:
            self._breaker.worked()
        else:
            self._breaker.unknown()
        self._health.replayed(replayed)

    def _replay_now(self, until: float | None, *, others: bool) -> Replay:
        writers: list[Writer] = []

        def write(batch: Batch) -> Receipt:
            # Connected only when something waits.
            if not writers:
                writers.append(self._open_store().writer(self._deadline))
            receipt = writers[0].write(batch)
            self._receipts.learn(batch, receipt)
            return receipt

        outcome = Replay()
        try:
            self._spool.replay(write, until=until, others=others, outcome=outcome)
            self._counts.replayed(outcome)
        except BaseException:
            # What was sent before is counted, once.
            self._counts.replayed(outcome)
            raise
        else:
            return outcome
        finally:
            for writer in writers:
                with suppress_faults():
                    writer.close()

    def _label(self) -> str:
        try:
            return self._open_store().label
        except Exception as error:
            if from_outside(error):
                raise
            # That the store cannot be opened is the news, not its name.
            return "the store"
