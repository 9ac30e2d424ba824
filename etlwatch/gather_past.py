"""One look at a past moment: the questions whose answers together say how the store stood then.

Owns which questions a look back needs; what follows from the answers is `etlwatch.model.as_of`'s. Nothing is remembered
from one look to the next: a moment is looked at for a while, and asked for once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from etlwatch.gather import MOST_ERRORS, Watch, newest_runs
from etlwatch.gather_boards import board_as_of
from etlwatch.gather_compare import read_reference
from etlwatch.model.as_of import NOTHING_YET, phases_as_of, run_as_of
from etlwatch.model.series import grid_of
from etlwatch.model.snapshot import FleetSeries, Rates, RunDetails, Snapshot
from tracking_core.records import Phase, PhaseSample, Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["read_as_of"]

ALIVE_FOR: Final = timedelta(days=7)
"""How long before the moment a run may have begun that is found although many newer ones had begun since."""

RATE_SECONDS: Final = 120


def read_as_of(
    reader: Reader, watch: Watch, moment: datetime, *, monotonic: Callable[[], float] = time.monotonic
) -> Snapshot:
    """Return the store as it stood at `moment`; raises the reader's StoreError."""
    began = monotonic()
    with reader.one_view():
        now = reader.now()
        moment = min(moment, now)
        seconds = int(moment.timestamp())
        newest = newest_runs(reader, replace(watch, moment=moment))
        today = _together(newest, reader.runs_alive_at(moment, moment - ALIVE_FOR))
        open_ids = [run.run_id for run in today if run.ended_at is None or run.ended_at > moment]
        traffic = reader.traffic_until(open_ids, seconds)
        errors = reader.errors_until(open_ids, moment)
        runs = tuple(
            run_as_of(run, moment, traffic=traffic.get(run.run_id, NOTHING_YET), errors=errors.get(run.run_id, 0))
            for run in today
        )
        snapshot = Snapshot(
            at=moment,
            read_at=0.0,
            poll_ms=0.0,
            runs=runs,
            job=watch.job,
            complete=len(newest) < watch.limit,
            phases=_phases(reader, runs, moment),
            rates=_rates(reader, runs, moment),
            fleet=_fleet(reader, watch, moment),
            details=_details(reader, watch.open_run, moment),
            board=board_as_of(reader, watch.board, moment, partial(_details_of, reader, moment)),
            looking_back=True,
        )
    done = monotonic()
    return replace(snapshot, read_at=done, poll_ms=(done - began) * 1000)


def _together(newest: Sequence[Run], alive: Sequence[Run]) -> tuple[Run, ...]:
    known = {run.run_id for run in newest}
    older = [run for run in alive if run.run_id not in known]
    return (*newest, *sorted(older, key=lambda run: (run.started_at, run.run_id), reverse=True))


def _phases(reader: Reader, runs: Sequence[Run], moment: datetime) -> dict[int, tuple[Phase, ...]]:
    ids = [run.run_id for run in runs]
    asked: dict[int, list[Phase]] = {}
    for phase in reader.phases(ids) if ids else ():
        asked.setdefault(phase.run_id, []).append(phase)
    samples: dict[int, list[PhaseSample]] = {}
    for sample in reader.samples_until(list(asked), int(moment.timestamp())) if asked else ():
        samples.setdefault(sample.run_id, []).append(sample)
    return {run_id: phases_as_of(phases, samples.get(run_id, ()), moment) for run_id, phases in asked.items()}


def _rates(reader: Reader, runs: Sequence[Run], moment: datetime) -> dict[int, Rates]:
    running = {run.run_id: run for run in runs if run.status == RunStatus.RUNNING}
    if not running:
        return {}
    until = int(moment.timestamp())
    before = reader.traffic_until(list(running), until - RATE_SECONDS)
    after = reader.traffic_until(list(running), until)
    rates: dict[int, Rates] = {}
    for run_id, run in running.items():
        new, old = after.get(run_id, NOTHING_YET), before.get(run_id, NOTHING_YET)
        seconds = max(min(RATE_SECONDS, run.duration_s), 1.0)
        rates[run_id] = Rates(requests=(new.requests - old.requests) / seconds, items=(new.items - old.items) / seconds)
    return rates


def _fleet(reader: Reader, watch: Watch, moment: datetime) -> FleetSeries:
    if watch.columns <= 0:
        return FleetSeries()
    grid = grid_of(watch.window, columns=watch.columns, now_s=moment.timestamp())
    cells = reader.throughput(grid.since, grid.until, grid.step)
    return FleetSeries(since=grid.since, until=grid.until, step=grid.step, cells=tuple(cells))


def _details(reader: Reader, run_id: int | None, moment: datetime) -> RunDetails | None:
    if run_id is None:
        return None
    found = _details_of(reader, moment, run_id)
    return found if found.run is None else replace(found, reference=read_reference(reader, found.run, by=moment))


def _details_of(reader: Reader, moment: datetime, run_id: int) -> RunDetails:
    """Return a run as it stood; endpoints and ledger, kept for whole runs only, are left out of a part."""
    run = reader.run(run_id)
    if run is None or run.started_at > moment:
        return RunDetails(run=None, run_id=run_id)
    seconds = int(moment.timestamp())
    errors = tuple(error for error in reader.errors(run_id, MOST_ERRORS) if error.at <= moment)
    series = tuple(cell for cell in reader.series(run_id) if cell.bucket + cell.width <= seconds)
    samples = tuple(sample for sample in reader.phase_samples(run_id) if sample.bucket <= seconds)
    last = {sample.phase: sample for sample in samples}
    traffic = reader.traffic_until([run_id], seconds).get(run_id, NOTHING_YET)
    counted = reader.errors_until([run_id], moment).get(run_id, 0)
    return RunDetails(
        run=run_as_of(run, moment, traffic=traffic, errors=counted),
        run_id=run_id,
        phases=phases_as_of(reader.phases([run_id]), last.values(), moment),
        samples=samples,
        endpoints=tuple(reader.endpoints(run_id)) if run.ended_at is not None and run.ended_at <= moment else (),
        series=series,
        source_counts=tuple(count for count in reader.source_counts(run_id) if count.at <= moment),
        errors=errors,
        ledger=tuple(reader.ledger(run_id)) if run.ended_at is not None and run.ended_at <= moment else (),
    )
