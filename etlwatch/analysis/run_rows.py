"""One row of the runs table as facts: a run beside its verdict, phase, rates, latencies and baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from etlwatch.analysis.baseline import NO_BASELINE, JobBaseline, Usual, baselines_of_listed
from etlwatch.analysis.forecast import Eta, estimate
from etlwatch.analysis.health import Doubt, Finding
from etlwatch.analysis.states import BEHIND, RANKS
from etlwatch.text.display import role_of
from etlwatch.text.numbers import span
from tracking_core.dataclass import dataclass
from tracking_core.events import SUCCESSFUL_PHASES
from tracking_core.records import ErrorRecord, Phase, PhaseStatus, Run, RunStatus

if TYPE_CHECKING:
    from etlwatch.analysis.snapshot import Percentiles, Rates, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run is shown as."""

    state: str
    tone: str
    """The role of its colour, as in `role_of`."""

    rank: int
    """0 needs somebody most."""

    since: datetime | None = None
    """When the state began, on the store's clock."""

    note: str = ""
    """At most a few words, for the row; raw text from the store may be in it."""

    because: str = ""
    """The proof, in a sentence; raw text from the store may be in it."""

    made_good: bool = False
    """Whether a failure was followed by a success of its job."""

    @property
    def needs_you(self) -> bool:
        """Whether it is dead or behind."""
        return self.tone in ("red", "amber")


def made_good(runs: Iterable[Run]) -> frozenset[int]:
    """Return the runs that ended badly and whose job has completed a run begun after them."""
    given = list(runs)
    last_success: dict[str, datetime] = {}
    for run in given:
        if run.status == RunStatus.COMPLETED:
            known = last_success.get(run.job)
            last_success[run.job] = run.started_at if known is None else max(known, run.started_at)
    return frozenset(
        run.run_id
        for run in given
        if run.status == RunStatus.FAILED and run.job in last_success and last_success[run.job] > run.started_at
    )


def verdict_of(
    run: Run,
    *,
    now: datetime,
    last_error: ErrorRecord | None = None,
    good_again: bool = False,
    findings: Sequence[Finding] = (),
    doubts: Sequence[Doubt] = (),
    new_error: bool = False,
) -> Verdict:
    """Return the verdict on one run; `now` is the store's clock, `findings` prove the run's derived state.

    `doubts` are the states that what is stored of a past moment leaves open. `new_error`: no run before had
    the last error.
    """
    state, tone = run.state, role_of(run.state)
    rank, since = RANKS.get(state, RANKS["running"]), run.state_since or run.ended_at or run.started_at
    unsure = "; ".join(doubt.because for doubt in doubts)
    if state == "lost":
        silent = (now - run.heartbeat_at).total_seconds() if run.heartbeat_at else None
        since = run.heartbeat_at or since
        note = findings[0].note if findings else f"silent {span(silent)}" if silent is not None else "silent"
        because = run.evidence
    elif state == "failed":
        if good_again:
            tone, rank = role_of("completed"), RANKS["completed"]
        note, because = _failure_note(run, last_error, new=new_error), _failure(run, last_error)
    elif state in BEHIND:
        note = findings[0].note if findings else run.evidence
        because = "; ".join(filter(None, (run.evidence, unsure)))
    elif state in ("terminated", "abandoned"):
        note = because = _ending(run)
    else:
        note = f"{' or '.join(doubt.state for doubt in doubts)}: unknown" if doubts else last_line(run.notes)
        because = unsure
    made_good = state == "failed" and good_again
    return Verdict(state=state, tone=tone, rank=rank, since=since, note=note, because=because, made_good=made_good)


def last_line(text: str | None) -> str:
    """Return the last line of notes that is not empty."""
    lines = [line for line in (text or "").strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _failure_note(run: Run, error: ErrorRecord | None, *, new: bool) -> str:
    if error is None:
        return last_line(run.notes)
    return f"{error.error_type} (new)" if new else error.error_type


def _failure(run: Run, error: ErrorRecord | None) -> str:
    if error is None:
        return last_line(run.notes)
    where = f" in {error.phase}" if error.phase else ""
    message = last_line(error.message)
    return f"{error.error_type}{where}: {message}" if message else f"{error.error_type}{where}"


def _ending(run: Run) -> str:
    """Return who ended a run that did not end itself: `SIGTERM`, `closed by ana`, `left without an end`."""
    by = run.ended_by or ""
    kind, _, name = by.partition(" ")
    if kind == "signal":
        return name
    if kind == "person":
        return f"closed by {name}"
    if run.state == "abandoned":
        return "left without an end"
    found = re.search(r"\bSIG[A-Z]+\b", run.notes or "")
    return found.group() if found else last_line(run.notes)


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
