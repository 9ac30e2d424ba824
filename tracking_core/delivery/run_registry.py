"""The runs of one writer: how they began, the sequence numbers they have used, the state of their phases."""

from __future__ import annotations

from collections.abc import Iterable

from tracking_core.dataclass import dataclass, field
from tracking_core.events import LedgerEntry, RunStart
from tracking_core.identity import new_writer_id
from tracking_core.process.forks import renew_in_child
from tracking_core.process.locks import ReentrantLock

MOST_ENDED_RUNS = 16_384
"""Ended runs that a long-lived process keeps, so that what arrives after the end goes on with their sequence."""


@dataclass(slots=True)
class PhaseState:
    """The state of a phase of a run, as this writer reported it."""

    position: int | None
    status: str = "pending"
    started_us: int | None = None
    started_s: float | None = None
    """The same on the monotonic clock; None where it was reported afterwards."""

    peak_memory_mb: float | None = None
    units: dict[str, int] = field(default_factory=dict)
    """The place of each unit, in the order in which they were first named."""


@dataclass(slots=True)
class RunState:
    """One run and what its writer has sent of it."""

    run_id: int
    writer_id: int
    start: RunStart | None = None
    """None for a run that was begun elsewhere and not handed over: the store must hold it."""

    confirmed: bool = False
    """Whether a store holds the run: until then each batch carries its start."""

    started_monotonic: float | None = None
    """None for a run that was begun elsewhere."""

    job: str | None = None
    ended: bool = False
    ended_monotonic: float | None = None
    """When its end was accepted; an event may wait long for a store."""

    void: bool = False
    """Whether the store refused the run's start because tracking was off: what follows is given up."""

    start_is: str = ""
    """Where the start is counted (see counts.py), '' while it is nowhere."""

    seq: int = 0
    """The last sequence number given out."""

    dropped: int = 0
    """Sequence numbers whose events were given up."""

    reported_dropped: int = 0
    """How many of them the last ledger of this run gave."""

    calls: int = 0
    """Operations on this run that this writer was asked for."""

    cpu_s: float = 0.0
    """Processor time that they took."""

    worst_s: float = 0.0
    """The longest of them, by the clock."""

    last_us: int = 0
    """The latest moment given to an event that a later one may overwrite."""

    phases: dict[str, PhaseState] = field(default_factory=dict)

    def draw(self, count: int = 1) -> int:
        """Take so many sequence numbers, which follow each other, and return the first.

        No call stands between reading and writing them, so none is given out twice.
        """
        first = self.seq + 1
        self.seq = first + count - 1
        return first

    def duration_ms(self, now: float) -> int | None:
        """Return how long the run took, until its end or now; None where it began elsewhere."""
        if self.started_monotonic is None:
            return None
        ended = now if self.ended_monotonic is None else self.ended_monotonic
        return max(round((ended - self.started_monotonic) * 1000), 0)

    def took(self, seconds: float, cpu_s: float) -> None:
        """Add what one operation on this run has cost the job."""
        self.calls += 1
        self.cpu_s += cpu_s
        self.worst_s = max(self.worst_s, seconds)

    def overhead(self) -> dict[str, float]:
        """Return what this run's tracking has cost the job: `calls`, `cpu_ms`, `worst_us`; {} before the first call."""
        if not self.calls:
            return {}
        return {
            "calls": self.calls,
            "cpu_ms": round(self.cpu_s * 1000, 3),
            "worst_us": round(self.worst_s * 1_000_000),
        }

    def ledger(self) -> LedgerEntry:
        """Return how far this writer has come with the run."""
        return LedgerEntry(run_id=self.run_id, emitted=self.seq, dropped=self.dropped, overhead=self.overhead())

    def note_ledger(self, ledger: Iterable[LedgerEntry]) -> None:
        """Note which ledger of this run was stored or spooled."""
        for entry in ledger:
            self.reported_dropped = entry.dropped

    @property
    def owes_ledger(self) -> bool:
        """Whether more was dropped than its last ledger gave."""
        return not self.void and self.dropped != self.reported_dropped

    def moment(self, at_us: int) -> int:
        """Return the moment of a new event: after the last one, also when the wall clock has stepped back."""
        self.last_us = max(at_us, self.last_us + 1)
        return self.last_us

    def update_phase(
        self, phase: str, status: str, at_us: int, memory_mb: float | None, at_s: float | None
    ) -> PhaseState:
        """Take in a phase's new status and return how it stands now."""
        memory = self.phases.get(phase)
        if memory is None:
            # Positions of a run begun elsewhere are the store's to give: other writers may have added phases.
            position = len(self.phases) + 1 if self.started_monotonic is not None else None
            memory = self.phases[phase] = PhaseState(position=position)
        if status == "running" and memory.status != "running":
            memory.started_us, memory.started_s = at_us, at_s
        memory.status = status
        if memory_mb is not None:
            memory.peak_memory_mb = max(memory.peak_memory_mb or 0.0, memory_mb)
        return memory


