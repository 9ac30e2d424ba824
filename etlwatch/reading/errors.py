"""What is asked of a store about kinds of errors: their groups, their runs, and when their phases last completed.

Contains these questions, for `etlwatch errors --group` and the errors screen alike. Remembers nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.errors import ErrorKind, groups_of_run, kind_of
from etlwatch.fields.errors import KINDS
from tracking_core.dataclass import dataclass, field
from tracking_core.records import ErrorGroup, ErrorRecord, Phase, PhaseStatus, Run, RunStatus
from tracking_core.store.queries import Reader

MOST_KINDS: Final = 300
"""Kinds of errors that a screen lists."""

ERRORS_OF_RUN: Final = 2_000
"""Errors of one run that are grouped, the newest."""

ERRORS_A_PAGE: Final = 10_000
"""Errors that are read at a time, since each may have a traceback of 64 KiB."""

_LAST_RUNS: Final = 30
"""Runs of a job among which a phase's last success is looked for."""


def newest_errors(
    reader: Reader, limit: int, *, run_id: int | None = None, jobs: Collection[str] | None = None
) -> Iterator[ErrorRecord]:
    """Yield the newest errors of a run, of the runs of some jobs, or of all; raises the reader's StoreError.

    They are read in pages, since the deadline holds for each answer.
    """
    until: datetime | None = None
    size, seen = ERRORS_A_PAGE, set[tuple[int, int, int]]()
    while limit > 0:
        size = min(size, limit + len(seen))
        if jobs is None:
            page = reader.errors(run_id, size, until=until)
        else:
            page = reader.errors_of_jobs(jobs, size, until=until)
        new = [error for error in page if error.key not in seen][:limit]
        yield from new
        if len(page) < size:
            return
        # Several errors may have the same moment: the next page begins with it once more, and is wider where that
        # moment filled a page.
        last = page[-1].at
        same = {error.key for error in page if error.at == last}
        size = ERRORS_A_PAGE if new else 2 * size
        until, seen, limit = last, same | seen if last == until else same, limit - len(new)


def read_kinds(
    reader: Reader,
    since: datetime,
    limit: int = 100,
    *,
    ended: dict[int, Run] | None = None,
    jobs: Collection[str] | None = None,
) -> tuple[list[ErrorKind], int]:
    """Return the kinds of the errors since a moment, what needs somebody first, and how many there are without a limit.

    Raises the reader's StoreError. Of `jobs`, None for all. `ended` caches runs that have ended; it is added to.
    """
    seen = reader.error_groups(since, limit, jobs=jobs)
    ended = {} if ended is None else ended
    runs = {group.run_id: ended.get(group.run_id) or reader.run(group.run_id) for group in seen}
    ended.update((run_id, run) for run_id, run in runs.items() if run is not None and run.ended_at is not None)
    return _kinds(reader, seen, runs), max((group.kinds for group in seen), default=0)


def read_kinds_of_run(reader: Reader, run: Run, limit: int = ERRORS_OF_RUN) -> list[ErrorKind]:
    """Return the kinds of one run's newest errors; raises the reader's StoreError."""
    return kinds_of_errors(reader, run, reader.errors(run.run_id, limit))


def kinds_of_errors(reader: Reader, run: Run, errors: Iterable[ErrorRecord]) -> list[ErrorKind]:
    """Return the kinds of errors of one run that are read already; raises the reader's StoreError."""
    return _kinds(reader, groups_of_run(run, errors), {run.run_id: run})


