"""A spool in memory that replays as the one on the disk does."""

import math
from collections.abc import Callable

from tracking_core.delivery import spool_codec
from tracking_core.delivery.batches import events_in, events_of
from tracking_core.delivery.counts import Replay
from tracking_core.delivery.rows import PendingBatch
from tracking_core.delivery.spool import DiskSpool
from tracking_core.errors import StoreUnavailable
from tracking_core.events import Batch, Receipt


class MemorySpool(DiskSpool):
    """A spool in memory that can be full."""

    def __init__(self) -> None:
        super().__init__("", ())
        self.batches: list[Batch] = []
        self.blocked: list[Batch] = []
        self.aside: list[Batch] = []
        self.full = False
        self.closed = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self.batches

    def take(self, item: Batch | PendingBatch, until: float = math.inf, *, again: bool = False) -> bool:
        """Keep a batch, unless the test has filled the spool; a claim as the batch that a replay makes of it."""
        if not self.full:
            self.batches.append(
                spool_codec.decode(spool_codec.encode(item)) if isinstance(item, PendingBatch) else item
            )
        return not self.full

    def take_blocked(self, batch: Batch) -> bool:
        """Keep a batch apart."""
        self.blocked.append(batch)
        return True

    def set_aside(self, batch: Batch) -> bool:
        """Keep a batch that nobody will have."""
        self.aside.append(batch)
        return True

    def replay(
        self,
        write: Callable[[Batch], Receipt],
        *,
        until: float | None = None,
        others: bool = True,
        outcome: Replay | None = None,
    ) -> Replay:
        """Send what waits until the store fails."""
        outcome = outcome or Replay()
        while self.batches:
            try:
                receipt = write(self.batches[0])
            except StoreUnavailable as error:
                outcome.error = str(error)
                break
            batch = self.batches.pop(0)
            lost = events_of(batch, receipt.refused)
            outcome.batches += 1
            outcome.own_lost += lost
            outcome.own_sent += events_in(batch) - lost
        return outcome

    def close(self) -> None:
        """Count it."""
        self.closed += 1
