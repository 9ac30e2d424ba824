"""Runs, phases and cells for the dashboard's tests, and a store that answers from them without a database.

Every builder fills in what a test does not care about. `FakeStore` counts the questions it is asked, and can fail.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from etlwatch.analysis.baseline import JobBaseline
from etlwatch.analysis.findings import Examined, Finding, findings_of
from tracking_core import histogram
from tracking_core.errors import StoreUnavailable
from tracking_core.identity import RUN_EPOCH_MS
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
    RunOutline,
    SeriesCell,
    SourceCount,
    Switch,
    Traffic,
    WriterLedger,
)
from tracking_core.store.dialect import COUNTED
from tracking_core.store.queries import Reader

NOW = datetime(2026, 10, 26, 2, 12, 44, tzinfo=UTC)
"""03:12:44 in Paris, the night of the drawn screens."""


def run_id_at(moment: datetime, number: int = 0) -> int:
    """Return a run id that sorts by this time."""
    return ((int(moment.timestamp() * 1000) - RUN_EPOCH_MS) << 22) | number


def make_run(
    job: str = "sync",
    *,
    minutes_ago: float = 10.0,
    lasted_s: float | None = None,
    status: str | None = None,
    state: str | None = None,
    number: int = 77_123,
    now: datetime = NOW,
    **fields: object,
) -> Run:
    """Return a run begun `minutes_ago`; `lasted_s` ends it (completed unless `status` says otherwise)."""
    started = now - timedelta(minutes=minutes_ago)
    ended = None if lasted_s is None else started + timedelta(seconds=lasted_s)
    stored = status or ("running" if ended is None else "completed")
    values: dict[str, object] = {
        "run_id": run_id_at(started, number),
        "job": job,
        "notes": None,
        "status": stored,
        "state": state or stored,
        "started_at": started,
        "ended_at": ended,
        "duration_s": (now - started).total_seconds() if lasted_s is None else lasted_s,
        "requests": 0,
        "items": 0,
        "failed_requests": 0,
        "throttled_requests": 0,
        "errors": 0,
        "host": "etl-03",
        "boot_id": "b0/4026531836",
        "pid": 4121,
        "user": "etl",
        "command": "python sync.py",
        "code_version": "7f3a91c",
        "heartbeat_at": now if ended is None else None,
        "progress_at": now if ended is None else ended,
        "heartbeat_interval_s": 10.0,
    }
    return Run(**(values | fields))  # type: ignore[arg-type]


def make_phase(run: Run, name: str, position: int, status: str = "completed", **counts: int) -> Phase:
    """Return a phase; `records=40, of_records=100` says 40 of 100."""
    counters: dict[str, dict[str, int]] = {}
    for key, value in counts.items():
        unit = key.removeprefix("of_")
        counters.setdefault(unit, {})["total" if key.startswith("of_") else "processed"] = value
    begun = None if status == "pending" else run.started_at + timedelta(seconds=position)
    ended = begun + timedelta(seconds=60) if begun and status in ("completed", "failed") else None
    return Phase(
        run_id=run.run_id, phase=name, position=position, status=status, started_at=begun, ended_at=ended,
        counters=counters,
    )  # fmt: skip


def make_error(run: Run, seq: int = 1, **fields: object) -> ErrorRecord:
    """Return an error of a run."""
    values: dict[str, object] = {
        "run_id": run.run_id,
        "writer_id": 1,
        "seq": seq,
        "at": run.started_at + timedelta(seconds=seq),
        "phase": "load",
        "error_type": "ValueError",
        "message": "time data '0000-00-00' does not match '%Y-%m-%d'",
        "traceback": 'Traceback (most recent call last):\n  File "load.py", line 88, in load\nValueError: time data\n',
        "fingerprint": "f1",
    }
    return ErrorRecord(**(values | fields))  # type: ignore[arg-type]


def packed(*durations_ms: int) -> tuple[int, ...]:
    """Return a packed latency histogram."""
    return tuple(histogram.pack(Counter(histogram.bucket_of(value) for value in durations_ms)))


def make_cell(bucket: int, width: int = 10, *, requests: int = 10, ms: int = 100, **fields: object) -> SeriesCell:
    """Return a cell of traffic, all of it answered 200 in `ms` unless said otherwise."""
    values: dict[str, object] = {
        "bucket": bucket,
        "width": width,
        "requests": requests,
        "items": requests * 10,
        "duration_ms": requests * ms,
        "status_2xx": requests,
        "histogram": (requests * 256 + histogram.bucket_of(ms),) if requests else (),
    }
    return SeriesCell(**(values | fields))  # type: ignore[arg-type]


def grouped(errors: Iterable[ErrorRecord], jobs: Mapping[int, str]) -> list[ErrorGroup]:
    """Return errors by kind, as a store answers: the newest kind first."""
    kinds: dict[tuple[str, str], list[ErrorRecord]] = {}
    for error in errors:
        kinds.setdefault((jobs.get(error.run_id, ""), error.fingerprint), []).append(error)
    groups = []
    for (job, fingerprint), members in kinds.items():
        newest = max(members, key=lambda error: error.at)
        groups.append(
            ErrorGroup(
                job=job,
                fingerprint=fingerprint,
                errors=len(members),
                runs=len({error.run_id for error in members}),
                first_at=min(error.at for error in members),
                last_at=newest.at,
                run_id=newest.run_id,
                phase=newest.phase,
                error_type=newest.error_type,
                message=newest.message,
            )
        )
    return sorted(groups, key=lambda group: group.last_at, reverse=True)


@dataclass
class FakeStore:
    """A store whose answers are lists; `failure` is raised instead of any answer while it is set."""

    runs: list[Run] = field(default_factory=list)
    phase_list: list[Phase] = field(default_factory=list)
    histograms: dict[int, dict[int, int]] = field(default_factory=dict)
    traffic: dict[int, tuple[int, int]] = field(default_factory=dict)
    cells: list[SeriesCell] = field(default_factory=list)
    error_list: list[ErrorRecord] = field(default_factory=list)
    switch_list: list[Switch] = field(default_factory=list)
    endpoint_list: list[EndpointTotals] = field(default_factory=list)
    run_cells: list[SeriesCell] = field(default_factory=list)
    """The cells of every run that has none in `series_lists`."""

    sample_list: list[PhaseSample] = field(default_factory=list)
    source_list: list[SourceCount] = field(default_factory=list)
    ledger_list: list[WriterLedger] = field(default_factory=list)
    series_lists: dict[int, list[SeriesCell]] = field(default_factory=dict)
    pauses: dict[int, dict[str, int]] = field(default_factory=dict)
    page_lists: dict[int, list[Page]] = field(default_factory=dict)
    clock: datetime = NOW
    failure: Exception | None = None
    asked: Counter[str] = field(default_factory=Counter)
    label: str = "prod"
    kind: str = "sqlite"
    readers: int = 0
    open_readers: int = 0

    def reader(self, deadline: float) -> FakeReader:
        if self.failure is not None:
            raise self.failure
        self.readers += 1
        self.open_readers += 1
        return FakeReader(self)

    def writer(self, deadline: float) -> object:
        raise AssertionError("the dashboard never writes")

    def administration(self, deadline: float) -> object:
        raise AssertionError("nothing was asked to be changed")

    def initialize(self) -> list[str]:
        raise AssertionError("the dashboard makes no tables")

    def migration_sql(self) -> str:
        raise AssertionError("the dashboard makes no tables")

    def break_down(self, message: str = "server closed the connection (57P01)") -> None:
        """Fail every question from now on."""
        self.failure = StoreUnavailable(message)

    def heal(self) -> None:
        """Answer again."""
        self.failure = None


def added_up(cells: Iterable[SeriesCell]) -> Traffic:
    """Return the counts of cells added up, as a store answers for a past moment."""
    own = list(cells)
    names = ("requests", "failed", "throttled", "items")
    return Traffic(**{name: sum(getattr(cell, name) for cell in own) for name in names})


def by_step(cells: Iterable[SeriesCell], step: int) -> list[SeriesCell]:
    """Return cells added up to `step` seconds, by bucket; a wider one stays as wide as it is."""
    groups: dict[tuple[int, int], list[SeriesCell]] = {}
    for cell in cells:
        wide = max(cell.width, step)
        groups.setdefault((cell.bucket - cell.bucket % wide, wide), []).append(cell)
    return [one_cell(own, bucket, width) for (bucket, width), own in sorted(groups.items())]


def one_cell(cells: Sequence[SeriesCell], bucket: int, width: int) -> SeriesCell:
    """Return cells as one."""
    counts = {name: sum(getattr(cell, name) for cell in cells) for name in COUNTED}
    packed = histogram.pack(histogram.merge(cell.histogram for cell in cells))
    return SeriesCell(bucket=bucket, width=width, histogram=tuple(packed), **counts)


def outline_of(run: Run) -> RunOutline:
    """Return a run in outline."""
    seconds = None if run.ended_at is None else run.duration_s
    return RunOutline(run.run_id, run.job, run.status, run.started_at, run.ended_at, seconds, run.requests)


class FakeReader(Reader):
    """One connection of a FakeStore."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store
        self._closed = False

    def _asked(self, question: str) -> FakeStore:
        if self._store.failure is not None:
            raise self._store.failure
        self._store.asked[question] += 1
        return self._store

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._store.open_readers -= 1

    @contextlib.contextmanager
    def one_view(self) -> Iterator[None]:
        self._asked("one_view")
        yield

    def now(self) -> datetime:
        return self._asked("now").clock

    def recent_runs(self, limit: int, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        runs = sorted(self._asked("recent_runs").runs, key=lambda run: (run.started_at, run.run_id), reverse=True)
        found = [run for run in runs if before is None or (run.started_at, run.run_id) < before][:limit]
        self._store.asked["runs read"] += len(found)
        return found

    def runs_in_status(
        self, statuses: Collection[str], limit: int, *, before: tuple[datetime, int] | None = None
    ) -> list[Run]:
        runs = sorted(self._asked("runs_in_status").runs, key=lambda run: (run.started_at, run.run_id), reverse=True)
        found = [run for run in runs if before is None or (run.started_at, run.run_id) < before]
        return [run for run in found if run.status in statuses][:limit]

    def count_live(self) -> int:
        return sum(run.status == "running" for run in self._asked("count_live").runs)

    def count_runs(
        self,
        *,
        jobs: Collection[str] | None = None,
        statuses: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        most: int | None = None,
    ) -> int:
        found = [
            run
            for run in sorted(self._asked("count_runs").runs, key=lambda run: run.started_at, reverse=True)
            if (jobs is None or run.job in jobs)
            and (since is None or run.started_at >= since)
            and (until is None or run.started_at <= until)
        ]
        return len(found) if statuses is None else sum(run.status in statuses for run in found[:most])

    def live_runs(self, limit: int | None = None, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        live = [
            run
            for run in self._asked("live_runs").runs
            if run.status == "running" and (before is None or (run.started_at, run.run_id) < before)
        ]
        return sorted(live, key=lambda run: (run.started_at, run.run_id), reverse=True)[:limit]

    def run(self, run_id: int) -> Run | None:
        return next((run for run in self._asked("run").runs if run.run_id == run_id), None)

    def run_ids_ending_in(self, suffix: str, limit: int = 3) -> list[int]:
        return [run.run_id for run in self._asked("suffix").runs if run.id.endswith(suffix)][:limit]

    def latest_run_id(self, job: str) -> int | None:
        return max((run.run_id for run in self._asked("latest").runs if run.job == job), default=None)

    def job_names(self, limit: int | None = None) -> list[str]:
        return sorted({run.job for run in self._asked("job_names").runs})[:limit]

    def runs_of_job(
        self,
        job: str,
        limit: int,
        *,
        completed: bool = False,
        before: datetime | None = None,
        completed_by: datetime | None = None,
    ) -> list[Run]:
        found = [
            run
            for run in self._asked("runs_of_job").runs
            if run.job == job
            and (run.status == "completed" or not (completed or completed_by))
            and (before is None or run.started_at < before)
            and (completed_by is None or (run.ended_at is not None and run.ended_at <= completed_by))
        ]
        return sorted(found, key=lambda run: (run.started_at, run.run_id), reverse=True)[:limit]

    def runs_of_jobs(
        self,
        jobs: Collection[str],
        limit: int,
        *,
        completed: bool = False,
        before: datetime | None = None,
        completed_by: datetime | None = None,
    ) -> dict[str, list[Run]]:
        self._asked("runs_of_jobs").asked["runs of jobs"] += len(jobs)
        options = {"completed": completed, "before": before, "completed_by": completed_by}
        found = {job: self.runs_of_job(job, limit, **options) for job in jobs}  # type: ignore[arg-type]
        self._store.asked["runs_of_job"] -= len(jobs)
        return found

    def outlines_of_jobs(
        self, jobs: Collection[str], limit: int, *, before: datetime | None = None
    ) -> dict[str, list[RunOutline]]:
        runs = self.runs_of_jobs(jobs, limit, before=before)
        return {job: [outline_of(run) for run in own] for job, own in runs.items()}

    def outlines_since(self, moment: datetime, jobs: Collection[str] | None = None) -> list[RunOutline]:
        ended = [
            run for run in self._asked("outlines_since").runs if run.ended_at is not None and run.ended_at >= moment
        ]
        return [outline_of(run) for run in ended if jobs is None or run.job in jobs]

    def endpoints_of_runs(self, run_ids: Sequence[int]) -> list[EndpointTotals]:
        return [totals for totals in self._asked("endpoints_of_runs").endpoint_list if totals.run_id in set(run_ids)]

    def endpoint_names(self, run_ids: Sequence[int]) -> dict[int, frozenset[str]]:
        found: dict[int, set[str]] = {}
        for totals in self._asked("endpoint_names").endpoint_list:
            if totals.run_id in run_ids:
                found.setdefault(totals.run_id, set()).add(totals.endpoint)
        return {run_id: frozenset(names) for run_id, names in found.items()}

    def series_of_runs(
        self, run_ids: Sequence[int], since: int, *, until: int | None = None
    ) -> dict[int, list[SeriesCell]]:
        lists = self._asked("series_of_runs").series_lists
        end = until or 2**62
        inside = {run_id: [cell for cell in lists.get(run_id, ()) if since <= cell.bucket < end] for run_id in run_ids}
        return {run_id: cells for run_id, cells in inside.items() if cells}

    def series_of_jobs(
        self, runs: Mapping[str, Sequence[int]], since: int, until: int, *, step: int | None
    ) -> dict[str, list[SeriesCell]]:
        lists, found = self._asked("series_of_jobs").series_lists, {}
        for job, own in runs.items():
            cells = [cell for run_id in own for cell in lists.get(run_id, ()) if since - 60 <= cell.bucket < until]
            inside = [cell for cell in cells if cell.bucket >= since and cell.bucket + cell.width <= until]
            whole = [one_cell(inside, since, until - since)] if inside else []
            across = [cell for cell in cells if cell not in inside]
            found[job] = across + whole if step is None else by_step(cells, step)
        return found

    def pauses_of_runs(self, run_ids: Sequence[int], *, until: int | None = None) -> dict[int, dict[str, int]]:
        pauses = self._asked("pauses_of_runs").pauses
        return {run_id: pauses[run_id] for run_id in run_ids if run_id in pauses}

    def runs_alive_at(self, moment: datetime, since: datetime, limit: int = 1000) -> list[Run]:
        runs = self._asked("runs_alive_at").runs
        found = [
            run for run in runs if since <= run.started_at <= moment and (run.ended_at is None or run.ended_at > moment)
        ]
        return sorted(found, key=lambda run: (run.started_at, run.run_id), reverse=True)[:limit]

    def count_alive_at(self, moment: datetime, since: datetime) -> int:
        return len(self.runs_alive_at(moment, since, len(self._asked("count_alive_at").runs)))

    def traffic_until(self, run_ids: Sequence[int], until: int) -> dict[int, Traffic]:
        lists = self._asked("traffic_until").series_lists
        cells = {
            run_id: [cell for cell in lists.get(run_id, ()) if cell.bucket + cell.width <= until] for run_id in run_ids
        }
        return {run_id: added_up(own) for run_id, own in cells.items() if own}

    def samples_until(self, run_ids: Sequence[int], until: int) -> list[PhaseSample]:
        found: dict[tuple[int, str], list[PhaseSample]] = {}
        samples = self._asked("samples_until").sample_list
        for each in sorted(samples, key=lambda sample: (sample.run_id, sample.phase, sample.bucket)):
            if each.run_id in set(run_ids) and each.bucket <= until:
                found.setdefault((each.run_id, each.phase), []).append(each)
        return [sample for samples in found.values() for sample in samples[-2:]]

    def errors_until(self, run_ids: Sequence[int], moment: datetime) -> dict[int, tuple[int, datetime]]:
        errors = [error for error in self._asked("errors_until").error_list if error.at <= moment]
        moments = {run_id: [error.at for error in errors if error.run_id == run_id] for run_id in run_ids}
        return {run_id: (len(found), max(found)) for run_id, found in moments.items() if found}

    def error_groups(
        self,
        since: datetime,
        limit: int = 100,
        *,
        before: datetime | None = None,
        jobs: Collection[str] | None = None,
    ) -> list[ErrorGroup]:
        store = self._asked("error_groups")
        of = {run.run_id: run.job for run in store.runs if jobs is None or run.job in jobs}
        taken = (each for each in store.error_list if since <= each.at and (before is None or each.at < before))
        groups = grouped([each for each in taken if jobs is None or each.run_id in of], of)
        return [replace(group, kinds=len(groups)) for group in groups[:limit]]

    def error_groups_named(
        self, kinds: Sequence[tuple[str, str]], *, before: datetime | None = None
    ) -> list[ErrorGroup]:
        store = self._asked("error_groups_named")
        jobs = {run.run_id: run.job for run in store.runs}
        taken = (each for each in store.error_list if before is None or each.at < before)
        return [group for group in grouped(taken, jobs) if group.key in set(kinds)]

    def phases(self, run_ids: Sequence[int]) -> list[Phase]:
        store = self._asked("phases")
        store.asked["phases of runs"] += len(run_ids)
        wanted = set(run_ids)
        return [phase for phase in store.phase_list if phase.run_id in wanted]

    def phase_samples(self, run_id: int) -> list[PhaseSample]:
        return [sample for sample in self._asked("phase_samples").sample_list if sample.run_id == run_id]

    def endpoints(self, run_id: int) -> list[EndpointTotals]:
        return [totals for totals in self._asked("endpoints").endpoint_list if totals.run_id == run_id]

    def latencies(self, run_ids: Sequence[int]) -> dict[int, dict[int, int]]:
        store = self._asked("latencies")
        store.asked["latencies of runs"] += len(run_ids)
        return {run_id: store.histograms[run_id] for run_id in run_ids if run_id in store.histograms}

    def series(self, run_id: int, since: int = 0) -> list[SeriesCell]:
        store = self._asked("series")
        found = [cell for cell in store.series_lists.get(run_id, store.run_cells) if cell.bucket >= since]
        self._store.asked["cells read"] += len(found)
        return found

    def recent_traffic(self, run_ids: Sequence[int], since: int) -> dict[int, tuple[int, int]]:
        store = self._asked("recent_traffic")
        since_then = self.series_of_runs(run_ids, since)
        found = {run_id: added_up(cells) for run_id, cells in since_then.items()}
        added = {run_id: (traffic.requests, traffic.items) for run_id, traffic in found.items()}
        return added | {run_id: store.traffic[run_id] for run_id in run_ids if run_id in store.traffic}

    def throughput(self, since: int, until: int, step: int) -> list[SeriesCell]:
        assert step % 10 == 0
        assert since % 10 == 0
        return by_step((cell for cell in self._asked("throughput").cells if since <= cell.bucket < until), step)

    def pages(self, run_id: int, limit: int = 50_000) -> list[Page]:
        return self._asked("pages").page_lists.get(run_id, [])[:limit]

    def requests(self, run_id: int, limit: int, *, after: tuple[int, int] = (0, 0)) -> list[RequestRecord]:
        raise AssertionError("raw requests are read for bundles alone")

    def source_counts(self, run_ids: Sequence[int]) -> list[SourceCount]:
        return [count for count in self._asked("source_counts").source_list if count.run_id in run_ids]

    def runs_with_holes(self, run_ids: Sequence[int]) -> list[int]:
        return []

    def errors(
        self, run_id: int | None = None, limit: int = 100, *, until: datetime | None = None
    ) -> list[ErrorRecord]:
        errors = [
            error
            for error in self._asked("errors").error_list
            if (run_id is None or error.run_id == run_id) and (until is None or error.at <= until)
        ]
        found = sorted(errors, key=lambda error: error.at, reverse=True)[:limit]
        self._store.asked["errors read"] += len(found)
        return found

    def errors_of_jobs(self, jobs: Collection[str], limit: int, *, until: datetime | None = None) -> list[ErrorRecord]:
        of_jobs = {run.run_id for run in self._asked("errors_of_jobs").runs if run.job in jobs}
        return [error for error in self.errors(None, 2**31, until=until) if error.run_id in of_jobs][:limit]

    def errors_named(
        self, fingerprints: Sequence[str], limit: int = 100, *, until: datetime | None = None
    ) -> list[ErrorRecord]:
        found = self.errors(None, 2**31, until=until)
        return [error for error in found if error.fingerprint in fingerprints][:limit]

    def count_errors(
        self,
        *,
        jobs: Collection[str] | None = None,
        fingerprints: Collection[str] | None = None,
        until: datetime | None = None,
    ) -> int:
        of_jobs = {run.run_id for run in self._asked("count_errors").runs if jobs is None or run.job in jobs}
        found = self.errors(None, 2**31, until=until)
        named = [error for error in found if fingerprints is None or error.fingerprint in fingerprints]
        return sum(jobs is None or error.run_id in of_jobs for error in named)

    def ledger(self, run_id: int) -> list[WriterLedger]:
        return [entry for entry in self._asked("ledger").ledger_list if entry.run_id == run_id]

    def switches(self) -> list[Switch]:
        return list(self._asked("switches").switch_list)

    def audit(self, limit: int | None = 100, *, until: datetime | None = None) -> list[AuditEntry]:
        return []


def found_in(run: Run, baseline: JobBaseline, *, now: datetime, **more: Any) -> tuple[Finding, ...]:
    """Return the findings of a run; `more` are other fields of what is examined."""
    return findings_of(Examined(run=run, baseline=baseline, now=now, **more))
