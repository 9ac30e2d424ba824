"""What a run looked like at a past moment, from what is stored of it; what was not sampled is unknown, never guessed.

Contains the projection of a run and its phases, as they are read now, back to a moment, and the word for what cannot
be projected. Known for certain: what had begun and ended by then, the requests in closed cells of its series, errors
by their time, the last sample of each phase, and that a run which is silent today was silent then already if its last
heartbeat is old enough. Not known: a silence that ended again, notes, delivery, endpoints and memory peaks of that
hour. Verdicts follow from this in `etlwatch.analysis.health_as_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.series import percentiles_of
from etlwatch.analysis.snapshot import Percentiles, Rates
from tracking_core.dataclass import dataclass, field, replace
from tracking_core.histogram import merge
from tracking_core.liveness import liveness_of
from tracking_core.records import Phase, PhaseSample, PhaseStatus, Run, RunStatus, SeriesCell, Traffic

__all__ = ["KEPT_FOR_WHOLE_RUNS", "NOTHING_YET", "Stored", "just_after", "phases_as_of", "run_as_of"]

RATE_S: Final = 120
"""Over how many seconds before the moment a rate is taken: two of the widest cells."""

KEPT_FOR_WHOLE_RUNS: Final[Mapping[str, str]] = {
    "endpoints": "not known for then: requests by endpoint are kept for whole runs only",
    "delivery": "not known for then: the ledger is kept for whole runs only",
    "pages": "unknown",
}
"""What is stored of a run as a whole alone, so that nobody knows how it stood while the run went on; and the words."""


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
    counted_at: tuple[datetime, ...] = ()
    """When the source was counted by then, as far as it was asked for."""

    @property
    def closed(self) -> tuple[SeriesCell, ...]:
        """The cells that had closed: all that is in them had happened."""
        return tuple(cell for cell in self.cells if cell.bucket + cell.width <= self.until)

    @property
    def open(self) -> tuple[SeriesCell, ...]:
        """The cells that were being filled: of what is in them some came later, and nobody knows how much."""
        return tuple(cell for cell in self.cells if cell.bucket + cell.width > self.until)

    @property
    def closed_until(self) -> int:
        """Where the known part of its series ends, seconds since 1970-01-01Z."""
        return min((cell.bucket for cell in self.open), default=self.until)

    @property
    def percentiles(self) -> Percentiles | None:
        """Its latencies by then; None where its series was not read from its beginning."""
        if sum(cell.requests for cell in self.closed) != self.traffic.requests:
            return None
        return percentiles_of(merge(cell.histogram for cell in self.closed))

    def rates(self, began: datetime) -> Rates:
        """Return what it did in the last closed cells before the moment, per second."""
        end = self.closed_until
        begin = max(end - RATE_S, int(began.timestamp()))
        lately = [cell for cell in self.closed if cell.bucket + cell.width > begin]
        seconds = max(end - begin, 1)
        return Rates(
            requests=sum(cell.requests for cell in lately) / seconds, items=sum(cell.items for cell in lately) / seconds
        )


NOTHING_YET: Final = Stored()


def just_after(moment: datetime) -> datetime:
    """Return the next instant: before it is what had happened by the moment, the moment itself included."""
    return moment + timedelta(microseconds=1)


def run_as_of(run: Run, moment: datetime, stored: Stored = NOTHING_YET) -> Run:
    """Return a run as it stood at `moment`; one that had ended by then is as it is today, but for late arrivals.

    ValueError for a run that had not begun.
    """
    if run.started_at > moment:
        raise ValueError(f"run {run.id} began at {run.started_at.isoformat()}, after {moment.isoformat()}")
    if run.ended_at is not None and run.ended_at <= moment:
        return run
    verdict = liveness_of(
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
        requests=stored.traffic.requests,
        items=stored.traffic.items,
        failed_requests=stored.traffic.failed,
        throttled_requests=stored.traffic.throttled,
        errors=stored.errors,
        progress_at=progress,
        emitted=0,
        dropped=0,
    )


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
        # The peak is kept for the whole phase alone: whether it had been reached by then nobody knows.
        peak_memory_mb=None,
    )


def _notes_at_start(run: Run) -> str | None:
    """Return the notes without what an end or a close appended: its first line, which may have been there then."""
    return run.notes.splitlines()[0] if run.notes else run.notes
