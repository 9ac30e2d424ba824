"""What one poll read, frozen, and what changed from one poll to the next.

A frame is drawn from one snapshot, so that it never mixes two moments.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from etlwatch.analysis.baseline import JobBaseline
from etlwatch.analysis.findings import Doubt, Finding
from etlwatch.analysis.health import Outage
from etlwatch.analysis.states import BEHIND, FLAWED
from etlwatch.text.numbers import count, duration, short_id
from etlwatch.text.safe import clip, safe
from tracking_core.dataclass import dataclass, field
from tracking_core.records import (
    EndpointTotals,
    ErrorRecord,
    Phase,
    PhaseSample,
    Run,
    SeriesCell,
    SourceCount,
    Switch,
    WriterLedger,
)

if TYPE_CHECKING:
    from etlwatch.analysis.coverage import Coverage
    from etlwatch.analysis.errors import ErrorKind
    from etlwatch.analysis.jobs import JobHistory


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Request durations in milliseconds, within 5 %."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a run did lately, per second."""

    requests: float
    items: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSeries:
    """The requests of all runs over the chart window; the same object until a bucket closes."""

    since: int = 0
    """Beginning of the first cell, seconds since 1970-01-01Z."""

    until: int = 0
    """End of what is complete: nothing at or after it is counted yet."""

    step: int = 10
    """Seconds a cell."""

    cells: tuple[SeriesCell, ...] = ()
    """Those in which anything happened, ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """All that the run screen shows of one run."""

    run: Run | None
    """None when the store does not hold it (any more)."""

    run_id: int
    phases: tuple[Phase, ...] = ()
    samples: tuple[PhaseSample, ...] = ()
    endpoints: tuple[EndpointTotals, ...] = ()
    series: tuple[SeriesCell, ...] = ()
    source_counts: tuple[SourceCount, ...] = ()
    errors: tuple[ErrorRecord, ...] = ()
    """The newest ones, newest first; `run.errors` is how many there are."""

    kinds: tuple[ErrorKind, ...] = ()
    """The kinds of these errors over all runs; none where nobody asked."""

    ledger: tuple[WriterLedger, ...] = ()
    series_until: int | None = None
    """Where the known part of its series ends, seconds since 1970-01-01Z; None where that is now."""

    unknown: Mapping[str, str] = field(default_factory=dict)
    """What of it is not known for the past moment that is looked at, and why: as in `as_of.KEPT_FOR_WHOLE_RUNS`."""

    coverage: tuple[Coverage, ...] = ()
    """Of the endpoints that were paged."""

    coverage_cut: bool = False
    """Whether there were more pages than are looked at, so that holes are not looked for."""

    reference: RunDetails | None = None
    """The last success of its job before it, without a run where there was none; None where nobody asked."""

    @property
    def longest_ms(self) -> float:
        """How long its longest request took, in milliseconds; infinity where that is not known."""
        return max((totals.max_ms for totals in self.endpoints), default=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsBoard:
    """The jobs that have been read by now."""

    histories: tuple[JobHistory, ...]
    complete: bool
    """Whether these are all, or as many as are kept."""

    there_are: int = 0
    """How many jobs have runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsBoard:
    """The kinds of errors since a moment, what needs somebody first."""

    since: datetime
    kinds: tuple[ErrorKind, ...]
    there_are: int
    """How many kinds there are; of more than are listed these are the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsBoard:
    """Both sides of a comparison."""

    after: RunDetails
    """Its run is None when the store does not hold it (any more), as of the other side."""

    before: RunDetails | None
    """None where the job had no success before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The store at one moment, as far as it is on screen."""

    at: datetime
    """The store's clock: the now of every age and state."""

    behind_s: float | None = None
    """How many seconds `at` was behind that clock, on a standby."""

    read_at: float
    """This process's monotonic clock when the answers were in."""

    poll_ms: float
    """What asking took, in milliseconds."""

    runs: tuple[Run, ...] = ()
    """The newest ones and every live one, newest first, each with its derived state and the proof of it."""

    job: str | None = None
    """The only job whose newest runs are among them; None for all. The living ones are of all jobs."""

    findings: Mapping[int, tuple[Finding, ...]] = field(default_factory=dict)
    """By run, all that proves it lost or behind, gravest first."""

    doubts: Mapping[int, tuple[Doubt, ...]] = field(default_factory=dict)
    """By run, the states that what is stored of a past moment leaves open."""

    baselines: Mapping[str, JobBaseline] = field(default_factory=dict)
    """What is usual for the jobs of these runs, as far as it is known; more of it for those with a living run."""

    outage: Outage | None = None
    """That many runs were lost at once, if they were."""

    complete: bool = True
    """Whether the store holds no older runs than these."""

    living: int | None = None
    """How many runs live in the store, where not all of them are among these."""

    there_are: int | None = None
    """How many runs the store holds, of `job` if that is set; None where all of them are among these."""

    phases: Mapping[int, tuple[Phase, ...]] = field(default_factory=dict)
    percentiles: Mapping[int, Percentiles] = field(default_factory=dict)
    rates: Mapping[int, Rates] = field(default_factory=dict)
    """Of running runs only."""

    last_errors: Mapping[int, ErrorRecord] = field(default_factory=dict)
    """The newest error of runs that recorded any, as far as it was asked for."""

    new_errors: frozenset[int] = frozenset()
    """Failed runs whose last error no run before them had."""

    kinds: Mapping[int, tuple[ErrorKind, ...]] = field(default_factory=dict)
    """The kinds of the newest errors of the run under the cursor, new ones first."""

    endpoints: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """The endpoints that runs asked, while a filter names any, as far as they were read."""

    fleet: FleetSeries = field(default_factory=FleetSeries)
    switches: tuple[Switch, ...] = ()
    details: RunDetails | None = None
    """Of the open run, if one is open."""

    board: object = None
    """The answer to what the screen in front asks beside the runs: a JobsBoard, an ErrorsBoard, a RunsBoard, …"""

    looking_back: bool = False
    """Whether `at` is a past moment that somebody asked for: what was not sampled then is missing here."""


