"""Requests over time: cells of the store added up to columns of a chart, and to the statistics of a stretch of time.

grid = grid_of(WINDOWS[1], columns=45, now_s=…)   since, until, step: what to ask the store for
columns(cells, grid.since, grid.step, grid.count, grid.until)
latest(columns, 60)                               the newest columns that together cover a minute
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from etlwatch.analysis.baseline import quantile
from etlwatch.analysis.snapshot import Percentiles
from tracking_core.dataclass import dataclass, field, replace
from tracking_core.histogram import merge, percentile
from tracking_core.records import Run, RunOutline, RunStatus, SeriesCell

SETTLE_S: Final = 2
"""A bucket is asked for this long after its end, since jobs deliver within a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The columns of a chart, laid on multiples of `step`, so that they stand still while time passes."""

    since: int
    """Beginning of the first column, seconds since 1970-01-01Z."""

    until: int
    """End of what is complete, inside the last column."""

    step: int
    """Seconds a column."""

    count: int


def grid_of(window: Window, *, columns: int, now_s: float) -> Grid:
    """Return the grid of a window as it stands at `now_s` (the store's clock, seconds), `columns` wide.

    Where a column would be finer than what is stored the chart reaches further back instead. The last column may be
    incomplete; it then counts only the time it covers.
    """
    columns = max(1, columns)
    step = -(-window.seconds // (columns * window.base)) * window.base
    until = int(now_s - SETTLE_S) // window.closes * window.closes
    last = (until - 1) // step * step
    return Grid(since=last - (columns - 1) * step, until=until, step=step, count=columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What happened in one column of time."""

    begin: float
    seconds: float
    """How much of the column has passed; 0 when none has."""

    requests: float = 0
    failed: float = 0
    throttled: float = 0
    items: float = 0
    client_errors: float = 0
    """Answered 400 to 499, those throttled left out."""

    server_errors: float = 0
    not_ok: float = 0
    """Answered anything but 2xx, or not at all."""

    histogram: Mapping[int, int] = field(default_factory=dict)
    longest_ms: float = math.inf
    """No request took longer than this, as far as that is known."""

    @property
    def rate(self) -> float | None:
        """Requests a second; None where nothing can have happened yet."""
        return self.requests / self.seconds if self.seconds > 0 else None

    @property
    def item_rate(self) -> float | None:
        """Items a second."""
        return self.items / self.seconds if self.seconds > 0 else None

    @property
    def percentiles(self) -> Percentiles | None:
        """Latencies in milliseconds, none beyond the longest; None without requests."""
        return percentiles_of(self.histogram, longest_ms=self.longest_ms)

    def share(self, part: float) -> float | None:
        """Return a part of the requests as a share of 1.0; None without requests."""
        return part / self.requests if self.requests > 0 else None


_SUMS: Final[Mapping[str, Callable[[SeriesCell], int]]] = {
    **{name: attrgetter(name) for name in ("requests", "failed", "throttled", "items")},
    "client_errors": lambda cell: max(cell.status_4xx - cell.throttled, 0),
    "server_errors": attrgetter("status_5xx"),
    "not_ok": lambda cell: cell.requests - cell.status_2xx,
}


def percentiles_of(histogram: Mapping[int, int], *, longest_ms: float = math.inf) -> Percentiles | None:
    """Return p50, p95 and p99 of latencies (bucket → count), none beyond the longest; None when there are none."""
    found = [percentile(histogram, share) for share in (0.50, 0.95, 0.99)]
    p50, p95, p99 = (min(each or 0.0, longest_ms) for each in found)
    return None if found[0] is None else Percentiles(p50=p50, p95=p95, p99=p99)


def columns_of(
    cells: Iterable[SeriesCell],
    since: float,
    step: float,
    count: int,
    until: float,
    *,
    longest_ms: float = math.inf,
) -> tuple[Column, ...]:
    """Return `count` columns of `step` seconds from `since` on, filled by cells of any width up to `until`.

    A cell that lies across columns is shared out by time, its latencies counted in each. A cell's own time ends at
    `until`: the last one is not thinned by seconds that have not passed. `longest_ms` is the longest request of all.
    """
    parts: list[list[tuple[SeriesCell, float]]] = [[] for _ in range(max(0, count))]
    if step <= 0:
        return ()
    for cell in cells:
        begin = float(cell.bucket)
        end = max(min(begin + cell.width, until), begin + 1e-9)
        first = max(0, int((begin - since) // step))
        last = min(len(parts) - 1, int((end - since - 1e-9) // step))
        for index in range(first, last + 1):
            left = since + index * step
            overlap = min(end, left + step) - max(begin, left)
            if overlap > 0:
                parts[index].append((cell, overlap / (end - begin)))
    return tuple(
        Column(
            begin=since + index * step,
            seconds=min(max(until - (since + index * step), 0.0), step),
            **{name: sum(read(cell) * share for cell, share in own) for name, read in _SUMS.items()},
            histogram=merge(cell.histogram for cell, _ in own),
            longest_ms=min(longest_ms, sum(cell.duration_ms for cell, _ in own) or math.inf),
        )
        for index, own in enumerate(parts)
    )


def latest(columns: Sequence[Column], seconds: float = 60) -> Column:
    """Return the newest columns, as many as cover `seconds`, added up: the figures beside a chart's title."""
    kept: list[Column] = []
    covered = 0.0
    while covered < seconds and len(kept) < len(columns):
        kept.append(columns[-1 - len(kept)])
        covered += kept[-1].seconds
    histogram: Counter[int] = Counter()
    for column in kept:
        histogram.update(column.histogram)
    return Column(
        begin=kept[-1].begin if kept else 0.0,
        seconds=covered,
        **{name: sum(getattr(column, name) for column in kept) for name in _SUMS},
        histogram=histogram,
        longest_ms=max((column.longest_ms for column in kept if column.requests), default=math.inf),
    )


@dataclass(frozen=True, slots=True)
class Window:
    """How far back the charts of the home screen look."""

    name: str
    seconds: int
    base: int
    """Seconds of the store's cells at that age: a column is a multiple of it."""

    closes: int
    """Seconds between two redraws: how often a bucket closes that is worth asking for."""


WINDOWS: Final = (
    Window("5m", 300, 10, 10),
    Window("1h", 3_600, 10, 10),
    Window("24h", 86_400, 60, 60),
    Window("7d", 604_800, 600, 60),
)


def window_called(name: str) -> Window:
    """Return a window by its name; KeyError for a name that is none's."""
    return {window.name: window for window in WINDOWS}[name]


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
    return replace(latest(columns, float("inf")), seconds=max(seconds, 1.0))
