"""Events made into sealed batches: numbered, timed by the store's clock, added up, with the starts that must go along.

Owns the batch keys of one writer. Runs on the thread that ships; talks to no store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from tracking_core.clock import Clock
from tracking_core.dataclass import dataclass, field, replace
from tracking_core.delivery.base import RawCount, RawEnd, RawError, RawPhase, RawRequest
from tracking_core.delivery.batches import is_empty, standing_for
from tracking_core.delivery.counts import Counts
from tracking_core.delivery.health import Health
from tracking_core.delivery.intake import SHIP_MOST, Intake, Word
from tracking_core.delivery.rows import (
    counted_source,
    phase_change,
    plain_columns,
    raised_error,
    request_row,
    run_end,
)
from tracking_core.delivery.runbook import RunBook, RunState
from tracking_core.delivery.skew import Skew
from tracking_core.events import (
    ADJUSTED,
    Batch,
    CellKey,
    CountedSource,
    LedgerEntry,
    PhaseChange,
    RaisedError,
    RequestRow,
    RunEnd,
    RunStart,
    Tally,
    tally,
)
from tracking_core.request_rows import Columns, RequestColumns

MOST_WORDS = 200
ROWS_AT_A_TIME = 250
"""So many are made before other threads get their turn: an event loop of the job must not feel this one (P7)."""


@dataclass(slots=True)
class _Draft:
    """A batch of one writer id while it is being filled."""

    blocks: list[Columns] = field(default_factory=list)
    rows: list[RequestRow] = field(default_factory=list)
    """Those that are not in a block yet."""

    cells: dict[CellKey, Tally] = field(default_factory=dict)
    phases: list[PhaseChange] = field(default_factory=list)
    source_counts: list[CountedSource] = field(default_factory=list)
    errors: list[RaisedError] = field(default_factory=list)
    ends: list[RunEnd] = field(default_factory=list)
    states: dict[int, RunState] = field(default_factory=dict)

    def add(self, cells: Mapping[CellKey, Tally]) -> None:
        """Count what these cells count."""
        for key, cell in cells.items():
            mine = self.cells.get(key)
            if mine is None:
                self.cells[key] = cell
            else:
                mine.add(cell)


class Sealer:
    """What makes batches of what an intake holds."""

    def __init__(
        self, intake: Intake, book: RunBook, *, clock: Clock, skew: Skew, counts: Counts, health: Health
    ) -> None:
        self._intake = intake
        self._book = book
        self._clock = clock
        self._skew = skew
        self._counts = counts
        self._health = health
        self._batch_seq = 0
        self._calls: dict[int, int] = {}
        """Calls by run since their processor time was shared out."""

    def renew(self) -> None:
        """Number batches from 1 again, in a forked child, whose writer id is another one."""
        self._batch_seq = 0

    def next_key(self) -> int:
        """Return the next batch number."""
        self._batch_seq += 1
        return self._batch_seq

    def seal(self) -> tuple[int, list[Batch]]:
        """Return how many events were taken from the intake, and the batches made of them."""
        requests = self._intake.take_requests(SHIP_MOST)
        words = self._intake.take_words(MOST_WORDS)
        overflow = self._intake.take_overflow()
        drafts: dict[int, _Draft] = {}
        self._skew.look()
        self._intake.offset_us = self._skew.offset_us
        for first in range(0, len(requests), ROWS_AT_A_TIME):
            self._enter_requests(drafts, requests[first : first + ROWS_AT_A_TIME])
            time.sleep(0)
        if overflow is not None:
            self._enter(drafts, overflow.cells.items(), self._enter_overflow)
        self._enter(drafts, words, self._enter_word)
        if overflow is not None:
            self._enter(drafts, overflow.errors.values(), self._enter_kind)
        batches = [self._sealed(writer_id, draft) for writer_id, draft in drafts.items()]
        return len(requests) + len(words), [batch for batch in batches if not is_empty(batch)]

    def _enter(self, drafts: dict[int, _Draft], events: Iterable[object], enter: Callable[..., None]) -> None:
        with self._book.lock:
            for event in events:
                try:
                    enter(drafts, event)
                except Exception:  # noqa: BLE001 - one event that nobody foresaw must not take the others along
                    self._counts.add(dropped=1)

    def _draft(self, drafts: dict[int, _Draft], run_id: int) -> tuple[_Draft, RunState]:
        state = self._book.state(run_id)
        draft = drafts.get(state.writer_id)
        if draft is None:
            draft = drafts[state.writer_id] = _Draft()
        draft.states[run_id] = state
        return draft, state

    def _enter_requests(self, drafts: dict[int, _Draft], requests: list[RawRequest]) -> None:
        for run_id, of_run in _by_run(requests):
            with self._book.lock:
                draft, state = self._draft(drafts, run_id)
                plain = None
                if self._skew.is_steady and not state.void:
                    with suppress(Exception):
                        plain = plain_columns(of_run, state, self._skew.offset_us)
            if plain is None:
                self._enter(drafts, of_run, self._enter_request)
                found = RequestColumns.of(draft.rows)
                draft.rows.clear()
            else:
                self._charge(state, len(of_run))
                found = RequestColumns([plain])
            draft.blocks += found.blocks
            draft.add(tally(found))

    def _enter_request(self, drafts: dict[int, _Draft], raw: RawRequest) -> None:
        draft, state = self._draft(drafts, raw[0])
        if state.void:
            self._counts.add(dropped=1)
            return
        self._charge(state, 1)
        row = request_row(raw, state.draw(), self._offset_at(raw[1]))
        draft.rows.append(row)
        if row.error is not None and ADJUSTED in row.error:
            self._health.adjusted(row.error.rpartition(ADJUSTED)[2])

    def _enter_overflow(self, drafts: dict[int, _Draft], entry: tuple[CellKey, Tally]) -> None:
        key, cell = entry
        draft, state = self._draft(drafts, key.run_id)
        self._counts.add(dropped=cell.requests)
        if not state.void:
            self._charge(state, cell.requests)
            draft.add({key: cell})
            state.seq += cell.requests
            state.dropped += cell.requests

    def _enter_kind(self, drafts: dict[int, _Draft], kind: tuple[RawError, int]) -> None:
        raw, many = kind
        draft, state = self._draft(drafts, raw.run_id)
        if state.void:
            self._counts.add(dropped=many)
            return
        self._counts.add(dropped=many - 1)
        self._charge(state, many)
        state.seq += many - 1
        state.dropped += many - 1
        error = raised_error(raw, state.draw(), self._offset_at(raw.at_us))
        draft.errors.append(standing_for(error, many))

    def _enter_word(self, drafts: dict[int, _Draft], word: Word) -> None:
        draft, state = self._draft(drafts, word.run_id)
        self._charge(state, 1)
        if isinstance(word, RunStart):
            # The state carries it until a store is known to hold the run.
            state.start = replace(
                word,
                started_us=self._skew.corrected(word.started_us),
                clock_offset_ms=round(self._skew.offset_us / 1000),
            )
        elif state.void:
            self._counts.add(dropped=1)
        elif isinstance(word, RawEnd):
            began = state.started_monotonic
            duration_ms = None if began is None else max(round((self._clock.monotonic() - began) * 1000), 0)
            draft.ends.append(run_end(word, duration_ms, self._offset_at(word.at_us)))
        elif isinstance(word, RawPhase):
            draft.phases.append(phase_change(word, state, self._offset_at(word.at_us)))
        elif isinstance(word, RawCount):
            draft.source_counts.append(counted_source(word, state, self._offset_at(word.at_us)))
        elif isinstance(word, RawError):
            draft.errors.append(raised_error(word, state.draw(), self._offset_at(word.at_us)))

    def _charge(self, state: RunState, calls: int) -> None:
        state.calls += calls
        self._calls[state.run_id] = self._calls.get(state.run_id, 0) + calls

    def spent(self, cpu_s: float) -> None:
        """Share processor time among the runs whose events were sealed since this was last said."""
        calls, self._calls = self._calls, {}
        total = sum(calls.values())
        with self._book.lock:
            for state in self._book.known(calls):
                state.cpu_s += cpu_s * calls[state.run_id] / total

    def _offset_at(self, at_us: int) -> int:
        return self._skew.corrected(at_us) - at_us

    def _sealed(self, writer_id: int, draft: _Draft) -> Batch:
        living = [state for state in draft.states.values() if not state.void]
        return Batch(
            writer_id=writer_id,
            batch_seq=self.next_key(),
            starts=tuple(state.start for state in living if state.start is not None and not state.confirmed),
            requests=RequestColumns(draft.blocks) if draft.blocks else (),
            cells=draft.cells,
            phases=tuple(draft.phases),
            source_counts=tuple(draft.source_counts),
            errors=tuple(draft.errors),
            ends=tuple(draft.ends),
            ledger=tuple(
                LedgerEntry(run_id=state.run_id, emitted=state.seq, dropped=state.dropped, overhead=state.overhead())
                for state in living
                if state.seq
            ),
        )


def _by_run(requests: list[RawRequest]) -> Iterable[tuple[int, list[RawRequest]]]:
    """Return requests by their run's id; their order within a run stays."""
    groups: dict[int, list[RawRequest]] = {raw[0]: [] for raw in requests}
    if len(groups) == 1:
        return [(requests[0][0], requests)]
    for raw in requests:
        groups[raw[0]].append(raw)
    return groups.items()
