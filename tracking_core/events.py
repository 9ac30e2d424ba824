"""What a job says, in the form that travels to a store: immutable events, and the batch that carries them.

A batch is sealed once and resent as it was. Its key is (writer_id, batch_seq); a batch without batch_seq carries single
immediate operations, whose event keys (run_id, writer_id, seq) are their own guard. Values are clean by the time they
stand here (see sanitize.py): a store never refuses them for their content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from tracking_core import histogram
from tracking_core.histogram import bucket_of
from tracking_core.identity import run_time_us

SERIES_FINE_S = 10
SERIES_COARSE_S = 60
SERIES_FINE_AGE_S = 900
"""A run's series has cells of 10 s in its first 15 minutes, of 60 s afterwards (DESIGN 2)."""

ADJUSTED = "[adjusted] "
"""Begins the mark that a request carries in `error` when a number of it was out of range; alone it is no failure."""


_FINE_US = SERIES_FINE_S * 1_000_000
_WORTH_COLUMNS = 8
"""From so many requests of a cell on, adding up by columns is cheaper than one by one."""


def has_failed(status: int | None) -> bool:
    """Return whether a status says that a request failed: 400 or more, or none at all."""
    return not status or status >= 400


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
    """As counted: told so by the caller, or status 429."""

    error: str | None

    @property
    def failed(self) -> bool:
        """Whether it counts as failed: not throttled, and an error, a status of 400 or more, or none at all."""
        if self.throttled:
            return False
        if self.error is not None and not self.error.startswith(ADJUSTED):
            return True
        return has_failed(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """A run as it began: enough to make its row, so that it does not matter which event arrives first."""

    run_id: int
    job: str
    notes: str | None
    tags: Mapping[str, str]
    started_us: int
    host: str
    pid: int
    boot_id: str
    username: str
    command: str
    code_version: str
    tracker_version: str
    parent_run_id: int | None = None
    heartbeat_interval_s: float | None = None
    """None where nothing beats for this run."""

    clock_offset_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """A run's end: changes a run that is `running`, or one that a person closed while the job lived."""

    run_id: int
    status: str
    ended_us: int
    duration_ms: int | None
    """From the job's monotonic clock; None when another process began it (the store subtracts then)."""

    notes: str | None = None
    """Appended on a new line."""

    ended_by: str = "job"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChange:
    """A phase as its run knows it now; the newest by `at_us` wins, units are merged."""

    run_id: int
    phase: str
    position: int | None
    """From 1; None when the sender does not know, the store then appends."""

    status: str
    at_us: int
    started_us: int | None
    ended_us: int | None
    counters: Mapping[str, Mapping[str, int]]
    memory_mb: float | None = None
    peak_memory_mb: float | None = None
    memory_limit_mb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedSource:
    """How many items a source has of an entity; the newest by `at_us` wins."""

    run_id: int
    entity: str
    items: int
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedError:
    """An error that was recorded; shares the sequence of the requests."""

    run_id: int
    seq: int
    at_us: int
    phase: str | None
    error_type: str
    message: str
    traceback: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """How far a writer has come with a run: cumulative, the greatest wins."""

    run_id: int
    emitted: int
    """The last sequence number given out."""

    dropped: int = 0
    overhead: Mapping[str, float] = field(default_factory=dict)


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
        bucket = bucket_of(row.duration_ms)
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


_first = itemgetter(0)
R = TypeVar("R", bound=tuple[Any, ...])


class CellKey(NamedTuple):
    """The finest grain at which a client adds up: every summary table follows from these cells."""

    run_id: int
    endpoint: str
    bucket: int
    """Seconds since 1970-01-01Z, a multiple of 10."""


def cell_of(run_id: int, endpoint: str, at_us: int) -> CellKey:
    """Return the cell in which a request at this time is counted."""
    seconds = at_us // 1_000_000
    return CellKey(run_id, endpoint, seconds - seconds % SERIES_FINE_S)


def series_slot(run_id: int, bucket: int) -> tuple[int, int]:
    """Return (bucket, width) of the run's series that a cell belongs to; it follows from the run's age alone."""
    if bucket - run_time_us(run_id) // 1_000_000 < SERIES_FINE_AGE_S:
        return bucket, SERIES_FINE_S
    return bucket - bucket % SERIES_COARSE_S, SERIES_COARSE_S


def by_run(rows: Sequence[R]) -> Iterable[tuple[int, Sequence[R]]]:
    """Return rows, each of which begins with its run's id, by that id; their order within a run stays."""
    run_ids = set(map(_first, rows))
    if len(run_ids) < 2:
        return [(run_id, rows) for run_id in run_ids]
    groups: dict[int, list[R]] = {run_id: [] for run_id in run_ids}
    for row in rows:
        groups[row[0]].append(row)
    return groups.items()


def tally(rows: Sequence[RequestRow]) -> dict[CellKey, Tally]:
    """Return requests added up into their cells.

    Cell by cell and then column by column: a third of the time that adding up one request after the other takes.
    """
    grouped: dict[tuple[int, str, int], list[RequestRow]] = {}
    for row in rows:
        key = row[0], row[3], row[2] // _FINE_US
        group = grouped.get(key)
        if group is None:
            grouped[key] = [row]
        else:
            group.append(row)
    return {
        CellKey(run_id, endpoint, bucket * SERIES_FINE_S): _tally_of(group)
        for (run_id, endpoint, bucket), group in grouped.items()
    }


def _tally_of(rows: Sequence[RequestRow]) -> Tally:
    if len(rows) < _WORTH_COLUMNS:
        cell = Tally()
        for row in rows:
            cell.add_request(row)
        return cell
    _, _, _, _, _, _, statuses, items, durations, throttleds, errors = zip(*rows, strict=True)
    if errors.count(None) == len(errors):
        alike = Counter(zip(statuses, throttleds, strict=True))
        failed = sum(count for (status, throttled), count in alike.items() if not throttled and has_failed(status))
    else:
        failed = sum(row.failed for row in rows)
    classes = [0, 0, 0, 0, 0, 0]
    for status, count in Counter(statuses).items():
        status_class = (status or 0) // 100
        classes[status_class if 2 <= status_class <= 5 else 0] += count
    return Tally(
        requests=len(rows),
        failed=failed,
        throttled=sum(throttleds),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The unit of ingest: what is written in one transaction, whole or not at all."""

    writer_id: int
    batch_seq: int | None
    """From 1 per writer; None for single immediate operations."""

    starts: tuple[RunStart, ...] = ()
    """Runs that this batch carries: inserted where the store does not hold them, otherwise left alone."""

    requests: tuple[RequestRow, ...] = ()
    cells: Mapping[CellKey, Tally] = field(default_factory=dict)
    """The requests added up, those without detail among them."""

    phases: tuple[PhaseChange, ...] = ()
    source_counts: tuple[CountedSource, ...] = ()
    errors: tuple[RaisedError, ...] = ()
    ends: tuple[RunEnd, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()

    def run_ids(self) -> set[int]:
        """Return every run that this batch says something about."""
        ids = {key.run_id for key in self.cells}
        ids.update(map(_first, self.requests))
        for group in (self.starts, self.phases, self.source_counts, self.errors, self.ends, self.ledger):
            ids.update(event.run_id for event in group)
        return ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a store did with a batch."""

    duplicate: bool = False
    """Its key was there already: all of it had been stored before."""

    refused: Mapping[int, str] = field(default_factory=dict)
    """Runs whose events were not taken, and why: `unknown`, `removed` (cleaned up), `off` (switched off)."""

    ended: frozenset[int] = frozenset()
    """Runs whose end changed something."""

    switched_off: frozenset[str] = frozenset()
    """Jobs of this batch's runs for which the shared switch is off; `*` when the global one is."""

    store_us: int = 0
    """The store's clock at the write, microseconds since 1970-01-01Z."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a store says of itself to who is going to write."""

    store_us: int
    """The store's clock, microseconds since 1970-01-01Z."""

    schema_version: int
    """The newest migration that was applied there."""

    known_version: int
    """The newest one that this program knows."""
