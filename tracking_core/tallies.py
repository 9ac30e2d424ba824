"""Requests added up: the cells at which a client counts, from which every summary table follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from tracking_core import histogram
from tracking_core.dataclass import dataclass, field, fields
from tracking_core.identity import run_time_us
from tracking_core.request_rows import Columns, RequestColumns, RequestRow, has_failed

SERIES_FINE_S = 10
SERIES_COARSE_S = 60
SERIES_FINE_AGE_S = 900
"""A run's series has cells of 10 s in its first 15 minutes, of 60 s afterwards."""

_FINE_US = SERIES_FINE_S * 1_000_000
_WORTH_COLUMNS = 8
"""From so many requests on, adding up by columns is cheaper than one by one."""


@dataclass(slots=True)
class Tally:
    """Requests added up; mutable while a batch is being made, never afterwards."""

    requests: int = 0
    failed: int = 0
    throttled: int = 0
    items: int = 0
    duration_ms: int = 0
    max_ms: int = 0
    status_2xx: int = 0
    status_3xx: int = 0
    status_4xx: int = 0
    status_5xx: int = 0
    status_other: int = 0
    histogram: dict[int, int] = field(default_factory=dict)

    def add_request(self, row: RequestRow) -> None:
        """Count one request."""
        self.requests += 1
        if row.throttled:
            self.throttled += 1
        elif row.failed:
            self.failed += 1
        self.items += row.items
        self.duration_ms += row.duration_ms
        self.max_ms = max(self.max_ms, row.duration_ms)
        status_class = (row.status or 0) // 100
        if status_class == 2:
            self.status_2xx += 1
        elif status_class == 4:
            self.status_4xx += 1
        elif status_class == 5:
            self.status_5xx += 1
        elif status_class == 3:
            self.status_3xx += 1
        else:
            self.status_other += 1
        bucket = histogram.bucket_of(row.duration_ms)
        self.histogram[bucket] = self.histogram.get(bucket, 0) + 1

    def add(self, other: Tally) -> None:
        """Count all that another tally has counted."""
        if not self.requests:
            # Most tallies are made of one other: a copy is several times cheaper than adding to nothing.
            for name in _TALLIED:
                setattr(self, name, getattr(other, name))
            self.histogram = dict(other.histogram)
            return
        self.requests += other.requests
        self.failed += other.failed
        self.throttled += other.throttled
        self.items += other.items
        self.duration_ms += other.duration_ms
        self.max_ms = max(self.max_ms, other.max_ms)
        self.status_2xx += other.status_2xx
        self.status_3xx += other.status_3xx
        self.status_4xx += other.status_4xx
        self.status_5xx += other.status_5xx
        self.status_other += other.status_other
        for bucket, count in other.histogram.items():
            self.histogram[bucket] = self.histogram.get(bucket, 0) + count


_TALLIED = tuple(field.name for field in fields(Tally) if field.name != "histogram")


def less(cell: Tally, part: Tally) -> Tally:
    """Return what a cell counts beyond a part of it."""
    rest = Tally(max_ms=cell.max_ms)
    for name in _TALLIED:
        if name != "max_ms":
            setattr(rest, name, getattr(cell, name) - getattr(part, name))
    rest.histogram = {
        bucket: count - part.histogram.get(bucket, 0)
        for bucket, count in cell.histogram.items()
        if count > part.histogram.get(bucket, 0)
    }
    return rest


class CellKey(NamedTuple):
    """The finest grain at which a client adds up: every summary table follows from these cells."""

    run_id: int
    endpoint: str
    bucket: int
    """Seconds since 1970-01-01Z, a multiple of 10."""


def cell_of(run_id: int, endpoint: str, at_us: int) -> CellKey:
    """Return the cell in which a request at this time is counted."""
    return CellKey(run_id, endpoint, at_us // _FINE_US * SERIES_FINE_S)


def series_slot(run_id: int, bucket: int) -> tuple[int, int]:
    """Return (bucket, width) of the run's series that a cell belongs to; it follows from the run's age alone."""
    if bucket - run_time_us(run_id) // 1_000_000 < SERIES_FINE_AGE_S:
        return bucket, SERIES_FINE_S
    return bucket - bucket % SERIES_COARSE_S, SERIES_COARSE_S


def tally(rows: Sequence[RequestRow]) -> dict[CellKey, Tally]:
    """Return requests added up into their cells; many of them column by column, in a third of the time."""
    cells: dict[CellKey, Tally] = {}
    if len(rows) < _WORTH_COLUMNS:
        for row in rows:
            cells.setdefault(cell_of(row.run_id, row.endpoint, row.at_us), Tally()).add_request(row)
        return cells
    for block in RequestColumns.of(rows).blocks:
        for key, columns in _cells_of(block):
            cell = _tally_of(columns)
            if key in cells:
                cells[key].add(cell)
            else:
                cells[key] = cell
    return cells


def _cells_of(block: Columns) -> Iterable[tuple[CellKey, Columns]]:
    """Return the columns that are counted (status, items, duration, throttled, error) of each cell of a block."""
    run_ids, _, times, endpoints, _, _, *counted = block
    run_id, slot = run_ids[0], min(times) // _FINE_US
    if run_ids.count(run_id) == len(run_ids) and max(times) // _FINE_US == slot:
        # As nearly every block is: requests of one run, made within one stretch of time.
        for endpoint, columns in _grouped(endpoints, counted):
            yield CellKey(run_id, endpoint, slot * SERIES_FINE_S), columns
    else:
        keys = list(map(cell_of, run_ids, endpoints, times))
        yield from _grouped(keys, counted)


def _grouped(keys: Sequence[Any], columns: Sequence[Sequence[Any]]) -> Iterable[tuple[Any, Columns]]:
    places: dict[Any, list[int]] = {key: [] for key in set(keys)}
    if len(places) == 1:
        return [(keys[0], tuple(columns))]
    for place, key in enumerate(keys):
        places[key].append(place)
    return [(key, tuple(_picked(column, chosen) for column in columns)) for key, chosen in places.items()]


def _picked(column: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    return itemgetter(*places)(column) if len(places) > 1 else (column[places[0]],)


def _tally_of(columns: Columns) -> Tally:
    statuses, items, durations, throttleds, errors = columns
    alike = Counter(zip(statuses, throttleds, errors, strict=True))
    classes = [0, 0, 0, 0, 0, 0]
    failed = throttled = 0
    for (status, is_throttled, error), count in alike.items():
        status_class = (status or 0) // 100
        classes[status_class if 2 <= status_class <= 5 else 0] += count
        if is_throttled:
            throttled += count
        elif has_failed(status, error):
            failed += count
    return Tally(
        requests=len(statuses),
        failed=failed,
        throttled=throttled,
        items=sum(items),
        duration_ms=sum(durations),
        max_ms=max(0, max(durations)),
        status_2xx=classes[2],
        status_3xx=classes[3],
        status_4xx=classes[4],
        status_5xx=classes[5],
        status_other=classes[0],
        histogram=histogram.count(durations),
    )
