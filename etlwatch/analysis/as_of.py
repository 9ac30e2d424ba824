"""What a run looked like at a past moment, from what is stored of it; what was not sampled is unknown, never guessed.

Known for certain: what had begun and ended by then, the requests in closed cells of its series, errors by their time,
the last sample of each phase, and that a run which is silent today was silent then already if its last heartbeat is
old enough. Not known: a silence that ended again, notes, delivery, endpoints and memory peaks of that hour. What is
derived from both is in `etlwatch.analysis.health`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from tracking_core.clock import from_microseconds
from tracking_core.dataclass import dataclass, field, fields, replace
from tracking_core.liveness import liveness_of
from tracking_core.records import Phase, PhaseSample, PhaseStatus, Run, RunStatus, SeriesCell, Traffic

KEPT_FOR_WHOLE_RUNS: Final[Mapping[str, str]] = {
    "endpoints": "not known for then: requests by endpoint are kept for whole runs only",
    "delivery": "not known for then: the ledger is kept for whole runs only",
    "pages": "unknown",
}
"""What is stored of a run as a whole alone, not as it stood while the run went on; and the texts for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is stored of a run up to a moment."""

    until: int = 0
    """The moment, in whole seconds since 1970-01-01Z."""

    traffic: Traffic = field(default_factory=Traffic)
    """All requests in cells that had closed."""

    cells: tuple[SeriesCell, ...] = ()
    """The latest cells that had begun, ascending."""

    since: int = 0
    """From where on these are all there are; seconds since 1970-01-01Z."""

    samples: tuple[PhaseSample, ...] = ()
    """The last samples of each phase whose buckets had begun, ascending."""

    errors: int = 0
    last_error_at: datetime | None = None

    @property
    def closed(self) -> tuple[SeriesCell, ...]:
        """The cells that had closed: all that is in them had happened."""
        return tuple(cell for cell in self.cells if cell.bucket + cell.width <= self.until)

    @property
    def open(self) -> tuple[SeriesCell, ...]:
        """The cells that were being filled: some of what is in them came later, and how much is unknown."""
        return tuple(cell for cell in self.cells if cell.bucket + cell.width > self.until)


NOTHING_STORED: Final = Stored()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAsOf(Run):
    """A run at a past moment after which it went on, and between which bounds what is not known of it lies."""

    series_until: int
    """Where the known part of its series ends, seconds since 1970-01-01Z."""

    open_cells: tuple[SeriesCell, ...] = ()
    """The cells that were being filled."""

    moved_from: datetime
    """The earliest moment of its last progress."""

    moved_by: datetime
    """The latest one."""


def just_after(moment: datetime) -> datetime:
    """Return the next instant: before it is what had happened by the moment, the moment itself included."""
    return moment + timedelta(microseconds=1)


def unknown_of(run: Run, counted_later: Collection[str] = ()) -> Mapping[str, str]:
    """Return what is not known of a run, and why; nothing for a run as it is now or as it ended.

    `counted_later` are the entities that it counted after the moment: only the latest count of each is stored.
    """
    unknown = KEPT_FOR_WHOLE_RUNS if isinstance(run, RunAsOf) else {}
    if not counted_later:
        return unknown
    return {**unknown, "source_counts": f"not known for then: counted later, or again: {', '.join(counted_later)}"}


def went_on(run: Run, moment: datetime) -> bool:
    """Return whether a run had not ended by a moment."""
    return run.ended_at is None or run.ended_at > moment


def run_as_of(
    run: Run, moment: datetime, stored: Stored = NOTHING_STORED, moved: tuple[datetime, datetime] | None = None
) -> Run:
    """Return a run as it stood at `moment`; one that had ended by then is as it is today, but for late arrivals.

    `moved` bounds its last progress, as `last_progress` does. ValueError for a run that had not begun.
    """
    if run.started_at > moment:
        raise ValueError(f"run {run.id} began at {run.started_at.isoformat()}, after {moment.isoformat()}")
    if not went_on(run, moment):
        return run
    liveness = liveness_of(
        status=RunStatus.RUNNING,
        # Only the last heartbeat is stored: when it came after the moment, the run lived then.
        heartbeat_at=run.heartbeat_at if run.heartbeat_at and run.heartbeat_at <= moment else None,
        heartbeat_interval_s=run.heartbeat_interval_s,
        now=moment,
    )
    moved_from, moved_by = moved or last_progress(run, (), stored, moment)
    as_it_is = {each.name: getattr(run, each.name) for each in fields(run)}
    then = {
        "status": RunStatus.RUNNING,
        "state": liveness.state,
        "state_since": liveness.since,
        "evidence": liveness.evidence,
        "ended_at": None,
        "ended_by": None,
        # What an end or a close appended is left out: the first line may have been there then.
        "notes": run.notes.splitlines()[0] if run.notes else run.notes,
        "duration_s": (moment - run.started_at).total_seconds(),
        "requests": stored.traffic.requests,
        "items": stored.traffic.items,
        "failed_requests": stored.traffic.failed,
        "throttled_requests": stored.traffic.throttled,
        "errors": stored.errors,
        "progress_at": run.progress_at if run.progress_at is not None and run.progress_at <= moment else None,
        "emitted": 0,
        "dropped": 0,
    }
    return RunAsOf(
        **(as_it_is | then),
        series_until=min((cell.bucket for cell in stored.open), default=stored.until),
        open_cells=stored.open,
        moved_from=moved_from,
        moved_by=moved_by,
    )


def last_progress(
    run: Run, phases: Iterable[Phase], stored: Stored, moment: datetime, counted_at: Iterable[datetime] = ()
) -> tuple[datetime, datetime]:
    """Return between which two moments a run recorded the last thing by `moment`.

    `counted_at`: when its sources were counted.
    """
    if run.progress_at is not None and run.progress_at <= moment:
        return run.progress_at, run.progress_at
    recorded = [run.started_at, stored.last_error_at, *counted_at, *(sample.at for sample in stored.samples)]
    recorded += [at for phase in phases for at in (phase.started_at, phase.ended_at)]
    earliest = latest = max(at for at in recorded if at is not None and at <= moment)
    busy = [cell for cell in stored.cells if cell.requests]
    for cell in busy:
        if cell.bucket + cell.width <= stored.until:
            earliest = max(earliest, at_second(cell.bucket))
        latest = max(latest, min(at_second(cell.bucket + cell.width), moment))
    # A sample that was renewed after the moment hides what was recorded earlier in its bucket.
    if any(sample.at > moment for sample in stored.samples):
        latest = moment
    if not busy and stored.traffic.requests:
        latest = max(latest, at_second(stored.since))
    return earliest, latest


def at_second(second: int) -> datetime:
    """Return the moment that is so many seconds after 1970-01-01Z."""
    return from_microseconds(second * 1_000_000)


def phases_as_of(phases: Iterable[Phase], samples: Iterable[PhaseSample], moment: datetime) -> tuple[Phase, ...]:
    """Return a run's phases as they stood at `moment`: those to come as pending, counters from the last sample by then.

    `samples` ascend. A phase whose progress was never sampled keeps its totals and shows no processed count.
    """
    last: Mapping[str, PhaseSample] = {sample.phase: sample for sample in samples if sample.at <= moment}
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
        # The peak is kept for the whole phase alone: whether it had been reached by then is unknown.
        peak_memory_mb=None,
    )
