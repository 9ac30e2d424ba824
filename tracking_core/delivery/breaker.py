"""A circuit breaker: after a failure the store is left alone for a while, so that a dead one costs the job nothing.

Closed while the store works. After a failure it is open: nobody may try until the pause is over, then one try is let
through; its failure doubles the pause, its success closes the breaker. Holds no clock: callers bring the time, so it is
tested without sleeping.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tracking_core.locks import reentrant_lock

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
JITTER = 0.2
"""Pauses are shortened by up to a fifth, so that many jobs do not come back at the same moment."""


def _random_share() -> float:
    # The random module would cost a good part of what importing this package may.
    return int.from_bytes(os.urandom(2), "big") / 0xFFFF


class Breaker:
    """Whether a store may be tried now."""

    def __init__(self, random_share: Callable[[], float] = _random_share) -> None:
        self._random_share = random_share
        # Guards the three numbers below: one thread alone may be let through after a pause.
        self._lock = reentrant_lock()
        self._failures = 0
        self._retry_at: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the last try failed."""
        return self._retry_at is not None

    def may_try(self, now: float) -> bool:
        """Return whether the store may be tried at this moment of the monotonic clock; a yes must be answered for.

        After a yes call `worked` or `failed`, or no other caller will be let through.
        """
        with self._lock:
            if self._retry_at is None:
                return True
            if self._trying or now < self._retry_at:
                return False
            self._trying = True
            return True

    def worked(self) -> None:
        """Close the breaker: the store took something."""
        if self._retry_at is None:
            return
        with self._lock:
            self._failures, self._retry_at, self._trying = 0, None, False

    def failed(self, now: float) -> float:
        """Open the breaker for the next pause; return how long it is, in seconds."""
        with self._lock:
            pause: float = min(FIRST_PAUSE_S * float(1 << self._failures), LONGEST_PAUSE_S)
            shortened = pause * (1 - JITTER * self._random_share())
            self._failures = min(self._failures + 1, 16)
            self._retry_at, self._trying = now + shortened, False
            return shortened

    def remaining(self, now: float) -> float:
        """Return the seconds until the next try is let through; 0 when it may be now."""
        retry_at = self._retry_at
        return 0.0 if retry_at is None else max(retry_at - now, 0.0)

    def renew(self) -> None:
        """Take a new lock in a forked child."""
        self._lock = reentrant_lock()
        self._trying = False
