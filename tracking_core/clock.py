"""Where time comes from: only loops and the edges of the package read it, everything else is handed a value.

A Clock gives both kinds of time that a tracker needs: the wall clock, which names moments and may step, and the
monotonic clock, which measures durations and may not.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tracking_core.dataclass import dataclass

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """The two clocks of a process."""

    def now_us(self) -> int:
        """Return the wall clock in microseconds since 1970-01-01Z."""

    def monotonic(self) -> float:
        """Return seconds of a clock that never steps; only differences mean something."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The clocks of this machine."""

    def now_us(self) -> int:
        """Return the wall clock in microseconds since 1970-01-01Z."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds of the monotonic clock."""
        return time.monotonic()


def to_microseconds(moment: datetime) -> int:
    """Return microseconds since 1970-01-01Z; ValueError for a datetime without a zone (habit 6 of the house style)."""
    if moment.tzinfo is None:
        raise ValueError(f"a time needs its zone: {moment.isoformat()} has none; use datetime.now(UTC)")
    return (moment - EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the aware UTC datetime of microseconds since 1970-01-01Z."""
    return EPOCH + timedelta(microseconds=microseconds)
