"""Makes batches of events: numbered, timed by the store's clock, added up, with the starts that must go along.

Runs on the thread that sends; talks to no store.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count
from operator import itemgetter
from typing import Any

from tracking_core.dataclass import dataclass, field, replace
from tracking_core.delivery.batches import is_empty, standing_for
from tracking_core.delivery.counts import Counts, Mark
from tracking_core.delivery.event_queue import SHIP_MOST, Aggregate, Event, EventQueue
from tracking_core.delivery.rows import Numbered, PendingBatch, build, event_rows, raised_error, run_end
from tracking_core.delivery.run_registry import RunState
from tracking_core.delivery.store_link import StoreLink
from tracking_core.events import (
    Batch,
    CountedSource,
    LedgerEntry,
    PhaseChange,
    RaisedError,
    RawEnd,
    RawError,
    RawRequest,
    RunEnd,
    RunStart,
)
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import from_outside, suppress_faults
from tracking_core.requests import CellKey, RequestColumns, Tally, add_cells

EVENTS_AT_A_TIME = 200
PAUSE_S = 50e-6
"""Long enough for the system to let another thread of the job have the processor, not only the interpreter."""


@dataclass(slots=True)
class _Draft:
    """A batch of one writer id while it is being filled."""

    requests: list[Numbered] = field(default_factory=list)
    cells: dict[CellKey, Tally] = field(default_factory=dict)
    phases: list[PhaseChange] = field(default_factory=list)
    source_counts: list[CountedSource] = field(default_factory=list)
    errors: list[RaisedError] = field(default_factory=list)
    ends: list[RunEnd] = field(default_factory=list)
    states: dict[int, RunState] = field(default_factory=dict)
    before: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """The states' figures before this batch."""

    drops: list[tuple[int, Mark]] = field(default_factory=list)
    """Events that were counted as dropped, or are about to be."""

    def undo(self, counts: Counts) -> None:
        """Take back the sequence numbers that were drawn and what was counted, since all of it is put back."""
        counts.add(dropped=-sum(events for events, mark in self.drops if mark.counted))
        for run_id, state in self.states.items():
            state.seq, state.dropped, state.reported_dropped = self.before[run_id]


