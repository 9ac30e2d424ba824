"""The queries of a store, for both dialects: parameters in, records out.

Each is a block of sql/reads.sql. How a block is run, and in which transaction, is in the connections of each dialect.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from operator import attrgetter
from typing import Any

from tracking_core import histogram
from tracking_core.clock import EPOCH
from tracking_core.histogram import percentile
from tracking_core.identity import ID_LENGTH, MAX_RUN_ID, parse_run_id
from tracking_core.records import (
    AuditEntry,
    EndpointTotals,
    ErrorGroup,
    ErrorRecord,
    Page,
    Phase,
    PhaseSample,
    RequestRecord,
    Run,
    RunMetrics,
    RunOutline,
    SeriesCell,
    SourceCount,
    Switch,
    Traffic,
    WriterLedger,
)
from tracking_core.store import sql_files
from tracking_core.store.base import Connection
from tracking_core.store.dialect import Dialect, Rows, RunRecords, cells_of_step, cells_within

_BITS_A_CHARACTER = 5
_BY_START = attrgetter("started_at", "run_id")
FINEST_STEP_S = 10
"""The narrowest cell of all runs together; steps are multiples of it."""

WIDEST_OF_RUN_S = 60
"""The widest cell of a run: one that begins so long before a stretch may reach into it."""

ERRORS_COUNTED = 100_000
"""Errors of all runs that are counted by kind, the newest: what a storm left is read within a tenth of a second."""

ERRORS_OF_KIND_COUNTED = 10_000
"""Errors of one kind that are counted over all time, the newest; of many kinds fewer: ERRORS_COUNTED of all."""

LEAST_OF_KIND_COUNTED = 500


class Reader(Connection, Dialect):
    """A connection that only reads, in read-only transactions; each question raises StoreError without an answer."""

    behind_s: float | None = None
    """How many seconds a standby was behind its primary at the last `now()`; None where the store is none."""

    def __init__(self) -> None:
        self._records = RunRecords(self.forms)

    def _blocks_for_schema(self, label: str) -> dict[str, str]:
        """Return the blocks of queries for the version of the store's tables; SchemaNewer when that is too new."""
        dialect = self.forms.dialect
        newest, known = self._ask("newest_version").value(), sql_files.migrations(dialect)[-1].version
        sql_files.check_readable(newest, known, label)
        version = newest if newest < known else None
        return {**sql_files.blocks(dialect, "reads", version), **sql_files.blocks(dialect, "raw", version)}

    def _ask(self, block: str, **parameters: object) -> Rows:
        """Return the rows of a block of reads.sql, read in a read-only transaction within the deadline."""
        raise NotImplementedError

    @abstractmethod
    def one_view(self) -> AbstractContextManager[None]:
        """Let all queries inside the block see one moment of the store."""

    def now(self) -> datetime:
        """Return the store's clock; on a standby that is behind, the time of the newest data that it has."""
        (found,) = self._ask("now", now=self._now()).by_name()
        moment = self.forms.moment(found["moment"])
        behind = (self.forms.moment(found["clock"]) - moment).total_seconds()
        self.behind_s = max(0.0, behind) if found["standby"] else None
        return moment

    def recent_runs(self, limit: int, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        """Return the newest runs by (started_at, run_id); with `before`, those older than that pair."""
        return self._runs("recent_runs", limit=max(limit, 0), **self._place(before))

    def runs_in_status(
        self, statuses: Collection[str], limit: int, *, before: tuple[datetime, int] | None = None
    ) -> list[Run]:
        """Return the newest runs in these stored states, newest first; with `before`, those older than that pair."""
        wanted = self._list(sorted(statuses))
        return self._runs("runs_in_status", statuses=wanted, limit=max(limit, 0), **self._place(before))

    def live_runs(self, limit: int | None = None, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        """Return the runs whose stored status is running, newest first; with `before`, those older than that pair."""
        return self._runs("live_runs", limit=_at_most(limit), **self._place(before))

    def count_live(self) -> int:
        """Return how many runs have the stored status running."""
        return int(self._ask("count_live").value(0))

    def count_runs(
        self,
        *,
        jobs: Collection[str] | None = None,
        statuses: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        most: int | None = None,
    ) -> int:
        """Return how many runs of these jobs, in these stored states, began in [since, until]; None: any.

        With states only the newest `most` of the others are looked at.
        """
        stretch = {"since": self._moment(since or EPOCH), "moment": self._moment_or_none(until)}
        given = {"jobs": self._list_or_none(jobs), **stretch}
        if statuses is None:
            return int(self._ask("count_runs", **given).value(0))
        states = self._list(sorted(statuses))
        return int(self._ask("count_runs_in_status", **given, statuses=states, most=_at_most(most)).value(0))

    def run(self, run_id: int) -> Run | None:
        """Return one run; None when the store does not hold it."""
        found = self._runs("run", run_id=run_id) if _possible(run_id) else []
        return found[0] if found else None

    def run_ids_ending_in(self, suffix: str, limit: int = 3) -> list[int]:
        """Return run ids whose 13 characters end in this suffix, newest first; case and look-alikes do not matter."""
        letters = suffix.strip().replace("-", "")
        if not 0 < len(letters) <= ID_LENGTH:
            return []
        try:
            bits = parse_run_id(letters.rjust(ID_LENGTH, "0"))
        except ValueError:
            return []
        mask = min((1 << _BITS_A_CHARACTER * len(letters)) - 1, MAX_RUN_ID)
        return self._ask("run_ids_ending_in", mask=mask, bits=bits, limit=max(limit, 0)).column("run_id")

    def latest_run_id(self, job: str) -> int | None:
        """Return the newest run of a job; None when it has none."""
        return self._ask("latest_run_id", job=job).value()  # type: ignore[no-any-return]

    def job_names(self, limit: int | None = None) -> list[str]:
        """Return the jobs that have runs, by name."""
        return self._ask("job_names", limit=_at_most(limit)).column("job")

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
        return self._runs(
            "runs_of_job",
            job=job,
            completed=completed or completed_by is not None,
            before_at=self._moment_or_none(before),
            moment=self._moment_or_none(completed_by),
            limit=max(limit, 0),
        )

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
        found: dict[str, list[Run]] = {job: [] for job in jobs}
        if found:
            runs = self._runs(
                "runs_of_jobs",
                jobs=self._list(list(found)),
                completed=completed or completed_by is not None,
                before_at=self._moment_or_none(before),
                moment=self._moment_or_none(completed_by),
                limit=max(limit, 0),
            )
            for run in sorted(runs, key=_BY_START, reverse=True):
                found[run.job].append(run)
        return found

    def outlines_of_jobs(
        self, jobs: Collection[str], limit: int, *, before: datetime | None = None
    ) -> dict[str, list[RunOutline]]:
        """Return the newest runs of each of these jobs that began before a moment, newest first, in outline."""
        found: dict[str, list[RunOutline]] = {job: [] for job in jobs}
        if found:
            given = self._list(list(found))
            before_at = self._moment_or_none(before)
            answer = self._ask("outlines_of_jobs", jobs=given, before_at=before_at, limit=max(limit, 0))
            for one in sorted(answer.records(RunOutline, self.forms), key=_BY_START, reverse=True):
                found[one.job].append(one)
        return found

    def outlines_since(self, moment: datetime, jobs: Collection[str] | None = None) -> list[RunOutline]:
        """Return the runs that ended at a moment or later, in outline and in no order: of these jobs, None for all."""
        answer = self._ask("outlines_since", moment=self._moment(moment), jobs=self._list_or_none(jobs))
        return answer.records(RunOutline, self.forms)

    def phases(self, run_ids: Sequence[int]) -> list[Phase]:
        """Return the phases of these runs by (run_id, position)."""
        return self._ask_of_runs("phases", run_ids).records(Phase, self.forms)

    def phase_samples(self, run_id: int) -> list[PhaseSample]:
        """Return how a run's phases went, by (phase, bucket)."""
        return self._ask_of_run("phase_samples", run_id).records(PhaseSample, self.forms)

    def endpoints(self, run_id: int) -> list[EndpointTotals]:
        """Return a run's requests by endpoint, most requests first."""
        return self._ask_of_run("endpoints", run_id).records(EndpointTotals, self.forms)

    def endpoints_of_runs(self, run_ids: Sequence[int]) -> list[EndpointTotals]:
        """Return the requests of several runs by endpoint, by run."""
        return self._ask_of_runs("endpoints_of_runs", run_ids).records(EndpointTotals, self.forms)

    def endpoint_names(self, run_ids: Sequence[int]) -> dict[int, frozenset[str]]:
        """Return the endpoints that each of these runs requested; runs without requests are left out."""
        found: dict[int, set[str]] = {}
        for run_id, endpoint in self._ask_of_runs("endpoint_names", run_ids):
            found.setdefault(run_id, set()).add(endpoint)
        return {run_id: frozenset(names) for run_id, names in found.items()}

    def latencies(self, run_ids: Sequence[int]) -> dict[int, dict[int, int]]:
        """Return the latency histogram (bucket → count) of each of these runs that made a request."""
        found: dict[int, list[dict[str, Any]]] = {}
        for row in self._ask_of_runs("latencies", run_ids).by_name():
            found.setdefault(row["run_id"], []).append(row)
        return {
            run_id: histogram.Latencies(
                histogram.unpack(self.forms.joined([row["histogram"] for row in of_run])),
                max_ms=max(row["max_ms"] for row in of_run),
                total_ms=sum(row["duration_ms"] for row in of_run),
            )
            for run_id, of_run in found.items()
        }

    def series(self, run_id: int, since: int = 0) -> list[SeriesCell]:
        """Return a run's requests over time, in cells from `since` (seconds since 1970-01-01Z) on, by bucket."""
        return self._ask_of_run("series", run_id, since=since).records(SeriesCell, self.forms)

    def series_of_runs(
        self, run_ids: Sequence[int], since: int, *, until: int | None = None
    ) -> dict[int, list[SeriesCell]]:
        """Return the requests of several runs over time, in cells that begin in [since, until).

        Both are seconds since 1970-01-01Z; without `until` all later cells.
        """
        found: dict[int, list[SeriesCell]] = {}
        answer = self._ask_of_runs("series_of_runs", run_ids, since=since, until=until)
        for run_id, cell in zip(answer.column("run_id"), answer.records(SeriesCell, self.forms), strict=True):
            found.setdefault(run_id, []).append(cell)
        return found

    def series_of_jobs(
        self, runs: Mapping[str, Sequence[int]], since: int, until: int, *, step: int | None
    ) -> dict[str, list[SeriesCell]]:
        """Return the requests of groups of runs in cells that reach into [since, until), seconds since 1970-01-01Z.

        The cells of a group are added up to `step` seconds; with None all that lie inside become one.
        """
        job_of = {run_id: job for job, own in runs.items() for run_id in own}
        answer = self._ask_of_runs("series_of_runs", list(job_of), since=since - WIDEST_OF_RUN_S, until=until)
        found = {job: Rows(names=answer.names) for job in runs}
        for run_id, row in zip(answer.column("run_id"), answer, strict=True):
            found[job_of[run_id]].append(row)
        if step is None:
            return {job: cells_within(own, since, until, self.forms) for job, own in found.items()}
        return {job: cells_of_step(own, step, self.forms) for job, own in found.items()}

    def pauses_of_runs(self, run_ids: Sequence[int], *, until: int | None = None) -> dict[int, dict[str, int]]:
        """Return per run and phase its longest pause in seconds between updates, requests, its start and its end.

        Phase '' is the run as a whole. `until` leaves out what came later (seconds since 1970-01-01Z). A phase that has
        not ended has one only between updates and requests. Between requests they are as exact as cells are narrow.
        """
        found: dict[int, dict[str, int]] = {}
        for row in self._ask_of_runs("pauses_of_runs", run_ids, until=until).by_name():
            found.setdefault(row["run_id"], {})[row["phase"]] = row["pause"]
        return found

    def recent_traffic(self, run_ids: Sequence[int], since: int) -> dict[int, tuple[int, int]]:
        """Return (requests, items) per run in cells beginning at or after `since` (seconds since 1970-01-01Z).

        A run without such cells is left out.
        """
        found = self._ask_of_runs("recent_traffic", run_ids, since=since).by_name()
        return {row["run_id"]: (row["requests"], row["items"]) for row in found}

    def throughput(self, since: int, until: int, step: int) -> list[SeriesCell]:
        """Return the requests of all runs in cells that begin in [since, until), added up to `step` seconds.

        `step` is a multiple of 10. What is kept only in wider cells than a step is returned in those. Histograms may
        repeat a bucket. Raises ValueError for another step.
        """
        if step < FINEST_STEP_S or step % FINEST_STEP_S:
            raise ValueError(f"a step is a multiple of {FINEST_STEP_S} seconds; given: {step}")
        return cells_of_step(self._ask("throughput", since=since, until=until), step, self.forms)

    def runs_alive_at(self, moment: datetime, since: datetime, limit: int = 300) -> list[Run]:
        """Return the runs that had begun after `since` and not ended at a moment, newest first, as they are now."""
        return self._runs("runs_alive_at", moment=self._moment(moment), since=self._moment(since), limit=max(limit, 0))

    def count_alive_at(self, moment: datetime, since: datetime) -> int:
        """Return how many these are without a limit."""
        return int(self._ask("count_alive_at", moment=self._moment(moment), since=self._moment(since)).value(0))

    def traffic_until(self, run_ids: Sequence[int], until: int) -> dict[int, Traffic]:
        """Return what these runs had requested in cells that had closed at `until` (seconds since 1970-01-01Z)."""
        found = self._ask_of_runs("traffic_until", run_ids, until=until)
        return dict(zip(found.column("run_id"), found.records(Traffic, self.forms), strict=True))

    def samples_until(self, run_ids: Sequence[int], until: int) -> list[PhaseSample]:
        """Return the last two samples of each phase of these runs whose buckets had begun by `until`, older first.

        `until` is in seconds since 1970-01-01Z. Two, since the newer one may have been renewed after that.
        """
        return self._ask_of_runs("samples_until", run_ids, until=until).records(PhaseSample, self.forms)

    def errors_until(self, run_ids: Sequence[int], moment: datetime) -> dict[int, tuple[int, datetime]]:
        """Return how many errors these runs had recorded by a moment, and when the last of them was.

        Runs without any are left out.
        """
        found = self._ask_of_runs("errors_until", run_ids, moment=self._moment(moment)).by_name()
        return {row["run_id"]: (row["errors"], self.forms.moment(row["at"])) for row in found}

    def pages(self, run_id: int, limit: int = 50_000) -> list[Page]:
        """Return paged requests of one run by endpoint and offset: raw rows, so only on demand.

        Of more than `limit` any may be returned.
        """
        found = self._ask_of_run("pages", run_id, limit=max(limit, 0))
        places = [found.column(name) for name in ("endpoint", "page_offset", "seq")]
        in_order = sorted(zip(*places, range(len(found)), strict=True))
        return Rows([found[place] for *_, place in in_order], found.names).records(Page, self.forms)

    def requests(self, run_id: int, limit: int, *, after: tuple[int, int] = (0, 0)) -> list[RequestRecord]:
        """Return requests of one run by (writer_id, seq), those after that pair: raw rows, so only on demand."""
        writer_id, seq = after
        found = self._ask_of_run("requests", run_id, writer_id=writer_id, seq=seq, limit=max(limit, 0))
        return found.records(RequestRecord, self.forms)

    def source_counts(self, run_ids: Sequence[int]) -> list[SourceCount]:
        """Return the source counts of these runs by (run_id, entity)."""
        return self._ask_of_runs("source_counts", run_ids).records(SourceCount, self.forms)

    def runs_with_holes(self, run_ids: Sequence[int]) -> list[int]:
        """Return those of these runs whose pages may have holes: their raw rows are counted, so only on demand."""
        return list(self._ask_of_runs("runs_with_holes", run_ids).column("run_id"))

    def errors(
        self, run_id: int | None = None, limit: int = 100, *, until: datetime | None = None
    ) -> list[ErrorRecord]:
        """Return the newest errors of a run, or of all runs, up to a moment."""
        limit, moment = max(limit, 0), self._moment_or_none(until)
        if run_id is None:
            found = self._ask("errors", limit=limit, moment=moment)
        else:
            found = self._ask_of_run("errors_of_run", run_id, limit=limit, moment=moment)
        return found.records(ErrorRecord, self.forms)

    def errors_of_jobs(self, jobs: Collection[str], limit: int, *, until: datetime | None = None) -> list[ErrorRecord]:
        """Return the newest errors of the runs of these jobs, up to a moment."""
        if not jobs:
            return []
        wanted, moment = self._list(sorted(jobs)), self._moment_or_none(until)
        found = self._ask("errors_of_jobs", jobs=wanted, moment=moment, limit=max(limit, 0))
        return found.records(ErrorRecord, self.forms)

    def count_errors(
        self,
        *,
        jobs: Collection[str] | None = None,
        fingerprints: Collection[str] | None = None,
        until: datetime | None = None,
    ) -> int:
        """Return how many errors of these kinds the runs of these jobs recorded, up to a moment; None: of all."""
        found = self._ask(
            "count_errors",
            jobs=self._list_or_none(jobs),
            fingerprints=self._list_or_none(fingerprints),
            moment=self._moment_or_none(until),
        )
        return int(found.value(0))

    def errors_named(
        self, fingerprints: Sequence[str], limit: int = 100, *, until: datetime | None = None
    ) -> list[ErrorRecord]:
        """Return the newest errors of these kinds, of all runs, up to a moment."""
        if not fingerprints:
            return []
        wanted, moment = self._list(sorted(set(fingerprints))), self._moment_or_none(until)
        found = self._ask("errors_named", fingerprints=wanted, moment=moment, limit=max(limit, 0))
        return found.records(ErrorRecord, self.forms)

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
        found = self._ask(
            "error_groups",
            jobs=self._list_or_none(jobs),
            since=self._moment(since),
            before_at=self._moment_or_none(before),
            most=ERRORS_COUNTED + 1,
            limit=max(limit, 0),
        )
        return found.records(ErrorGroup, self.forms)

    def error_groups_named(
        self, kinds: Sequence[tuple[str, str]], *, before: datetime | None = None
    ) -> list[ErrorGroup]:
        """Return kinds of errors by job and fingerprint, over all time before a moment.

        Of more than ERRORS_OF_KIND_COUNTED of one kind, of fewer where many kinds are asked for, of all jobs together,
        the newest are counted; its group is marked `cut`, and holds at least so many.
        """
        if not kinds:
            return []
        jobs, fingerprints = map(list, zip(*sorted(set(kinds)), strict=True))
        found = self._ask(
            "error_groups_named",
            jobs=self._list(jobs),
            fingerprints=self._list(fingerprints),
            before_at=self._moment_or_none(before),
            most=min(ERRORS_OF_KIND_COUNTED, max(ERRORS_COUNTED // len(jobs), LEAST_OF_KIND_COUNTED)) + 1,
        )
        return found.records(ErrorGroup, self.forms)

    def ledger(self, run_id: int) -> list[WriterLedger]:
        """Return what each writer of a run emitted and what of it is stored."""
        return self._ask_of_run("ledger", run_id).records(WriterLedger, self.forms)

    def switches(self) -> list[Switch]:
        """Return the shared switches that were ever turned; none means on."""
        return self._ask("switches").records(Switch, self.forms)

    def audit(self, limit: int | None = 100, *, until: datetime | None = None) -> list[AuditEntry]:
        """Return the newest audit entries up to a moment, None for all of them."""
        found = self._ask("audit", limit=_at_most(limit), moment=self._moment_or_none(until))
        return found.records(AuditEntry, self.forms)

    def _runs(self, block: str, **parameters: object) -> list[Run]:
        return self._records.of(self._ask(block, now=self._now(), **parameters))

    def _place(self, before: tuple[datetime, int] | None) -> dict[str, object]:
        at, run_id = (None, None) if before is None else (self._moment(before[0]), before[1])
        return {"before_at": at, "before_id": run_id}

    def _list_or_none(self, texts: Collection[str] | None) -> object:
        return None if texts is None else self._list(sorted(texts))

    def _moment_or_none(self, moment: datetime | None) -> object:
        return None if moment is None else self._moment(moment)

    def _ask_of_run(self, block: str, run_id: int, **parameters: object) -> Rows:
        return self._ask(block, run_id=run_id, **parameters) if _possible(run_id) else Rows()

    def _ask_of_runs(self, block: str, run_ids: Sequence[int], **parameters: object) -> Rows:
        possible = sorted({run_id for run_id in run_ids if _possible(run_id)})
        return self._ask(block, run_ids=self._list(possible), **parameters) if possible else Rows()


def _at_most(limit: int | None) -> int:
    return MAX_RUN_ID if limit is None else max(limit, 0)


def _possible(run_id: int) -> bool:
    # A number beyond 64 bits would be compared as a decimal: no index helps then.
    return 0 < run_id <= MAX_RUN_ID


def metrics_of(reader: Reader, run_id: int) -> RunMetrics | None:
    """Return a run's request figures, all of one moment; None for an unknown run."""
    with reader.one_view():
        run = reader.run(run_id)
        if run is None:
            return None
        duration_ms = sum(endpoint.duration_ms for endpoint in reader.endpoints(run_id))
        latencies = reader.latencies([run_id]).get(run_id, {})
    return RunMetrics(
        run_id=run_id,
        total_requests=run.requests,
        total_items=run.items,
        total_duration_ms=duration_ms,
        error_count=run.failed_requests,
        throttle_count=run.throttled_requests,
        p50_ms=percentile(latencies, 0.50) or 0.0,
        p95_ms=percentile(latencies, 0.95) or 0.0,
        p99_ms=percentile(latencies, 0.99) or 0.0,
    )
