"""A circuit breaker: after a failure the store is left alone for a while, so that a dead one costs the job nothing.

Closed while the store works. After a failure it is open: nobody may try until the pause is over, then one try is let
through; its success closes the breaker. A store that fails at once costs nothing to ask, so for a minute it is asked
every second (a restart is seen within two: P4 of docs/promises.md); after that, and after every try that took its time,
the pause doubles, up to less than the half minute of P1. Holds no clock: callers bring the time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from tracking_core.process.forks import renew_in_child
from tracking_core.process.locks import ReentrantLock

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 25.0
JITTER = 0.2
"""Pauses are shortened by up to a fifth, so that many jobs do not come back at the same moment."""

QUICK_S = 0.25
"""A failure that took no longer cost nobody anything."""

IMPATIENT_S = 60.0
"""So long after the first failure quick ones do not lengthen the pause."""


def _random_share() -> float:
    # The random module would cost a good part of what importing this package may.
    return int.from_bytes(os.urandom(2), "big") / 0xFFFF


class Breaker:
    """Whether a store may be tried now."""

    def __init__(self, random_share: Callable[[], float] = _random_share) -> None:
        self._random_share = random_share
        # Guards the numbers below: one thread alone may be let through after a pause.
        self._lock = ReentrantLock()
        self._doublings = 0
        self._since: float | None = None
        self._retry_at: float | None = None
        self._trying_until = 0.0
        renew_in_child(self.unknown)
        self.failed_at = -math.inf
        """When a try failed last, on the monotonic clock."""

    @property
    def is_open(self) -> bool:
        """Whether the last try failed."""
        return self._retry_at is not None

    def may_try(self, now: float) -> bool:
        """Return whether the store may be tried at this moment of the monotonic clock; a yes must be answered for.

        After a yes call `worked`, `failed` or `unknown`, or no other caller will be let through for the longest pause.
        """
        if not self.is_open:
            return True
        with self._lock:
            if self._retry_at is None:
                return True
            if now < max(self._retry_at, self._trying_until):
                return False
            # Whoever is let through may be interrupted and never answer.
            self._trying_until = now + LONGEST_PAUSE_S
            return True

    def worked(self) -> None:
        """Close the breaker: the store took something."""
        if self._retry_at is None:
            return
        with self._lock:
            self._doublings, self._since, self._retry_at, self._trying_until = 0, None, None, 0.0

    def failed(self, now: float, took: float = 0.0) -> float:
        """Open the breaker for the next pause; return how long it is, in seconds. `took`: how long the try lasted."""
        share = self._random_share()
        with self._lock:
            if self._since is None:
                self._since = now
            pause = min(FIRST_PAUSE_S * float(1 << self._doublings), LONGEST_PAUSE_S)
            shortened = pause * (1 - JITTER * share)
            if took > QUICK_S or now - self._since >= IMPATIENT_S:
                self._doublings = min(self._doublings + 1, 16)
            self._retry_at, self._trying_until, self.failed_at = now + shortened, 0.0, now
            return shortened

    def try_now(self) -> None:
        """Let the next try through before the pause is over: a process that leaves has no later."""
        with self._lock:
            if self._retry_at is not None:
                self._retry_at = -math.inf

    def unknown(self) -> None:
        """Say that the store was not tried after all: the next caller may."""
        with self._lock:
            self._trying_until = 0.0

    def remaining(self, now: float) -> float:
        """Return the seconds until the next try is let through; 0 when it may be now."""
        retry_at = self._retry_at
        return 0.0 if retry_at is None else max(retry_at - now, 0.0)