class BatchBuilder:
    """Makes batches of what a queue holds."""

    def __init__(self, link: StoreLink, queue: EventQueue) -> None:
        self._queue = queue
        self._runs = link.runs
        self._clock = link.clock
        self._clock_offset = link.clock_offset
        self._counts = link.counts
        self._health = link.health
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        # From 1 again in a forked child, whose writer id is another one.
        self._keys = count(1)
        self._calls: dict[int, int] = {}
        """Calls by run since their processor time was shared out."""

    def next_key(self) -> int:
        """Return the next batch number; none comes twice, whoever asks at the same time."""
        return next(self._keys)

    def take(self, most: int, unsent: dict[int, PendingBatch | Batch]) -> tuple[int, int]:
        """Return how many events were taken from the queue, and how many batches were made of them.

        These are put into `unsent` by their final keys; an exception from outside leaves all as it was. The longest
        part of the work, making rows of the requests, is left for `build`. One thread at a time.
        """
        requests, events, aggregates = list[RawRequest](), list[Event](), list[Aggregate]()
        drafts: dict[int, _Draft] = {}
        try:
            self._queue.take_requests(most, requests)
            self._queue.take_events(EVENTS_AT_A_TIME, events)
            self._queue.take_aggregate(aggregates)
            found: dict[Any, PendingBatch | Batch] = {
                pending.batch.batch_seq: pending
                for pending in self._made_of(drafts, requests, events, aggregates)
                if len(pending) or not is_empty(pending.batch)
            }
            taken, made = len(requests) + len(events), len(found)
            # No call in this, so that nothing comes in between.
            unsent |= found
        except BaseException as error:
            if from_outside(error):
                for draft in drafts.values():
                    draft.undo(self._counts)
                self._queue.put_back(requests, events, aggregates)
            raise
        return taken, made

    def _made_of(
        self, drafts: dict[int, _Draft], requests: list[RawRequest], events: list[Event], aggregates: list[Aggregate]
    ) -> list[PendingBatch]:
        self._clock_offset.look()
        self._queue.offset_us = self._clock_offset.offset_us
        for run_id, of_run in _by_run(requests):
            self._number(drafts, run_id, of_run)
        for each in aggregates:
            self._enter(drafts, each.cells.items(), self._enter_cell)
        self._enter(drafts, events, self._enter_event)
        for each in aggregates:
            self._enter(drafts, each.errors.values(), self._enter_kind)
        return [self._pending(writer_id, draft) for writer_id, draft in drafts.items()]

    def build(self, pending: PendingBatch, go_on: Callable[[], bool]) -> Batch | None:
        """Return the batch of a pending one, None when `go_on` returned False; other threads get their turns."""

        # A job that fills whole batches is in more of a hurry than an event loop beside it.
        pause_s = 0 if len(pending) >= SHIP_MOST else PAUSE_S

        def turn() -> bool:
            time.sleep(pause_s)
            return go_on()

        batch = build(pending, go_on=turn, adjusted=self._health.adjusted)
        if batch is not None and len(batch.requests) < len(pending):
            by_run = Counter({numbered.run_id: len(numbered.raws) for numbered in pending.requests})
            by_run.subtract(RequestColumns.of(batch.requests).by_run())
            self._counts.add(dropped=by_run.total())
            self.lost(by_run)
        return batch

    def closing(self, run_ids: Collection[int]) -> list[Batch]:
        """Return how far this writer came with these runs, and with those that owe one.

        Of these runs something may be lost without anybody's knowledge. It comes behind all else that is stored of
        them, and a store counts no more as dropped than is missing there: so all is given as dropped.
        """
        ledgers: dict[int, list[LedgerEntry]] = {}
        with self._runs.lock:
            for state in self._runs.numbered():
                if (not state.void and state.run_id in run_ids) or state.owes_ledger:
                    entry = state.ledger()
                    state.note_ledger((entry,))
                    if state.run_id in run_ids:
                        entry = replace(entry, dropped=state.seq)
                    ledgers.setdefault(state.writer_id, []).append(entry)
        return [
            Batch(writer_id=writer_id, batch_seq=self.next_key(), ledger=tuple(entries))
            for writer_id, entries in ledgers.items()
        ]

    def lost(self, rows_by_run: Mapping[int, int]) -> dict[int, int]:
        """Note how many requests and errors of each run were given up; return how many that makes of each."""
        with self._runs.lock:
            states = self._runs.known(rows_by_run)
            for state in states:
                state.dropped += rows_by_run[state.run_id]
            return {state.run_id: state.dropped for state in states}

    def without_detail(self, batch: Batch) -> Batch:
        """Return a batch without the detail of its requests, which its ledger counts as dropped; totals stay exact."""
        requests = RequestColumns.of(batch.requests).by_run()
        self._counts.add(dropped=sum(requests.values()))
        dropped = self.lost(requests)
        ledger = tuple(replace(entry, dropped=dropped.get(entry.run_id, entry.dropped)) for entry in batch.ledger)
        return replace(batch, requests=(), ledger=ledger)

    def _enter(self, drafts: dict[int, _Draft], events: Iterable[object], enter: Callable[..., None]) -> None:
        with self._runs.lock:
            for event in events:
                try:
                    enter(drafts, event)
                except Exception as error:
                    if from_outside(error):
                        raise
                    # One event that nobody foresaw must not take the others along.
                    self._counts.add(dropped=1)

    def _draft(self, drafts: dict[int, _Draft], run_id: int) -> tuple[_Draft, RunState]:
        state = self._runs.state(run_id)
        draft = drafts.get(state.writer_id)
        if draft is None:
            draft = drafts[state.writer_id] = _Draft()
        if run_id not in draft.states:
            draft.before[run_id] = state.seq, state.dropped, state.reported_dropped
            draft.states[run_id] = state
        return draft, state

    def _number(self, drafts: dict[int, _Draft], run_id: int, raws: list[RawRequest]) -> None:
        with self._runs.lock:
            draft, state = self._draft(drafts, run_id)
            if state.void:
                self._drop(draft, len(raws))
                return
            self._charge(state, len(raws))
            offset_us = self._clock_offset.offset_us
            if not self._clock_offset.is_steady:
                raws = [(raw[0], self._clock_offset.corrected(raw[1]), *raw[2:]) for raw in raws]
                offset_us = 0
            draft.requests.append(Numbered(run_id, state.draw(len(raws)), offset_us, raws))

    def _enter_cell(self, drafts: dict[int, _Draft], entry: tuple[CellKey, Tally]) -> None:
        key, cell = entry
        draft, state = self._draft(drafts, key.run_id)
        self._drop(draft, cell.requests)
        if not state.void:
            self._charge(state, cell.requests)
            add_cells(draft.cells, {key: cell})
            state.seq += cell.requests
            state.dropped += cell.requests

    def _enter_kind(self, drafts: dict[int, _Draft], kind: tuple[RawError, int]) -> None:
        raw, many = kind
        draft, state = self._draft(drafts, raw.run_id)
        if state.void:
            self._drop(draft, many)
            return
        self._drop(draft, many - 1)
        self._charge(state, many)
        state.seq += many - 1
        state.dropped += many - 1
        error = raised_error(raw, state.draw(), self._offset_at(raw.at_us))
        draft.errors.append(standing_for(error, many))

    def _enter_event(self, drafts: dict[int, _Draft], event: Event) -> None:
        draft, state = self._draft(drafts, event.run_id)
        self._charge(state, 1)
        if isinstance(event, RunStart):
            # The state carries it until a store is known to hold the run.
            state.start = replace(
                event,
                started_us=self._clock_offset.corrected(event.started_us),
                clock_offset_ms=round(self._clock_offset.offset_us / 1000),
            )
        elif state.void:
            self._drop(draft, 1)
        elif isinstance(event, RawEnd):
            draft.ends.append(run_end(event, state.duration_ms(self._clock.monotonic()), self._offset_at(event.at_us)))
        else:
            seq = state.draw() if isinstance(event, RawError) else 0
            for name, rows in event_rows(event, state, seq, self._offset_at(event.at_us)).items():
                getattr(draft, name).extend(rows)

    def _drop(self, draft: _Draft, events: int) -> None:
        mark = Mark()
        draft.drops += ((events, mark),)
        self._counts.add(dropped=events, once=mark)

    def _charge(self, state: RunState, calls: int) -> None:
        state.calls += calls
        self._calls[state.run_id] = self._calls.get(state.run_id, 0) + calls

    def spent(self, cpu_s: float) -> None:
        """Share processor time among the runs whose events were built since the last call."""
        calls, self._calls = self._calls, {}
        total = sum(calls.values())
        with self._runs.lock:
            for state in self._runs.known(calls):
                state.cpu_s += cpu_s * calls[state.run_id] / total

    def _offset_at(self, at_us: int) -> int:
        return self._clock_offset.corrected(at_us) - at_us

    def _pending(self, writer_id: int, draft: _Draft) -> PendingBatch:
        living = [state for state in draft.states.values() if not state.void]
        waiting = self._waiting() if draft.ends else Counter()
        ledger = []
        for state in living:
            emitted = state.seq + (waiting[state.run_id] if state.ended else 0)
            if emitted:
                state.reported_dropped = state.dropped
                ledger.append(
                    LedgerEntry(run_id=state.run_id, emitted=emitted, dropped=state.dropped, overhead=state.overhead())
                )
        batch = Batch(
            writer_id=writer_id,
            batch_seq=self.next_key(),
            starts=tuple(state.start for state in living if state.start is not None and not state.confirmed),
            cells=draft.cells,
            phases=tuple(draft.phases),
            source_counts=tuple(draft.source_counts),
            errors=tuple(draft.errors),
            ends=tuple(draft.ends),
            ledger=tuple(ledger),
        )
        return PendingBatch(batch=batch, requests=tuple(draft.requests))

    def _waiting(self) -> Counter[int]:
        """Return how many requests of each run wait: a run's end may overtake them, and its ledger counts them."""
        with suppress_faults(RuntimeError):
            # Other threads add to the queue.
            return Counter(map(itemgetter(0), tuple(self._queue.requests)))
        return Counter()


def _by_run(requests: list[RawRequest]) -> Iterable[tuple[int, list[RawRequest]]]:
    """Return requests by their run's id; their order within a run stays."""
    groups: dict[int, list[RawRequest]] = {raw[0]: [] for raw in requests}
    if len(groups) == 1:
        return [(requests[0][0], requests)]
    for raw in requests:
        groups[raw[0]].append(raw)
    return groups.items()
