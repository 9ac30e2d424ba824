"""One poll: the questions that what is on screen needs, asked in one view of the store, answered as one snapshot.

A poll costs what is visible and what has changed: latencies of runs whose requests changed, phases of runs that are
alive, the chart when a bucket has closed, one board at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final, Protocol, TypeAlias

from etlwatch.analysis.as_of import RunAsOf
from etlwatch.analysis.baseline import JobBaseline
from etlwatch.analysis.errors import ErrorKind
from etlwatch.analysis.series import WINDOWS, Grid, Window, grid_of
from etlwatch.analysis.snapshot import (
    ErrorsBoard,
    FleetSeries,
    JobsBoard,
    Rates,
    RunDetails,
    RunsBoard,
    Snapshot,
)
from etlwatch.analysis.states import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.reading.details import RunDetailsCache, last_success, read_side
from etlwatch.reading.errors import MOST_KINDS, ErrorKindCache, read_kinds
from etlwatch.reading.health import HealthReader
from etlwatch.reading.jobs import JobHistoryCache
from etlwatch.reading.listing import ERRORS_A_POLL, FIRST_PAGE, ListedRunCache, Listing
from etlwatch.reading.past import traffic_known_until
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import Run
from tracking_core.store.queries import Reader

RATE_SECONDS: Final = 60
"""What `lately` means for rates: at least this long ago, on the grid of the coarsest series."""

BASELINES_BUDGET_S: Final = 0.05
"""How long one poll may read what is usual for jobs; the rest follows in the next."""

AT_ONCE_S: Final = 0.5
"""How long a poll that no other follows may read what is usual for jobs of which nothing lives."""

ERRORS_AT_ONCE: Final = 30
"""Runs whose last error such a poll asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedJobs:
    """All jobs."""

    zone: tzinfo | None = None
    """In which the times of day are that jobs begin at; None is the local one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedErrors:
    """All kinds of errors in a window."""

    window_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRuns:
    """A run and what it is held against."""

    after: int
    before: int | None = None
    """None for the last success of its job before it."""


class Question(Protocol):
    """What a screen asks at each poll; a record, so that two equal ones are the same question."""

    def read(self, reader: Reader, now: datetime) -> object:
        """Return the answer, which becomes the snapshot's board. Raises StoreError."""


AskedBoard: TypeAlias = AskedJobs | AskedErrors | AskedRuns | Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is on screen; replaced whole when that changes."""

    limit: int = FIRST_PAGE
    """Newest runs to list."""

    window: Window = WINDOWS[1]
    columns: int = 45
    """Columns of the fleet's charts; 0 when none is shown."""

    endpoints: bool = False
    """Whether a filter needs the endpoints of the listed runs."""

    open_run: int | None = None
    """The run whose details are shown."""

    run_of_kinds: int | None = None
    """The run under the cursor, whose errors are checked for new kinds; None if it has no errors."""

    job: str | None = None
    """The only job whose newest runs are listed; None for all."""

    board: AskedBoard | None = None
    """What beside the runs is on screen."""

    moment: datetime | None = None
    """The past moment that is looked at; None for now."""


