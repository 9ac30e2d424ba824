"""Spread a job's work over a wished time, so that a person can watch it.

Owns the arithmetic of resting between batches. A job that is not watched passes 0 and never rests.
"""

import time
from collections.abc import Callable


class Pacer:
    """Rest after each step so that `steps` steps take about `seconds` in all.

    A step that is late is not punished: the next ones rest less until the time is made up.
    """

    def __init__(
        self,
        seconds: float,
        steps: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the wished time in seconds (0: never rest) and the number of steps it is shared by."""
        self._seconds = seconds
        self._steps = max(1, steps)
        self._clock = clock
        self._sleep = sleep
        self._done = 0
        self._began = clock()

    def rest(self) -> None:
        """Count one step done and sleep until its share of the time is over."""
        self._done += 1
        if self._seconds <= 0:
            return
        remaining = self._began + self._seconds * self._done / self._steps - self._clock()
        if remaining > 0:
            self._sleep(remaining)
