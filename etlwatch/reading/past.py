"""A past moment as a reader: every question answered as it would have been answered then, as far as that is stored.

What is above a reader needs to know nothing of moments. A run that went on after the moment is a `RunAsOf`, which
bounds what is not known of it. Answers are kept for as long as the reader: make one for each view of the store.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.as_of import (
    NOTHING_STORED,
    RunAsOf,
    Stored,
    just_after,
    last_progress,
    phases_as_of,
    run_as_of,
    went_on,
)
from etlwatch.reading.completed import by_run
from tracking_core import histogram
from tracking_core.clock import EPOCH
from tracking_core.identity import MAX_RUN_ID
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
    RunStatus,
    SeriesCell,
    SourceCount,
    Switch,
    Traffic,
    WriterLedger,
)
from tracking_core.store.queries import Reader

ALIVE_FOR: Final = timedelta(days=7)
"""How long before the moment a run may have begun that is found to have lived and has ended since."""

ALL: Final = 2**31 - 1
"""A limit for questions that need one."""

HOUR_S: Final = 3_600
"""How far back the cells of runs that went on are read: the last of their progress is mostly there."""

DAY_S: Final = 86_400
"""How far back they are read of a run that is silent for longer, and of which latencies are asked for."""

SILENT_FOR: Final = timedelta(seconds=20)
"""Of runs that recorded nothing for this long it is asked when they last counted a source."""

FINEST_S: Final = 10
"""Seconds of the finest cells."""

SUFFIXES_READ: Final = 100
"""Run ids with one ending that are looked through, since the newest may have begun later."""


def reader_as_of(reader: Reader, moment: datetime) -> PastReader:
    """Return what a reader answered at a moment, never one after the store's clock; raises the reader's StoreError."""
    return PastReader(reader, min(moment, reader.now()))


def traffic_known_until(reader: Reader, until: int) -> int:
    """Return until when the last answer to `throughput` is whole: `until`, or where a cell begins that was open."""
    return min(until, reader.open_from) if isinstance(reader, PastReader) else until


def counted_later(reader: Reader, run_id: int) -> tuple[str, ...]:
    """Return which entities a run counted after the moment, perhaps again: what they were then is not stored."""
    return reader.later_counts.get(run_id, ()) if isinstance(reader, PastReader) else ()


class PastReader(Reader):
    """Answer as of a moment, what a Reader says of its answers; differences are described here.

    Not thread-safe, as the reader it asks.
    """

    def __init__(self, present: Reader, moment: datetime) -> None:
        self.present = present
        self.moment = moment
        self.open_from = ALL
        """Where the first cell begins that was being filled, of those `throughput` was last asked for."""

        self.later_counts: dict[int, tuple[str, ...]] = {}
        """By run whose source counts were asked for, see `counted_later`."""

        self._until = int(moment.timestamp())
        self._after = just_after(moment)
        # Cells that begin with the moment itself hold only what came after it.
        self._before = math.ceil(moment.timestamp())
        self._known: dict[int, Run] = {}
        self._stored: dict[int, Stored] = {}
        self._phases: dict[int, tuple[Phase, ...]] = {}
        self._alive: list[Run] | None = None

    def close(self) -> None:
        """Do nothing: the connection belongs to whoever opened it."""

    def one_view(self) -> AbstractContextManager[None]:
        return self.present.one_view()

    def now(self) -> datetime:
        return self.moment

    # -- runs

    def recent_runs(self, limit: int, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        return self._as_of(self.present.recent_runs(limit, before=self._not_after(before)))

    def runs_in_status(
        self, statuses: Collection[str], limit: int, *, before: tuple[datetime, int] | None = None
    ) -> list[Run]:
        found = self.live_runs(limit, before=before) if RunStatus.RUNNING in statuses else []
        over = [status for status in statuses if status != RunStatus.RUNNING]
        place, ended = self._not_after(before), 0
        while over and ended < limit:
            page = self.present.runs_in_status(over, limit, before=place)
            by_then = [run for run in page if not went_on(run, self.moment)]
            found, ended = [*found, *by_then], ended + len(by_then)
            if len(page) < limit:
                break
            place = _place_of(page[-1])
        return self._as_of(sorted(found, key=_place_of, reverse=True)[:limit])

    def live_runs(self, limit: int | None = None, *, before: tuple[datetime, int] | None = None) -> list[Run]:
        """Return the runs that had not ended: all that still live, and those begun in the week before."""
        alive = [run for run in self._all_alive() if before is None or _place_of(run) < before]
        return self._as_of(alive[:limit])

    def count_live(self) -> int:
        return len(self._all_alive())

    def count_runs(
        self,
        *,
        jobs: Collection[str] | None = None,
        statuses: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        most: int | None = None,
    ) -> int:
        """Return how many runs had begun; a run that went on was running."""
        begun, until = since or EPOCH, self._then(until)
        if statuses is None:
            return self.present.count_runs(jobs=jobs, since=since, until=until)
        alive = [run for run in self._all_alive() if begun <= run.started_at <= until]
        alive = alive if jobs is None else [run for run in alive if run.job in jobs]
        over = [status for status in statuses if status != RunStatus.RUNNING]
        ended = self.present.count_runs(jobs=jobs, statuses=over, since=since, until=until, most=most) if over else 0
        return ended - sum(run.status in over for run in alive) + (len(alive) if RunStatus.RUNNING in statuses else 0)

    def run(self, run_id: int) -> Run | None:
        if run_id not in self._known:
            found = self.present.run(run_id)
            if found is None or found.started_at > self.moment:
                return None
            self._as_of([found])
        return self._known[run_id]

    def run_ids_ending_in(self, suffix: str, limit: int = 3) -> list[int]:
        found = self.present.run_ids_ending_in(suffix, SUFFIXES_READ)
        return [run_id for run_id in found if self.run(run_id) is not None][:limit]

    def latest_run_id(self, job: str) -> int | None:
        return next((run.run_id for run in self.runs_of_job(job, 1)), None)

    def job_names(self, limit: int | None = None) -> list[str]:
        names = self.present.job_names()
        begun = self.present.outlines_of_jobs(names, 1, before=self._after)
        return [job for job in names if begun[job]][:limit]

    def runs_of_job(
        self,
        job: str,
        limit: int,
        *,
        completed: bool = False,
        before: datetime | None = None,
        completed_by: datetime | None = None,
    ) -> list[Run]:
        return self.runs_of_jobs([job], limit, completed=completed, before=before, completed_by=completed_by)[job]

    def runs_of_jobs(
        self,
        jobs: Collection[str],
        limit: int,
        *,
        completed: bool = False,
        before: datetime | None = None,
        completed_by: datetime | None = None,
    ) -> dict[str, list[Run]]:
        over = min(completed_by or self.moment, self.moment) if completed or completed_by else None
        found = self.present.runs_of_jobs(jobs, limit, before=self._begun(before), completed_by=over)
        self._as_of([run for own in found.values() for run in own])
        return {job: [self._known[run.run_id] for run in own] for job, own in found.items()}

    def outlines_of_jobs(
        self, jobs: Collection[str], limit: int, *, before: datetime | None = None
    ) -> dict[str, list[RunOutline]]:
        found = self.present.outlines_of_jobs(jobs, limit, before=self._begun(before))
        return {job: [self._outline(run) for run in own] for job, own in found.items()}

    def outlines_since(self, moment: datetime, jobs: Collection[str] | None = None) -> list[RunOutline]:
        found = self.present.outlines_since(moment, jobs)
        return [run for run in found if run.ended_at is not None and run.ended_at <= self.moment]

    def runs_alive_at(self, moment: datetime, since: datetime, limit: int = 300) -> list[Run]:
        return self._as_of(self.present.runs_alive_at(min(moment, self.moment), since, limit))

    def count_alive_at(self, moment: datetime, since: datetime) -> int:
        return self.present.count_alive_at(min(moment, self.moment), since)

    # -- what belongs to runs

    def phases(self, run_ids: Sequence[int]) -> list[Phase]:
        """Return the phases of runs, those to come as pending."""
        over = [run_id for run_id in run_ids if not self._went_on(run_id)]
        found = self.present.phases(over) if over else []
        found += [phase for run_id in run_ids for phase in self._phases.get(run_id, ())]
        return sorted(found, key=lambda phase: (phase.run_id, phase.position))

    def phase_samples(self, run_id: int) -> list[PhaseSample]:
        return [sample for sample in self.present.phase_samples(run_id) if sample.at <= self.moment]

    def endpoints(self, run_id: int) -> list[EndpointTotals]:
        """Return a run's requests by endpoint; none of a run that went on."""
        return [] if self._went_on(run_id) else self.present.endpoints(run_id)

    def endpoints_of_runs(self, run_ids: Sequence[int]) -> list[EndpointTotals]:
        over = [run_id for run_id in run_ids if not self._went_on(run_id)]
        return self.present.endpoints_of_runs(over) if over else []

    def endpoint_names(self, run_ids: Sequence[int]) -> dict[int, frozenset[str]]:
        """Return which endpoints runs asked whenever it was: a run that went on may have asked some of them later."""
        return self.present.endpoint_names(run_ids)

    def latencies(self, run_ids: Sequence[int]) -> dict[int, dict[int, int]]:
        """Return the latency histograms of runs; none of one that went on and was longer than its series is read."""
        over = [run_id for run_id in run_ids if not self._went_on(run_id)]
        found = self.present.latencies(over) if over else {}
        for run_id, cells in self.series_of_runs([each for each in run_ids if each not in over], 0).items():
            if sum(cell.requests for cell in cells) == self._stored[run_id].traffic.requests:
                found[run_id] = histogram.merge(cell.histogram for cell in cells)
        return found

    def series(self, run_id: int, since: int = 0) -> list[SeriesCell]:
        """Return a run's requests over time, as far as its cells had closed."""
        return self._closed(run_id, self.present.series(run_id, since))

    def series_of_runs(
        self, run_ids: Sequence[int], since: int, *, until: int | None = None
    ) -> dict[int, list[SeriesCell]]:
        """Return the same of several runs; of those that went on no more than a day."""
        before = min(until or self._before, self._before)
        alive = [run_id for run_id in run_ids if self._went_on(run_id)]
        over = [run_id for run_id in run_ids if run_id not in alive]
        found = self.present.series_of_runs(over, since, until=until) if over else {}
        if alive:
            found |= self.present.series_of_runs(alive, max(since, self._until - DAY_S), until=before)
        return {run_id: self._closed(run_id, cells) for run_id, cells in found.items()}

    def series_of_jobs(
        self, runs: Mapping[str, Sequence[int]], since: int, until: int, *, step: int | None
    ) -> dict[str, list[SeriesCell]]:
        return self.present.series_of_jobs(runs, since, min(until, self._until), step=step)

    def pauses_of_runs(self, run_ids: Sequence[int], *, until: int | None = None) -> dict[int, dict[str, int]]:
        alive = [run_id for run_id in run_ids if self._went_on(run_id)]
        over = [run_id for run_id in run_ids if run_id not in alive]
        found = self.present.pauses_of_runs(over, until=until) if over else {}
        return found | (self.present.pauses_of_runs(alive, until=self._until) if alive else {})

    def recent_traffic(self, run_ids: Sequence[int], since: int) -> dict[int, tuple[int, int]]:
        cells = {run_id: cells for run_id, cells in self.series_of_runs(run_ids, since).items() if cells}
        return {
            run_id: (sum(cell.requests for cell in own), sum(cell.items for cell in own))
            for run_id, own in cells.items()
        }

    def throughput(self, since: int, until: int, step: int) -> list[SeriesCell]:
        until = min(until, self._until)
        last = max((until - 1) // step * step, since)
        # Of the step that was being filled, what had closed is known.
        cells = self.present.throughput(since, last, step) if last > since else []
        cells += self.present.throughput(last, until, FINEST_S)
        self.open_from = min((cell.bucket for cell in cells if cell.bucket + cell.width > self._until), default=ALL)
        return [cell for cell in cells if cell.bucket + cell.width <= min(self.open_from, self._until)]

    def traffic_until(self, run_ids: Sequence[int], until: int) -> dict[int, Traffic]:
        return self.present.traffic_until(run_ids, min(until, self._until))

    def samples_until(self, run_ids: Sequence[int], until: int) -> list[PhaseSample]:
        found = self.present.samples_until(run_ids, min(until, self._before - 1))
        return [sample for sample in found if sample.at <= self.moment]

    def pages(self, run_id: int, limit: int = 50_000) -> list[Page]:
        """Return the paged requests of a run; none of one that went on."""
        return [] if self._went_on(run_id) else self.present.pages(run_id, limit)

    def requests(self, run_id: int, limit: int, *, after: tuple[int, int] = (0, 0)) -> list[RequestRecord]:
        """Return the requests of a run; none of one that went on."""
        return [] if self._went_on(run_id) else self.present.requests(run_id, limit, after=after)

    def source_counts(self, run_ids: Sequence[int]) -> list[SourceCount]:
        """Return the source counts of runs, those that were not renewed later; see `counted_later`."""
        found = self.present.source_counts(run_ids)
        for run_id in run_ids:
            later = (count.entity for count in found if count.run_id == run_id and count.at > self.moment)
            self.later_counts[run_id] = tuple(later)
        return [count for count in found if count.at <= self.moment]

    def runs_with_holes(self, run_ids: Sequence[int]) -> list[int]:
        """Return those of runs whose pages may have holes; none that went on."""
        return self.present.runs_with_holes([run_id for run_id in run_ids if not self._went_on(run_id)])

    def ledger(self, run_id: int) -> list[WriterLedger]:
        """Return what the writers of a run emitted; nothing of a run that went on."""
        return [] if self._went_on(run_id) else self.present.ledger(run_id)

    # -- errors

    def errors(
        self, run_id: int | None = None, limit: int = 100, *, until: datetime | None = None
    ) -> list[ErrorRecord]:
        return self.present.errors(run_id, limit, until=self._then(until))

    def errors_of_jobs(self, jobs: Collection[str], limit: int, *, until: datetime | None = None) -> list[ErrorRecord]:
        return self.present.errors_of_jobs(jobs, limit, until=self._then(until))

    def count_errors(
        self,
        *,
        jobs: Collection[str] | None = None,
        fingerprints: Collection[str] | None = None,
        until: datetime | None = None,
    ) -> int:
        return self.present.count_errors(jobs=jobs, fingerprints=fingerprints, until=self._then(until))

    def errors_named(
        self, fingerprints: Sequence[str], limit: int = 100, *, until: datetime | None = None
    ) -> list[ErrorRecord]:
        return self.present.errors_named(fingerprints, limit, until=self._then(until))

    def errors_until(self, run_ids: Sequence[int], moment: datetime) -> dict[int, tuple[int, datetime]]:
        return self.present.errors_until(run_ids, min(moment, self.moment))

    def error_groups(
        self,
        since: datetime,
        limit: int = 100,
        *,
        before: datetime | None = None,
        jobs: Collection[str] | None = None,
    ) -> list[ErrorGroup]:
        return self.present.error_groups(since, limit, before=self._begun(before), jobs=jobs)

    def error_groups_named(
        self, kinds: Sequence[tuple[str, str]], *, before: datetime | None = None
    ) -> list[ErrorGroup]:
        return self.present.error_groups_named(kinds, before=self._begun(before))

    # -- what people did

    def switches(self) -> list[Switch]:
        """Return nothing: only how the switches stand now is stored."""
        return []

    def audit(self, limit: int | None = 100, *, until: datetime | None = None) -> list[AuditEntry]:
        return self.present.audit(limit, until=self._then(until))

    # -- how a run stood

    def _not_after(self, before: tuple[datetime, int] | None) -> tuple[datetime, int]:
        begun = (self.moment, MAX_RUN_ID)
        return begun if before is None else min(before, begun)

    def _then(self, until: datetime | None) -> datetime:
        return self.moment if until is None else min(until, self.moment)

    def _begun(self, before: datetime | None) -> datetime:
        return self._after if before is None else min(before, self._after)

    def _all_alive(self) -> list[Run]:
        if self._alive is None:
            since = self.moment - ALIVE_FOR
            older = self.present.live_runs(before=(since, MAX_RUN_ID))
            self._alive = [*self.present.runs_alive_at(self.moment, since, ALL), *older]
        return self._alive

    def _outline(self, run: RunOutline) -> RunOutline:
        if run.ended_at is not None and run.ended_at <= self.moment:
            return run
        return run._replace(status=RunStatus.RUNNING, ended_at=None, duration_s=None)

    def _went_on(self, run_id: int) -> bool:
        return isinstance(self.run(run_id), RunAsOf)

    def _closed(self, run_id: int, cells: Iterable[SeriesCell]) -> list[SeriesCell]:
        run = self._known.get(run_id)
        if not isinstance(run, RunAsOf):
            return list(cells)
        return [cell for cell in cells if cell.bucket + cell.width <= run.series_until]

    def _as_of(self, runs: Sequence[Run]) -> list[Run]:
        """Return runs that had begun as they stood."""
        new = [run for run in runs if run.run_id not in self._known]
        self._known.update((run.run_id, run) for run in new)
        alive = [run for run in new if went_on(run, self.moment)]
        if alive:
            self._read_stored([run.run_id for run in alive])
            for run in alive:
                moved = self._moved(run)
                stored = self._stored[run.run_id]
                self._known[run.run_id] = run_as_of(run, self.moment, stored, moved)
        return [self._known[run.run_id] for run in runs]

    def _moved(self, run: Run) -> tuple[datetime, datetime]:
        """Return between which moments a run last recorded anything."""
        stored, phases = self._stored[run.run_id], self._phases.get(run.run_id, ())
        moved = last_progress(run, phases, stored, self.moment)
        if self.moment - moved[0] < SILENT_FOR:
            return moved
        counted = (count.at for count in self.source_counts([run.run_id]))
        return last_progress(run, phases, stored, self.moment, counted)

    def _read_stored(self, run_ids: Sequence[int]) -> None:
        """Read what is stored of runs that went on, and their phases."""
        reader, until = self.present, self._until
        traffic = reader.traffic_until(run_ids, until)
        cells = reader.series_of_runs(run_ids, until - HOUR_S, until=self._before)
        silent = [
            run_id
            for run_id in run_ids
            if run_id in traffic and not any(cell.requests for cell in cells.get(run_id, ()))
        ]
        if silent:
            cells |= reader.series_of_runs(silent, until - DAY_S, until=self._before)
        errors = reader.errors_until(run_ids, self.moment)
        samples = by_run(reader.samples_until(run_ids, self._before - 1))
        for run_id in run_ids:
            number, last = errors.get(run_id, (0, None))
            self._stored[run_id] = Stored(
                until=until,
                traffic=traffic.get(run_id, NOTHING_STORED.traffic),
                cells=tuple(cells.get(run_id, ())),
                since=until - (DAY_S if run_id in silent else HOUR_S),
                samples=tuple(samples.get(run_id, ())),
                errors=number,
                last_error_at=last,
            )
        for run_id, own in by_run(reader.phases(run_ids)).items():
            self._phases[run_id] = phases_as_of(own, self._stored[run_id].samples, self.moment)


def _place_of(run: Run) -> tuple[datetime, int]:
    return (run.started_at, run.run_id)
