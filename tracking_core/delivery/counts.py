"""What became of everything that a tracker accepted, exact under threads: the figures of its DeliveryReport.

An event is counted once, where it is now: committed, waiting in the spool, or given up. A run's start travels with
several batches until a store is known to hold it, so it is counted by the run's state, and moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking_core.delivery.base import Replay
from tracking_core.delivery.run_registry import RunState
from tracking_core.delivery.stderr_report import stderr_report
from tracking_core.process.exit import open_runs
from tracking_core.process.forks import renew_in_child
from tracking_core.process.loading import load
from tracking_core.process.locks import ReentrantLock

if TYPE_CHECKING:
    from tracking_core.records import DeliveryReport


class Counts:
    """The figures of one tracker."""

    def __init__(self, whole: Counts | None = None) -> None:
        self._whole = whole
        # Guards the figures, which several threads add to.
        self._lock = ReentrantLock()
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        self._figures = {"sent": 0, "spooled": 0, "dropped": 0}
        self._off = 0

    def undelivered(self) -> tuple[int, int]:
        """Return how many events wait in the spool and how many were dropped, but for those of runs switched off."""
        return self._figures["spooled"], self._figures["dropped"] - self._off

    @property
    def report(self) -> DeliveryReport:
        """The figures as they are now."""
        # Imported late: the records cost a job that never asks a good part of what importing this package may.
        load("tracking_core.records")
        from tracking_core.records import DeliveryReport

        with self._lock:
            return DeliveryReport(**self._figures)

    def add(self, *, sent: int = 0, spooled: int = 0, dropped: int = 0, off: int = 0) -> None:
        """Count events; negative numbers take them away again. `off`: those dropped because tracking is off."""
        with self._lock:
            self._figures["sent"] += sent
            self._figures["spooled"] += spooled
            self._figures["dropped"] += dropped
            self._off += off
        if self._whole is not None:
            self._whole.add(sent=sent, spooled=spooled, dropped=dropped, off=off)

    def start(self, state: RunState, where: str) -> None:
        """Count a run's start where it is now: `sent`, `spooled` or `dropped`."""
        with self._lock:
            before, state.start_is = state.start_is, where
        if before != where:
            if before:
                self.add(**{before: -1})
            self.add(**{where: 1})

    def replayed(self, replay: Replay) -> None:
        """Count what this process had spooled itself and has sent now."""
        self.add(sent=replay.own_sent, dropped=replay.own_lost, spooled=-replay.own_sent - replay.own_lost)


of_process = Counts()
"""The figures of all trackers of this process, those that are gone included."""

open_runs.call_last(lambda: stderr_report.exiting(*of_process.undelivered()))
