"""What is read back from a store: frozen records, one a table, and their states.

The attributes are the stored columns. Every time is aware UTC, every duration has its unit in its name. Records
hold no behaviour beyond what follows from their own fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from tracking_core.dataclass import dataclass, field
from tracking_core.events import PhaseStatus as PhaseStatus
from tracking_core.events import RunStatus as RunStatus
from tracking_core.histogram import Latencies, unpack
from tracking_core.identity import format_run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a job, as it stood when it was read."""

    run_id: int
    """1 to 2**63 - 1, made by the client, sorted by time."""

    job: str
    """The pipeline's name; runs of one job are compared with each other."""

    notes: str | None
    status: str
    """The stored state, a RunStatus."""

    state: str
    """The derived state: the status, or `lost` for a running run that went silent."""

    started_at: datetime
    ended_at: datetime | None
    duration_s: float
    """From start to end; for a running run, to the moment of reading on the store's clock."""

    requests: int
    items: int
    failed_requests: int
    throttled_requests: int
    errors: int
    host: str
    pid: int
    user: str
    command: str
    code_version: str
    evidence: str = ""
    """The evidence for a derived state."""

    state_since: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    heartbeat_at: datetime | None = None
    heartbeat_interval_s: float | None = None
    progress_at: datetime | None = None
    emitted: int = 0
    """Requests and errors that the run's trackers were given; what is missing from the store is emitted - stored."""

    dropped: int = 0
    """Requests whose detail was given up; their totals are kept."""

    boot_id: str = ""
    tracker_version: str = ""
    parent_run_id: int | None = None
    ended_by: str | None = None
    """`job`, `exit`, `signal NAME` or `person NAME`; None while it runs."""

    clock_offset_ms: int = 0
    """The store's clock minus the job's, as measured when the run began."""

    @property
    def id(self) -> str:
        """The 13 characters that people see."""
        return format_run_id(self.run_id)


