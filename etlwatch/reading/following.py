"""What is new in a store since it was last looked at: runs in another state, errors that were not there.

Contains what counts as new, and no more memory than that takes. Derived states count as stored ones do: a run that is
lost now and was not is news.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from etlwatch.analysis.thresholds import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.reading.health import HealthReader
from tracking_core.records import ErrorRecord, Run, RunStatus
from tracking_core.store.base import Reader

PAGE: Final = 200
MOST_ERRORS: Final = 10_000
"""Errors read at one look, since their texts are long; of more the oldest are passed over, and `cut` is set."""

MOST_KEPT: Final = 20_000


class RunFollower:
    """The runs whose state has changed."""

    def __init__(self, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> None:
        self._health = HealthReader(thresholds=thresholds)
        self._states: dict[int, str] = {}
        self._newest: tuple[datetime, int] | None = None
        self._seen: tuple[Run, ...] = ()

    def changed(self, reader: Reader) -> list[Run]:
        """Return the runs that are in another state than when they were last seen, or new, the oldest first.

        The first look returns all of the newest page, and the living ones. They count as seen once `mark_seen` is
        called: what is read of them in between may fail. Raises the reader's StoreError.
        """
        with reader.one_view():
            listed = {run.run_id: run for run in (*reader.live_runs(), *self._begun(reader))}
            for run_id in self._gone(listed):
                ended = reader.run(run_id)
                if ended is not None:
                    listed[run_id] = ended
            runs = sorted(listed.values(), key=_place)
            seen = self._health.read(reader, runs, now=reader.now()).runs
        self._seen = seen
        return [run for run in seen if self._states.get(run.run_id) != run.state]

    def mark_seen(self) -> None:
        """Count what the last look returned as seen."""
        self._states = {run.run_id: run.state for run in self._seen}
        self._newest = _place(self._seen[-1]) if self._seen else None

    def _begun(self, reader: Reader) -> Sequence[Run]:
        """Read the newest runs, as far back as the newest that was seen."""
        runs = page = reader.recent_runs(PAGE)
        while self._newest is not None and len(page) == PAGE and _place(page[-1]) > self._newest:
            page = reader.recent_runs(PAGE, before=_place(page[-1]))
            runs = [*runs, *page]
        return runs

    def _gone(self, listed: dict[int, Run]) -> list[int]:
        """Return the runs that lived and are in no list any more: they have ended, long after they began."""
        return [run_id for run_id, state in self._states.items() if run_id not in listed and state not in _ENDED]


_ENDED = frozenset(status.value for status in RunStatus) - {RunStatus.RUNNING.value}


def _place(run: Run) -> tuple[datetime, int]:
    return (run.started_at, run.run_id)


class ErrorFollower:
    """The errors that were not there before."""

    def __init__(self, run_id: int | None = None) -> None:
        """Follow the errors of one run, or of all."""
        self._run_id = run_id
        self._seen_keys: OrderedDict[tuple[int, int, int], None] = OrderedDict()
        self._seen: Sequence[ErrorRecord] = ()
        self._looked = False
        self.cut = False
        """Whether the last look passed over errors."""

    def added(self, reader: Reader) -> list[ErrorRecord]:
        """Return the errors that were not there at the last look, the oldest first; at the first look the newest few.

        One that is delivered late is among them as long as it is one of the newest few hundred by its time. They count
        as seen once `mark_seen` is called. Raises the reader's StoreError.
        """
        most = PAGE
        errors = reader.errors(self._run_id, most)
        while (
            beyond := self._looked and len(errors) == most and not any(_key(each) in self._seen_keys for each in errors)
        ):
            if most >= MOST_ERRORS:
                break
            most = min(4 * most, MOST_ERRORS)
            errors = reader.errors(self._run_id, most)
        self.cut = beyond
        self._seen = errors[::-1]
        return [error for error in self._seen if _key(error) not in self._seen_keys]

    def mark_seen(self) -> None:
        """Count what the last look returned as seen."""
        for error in self._seen:
            self._seen_keys[_key(error)] = None
            self._seen_keys.move_to_end(_key(error))
        while len(self._seen_keys) > MOST_KEPT:
            self._seen_keys.popitem(last=False)
        self._looked = True


def _key(error: ErrorRecord) -> tuple[int, int, int]:
    return (error.run_id, error.writer_id, error.seq)
