"""What is asked of a store for the statistics of a stretch of time: all runs together, or those of some jobs.

Contains these questions. No raw request is read: all runs together come from their common series, jobs from the
series of their runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final, TypeVar

from etlwatch.analysis.series import Stats, job_stats, stats_of
from tracking_core.records import Run, RunOutline
from tracking_core.store.queries import Reader

FINEST_S: Final = 10


def read_stats(reader: Reader, window: timedelta, step_s: int, takes: Callable[[str], bool] | None = None) -> Stats:
    """Return the statistics of the window before now; of all runs, or of the jobs that `takes` takes.

    Raises the reader's StoreError.
    """
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
