"""Which runs are listed, and what is read of each beside its own row: phases, latencies, last error, endpoints.

A poll reads the newest page and the living runs, whatever is listed below: a run that has ended does not change any
more. What can change it all the same (a clean-up, a late delivery) is found by reading one older page again now and
then. Of the listed runs only what may have changed is read again. Mappings are replaced whole when they change, since a
screen may still be reading the one that it was given.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import compress
from typing import Any, Final, TypeVar

from etlwatch.analysis.series import percentiles_of
from etlwatch.analysis.snapshot import Percentiles
from tracking_core.dataclass import dataclass
from tracking_core.records import ErrorRecord, Phase, Run, RunStatus
from tracking_core.store.queries import Reader

FIRST_PAGE: Final = 200
"""Newest runs that every poll reads."""

OLDER_PAGE: Final = 500
"""Runs by which the list grows when somebody comes to its end."""

MOST_LISTED: Final = 5_000
"""Runs beyond which it does not grow: a filter, or the command line, finds what is older."""

MOST_OF_JOB: Final = 500
"""Runs of a single job that are listed: each poll reads all of them."""

MOST_LIVE: Final = 300
"""Live runs listed beside the newest ones; runs that were lost and never closed would add up for ever."""

COUNTED_EVERY_S: Final = 60.0
"""How often the runs of the store are counted while not all of them are listed."""

AGAIN_EVERY_S: Final = 10.0
"""How often one older page is read again, each in its turn."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The runs of one poll."""

    runs: tuple[Run, ...]
    """Newest first."""

    complete: bool
    """Whether the store holds no older ones."""

    living: int | None = None
    """How many runs live in the store, where not all of them are listed."""

    there_are: int | None = None
    """How many runs the store holds, of the job if only one is listed; None where all of them are listed."""


def _place(run: Run) -> tuple[datetime, int]:
    return (run.started_at, run.run_id)


class Listing:
    """Read the runs that a list shows, the older ones again only now and then."""

    def __init__(self) -> None:
        self._older: tuple[Run, ...] = ()
        """Runs below the newest page, newest first; the same object as long as none of them changes."""

        self._places: tuple[int, ...] = ()
        """Where among them the living ones are."""

        self._first: tuple[Run, ...] = ()
        self._at_end = False
        self._again_at = 0.0
        self._again_below = 0
        self._there_are = 0
        self._counted_job: str | None = None
        self._counted_at = -math.inf

    def read(self, reader: Reader, limit: int, *, at_s: float, job: str | None = None) -> Listed:
        """Return the newest `limit` runs and the living ones; `at_s` is a clock in seconds that only goes forward.

        Of a single job at most MOST_OF_JOB, beside the living ones of all: nothing else that is shown may miss them.
        """
        if job is not None:
            own = reader.runs_of_job(job, min(limit, MOST_OF_JOB))
            living = reader.live_runs(MOST_LIVE)
            joined, complete = _joined(own, living), len(own) < min(limit, MOST_OF_JOB)
            there_are = None if complete else self._count(reader, at_s, job)
            return Listed(joined, complete, _living_of_more(reader, living), there_are)
        first = tuple(reader.recent_runs(min(limit, FIRST_PAGE)))
        if len(first) < min(limit, FIRST_PAGE):
            self._keep(first, ())
            return Listed(first, complete=True)
        living = reader.live_runs(MOST_LIVE, before=_place(first[-1])) if first else []
        if limit <= FIRST_PAGE:
            self._keep(first, ())
            there_are, lives = self._count(reader, at_s), _living_of_more(reader, living)
            return Listed(_joined(first, living), complete=False, living=lives, there_are=there_are)
        older = self._still_older(reader, first, living, limit - len(first))
        older = self._again(reader, older, at_s)
        while len(older) < limit - len(first) and not self._at_end:
            wanted = min(OLDER_PAGE, limit - len(first) - len(older))
            page = reader.recent_runs(wanted, before=_place((older or first)[-1]))
            older = (*older, *page)
            self._at_end = len(page) < wanted
        self._keep(first, older)
        among_older = {older[place].run_id for place in self._places}
        others = [run for run in living if run.run_id not in among_older]
        joined = (*first, *older, *sorted(others, key=_place, reverse=True))
        there_are = None if self._at_end else self._count(reader, at_s)
        return Listed(joined, self._at_end, _living_of_more(reader, living), there_are)

    def _count(self, reader: Reader, at_s: float, job: str | None = None) -> int:
        """Return how many runs there are, counted now and then."""
        if job != self._counted_job or at_s - self._counted_at >= COUNTED_EVERY_S:
            self._there_are = reader.count_runs(jobs=None if job is None else [job])
            self._counted_job, self._counted_at = job, at_s
        return self._there_are

    def _keep(self, first: tuple[Run, ...], older: tuple[Run, ...]) -> None:
        if older is not self._older:
            self._places = tuple(place for place, run in enumerate(older) if run.status == RunStatus.RUNNING)
        self._first, self._older = first, older

    def _still_older(self, reader: Reader, first: Sequence[Run], living: Iterable[Run], most: int) -> tuple[Run, ...]:
        """Return the runs below the newest page: of runs that have ended since, as they ended."""
        floor = _place(first[-1])
        slid = [run for run in self._first if _place(run) < floor]
        if not self._older and not slid:
            self._at_end = False
        if len(slid) == len(self._first):
            # More runs have begun than a page holds: between the two nothing was read.
            self._at_end = False
            return ()
        if slid or (self._older and _place(self._older[0]) >= floor):
            begin = next((place for place, run in enumerate(self._older) if _place(run) < floor), len(self._older))
            self._keep(self._first, (*slid, *self._older[begin:]))
        if len(self._older) > most:
            self._at_end = False
            self._keep(self._first, self._older[:most])
        if self._places:
            self._renew_living(reader, {run.run_id: run for run in living})
        return self._older

    def _renew_living(self, reader: Reader, living: Mapping[int, Run]) -> None:
        """Put the living ones among the older runs there as they are now, or as they have ended."""
        runs: list[Run | None] = list(self._older)
        for place in self._places:
            run_id = self._older[place].run_id
            runs[place] = living.get(run_id) or reader.run(run_id)
        older = tuple([run for run in runs if run is not None])
        if len(older) == len(self._older):
            self._places = tuple(place for place in self._places if older[place].status == RunStatus.RUNNING)
            self._older = older
        else:
            self._keep(self._first, older)

    def _again(self, reader: Reader, older: tuple[Run, ...], at_s: float) -> tuple[Run, ...]:
        """Read one of the older pages again when it is time."""
        if not older or at_s - self._again_at < AGAIN_EVERY_S:
            return older
        self._again_at = at_s
        begin = self._again_below if self._again_below < len(older) else 0
        page = older[begin : begin + OLDER_PAGE]
        self._again_below = begin + len(page)
        above = older[begin - 1] if begin else self._first[-1] if self._first else page[0]
        if above is page[0]:
            return older
        last = _place(page[-1])
        fresh = [run for run in reader.recent_runs(len(page), before=_place(above)) if _place(run) >= last]
        before = {run.run_id: run for run in page}
        # The same object where nothing changed, so that nothing is asked or drawn again for it.
        same = [before[run.run_id] if before.get(run.run_id) == run else run for run in fresh]
        return (*older[:begin], *same, *older[begin + len(page) :])


