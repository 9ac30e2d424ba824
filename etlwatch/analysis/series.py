"""Requests over time: cells of the store added up to columns of a chart, and to the statistics of a stretch of time.

grid = grid_of(WINDOWS[1], columns=45, now_s=…)   since, until, step: what to ask the store for
columns(cells, grid.since, grid.step, grid.count, grid.until)
latest(columns, 60)                               the newest columns that together cover a minute
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.baseline import quantile
from etlwatch.analysis.snapshot import Percentiles
from tracking_core.dataclass import dataclass, field, replace
from tracking_core.histogram import percentile, unpack
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
        """Latencies in milliseconds; None without requests."""
        return percentiles_of(self.histogram)

    def share(self, part: float) -> float | None:
        """Return a part of the requests as a share of 1.0; None without requests."""
        return part / self.requests if self.requests > 0 else None


def percentiles_of(histogram: Mapping[int, int]) -> Percentiles | None:
    """Return p50, p95 and p99 of a latency histogram (bucket → count); None when it is empty."""
    p50 = percentile(histogram, 0.50)
    p95 = percentile(histogram, 0.95)
    p99 = percentile(histogram, 0.99)
    return None if p50 is None or p95 is None or p99 is None else Percentiles(p50=p50, p95=p95, p99=p99)


@dataclass(slots=True)
class _Sums:
    """The parts of a column while it is added up."""

    requests: float = 0
    failed: float = 0
    throttled: float = 0
    items: float = 0
    client_errors: float = 0
    server_errors: float = 0
    not_ok: float = 0
    histogram: dict[int, int] = field(default_factory=dict)

    def add(self, cell: SeriesCell, share: float) -> None:
        self.requests += cell.requests * share
        self.failed += cell.failed * share
        self.throttled += cell.throttled * share
        self.items += cell.items * share
        self.client_errors += max(cell.status_4xx - cell.throttled, 0) * share
        self.server_errors += cell.status_5xx * share
        self.not_ok += (cell.requests - cell.status_2xx) * share
        for bucket, count in unpack(cell.histogram).items():
            self.histogram[bucket] = self.histogram.get(bucket, 0) + count


def columns_of(cells: Iterable[SeriesCell], since: float, step: float, count: int, until: float) -> tuple[Column, ...]:
    """Return `count` columns of `step` seconds from `since` on, filled by cells of any width up to `until`.

    A cell that lies across columns is shared out by time, its latencies counted in each. A cell's own time ends at
    `until`: the last one is not thinned by seconds that have not passed.
    """
    sums = [_Sums() for _ in range(max(0, count))]
    if step <= 0:
        return ()
    for cell in cells:
        begin = float(cell.bucket)
        end = max(min(begin + cell.width, until), begin + 1e-9)
        first = max(0, int((begin - since) // step))
        last = min(len(sums) - 1, int((end - since - 1e-9) // step))
        for index in range(first, last + 1):
            left = since + index * step
            overlap = min(end, left + step) - max(begin, left)
            if overlap > 0:
                sums[index].add(cell, overlap / (end - begin))
    made: list[Column] = []
    for index, total in enumerate(sums):
        left = since + index * step
        made.append(_column(total, left, min(max(until - left, 0.0), step)))
    return tuple(made)


def _column(total: _Sums, begin: float, seconds: float) -> Column:
    return Column(
        begin=begin,
        seconds=seconds,
        requests=total.requests,
        failed=total.failed,
        throttled=total.throttled,
        items=total.items,
        client_errors=total.client_errors,
        server_errors=total.server_errors,
        not_ok=total.not_ok,
        histogram=total.histogram,
    )


def latest(columns: Sequence[Column], seconds: float = 60) -> Column:
    """Return the newest columns, as many as cover `seconds`, added up: the figures beside a chart's title."""
    total = _Sums()
    covered = 0.0
    begin = 0.0
    for column in reversed(columns):
        if covered >= seconds:
            break
        covered += column.seconds
        begin = column.begin
        for name in ("requests", "failed", "throttled", "items", "client_errors", "server_errors", "not_ok"):
            setattr(total, name, getattr(total, name) + getattr(column, name))
        for bucket, number in column.histogram.items():
            total.histogram[bucket] = total.histogram.get(bucket, 0) + number
    return _column(total, begin, covered)


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
