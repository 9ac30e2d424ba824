"""One row of the runs table as facts: a run beside its verdict, phase, rates, latencies and baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from etlwatch.analysis.baseline import NO_BASELINE, JobBaseline, Usual, baselines_of_listed
from etlwatch.analysis.findings import Doubt, Finding
from etlwatch.analysis.forecast import Eta, estimate, share_done
from etlwatch.analysis.states import BEHIND, FLAWED, RANKS
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
    """Return the runs that ended badly and whose job has completed a run begun after them.

    One that is incomplete or unusual is made good by a run that is neither.
    """
    given = list(runs)
    last: dict[tuple[str, bool], datetime] = {}
    for run in given:
        for flawed in (
            (True, False) if run.state == "completed" else (False,) if run.status == RunStatus.COMPLETED else ()
        ):
            last[run.job, flawed] = max(run.started_at, last.get((run.job, flawed), run.started_at))
    return frozenset(
        run.run_id
        for run in given
        if run.state in ("failed", *FLAWED)
        and last.get((run.job, run.state in FLAWED), run.started_at) > run.started_at
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
    """Return the verdict on one run; `now` is the store's clock, `findings` are its own, gravest first.

    `doubts` are what a past moment leaves open. `new_error`: no run before had the last error.
    """
    state, since = run.state, run.state_since or run.ended_at or run.started_at
    unsure = "; ".join(doubt.evidence for doubt in doubts)
    note, because = last_line(run.notes), unsure
    if state == "lost":
        silent = f"silent {span((now - run.heartbeat_at).total_seconds())}" if run.heartbeat_at else "silent"
        since = run.heartbeat_at or since
        note, because = findings[0].note if findings else silent, run.evidence
    elif state == "failed":
        note, because = _failure(run, last_error, new=new_error)
    elif state in (*BEHIND, *FLAWED):
        note = findings[0].note if findings else run.evidence
        because = "; ".join(filter(None, (run.evidence, unsure)))
    elif state in ("terminated", "abandoned"):
        note = because = _ending(run)
    elif doubts:
        note = f"{' or '.join(doubt.kind for doubt in doubts)}: unknown"
    made_good = state in ("failed", *FLAWED) and good_again
    shown_as = "completed" if made_good else state
    return Verdict(
        state=state,
        tone=role_of(shown_as),
        rank=RANKS.get(shown_as, RANKS["running"]),
        since=since,
        note=note,
        because=because,
        made_good=made_good,
    )


def last_line(text: str | None) -> str:
    """Return the last line of notes that is not empty."""
    lines = [line for line in (text or "").strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _failure(run: Run, error: ErrorRecord | None, *, new: bool) -> tuple[str, str]:
    """Return the note and the proof of a failure."""
    if error is None:
        return (last_line(run.notes),) * 2
    where = f" in {error.phase}" if error.phase else ""
    message = last_line(error.message)
    note = f"{error.error_type} (new)" if new else error.error_type
    return note, f"{error.error_type}{where}: {message}" if message else f"{error.error_type}{where}"


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


def build_rows(snapshot: Snapshot, *, kept: Mapping[Any, RunRow] | None = None) -> tuple[RunRow, ...]:
    """Return a row for each run of a snapshot, in its order.

    `kept` are the rows of an earlier snapshot: one whose run has ended and was not read again is taken from there,
    so that thousands of them cost a look each. What is usual for a job comes from its listed runs until it was read.
    """
    unread = [run for run in snapshot.runs if run.job not in snapshot.baselines]
    baselines = {**baselines_of_listed(unread), **snapshot.baselines}
    good = made_good(snapshot.runs)
    before = kept or {}
    rows = []
    for run in snapshot.runs:
        row, baseline = before.get(run.run_id), baselines.get(run.job, NO_BASELINE)
        if row is None or not _holds(row, run, snapshot, baseline, made_good=run.run_id in good):
            row = _row(run, snapshot, baseline, made_good=run.run_id in good)
        rows.append(row)
    return tuple(rows)


def _holds(row: RunRow, run: Run, snapshot: Snapshot, baseline: JobBaseline, *, made_good: bool) -> bool:
    """Return whether a row of an ended run is still right; a living one changes with the clock."""
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


def _row(run: Run, snapshot: Snapshot, baseline: JobBaseline, *, made_good: bool) -> RunRow:
    findings, phases = snapshot.findings.get(run.run_id, ()), snapshot.phases.get(run.run_id, ())
    last_error, new_error = snapshot.last_errors.get(run.run_id), run.run_id in snapshot.new_errors
    return RunRow(
        run=run,
        verdict=verdict_of(
            run,
            now=snapshot.at,
            last_error=last_error,
            good_again=made_good,
            findings=findings,
            doubts=snapshot.doubts.get(run.run_id, ()),
            new_error=new_error,
        ),
        phase=phase_now(phases, ended=run.status != RunStatus.RUNNING),
        rates=snapshot.rates.get(run.run_id),
        percentiles=snapshot.percentiles.get(run.run_id),
        baseline=baseline,
        last_error=last_error,
        new_error=new_error,
        findings=findings,
        eta=estimate(run, phases, baseline, now=snapshot.at),
    )