def _kinds(reader: Reader, seen: Sequence[ErrorGroup], runs: Mapping[int, Run | None]) -> list[ErrorKind]:
    always = {group.key: group for group in reader.error_groups_named([group.key for group in seen])}
    successes = _Successes(reader)
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
    by_job: dict[str, tuple[list[Run], list[Phase]]] = field(default_factory=dict)

    def of(self, job: str, phase: str | None) -> tuple[str, datetime | None]:
        """Return a phase of a job and when it last completed; '' and the job's success where it has no such phase."""
        if job not in self.by_job:
            runs = self.reader.runs_of_job(job, _LAST_RUNS)
            self.by_job[job] = (runs, self.reader.phases([run.run_id for run in runs]))
        runs, phases = self.by_job[job]
        if phase is not None and any(each.phase == phase for each in phases):
            completed = [each for each in phases if each.phase == phase and each.status == PhaseStatus.COMPLETED]
            return phase, _latest(each.ended_at for each in completed)
        return "", _latest(run.ended_at for run in runs if run.status == RunStatus.COMPLETED)


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


ERRORS_IN_HAND: Final = 30
"""Errors of the run under the cursor that are grouped, the newest."""

MOST_FAILED: Final = 20
"""Failed runs, the newest, of which it is asked whether their last error is new."""

HOLDS_S: Final = 60
"""How long an answer about a kind holds."""

MOST_KEPT: Final = 50
"""Runs whose errors are kept while the cursor is elsewhere."""


class ErrorKindCache:
    """Kinds of errors as they were read. Not thread-safe: one poller owns it."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], tuple[int, ErrorGroup]] = {}
        self._errors: dict[int, tuple[int, Sequence[ErrorRecord]]] = {}
        self._asked_of: tuple[Mapping[int, ErrorRecord], int] | None = None
        self._new: frozenset[int] = frozenset()

    def kinds(self, reader: Reader, run: Run | None, now_s: float) -> tuple[ErrorKind, ...]:
        """Return the kinds of a run's newest errors, new ones first; raises StoreError."""
        if run is None or not run.errors:
            return ()
        held = self._errors.get(run.run_id)
        if held is None or held[0] != run.errors:
            self._errors[run.run_id] = (run.errors, reader.errors(run.run_id, ERRORS_IN_HAND))
            while len(self._errors) > MOST_KEPT:
                del self._errors[next(iter(self._errors))]
        seen = groups_of_run(run, self._errors[run.run_id][1])
        always = self._named(reader, [group.key for group in seen], int(now_s))
        kinds = [kind_of(group, always.get(group.key), run) for group in seen]
        return tuple(sorted(kinds, key=lambda kind: not kind.new))

    def new_among(
        self, reader: Reader, runs: Iterable[Run], last_errors: Mapping[int, ErrorRecord], now_s: float
    ) -> frozenset[int]:
        """Return the failed runs, given newest first, whose last error no run before them had; raises StoreError."""
        # Thousands of runs are not looked through where no error has come.
        minute = int(now_s) // HOLDS_S
        if self._asked_of is not None and self._asked_of[0] is last_errors and self._asked_of[1] == minute:
            return self._new
        self._asked_of = (last_errors, minute)
        failed = [run for run in runs if run.status == RunStatus.FAILED and run.run_id in last_errors][:MOST_FAILED]
        always = self._named(reader, [(run.job, last_errors[run.run_id].fingerprint) for run in failed], int(now_s))
        found = []
        for run in failed:
            (group,) = groups_of_run(run, [last_errors[run.run_id]])
            if kind_of(group, always.get(group.key), run).new:
                found.append(run.run_id)
        self._new = frozenset(found)
        return self._new

    def _named(
        self, reader: Reader, kinds: Sequence[tuple[str, str]], now_s: int
    ) -> Mapping[tuple[str, str], ErrorGroup]:
        """Ask for the kinds that were never asked for, or long ago."""
        held = self._groups
        stale = [each for each in dict.fromkeys(kinds) if each not in held or now_s - held[each][0] >= HOLDS_S]
        if stale:
            # Those that nobody asks for any more would add up for ever.
            recent = {each: answer for each, answer in held.items() if now_s - answer[0] < 2 * HOLDS_S}
            fresh = reader.error_groups_named(stale)
            self._groups = held = {**recent, **{group.key: (now_s, group) for group in fresh}}
        return {each: held[each][1] for each in kinds if each in held}
