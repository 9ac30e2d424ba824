"""What beside the runs is on screen: all jobs, all kinds of errors, or two runs side by side; asked for, and answered.

Contains the records of question and answer that travel between screens and poller. One board is on screen at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final, TypeAlias

from etlwatch.analysis.snapshot import AnyBoard, ErrorsBoard, JobsBoard, RunDetails, RunsBoard
from etlwatch.reading.compare import last_success, read_side
from etlwatch.reading.errors import read_kinds
from etlwatch.reading.jobs import JobsGatherer
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import Run
from tracking_core.store.base import Reader

__all__ = [
    "MOST_KINDS",
    "AskedBoard",
    "AskedErrors",
    "AskedJobs",
    "AskedRuns",
    "BoardsGatherer",
]


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


AskedBoard: TypeAlias = AskedJobs | AskedErrors | AskedRuns


JOBS_BUDGET_S: Final = 0.15
"""How long one poll may read histories; the rest follows in the next."""

ERRORS_EVERY_S: Final = 10.0
"""How often errors are grouped again."""

MOST_KINDS: Final = 300


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a comparison, and what its run was like when it was read."""

    stamp: object
    details: RunDetails


class BoardsGatherer:
    """Answer what a board asks for. Not thread-safe: one poller owns it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, at_once: bool = False) -> None:
        """Prepare; `at_once` reads the histories of all jobs in one poll."""
        self._monotonic = monotonic
        self._budget_s = None if at_once else JOBS_BUDGET_S
        self.forget()

    def forget(self) -> None:
        """Forget every answer."""
        self._asked: AskedBoard | None = None
        self._jobs: JobsGatherer | None = None
        self._errors: tuple[float, ErrorsBoard] | None = None
        self._ended: dict[int, Run] = {}
        self._sides: dict[int, _Side] = {}
        self._reference: int | None = None

    def read(self, reader: Reader, asked: AskedBoard | None, runs: Sequence[Run], now: datetime) -> AnyBoard | None:
        """Return the board that is asked for; `runs` are the judged ones of the list. Raises StoreError."""
        if asked != self._asked:
            self.forget()
            self._asked = asked
        if isinstance(asked, AskedJobs):
            return self._jobs_board(reader, asked, runs)
        if isinstance(asked, AskedErrors):
            return self._errors_board(reader, asked, now)
        if isinstance(asked, AskedRuns):
            return self._runs_board(reader, asked, runs)
        return None

    def _jobs_board(self, reader: Reader, asked: AskedJobs, runs: Sequence[Run]) -> JobsBoard:
        if self._jobs is None:
            self._jobs = JobsGatherer(zone=asked.zone, budget_s=self._budget_s, monotonic=self._monotonic)
        histories = self._jobs.read(reader, runs)
        return JobsBoard(histories=histories, complete=self._jobs.complete, there_are=self._jobs.there_are)

    def _errors_board(self, reader: Reader, asked: AskedErrors, now: datetime) -> ErrorsBoard:
        at = self._monotonic()
        if self._errors is None or at - self._errors[0] >= ERRORS_EVERY_S:
            since = now - timedelta(seconds=asked.window_s)
            kinds = read_kinds(reader, since, MOST_KINDS, known=self._ended)
            self._errors = (at, ErrorsBoard(since=since, kinds=tuple(kinds), cut=len(kinds) >= MOST_KINDS))
        return self._errors[1]

    def _runs_board(self, reader: Reader, asked: AskedRuns, runs: Sequence[Run]) -> RunsBoard:
        judged = {run.run_id: run for run in runs}
        after = self._side(reader, asked.after, judged.get(asked.after))
        before_id = asked.before
        if before_id is None and after.run is not None:
            if self._reference is None:
                found = last_success(reader, after.run)
                self._reference = found.run_id if found is not None else None
            before_id = self._reference
        before = self._side(reader, before_id, judged.get(before_id)) if before_id is not None else None
        return RunsBoard(after=after, before=before)

    def _side(self, reader: Reader, run_id: int, judged: Run | None) -> RunDetails:
        """Ask for one side where its run has changed since it was last asked for."""
        run = reader.run(run_id)
        if run is None:
            return RunDetails(run=None, run_id=run_id)
        stamp = (run.status, run.requests, run.errors, run.progress_at, run.ended_at)
        known = self._sides.get(run_id)
        if known is None or known.stamp != stamp:
            known = self._sides[run_id] = _Side(stamp, read_side(reader, run))
        return replace(known.details, run=judged or run)
