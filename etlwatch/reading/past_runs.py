"""Runs as they stood at a past moment: what is stored of them up to then, projected and judged.

Contains the questions that this takes, of many runs for a list and of one run for its screen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.as_of import KEPT_FOR_WHOLE_RUNS, NOTHING_YET, Stored, just_after, phases_as_of, run_as_of
from etlwatch.analysis.baseline import JobPast
from etlwatch.analysis.health import Finding, Judgement, judge_fleet
from etlwatch.analysis.health_as_of import Doubt, Looked, late_as_of
from etlwatch.analysis.snapshot import RunDetails
from etlwatch.analysis.thresholds import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.reading.details import MOST_ERRORS, with_coverage
from etlwatch.reading.errors import kinds_of_errors
from etlwatch.reading.health import BRIEF_AT_ONCE, read_pasts
from tracking_core.dataclass import replace
from tracking_core.records import Phase, PhaseSample, Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["PastRuns"]

SERIES_S: Final = 86_400
"""How far back the cells of runs that went on are read: latencies of a longer run are not added up."""

OTHER_PASTS_S: Final = 0.5
"""How long the pasts of jobs are read of which nothing lived; the runs at hand tell of the others."""


class PastRuns:
    """What was known of runs at one past moment."""

    def __init__(
        self,
        reader: Reader,
        moment: datetime,
        *,
        thresholds: Thresholds = DEFAULT_THRESHOLDS,
        pasts: dict[tuple[int, ...], JobPast] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._pasts = pasts
        self._moment = moment
        self._thresholds = thresholds
        self._monotonic = monotonic
        self.stored: dict[int, Stored] = {}
        """Of the runs that went on."""

        self.phases: dict[int, tuple[Phase, ...]] = {}
        self.doubts: dict[int, tuple[Doubt, ...]] = {}
        self._judged: dict[int, Run] = {}

    def judge(self, today: Sequence[Run]) -> Judgement:
        """Return the judgement on runs, given as they are now and begun by the moment; raises StoreError."""
        went_on = [run for run in today if run.ended_at is None or run.ended_at > self._moment]
        self.stored.update(self._read_stored([run.run_id for run in went_on]))
        runs = [run_as_of(run, self._moment, self.stored.get(run.run_id, NOTHING_YET)) for run in today]
        self.phases.update(self._read_phases(runs))
        living = dict.fromkeys(run.job for run in runs if run.status == RunStatus.RUNNING and run.state != "lost")
        pasts = read_pasts(self._reader, living, completed_by=self._moment, known=self._pasts)
        judgement = judge_fleet(runs, now=self._moment, pasts=pasts, late=self._late)
        judgement = replace(judgement, pasts={**pasts, **self._other_pasts({run.job for run in runs} - living.keys())})
        self._judged.update((run.run_id, run) for run in judgement.runs)
        return judgement

    def details(self, run_id: int) -> RunDetails:
        """Return all of a run as it stood; its run is None where it had not begun."""
        reader, moment = self._reader, self._moment
        if run_id not in self._judged:
            today = reader.run(run_id)
            if today is None or today.started_at > moment:
                return RunDetails(run=None, run_id=run_id)
            self.judge([today])
        run = self._judged[run_id]
        over = run.status != RunStatus.RUNNING
        stored = self.stored.get(run_id, NOTHING_YET)
        errors = reader.errors(run_id, MOST_ERRORS, until=moment) if run.errors else []
        # What was being filled at the moment holds what came later, too.
        series_until = None if over else stored.closed_until
        details = RunDetails(
            run=run,
            run_id=run_id,
            phases=self.phases.get(run_id, ()),
            samples=tuple(sample for sample in reader.phase_samples(run_id) if sample.at <= moment),
            series=tuple(
                cell
                for cell in reader.series(run_id)
                if series_until is None or cell.bucket + cell.width <= series_until
            ),
            series_until=series_until,
            source_counts=tuple(count for count in reader.source_counts(run_id) if count.at <= moment),
            errors=tuple(errors),
            kinds=tuple(kinds_of_errors(reader, run, errors, before=just_after(moment))),
            unknown={} if over else KEPT_FOR_WHOLE_RUNS,
        )
        if not over:
            return details
        whole = replace(details, endpoints=tuple(reader.endpoints(run_id)), ledger=tuple(reader.ledger(run_id)))
        return with_coverage(reader, whole, run) if run.requests else whole

    def _late(self, run: Run, past: JobPast) -> tuple[Finding, ...]:
        looked = self._look(run, past)
        if any(finding.state == "stalled" for finding in looked.findings):
            # Counting a source is progress, too, and asked for only where it may change something.
            counted = tuple(count.at for count in self._reader.source_counts(run.run_id) if count.at <= self._moment)
            self.stored[run.run_id] = replace(self.stored[run.run_id], counted_at=counted)
            looked = self._look(run, past)
        if looked.doubts:
            self.doubts[run.run_id] = looked.doubts
        return looked.findings

    def _look(self, run: Run, past: JobPast) -> Looked:
        return late_as_of(
            run,
            past,
            moment=self._moment,
            stored=self.stored.get(run.run_id, NOTHING_YET),
            phases=self.phases.get(run.run_id, ()),
            thresholds=self._thresholds,
        )

    def _other_pasts(self, jobs: Collection[str]) -> dict[str, JobPast]:
        """Return what jobs usually took of which nothing lived, as many as there is time for."""
        began = self._monotonic()
        found: dict[str, JobPast] = {}
        left = sorted(jobs)
        while left:
            some, left = left[:BRIEF_AT_ONCE], left[BRIEF_AT_ONCE:]
            found |= read_pasts(self._reader, some, completed_by=self._moment, in_full=False)
            if self._monotonic() - began >= OTHER_PASTS_S:
                break
        return found

    def _read_stored(self, run_ids: Sequence[int]) -> Mapping[int, Stored]:
        if not run_ids:
            return {}
        reader, until = self._reader, int(self._moment.timestamp())
        # Cells that begin with the moment itself hold only what came after it.
        before = math.ceil(self._moment.timestamp())
        since = until - SERIES_S
        traffic = reader.traffic_until(run_ids, until)
        cells = reader.series_of_runs(run_ids, since, until=before)
        errors = reader.errors_until(run_ids, self._moment)
        samples: dict[int, list[PhaseSample]] = {}
        for sample in reader.samples_until(run_ids, before - 1):
            samples.setdefault(sample.run_id, []).append(sample)
        made = {}
        for run_id in run_ids:
            number, last = errors.get(run_id, (0, None))
            made[run_id] = Stored(
                until=until,
                traffic=traffic.get(run_id, NOTHING_YET.traffic),
                cells=tuple(cells.get(run_id, ())),
                since=since,
                samples=tuple(samples.get(run_id, ())),
                errors=number,
                last_error_at=last,
            )
        return made

    def _read_phases(self, runs: Iterable[Run]) -> dict[int, tuple[Phase, ...]]:
        ids = [run.run_id for run in runs]
        asked: dict[int, list[Phase]] = {}
        for phase in self._reader.phases(ids) if ids else ():
            asked.setdefault(phase.run_id, []).append(phase)
        return {
            run_id: phases_as_of(phases, self.stored.get(run_id, NOTHING_YET).samples, self._moment)
            for run_id, phases in asked.items()
        }
