"""The health of runs: which questions it takes beside the runs themselves, and how long an answer holds.

The same for the dashboard's polls and for commands. A baseline is read again when a run of its job has completed; a
poll reads no more of them than fit its budget, and holds a run against its baseline once that is known.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.baseline import MOST_RUNS, JobBaseline, baseline_of
from etlwatch.analysis.findings import Departure, departure_of, is_slow, may_be_stalled, may_be_throttled
from etlwatch.analysis.forecast import running_phase
from etlwatch.analysis.health import Health, health_of_runs
from etlwatch.analysis.states import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.reading.completed import CompletedRunsReader, by_run
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import EndpointTotals, Phase, Run, RunStatus, SeriesCell
from tracking_core.store.queries import Reader

TRAFFIC_S: Final = 3_600
"""How far back a run's own series is read: a throttling that began earlier is shown as beginning there."""

TRAFFIC_EVERY_S: Final = 10
"""How often it is read again: its cells are no finer."""

DAY_S: Final = 86_400
"""How far back the series of a slow run is read, to find since when it is not what its job usually is."""

DAY_EVERY_S: Final = 60
"""How often it is read again: it is shown by the minute."""

MOST_SLOW: Final = 30
"""Slow runs of which it is read; of more at once the single ones matter less."""

FULL_AT_ONCE: Final = 5
"""Pasts read at once, in full, where the reading of them has a budget."""

BRIEF_AT_ONCE: Final = 40
"""The same of what the runs themselves hold."""

COMPARED_WITHIN_S: Final = 5.0
"""How long a command may take to compare completed runs with earlier ones; the jobs that are left are counted."""

COMPARED_AT_ONCE: Final = 50
"""Jobs whose completed runs a command compares at once."""

BASELINE_HOLDS_S: Final = 600.0
"""A baseline is read again after this long whatever happened: runs may have been removed."""


def read_baseline(reader: Reader, job: str, *, before: datetime | None = None, in_full: bool = True) -> JobBaseline:
    """Return the baseline of one job; see `read_baselines`."""
    return read_baselines(reader, [job], before=before, in_full=in_full)[job]


