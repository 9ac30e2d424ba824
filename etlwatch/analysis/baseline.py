"""What is usual for a job: figures of its last completed runs, each with the number of runs behind it.

Contains the arithmetic of "usual" (the median) and "p95" over a job's baseline, per run, phase and endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from etlwatch.analysis.comparable import Circumstances
from etlwatch.analysis.completed import NO_RUNS, CompletedRuns
from tracking_core import histogram
from tracking_core.dataclass import dataclass, field
from tracking_core.records import EndpointTotals, Phase, Run, RunStatus

MOST_RUNS: Final = 30
"""Completed runs that make a baseline, the newest."""

MINIMUM_RUNS: Final = 5
"""Fewer completed runs than this are no normal (docs/screens.md, Bars)."""

LONGER_CHANCE: Final = 0.005
"""How often a healthy run takes less or more time than the interval of comparable runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """One figure over a job's baseline."""

    runs: int = 0
    """How many runs had it."""

    usual: float | None = None
    """The median; None with fewer than MINIMUM_RUNS."""

    p95: float | None = None
    """What one run in twenty exceeds; None with fewer than MINIMUM_RUNS."""

    low: float | None = None
    """The lower quartile."""

    high: float | None = None
    """The upper quartile."""

    def ratio(self, value: float | None) -> float | None:
        """Return how many times its p95 a value is; None where there is no normal."""
        return value / self.p95 if value is not None and self.p95 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBaseline:
    """One phase in a job's baseline."""

    phase: str
    position: int
    duration_s: Usual


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBaseline:
    """A job's last completed runs."""

    runs: int = 0
    """How many there are, at most MOST_RUNS."""

    duration_s: Usual = field(default_factory=Usual)
    taken_s: Mapping[int, float] = field(default_factory=dict)
    """The durations behind `duration_s`, by run id."""

    requests: Usual = field(default_factory=Usual)
    items: Usual = field(default_factory=Usual)
    errors: Usual = field(default_factory=Usual)
    request_rate: Usual = field(default_factory=Usual)
    """Requests per second of a whole run."""

    throttled_share: Usual = field(default_factory=Usual)
    """0 to 1, of all requests."""

    latency_p50_ms: Usual = field(default_factory=Usual)
    latency_p95_ms: Usual = field(default_factory=Usual)
    memory_mb: Usual = field(default_factory=Usual)
    """The peak of a run's phases."""

    pauses_s: Mapping[str, Usual] = field(default_factory=dict)
    """The longest pause of each phase between requests and updates; '' is that of a run as a whole."""

    phases: tuple[PhaseBaseline, ...] = ()
    """By position."""

    endpoint_p95_ms: Mapping[str, Usual] = field(default_factory=dict)
    completed: CompletedRuns = NO_RUNS
    """What single runs are compared with."""

    duration_limits: dict[int, tuple[float, float] | None] = field(default_factory=dict, compare=False, repr=False)
    """What `limits_of_duration` computed, by run."""

    def limits_of_duration(self, run: Run) -> tuple[float, float] | None:
        """Return the upper end of the interval of comparable runs' durations and their p95, in seconds.

        None where too few runs are comparable. Where single runs are not known the p95 is that of all, without an end.
        """
        if not self.completed.circumstances:
            return None if self.duration_s.p95 is None else (0.0, self.duration_s.p95)
        if run.run_id not in self.duration_limits:
            expected = self.completed.expected("seconds", run, chance=LONGER_CHANCE)
            p95 = quantile(sorted(expected.comparable), 0.95) if expected is not None else None
            self.duration_limits[run.run_id] = (expected.high, p95) if expected is not None and p95 else None
        return self.duration_limits[run.run_id]

    def duration_of_others(self, run_id: int) -> Usual:
        """Return what the job's other runs took: no run is its own measure, least of all the one that took too long."""
        if run_id not in self.taken_s:
            return self.duration_s
        return usual_of(taken for other, taken in self.taken_s.items() if other != run_id)

    def phase(self, name: str) -> PhaseBaseline | None:
        """Return a phase's baseline."""
        return next((phase for phase in self.phases if phase.phase == name), None)


NO_BASELINE: Final = JobBaseline()


