"""One HTTP request as a batch carries it, and many of them kept as columns.

A batch holds thousands of requests beside the job's own threads, which need the same interpreter: as columns they are
checked, counted and handed to a driver in C, and no object is made of any of them unless somebody looks at one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias, overload

from tracking_core import histogram
from tracking_core.dataclass import dataclass, field, fields
from tracking_core.identity import run_time_us
from tracking_core.sanitize import ADJUSTED


def has_failed(status: int | None, error: str | None = None) -> bool:
    """Return whether a request that was not throttled failed: by an error, a status of 400 or more, or none at all."""
    return not status or status >= 400 or (error is not None and not error.startswith(ADJUSTED))


class RequestRow(NamedTuple):
    """One HTTP request; the fields are the columns of `requests`, the writer stands in the batch."""

    run_id: int
    seq: int
    at_us: int
    endpoint: str
    page_offset: int | None
    page_limit: int | None
    status: int | None
    items: int
    duration_ms: int
    throttled: bool
    """As counted: given by the caller, or status 429."""

    error: str | None

    @property
    def failed(self) -> bool:
        """Whether it counts as failed: not throttled, and an error, a status of 400 or more, or none at all."""
        return not self.throttled and has_failed(self.status, self.error)


Columns: TypeAlias = tuple[Sequence[Any], ...]
"""The fields of `RequestRow`, each a sequence over the same requests."""

_new_row = partial(tuple.__new__, RequestRow)


class RequestColumns(Sequence[RequestRow]):
    """Requests that are looked at as rows and worked on as columns; in blocks, which are never copied together."""

    __slots__ = ("_length", "blocks")

    def __init__(self, blocks: Iterable[Columns]) -> None:
        self.blocks = tuple(blocks)
        self._length = sum(len(block[0]) for block in self.blocks)

    @classmethod
    def of(cls, rows: Sequence[RequestRow]) -> RequestColumns:
        """Return rows as columns; what is that already is returned as it is."""
        if isinstance(rows, RequestColumns):
            return rows
        return cls([tuple(zip(*rows, strict=True))] if rows else [])

    def column(self, position: int) -> Iterator[Any]:
        """Return one field of all requests."""
        return chain.from_iterable(block[position] for block in self.blocks)

    def run_ids(self) -> set[int]:
        """Return the runs that these requests belong to."""
        return set(self.column(0))

    def by_run(self) -> Counter[int]:
        """Return how many requests there are of each run."""
        return Counter(self.column(0))

    def greatest(self, position: int) -> dict[int, int]:
        """Return the greatest value of a field in each run."""
        found: dict[int, int] = {}
        for block in self.blocks:
            run_ids, values = block[0], block[position]
            if run_ids.count(run_ids[0]) == len(run_ids):
                found[run_ids[0]] = max(found.get(run_ids[0], values[0]), max(values))
            else:
                for run_id, value in zip(run_ids, values, strict=True):
                    found[run_id] = max(found.get(run_id, value), value)
        return found

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[RequestRow]:
        for block in self.blocks:
            yield from map(_new_row, zip(*block, strict=True))

    @overload
    def __getitem__(self, index: int) -> RequestRow: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[RequestRow, ...]: ...

    def __getitem__(self, index: int | slice) -> RequestRow | tuple[RequestRow, ...]:
        return tuple(self)[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


SERIES_FINE_S = 10
SERIES_COARSE_S = 60
SERIES_FINE_AGE_S = 900
"""A run's series has cells of 10 s in its first 15 minutes, of 60 s afterwards."""

_FINE_US = SERIES_FINE_S * 1_000_000


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


def add_cells(
    into: dict[CellKey, Tally],
    more: Mapping[CellKey, Tally],
    changed: Callable[[CellKey], CellKey] = lambda key: key,
) -> dict[CellKey, Tally]:
    """Add cells to others, which are returned, each under its key or a `changed` one."""
    for key, cell in more.items():
        into.setdefault(changed(key), Tally()).add(cell)
    return into


def tally(rows: Sequence[RequestRow]) -> dict[CellKey, Tally]:
    """Return requests added up into their cells, column by column."""
    cells: dict[CellKey, Tally] = {}
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
    places: dict[Any, list[int]] = {key: [] for key in dict.fromkeys(keys)}
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
