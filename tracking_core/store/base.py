"""What a store can do, as Protocols of a few methods.

A store opens three kinds of connection: a Writer stores batches, a Reader answers queries in read-only transactions,
an Administration makes the changes that people ask for (switch, clean-up, closing a run). A connection is used by one
thread at a time and closed by its caller. All methods raise errors of `tracking_core.errors` and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from tracking_core.events import Batch, Hello, Receipt
    from tracking_core.records import (
        AuditEntry,
        CleanupPlan,
        EndpointTotals,
        ErrorGroup,
        ErrorRecord,
        Page,
        Phase,
        PhaseSample,
        RequestRecord,
        Run,
        RunOutline,
        SeriesCell,
        SourceCount,
        Switch,
        Traffic,
        WriterLedger,
    )


class Connection(Protocol):
    """What every connection to a store has."""

    def close(self) -> None:
        """Close it; closing twice is fine."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Writer(Connection, Protocol):
    """The connection of a job."""

    def write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        """Store a batch in one transaction; when this returns it is committed.

        `meanwhile` is called at most once, while the writer has to wait for the store anyway.
        """

    def beat(self, run_ids: Sequence[int]) -> Receipt:
        """Record that these runs live, in one statement."""

    def switched_off(self, job: str) -> bool:
        """Return whether the shared switch, global or of this job, is off."""

    def hello(self) -> Hello:
        """Return the store's clock and the version of its tables."""


