"""What became of everything that a tracker accepted, exact under threads: the figures of its DeliveryReport.

An event is counted once, where it is now: committed, waiting in the spool, or dropped. A run's start is sent with
several batches until a store holds it, so it is counted by the run's state, and moves. What a store's receipt changes
for runs, switch, figures and log is applied by `ReceiptHandler`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking_core.dataclass import dataclass, field
from tracking_core.delivery.batches import events_of
from tracking_core.delivery.health_log import HealthLog, stderr_report
from tracking_core.delivery.run_registry import RunRegistry, RunState
from tracking_core.events import Batch, Receipt
from tracking_core.process.exit import open_runs
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import load
from tracking_core.process.locks import ReentrantLock
from tracking_core.switch import TrackingSwitch

if TYPE_CHECKING:
    from tracking_core.records import DeliveryReport


@dataclass(slots=True)
class Replay:
    """What became of the spooled batches that were tried."""

    sent: int = 0
    """Events committed, or found to have been stored before."""

    lost: int = 0
    """Events of runs that the store refused."""

    own_sent: int = 0
    """Of those sent, the ones that this process had spooled itself."""

    own_lost: int = 0
    batches: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    """Runs whose events the store did not take, and why (see events.Receipt)."""

    rejected: int = 0
    """Parts of batches that nobody could read or whose values do not fit; they are kept aside in a `.rejected` file."""

    blocked: int = 0
    """Parts that a rule of the store stopped; they wait in a file of their own."""

    expired: int = 0
    """Files removed unread because they were older than 30 days."""

    left: int = 0
    """Files that still wait: of a living process, or because the store stopped answering, or for want of time."""

    unfinished: bool = False
    """Whether there was more to send than time."""

    error: str = ""
    """Why the replay ended early, '' when it did not."""

    def add(self, other: Replay) -> None:
        """Count what another replay has done, too, but for what this process had spooled itself."""
        for name in ("sent", "lost", "batches", "rejected", "blocked", "expired", "left"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.refused.update(other.refused)
        self.error = self.error or other.error


class Mark:
    """Whether something is counted, although its call may be interrupted and made up for."""

    counted = False


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

    def add(self, *, sent: int = 0, spooled: int = 0, dropped: int = 0, off: int = 0, once: Mark | None = None) -> bool:
        """Count events, `off` among those dropped because tracking is off; False where `once` was counted before."""
        mine, whole = self._figures, self._figures_of_whole()
        with self._both():
            if once is not None:
                if once.counted:
                    return False
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
        return True

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


class ReceiptHandler:
    """Applies receipts."""

    def __init__(self, runs: RunRegistry, switch: TrackingSwitch, counts: Counts, health: HealthLog) -> None:
        self._runs = runs
        self._switch = switch
        self._counts = counts
        self._health = health

    def apply(self, batch: Batch, receipt: Receipt) -> None:
        """Apply the store's answer to a batch."""
        with self._runs.lock:
            states = self._runs.known(batch.run_ids())
            self._switch.update([state.job for state in states if state.job is not None], receipt.switched_off)
            for state in states:
                reason = receipt.refused.get(state.run_id)
                if reason is None and not receipt.duplicate and not state.confirmed:
                    # Not by a duplicate: its runs may have been refused when it was stored.
                    if state.start is not None:
                        self._counts.start(state, "sent")
                    state.confirmed = True
                elif reason == "off" and state.start is not None and not state.confirmed:
                    state.void = True
                    self._counts.start(state, "dropped")
                    self._counts.add(off=1)
                elif reason == "unknown" and state.start is not None:
                    # A store that was restored from a backup: the next batch carries the start again.
                    state.confirmed = False
        off = [run_id for run_id, reason in receipt.refused.items() if reason == "off"]
        if off:
            self._counts.add(off=events_of(batch, off))
        for run_id, reason in receipt.refused.items():
            self._health.refused(run_id, reason)

    def starts(self, batch: Batch, where: str) -> None:
        """Count the starts that a batch carries, which no store holds yet, where they are now."""
        with self._runs.lock:
            for state in self._runs.known(start.run_id for start in batch.starts):
                if not state.confirmed:
                    self._counts.start(state, where)

    def runs_off(self, batch: Batch) -> set[int]:
        """Return the runs of a batch for whose job tracking was off when the store last answered."""
        with self._runs.lock:
            states = self._runs.known(batch.run_ids())
            return {state.run_id for state in states if state.job is not None and self._switch.shared_off(state.job)}