class Gatherer:
    """Ask a reader what a Watch needs, again only what may have changed."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
        at_once: bool = False,
        baselines: dict[tuple[int, ...], JobBaseline] | None = None,
    ) -> None:
        """Prepare; with `at_once` one poll reads what else several would. `baselines` as for a HealthReader."""
        self._monotonic = monotonic
        self._errors_a_poll = ERRORS_AT_ONCE if at_once else ERRORS_A_POLL
        self._health = HealthReader(
            thresholds=thresholds,
            budget_s=AT_ONCE_S if at_once else BASELINES_BUDGET_S,
            at_once=at_once,
            baselines=baselines,
            monotonic=monotonic,
        )
        self._boards = BoardCache(monotonic, at_once=at_once)
        self._details = RunDetailsCache()
        self.forget()

    def forget(self) -> None:
        """Forget every answer: after a lost connection, and when somebody asks for everything anew."""
        self._listing = Listing()
        self._listed_runs = ListedRunCache(errors_a_poll=self._errors_a_poll)
        self._error_kinds = ErrorKindCache()
        self._fleet_key: tuple[Grid, Window] | None = None
        self._fleet = FleetSeries()
        self._details.forget()
        self._health.forget()
        self._boards.forget()

    def read(self, reader: Reader, watch: Watch) -> Snapshot:
        """Return one snapshot; raises the reader's StoreError. Not thread-safe: one poller owns a gatherer."""
        began = self._monotonic()
        cache = self._listed_runs
        with reader.one_view():
            now = reader.now()
            now_s = now.timestamp()
            listed = self._listing.read(reader, watch.limit, at_s=began, job=watch.job)
            changed = cache.renew(reader, listed.runs)
            if watch.endpoints:
                cache.renew_endpoints(reader, now_s)
            health = self._health.read(
                reader,
                listed.runs,
                now=now,
                phases=cache.phases,
                living=cache.living,
                changed=changed,
                every_job=True,
            )
            snapshot = Snapshot(
                at=now,
                behind_s=reader.behind_s,
                read_at=0.0,
                poll_ms=0.0,
                runs=health.runs,
                findings=health.findings,
                doubts=health.doubts,
                baselines=health.baselines,
                outage=health.outage,
                job=watch.job,
                complete=listed.complete,
                living=listed.living,
                there_are=listed.there_are,
                phases=cache.phases,
                percentiles=cache.percentiles,
                rates=self._rates(reader, cache.living, now_s),
                last_errors=cache.last_errors,
                new_errors=self._error_kinds.new_among(reader, listed.runs, cache.last_errors, now_s),
                kinds=self._kinds(reader, listed.runs, watch.run_of_kinds, now_s),
                endpoints=cache.endpoints if watch.endpoints else {},
                fleet=self._read_fleet(reader, watch, now_s),
                switches=tuple(reader.switches()),
                details=_in_state_of(health.runs, self._details.read(reader, watch.open_run, now_s)),
                board=self._boards.read(reader, watch.board, health.runs, now),
            )
        done = self._monotonic()
        return replace(snapshot, read_at=done, poll_ms=(done - began) * 1000)

    def _kinds(
        self, reader: Reader, runs: Iterable[Run], run_id: int | None, now_s: float
    ) -> Mapping[int, tuple[ErrorKind, ...]]:
        """Ask which errors of the run under the cursor are new."""
        run = next((run for run in runs if run.run_id == run_id), None) if run_id is not None else None
        kinds = self._error_kinds.kinds(reader, run, now_s)
        return {run.run_id: kinds} if run is not None else {}

    def _rates(self, reader: Reader, living: Iterable[Run], now_s: float) -> Mapping[int, Rates]:
        """Ask what the living runs did in the last minute or two, and divide by the time they had for it."""
        running = {run.run_id: run for run in living if run.state != "lost"}
        if not running:
            return {}
        since = int(now_s - RATE_SECONDS) // RATE_SECONDS * RATE_SECONDS
        traffic = reader.recent_traffic(list(running), since)
        rates: dict[int, Rates] = {}
        for run_id, run in running.items():
            until = run.series_until if isinstance(run, RunAsOf) else now_s
            seconds = max(until - max(since, run.started_at.timestamp()), 1.0)
            requests, items = traffic.get(run_id, (0, 0))
            rates[run_id] = Rates(requests=requests / seconds, items=items / seconds)
        return rates

    def _read_fleet(self, reader: Reader, watch: Watch, now_s: float) -> FleetSeries:
        """Ask for the throughput of all runs when a bucket has closed or the window has changed."""
        if watch.columns <= 0:
            return self._fleet
        grid = grid_of(watch.window, columns=watch.columns, now_s=now_s)
        if self._fleet_key != (grid, watch.window):
            cells = reader.throughput(grid.since, grid.until, grid.step)
            until = traffic_known_until(reader, grid.until)
            self._fleet = FleetSeries(since=grid.since, until=until, step=grid.step, cells=tuple(cells))
            self._fleet_key = (grid, watch.window)
        return self._fleet


