"""What is asked of a store about kinds of errors: their groups, their runs, and when their phases last completed.

Owns these questions, for `etlwatch errors --group` and the errors screen alike. Refuses to own what is concluded
(`etlwatch.model.error_groups`). Remembers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from etlwatch.model.error_groups import ErrorKind, groups_of_run, kind_of, sort_kinds
from tracking_core.records import ErrorGroup, ErrorRecord, Phase, PhaseStatus, Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["ERRORS_OF_RUN", "kinds_of_errors", "read_kinds", "read_kinds_of_run"]

ERRORS_OF_RUN: Final = 2_000
"""Errors of one run that are grouped, the newest."""

_LAST_RUNS: Final = 30
"""Runs of a job among which a phase's last success is looked for."""


def read_kinds(reader: Reader, since: datetime, limit: int = 100) -> list[ErrorKind]:
    """Return the kinds of the errors since a moment, what needs somebody first; raises the reader's StoreError."""
    seen = reader.error_groups(since, limit)
    runs = {group.run_id: reader.run(group.run_id) for group in seen}
    return _kinds(reader, seen, runs)


def read_kinds_of_run(reader: Reader, run: Run, limit: int = ERRORS_OF_RUN) -> list[ErrorKind]:
    """Return the kinds of one run's newest errors; raises the reader's StoreError."""
    return kinds_of_errors(reader, run, reader.errors(run.run_id, limit))


def kinds_of_errors(reader: Reader, run: Run, errors: Iterable[ErrorRecord]) -> list[ErrorKind]:
    """Return the kinds of errors of one run that are known already; raises the reader's StoreError."""
    return _kinds(reader, groups_of_run(run, errors), {run.run_id: run})


def _kinds(reader: Reader, seen: Sequence[ErrorGroup], runs: dict[int, Run | None]) -> list[ErrorKind]:
    always = {group.fingerprint: group for group in reader.error_groups_named([group.fingerprint for group in seen])}
    successes = _Successes(reader)
    made = []
    for group in seen:
        run = runs.get(group.run_id)
        what, when = successes.of(run.job, group.phase) if run is not None else ("", None)
        made.append(kind_of(group, always.get(group.fingerprint), run, succeeded=what, succeeded_at=when))
    return sort_kinds(made)


@dataclass(slots=True)
class _Successes:
    """When phases of jobs last completed, each job asked about once."""

    reader: Reader
    known: dict[str, tuple[list[Run], list[Phase]]] = field(default_factory=dict)

    def of(self, job: str, phase: str | None) -> tuple[str, datetime | None]:
        """Return a phase of a job and when it last completed; '' and the job's success where phases tell nothing."""
        if job not in self.known:
            runs = self.reader.runs_of_job(job, _LAST_RUNS)
            self.known[job] = (runs, self.reader.phases([run.run_id for run in runs]))
        runs, phases = self.known[job]
        if phase is not None and any(each.phase == phase for each in phases):
            completed = [each for each in phases if each.phase == phase and each.status == PhaseStatus.COMPLETED]
            return phase, _latest(each.ended_at for each in completed)
        return "", _latest(run.ended_at for run in runs if run.status == RunStatus.COMPLETED)


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
