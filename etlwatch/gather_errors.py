"""What is asked of a store about kinds of errors: their groups, their runs, and when their phases last completed.

Owns these questions, for `etlwatch errors --group` and the errors screen alike. Refuses to own what is concluded
(`etlwatch.model.error_groups`). Remembers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from etlwatch.model.error_groups import ErrorKind, groups_of_run, kind_of
from etlwatch.model.kind_list import KINDS
from tracking_core.dataclass import dataclass, field
from tracking_core.records import ErrorGroup, ErrorRecord, Phase, PhaseStatus, Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["ERRORS_OF_RUN", "kinds_of_errors", "read_kinds", "read_kinds_of_run"]

ERRORS_OF_RUN: Final = 2_000
"""Errors of one run that are grouped, the newest."""

_LAST_RUNS: Final = 30
"""Runs of a job among which a phase's last success is looked for."""


def read_kinds(
    reader: Reader,
    since: datetime,
    limit: int = 100,
    *,
    before: datetime | None = None,
    known: dict[int, Run] | None = None,
) -> list[ErrorKind]:
    """Return the kinds of the errors since a moment, what needs somebody first; raises the reader's StoreError.

    As they stood before a past moment, if one is given. `known` are runs that have ended and need not be asked for; it
    is added to.
    """
    seen = reader.error_groups(since, limit, before=before)
    ended = known if known is not None else {}
    runs = {group.run_id: ended.get(group.run_id) or reader.run(group.run_id) for group in seen}
    ended.update((run_id, run) for run_id, run in runs.items() if run is not None and run.ended_at is not None)
    return _kinds(reader, seen, runs, before)


def read_kinds_of_run(reader: Reader, run: Run, limit: int = ERRORS_OF_RUN) -> list[ErrorKind]:
    """Return the kinds of one run's newest errors; raises the reader's StoreError."""
    return kinds_of_errors(reader, run, reader.errors(run.run_id, limit))


def kinds_of_errors(
    reader: Reader, run: Run, errors: Iterable[ErrorRecord], *, before: datetime | None = None
) -> list[ErrorKind]:
    """Return the kinds of errors of one run that are known already, as they stood before a past moment if one is given.

    Raises the reader's StoreError.
    """
    return _kinds(reader, groups_of_run(run, errors), {run.run_id: run}, before)


def _kinds(
    reader: Reader, seen: Sequence[ErrorGroup], runs: Mapping[int, Run | None], before: datetime | None = None
) -> list[ErrorKind]:
    named = reader.error_groups_named([group.key for group in seen], before=before)
    always = {group.key: group for group in named}
    successes = _Successes(reader, before)
    made = []
    for group in seen:
        run = runs.get(group.run_id)
        what, when = successes.of(run.job, group.phase) if run is not None else ("", None)
        made.append(kind_of(group, always.get(group.key), run, succeeded=what, succeeded_at=when))
    return KINDS.sort(made)


@dataclass(slots=True)
class _Successes:
    """When phases of jobs last completed, each job asked about once."""

    reader: Reader
    before: datetime | None = None
    known: dict[str, tuple[list[Run], list[Phase]]] = field(default_factory=dict)

    def of(self, job: str, phase: str | None) -> tuple[str, datetime | None]:
        """Return a phase of a job and when it last completed; '' and the job's success where phases tell nothing."""
        if job not in self.known:
            runs = self.reader.runs_of_job(job, _LAST_RUNS, before=self.before)
            self.known[job] = (runs, self.reader.phases([run.run_id for run in runs]))
        runs, phases = self.known[job]
        if phase is not None and any(each.phase == phase for each in phases):
            completed = [each for each in phases if each.phase == phase and each.status == PhaseStatus.COMPLETED]
            return phase, self._latest(each.ended_at for each in completed)
        return "", self._latest(run.ended_at for run in runs if run.status == RunStatus.COMPLETED)

    def _latest(self, moments: Iterable[datetime | None]) -> datetime | None:
        known = (moment for moment in moments if moment is not None)
        return max((moment for moment in known if self.before is None or moment < self.before), default=None)
