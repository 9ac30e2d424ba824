"""What became of everything that a tracker accepted, exact under threads: the figures of its DeliveryReport.

An event is counted once, where it is now: committed, waiting in the spool, or dropped. A run's start is sent with
several batches until a store holds it, so it is counted by the run's state, and moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tracking_core.delivery.base import Replay
from tracking_core.delivery.run_registry import RunState
from tracking_core.delivery.stderr_report import stderr_report
from tracking_core.process.exit import open_runs
from tracking_core.process.forks import renew_in_child
from tracking_core.process.loading import load
from tracking_core.process.locks import ReentrantLock

if TYPE_CHECKING:
    from tracking_core.records import DeliveryReport


class Once(Protocol):
    """What is counted once, although its call may be interrupted and made up for."""

    counted: bool


class Counts:
    """The figures of one tracker."""

    def __init__(self, whole: Counts | None = None) -> None:
        self._whole = whole
        # Guards the figures, which several threads add to; that of the whole where there is one.
        self._lock = ReentrantLock()
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        self._figures = _nothing()

    def undelivered(self) -> tuple[int, int]:
        """Return how many events wait in the spool and how many were dropped, but for those of runs switched off."""
        return self._figures["spooled"], self._figures["dropped"] - self._figures["off"]

    @property
    def report(self) -> DeliveryReport:
        """The figures as they are now."""
        # Imported late: the records cost a job that never asks a good part of what importing this package may.
        load("tracking_core.records")
        from tracking_core.records import DeliveryReport

        with self._both():
            mine = self._figures
            return DeliveryReport(sent=mine["sent"], spooled=mine["spooled"], dropped=mine["dropped"])

    def add(self, *, sent: int = 0, spooled: int = 0, dropped: int = 0, off: int = 0, once: Once | None = None) -> None:
        """Count events, `off` among those dropped because tracking is off; with `once`, not where that is counted."""
        mine, whole = self._figures, self._figures_of_whole()
        with self._both():
            if once is not None:
                if once.counted:
                    return
                once.counted = True
            # No call in these, so that nothing comes in between.
            mine["sent"] += sent
            mine["spooled"] += spooled
            mine["dropped"] += dropped
            mine["off"] += off
            whole["sent"] += sent
            whole["spooled"] += spooled
            whole["dropped"] += dropped
            whole["off"] += off

    def start(self, state: RunState, where: str) -> None:
        """Count a run's start where it is now: `sent`, `spooled` or `dropped`."""
        mine, whole = self._figures, self._figures_of_whole()
        with self._both():
            # As above.
            before, state.start_is = state.start_is, where
            mine[before] -= 1
            whole[before] -= 1
            mine[where] += 1
            whole[where] += 1

    def replayed(self, replay: Replay) -> None:
        """Count, once, what this process had spooled itself and has sent now."""
        mine, whole = self._figures, self._figures_of_whole()
        with self._both():
            # As above.
            sent, lost = replay.own_sent, replay.own_lost
            replay.own_sent = replay.own_lost = 0
            mine["sent"] += sent
            mine["dropped"] += lost
            mine["spooled"] -= sent + lost
            whole["sent"] += sent
            whole["dropped"] += lost
            whole["spooled"] -= sent + lost

    def _both(self) -> ReentrantLock:
        return (self._whole or self)._lock

    def _figures_of_whole(self) -> dict[str, int]:
        return _nothing() if self._whole is None else self._whole._figures


def _nothing() -> dict[str, int]:
    # Under '' a run's start that is nowhere.
    return {"sent": 0, "spooled": 0, "dropped": 0, "off": 0, "": 0}


of_process = Counts()
"""The figures of all trackers of this process, those that are gone included."""

open_runs.call_last(lambda: stderr_report.exiting(*of_process.undelivered()))
