"""Which runs are listed: the newest, every living one, and as many older ones as somebody has paged to.

Contains the paging, and what of it needs no second question. A poll reads the newest page and the living runs,
whatever is listed below: a run that has ended does not change any more. What can change it all the same (a clean-up,
a late delivery) is found by reading one older page again now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from tracking_core.dataclass import dataclass
from tracking_core.records import Run, RunStatus
from tracking_core.store.base import Reader

__all__ = ["FIRST_PAGE", "MOST_LISTED", "MOST_OF_JOB", "OLDER_PAGE", "Listing"]

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


def _place(run: Run) -> tuple[datetime, int]:
    return (run.started_at, run.run_id)


class Listing:
    """Read the runs that a list shows, remembering the older ones."""

    def __init__(self) -> None:
        self._older: tuple[Run, ...] = ()
        """Runs below the newest page, newest first; the same object as long as none of them changes."""

        self._places: tuple[int, ...] = ()
        """Where among them the living ones are."""

        self._first: tuple[Run, ...] = ()
        self._at_end = False
        self._again_at = 0.0
        self._again_below = 0

    def read(self, reader: Reader, limit: int, *, at_s: float, job: str | None = None) -> Listed:
        """Return the newest `limit` runs and the living ones; `at_s` is a clock in seconds that only goes forward.

        Of a single job at most MOST_OF_JOB, beside the living ones of all: nothing else that is shown may miss them.
        """
        if job is not None:
            own = reader.runs_of_job(job, min(limit, MOST_OF_JOB))
            living = reader.live_runs(MOST_LIVE)
            joined = _joined(own, living)
            return Listed(joined, len(own) < min(limit, MOST_OF_JOB), _living_of_more(reader, living))
        first = tuple(reader.recent_runs(min(limit, FIRST_PAGE)))
        if len(first) < min(limit, FIRST_PAGE):
            self._keep(first, ())
            return Listed(first, complete=True)
        living = reader.live_runs(MOST_LIVE, before=_place(first[-1])) if first else []
        if limit <= FIRST_PAGE:
            self._keep(first, ())
            return Listed(_joined(first, living), complete=False, living=_living_of_more(reader, living))
        older = self._still_older(reader, first, living, limit - len(first))
        older = self._again(reader, older, at_s)
        while len(older) < limit - len(first) and not self._at_end:
            wanted = min(OLDER_PAGE, limit - len(first) - len(older))
            page = reader.recent_runs(wanted, before=_place((older or first)[-1]))
            older = (*older, *page)
            self._at_end = len(page) < wanted
        self._keep(first, older)
        known = {older[place].run_id for place in self._places}
        others = [run for run in living if run.run_id not in known]
        joined = (*first, *older, *sorted(others, key=_place, reverse=True))
        return Listed(joined, self._at_end, _living_of_more(reader, living))

    def _keep(self, first: tuple[Run, ...], older: tuple[Run, ...]) -> None:
        if older is not self._older:
            self._places = tuple(place for place, run in enumerate(older) if run.status == RunStatus.RUNNING)
        self._first, self._older = first, older

    def _still_older(self, reader: Reader, first: Sequence[Run], living: Iterable[Run], most: int) -> tuple[Run, ...]:
        """Return what is known below the newest page: of runs that have ended since, as they ended."""
        floor = _place(first[-1])
        slid = [run for run in self._first if _place(run) < floor]
        if not self._older and not slid:
            self._at_end = False
        if len(slid) == len(self._first):
            # More runs have begun than a page holds: between the two nothing is known.
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
        known = {run.run_id: run for run in page}
        # The same object where nothing changed, so that nothing is asked or drawn again for it.
        same = [known[run.run_id] if known.get(run.run_id) == run else run for run in fresh]
        return (*older[:begin], *same, *older[begin + len(page) :])


def _living_of_more(reader: Reader, living: Sequence[Run]) -> int | None:
    """Return how many runs live, where there may be more than those that were read."""
    return reader.count_live() if len(living) >= MOST_LIVE else None


def _joined(listed: Sequence[Run], living: Iterable[Run]) -> tuple[Run, ...]:
    """Return the listed runs and those still alive, each once, newest first."""
    known = {run.run_id for run in listed}
    others = [run for run in living if run.run_id not in known]
    return (*listed, *sorted(others, key=_place, reverse=True))
