"""A clock that a test sets."""

from dataclasses import dataclass

from tracking_core.clock import Clock


@dataclass
class ManualClock(Clock):
    """Both kinds of time, standing still until told otherwise."""

    us: int = 1_700_000_000_000_000
    seconds: float = 1000.0

    def now_us(self) -> int:
        """Return the wall clock."""
        return self.us

    def monotonic(self) -> float:
        """Return the monotonic clock."""
        return self.seconds
