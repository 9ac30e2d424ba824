"""What a job records, as given (raw events) and as sent to a store: immutable events, and the batch that carries them.

A batch is built once and resent as it was. Its key is (writer_id, batch_seq); a batch without batch_seq carries single
immediate operations, whose event keys (run_id, writer_id, seq) are their own guard. Values are clean by then (see
sanitize.py): a store never rejects them for their content.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from tracking_core.dataclass import dataclass, field, replace
from tracking_core.requests import CellKey, RequestColumns, RequestRow, Tally

if TYPE_CHECKING:
    from tracking_core.failures import Failure

E = TypeVar("E")


class RunStatus(StrEnum):
    """The stored states of a run; the values are the stored text."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"
    ABANDONED = "abandoned"


class PhaseStatus(StrEnum):
    """The stored states of a phase; the values are the stored text."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not needed this time; a store of schema version 1 holds it as completed, with a unit `skipped`."""


SUCCESSFUL_PHASES = frozenset({PhaseStatus.COMPLETED, PhaseStatus.SKIPPED})
"""Phases that are over and went well."""


PLACE = "place"
"""The key among a unit's stored counters for its place among the units, from 0."""

ORDER_OF_TAGS = ""
"""The name among a run's stored tags that holds the list of their names in order, which PostgreSQL's jsonb loses."""


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
    """A phase as it is now; the newest by `at_us` wins, units are merged."""

    run_id: int
    phase: str
    position: int | None
    """From 1; None where that is unknown; the store then appends."""

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
    many: int = 1
    """How many it stands for: of very many that nothing took, one of each kind is left and all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """How far a writer has come with a run: cumulative, the greatest wins."""

    run_id: int
    emitted: int
    """The last sequence number given out."""

    dropped: int = 0
    overhead: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The unit of ingest: what is written in one transaction, whole or not at all."""

    writer_id: int
    batch_seq: int | None
    """From 1 per writer; None for single immediate operations."""

    starts: tuple[RunStart, ...] = ()
    """Runs that this batch carries: inserted where the store does not hold them, otherwise left alone."""

    requests: Sequence[RequestRow] = ()
    """A tuple, or columns where there are many."""

    cells: Mapping[CellKey, Tally] = field(default_factory=dict)
    """The requests added up, those without detail among them."""

    phases: tuple[PhaseChange, ...] = ()
    source_counts: tuple[CountedSource, ...] = ()
    errors: tuple[RaisedError, ...] = ()
    ends: tuple[RunEnd, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()

    def without(self, run_ids: Collection[int]) -> Batch:
        """Return the batch without its events of these runs, their ends excepted."""
        if not run_ids:
            return self

        def kept(events: Sequence[E]) -> tuple[E, ...]:
            return tuple(event for event in events if event.run_id not in run_ids)  # type: ignore[attr-defined]

        return replace(
            self,
            starts=kept(self.starts),
            requests=kept(self.requests),
            cells={key: cell for key, cell in self.cells.items() if key.run_id not in run_ids},
            phases=kept(self.phases),
            source_counts=kept(self.source_counts),
            errors=kept(self.errors),
            ledger=kept(self.ledger),
        )

    def run_ids(self) -> set[int]:
        """Return every run that this batch is about."""
        ids = {key.run_id for key in self.cells}
        if isinstance(self.requests, RequestColumns):
            ids |= self.requests.run_ids()
        else:
            ids.update(row.run_id for row in self.requests)
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
    """A store's answer to a writer that connects."""

    store_us: int
    """The store's clock, microseconds since 1970-01-01Z."""

    schema_version: int
    """The newest migration that was applied there."""

    known_version: int
    """The newest one of this program."""


RawRequest: TypeAlias = tuple[
    int,  # run id
    int,  # the job's clock, microseconds since 1970-01-01Z
    str,  # endpoint
    float | None,  # offset
    float | None,  # limit
    float | None,  # status
    float,  # items
    float,  # duration in milliseconds
    bool,  # throttled, as given
    str | None,  # error
]
"""One request as its caller gave it, types checked, ranges not; a bare tuple: making one is on the job's time."""


class RawPhase(NamedTuple):
    """A phase as its caller gave it."""

    run_id: int
    at_us: int
    phase: str
    status: str
    totals: Mapping[str, float]
    processed: Mapping[str, float]
    memory_mb: float | None
    started_us: int | None = None
    """When it began, on the job's clock, as reported afterwards; None: when its states were reported."""

    ended_us: int | None = None
    memory_limit_mb: float | None = None
    at_s: float | None = None
    """`at_us` on the monotonic clock, which does not step."""


class RawCount(NamedTuple):
    """A source count as its caller gave it."""

    run_id: int
    at_us: int
    entity: str
    items: float


class RawError(NamedTuple):
    """An error as it was caught; its traceback is text already, since frames change."""

    run_id: int
    at_us: int
    phase: str | None
    failure: Failure


class RawEnd(NamedTuple):
    """A run's end as its caller gave it."""

    run_id: int
    at_us: int
    status: str
    notes: str | None
    ended_by: str
