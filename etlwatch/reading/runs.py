"""Runs that fit a query, found in the store however old they are: for commands, which list more than a screen does."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from etlwatch.analysis.filter import Filter, matches_job
from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.states import LIVING
from etlwatch.analysis.thresholds import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.fields.runs import row_of, run_passes
from etlwatch.reading.health import HealthReader
from tracking_core.dataclass import dataclass
from tracking_core.records import Run
from tracking_core.store.base import Reader

PAGE: Final = 500
"""Runs read at a time."""

JOBS_ONE_BY_ONE: Final = 100
"""Jobs whose own newest runs are read; of more the newest of all jobs are looked through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs are asked for."""

    limit: int = 20
    jobs: tuple[str, ...] = ()
    """Names or patterns (`sync*`); a run of any of them is meant, with none a run of any job."""

    states: frozenset[str] = frozenset()
    since: timedelta | None = None
    """How long ago a run may have begun, on the store's clock."""

    filter: Filter[RunRow] = Filter()
    """The same in the dashboard's words; both hold."""

    @property
    def narrow(self) -> bool:
        """Whether runs are passed over, so that more of them have to be read than are listed."""
        return bool(self.states or self.filter)

    @property
    def living(self) -> bool:
        """Whether a run that nobody has ended may be asked for."""
        asked = [states for states in (self.states or None, self.filter.states) if states is not None]
        return all(states & LIVING for states in asked)

    def oldest(self, now: datetime) -> datetime | None:
        """Return the moment before which no run that is asked for has begun."""
        bounds = (None if self.since is None else now - self.since, self.filter.oldest(now))
        return max((bound for bound in bounds if bound is not None), default=None)

    def takes(self, run: Run, now: datetime, endpoints: Collection[str] | None = None) -> bool:
        """Return whether a run is asked for; `now` is the store's clock, `endpoints` those it asked if known."""
        return (
            (not self.states or run.state in self.states)
            and matches_job(run.job, self.jobs)
            and run_passes(self.filter, row_of(run), now, endpoints)
        )


def find_runs(reader: Reader, query: RunQuery, *, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Iterator[Run]:
    """Yield the runs that are asked for, newest first, in their derived states, reading no further than it has to."""
    now = reader.now()
    living = reader.live_runs() if query.living else []
    runs: Iterable[Run]
    if query.states and query.states <= LIVING:
        runs = living
    else:
        runs = _stored(reader, query)
        if not query.narrow:
            # Only what will be printed is held against its baseline.
            runs = list(islice(asked_for(reader, runs, query, now), query.limit))
    jobs = {run.job for run in (living if query.narrow else runs) if matches_job(run.job, query.jobs)}
    health = HealthReader(thresholds=thresholds).read_briefly(reader, living, now=now, jobs=jobs)
    derived = {run.run_id: run for run in health.runs}
    runs = (derived.get(run.run_id, run) for run in runs)
    yield from islice(asked_for(reader, runs, query, now), query.limit)


def _stored(reader: Reader, query: RunQuery) -> Iterator[Run]:
    """Yield runs that may be asked for, newest first, as they are stored."""
    # A state that is derived is stored as running.
    statuses = frozenset("running" if state in LIVING else state for state in query.states)
    size = PAGE if query.narrow else min(query.limit, PAGE)
    jobs = [job for job in reader.job_names() if matches_job(job, query.jobs)] if query.jobs else []
    if query.jobs and len(jobs) <= JOBS_ONE_BY_ONE:
        pages = [_newest_of(reader, job, page, query.limit) for job, page in _first_pages(reader, jobs, query.limit)]
        return heapq.merge(*pages, key=lambda run: (run.started_at, run.run_id), reverse=True)
    return _newest(reader, size, statuses)


def _first_pages(reader: Reader, jobs: Collection[str], size: int) -> Iterable[tuple[str, list[Run]]]:
    return reader.runs_of_jobs(jobs, min(size, PAGE)).items()


def asked_for(reader: Reader, runs: Iterable[Run], query: RunQuery, now: datetime) -> Iterator[Run]:
    """Yield those of runs, newest first, that are asked for."""
    oldest = query.oldest(now)
    for run, endpoints in _with_endpoints(reader, runs, query):
        if oldest is not None and run.started_at < oldest:
            return
        if query.takes(run, now, endpoints):
            yield run


def _with_endpoints(
    reader: Reader, runs: Iterable[Run], query: RunQuery
) -> Iterator[tuple[Run, frozenset[str] | None]]:
    """Yield runs with the endpoints they asked, a page at a time; None where the filter does not name any."""
    left = iter(runs)
    while page := list(islice(left, PAGE if query.filter.endpoints else 1)):
        names = reader.endpoint_names([run.run_id for run in page]) if query.filter.endpoints else None
        yield from ((run, None if names is None else names.get(run.run_id, frozenset())) for run in page)


def _newest_of(reader: Reader, job: str, page: list[Run], size: int) -> Iterator[Run]:
    """Yield the runs of a job, newest first, of which the first page has been read."""
    size = min(size, PAGE)
    seen: set[int] = set()
    while True:
        new = [run for run in page if run.run_id not in seen]
        yield from new
        if len(page) < size:
            return
        # Runs of one job may begin in the same microsecond: the next page begins with that moment once more, and is
        # wider where that moment filled a page.
        seen = {run.run_id for run in page}
        size = PAGE if new else 2 * size
        page = reader.runs_of_job(job, size, before=page[-1].started_at + timedelta(microseconds=1))


def _newest(reader: Reader, size: int, statuses: Collection[str]) -> Iterator[Run]:
    before: tuple[datetime, int] | None = None
    while True:
        if statuses:
            page = reader.runs_in_status(statuses, size, before=before)
        else:
            page = reader.recent_runs(size, before=before)
        yield from page
        if len(page) < size:
            return
        before = (page[-1].started_at, page[-1].run_id)
