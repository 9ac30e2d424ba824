"""What a store's receipt changes for the runs of a writer, the switch, the figures and the log."""

from __future__ import annotations

from tracking_core.delivery.batches import events_of
from tracking_core.delivery.counts import Counts
from tracking_core.delivery.health_log import HealthLog
from tracking_core.delivery.run_registry import RunRegistry
from tracking_core.events import Batch, Receipt
from tracking_core.switch import TrackingSwitch


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
                    state.confirmed = True
                    if state.start is not None:
                        self._counts.start(state, "sent")
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
