"""What a tracker needs of a delivery, and a delivery of a spool.

A tracker checks arguments and passes on raw events, plain tuples; everything that costs time (cleaning, counting,
building rows, talking to a store) is done by a delivery. So a buffered delivery can put a raw event into its queue and
do the rest on its own thread.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Protocol

from tracking_core.dataclass import dataclass, field

if TYPE_CHECKING:
    from tracking_core.delivery.rows import PendingBatch
    from tracking_core.events import Batch, RawCount, RawEnd, RawError, RawPhase, RawRequest, Receipt, RunStart
    from tracking_core.records import DeliveryReport


class Delivery(Protocol):
    """The way to one store. Every verb is safe to call from any thread and raises nothing but what is not an Exception.

    What a verb returns is "recorded": committed or spooled (immediate), accepted (buffered). It is False when tracking
    is off, when the store holds no such run, and when neither store nor spool took the event.
    """

    def begin(self, start: RunStart) -> bool:
        """Record a run's start; False only when the shared switch turned out to be off, so that there is no run."""

    def attach(self, run_id: int, start: RunStart | None = None) -> None:
        """Let a run be recorded into that another process began, with its start where that was handed over."""

    def start_of(self, run_id: int) -> RunStart | None:
        """Return how a run began, to be handed over to another process; None for one that is not known here."""

    def request(self, raw: RawRequest) -> bool:
        """Record one request. In a buffered delivery this is what costs the job a microsecond."""

    def phase(self, raw: RawPhase) -> bool:
        """Record a phase's state."""

    def source_count(self, raw: RawCount) -> bool:
        """Record how many items a source has."""

    def error(self, raw: RawError) -> bool:
        """Record an error."""

    def end(self, raw: RawEnd) -> bool:
        """End a run; False also when it had ended before. Goes on while tracking is off."""

    def finish(self, raw: RawEnd) -> None:
        """End a run that is known and has not ended, without waiting for a store: for interrupted calls."""

    def flush(self, timeout: float | None) -> DeliveryReport:
        """Wait, at most `timeout` seconds, until everything accepted is committed or spooled."""

    def leave(self, until: float) -> None:
        """Flush and let go of everything by this moment of the monotonic clock; later events are still taken."""


class Spool(Protocol):
    """Where batches wait that a store did not take."""

    @property
    def is_empty(self) -> bool:
        """Whether this process has nothing waiting there."""

    def take(self, item: Batch | PendingBatch, until: float = inf, *, again: bool = False) -> bool:
        """Keep an item until it can be replayed; False when it cannot be kept by this moment. Never raises.

        `again`: it may be the one that was kept last, by a call that was interrupted.
        """

    def take_blocked(self, batch: Batch) -> bool:
        """Keep what a rule of the store stops: it is sent again with the files of others, and stops nothing else."""

    def set_aside(self, batch: Batch) -> bool:
        """Keep what no store will take for a person to look at; False when it cannot be kept. Never raises."""

    def replay(
        self,
        write: Callable[[Batch], Receipt],
        *,
        until: float | None = None,
        others: bool = True,
        outcome: Replay | None = None,
    ) -> Replay:
        """Send what waits, until the store fails or a moment of the monotonic clock; `others`: dead processes' too.

        `outcome` is what is returned, for who may be interrupted before that.
        """

    def close(self) -> None:
        """Let go of what waits, so that another process may replay it."""


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


class NoSpool:
    """The spool that keeps nothing."""

    is_empty = True

    def take(self, item: Batch | PendingBatch, until: float = inf, *, again: bool = False) -> bool:  # noqa: ARG002 - the signature is the Protocol's
        """Return False."""
        return False

    take_blocked = set_aside = take

    def replay(self, *_: object, **__: object) -> Replay:
        """Return that nothing was sent."""
        return Replay()

    def close(self) -> None:
        """Do nothing."""