class Reader(Connection, Protocol):
    """A connection that only reads: every transaction is read-only."""

    def one_view(self) -> AbstractContextManager[None]:
        """Let all queries inside the block see one moment of the store."""

    @property
    def behind_s(self) -> float | None:
        """How many seconds a standby was behind its primary at the last `now()`; None on a primary, or if unknown."""

    def now(self) -> datetime:
        """Return the store's clock; on a standby that is behind, the time of the newest data that it has."""

    def recent_runs(self, limit: int, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        """Return the newest runs by (started_at, run_id); with `before`, those older than that pair."""

    def runs_in_status(
        self, statuses: Collection[str], limit: int, *, before: tuple[datetime, int] | None = None
    ) -> list[Run]:
        """Return the newest runs in these stored states, newest first; with `before`, those older than that pair."""

    def live_runs(self, limit: int | None = None, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        """Return the runs whose stored status is running, newest first; with `before`, those older than that pair."""

    def count_live(self) -> int:
        """Return how many runs have the stored status running."""

    def count_runs(
        self,
        *,
        jobs: Collection[str] | None = None,
        statuses: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Return how many runs of these jobs, in these stored states, began in [since, until]; None: any."""

    def run(self, run_id: int) -> Run | None:
        """Return one run; None when the store does not hold it."""

    def run_ids_ending_in(self, suffix: str, limit: int = 3) -> list[int]:
        """Return run ids whose 13 characters end in this suffix, newest first; case and look-alikes do not matter."""

    def latest_run_id(self, job: str) -> int | None:
        """Return the newest run of a job; None when it has none."""

    def job_names(self, limit: int | None = None) -> list[str]:
        """Return the jobs that have runs, by name."""

    def runs_of_job(
        self,
        job: str,
        limit: int,
        *,
        completed: bool = False,
        before: datetime | None = None,
        completed_by: datetime | None = None,
    ) -> list[Run]:
        """Return the newest runs of a job that began before a moment, all or only the completed ones.

        `completed_by` leaves only those that had completed by that moment.
        """

    def runs_of_jobs(
        self,
        jobs: Collection[str],
        limit: int,
        *,
        completed: bool = False,
        before: datetime | None = None,
        completed_by: datetime | None = None,
    ) -> dict[str, list[Run]]:
        """Return the newest runs of each of these jobs, as `runs_of_job` does; [] for an unknown job."""

    def outlines_of_jobs(
        self, jobs: Collection[str], limit: int, *, before: datetime | None = None
    ) -> dict[str, list[RunOutline]]:
        """Return the newest runs of each of these jobs that began before a moment, newest first, in outline."""

    def outlines_since(self, moment: datetime, jobs: Collection[str] | None = None) -> list[RunOutline]:
        """Return the runs that ended at a moment or later, in outline and in no order: of these jobs, None for all."""

    def phases(self, run_ids: Sequence[int]) -> list[Phase]:
        """Return the phases of these runs by (run_id, position)."""

    def phase_samples(self, run_id: int) -> list[PhaseSample]:
        """Return how a run's phases went, by (phase, bucket)."""

    def endpoints(self, run_id: int) -> list[EndpointTotals]:
        """Return a run's requests by endpoint, most requests first."""

    def endpoints_of_runs(self, run_ids: Sequence[int]) -> list[EndpointTotals]:
        """Return the requests of several runs by endpoint, by run."""

    def endpoint_names(self, run_ids: Sequence[int]) -> dict[int, frozenset[str]]:
        """Return the endpoints that each of these runs requested; runs without requests are left out."""

    def latencies(self, run_ids: Sequence[int]) -> dict[int, dict[int, int]]:
        """Return the latency histogram (bucket → count) of each of these runs that made a request."""

    def series(self, run_id: int, since: int = 0) -> list[SeriesCell]:
        """Return a run's requests over time, in cells from `since` (seconds since 1970-01-01Z) on, by bucket."""

    def series_of_runs(
        self, run_ids: Sequence[int], since: int, *, until: int | None = None
    ) -> dict[int, list[SeriesCell]]:
        """Return the requests of several runs over time, in cells that begin in [since, until).

        Both are seconds since 1970-01-01Z; without `until` all later cells.
        """

    def series_of_jobs(
        self, runs: Mapping[str, Sequence[int]], since: int, until: int, *, step: int | None
    ) -> dict[str, list[SeriesCell]]:
        """Return the requests of groups of runs in cells that reach into [since, until), seconds since 1970-01-01Z.

        The cells of a group are added up to `step` seconds; with None all that lie inside become one.
        """

    def pauses_of_runs(self, run_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Return per run its longest pause between requests in seconds, and where its last busy cell begins.

        A pause is at least as long as a cell, since nothing finer is kept; the cell's beginning is in seconds since
        1970-01-01Z. A run without requests is left out.
        """

    def recent_traffic(self, run_ids: Sequence[int], since: int) -> dict[int, tuple[int, int]]:
        """Return (requests, items) per run in cells beginning at or after `since` (seconds since 1970-01-01Z).

        A run without such cells is left out.
        """

    def throughput(self, since: int, until: int, step: int) -> list[SeriesCell]:
        """Return the requests of all runs in cells that begin in [since, until), added up to `step` seconds.

        `step` is a multiple of 10. What is kept only in wider cells than a step is returned in those. Histograms may
        repeat a bucket. Raises ValueError for another step.
        """

    def runs_alive_at(self, moment: datetime, since: datetime, limit: int = 300) -> list[Run]:
        """Return the runs that had begun after `since` and not ended at a moment, newest first, as they are now."""

    def count_alive_at(self, moment: datetime, since: datetime) -> int:
        """Return how many these are without a limit."""

    def traffic_until(self, run_ids: Sequence[int], until: int) -> dict[int, Traffic]:
        """Return what these runs had requested in cells that had closed at `until` (seconds since 1970-01-01Z)."""

    def samples_until(self, run_ids: Sequence[int], until: int) -> list[PhaseSample]:
        """Return the last two samples of each phase of these runs whose buckets had begun by `until`, older first.

        `until` is in seconds since 1970-01-01Z. Two, since the newer one may have been renewed after that.
        """

    def errors_until(self, run_ids: Sequence[int], moment: datetime) -> dict[int, tuple[int, datetime]]:
        """Return how many errors these runs had recorded by a moment, and when the last of them was.

        Runs without any are left out.
        """

    def pages(self, run_id: int, limit: int = 50_000) -> list[Page]:
        """Return paged requests of one run by endpoint and offset: raw rows, so only on demand.

        Of more than `limit` any may be returned.
        """

    def requests(self, run_id: int, limit: int, *, after: tuple[int, int] = (0, 0)) -> list[RequestRecord]:
        """Return requests of one run by (writer_id, seq), those after that pair: raw rows, so only on demand."""

    def source_counts(self, run_id: int) -> list[SourceCount]:
        """Return a run's source counts by entity."""

    def errors(
        self, run_id: int | None = None, limit: int = 100, *, until: datetime | None = None
    ) -> list[ErrorRecord]:
        """Return the newest errors of a run, or of all runs, up to a moment."""

    def errors_of_jobs(self, jobs: Collection[str], limit: int, *, until: datetime | None = None) -> list[ErrorRecord]:
        """Return the newest errors of the runs of these jobs, up to a moment."""

    def count_errors(
        self,
        *,
        jobs: Collection[str] | None = None,
        fingerprints: Collection[str] | None = None,
        until: datetime | None = None,
    ) -> int:
        """Return how many errors of these kinds the runs of these jobs recorded, up to a moment; None: of all."""

    def errors_named(
        self, fingerprints: Sequence[str], limit: int = 100, *, until: datetime | None = None
    ) -> list[ErrorRecord]:
        """Return the newest errors of these kinds, of all runs, up to a moment."""

    def error_groups(
        self,
        since: datetime,
        limit: int = 100,
        *,
        before: datetime | None = None,
        jobs: Collection[str] | None = None,
    ) -> list[ErrorGroup]:
        """Return the errors since a moment, and before another, by kind, the newest kind first; None: of all jobs.

        Of more than ERRORS_COUNTED the newest are counted, and each group is marked `cut`.
        """

    def error_groups_named(
        self, kinds: Sequence[tuple[str, str]], *, before: datetime | None = None
    ) -> list[ErrorGroup]:
        """Return kinds of errors by job and fingerprint, over all time before a moment.

        Of more than ERRORS_OF_KIND_COUNTED of one kind, of fewer where many kinds are asked for, in SQLite of all jobs
        together, the newest are counted; its group is marked `cut`, and holds at least so many.
        """

    def ledger(self, run_id: int) -> list[WriterLedger]:
        """Return what each writer of a run emitted and what of it is stored."""

    def switches(self) -> list[Switch]:
        """Return the shared switches that were ever turned; none means on."""

    def audit(self, limit: int | None = 100, *, until: datetime | None = None) -> list[AuditEntry]:
        """Return the newest audit entries up to a moment, None for all of them."""


class Administration(Connection, Protocol):
    """The connection of a person who changes something; every change is audited."""

    def set_switch(self, *, enabled: bool, job: str | None, actor: str, reason: str) -> Switch:
        """Turn the shared switch of all jobs (job None) or of one."""

    def close_run(self, run_id: int, *, actor: str, reason: str) -> bool:
        """Mark a running run as abandoned; False when it is not running (compare-and-set)."""

    def plan_cleanup(
        self, days: int, *, cutoff: datetime | None = None, keep_last_success: bool = False
    ) -> CleanupPlan:
        """Return what a clean-up of finished runs that ended `days` or more days ago would remove.

        A cutoff is kept as it is given: so one counts again what was planned before.
        """

    def cleanup(
        self, days: int, *, actor: str, cutoff: datetime | None = None, keep_last_success: bool = False
    ) -> Iterator[int]:
        """Remove finished runs that ended before the cutoff (the planned one if given); yield the runs of each step."""


class Store(Protocol):
    """One place where runs are recorded."""

    @property
    def label(self) -> str:
        """Where it is, without credentials: fit for a screen or a log."""

    @property
    def kind(self) -> str:
        """`postgres` or `sqlite`."""

    def writer(self, deadline: float) -> Writer:
        """Connect for writing; `deadline` in seconds bounds the connecting and each operation."""

    def reader(self, deadline: float) -> Reader:
        """Connect for reading; `deadline` in seconds as for a writer."""

    def administration(self, deadline: float) -> Administration:
        """Connect for a person's changes; `deadline` in seconds bounds the connecting and each step."""

    def initialize(self) -> list[str]:
        """Create or upgrade the tables; return the names of the migrations applied. Safe to call at any time."""

    def migration_sql(self) -> str:
        """Return the SQL of all migrations, for an administrator to read or run."""
