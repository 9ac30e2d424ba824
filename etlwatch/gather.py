"""One poll: the questions that what is on screen needs, asked in one view of the store, answered as one snapshot.

Owns which questions are asked when, and the answers that need not be asked for again. Refuses to own connections,
threads and retries (`etlwatch.poller`). A poll costs what is visible and what has changed: latencies of runs whose
requests changed, phases of runs that are alive, the chart when a bucket has closed, the details of one open run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from etlwatch.gather_boards import BoardsGatherer
from etlwatch.gather_compare import read_reference
from etlwatch.gather_errors import kinds_of_errors
from etlwatch.gather_listing import FIRST_PAGE, MOST_OF_JOB, Listing
from etlwatch.judging import Judge
from etlwatch.model.boards import AskedBoard
from etlwatch.model.coverage import coverage_of
from etlwatch.model.series import WINDOWS, Grid, Window, grid_of, percentiles_of
from etlwatch.model.snapshot import FleetSeries, Percentiles, Rates, RunDetails, Snapshot
from etlwatch.model.thresholds import DEFAULT_THRESHOLDS, Thresholds
from tracking_core.identity import MAX_RUN_ID
from tracking_core.records import ErrorRecord, Phase, Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["MOST_ERRORS", "Gatherer", "Watch", "newest_runs"]

MOST_ERRORS: Final = 200
"""Errors of an open run that are read, newest first."""

ERRORS_A_POLL: Final = 10
"""Runs whose last error is asked for in one poll; the rest follow in the next."""

RATE_SECONDS: Final = 60
"""What `lately` means for rates: at least this long ago, on the grid of the coarsest series."""

MOST_PAGES: Final = 20_000
"""Raw requests that are read to find holes and overlaps; of a run with more of them nothing is said."""

PAGES_EVERY_S: Final = 60
"""How often they are read again while the open run moves."""

DETAIL_EVERY_S: Final = 10
"""How often the series of an open run is read again while it moves: its cells are no finer."""

KINDS_EVERY_S: Final = 60
"""How often it is asked again what other runs know of the open run's errors."""

ENDPOINTS_A_POLL: Final = 500
"""Runs whose endpoints are asked for in one poll while a filter names any; the rest follow in the next."""

PASTS_BUDGET_S: Final = 0.05
"""How long one poll may read what is usual for jobs; the rest follows in the next."""


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

    job: str | None = None
    """The only job whose newest runs are listed; None for all."""

    board: AskedBoard | None = None
    """What beside the runs is on screen."""

    moment: datetime | None = None
    """The past moment that is looked at; None for now."""


@dataclass(slots=True)
class _Details:
    """What is remembered of the open run, and what it was like when that was read."""

    stamp: object = None
    slow_stamp: object = None
    errors_stamp: object = None
    kinds_stamp: object = None
    pages_stamp: object = None
    held: RunDetails | None = None


@dataclass(slots=True)
class _Memory:
    """Answers of earlier polls."""

    fleet_key: tuple[Grid, Window] | None = None
    fleet: FleetSeries = field(default_factory=FleetSeries)
    percentiles: dict[int, tuple[int, Percentiles]] = field(default_factory=dict)
    phases: dict[int, tuple[Run, tuple[Phase, ...]]] = field(default_factory=dict)
    last_errors: dict[int, tuple[int, ErrorRecord | None]] = field(default_factory=dict)
    endpoints: dict[int, tuple[object, frozenset[str]]] = field(default_factory=dict)
    listing: Listing = field(default_factory=Listing)
    details: _Details = field(default_factory=_Details)