def _in_state_of(runs: Sequence[Run], details: RunDetails | None) -> RunDetails | None:
    """Return the details of the open run in the state that the list gives it."""
    if details is None or details.run is None:
        return details
    return replace(details, run=next((run for run in runs if run.run_id == details.run_id), details.run))


JOBS_BUDGET_S: Final = 0.15
"""How long one poll may read histories; the rest follows in the next."""

ERRORS_EVERY_S: Final = 10.0
"""How often errors are grouped again."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a comparison, and what its run was like when it was read."""

    stamp: object
    details: RunDetails


class BoardCache:
    """The board on screen, read again only where it may have changed. Not thread-safe: one poller owns it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, at_once: bool = False) -> None:
        """Prepare; `at_once` reads the histories of all jobs in one poll."""
        self._monotonic = monotonic
        self._budget_s = None if at_once else JOBS_BUDGET_S
        self.forget()

    def forget(self) -> None:
        """Forget every answer."""
        self._asked: AskedBoard | None = None
        self._jobs: JobHistoryCache | None = None
        self._errors: tuple[float, ErrorsBoard] | None = None
        self._ended: dict[int, Run] = {}
        self._sides: dict[int, _Side] = {}
        self._reference: int | None = None

    def read(self, reader: Reader, asked: AskedBoard | None, runs: Sequence[Run], now: datetime) -> object:
        """Return the board that is asked for; `runs` are those of the list, in their states. Raises StoreError."""
        if asked != self._asked:
            self.forget()
            self._asked = asked
        if isinstance(asked, AskedJobs):
            return self._jobs_board(reader, asked, runs)
        if isinstance(asked, AskedErrors):
            return self._errors_board(reader, asked, now)
        if isinstance(asked, AskedRuns):
            return self._runs_board(reader, asked, runs)
        return None if asked is None else asked.read(reader, now)

    def _jobs_board(self, reader: Reader, asked: AskedJobs, runs: Sequence[Run]) -> JobsBoard:
        if self._jobs is None:
            self._jobs = JobHistoryCache(zone=asked.zone, budget_s=self._budget_s, monotonic=self._monotonic)
        histories = self._jobs.read(reader, runs)
        return JobsBoard(histories=histories, complete=self._jobs.complete, there_are=self._jobs.there_are)

    def _errors_board(self, reader: Reader, asked: AskedErrors, now: datetime) -> ErrorsBoard:
        at = self._monotonic()
        if self._errors is None or at - self._errors[0] >= ERRORS_EVERY_S:
            since = now - timedelta(seconds=asked.window_s)
            kinds, there_are = read_kinds(reader, since, MOST_KINDS, ended=self._ended)
            self._errors = (at, ErrorsBoard(since=since, kinds=tuple(kinds), there_are=there_are))
        return self._errors[1]

    def _runs_board(self, reader: Reader, asked: AskedRuns, runs: Sequence[Run]) -> RunsBoard:
        shown = {run.run_id: run for run in runs}
        after = self._side(reader, asked.after, shown.get(asked.after))
        before_id = asked.before
        if before_id is None and after.run is not None:
            if self._reference is None:
                found = last_success(reader, after.run)
                self._reference = found.run_id if found is not None else None
            before_id = self._reference
        before = self._side(reader, before_id, shown.get(before_id)) if before_id is not None else None
        return RunsBoard(after=after, before=before)

    def _side(self, reader: Reader, run_id: int, listed: Run | None) -> RunDetails:
        """Ask for one side where its run has changed since it was last asked for."""
        run = reader.run(run_id)
        if run is None:
            return RunDetails(run=None, run_id=run_id)
        stamp = (run.status, run.requests, run.errors, run.progress_at, run.ended_at)
        side = self._sides.get(run_id)
        if side is None or side.stamp != stamp:
            side = self._sides[run_id] = _Side(stamp, read_side(reader, run))
        return replace(side.details, run=listed or run)
