"""What is asked of a store for the statistics of a stretch of time: all runs together, or those of some jobs.

Owns these questions. Refuses to own the adding up (`etlwatch.model.stats`). No raw request is read: all runs together
come from their common series, jobs from the series of their runs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from etlwatch.model.stats import Stats, job_stats, stats_of
from tracking_core.records import Run, SeriesCell
from tracking_core.store.base import Reader

__all__ = ["read_stats"]

PAGE: Final = 200
PAGES: Final = 50
"""Pages of runs of one job that are read at most."""

FINEST_S: Final = 10
JOBS_AT_MOST: Final = 1_000


def read_stats(reader: Reader, window: timedelta, step_s: int, takes: Callable[[str], bool] | None = None) -> Stats:
    """Return the statistics of the window before now; of all runs, or of the jobs that `takes` takes.

    Raises the reader's StoreError.
    """
    with reader.one_view():
        until = reader.now()
        since = until - window
        jobs, cells = [], []
        for job in reader.job_names(JOBS_AT_MOST):
            if takes is not None and not takes(job):
                continue
            runs = _reaching_into(reader, job, since)
            own = _cells(reader, runs, since)
            cells += own
            if runs:
                jobs.append(job_stats(job, runs, own, since=since, until=until))
        if takes is None:
            # Runs that were removed since are still in the common series.
            finest = FINEST_S if window <= timedelta(hours=2) else 60
            cells = reader.throughput(int(since.timestamp()) // finest * finest, int(until.timestamp()) + 1, finest)
    return stats_of(cells, jobs, since=since, until=until, step_s=step_s)


def _reaching_into(reader: Reader, job: str, since: datetime) -> list[Run]:
    """Return the runs of a job that reach into the time after a moment: newest first, until a page holds none."""
    found: list[Run] = []
    before: datetime | None = None
    for _ in range(PAGES):
        page = reader.runs_of_job(job, PAGE, before=before)
        reaching = [run for run in page if run.ended_at is None or run.ended_at >= since]
        found += reaching
        if len(page) < PAGE or not reaching:
            break
        before = page[-1].started_at
    return found


def _cells(reader: Reader, runs: list[Run], since: datetime) -> list[SeriesCell]:
    # The widest cells of a run are a minute: one that began before the stretch may reach into it.
    first = int(since.timestamp()) - 60
    series = reader.series_of_runs([run.run_id for run in runs if run.requests], first)
    return [cell for cells in series.values() for cell in cells]