class Gatherer:
    """Ask a reader what a Watch needs, remembering what cannot have changed."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, *, thresholds: Thresholds = DEFAULT_THRESHOLDS
    ) -> None:
        self._monotonic = monotonic
        self._memory = _Memory()
        self._judge = Judge(thresholds=thresholds, budget_s=PASTS_BUDGET_S, monotonic=monotonic)
        self._boards = BoardsGatherer(monotonic)

    def forget(self) -> None:
        """Forget every answer: after a lost connection, and when somebody asks for a fresh look."""
        self._memory = _Memory()
        self._judge.forget()
        self._boards.forget()

    def read(self, reader: Reader, watch: Watch) -> Snapshot:
        """Return one snapshot; raises the reader's StoreError. Not thread-safe: one poller owns a gatherer."""
        began = self._monotonic()
        with reader.one_view():
            now = reader.now()
            listed = self._memory.listing.read(reader, watch.limit, at_s=began, job=watch.job)
            runs = listed.runs
            now_s = now.timestamp()
            phases = self._phases(reader, runs)
            judged = self._judge.judge(reader, runs, now=now, phases=phases, every_job=True)
            snapshot = Snapshot(
                at=now,
                read_at=0.0,
                poll_ms=0.0,
                runs=judged.runs,
                findings=judged.findings,
                pasts=judged.pasts,
                outage=judged.outage,
                job=watch.job,
                complete=listed.complete,
                phases=phases,
                percentiles=self._percentiles(reader, runs),
                rates=self._rates(reader, runs, now_s),
                last_errors=self._last_errors(reader, runs),
                endpoints=self._endpoints(reader, runs, now_s) if watch.endpoints else {},
                fleet=self._fleet(reader, watch, now_s),
                switches=tuple(reader.switches()),
                details=_judged_as(judged.runs, self._details(reader, watch.open_run, now_s)),
                board=self._boards.read(reader, watch.board, judged.runs, now),
            )
        done = self._monotonic()
        return replace(snapshot, read_at=done, poll_ms=(done - began) * 1000)

    def _phases(self, reader: Reader, runs: Sequence[Run]) -> Mapping[int, tuple[Phase, ...]]:
        """Ask for the phases of runs that are alive or have changed since they were last asked for."""
        known = self._memory.phases
        wanted = [
            run.run_id
            for run in runs
            if run.status == RunStatus.RUNNING or run.run_id not in known or _differ(known[run.run_id][0], run)
        ]
        asked: dict[int, list[Phase]] = {}
        for phase in reader.phases(wanted) if wanted else ():
            asked.setdefault(phase.run_id, []).append(phase)
        fresh = set(wanted)
        self._memory.phases = {
            run.run_id: (run, tuple(asked.get(run.run_id, ())) if run.run_id in fresh else known[run.run_id][1])
            for run in runs
        }
        return {run_id: phases for run_id, (_, phases) in self._memory.phases.items() if phases}

    def _percentiles(self, reader: Reader, runs: Sequence[Run]) -> Mapping[int, Percentiles]:
        """Ask for the latencies of runs whose number of requests has changed."""
        known = self._memory.percentiles
        kept = {run.run_id: known[run.run_id] for run in runs if known.get(run.run_id, (None,))[0] == run.requests}
        wanted = {run.run_id: run.requests for run in runs if run.requests and run.run_id not in kept}
        if wanted:
            for run_id, histogram in reader.latencies(list(wanted)).items():
                percentiles = percentiles_of(histogram)
                if percentiles is not None and run_id in wanted:
                    kept[run_id] = (wanted[run_id], percentiles)
        self._memory.percentiles = kept
        return {run_id: percentiles for run_id, (_, percentiles) in kept.items()}

    def _rates(self, reader: Reader, runs: Sequence[Run], now_s: float) -> Mapping[int, Rates]:
        """Ask what the running runs did in the last minute or two, and divide by the time they had for it."""
        running = {run.run_id: run for run in runs if run.state not in ("lost",) and run.status == RunStatus.RUNNING}
        if not running:
            return {}
        since = int(now_s - RATE_SECONDS) // RATE_SECONDS * RATE_SECONDS
        traffic = reader.recent_traffic(list(running), since)
        rates: dict[int, Rates] = {}
        for run_id, run in running.items():
            seconds = max(min(now_s - since, now_s - run.started_at.timestamp()), 1.0)
            requests, items = traffic.get(run_id, (0, 0))
            rates[run_id] = Rates(requests=requests / seconds, items=items / seconds)
        return rates

    def _last_errors(self, reader: Reader, runs: Sequence[Run]) -> Mapping[int, ErrorRecord]:
        """Ask for the newest error of runs that have more errors than when they were last asked about."""
        known = self._memory.last_errors
        kept = {run.run_id: known[run.run_id] for run in runs if run.run_id in known}
        changed = [run for run in runs if run.errors and (run.run_id not in kept or kept[run.run_id][0] != run.errors)]
        changed.sort(key=lambda run: run.status != RunStatus.FAILED)
        for run in changed[:ERRORS_A_POLL]:
            newest = reader.errors(run.run_id, 1)
            kept[run.run_id] = (run.errors, newest[0] if newest else None)
        self._memory.last_errors = kept
        return {run_id: error for run_id, (_, error) in kept.items() if error is not None}

    def _endpoints(self, reader: Reader, runs: Sequence[Run], now_s: float) -> Mapping[int, frozenset[str]]:
        """Ask for the endpoints of runs once, of living ones as often as their details."""
        slot = int(now_s) // DETAIL_EVERY_S
        stamps = {run.run_id: slot if run.status == RunStatus.RUNNING else run.requests for run in runs if run.requests}
        known = self._memory.endpoints
        kept = {run_id: known[run_id] for run_id in stamps if run_id in known}
        stale = [run_id for run_id, stamp in stamps.items() if run_id not in kept or kept[run_id][0] != stamp]
        asked = dict.fromkeys(stale[:ENDPOINTS_A_POLL], frozenset[str]())
        for totals in reader.endpoints_of_runs(list(asked)) if asked else ():
            asked[totals.run_id] |= {totals.endpoint}
        kept.update((run_id, (stamps[run_id], endpoints)) for run_id, endpoints in asked.items())
        self._memory.endpoints = kept
        return {run_id: endpoints for run_id, (_, endpoints) in kept.items()}

    def _fleet(self, reader: Reader, watch: Watch, now_s: float) -> FleetSeries:
        """Ask for the throughput of all runs when a bucket has closed or the window has changed."""
        if watch.columns <= 0:
            return self._memory.fleet
        grid = grid_of(watch.window, columns=watch.columns, now_s=now_s)
        if self._memory.fleet_key != (grid, watch.window):
            cells = reader.throughput(grid.since, grid.until, grid.step)
            self._memory.fleet = FleetSeries(since=grid.since, until=grid.until, step=grid.step, cells=tuple(cells))
            self._memory.fleet_key = (grid, watch.window)
        return self._memory.fleet

    def _details(self, reader: Reader, run_id: int | None, now_s: float) -> RunDetails | None:
        """Ask for all of the open run that may have changed."""
        if run_id is None:
            self._memory.details = _Details()
            return None
        memory = self._memory.details
        if memory.held is None or memory.held.run_id != run_id:
            memory = self._memory.details = _Details(held=RunDetails(run=None, run_id=run_id))
        run = reader.run(run_id)
        held = replace(memory.held or RunDetails(run=None, run_id=run_id), run=run)
        if run is None:
            memory.held = held
            return held
        if held.reference is None:
            # What was a success before this run began is one for good.
            held = replace(held, reference=read_reference(reader, run))
        moving = run.status == RunStatus.RUNNING
        stamp = (run.requests, run.progress_at, run.status, run.emitted, run.dropped)
        if moving or stamp != memory.stamp:
            memory.stamp = stamp
            held = replace(
                held,
                phases=tuple(reader.phases([run_id])),
                endpoints=tuple(reader.endpoints(run_id)),
                source_counts=tuple(reader.source_counts(run_id)),
                ledger=tuple(reader.ledger(run_id)),
            )
        slow_stamp = int(now_s) // DETAIL_EVERY_S if moving else stamp
        if slow_stamp != memory.slow_stamp:
            memory.slow_stamp = slow_stamp
            held = replace(held, series=tuple(reader.series(run_id)), samples=tuple(reader.phase_samples(run_id)))
        pages_stamp = (int(now_s) // PAGES_EVERY_S, bool(run.requests)) if moving else stamp
        if run.requests and pages_stamp != memory.pages_stamp:
            memory.pages_stamp = pages_stamp
            pages = reader.pages(run_id, MOST_PAGES + 1)
            cut = len(pages) > MOST_PAGES
            held = replace(held, coverage=() if cut else coverage_of(pages), coverage_cut=cut)
        if run.errors != memory.errors_stamp:
            memory.errors_stamp = run.errors
            held = replace(held, errors=tuple(reader.errors(run_id, MOST_ERRORS)) if run.errors else ())
        # An error storm changes their number with every poll, and what other runs know of them hardly ever.
        kinds = frozenset(error.fingerprint for error in held.errors)
        kinds_stamp = (kinds, int(now_s) // KINDS_EVERY_S if moving else stamp)
        if kinds_stamp != memory.kinds_stamp:
            memory.kinds_stamp = kinds_stamp
            held = replace(held, kinds=tuple(kinds_of_errors(reader, run, held.errors)) if kinds else ())
        memory.held = held
        return held


def newest_runs(reader: Reader, watch: Watch) -> list[Run]:
    """Return the newest runs to list that began before the moment that is looked at."""
    if watch.job is not None:
        return reader.runs_of_job(watch.job, min(watch.limit, MOST_OF_JOB), before=watch.moment)
    return reader.recent_runs(watch.limit, before=None if watch.moment is None else (watch.moment, MAX_RUN_ID))


def _judged_as(runs: Sequence[Run], details: RunDetails | None) -> RunDetails | None:
    """Return the details of the open run in the state that the list gives it."""
    if details is None or details.run is None:
        return details
    return replace(details, run=next((run for run in runs if run.run_id == details.run_id), details.run))


def _differ(one: Run, other: Run) -> bool:
    """Say whether a run has changed; of thousands that are remembered most are the same object."""
    return one is not other and one != other
