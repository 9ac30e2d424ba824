"""The histories of jobs, read from the store and kept until something changes; and statistics of a stretch of time.

Contains which questions a job's line needs and when they are asked again. A job costs two or three short questions;
it is read again when a run of it has begun or ended among the runs at hand, and after a while in any case.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, TypeVar

from etlwatch.analysis.baseline import MOST_RUNS, baseline_of
from etlwatch.analysis.checks import JobCheck, check_job
from etlwatch.analysis.filter import matches_job
from etlwatch.analysis.jobs import RUNS_SHOWN, JobHistory, JobRow, build_job, history_of
from etlwatch.reading.health import read_baselines
from tracking_core.dataclass import dataclass
from tracking_core.records import Run, RunOutline, RunStatus
from tracking_core.store.queries import Reader

if TYPE_CHECKING:
    from etlwatch.analysis.series import Stats

JOBS_AT_ONCE: Final = 20
"""Histories read at once, between two looks at the clock."""

MOST_JOBS: Final = 1_000
"""Jobs whose histories a dashboard keeps: thirty runs each, tens of megabytes together."""

NAMES_HOLD_S: Final = 30.0
"""How often the names of all jobs are asked for: those of the runs at hand are known anyway."""

HOLDS_S: Final = 600.0
WEEK_AND_A_DAY: Final = timedelta(days=8)
STARTS_AT_MOST: Final = 200
"""Beginnings read of a job whose shown runs do not cover a week: whether it rests at night, or at the weekend."""


def read_histories(
    reader: Reader, jobs: Collection[str], zone: tzinfo | None = None, *, often: bool = True
) -> dict[str, JobHistory]:
    """Return the histories of jobs; raises the reader's StoreError.

    Without `often` the beginnings of a job that begins often are those of its shown runs; see `read_rows`.
    """
    runs = reader.runs_of_jobs(jobs, RUNS_SHOWN)
    completed = {job: [run for run in own if run.status == RunStatus.COMPLETED] for job, own in runs.items()}
    older = [job for job, own in runs.items() if len(own) == RUNS_SHOWN and len(completed[job]) < MOST_RUNS]
    baselines = {job: baseline_of(own) for job, own in completed.items()}
    baselines |= read_baselines(reader, older, in_full=False)
    starts = {job: [run.started_at for run in own] for job, own in runs.items()}
    if often:
        starts |= _more_starts(reader, [job for job, own in starts.items() if _begins_often(own)])
    return {
        job: history_of(job, own, baseline=baselines[job], starts=starts[job], zone=zone) for job, own in runs.items()
    }


def read_rows(
    reader: Reader,
    jobs: Collection[str],
    living: Mapping[int, Run],
    *,
    now: datetime,
    zone: tzinfo | None = None,
) -> list[JobRow]:
    """Return the rows of jobs that have runs; whether a job pauses at these hours is read of those that are late."""
    histories = read_histories(reader, jobs, zone, often=False)
    rows = {job: build_job(own, now=now, living=living, zone=zone) for job, own in histories.items() if own.runs}
    late = [job for job, row in rows.items() if _begins_often(histories[job].starts) and _hangs_on_more(row)]
    for job, starts in _more_starts(reader, late).items():
        history = histories[job]
        fuller = history_of(job, history.runs, baseline=history.baseline, starts=starts, zone=zone)
        rows[job] = build_job(fuller, now=now, living=living, zone=zone)
    return list(rows.values())


def read_job_checks(
    reader: Reader, jobs: Collection[str], living: Collection[int], *, now: datetime, zone: tzinfo | None = None
) -> list[JobCheck]:
    """Return what a check looks at of jobs that have runs; `living` are the ids of runs that go on."""
    runs = {job: own for job, own in reader.outlines_of_jobs(jobs, RUNS_SHOWN).items() if own}

    def checked(job: str, starts: Iterable[datetime] | None = None) -> JobCheck:
        alive = any(run.run_id in living for run in runs[job])
        return check_job(runs[job], alive=alive, now=now, zone=zone, starts=starts)

    checks = {job: checked(job) for job in runs}
    starts = {job: [run.started_at for run in own] for job, own in runs.items()}
    late = [
        job
        for job, own in starts.items()
        if _begins_often(own) and (checks[job].overdue_s is not None or len({*own}) < len(own))
    ]
    return [*(checks | {job: checked(job, more) for job, more in _more_starts(reader, late).items()}).values()]


def jobs_named(reader: Reader, patterns: Collection[str]) -> list[str]:
    """Return the jobs that have runs and are meant by names or patterns; all of them without any."""
    return [job for job in reader.job_names() if matches_job(job, patterns)]


def _begins_often(starts: Sequence[datetime]) -> bool:
    return len(starts) == RUNS_SHOWN and max(starts) - min(starts) < WEEK_AND_A_DAY


def _hangs_on_more(row: JobRow) -> bool:
    """Return whether earlier beginnings may change a row: it is late by an interval, or runs began at the same time."""
    return row.overdue_s is not None or len({run.started_at for run in row.runs}) < len(row.runs)


def _more_starts(reader: Reader, jobs: Collection[str]) -> dict[str, list[datetime]]:
    outlines = reader.outlines_of_jobs(jobs, STARTS_AT_MOST)
    return {job: [run.started_at for run in own] for job, own in outlines.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptHistory:
    """A history as it was read."""

    history: JobHistory
    stamp: tuple[object, ...]
    """What the job's newest run at hand was like then."""

    read_at: float


