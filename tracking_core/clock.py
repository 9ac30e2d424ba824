"""The clocks of a process, and the store's clock against the job's.

A Clock gives both kinds of time that a tracker needs: the wall clock, which names moments and may step, and the
monotonic clock, which measures durations and may not. The store's clock is measured with every answer of the store, so
that events carry its time (docs/promises.md, P10). Between two answers the job's clock may step: that shows against the
monotonic one, and what was recorded before the step is distinguished from what came after it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock:
    """The two clocks of this process; tests pass in others."""

    def now_us(self) -> int:
        """Return the wall clock in microseconds since 1970-01-01Z."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds of a clock that never steps; only differences mean something."""
        return time.monotonic()


def to_microseconds(moment: datetime) -> int:
    """Return microseconds since 1970-01-01Z; ValueError for a datetime without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"a time needs its zone: {moment.isoformat()} has none; use datetime.now(UTC)")
    return (moment - EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the aware UTC datetime of microseconds since 1970-01-01Z."""
    return EPOCH + timedelta(microseconds=microseconds)


NOISE_US = 50_000
"""A difference that is smaller than this is the network's noise and is ignored."""

LONGEST_WAIT_US = 5_000_000
"""Events are seldom older than this when their time is corrected."""


class ClockOffset:
    """The store's clock minus the job's, as one writer has measured it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.is_known = False
        """Whether it was measured at all."""

        self._looked_us, self._base_us = self._now()
        # Measured against the monotonic clock, so that a step of the job's clock meanwhile changes nothing. Until the
        # store has answered, the job's first one is used.
        self._store_base_us = self._base_us
        self._step_us = 0
        self._before_us = self._looked_us

    def _now(self) -> tuple[int, int]:
        """Return the monotonic clock, and how far the wall clock is ahead of it."""
        monotonic_us = round(self._clock.monotonic() * 1_000_000)
        return monotonic_us, self._clock.now_us() - monotonic_us

    @property
    def offset_us(self) -> int:
        """What is added to a time of the job's clock at the last look."""
        return self._store_base_us - self._base_us

    def measure(self, store_us: int, asked_s: float) -> None:
        """Take in the store's clock, asked since this moment of the monotonic clock until now; 0 is no answer."""
        if not store_us:
            return
        self.is_known = True
        asked_us, answered_us = round(asked_s * 1_000_000), round(self._clock.monotonic() * 1_000_000)
        measured = store_us - (asked_us + answered_us) // 2
        if abs(measured - self._store_base_us) > NOISE_US + (answered_us - asked_us):
            self._store_base_us = measured

    def look(self) -> None:
        """See whether the job's clock has stepped since the last look; to be called before `corrected`."""
        now_us, base_us = self._now()
        step_us = base_us - self._base_us
        self._before_us, self._looked_us = max(self._looked_us, now_us - LONGEST_WAIT_US), now_us
        self._step_us = step_us if abs(step_us) > NOISE_US else 0
        if self._step_us:
            self._base_us = base_us

    @property
    def is_steady(self) -> bool:
        """Whether one offset holds for all that was recorded before the last look."""
        return not self._step_us

    def corrected(self, at_us: int) -> int:
        """Return the store's time for a time of the job's clock, not long before the last look."""
        by_old_clock = at_us - (self._base_us - self._step_us)
        before_step = self._before_us - NOISE_US <= by_old_clock <= self._looked_us + NOISE_US
        return at_us + self.offset_us + (self._step_us if before_step else 0)
