"""Which errors of listed runs are new, and which were known: asked of the few that somebody looks at first.

Owns these questions and how long an answer holds: the kinds of the run under the cursor, and whether the error that a
run failed with was ever seen before. Refuses to own what `new` means (`etlwatch.model.error_groups`) and the kinds of
all runs (`etlwatch.gather_errors`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from etlwatch.model.as_of import just_after
from etlwatch.model.error_groups import ErrorKind, groups_of_run, kind_of
from tracking_core.records import ErrorGroup, ErrorRecord, Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["KnownErrors"]

ERRORS_IN_HAND: Final = 30
"""Errors of the run under the cursor that are grouped, the newest."""

MOST_FAILED: Final = 20
"""Failed runs, the newest, of which it is asked whether their last error is new."""

HOLDS_S: Final = 60
"""How long it holds what is known of a kind."""

REMEMBERED: Final = 50
"""Runs whose errors are remembered while the cursor is elsewhere."""


class KnownErrors:
    """What is known of kinds of errors. Not thread-safe: one poller owns it.

    With a `moment` it tells what was known by then.
    """

    def __init__(self, *, moment: datetime | None = None) -> None:
        self._moment = moment
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
            self._errors[run.run_id] = (run.errors, reader.errors(run.run_id, ERRORS_IN_HAND, until=self._moment))
            while len(self._errors) > REMEMBERED:
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
        """Ask for the kinds that are not known, or were asked for long ago."""
        held = self._groups
        stale = [each for each in dict.fromkeys(kinds) if each not in held or now_s - held[each][0] >= HOLDS_S]
        if stale:
            # Those that nobody asks for any more would add up for ever.
            recent = {each: answer for each, answer in held.items() if now_s - answer[0] < 2 * HOLDS_S}
            fresh = reader.error_groups_named(stale, before=None if self._moment is None else just_after(self._moment))
            self._groups = held = {**recent, **{group.key: (now_s, group) for group in fresh}}
        return {each: held[each][1] for each in kinds if each in held}
