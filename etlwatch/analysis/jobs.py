"""One line a job: its last runs, its success rate, what is usual and where that is going, and when it is next.

What follows from a job's runs: rate, trend, rhythm, and whether it is late to begin. The states of living runs come
from `etlwatch.reading.health`; `now` is the store's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Final

from etlwatch.analysis.baseline import MINIMUM_RUNS, NO_BASELINE, JobBaseline, quantile
from etlwatch.analysis.schedule import Rhythm, Turn, rhythm_of, turn_of
from etlwatch.analysis.states import BEHIND, FLAWED, RANKS
from tracking_core.dataclass import dataclass
from tracking_core.records import Run, RunStatus

RUNS_SHOWN: Final = 30
"""How many of a job's last runs are looked at."""

TREND_RUNS: Final = 10
"""Completed runs whose median is held against that of the ones before them."""

TREND_FROM: Final = 0.10
"""A change of the usual duration from which on it is remarkable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow(Turn):
    """All that the line and the pane of a job show."""

    job: str
    runs: tuple[Run, ...]
    """The last ones, at most RUNS_SHOWN, oldest first, in their derived states."""

    baseline: JobBaseline = NO_BASELINE
    completed: int = 0
    """How many of `counted` runs completed."""

    counted: int = 0
    """How many of the last runs ended or are lost."""

    trend: float | None = None
    """How the usual duration changed, 0.18 for 18 % more; None with too few runs."""

    drifting: bool = False
    """Whether that change is one to look at: more, and beyond the job's own ups and downs."""

    @property
    def live(self) -> Run | None:
        """Its gravest living run that is not lost."""
        living = [run for run in self.runs if run.status == RunStatus.RUNNING and run.state != "lost"]
        return min(living, key=lambda run: (RANKS.get(run.state, 99), run.started_at), default=None)

    @property
    def last(self) -> Run | None:
        """The run that began last."""
        return self.runs[-1] if self.runs else None

    @property
    def trouble(self) -> str:
        """The gravest state that needs somebody: overdue, lost, failed, incomplete, …; '' when all is well.

        A failure counts until a run begun after it has completed.
        """
        found = ["overdue"] if self.overdue_s is not None else []
        found += [run.state for run in self.runs if run.state in ("lost", *BEHIND)]
        ended = [run for run in self.runs if run.status in (RunStatus.COMPLETED, RunStatus.FAILED)]
        if ended and (ended[-1].status == RunStatus.FAILED or ended[-1].state in FLAWED):
            found.append(ended[-1].state)
        return min(found, key=lambda state: RANKS[state], default="")

    @property
    def rank(self) -> int:
        """0 for overdue, 1 for trouble, 2 for well, 3 for given up."""
        return 0 if self.overdue_s is not None else 1 if self.trouble else 3 if self.given_up_since else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """How many jobs are in which shape."""

    overdue: int = 0
    trouble: int = 0
    well: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHistory:
    """What was read of a job, and what follows from it whatever the time is."""

    job: str
    runs: tuple[Run, ...]
    """The last ones, at most RUNS_SHOWN, newest first."""

    starts: tuple[datetime, ...]
    """When these and, for a job that begins often, earlier ones began, ascending."""

    baseline: JobBaseline
    rhythm: Rhythm | None


def history_of(
    job: str,
    runs: Sequence[Run],
    *,
    baseline: JobBaseline = NO_BASELINE,
    starts: Iterable[datetime] | None = None,
    zone: tzinfo | None = None,
) -> JobHistory:
    """Return the history of a job from its runs, newest first; `starts` by default are theirs."""
    began = tuple(sorted(starts if starts is not None else (run.started_at for run in runs)))
    return JobHistory(
        job=job, runs=tuple(runs[:RUNS_SHOWN]), starts=began, baseline=baseline, rhythm=rhythm_of(began, zone)
    )


def build_job(
    history: JobHistory, *, now: datetime, living: Mapping[int, Run] | None = None, zone: tzinfo | None = None
) -> JobRow:
    """Return the row of a job as of now; `living` are its living runs by id, in their derived state."""
    shown = tuple((living or {}).get(run.run_id, run) for run in reversed(history.runs))
    counted = [run for run in shown if run.status != RunStatus.RUNNING or run.state == "lost"]
    trend, drifting = _trend([run for run in reversed(shown) if run.status == RunStatus.COMPLETED])
    alive = any(run.status == RunStatus.RUNNING and run.state != "lost" for run in shown)
    turn = turn_of(history.rhythm, history.starts, alive=alive, now=now, zone=zone)
    return JobRow(
        job=history.job,
        runs=shown,
        baseline=history.baseline,
        completed=sum(run.status == RunStatus.COMPLETED for run in counted),
        counted=len(counted),
        trend=trend,
        drifting=drifting,
        expected=turn.expected,
        overdue_s=turn.overdue_s,
        given_up_since=turn.given_up_since,
    )


def _trend(completed: Sequence[Run]) -> tuple[float | None, bool]:
    """Return by how much the newest durations differ from those before, and whether that is remarkable."""
    newer = sorted(run.duration_s for run in completed[:TREND_RUNS])
    older = sorted(run.duration_s for run in completed[TREND_RUNS:])
    new, old, high = quantile(newer, 0.5), quantile(older, 0.5), quantile(older, 0.75)
    if len(newer) < MINIMUM_RUNS or len(older) < MINIMUM_RUNS or not old or new is None or high is None:
        return None, False
    trend = new / old - 1
    return trend, trend >= TREND_FROM and new > high


def count_jobs(rows: Iterable[JobRow]) -> JobCounts:
    """Count jobs by shape."""
    ranks = [row.rank for row in rows]
    return JobCounts(overdue=ranks.count(0), trouble=ranks.count(1), well=ranks.count(2), given_up=ranks.count(3))
