"""One look at a past moment: the questions whose answers together say how the store stood then.

Contains which questions a look back needs beside those about its runs (`etlwatch.reading.past_runs`). A moment is
looked at for a while, and asked for once; from one look to the next only pasts are remembered, which most moments
have in common.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.baseline import JobPast
from etlwatch.analysis.series import grid_of, percentiles_of
from etlwatch.analysis.snapshot import FleetSeries, Percentiles, RunDetails, Snapshot
from etlwatch.analysis.thresholds import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.reading.boards import board_as_of
from etlwatch.reading.compare import read_reference
from etlwatch.reading.errors import KnownErrors
from etlwatch.reading.facts import ENDPOINTS_A_POLL
from etlwatch.reading.gather import Watch, newest_runs
from etlwatch.reading.listing import MOST_LIVE
from etlwatch.reading.past_runs import PastRuns
from tracking_core.dataclass import replace
from tracking_core.records import ErrorRecord, Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["read_as_of"]

ALIVE_FOR: Final = timedelta(days=7)
"""How long before the moment a run may have begun that is found although many newer ones had begun since."""

LAST_ERRORS: Final = 30
"""Runs whose errors by then are asked for, those that had failed first."""


def read_as_of(
    reader: Reader,
    watch: Watch,
    moment: datetime,
    *,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    pasts: dict[tuple[int, ...], JobPast] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Snapshot:
    """Return the store as it stood at `moment`; raises the reader's StoreError.

    `pasts` are those of earlier looks; it is added to.
    """
    began = monotonic()
    with reader.one_view():
        moment = min(moment, reader.now())
        newest = newest_runs(reader, replace(watch, moment=moment))
        alive = reader.runs_alive_at(moment, moment - ALIVE_FOR, MOST_LIVE)
        today = _together(newest, alive)
        past = PastRuns(reader, moment, thresholds=thresholds, pasts=pasts, monotonic=monotonic)
        judged = past.judge(today)
        last_errors = _last_errors(reader, judged.runs, moment)
        known = KnownErrors(moment=moment)
        living = {run.run_id: run for run in judged.runs if run.status == RunStatus.RUNNING}
        snapshot = Snapshot(
            at=moment,
            read_at=0.0,
            poll_ms=0.0,
            runs=judged.runs,
            findings=judged.findings,
            doubts=dict(past.doubts),
            pasts=judged.pasts,
            outage=judged.outage,
            job=watch.job,
            complete=len(newest) < watch.limit,
            living=reader.count_alive_at(moment, moment - ALIVE_FOR) if len(alive) >= MOST_LIVE else None,
            phases=dict(past.phases),
            percentiles=_percentiles(reader, judged.runs, past),
            rates={
                run_id: past.stored[run_id].rates(run.started_at)
                for run_id, run in living.items()
                if run.state != "lost"
            },
            last_errors=last_errors,
            new_errors=known.new_among(reader, judged.runs, last_errors, moment.timestamp()),
            kinds={
                run.run_id: known.kinds(reader, run, moment.timestamp())
                for run in judged.runs
                if run.run_id in last_errors
            },
            endpoints=_endpoints(reader, judged.runs) if watch.endpoints else {},
            perhaps_later=frozenset(living) if watch.endpoints else frozenset(),
            fleet=_fleet(reader, watch, moment),
            details=_details(reader, watch.open_run, past, moment),
            board=board_as_of(reader, watch.board, moment, past.details),
            looking_back=True,
        )
    done = monotonic()
    return replace(snapshot, read_at=done, poll_ms=(done - began) * 1000)


def _together(newest: Sequence[Run], alive: Sequence[Run]) -> tuple[Run, ...]:
    known = {run.run_id for run in newest}
    older = [run for run in alive if run.run_id not in known]
    return (*newest, *sorted(older, key=lambda run: (run.started_at, run.run_id), reverse=True))


def _percentiles(reader: Reader, runs: Sequence[Run], past: PastRuns) -> Mapping[int, Percentiles]:
    """Return the latencies of runs that had ended from their endpoints, of the others from their series."""
    ended = [run.run_id for run in runs if run.status != RunStatus.RUNNING and run.requests]
    found = {run_id: percentiles_of(counts) for run_id, counts in reader.latencies(ended).items()} if ended else {}
    found.update((run_id, stored.percentiles) for run_id, stored in past.stored.items())
    return {run_id: percentiles for run_id, percentiles in found.items() if percentiles is not None}


def _last_errors(reader: Reader, runs: Sequence[Run], moment: datetime) -> Mapping[int, ErrorRecord]:
    asked = sorted((run for run in runs if run.errors), key=lambda run: run.status != RunStatus.FAILED)
    newest = {run.run_id: reader.errors(run.run_id, 1, until=moment) for run in asked[:LAST_ERRORS]}
    return {run_id: errors[0] for run_id, errors in newest.items() if errors}


def _endpoints(reader: Reader, runs: Sequence[Run]) -> Mapping[int, frozenset[str]]:
    """Return the endpoints that runs asked whenever it was: only whole runs are kept by endpoint."""
    asked = [run.run_id for run in runs][:ENDPOINTS_A_POLL]
    return {**dict.fromkeys(asked, frozenset()), **reader.endpoint_names(asked)} if asked else {}


def _details(reader: Reader, run_id: int | None, past: PastRuns, moment: datetime) -> RunDetails | None:
    """Return the open run beside the last success of its job that was one by then."""
    if run_id is None:
        return None
    found = past.details(run_id)
    return found if found.run is None else replace(found, reference=read_reference(reader, found.run, by=moment))


def _fleet(reader: Reader, watch: Watch, moment: datetime) -> FleetSeries:
    """Return the traffic of all runs up to the last cell that had closed: an open one holds what came later, too."""
    if watch.columns <= 0:
        return FleetSeries()
    grid = grid_of(watch.window, columns=watch.columns, now_s=moment.timestamp())
    # As fine as they are kept: of a column that was being filled, what had closed is known.
    cells = reader.throughput(grid.since, grid.until, watch.window.base)
    until = min((cell.bucket for cell in cells if cell.bucket + cell.width > moment.timestamp()), default=grid.until)
    closed = tuple(cell for cell in cells if cell.bucket + cell.width <= until)
    return FleetSeries(since=grid.since, until=until, step=grid.step, cells=closed)
