"""What is told of each listed run beside its own row: phases, latencies, its last error, its endpoints.

Contains which runs have changed since the last poll, and the answers that still hold for the others: a poll costs
what has changed, however many runs are listed. Every mapping is replaced whole when it changes, since a screen may
still be reading the one that it was given.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, Final, TypeVar

from etlwatch.analysis.series import percentiles_of
from etlwatch.analysis.snapshot import Percentiles
from tracking_core.records import ErrorRecord, Phase, Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["ENDPOINTS_A_POLL", "ERRORS_A_POLL", "RunFacts"]

ERRORS_A_POLL: Final = 10
"""Runs whose last error is asked for in one poll; the rest follow in the next."""

ENDPOINTS_A_POLL: Final = 500
"""Runs whose endpoints are asked for in one poll while a filter names any; the rest follow in the next."""

ENDPOINTS_EVERY_S: Final = 10
"""How often those of a living run are asked for."""


_Fact = TypeVar("_Fact")


class RunFacts:
    """The facts about listed runs. Not thread-safe: one poller owns them."""

    def __init__(self, *, errors_a_poll: int = ERRORS_A_POLL) -> None:
        self._errors_a_poll = errors_a_poll
        self._listed: Sequence[Run] = ()
        self._known: dict[int, Run] = {}
        self._living: dict[int, Run] = {}
        self._waiting: dict[int, Run] = {}
        """Runs with errors that their last one was not asked for."""

        self._endpoint_stamps: dict[int, object] = {}
        self.phases: Mapping[int, tuple[Phase, ...]] = {}
        self.percentiles: Mapping[int, Percentiles] = {}
        self.last_errors: Mapping[int, ErrorRecord] = {}
        self.endpoints: Mapping[int, frozenset[str]] = {}

    @property
    def living(self) -> Collection[Run]:
        """The listed runs that nobody has ended."""
        return self._living.values()

    def renew(self, reader: Reader, runs: Sequence[Run]) -> list[Run]:
        """Ask for what may have changed, endpoints left out; return the runs that are new or have changed.

        Raises the reader's StoreError; the facts then are of no more use.
        """
        earlier, changed = self._known, self._changed(runs)
        before = {run.run_id: earlier.get(run.run_id) for run in changed}
        self._remember(runs, changed)
        self._renew_phases(reader, changed)
        self._renew_percentiles(reader, changed, before)
        self._renew_last_errors(reader, changed, before)
        return changed

    def renew_endpoints(self, reader: Reader, now_s: float) -> None:
        """Ask for the endpoints of runs once, of living ones now and then."""
        slot = int(now_s) // ENDPOINTS_EVERY_S
        stamps = {
            run_id: slot if run_id in self._living else run.requests
            for run_id, run in self._known.items()
            if run.requests
        }
        known = self._endpoint_stamps
        stale = [run_id for run_id, stamp in stamps.items() if run_id not in known or known[run_id] != stamp]
        asked = stale[:ENDPOINTS_A_POLL]
        if asked:
            self.endpoints = {**self.endpoints, **dict.fromkeys(asked, frozenset()), **reader.endpoint_names(asked)}
            known.update((run_id, stamps[run_id]) for run_id in asked)

    def _changed(self, runs: Sequence[Run]) -> list[Run]:
        # Of thousands that are listed most are the same object in the same place.
        if len(runs) == len(self._listed):
            candidates: Iterable[Run] = compress(runs, map(operator.is_not, runs, self._listed))
        else:
            candidates = runs
        known = self._known
        return [run for run in candidates if _differ(known.get(run.run_id), run)]

    def _remember(self, runs: Sequence[Run], changed: Iterable[Run]) -> None:
        known, living = self._known, self._living
        for run in changed:
            known[run.run_id] = run
            if run.status == RunStatus.RUNNING:
                living[run.run_id] = run
            else:
                living.pop(run.run_id, None)
        if len(known) != len(runs):
            self._drop(known.keys() - {run.run_id for run in runs})
        self._listed = runs

    def _drop(self, gone: Collection[int]) -> None:
        memories: tuple[dict[int, Any], ...] = (self._known, self._living, self._waiting, self._endpoint_stamps)
        for memory in memories:
            for run_id in gone:
                memory.pop(run_id, None)
        self.phases = _without(self.phases, gone)
        self.percentiles = _without(self.percentiles, gone)
        self.last_errors = _without(self.last_errors, gone)
        self.endpoints = _without(self.endpoints, gone)

    def _renew_phases(self, reader: Reader, changed: Iterable[Run]) -> None:
        wanted = {*self._living, *(run.run_id for run in changed)}
        if not wanted:
            return
        asked: dict[int, list[Phase]] = {}
        for phase in reader.phases(sorted(wanted)):
            asked.setdefault(phase.run_id, []).append(phase)
        kept = _without(self.phases, wanted - asked.keys())
        self.phases = {**kept, **{run_id: tuple(phases) for run_id, phases in asked.items()}}

    def _renew_percentiles(self, reader: Reader, changed: Iterable[Run], before: Mapping[int, Run | None]) -> None:
        wanted = [
            run.run_id
            for run in changed
            if run.requests and ((old := before[run.run_id]) is None or old.requests != run.requests)
        ]
        if wanted:
            found = {run_id: percentiles_of(histogram) for run_id, histogram in reader.latencies(wanted).items()}
            fresh = {run_id: percentiles for run_id, percentiles in found.items() if percentiles is not None}
            self.percentiles = {**self.percentiles, **fresh}

    def _renew_last_errors(self, reader: Reader, changed: Iterable[Run], before: Mapping[int, Run | None]) -> None:
        for run in changed:
            old = before[run.run_id]
            if run.errors and (old is None or old.errors != run.errors):
                self._waiting[run.run_id] = run
        # What a person looks for first.
        urgent = sorted(self._waiting.values(), key=lambda run: run.status != RunStatus.FAILED)[: self._errors_a_poll]
        fresh: dict[int, ErrorRecord] = {}
        for run in urgent:
            del self._waiting[run.run_id]
            fresh.update((run.run_id, error) for error in reader.errors(run.run_id, 1))
        if fresh:
            self.last_errors = {**self.last_errors, **fresh}


def _differ(one: Run | None, other: Run) -> bool:
    """Say whether a run is new or has changed; a living one has another duration each time."""
    return one is not other and (other.status == RunStatus.RUNNING or one != other)


def _without(facts: Mapping[int, _Fact], gone: Collection[int]) -> Mapping[int, _Fact]:
    if not any(run_id in facts for run_id in gone):
        return facts
    return {run_id: fact for run_id, fact in facts.items() if run_id not in gone}
