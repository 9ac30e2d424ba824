"""Whether a run was behind at a past moment: what holds however the cells that were open then were filled.

Contains the bounds of what the store leaves open (requests and progress are kept in cells of 10 s or 60 s) and the
word for a verdict that depends on it. What holds in all of them held then; what holds in some is a doubt, never a
guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.as_of import Stored
from etlwatch.analysis.baseline import JobPast
from etlwatch.analysis.departure import departure_of
from etlwatch.analysis.health import RECENT_S, Finding, findings, is_slow
from etlwatch.analysis.thresholds import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.text.numbers import duration, span
from tracking_core.clock import from_microseconds
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import Phase, Run, SeriesCell

__all__ = ["Doubt", "Looked", "last_progress", "late_as_of"]

_STATES: Final = ("stalled", "throttled", "slow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A verdict that what is stored leaves open."""

    state: str
    because: str
    """A sentence that says what is not known, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """All that can be said of one run at one past moment."""

    findings: tuple[Finding, ...] = ()
    """What held, gravest first."""

    doubts: tuple[Doubt, ...] = ()


def late_as_of(
    run: Run,
    past: JobPast,
    *,
    moment: datetime,
    stored: Stored,
    phases: Sequence[Phase] = (),
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> Looked:
    """Return in which ways a run was behind, and in which ways it may have been.

    `run` and `phases` are as of the moment, and `past` of the runs that had ended by then.
    """
    earliest, latest = last_progress(run, phases, stored, moment)
    closed, open_ = stored.closed, stored.open
    slow = is_slow(run, past, now=moment, thresholds=thresholds)
    departed = departure_of(closed, past, began=run.started_at, now=moment) if slow else None

    def world(progress: datetime, cells: Iterable[SeriesCell], requests: int = 0) -> dict[str, Finding]:
        seen = replace(run, progress_at=progress, requests=run.requests + requests)
        series = (*closed, *cells)
        held = findings(seen, past, now=moment, phases=phases, series=series, departed=departed, thresholds=thresholds)
        return {finding.state: finding for finding in held}

    # Idle since as long, and throttled as much, as may be; then as little as may be; then only what is certain.
    most = world(
        earliest,
        (_throttled_part(cell, closed, thresholds) for cell in open_),
        sum(cell.requests for cell in open_),
    )
    least = world(latest, (_answered_part(cell) for cell in open_))
    certain = world(latest, ())
    worlds = (most, least, certain)
    held = [state for state in _STATES if all(state in each for each in worlds)]
    open_states = [state for state in _STATES if state not in held and any(state in each for each in worlds)]
    soonest, longest = (duration((moment - at) / timedelta(seconds=1)) for at in (latest, earliest))
    width = span(max((cell.width for cell in open_), default=0))
    why = {
        "stalled": f"it had last moved between {soonest} and {longest} before",
        "throttled": f"its latest answers are kept in a cell of {width} that was open then",
    }
    return Looked(
        findings=tuple(certain[state] for state in held),
        doubts=tuple(
            Doubt(state=state, because=f"whether it was {state} is not known: {why[state]}") for state in open_states
        ),
    )


def last_progress(run: Run, phases: Iterable[Phase], stored: Stored, moment: datetime) -> tuple[datetime, datetime]:
    """Return between which two moments a run did the last thing that it told of by `moment`."""
    if run.progress_at is not None and run.progress_at <= moment:
        return run.progress_at, run.progress_at
    told = [run.started_at, *stored.counted_at, *(sample.at for sample in stored.samples)]
    told += [at for at in (stored.last_error_at,) if at is not None]
    told += [at for phase in phases for at in (phase.started_at, phase.ended_at) if at is not None]
    earliest = latest = max(at for at in told if at <= moment)
    busy = [cell for cell in stored.cells if cell.requests]
    for cell in busy:
        if cell.bucket + cell.width <= stored.until:
            earliest = max(earliest, _at(cell.bucket))
        latest = max(latest, min(_at(cell.bucket + cell.width), moment))
    # A sample that was renewed after the moment hides what was told earlier in its bucket.
    if any(sample.at > moment for sample in stored.samples):
        latest = moment
    if not busy and stored.traffic.requests:
        latest = max(latest, _at(stored.since))
    return earliest, latest


def _at(second: int) -> datetime:
    return from_microseconds(second * 1_000_000)


def _throttled_part(cell: SeriesCell, closed: Sequence[SeriesCell], thresholds: Thresholds) -> SeriesCell:
    """Return the part of an open cell that makes its run look throttled most: its 429s, and no more than are needed."""
    known = sum(each.requests for each in closed if each.bucket + each.width > cell.bucket - RECENT_S)
    fill = max(thresholds.throttled_requests - known - cell.throttled, 0)
    return replace(cell, requests=min(cell.throttled + fill, cell.requests))


def _answered_part(cell: SeriesCell) -> SeriesCell:
    """Return the part of an open cell that makes its run look throttled least: all but its 429s."""
    return replace(cell, requests=cell.requests - cell.throttled, throttled=0)