def _living_of_more(reader: Reader, living: Sequence[Run]) -> int | None:
    """Return how many runs live, where there may be more than those that were read."""
    return reader.count_live() if len(living) >= MOST_LIVE else None


def _joined(listed: Sequence[Run], living: Iterable[Run]) -> tuple[Run, ...]:
    """Return the listed runs and those still alive, each once, newest first."""
    ids = {run.run_id for run in listed}
    others = [run for run in living if run.run_id not in ids]
    return (*listed, *sorted(others, key=_place, reverse=True))


ERRORS_A_POLL: Final = 10
"""Runs whose last error is asked for in one poll; the rest follow in the next."""

ENDPOINTS_A_POLL: Final = 500
"""Runs whose endpoints are asked for in one poll while a filter names any; the rest follow in the next."""

ENDPOINTS_EVERY_S: Final = 10
"""How often those of a living run are asked for."""


_Part = TypeVar("_Part")


class ListedRunCache:
    """What was read of each listed run beside its row. Not thread-safe: one poller owns it."""

    def __init__(self, *, errors_a_poll: int = ERRORS_A_POLL) -> None:
        self._errors_a_poll = errors_a_poll
        self._listed: Sequence[Run] = ()
        self._by_id: dict[int, Run] = {}
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

        Raises the reader's StoreError; the cache then is of no more use.
        """
        earlier, changed = self._by_id, self._changed(runs)
        before = {run.run_id: earlier.get(run.run_id) for run in changed}
        self._note(runs, changed)
        self._renew_phases(reader, changed)
        self._renew_percentiles(reader, changed, before)
        self._renew_last_errors(reader, changed, before)
        return changed

    def renew_endpoints(self, reader: Reader, now_s: float) -> None:
        """Ask for the endpoints of runs once, of living ones now and then."""
        slot = int(now_s) // ENDPOINTS_EVERY_S
        stamps = {
            run_id: slot if run_id in self._living else run.requests
            for run_id, run in self._by_id.items()
            if run.requests
        }
        kept = self._endpoint_stamps
        stale = [run_id for run_id, stamp in stamps.items() if run_id not in kept or kept[run_id] != stamp]
        asked = stale[:ENDPOINTS_A_POLL]
        if asked:
            self.endpoints = {**self.endpoints, **dict.fromkeys(asked, frozenset()), **reader.endpoint_names(asked)}
            kept.update((run_id, stamps[run_id]) for run_id in asked)

    def _changed(self, runs: Sequence[Run]) -> list[Run]:
        # Of thousands that are listed most are the same object in the same place.
        if len(runs) == len(self._listed):
            candidates: Iterable[Run] = compress(runs, map(operator.is_not, runs, self._listed))
        else:
            candidates = runs
        by_id = self._by_id
        return [run for run in candidates if _differ(by_id.get(run.run_id), run)]

    def _note(self, runs: Sequence[Run], changed: Iterable[Run]) -> None:
        by_id, living = self._by_id, self._living
        for run in changed:
            by_id[run.run_id] = run
            if run.status == RunStatus.RUNNING:
                living[run.run_id] = run
            else:
                living.pop(run.run_id, None)
        if len(by_id) != len(runs):
            self._drop(by_id.keys() - {run.run_id for run in runs})
        self._listed = runs

    def _drop(self, gone: Collection[int]) -> None:
        caches: tuple[dict[int, Any], ...] = (self._by_id, self._living, self._waiting, self._endpoint_stamps)
        for cache in caches:
            for run_id in gone:
                cache.pop(run_id, None)
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
    """Return whether a run is new or has changed; a living one has another duration each time."""
    return one is not other and (other.status == RunStatus.RUNNING or one != other)


def _without(parts: Mapping[int, _Part], gone: Collection[int]) -> Mapping[int, _Part]:
    if not any(run_id in parts for run_id in gone):
        return parts
    return {run_id: part for run_id, part in parts.items() if run_id not in gone}
