"""Runs that fit a query, found in the store however old they are: for commands, which list more than a screen does."""

from __future__ import annotations

import heapq
import sys
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from etlwatch.analysis.filter import Filter, matches_job
from etlwatch.analysis.health import with_findings
from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.states import DEFAULT_THRESHOLDS, FLAWED, LIVING, Thresholds, stored_status
from etlwatch.fields.runs import row_of, run_passes
from etlwatch.reading.completed import CompletedRunsReader
from etlwatch.reading.health import HealthReader
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import ErrorRecord, Run, RunStatus
from tracking_core.store.queries import Reader

PAGE: Final = 500
"""Runs read at a time."""

COMPLETED_AT_ONCE: Final = 50
"""Completed runs that are compared with earlier ones at once."""

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
        states = self.either_state
        return states is None or bool(states & LIVING)

    @property
    def either_state(self) -> frozenset[str] | None:
        """The states that are asked for; None for all."""
        if self.filter.states is None:
            return self.states or None
        return self.filter.states & self.states if self.states else self.filter.states

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


MOST_COUNTED: Final = 5_000
"""Runs that are looked through to count those in a state, or that pass a filter."""


def count_runs(reader: Reader, query: RunQuery, *, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> tuple[int, bool]:
    """Return how many runs are asked for, whatever the limit, and whether that is all of them.

    Where only reading a run shows whether it is asked for, those among the newest MOST_COUNTED are counted.
    """
    jobs = [job for job in reader.job_names() if matches_job(job, query.jobs)] if query.jobs else None
    statuses = frozenset(map(stored_status, query.either_state or ()))
    since = query.oldest(reader.now())
    stored = reader.count_runs(jobs=jobs, since=since)
    if not query.narrow:
        return stored, True
    if not (query.filter or query.states & {*LIVING, *FLAWED, "completed"}):
        found = reader.count_runs(jobs=jobs, statuses=statuses, since=since, most=MOST_COUNTED)
        return found, stored <= MOST_COUNTED
    every = replace(query, limit=sys.maxsize)
    found = sum(1 for _ in find_runs(reader, every, thresholds=thresholds, look_through=MOST_COUNTED))
    return found, stored <= MOST_COUNTED or query.states <= LIVING


def find_runs(
    reader: Reader,
    query: RunQuery,
    *,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    look_through: int | None = None,
) -> Iterator[Run]:
    """Yield the runs that are asked for, newest first, in their derived states, reading no further than it has to.

    `look_through` bounds how many runs that have ended are read.
    """
    now = reader.now()
    living = reader.live_runs() if query.living else []
    runs: Iterable[Run]
    if query.states and query.states <= LIVING:
        runs = living
    else:
        runs = islice(_stored(reader, query), look_through)
        if not query.narrow:
            # Only what will be printed is held against its baseline.
            runs = list(islice(asked_for(reader, runs, query, now), query.limit))
    jobs = {run.job for run in (living if query.narrow else runs) if matches_job(run.job, query.jobs)}
    health = HealthReader(thresholds=thresholds).read_briefly(reader, living, now=now, jobs=jobs)
    derived = {run.run_id: run for run in health.runs}
    runs = _with_completed(reader, (derived.get(run.run_id, run) for run in runs), query)
    yield from islice(asked_for(reader, runs, query, now), query.limit)


def _with_completed(reader: Reader, runs: Iterable[Run], query: RunQuery) -> Iterator[Run]:
    """Yield runs, those that completed in their derived states where these are asked for."""
    states, found = query.either_state, CompletedRunsReader()
    left = iter(runs)
    while page := list(islice(left, COMPLETED_AT_ONCE)):
        asked = page if states is None or states & {*FLAWED, "completed"} else []
        findings = found.read(reader, asked).findings
        yield from (with_findings(run, findings.get(run.run_id, ())) for run in page)


def _stored(reader: Reader, query: RunQuery) -> Iterator[Run]:
    """Yield runs that may be asked for, newest first, as they are stored."""
    statuses = frozenset(map(stored_status, query.states))
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


NEW_RUNS_PAGE: Final = 200
MOST_ERRORS: Final = 10_000
"""Errors read at one look, since their texts are long; of more the oldest are passed over, and `cut` is set."""

MOST_KEPT: Final = 20_000


class RunFollower:
    """The runs whose state has changed."""

    def __init__(self, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> None:
        self._health = HealthReader(thresholds=thresholds)
        self._states: dict[int, str] = {}
        self._newest: tuple[datetime, int] | None = None
        self.seen: tuple[Run, ...] = ()
        """The newest runs and all living ones at the last look, in the order of their starts."""

    def changed(self, reader: Reader) -> list[Run]:
        """Return the runs that are in another state than when they were last seen, or new, the oldest first.

        The first look returns all of the newest page, and the living ones. They count as seen once `mark_seen` is
        called: what is read of them in between may fail. Raises the reader's StoreError.
        """
        with reader.one_view():
            listed = {run.run_id: run for run in (*reader.live_runs(), *self._begun(reader))}
            for run_id in self._gone(listed):
                ended = reader.run(run_id)
                if ended is not None:
                    listed[run_id] = ended
            runs = sorted(listed.values(), key=_place)
            seen = self._health.read(reader, runs, now=reader.now()).runs
        self.seen = seen
        return [run for run in seen if self._states.get(run.run_id) != run.state]

    def mark_seen(self) -> None:
        """Count what the last look returned as seen."""
        self._states = {run.run_id: run.state for run in self.seen}
        self._newest = _place(self.seen[-1]) if self.seen else None

    def _begun(self, reader: Reader) -> Sequence[Run]:
        """Read the newest runs, as far back as the newest that was seen."""
        runs = page = reader.recent_runs(NEW_RUNS_PAGE)
        while self._newest is not None and len(page) == NEW_RUNS_PAGE and _place(page[-1]) > self._newest:
            page = reader.recent_runs(NEW_RUNS_PAGE, before=_place(page[-1]))
            runs = [*runs, *page]
        return runs

    def _gone(self, listed: dict[int, Run]) -> list[int]:
        """Return the runs that lived and are in no list any more: they have ended, long after they began."""
        return [run_id for run_id, state in self._states.items() if run_id not in listed and state not in _ENDED]


_ENDED = frozenset(status.value for status in RunStatus) - {RunStatus.RUNNING.value}


def _place(run: Run) -> tuple[datetime, int]:
    return (run.started_at, run.run_id)


class ErrorFollower:
    """The errors that were not there before."""

    def __init__(self, run_id: int | None = None) -> None:
        """Follow the errors of one run, or of all."""
        self._run_id = run_id
        self._seen_keys: OrderedDict[tuple[int, int, int], None] = OrderedDict()
        self._seen: Sequence[ErrorRecord] = ()
        self._looked = False
        self.cut = False
        """Whether the last look passed over errors."""

    def added(self, reader: Reader) -> list[ErrorRecord]:
        """Return the errors that were not there at the last look, the oldest first; at the first look the newest few.

        One that is delivered late is among them as long as it is one of the newest few hundred by its time. They count
        as seen once `mark_seen` is called. Raises the reader's StoreError.
        """
        most = NEW_RUNS_PAGE
        errors = reader.errors(self._run_id, most)
        while (
            beyond := self._looked and len(errors) == most and not any(each.key in self._seen_keys for each in errors)
        ):
            if most >= MOST_ERRORS:
                break
            most = min(4 * most, MOST_ERRORS)
            errors = reader.errors(self._run_id, most)
        self.cut = beyond
        self._seen = errors[::-1]
        return [error for error in self._seen if error.key not in self._seen_keys]

    def mark_seen(self) -> None:
        """Count what the last look returned as seen."""
        for error in self._seen:
            self._seen_keys[error.key] = None
            self._seen_keys.move_to_end(error.key)
        while len(self._seen_keys) > MOST_KEPT:
            self._seen_keys.popitem(last=False)
        self._looked = True
