"""The other side of a buffered delivery: events are sealed into batches and brought to the store, or to the spool.

Runs on one thread at a time, the writer's own or, at the very end, the leaving one; keeps one connection. Nothing here
raises but what is not an Exception.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from tracking_core.clock import Clock
from tracking_core.delivery.base import RawCount, RawEnd, RawError, RawPhase, RawRequest, Replay, Spool
from tracking_core.delivery.batches import events_in
from tracking_core.delivery.breaker import Breaker
from tracking_core.delivery.health import Health
from tracking_core.delivery.intake import SHIP_FROM, Intake, Overflow, Word
from tracking_core.delivery.rows import counted_source, phase_change, raised_error, request_row, run_end
from tracking_core.delivery.runbook import RunBook, RunState
from tracking_core.errors import RowRejected
from tracking_core.events import (
    Batch,
    CellKey,
    CountedSource,
    LedgerEntry,
    PhaseChange,
    RaisedError,
    Receipt,
    RequestRow,
    RunEnd,
    RunStart,
    Tally,
    tally,
)
from tracking_core.locks import reentrant_lock
from tracking_core.records import DeliveryReport
from tracking_core.store.base import Store, Writer
from tracking_core.store.parameters import COUNTED
from tracking_core.switch import TrackingSwitch

MOST_WORDS = 200
MOST_UNSENT = 40
"""Batches that wait in memory when neither store nor spool takes them; beyond that their detail is given up."""

REPLAY_STEP_S = 0.5
"""How long a spool is replayed before new events are looked at again."""

OFFSET_NOISE_US = 50_000


@dataclass(slots=True)
class _Draft:
    """A batch of one writer id while it is being filled."""

    requests: list[RequestRow]
    cells: dict[CellKey, Tally]
    phases: list[PhaseChange]
    source_counts: list[CountedSource]
    errors: list[RaisedError]
    ends: list[RunEnd]
    states: dict[int, RunState]


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
        self._switch = switch
        self._health = health
        self._clock = clock
        self._spool = spool
        self._breaker = breaker or Breaker()
        self._offset_us = 0
        self._connection: Writer | None = None
        self._inherited: list[Writer] = []
        self._looked_for_others = False
        self.renew()

    def renew(self) -> None:
        """Begin anew in a forked child: the parent's connection is neither used nor closed."""
        # One thread ships at a time; the leaving thread takes over only when the writer's has let go.
        self.lock = reentrant_lock()
        if self._connection is not None:
            self._inherited.append(self._connection)
        self._connection = None
        self._batch_seq = 0
        self._dropped: dict[int, int] = {}
        self._unsent: deque[Batch] = deque()
        self._sent = self._spooled = self._lost = 0
        self._breaker.renew()
        self._spool.renew()

    @property
    def report(self) -> DeliveryReport:
        """What became of everything so far."""
        return DeliveryReport(sent=self._sent, spooled=self._spooled, dropped=self._lost)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for the store in this process."""
        return not self._unsent and self._spool.is_empty

    def ship(self) -> None:
        """Bring everything that waits at this moment to the store or the spool."""
        with self.lock:
            while not self._intake.is_empty:
                for batch in self._seal():
                    self._send(batch)
            self._catch_up()

    def let_go(self) -> None:
        """Close the connection and the spool; what waits in memory is spooled as far as that is possible."""
        with self.lock:
            while self._unsent:
                self._set_aside(self._unsent.popleft())
            self._disconnect()
            self._spool.close()

    # -- sealing -----------------------------------------------------------------------------------------------------

    def _seal(self) -> list[Batch]:
        requests = self._intake.take_requests(SHIP_FROM)
        words = self._intake.take_words(MOST_WORDS)
        overflow = self._intake.take_overflow()
        drafts: dict[int, _Draft] = {}
        with self._book.lock:
            for raw in requests:
                self._enter_request(drafts, raw)
            if overflow is not None:
                self._enter_overflow(drafts, overflow)
            for word in words:
                self._enter_word(drafts, word)
            return [self._sealed(writer_id, draft) for writer_id, draft in drafts.items()]

    def _draft(self, drafts: dict[int, _Draft], run_id: int) -> tuple[_Draft, RunState]:
        state = self._book.state(run_id)
        draft = drafts.get(state.writer_id)
        if draft is None:
            draft = drafts[state.writer_id] = _Draft([], {}, [], [], [], [], {})
        draft.states[run_id] = state
        return draft, state

    def _is_off(self, state: RunState) -> bool:
        if state.job is None or not self._switch.shared_off(state.job):
            return False
        self._lost += 1
        return True

    def _enter_request(self, drafts: dict[int, _Draft], raw: RawRequest) -> None:
        draft, state = self._draft(drafts, raw[0])
        if not self._is_off(state):
            state.seq += 1
            draft.requests.append(request_row(raw, state.seq, self._offset_us))

    def _enter_overflow(self, drafts: dict[int, _Draft], overflow: Overflow) -> None:
        for key, cell in overflow.cells.items():
            draft, state = self._draft(drafts, key.run_id)
            if not self._is_off(state):
                draft.cells[key] = cell
                state.seq += cell.requests
                self._dropped[key.run_id] = self._dropped.get(key.run_id, 0) + cell.requests
                self._lost += cell.requests

    def _enter_word(self, drafts: dict[int, _Draft], word: Word) -> None:
        draft, state = self._draft(drafts, word.run_id)
        if isinstance(word, RunStart):
            # The state carries it until a store is known to hold the run.
            return
        if isinstance(word, RawEnd):
            began = state.started_monotonic
            duration_ms = None if began is None else max(round((self._clock.monotonic() - began) * 1000), 0)
            draft.ends.append(run_end(word, duration_ms, self._offset_us))
        elif self._is_off(state):
            return
        elif isinstance(word, RawPhase):
            draft.phases.append(phase_change(word, state, self._offset_us))
        elif isinstance(word, RawCount):
            draft.source_counts.append(counted_source(word, state, self._offset_us))
        elif isinstance(word, RawError):
            state.seq += 1
            draft.errors.append(raised_error(word, state.seq, self._offset_us))

    def _sealed(self, writer_id: int, draft: _Draft) -> Batch:
        self._batch_seq += 1
        cells = tally(draft.requests)
        for key, cell in draft.cells.items():
            mine = cells.setdefault(key, Tally())
            mine.add(cell)
        return Batch(
            writer_id=writer_id,
            batch_seq=self._batch_seq,
            starts=tuple(
                state.start for state in draft.states.values() if state.start is not None and not state.confirmed
            ),
            requests=tuple(draft.requests),
            cells=cells,
            phases=tuple(draft.phases),
            source_counts=tuple(draft.source_counts),
            errors=tuple(draft.errors),
            ends=tuple(draft.ends),
            ledger=tuple(
                LedgerEntry(run_id=state.run_id, emitted=state.seq, dropped=self._dropped.get(state.run_id, 0))
                for state in draft.states.values()
                if state.seq
            ),
        )

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, batch: Batch) -> None:
        if self._unsent or not self._breaker.may_try(self._clock.monotonic()):
            self._keep(batch)
            return
        try:
            self._write(batch)
        except RowRejected as error:
            self._breaker.worked()
            self._without_poison(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever a store does, its job goes on
            self._failed(error)
            self._keep(batch)

    def _write(self, batch: Batch) -> Receipt:
        """Write a batch and learn from the receipt; raises what the store raises."""
        receipt = self._write_only(batch)
        self._breaker.worked()
        self._health.worked(self._label())
        jobs = [state.job for state in map(self._book.state, batch.run_ids()) if state.job is not None]
        self._switch.learn(jobs, receipt.switched_off)
        with self._book.lock:
            self._book.confirm(run_id for run_id in batch.run_ids() if run_id not in receipt.refused)
        for run_id, reason in receipt.refused.items():
            self._health.refused(run_id, reason)
        events = events_in(batch)
        lost = _events_of(batch, receipt.refused)
        self._sent += events - lost
        self._lost += lost
        return receipt

    def _write_only(self, batch: Batch) -> Receipt:
        if self._connection is None:
            self._connection = self._open_store().writer(self._deadline)
        before_us = self._clock.now_us()
        receipt = self._connection.write(batch)
        self._measure(receipt.store_us, before_us, self._clock.now_us())
        return receipt

    def _measure(self, store_us: int, before_us: int, after_us: int) -> None:
        if store_us:
            measured = store_us - (before_us + after_us) // 2
            if abs(measured - self._offset_us) > OFFSET_NOISE_US + (after_us - before_us):
                self._offset_us = self._intake.offset_us = measured

    def _failed(self, error: Exception) -> None:
        self._breaker.failed(self._clock.monotonic())
        self._health.failed(error, self._label())
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _keep(self, batch: Batch) -> None:
        if self._spool.take(batch):
            self._spooled += events_in(batch)
            return
        self._unsent.append(batch)
        if len(self._unsent) > MOST_UNSENT:
            self._give_up_detail()

    def _set_aside(self, batch: Batch) -> None:
        if self._spool.take(batch):
            self._spooled += events_in(batch)
        else:
            self._lost += events_in(batch)

    def _give_up_detail(self) -> None:
        """Strip the oldest batch that still has rows: totals, errors and lifecycle stay, memory stays bounded."""
        for index, batch in enumerate(self._unsent):
            if batch.requests:
                for row in batch.requests:
                    self._dropped[row.run_id] = self._dropped.get(row.run_id, 0) + 1
                self._lost += len(batch.requests)
                self._unsent[index] = replace(batch, requests=())
                return

    def _without_poison(self, batch: Batch, error: RowRejected) -> None:
        """Send a rejected batch in halves, down to the one event that the store will not have."""
        parts = _parts(batch)
        if not parts:
            self._lost += max(events_in(batch), 1)
            self._health.failed(error, self._label())
            return
        for part in parts:
            self._batch_seq += 1
            self._send(replace(part, batch_seq=self._batch_seq))

    def _catch_up(self) -> None:
        """Send what waits in memory and in the spool, as far as the store takes it."""
        if self.is_idle and (self._looked_for_others or self._connection is None):
            return
        if not self._breaker.may_try(self._clock.monotonic()):
            return
        try:
            while self._unsent:
                self._write(self._unsent[0])
                self._unsent.popleft()
            until = self._clock.monotonic() + REPLAY_STEP_S
            replayed = self._spool.replay(self._replay_one, until=until, others=not self._looked_for_others)
        except RowRejected as error:
            self._without_poison(self._unsent.popleft(), error)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
        else:
            self._looked_for_others = self._looked_for_others or not (replayed.error or replayed.unfinished)
            self._after_replay(replayed)

    def _replay_one(self, batch: Batch) -> Receipt:
        receipt = self._write_only(batch)
        with self._book.lock:
            self._book.confirm(run_id for run_id in batch.run_ids() if run_id not in receipt.refused)
        return receipt

    def _after_replay(self, replayed: Replay) -> None:
        if replayed.error:
            self._breaker.failed(self._clock.monotonic())
            self._disconnect()
        else:
            self._breaker.worked()
        self._spooled -= replayed.own_sent + replayed.own_lost
        self._sent += replayed.own_sent
        self._lost += replayed.own_lost
        for run_id, reason in replayed.refused.items():
            self._health.refused(run_id, reason)

    def _label(self) -> str:
        try:
            return self._open_store().label
        except Exception:  # noqa: BLE001 - the store that cannot be opened is the news, not its name
            return "the store"


def _events_of(batch: Batch, run_ids: Iterable[int]) -> int:
    gone = set(run_ids)
    if not gone:
        return 0
    requests = sum(cell.requests for key, cell in batch.cells.items() if key.run_id in gone)
    words = [change.run_id for change in batch.phases]
    words += [count.run_id for count in batch.source_counts]
    words += [error.run_id for error in batch.errors]
    words += [end.run_id for end in batch.ends]
    return requests + sum(run_id in gone for run_id in words)


def _parts(batch: Batch) -> list[Batch]:
    """Return a batch in smaller ones: each lasting event alone, requests in halves; [] when it cannot be divided."""
    empty = replace(batch, requests=(), cells={}, phases=(), source_counts=(), errors=(), ends=(), ledger=())
    words = [replace(empty, phases=(change,)) for change in batch.phases]
    words += [replace(empty, source_counts=(count,)) for count in batch.source_counts]
    words += [replace(empty, errors=(error,)) for error in batch.errors]
    words += [replace(empty, ends=(end,), ledger=batch.ledger) for end in batch.ends]
    rows = batch.requests
    halves = [rows] if words else [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    parts = [replace(empty, requests=half, cells=tally(half)) for half in halves if half]
    counted = tally(rows)
    loose = {key: _less(cell, counted.get(key)) for key, cell in batch.cells.items()}
    loose = {key: cell for key, cell in loose.items() if cell.requests}
    if loose:
        parts.append(replace(empty, cells=loose))
    parts += words
    return parts if len(parts) > 1 else []


def _less(cell: Tally, part: Tally | None) -> Tally:
    """Return what a cell counts beyond a part of it: requests without detail."""
    if part is None:
        return cell
    rest = Tally(max_ms=cell.max_ms)
    for name in COUNTED:
        setattr(rest, name, getattr(cell, name) - getattr(part, name))
    rest.histogram = {
        bucket: count - part.histogram.get(bucket, 0)
        for bucket, count in cell.histogram.items()
        if count > part.histogram.get(bucket, 0)
    }
    return rest
