"""What a run looked like at a past moment, from what is stored of it; what was not sampled is unknown, never guessed.

Owns the projection of a run and its phases, as they are read now, back to a moment. Known for certain: what had begun
and ended by then, the requests in closed cells of its series, errors by their time, the last sample of each phase, and
that a run which is silent today was silent then already if its last heartbeat is old enough. Not known: a heartbeat
that was followed by later ones, notes, ledger and source counts of that hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from tracking_core.liveness import judge
from tracking_core.records import Phase, PhaseSample, PhaseStatus, Run, RunStatus, Traffic

__all__ = ["NOTHING_YET", "phases_as_of", "run_as_of"]

NOTHING_YET = Traffic()


def run_as_of(run: Run, moment: datetime, *, traffic: Traffic = NOTHING_YET, errors: int = 0) -> Run:
    """Return a run as it stood at `moment`; one that had ended by then is as it is today, but for late arrivals.

    `traffic` and `errors` are what it had by then. ValueError for a run that had not begun.
    """
    if run.started_at > moment:
        raise ValueError(f"run {run.id} began at {run.started_at.isoformat()}, after {moment.isoformat()}")
    if run.ended_at is not None and run.ended_at <= moment:
        return run
    verdict = judge(
        status=RunStatus.RUNNING,
        # Only the last heartbeat is stored: when it came after the moment, the run lived then.
        heartbeat_at=run.heartbeat_at if run.heartbeat_at and run.heartbeat_at <= moment else None,
        heartbeat_interval_s=run.heartbeat_interval_s,
        now=moment,
    )
    progress = run.progress_at if run.progress_at is not None and run.progress_at <= moment else None
    return replace(
        run,
        status=RunStatus.RUNNING,
        state=verdict.state,
        state_since=verdict.since,
        evidence=verdict.evidence,
        ended_at=None,
        ended_by=None,
        notes=_notes_at_start(run),
        duration_s=(moment - run.started_at).total_seconds(),
        requests=traffic.requests,
        items=traffic.items,
        failed_requests=traffic.failed,
        throttled_requests=traffic.throttled,
        errors=errors,
        progress_at=progress,
        emitted=0,
        dropped=0,
    )


def phases_as_of(phases: Iterable[Phase], samples: Iterable[PhaseSample], moment: datetime) -> tuple[Phase, ...]:
    """Return a run's phases as they stood at `moment`: those to come as pending, counters from the last sample by then.

    A phase whose progress was never sampled keeps its totals and shows no processed count.
    """
    last: Mapping[str, PhaseSample] = {sample.phase: sample for sample in samples}
    return tuple(_phase_as_of(phase, last.get(phase.phase), moment) for phase in phases)


def _phase_as_of(phase: Phase, sample: PhaseSample | None, moment: datetime) -> Phase:
    if phase.ended_at is not None and phase.ended_at <= moment:
        return phase
    # A phase that was begun again carries its latest start; a sample proves that it had begun before.
    begun = sample is not None or (phase.started_at is not None and phase.started_at <= moment)
    processed = sample.processed if sample is not None else {}
    counters = {
        unit: {
            **({"total": counts["total"]} if begun and "total" in counts else {}),
            **({"processed": processed[unit]} if unit in processed else {}),
        }
        for unit, counts in phase.counters.items()
    }
    return replace(
        phase,
        status=PhaseStatus.RUNNING if begun else PhaseStatus.PENDING,
        started_at=phase.started_at if phase.started_at is not None and phase.started_at <= moment else None,
        ended_at=None,
        counters={unit: counts for unit, counts in counters.items() if counts},
        memory_mb=sample.memory_mb if sample is not None else None,
        # The peak is kept for the whole phase alone: whether it had been reached by then nobody knows.
        peak_memory_mb=None,
    )


def _notes_at_start(run: Run) -> str | None:
    """Return the notes without what an end or a close appended: its first line, which may have been there then."""
    return run.notes.splitlines()[0] if run.notes else run.notes