def quantile(ascending: Sequence[float], share: float) -> float | None:
    """Return the value at or below which `share` (0 to 1) of the ascending values lie, by nearest rank."""
    if not ascending:
        return None
    rank = max(1, -(-int(len(ascending) * share * 1_000) // 1_000))
    return ascending[min(rank, len(ascending)) - 1]


def usual_of(values: Iterable[float | None]) -> Usual:
    """Return what is usual among values; None stands for a run without such a figure."""
    known = sorted(value for value in values if value is not None)
    if len(known) < MINIMUM_RUNS:
        return Usual(runs=len(known))
    return Usual(
        runs=len(known),
        usual=quantile(known, 0.5),
        p95=quantile(known, 0.95),
        low=quantile(known, 0.25),
        high=quantile(known, 0.75),
    )


def baseline_of(
    runs: Sequence[Run],
    phases: Iterable[Phase] = (),
    endpoints: Iterable[EndpointTotals] = (),
    pauses: Mapping[int, Mapping[str, float]] | None = None,
) -> JobBaseline:
    """Return the baseline that completed runs of one job make, newest first; the rest belongs to those runs.

    `pauses` are the longest ones in seconds by run and phase.
    """
    kept = list(runs[:MOST_RUNS])
    if not kept:
        return NO_BASELINE
    ids = {run.run_id for run in kept}
    by_run: dict[int, list[EndpointTotals]] = {}
    for totals in endpoints:
        if totals.run_id in ids:
            by_run.setdefault(totals.run_id, []).append(totals)
    latencies = [_latencies(own) for own in by_run.values()]
    own_phases = [phase for phase in phases if phase.run_id in ids]
    of_runs = [pauses[run_id] for run_id in ids if run_id in pauses] if pauses else []
    peaks: dict[int, float] = {}
    for phase in own_phases:
        if phase.peak_memory_mb is not None:
            peaks[phase.run_id] = max(peaks.get(phase.run_id, 0.0), phase.peak_memory_mb)
    return JobBaseline(
        runs=len(kept),
        duration_s=usual_of(run.duration_s for run in kept),
        taken_s={run.run_id: run.duration_s for run in kept},
        requests=usual_of(run.requests for run in kept),
        items=usual_of(run.items for run in kept),
        errors=usual_of(run.errors for run in kept),
        request_rate=usual_of(
            run.requests / run.duration_s if run.duration_s > 0 and run.requests else None for run in kept
        ),
        throttled_share=usual_of(run.throttled_requests / run.requests for run in kept if run.requests),
        latency_p50_ms=usual_of(histogram.percentile(counts, 0.5) for counts in latencies),
        latency_p95_ms=usual_of(histogram.percentile(counts, 0.95) for counts in latencies),
        memory_mb=usual_of(peaks.values()),
        pauses_s={
            phase: usual_of(own[phase] for own in of_runs if phase in own)
            for phase in dict.fromkeys(phase for own in of_runs for phase in own)
        },
        phases=_phases(own_phases),
        endpoint_p95_ms=_endpoints(by_run.values()),
        completed=CompletedRuns(
            circumstances=tuple(Circumstances(run.started_at, run.tags) for run in reversed(kept)),
            amounts={"seconds": tuple(run.duration_s for run in reversed(kept))},
        ),
    )


def baselines_of_listed(runs: Iterable[Run]) -> Mapping[str, JobBaseline]:
    """Return what the jobs among `runs`, newest first, usually take, until their baselines have been read."""
    taken: dict[str, dict[int, float]] = {}
    for run in runs:
        if run.status == RunStatus.COMPLETED:
            kept = taken.setdefault(run.job, {})
            if len(kept) < MOST_RUNS:
                kept[run.run_id] = run.duration_s
    return {
        job: JobBaseline(runs=len(kept), duration_s=usual_of(kept.values()), taken_s=kept)
        for job, kept in taken.items()
    }


def _latencies(endpoints: Sequence[EndpointTotals]) -> histogram.Latencies:
    return histogram.Latencies(
        histogram.merge(totals.histogram for totals in endpoints),
        max_ms=max(totals.max_ms for totals in endpoints),
        total_ms=sum(totals.duration_ms for totals in endpoints),
    )


def _phases(phases: Iterable[Phase]) -> tuple[PhaseBaseline, ...]:
    durations: dict[str, list[float]] = {}
    positions: dict[str, list[float]] = {}
    for phase in phases:
        positions.setdefault(phase.phase, []).append(phase.position)
        if phase.status == "completed" and phase.started_at is not None and phase.ended_at is not None:
            seconds = (phase.ended_at - phase.started_at).total_seconds()
            durations.setdefault(phase.phase, []).append(max(seconds, 0.0))
    found = [
        PhaseBaseline(
            phase=name,
            position=int(quantile(sorted(places), 0.5) or 0),
            duration_s=usual_of(durations.get(name, ())),
        )
        for name, places in positions.items()
    ]
    return tuple(sorted(found, key=lambda phase: (phase.position, phase.phase)))


def _endpoints(runs: Iterable[Sequence[EndpointTotals]]) -> Mapping[str, Usual]:
    slow: dict[str, list[float | None]] = {}
    for totals in runs:
        for one in totals:
            slow.setdefault(one.endpoint, []).append(histogram.percentile(one.latencies, 0.95))
    return {endpoint: usual_of(values) for endpoint, values in slow.items()}
