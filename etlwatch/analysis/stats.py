"""What was done in a stretch of time: in all, by interval, by job.

Contains the adding up and the choice of intervals. Only what lies in the stretch counts: a run that reaches into it
counts with that part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.baseline import quantile
from etlwatch.analysis.series import Column, columns_of, latest
from tracking_core.dataclass import dataclass
from tracking_core.records import Run, RunOutline, RunStatus, SeriesCell

INTERVALS_S: Final = (10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800)
MOST_INTERVALS: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStats:
    """One job in the stretch."""

    job: str
    traffic: Column
    began: int = 0
    """Runs that began in it."""

    completed: int = 0
    """Runs that ended in it, by how they ended."""

    failed: int = 0
    terminated: int = 0
    """By a signal, or left without an end."""

    living: int = 0
    """Runs that go on; lost ones are not among them."""

    lost: int = 0
    median_s: float | None = None
    """Of the completed ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """All that was done between two moments."""

    since: datetime
    until: datetime
    step_s: int
    total: Column
    intervals: tuple[Column, ...]
    """Oldest first; the first and the last may be cut by the stretch."""

    jobs: tuple[JobStats, ...]
    """Most requests first."""


def interval_of(window: timedelta) -> int:
    """Return the seconds of an interval that cuts a window into at most MOST_INTERVALS parts."""
    seconds = window.total_seconds()
    return next((step for step in INTERVALS_S if seconds <= MOST_INTERVALS * step), INTERVALS_S[-1])


def stats_of(
    cells: Iterable[SeriesCell], jobs: Iterable[JobStats], *, since: datetime, until: datetime, step_s: int
) -> Stats:
    """Return the statistics of a stretch from cells of requests of any width."""
    given = list(cells)
    begin, end = since.timestamp(), until.timestamp()
    # Intervals lie on the clock, so the first one is cut where the stretch begins.
    second = int(begin) // step_s * step_s + step_s
    columns = columns_of(given, begin, min(second, end) - begin, 1, end)
    columns += columns_of(given, second, step_s, max(0, -(-int(end - second) // step_s)), end)
    return Stats(
        since=since,
        until=until,
        step_s=step_s,
        total=_over(columns, end - begin),
        intervals=columns,
        jobs=tuple(sorted(jobs, key=lambda job: (-job.traffic.requests, job.job))),
    )


def job_stats(
    job: str,
    ended: Sequence[RunOutline],
    living: Sequence[Run],
    cells: Iterable[SeriesCell],
    *,
    since: datetime,
    until: datetime,
) -> JobStats:
    """Return what one job did in a stretch, in which runs of it ended and others go on; `cells` are theirs."""
    begin, end = since.timestamp(), until.timestamp()
    columns = columns_of(cells, begin, max(end - begin, 1.0), 1, end)
    starts = [*(run.started_at for run in ended), *(run.started_at for run in living)]
    ended = [run for run in ended if run.ended_at is not None and since <= run.ended_at <= until]
    durations = sorted(run.duration_s or 0.0 for run in ended if run.status == RunStatus.COMPLETED)
    return JobStats(
        job=job,
        traffic=_over(columns, end - begin),
        began=sum(since <= start <= until for start in starts),
        completed=len(durations),
        failed=sum(run.status == RunStatus.FAILED for run in ended),
        terminated=sum(run.status in (RunStatus.TERMINATED, RunStatus.ABANDONED) for run in ended),
        living=sum(run.state != "lost" for run in living),
        lost=sum(run.state == "lost" for run in living),
        median_s=quantile(durations, 0.5),
    )


def _over(columns: Sequence[Column], seconds: float) -> Column:
    """Return columns added up, over the time of the stretch."""
    total = latest(columns, float("inf"))
    return Column(
        begin=total.begin,
        seconds=max(seconds, 1.0),
        requests=total.requests,
        failed=total.failed,
        throttled=total.throttled,
        items=total.items,
        client_errors=total.client_errors,
        server_errors=total.server_errors,
        not_ok=total.not_ok,
        histogram=total.histogram,
    )
