"""The histories of jobs, read from the store and remembered until something changes.

Owns which questions a job's line needs and when they are asked again. Refuses to own what follows from the answers
(`etlwatch.model.jobs`). A job costs two or three short questions; it is read again when a run of it has begun or ended
among the runs at hand, and after a while in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from etlwatch.judging import read_past
from etlwatch.model.as_of import just_after, run_as_of
from etlwatch.model.jobs import RUNS_SHOWN, JobHistory, history_of
from etlwatch.model.past import MOST_RUNS, past_of
from tracking_core.records import Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["JOBS_AT_MOST", "JobsGatherer", "read_history"]

JOBS_AT_MOST: Final = 1_000
NAMES_HOLD_S: Final = 30.0
"""How often the names of all jobs are asked for: those of the runs at hand are known anyway."""

HOLDS_S: Final = 600.0
WEEK_AND_A_DAY: Final = timedelta(days=8)
STARTS_AT_MOST: Final = 200
"""Beginnings read of a job whose shown runs do not cover a week: whether it rests at night, or at the weekend."""


def read_history(reader: Reader, job: str, zone: tzinfo | None = None, *, moment: datetime | None = None) -> JobHistory:
    """Return the history of a job, as it stood at a past moment if one is given; raises the reader's StoreError."""
    before = just_after(moment) if moment is not None else None
    runs = reader.runs_of_job(job, RUNS_SHOWN, before=before)
    if moment is not None:
        runs = [run_as_of(run, moment) for run in runs]
    completed = [run for run in runs if run.status == RunStatus.COMPLETED]
    all_read = len(runs) < RUNS_SHOWN or len(completed) >= MOST_RUNS
    past = past_of(completed) if all_read else read_past(reader, job, completed_by=moment, in_full=False)
    starts = [run.started_at for run in runs]
    if len(runs) == RUNS_SHOWN and starts[0] - starts[-1] < WEEK_AND_A_DAY:
        starts = [run.started_at for run in reader.runs_of_job(job, STARTS_AT_MOST, before=before)]
    return history_of(job, runs, past=past, starts=starts, zone=zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A history as it was read."""

    history: JobHistory
    stamp: tuple[object, ...]
    """What the job's newest run at hand was like then."""

    read_at: float


class JobsGatherer:
    """Keep the histories of all jobs. Not thread-safe: one poller owns it."""

    def __init__(
        self,
        *,
        zone: tzinfo | None = None,
        budget_s: float | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `budget_s` bounds the reading in one call, None reads all that is missing."""
        self._zone = zone
        self._budget_s = budget_s
        self._monotonic = monotonic
        self.forget()

    def forget(self) -> None:
        """Forget every answer."""
        self._known: dict[str, _Known] = {}
        self._names: tuple[str, ...] = ()
        self._names_at: float | None = None

    def read(self, reader: Reader, runs: Iterable[Run]) -> tuple[JobHistory, ...]:
        """Return the histories of all jobs that have been read by now; `runs` are the newest ones of the store.

        Raises the reader's StoreError.
        """
        began = self._monotonic()
        stamps = _stamps(runs)
        names = self._all_names(reader, stamps, began)
        self._known = {job: known for job, known in self._known.items() if job in names}
        for job in names:
            if not self._is_stale(job, stamps.get(job, ()), began):
                continue
            history = read_history(reader, job, self._zone)
            self._known[job] = _Known(history=history, stamp=stamps.get(job, ()), read_at=began)
            if self._budget_s is not None and self._monotonic() - began >= self._budget_s:
                break
        return tuple(known.history for known in self._known.values() if known.history.runs)

    @property
    def complete(self) -> bool:
        """Whether every job has been read."""
        return len(self._known) >= len(self._names)

    def _all_names(self, reader: Reader, stamps: Iterable[str], at: float) -> Sequence[str]:
        """Return the jobs, those of the runs at hand first: they are the ones somebody looks for."""
        if self._names_at is None or at - self._names_at >= NAMES_HOLD_S:
            self._names, self._names_at = tuple(reader.job_names(JOBS_AT_MOST)), at
        self._names = tuple(dict.fromkeys((*stamps, *self._names)))[:JOBS_AT_MOST]
        return self._names

    def _is_stale(self, job: str, stamp: tuple[object, ...], at: float) -> bool:
        known = self._known.get(job)
        # A job whose runs are all beyond those at hand has no stamp, and no new run either.
        return known is None or at - known.read_at >= HOLDS_S or (bool(stamp) and known.stamp != stamp)


def _stamps(runs: Iterable[Run]) -> dict[str, tuple[object, ...]]:
    """Return what the runs at hand say of each job: which began last, which ended last, how many live."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.job, []).append(run)
    return {
        job: (
            max(run.run_id for run in own),
            max((run.ended_at for run in own if run.ended_at is not None), default=None),
            sum(run.status == RunStatus.RUNNING for run in own),
        )
        for job, own in found.items()
    }