class RunRegistry:
    """The runs of one tracker. Not locked inside: whoever uses it holds `lock`, and never while talking to a store."""

    def __init__(self) -> None:
        # Guards every state of the runs: two requests must not draw one sequence number. Re-entrant, since a signal's
        # handler or a `__del__` may record something while it is held.
        self.lock = ReentrantLock()
        self.writer_id = new_writer_id()
        self._states: dict[int, RunState] = {}
        self._ended: dict[int, None] = {}
        self._forgot = False
        renew_in_child(self._renew)

    @property
    def is_empty(self) -> bool:
        """Whether no run was ever entered."""
        return not self._states

    def begin(self, start: RunStart, started_monotonic: float) -> RunState:
        """Enter a run that this process begins."""
        state = self._states[start.run_id] = RunState(run_id=start.run_id, writer_id=self.writer_id)
        state.start, state.started_monotonic, state.job = start, started_monotonic, start.job
        return state

    def adopt(self, start: RunStart) -> None:
        """Enter a run that another process began and handed over."""
        state = self.state(start.run_id)
        if state.start is None:
            state.start, state.job = start, start.job

    def state(self, run_id: int) -> RunState:
        """Return a run's state; an unknown one is entered as begun elsewhere."""
        state = self._states.get(run_id)
        if state is None:
            # One that was forgotten must not begin its sequence again under the same writer: its new rows would be
            # taken for old ones and skipped.
            writer_id = new_writer_id() if self._forgot else self.writer_id
            state = self._states[run_id] = RunState(run_id=run_id, writer_id=writer_id)
        return state

    def known(self, run_ids: Iterable[int]) -> list[RunState]:
        """Return the states of those of these runs that are entered."""
        return [self._states[run_id] for run_id in run_ids if run_id in self._states]

    def numbered(self) -> list[RunState]:
        """Return the states of all runs of which anything was numbered."""
        return [state for state in self._states.values() if state.seq]

    def end(self, run_id: int, at: float | None = None) -> None:
        """Note that a run has ended, `at` a moment of the monotonic clock; of very many the oldest are forgotten."""
        state = self._states.get(run_id)
        if state is None:
            return
        state.ended, state.ended_monotonic = True, at
        self._ended[run_id] = None
        if len(self._ended) > MOST_ENDED_RUNS:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._states.pop(oldest, None)
            self._forgot = True

    def reopen(self, run_id: int) -> None:
        """Take back that a run has ended."""
        if run_id in self._states:
            self._states[run_id].ended = False

    def forget(self, run_id: int) -> None:
        """Drop a run that there is not."""
        self._states.pop(run_id, None)
        self._ended.pop(run_id, None)

    def _renew(self) -> None:
        """Become another writer in a forked child: another id, sequences from 1."""
        self.writer_id = new_writer_id()
        for state in self._states.values():
            state.seq = state.dropped = state.reported_dropped = state.calls = 0
            state.cpu_s = state.worst_s = 0.0
            state.writer_id = self.writer_id
            state.start_is = ""