def read_baselines(
    reader: Reader,
    jobs: Collection[str],
    *,
    before: datetime | None = None,
    in_full: bool = True,
    endpoints: bool = True,
    cache: dict[tuple[int, ...], JobBaseline] | None = None,
) -> dict[str, JobBaseline]:
    """Return the baselines of jobs, of their last completed runs, or of those that began before a moment.

    Without `in_full` only what the runs themselves hold: durations, requests, items, errors; without `endpoints` no
    latencies, which cost most. `cache` holds baselines in full by the runs that make them, which do not change; it is
    added to. However many jobs, it takes the same few questions.
    """
    if not jobs:
        return {}
    runs = reader.runs_of_jobs(jobs, MOST_RUNS, completed=True, before=before)
    if not in_full:
        return {job: baseline_of(own) for job, own in runs.items()}
    cache = {} if cache is None else cache
    ids = {job: tuple(run.run_id for run in own) for job, own in runs.items()}
    unread = [run_id for own in ids.values() if own and own not in cache for run_id in own]
    phases = by_run(reader.phases(unread)) if unread else {}
    totals = by_run(reader.endpoints_of_runs(unread)) if unread and endpoints else {}
    pauses = reader.pauses_of_runs(unread) if unread else {}
    for job, own in ids.items():
        if own and own not in cache:
            cache[own] = baseline_of(
                runs[job],
                [phase for run_id in own for phase in phases.get(run_id, ())],
                [each for run_id in own for each in totals.get(run_id, ())],
                pauses,
            )
    return {job: cache[own] if own else baseline_of(()) for job, own in ids.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptBaseline:
    """A baseline as it was read."""

    baseline: JobBaseline
    in_full: bool
    completed_at: datetime | None
    """When the job's newest completed run that was on screen then had ended."""

    read_at: float


class HealthReader:
    """Read the health of runs, and again only what may have changed. Not thread-safe: one poller owns it."""

    def __init__(
        self,
        *,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
        budget_s: float | None = None,
        at_once: bool = False,
        baselines: dict[tuple[int, ...], JobBaseline] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `budget_s` bounds the reading of baselines in one call, None reads all that are missing.

        With `at_once` those of jobs with a living run are read whatever it takes. `baselines` is a cache as for
        `read_baselines`.
        """
        self._thresholds = thresholds
        self._budget_s = budget_s
        self._at_once = at_once
        self._cache = baselines
        self._completed = CompletedRunsReader(budget_s=budget_s, monotonic=monotonic)
        self._monotonic = monotonic
        self.forget()

    def forget(self) -> None:
        """Forget every answer."""
        self._completed.forget()
        self._baselines: dict[str, _KeptBaseline] = {}
        self._completed_at: dict[str, datetime] = {}
        self._traffic: tuple[object, Mapping[int, Sequence[SeriesCell]]] = (None, {})
        self._departures: tuple[object, Mapping[int, Departure]] = (None, {})
        self._endpoints: tuple[object, Mapping[int, Sequence[EndpointTotals]]] = (None, {})
        self._pauses: tuple[object, Mapping[int, Mapping[str, float]]] = (None, {})

    def read(
        self,
        reader: Reader,
        runs: Sequence[Run],
        *,
        now: datetime,
        phases: Mapping[int, Sequence[Phase]] | None = None,
        jobs: Collection[str] | None = None,
        living: Collection[Run] | None = None,
        changed: Iterable[Run] | None = None,
        every_job: bool = False,
    ) -> Health:
        """Return the health of runs as a reader gave them; raises the reader's StoreError.

        `phases` are those of the living runs, asked for when they are not given. Only runs of `jobs` are held against
        their baseline, None for all. `living` are the runs that nobody has ended, looked for when they are not given;
        `changed` those that the last call was not given as they are, None for all.
        `every_job` also reads what is usual for jobs without a living run.
        """
        if living is None:
            living = [run for run in runs if run.status == RunStatus.RUNNING]
        beating = [run for run in living if run.state != "lost" and (jobs is None or run.job in jobs)]
        self._note_completions(runs if changed is None else changed)
        self._read_baselines(reader, runs, beating, every_job=every_job)
        baselines = {job: kept.baseline for job, kept in self._baselines.items()}
        if phases is None:
            phases = by_run(reader.phases([run.run_id for run in beating])) if beating else {}
        completed = self._completed.read(reader, runs if jobs is None else [run for run in runs if run.job in jobs])
        health = health_of_runs(
            runs,
            now=now,
            living=living,
            completed=completed.findings,
            baselines={
                run.job: baselines[run.job]
                for run in beating
                if run.job in baselines and self._baselines[run.job].in_full
            },
            phases=phases,
            series=self._own_traffic(reader, beating, now),
            endpoints=self._own_endpoints(reader, beating, now, baselines),
            departures=self._own_departures(reader, beating, now, baselines),
            pauses=self._own_pauses(reader, beating, now, baselines, phases),
            thresholds=self._thresholds,
        )
        return replace(health, baselines=baselines, jobs_left=completed.jobs_left)

    def read_briefly(
        self, reader: Reader, runs: Sequence[Run], *, now: datetime, jobs: Collection[str] | None = None
    ) -> Health:
        """Return the same, reading only what it depends on and keeping nothing; raises StoreError.

        Of most living runs the durations of their job prove that they are well: phases, pauses and endpoints are read
        only for runs that may be stalled or slow. So the baselines are not in full.
        """
        limits = self._thresholds
        living = [run for run in runs if run.status == RunStatus.RUNNING]
        beating = [run for run in living if run.state != "lost" and (jobs is None or run.job in jobs)]
        baselines = read_baselines(reader, {run.job for run in beating}, in_full=False)
        slow = [run for run in beating if self._is_slow(run, baselines, now)]
        still = [run for run in beating if may_be_stalled(run, now=now, thresholds=limits)]
        traced = {run.job for run in slow[:MOST_SLOW]}
        completed = CompletedRunsReader(budget_s=COMPARED_WITHIN_S, at_once=COMPARED_AT_ONCE).read(reader, runs)
        baselines |= read_baselines(reader, {run.job for run in (*slow, *still)} - traced, endpoints=False)
        baselines |= read_baselines(reader, traced)
        phases = by_run(reader.phases([run.run_id for run in (*slow, *still)])) if slow or still else {}
        health = health_of_runs(
            runs,
            now=now,
            living=living,
            completed=completed.findings,
            baselines=baselines,
            phases=phases,
            series=self._own_traffic(reader, beating, now),
            endpoints=self._own_endpoints(reader, slow, now, baselines),
            departures=self._own_departures(reader, slow, now, baselines),
            pauses=self._own_pauses(reader, still, now, baselines, phases),
            thresholds=limits,
        )
        return replace(health, jobs_left=completed.jobs_left)

    def _note_completions(self, runs: Iterable[Run]) -> None:
        """Note of each job when its newest completed run ended."""
        for run in runs:
            if run.status == RunStatus.COMPLETED and run.ended_at is not None:
                self._completed_at[run.job] = max(self._completed_at.get(run.job, run.ended_at), run.ended_at)

    def _read_baselines(self, reader: Reader, runs: Iterable[Run], living: Iterable[Run], *, every_job: bool) -> None:
        listed = dict.fromkeys(map(_job_of, runs))
        full = dict.fromkeys(run.job for run in living)
        wanted = [*full, *(job for job in listed if job not in full)] if every_job else [*full]
        self._baselines = {job: kept for job, kept in self._baselines.items() if job in listed}
        completed_at = self._completed_at = {job: at for job, at in self._completed_at.items() if job in listed}
        began = self._monotonic()
        stale = [job for job in wanted if self._is_stale(job, completed_at.get(job), in_full=job in full, at=began)]
        while stale:
            in_full = stale[0] in full
            bounded = self._budget_s is not None and not (in_full and self._at_once)
            size = len(stale) if not bounded else FULL_AT_ONCE if in_full else BRIEF_AT_ONCE
            some = [job for job in stale[:size] if (job in full) == in_full]
            for job, baseline in read_baselines(reader, some, in_full=in_full, cache=self._cache).items():
                self._baselines[job] = _KeptBaseline(
                    baseline=baseline, in_full=in_full, completed_at=completed_at.get(job), read_at=began
                )
            stale = stale[len(some) :]
            if bounded and self._monotonic() - began >= (self._budget_s or 0.0):
                return

    def _is_stale(self, job: str, completed_at: datetime | None, *, in_full: bool, at: float) -> bool:
        kept = self._baselines.get(job)
        if kept is None or (in_full and not kept.in_full) or at - kept.read_at >= BASELINE_HOLDS_S:
            return True
        return completed_at is not None and (kept.completed_at is None or completed_at > kept.completed_at)

    def _own_traffic(self, reader: Reader, living: Iterable[Run], now: datetime) -> Mapping[int, Sequence[SeriesCell]]:
        """Ask for the latest hour of the runs that were throttled at all."""
        run_ids = tuple(run.run_id for run in living if may_be_throttled(run))
        slot = int(now.timestamp()) // TRAFFIC_EVERY_S
        if run_ids and self._traffic[0] != (slot, run_ids):
            since = slot * TRAFFIC_EVERY_S - TRAFFIC_S
            self._traffic = ((slot, run_ids), reader.series_of_runs(run_ids, since))
        return self._traffic[1] if run_ids else {}

    def _own_departures(
        self, reader: Reader, living: Iterable[Run], now: datetime, baselines: Mapping[str, JobBaseline]
    ) -> Mapping[int, Departure]:
        """Ask for the day of slow runs, and return since when they are not what their jobs usually are."""
        slow = {run.run_id: run for run in living if self._is_slow(run, baselines, now)}
        asked = tuple(slow)[:MOST_SLOW]
        slot = int(now.timestamp()) // DAY_EVERY_S
        if asked and self._departures[0] != (slot, asked):
            days = reader.series_of_runs(asked, slot * DAY_EVERY_S - DAY_S)
            found = {
                run_id: departure_of(cells, baselines[slow[run_id].job], began=slow[run_id].started_at, now=now)
                for run_id, cells in days.items()
            }
            departures = {run_id: departed for run_id, departed in found.items() if departed is not None}
            self._departures = ((slot, asked), departures)
        return self._departures[1] if asked else {}

    def _own_endpoints(
        self, reader: Reader, living: Iterable[Run], now: datetime, baselines: Mapping[str, JobBaseline]
    ) -> Mapping[int, Sequence[EndpointTotals]]:
        """Ask for the endpoints of the runs that are slow, to find which of them costs the time."""
        run_ids = tuple(run.run_id for run in living if self._is_slow(run, baselines, now))[:MOST_SLOW]
        slot = int(now.timestamp()) // TRAFFIC_EVERY_S
        if run_ids and self._endpoints[0] != (slot, run_ids):
            self._endpoints = ((slot, run_ids), by_run(reader.endpoints_of_runs(run_ids)))
        return self._endpoints[1] if run_ids else {}

    def _own_pauses(
        self,
        reader: Reader,
        living: Iterable[Run],
        now: datetime,
        baselines: Mapping[str, JobBaseline],
        phases: Mapping[int, Sequence[Phase]],
    ) -> Mapping[int, Mapping[str, float]]:
        """Ask for the pauses so far of the runs that may be stalled and whose jobs' past shows none for their phase."""
        asked = []
        for run in living:
            current = running_phase(phases.get(run.run_id, ()))
            usual = baselines[run.job].pauses_s.get(current.phase if current else "") if run.job in baselines else None
            if (usual is None or usual.p95 is None) and may_be_stalled(run, now=now, thresholds=self._thresholds):
                asked.append(run.run_id)
        key = int(now.timestamp()) // TRAFFIC_EVERY_S, tuple(asked)
        if asked and self._pauses[0] != key:
            self._pauses = (key, reader.pauses_of_runs(asked))
        return self._pauses[1] if asked else {}

    def _is_slow(self, run: Run, baselines: Mapping[str, JobBaseline], now: datetime) -> bool:
        return run.job in baselines and is_slow(run, baselines[run.job], now=now, thresholds=self._thresholds)


def read_health_of_run(reader: Reader, run: Run, *, now: datetime, thresholds: Thresholds) -> Health:
    """Return the health of one run, which is the first of its runs; raises the reader's StoreError.

    The living runs are read too: they show whether its machine is up, and whether many went silent together.
    """
    others = reader.live_runs() if run.status == RunStatus.RUNNING else []
    runs = [run, *(other for other in others if other.run_id != run.run_id)]
    return HealthReader(thresholds=thresholds).read(reader, runs, now=now, jobs={run.job})


_job_of = operator.attrgetter("job")
