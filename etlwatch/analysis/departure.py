"""Since when a run is not what its job usually is: the minute from which on its latency or its rate has stayed beyond.

Contains that moment and what departed. Series are kept by run, not by endpoint, and so is a departure. Only whole
minutes are looked at, so that a later look at the same moment finds the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.baseline import JobBaseline
from tracking_core import histogram
from tracking_core.clock import from_microseconds
from tracking_core.dataclass import dataclass
from tracking_core.records import SeriesCell

MINUTE_S: Final = 60
LEAST_REQUESTS: Final = 5
"""Minutes with fewer requests have no meaningful percentile."""

TIMES_P95: Final = 1.2
"""How far beyond its job's p95 a latency is another one."""

SHARE_OF_USUAL: Final = 0.5
"""Below this share of its job's usual rate a run is another one."""

LEAST_S: Final = 2 * MINUTE_S
"""Anything shorter is a bad moment, and no departure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """What departed from its job's usual, and when."""

    since: datetime
    measure: str
    """`latency` (p95, milliseconds) or `rate` (requests a second)."""

    usual: float
    since_then: float
    """What it has been from that minute on."""


def departure_of(
    series: Sequence[SeriesCell], baseline: JobBaseline, *, began: datetime, now: datetime
) -> Departure | None:
    """Return since when a run's latency, else its rate, has stayed beyond its usual; None where neither has."""
    minutes = _minutes(series, began, now)
    return _latency(minutes, baseline) or _rate(minutes, baseline)


def _minutes(series: Sequence[SeriesCell], began: datetime, now: datetime) -> list[SeriesCell]:
    """Return the whole minutes of a run, those without a request among them, as far back as its series is given."""
    end = int(now.timestamp()) // MINUTE_S
    first = -(-int(began.timestamp()) // MINUTE_S)
    busy: dict[int, list[SeriesCell]] = {}
    for cell in series:
        busy.setdefault(cell.bucket // MINUTE_S, []).append(cell)
    first = max(first, min(busy, default=end))
    return [
        SeriesCell(
            bucket=minute * MINUTE_S,
            width=MINUTE_S,
            requests=sum(cell.requests for cell in busy.get(minute, ())),
            histogram=tuple(entry for cell in busy.get(minute, ()) for entry in cell.histogram),
        )
        for minute in range(first, end)
    ]


def _latency(minutes: Sequence[SeriesCell], baseline: JobBaseline) -> Departure | None:
    usual, p95 = baseline.latency_p95_ms.usual, baseline.latency_p95_ms.p95
    if usual is None or p95 is None:
        return None

    def slower(minute: SeriesCell) -> bool | None:
        found = histogram.percentile(histogram.merge([minute.histogram]), 0.95)
        return None if found is None or minute.requests < LEAST_REQUESTS else found > TIMES_P95 * p95

    stretch = _long_enough(last_stretch(minutes, slower))
    if stretch is None:
        return None
    since_then = histogram.percentile(
        histogram.merge(minute.histogram for minute in minutes if minute.bucket >= stretch), 0.95
    )
    return Departure(since=_at(stretch), measure="latency", usual=usual, since_then=since_then or 0.0)


def _rate(minutes: Sequence[SeriesCell], baseline: JobBaseline) -> Departure | None:
    usual = baseline.request_rate.usual
    if not usual:
        return None
    stretch = _long_enough(last_stretch(minutes, lambda minute: minute.requests / MINUTE_S < SHARE_OF_USUAL * usual))
    if stretch is None:
        return None
    since = [minute.requests for minute in minutes if minute.bucket >= stretch]
    # A phase that asks for nothing is not slow at asking.
    if sum(requests > 0 for requests in since) * 2 < len(since):
        return None
    return Departure(since=_at(stretch), measure="rate", usual=usual, since_then=sum(since) / len(since) / MINUTE_S)


def _long_enough(stretch: tuple[int, int] | None) -> int | None:
    """Return where a stretch begins that is more than a bad moment; None for any other."""
    return stretch[0] if stretch is not None and stretch[1] - stretch[0] >= LEAST_S else None


def _at(second: int) -> datetime:
    return from_microseconds(second * 1_000_000)


CALM_S: Final = 120
"""Cells that together cover this many seconds as usual part two stretches: a single calm one may be chance."""


def last_stretch(
    cells: Sequence[SeriesCell], unusual: Callable[[SeriesCell], bool | None], *, calm_after_s: int = CALM_S
) -> tuple[int, int] | None:
    """Return where the last stretch of unusual cells begins and ends, seconds since 1970-01-01Z; None without any.

    `cells` ascend; `unusual` is None for one that shows neither. Cells that are as usual for `calm_after_s` after the
    stretch mean that there is none.
    """
    begin, end, calm = 0, None, 0
    for cell in reversed(cells):
        is_unusual = unusual(cell)
        if is_unusual:
            begin, calm = cell.bucket, 0
            end = end if end is not None else cell.bucket + cell.width
        elif is_unusual is not None:
            calm += cell.width
            if calm >= (calm_after_s if end is None else CALM_S):
                break
    return None if end is None else (begin, end)