class RunOutline(NamedTuple):
    """When a run began, and how and when it ended: what is read of thousands of runs at once."""

    run_id: int
    job: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    duration_s: float | None
    """From start to end; None while it runs."""

    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetrics:
    """The request figures of one run; zeros for a run without requests."""

    run_id: int
    total_requests: int
    total_items: int
    total_duration_ms: int
    """The sum of all request durations, in milliseconds."""

    error_count: int
    """Failed requests; throttled ones are not among them."""

    throttle_count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    """Percentiles of the request durations in milliseconds, within 5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """What became of everything a tracker accepted, since the tracker was made."""

    sent: int = 0
    """Events committed in the store."""

    spooled: int = 0
    """Events in the local spool, waiting for the store."""

    dropped: int = 0
    """Events given up; totals of aggregated requests are kept all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of a run."""

    run_id: int
    phase: str
    position: int
    """From 1, in the order of their first appearance."""

    status: str
    started_at: datetime | None
    ended_at: datetime | None
    counters: Mapping[str, Mapping[str, int]]
    """Per unit: `total` (0 or absent when unknown) and `processed`."""

    memory_mb: float | None = None
    peak_memory_mb: float | None = None
    memory_limit_mb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSample:
    """What a phase's progress looked like at some time."""

    run_id: int
    phase: str
    bucket: int
    """Seconds since 1970-01-01Z."""

    at: datetime
    """When in the bucket it was reported last: what came before that in the same bucket is not kept."""

    processed: Mapping[str, int]
    """Cumulative, per unit."""

    memory_mb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests added up: the part that endpoint, series and throughput rows have in common."""

    requests: int = 0
    failed: int = 0
    throttled: int = 0
    items: int = 0
    duration_ms: int = 0
    status_2xx: int = 0
    status_3xx: int = 0
    status_4xx: int = 0
    """All of 400 to 499, 429 among them."""

    status_5xx: int = 0
    status_other: int = 0
    """Answers of no such class, and requests without an answer."""

    histogram: tuple[int, ...] = ()
    """Latencies, packed (see histogram.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointTotals(Traffic):
    """The requests of one run to one endpoint."""

    run_id: int
    endpoint: str
    max_ms: int = 0

    @property
    def latencies(self) -> Latencies:
        """Its durations by bucket; no percentile of them is beyond the greatest."""
        return Latencies(unpack(self.histogram), max_ms=self.max_ms, total_ms=self.duration_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCell(Traffic):
    """The requests of one run, or of all, in one stretch of time."""

    bucket: int
    """Its beginning, seconds since 1970-01-01Z, a multiple of its width."""

    width: int
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One paged request of a run."""

    endpoint: str
    page_offset: int
    page_limit: int | None
    items: int
    whole: bool
    """Whether it was answered as asked: 2xx, not throttled, no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request of a run."""

    run_id: int
    writer_id: int
    seq: int
    at: datetime
    endpoint: str
    page_offset: int | None
    page_limit: int | None
    status: int | None
    items: int
    duration_ms: int
    throttled: bool
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """How many items the source has of an entity."""

    run_id: int
    entity: str
    items: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """One recorded error of a run."""

    run_id: int
    writer_id: int
    seq: int
    at: datetime
    phase: str | None
    error_type: str
    message: str
    traceback: str
    fingerprint: str
    """The same for errors of one kind, over all runs (see failures.py)."""

    @property
    def key(self) -> tuple[int, int, int]:
        """Run, writer and number: what makes an error."""
        return self.run_id, self.writer_id, self.seq


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """All errors of one kind: those of one job that share a fingerprint."""

    job: str
    """'' when the runs were removed."""

    fingerprint: str
    errors: int
    runs: int
    """In how many runs they happened."""

    first_at: datetime
    last_at: datetime
    run_id: int
    """Of the newest one, as are phase, error_type and message."""

    phase: str | None
    error_type: str
    message: str
    cut: bool = False
    """Whether there were more than are counted, so that `errors` and `runs` are the least that they can be."""

    kinds: int = 1
    """How many kinds the answer has without its limit; 1 where kinds were asked for by name."""

    @property
    def key(self) -> tuple[str, str]:
        """Job and fingerprint: what makes a kind."""
        return self.job, self.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLedger:
    """What one writer of a run emitted, and what of it is stored."""

    run_id: int
    writer_id: int
    emitted: int
    stored: int
    dropped: int
    overhead: Mapping[str, float]
    """What tracking cost the job: `calls`, `cpu_ms`, `worst_us`; empty when it was not measured."""

    @property
    def missing(self) -> int:
        """Emitted, but neither stored nor known to be dropped: on its way, in a spool, or lost."""
        return max(self.emitted - self.stored - self.dropped, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The shared tracking switch, of all jobs or of one."""

    scope: str
    """`global` or `job`."""

    job: str
    """'' for the global one."""

    enabled: bool
    changed_at: datetime
    changed_by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One action of a person: a switch turned, a clean-up, a run closed."""

    id: int
    at: datetime
    actor: str
    action: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The head of a file that holds one run of another store, and what its health needs."""

    run_id: int
    made_at: datetime
    """The clock of the other store then; it stands still in the file."""

    source: str
    """The other store's label, without credentials."""

    version: str
    """Of the program that made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupPlan:
    """What a clean-up would remove, resolved on the store's clock."""

    cutoff: datetime
    """Finished runs that ended before this moment go."""

    days: int
    runs: int
    requests: int
    errors: int
    jobs: tuple[CleanupJob, ...]
    kept_running: int
    """Runs that are not finished and would otherwise be old enough: never removed."""

    keep_last_success: bool = False
    """Whether each job's last success stays, however old it is."""

    last_successes: int = 0
    """How many runs that concerns, whether they stay or not."""

    dropped_weeks: int = 0
    """Weeks of requests that go at once, with nothing else in them; PostgreSQL only, as are the next three."""

    dropped_bytes: int = 0
    """What these weeks take on the disk."""

    cut_weeks: int = 0
    """Weeks that hold something else as well: what goes is deleted from them row by row."""

    waiting_requests: int = 0
    """Requests of removed runs that are seen nowhere any more and leave the disk once all of their week is old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupJob:
    """The part of a clean-up plan that concerns one job."""

    job: str
    runs: int
    requests: int
    errors: int
    oldest: datetime