_DEAD: Final = ("lost", "failed")
_NAMED: Final = 2
"""Runs that are named; the rest is counted."""

_JOB_CELLS: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A sentence about what changed, and how grave it is."""

    words: str
    severity: Literal["information", "warning", "error"]


class Watching:
    """The watched runs by id: each is reported once when it has ended, and then no longer watched."""

    def __init__(self) -> None:
        self._states: dict[int, str] = {}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._states

    def toggle(self, run: Run) -> bool:
        """Watch a run, or no longer; return whether it is watched now."""
        if self._states.pop(run.run_id, None) is not None:
            return False
        self._states[run.run_id] = run.state
        return True

    def changes(self, runs: Iterable[Run]) -> list[Change]:
        """Return what has changed since these runs were last given, and store what they are now."""
        if not self._states:
            return []
        found: list[Change] = []
        for run in runs:
            before = self._states.get(run.run_id)
            if before is None or before == run.state:
                continue
            found.append(Change(words=_words(run, before), severity=_severity([run])))
            self._states[run.run_id] = run.state
            if run.status != "running":
                del self._states[run.run_id]
        return found


def _severity(runs: Iterable[Run]) -> Literal["information", "warning", "error"]:
    states = {run.state for run in runs}
    return (
        "information"
        if states.isdisjoint((*_DEAD, *BEHIND, *FLAWED))
        else "warning"
        if states.isdisjoint(_DEAD)
        else "error"
    )


def _words(run: Run, before: str) -> str:
    name = f"{clip(safe(run.job), 40)} {short_id(run.id)}"
    after = f" after {duration(run.duration_s)}" if run.status != "running" else ""
    because = f": {clip(safe(run.evidence), 80)}" if run.evidence else ""
    return f"{name} is {safe(run.state)}{after}, was {safe(before)}{because}"


def changes_since(before: Snapshot, after: Snapshot) -> Change:
    """Return what changed from one snapshot to the other; `read_at` tells how long the store was silent."""
    known = {run.run_id: run.state for run in before.runs}
    oldest = min(known, default=0)
    # What is listed now and was too old before is not new.
    began = [run for run in after.runs if run.run_id not in known and run.run_id > oldest]
    changed = [run for run in after.runs if run.run_id in known and known[run.run_id] != run.state]
    changed += [run for run in began if run.state != "running"]
    others = Counter(run.state for run in changed if run.state not in (*_DEAD, *BEHIND, *FLAWED))
    pieces = [*_named(changed, _DEAD), *_named(changed, (*BEHIND, *FLAWED))]
    pieces += [f"{count(number)} {state}" for state, number in sorted(others.items())]
    if began:
        pieces.append(f"{count(len(began))} began")
    away = duration(max(after.read_at - before.read_at, 0.0))
    phrase = ", ".join(pieces) or "nothing changed meanwhile"
    return Change(words=f"connected again after {away}: {phrase}", severity=_severity(changed))


def _named(changed: Iterable[Run], states: Collection[str]) -> list[str]:
    """Return the first of the runs in these states by name and state, and how many more there are."""
    runs = [run for run in changed if run.state in states]
    words = [f"{clip(safe(run.job), _JOB_CELLS)} {safe(run.state)}" for run in runs[:_NAMED]]
    more = Counter(run.state for run in runs[_NAMED:])
    return words + [f"{count(number)} more {state}" for state, number in sorted(more.items())]
