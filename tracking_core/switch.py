"""Whether tracking is on for a tracker: the environment, the tracker's own flag and the shared switch of the store.

The store is never asked here: the state of the shared switch comes back with what a delivery sends.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from tracking_core.config import enabled_by

ALL_JOBS = "*"
"""What a receipt names when the global switch is off."""

_MOST_JOBS = 1024


class TrackingSwitch:
    """The environment, one tracker's own flag, and the shared switch as it was last seen.

    Every attribute is replaced in one assignment, so threads need no lock: each sees an old or a new value.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._own = True
        self._all_off: bool | None = None
        self._off_by_job: dict[str, bool] = {}
        self.here = True
        """Whether this process lets the tracker record, as of the last `refresh()`: cheap to read in a hot path."""
        self.refresh()

    def refresh(self) -> bool:
        """Read the environment again and return whether this process lets the tracker record."""
        self.here = self._own and enabled_by(self._environ)
        return self.here

    def set_own(self, *, enabled: bool) -> None:
        """Turn this tracker's own flag."""
        self._own = enabled
        self.refresh()

    def update(self, jobs: Iterable[str], off: frozenset[str]) -> None:
        """Apply a store's answer: of these jobs, and of any that it named, those in `off` are switched off."""
        known = {} if len(self._off_by_job) > _MOST_JOBS else dict(self._off_by_job)
        known.update((job, job in off) for job in jobs)
        known.update((job, True) for job in off if job != ALL_JOBS)
        self._all_off, self._off_by_job = ALL_JOBS in off, known

    def update_job(self, job: str, *, off: bool) -> None:
        """Apply the answer about one job, the global switch included."""
        self._off_by_job = {**self._off_by_job, job: off}

    def shared_off(self, job: str) -> bool | None:
        """Return whether the shared switch is off for a job as last seen; None when nothing is known."""
        if self._all_off:
            return True
        return self._off_by_job.get(job, self._all_off)
