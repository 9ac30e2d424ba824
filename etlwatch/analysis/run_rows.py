"""One row of the runs table as facts: a run beside its phase, rates, latencies, baseline and verdict.

Contains the joining of a snapshot's parts by run and what follows from them (the phase that matters, how far it is).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from etlwatch.analysis.baseline import NO_BASELINE, JobBaseline, Usual, baselines_of_listed
from etlwatch.analysis.forecast import Eta, estimate
from etlwatch.analysis.health import Finding
from etlwatch.analysis.verdict import Verdict, made_good, verdict_of
from tracking_core.dataclass import dataclass
from tracking_core.events import SUCCESSFUL_PHASES
from tracking_core.records import ErrorRecord, Phase, PhaseStatus, Run, RunStatus

if TYPE_CHECKING:
    from etlwatch.analysis.snapshot import Percentiles, Rates, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseNow:
    """Where a run stands among its phases."""

    position: int
    count: int
    name: str
    """'' when all of them are done."""

    share: float | None = None
    """How much of it is done, 1.0 for all; None without a total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """All that a row and its pane show of a run."""

    run: Run
    verdict: Verdict
    phase: PhaseNow | None = None
    rates: Rates | None = None
    percentiles: Percentiles | None = None
    baseline: JobBaseline = NO_BASELINE
    """What is usual for its job, as far as it is known."""

    last_error: ErrorRecord | None = None
    new_error: bool = False
    """Whether it failed with an error that no run before it had."""

    findings: tuple[Finding, ...] = ()
    """All that proves it lost or behind, gravest first."""

    eta: Eta | None = None
    """When it is expected to end; None where that cannot be estimated."""

    @property
    def live(self) -> bool:
        """Whether its stored state is running."""
        return self.run.status == "running"

    @property
    def trouble(self) -> int:
        """Errors recorded and requests failed: the `err` column."""
        return self.run.errors + self.run.failed_requests

    @property
    def ratio(self) -> float | None:
        """Duration over the p95 of the job's other runs; None without one."""
        return self.usual_duration.ratio(self.run.duration_s)

    @property
    def usual_duration(self) -> Usual:
        """What the job's other runs take, in seconds."""
        return self.baseline.duration_of_others(self.run.run_id)


def share_done(phase: Phase) -> float | None:
    """Return how much of a phase is done, by its unit with the greatest total; None when no unit has one.

    Not clamped: a job that underestimated its work is shown beyond 100 %.
    """
    best = max(phase.counters.values(), key=lambda counter: counter.get("total") or 0, default=None)
    total = (best or {}).get("total") or 0
    return (best or {}).get("processed", 0) / total if total > 0 else None


def phase_now(phases: Sequence[Phase], *, ended: bool) -> PhaseNow | None:
    """Return the phase a run is in, or the one it ended in; None for a run without phases."""
    if not phases:
        return None
    ordered = sorted(phases, key=lambda phase: phase.position)
    count = max(len(ordered), ordered[-1].position)
    unfinished = [phase for phase in ordered if phase.status in (PhaseStatus.RUNNING, PhaseStatus.FAILED)]
    begun = [phase for phase in ordered if phase.status != PhaseStatus.PENDING]
    if not unfinished and (ended or not begun) and len(begun) == len(ordered):
        return PhaseNow(position=len(ordered), count=count, name="")
    phase = unfinished[-1] if unfinished else begun[-1] if begun else ordered[0]
    share = None if phase.status in SUCCESSFUL_PHASES else share_done(phase)
    return PhaseNow(position=ordered.index(phase) + 1, count=count, name=phase.phase, share=share)


def build_rows(
    snapshot: Snapshot,
    baselines: Mapping[str, JobBaseline] | None = None,
    *,
    kept: Mapping[Any, RunRow] | None = None,
) -> tuple[RunRow, ...]:
    """Return a row for each run of a snapshot, in its order; baselines are taken from its own runs when none are given.

    `kept` are the rows of an earlier snapshot: one whose run has ended and was not read again is taken from there,
    so that thousands of them cost a look each.
    """
    known = _baselines(snapshot) if baselines is None else baselines
    good = made_good(snapshot.runs)
    before = kept or {}
    rows = []
    for run in snapshot.runs:
        row = before.get(run.run_id)
        if row is None or not _holds(row, run, snapshot, known, made_good=run.run_id in good):
            row = _row(run, snapshot, known, made_good=run.run_id in good)
        rows.append(row)
    return tuple(rows)


def _holds(row: RunRow, run: Run, snapshot: Snapshot, baselines: Mapping[str, JobBaseline], *, made_good: bool) -> bool:
    """Return whether a row of an ended run is still right; a living one changes with the clock."""
    baseline = baselines.get(run.job, NO_BASELINE)
    return (
        row.run is run
        and run.status != RunStatus.RUNNING
        and row.verdict.made_good == made_good
        and row.percentiles is snapshot.percentiles.get(run.run_id)
        and row.last_error is snapshot.last_errors.get(run.run_id)
        and row.new_error == (run.run_id in snapshot.new_errors)
        # One that was read stays the same object; to compare thousands of them field by field would cost.
        and (row.baseline is baseline or row.baseline == baseline)
    )


def _row(run: Run, snapshot: Snapshot, baselines: Mapping[str, JobBaseline], *, made_good: bool) -> RunRow:
    return RunRow(
        run=run,
        verdict=verdict_of(
            run,
            now=snapshot.at,
            last_error=snapshot.last_errors.get(run.run_id),
            good_again=made_good,
            findings=snapshot.findings.get(run.run_id, ()),
            doubts=snapshot.doubts.get(run.run_id, ()),
            new_error=run.run_id in snapshot.new_errors,
        ),
        phase=phase_now(snapshot.phases.get(run.run_id, ()), ended=run.status != "running"),
        rates=snapshot.rates.get(run.run_id),
        percentiles=snapshot.percentiles.get(run.run_id),
        baseline=baselines.get(run.job, NO_BASELINE),
        last_error=snapshot.last_errors.get(run.run_id),
        new_error=run.run_id in snapshot.new_errors,
        findings=snapshot.findings.get(run.run_id, ()),
        eta=_eta(run, snapshot, baselines.get(run.job, NO_BASELINE)),
    )


def _baselines(snapshot: Snapshot) -> Mapping[str, JobBaseline]:
    """Return what the jobs usually take: as it was read, and until then from the listed runs."""
    unread = [run for run in snapshot.runs if run.job not in snapshot.baselines]
    return {**baselines_of_listed(unread), **snapshot.baselines}


def _eta(run: Run, snapshot: Snapshot, baseline: JobBaseline) -> Eta | None:
    """Return when a living run is expected to end, from its phases and its job's baseline."""
    if run.status != RunStatus.RUNNING:
        return None
    phases = snapshot.phases.get(run.run_id, ())
    return estimate(run, phases, baseline, now=snapshot.at)
