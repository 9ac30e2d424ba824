"""When a living run will end: a range from its own rate and its job's baseline, nothing where both are unknown.

A phase with totals is extrapolated from what it has processed; phases to come take what they
usually take; a run without totals takes what the job usually takes. It is a range, never a single moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from etlwatch.analysis.baseline import JobBaseline, PhaseBaseline
from etlwatch.text.numbers import clock, moment
from tracking_core.dataclass import dataclass
from tracking_core.records import Phase, PhaseStatus, Run, RunStatus

_LEAST_SHARE = 0.02
"""Below this share done, a phase's own rate is not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eta:
    """Between which two moments a run is expected to end."""

    low: datetime
    high: datetime


def eta_words(eta: Eta | None, now: datetime, zone: tzinfo | None = None) -> str:
    """Write an estimate in at most eleven cells: `03:40–03:55`, `03:41` where both are one minute, `Tue 03:40` far off.

    '' where there is none.
    """
    if eta is None:
        return ""
    low, high = clock(eta.low, zone), clock(eta.high, zone)
    if eta.high - now >= timedelta(hours=18):
        return moment(eta.high, now, zone)
    return low if low == high else f"{low}–{high}"


def running_phase(phases: Sequence[Phase]) -> Phase | None:
    """Return the phase that a run is in; the last one where several run."""
    return next((phase for phase in reversed(phases) if phase.status == PhaseStatus.RUNNING), None)


def share_done(phase: Phase) -> float | None:
    """Return how much of a phase is done, by its unit with the greatest total; None when no unit has one.

    Not clamped: a job that underestimated its work is shown beyond 100 %.
    """
    best = max(phase.counters.values(), key=lambda counter: counter.get("total") or 0, default=None)
    total = (best or {}).get("total") or 0
    return (best or {}).get("processed", 0) / total if total > 0 else None


def estimate(run: Run, phases: Sequence[Phase], baseline: JobBaseline, *, now: datetime) -> Eta | None:
    """Return when a run is expected to end; None for one that has ended or is lost, and where nothing is known."""
    if run.status != RunStatus.RUNNING or run.state in ("lost", "stalled"):
        return None
    by_phases = _by_phases(phases, baseline, now)
    left = by_phases if by_phases is not None else _by_past(run, baseline, now)
    if left is None:
        return None
    low, high = sorted(left)
    return Eta(low=now + timedelta(seconds=low), high=now + timedelta(seconds=max(high, low)))


def _by_past(run: Run, baseline: JobBaseline, now: datetime) -> tuple[float, float] | None:
    usual, p95 = baseline.duration_s.usual, baseline.duration_s.p95
    if usual is None or p95 is None:
        return None
    elapsed = (now - run.started_at).total_seconds()
    # Beyond its p95 a run's end cannot be estimated from its baseline.
    return None if elapsed >= p95 else (max(usual - elapsed, 0.0), p95 - elapsed)


def _by_phases(phases: Sequence[Phase], baseline: JobBaseline, now: datetime) -> tuple[float, float] | None:
    current = running_phase(phases)
    if current is None or current.started_at is None:
        return None
    elapsed = (now - current.started_at).total_seconds()
    rest = _rest_of(current, elapsed, baseline.phase(current.phase))
    coming = _coming(phases, baseline)
    if rest is None or coming is None:
        return None
    return rest[0] + coming[0], rest[1] + coming[1]


def rest_of_phase(phase: Phase, baseline: JobBaseline, *, now: datetime) -> tuple[float, float] | None:
    """Return in how many seconds, at least and at most, a running phase is expected to end; None where unknown."""
    if phase.status != PhaseStatus.RUNNING or phase.started_at is None:
        return None
    return _rest_of(phase, (now - phase.started_at).total_seconds(), baseline.phase(phase.phase))


def _rest_of(phase: Phase, elapsed: float, known: PhaseBaseline | None) -> tuple[float, float] | None:
    share = share_done(phase)
    share = None if share is None else min(share, 1.0)
    usual = known.duration_s if known is not None else None
    if share is not None and share >= _LEAST_SHARE and elapsed > 0:
        left = elapsed * (1 - share) / share
        # The less is done, the less the rate so far binds the rest.
        spread = 0.05 + 0.35 * (1 - share)
        return left * (1 - spread), left * (1 + spread)
    if usual is None or usual.usual is None or usual.p95 is None or elapsed >= usual.p95:
        return None
    return max(usual.usual - elapsed, 0.0), usual.p95 - elapsed


def _coming(phases: Sequence[Phase], baseline: JobBaseline) -> tuple[float, float] | None:
    """Return what the phases after the current one take; None when one of them is known by name alone."""
    reported = {phase.phase: phase.status for phase in phases}
    names = [phase.phase for phase in phases if phase.status == "pending"]
    names += [known.phase for known in baseline.phases if known.phase not in reported]
    low = high = 0.0
    for name in names:
        known = baseline.phase(name)
        if known is None or known.duration_s.low is None or known.duration_s.high is None:
            return None
        low += known.duration_s.low
        high += known.duration_s.high
    return low, high