class JobHistoryCache:
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
        self._histories: dict[str, _KeptHistory] = {}
        self._names: tuple[str, ...] = ()
        self._names_at: float | None = None

    def read(self, reader: Reader, runs: Iterable[Run]) -> tuple[JobHistory, ...]:
        """Return the histories of all jobs that have been read by now; `runs` are the newest ones of the store.

        Raises the reader's StoreError.
        """
        began = self._monotonic()
        stamps = _stamps(runs)
        names = self._all_names(reader, stamps, began)
        listed = frozenset(names)
        self._histories = {job: kept for job, kept in self._histories.items() if job in listed}
        stale = [job for job in names if self._is_stale(job, stamps.get(job, ()), began)]
        while stale:
            some, stale = stale[:JOBS_AT_ONCE], stale[JOBS_AT_ONCE:]
            for job, history in read_histories(reader, some, self._zone).items():
                self._histories[job] = _KeptHistory(history=history, stamp=stamps.get(job, ()), read_at=began)
            if self._budget_s is not None and self._monotonic() - began >= self._budget_s:
                break
        return tuple(kept.history for kept in self._histories.values() if kept.history.runs)

    @property
    def complete(self) -> bool:
        """Whether every job has been read, or as many as are kept."""
        return len(self._histories) >= min(len(self._names), MOST_JOBS)

    @property
    def there_are(self) -> int:
        """How many jobs have runs."""
        return len(self._names)

    def _all_names(self, reader: Reader, stamps: Iterable[str], at: float) -> Sequence[str]:
        """Return the jobs, those of the runs at hand first: they are the ones somebody looks for."""
        if self._names_at is None or at - self._names_at >= NAMES_HOLD_S:
            self._names, self._names_at = tuple(reader.job_names()), at
        self._names = tuple(dict.fromkeys((*stamps, *self._names)))
        return self._names[:MOST_JOBS]

    def _is_stale(self, job: str, stamp: tuple[object, ...], at: float) -> bool:
        kept = self._histories.get(job)
        # A job whose runs are all beyond those at hand has no stamp, and no new run either.
        return kept is None or at - kept.read_at >= HOLDS_S or (bool(stamp) and kept.stamp != stamp)


def _stamps(runs: Iterable[Run]) -> dict[str, tuple[object, ...]]:
    """Return of each job, from the runs at hand: which began last, which ended last, how many live."""
    return {
        job: (
            max(run.run_id for run in own),
            max((run.ended_at for run in own if run.ended_at is not None), default=None),
            sum(run.status == RunStatus.RUNNING for run in own),
        )
        for job, own in _by_job(runs).items()
    }


FINEST_S: Final = 10


def read_stats(reader: Reader, window: timedelta, step_s: int, takes: Callable[[str], bool] | None = None) -> Stats:
    """Return the statistics of the window before now; of all runs, or of the jobs that `takes` takes.

    No raw request is read: all runs together come from their common series, jobs from the series of their runs. Raises
    the reader's StoreError.
    """
    from etlwatch.analysis.series import job_stats, stats_of

    with reader.one_view():
        until = reader.now()
        since = until - window
        names = None if takes is None else [job for job in reader.job_names() if takes(job)]
        ended, living = _by_job(reader.outlines_since(since, names)), _by_job(reader.live_runs())
        jobs = sorted(ended.keys() | living.keys())
        if takes is not None:
            jobs = [job for job in jobs if takes(job)]
        own = {job: [run.run_id for run in (*ended.get(job, ()), *living.get(job, ())) if run.requests] for job in jobs}
        first, last = math.ceil(since.timestamp()), int(until.timestamp())
        series = reader.series_of_jobs(own, first, last + 1, step=None if takes is None else FINEST_S)
        if takes is None:
            # Runs that were removed since are still in the common series.
            finest = FINEST_S if window <= timedelta(hours=2) else 60
            cells = reader.throughput(int(since.timestamp()) // finest * finest, last + 1, finest)
        else:
            cells = [cell for job in jobs for cell in series[job]]
    found = [
        job_stats(job, ended.get(job, ()), living.get(job, ()), series[job], since=since, until=until) for job in jobs
    ]
    return stats_of(cells, found, since=since, until=until, step_s=step_s)


_OfJob = TypeVar("_OfJob", Run, RunOutline)


def _by_job(runs: Iterable[_OfJob]) -> dict[str, list[_OfJob]]:
    found: dict[str, list[_OfJob]] = {}
    for run in runs:
        found.setdefault(run.job, []).append(run)
    return found
