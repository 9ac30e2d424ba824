"""Reports a phase's progress at most once in an interval, the last one always, and none after a later state.

An update that comes too soon is reported with the next one, or about a second later by the heartbeat's thread, so that
a job which hangs does not show less than it did.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from types import MethodType, TracebackType

from tracking_core.process.forks import renew_in_child
from tracking_core.process.heartbeat import heartbeat
from tracking_core.process.interrupts import suppress_faults
from tracking_core.process.locks import ReentrantLock

LONGEST_TURN_S = 30.0
"""How long a state waits for progress that is being reported."""

_AT_ONCE = float("-inf")


class Throttle:
    """When one phase's progress is reported; as a `with` block, the turn of a thread that reports a state of the phase.

    A thread that changes a state takes the turn until the change is reported, so that a late "running" never follows a
    "completed". Progress does not wait: where another thread has the turn, it is left for later.
    """

    def __init__(
        self, interval_s: float, report: Callable[[], object], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Call `report`, a bound method which does not keep its object alive, at most once in `interval_s` seconds."""
        self._interval_s = interval_s
        assert isinstance(report, MethodType)
        # Not a WeakMethod: that has a function called as its object goes, and what interrupts it there is lost.
        self._reporter, self._report = weakref.ref(report.__self__), report.__func__
        self._monotonic = monotonic
        self._next = _AT_ONCE
        # Re-entrant, since a `__del__`, a signal's or a log handler may come in on the thread that holds it.
        self._turn = ReentrantLock(slow=True)
        self._begin()
        renew_in_child(self._begin)

    def _begin(self) -> None:
        # In a forked child too: what its parent counted is the parent's to report.
        self._unreported = self._listed = False

    def counted(self, *, aside: bool = True) -> None:
        """Report what was counted just now: at once if it is time, else, with `aside`, on the heartbeat's thread."""
        self._unreported = True
        if (self._monotonic() < self._next or not self._report_now()) and aside and not self._listed:
            self._listed = True
            heartbeat.report_soon(self)

    def report_rest(self, *, at_once: bool = False) -> None:
        """Report the rest; a little later if it is not time yet, unless `at_once`."""
        self._listed = False
        if not self._unreported:
            return
        if at_once:
            self._next = _AT_ONCE
        self.counted()

    def reported(self) -> None:
        """Note, before the counts are read, that all of them are being reported."""
        self._next = self._monotonic() + self._interval_s
        self._unreported = False

    def begin(self) -> None:
        """Report the first progress of a phase at once."""
        self._next, self._unreported = _AT_ONCE, False

    def _report_now(self) -> bool:
        if not self._turn.acquire(blocking=False):
            return False
        try:
            # Another thread may have reported it in between.
            if self._unreported and (reporter := self._reporter()) is not None:
                # Noted first: a recorder that logs may lead back here.
                self.reported()
                self._report(reporter)
        finally:
            self._release()
        return True

    def __enter__(self) -> None:
        # Not for ever: a `__del__` may come here while its thread holds what the reporting one waits for.
        self._turn.acquire(timeout=LONGEST_TURN_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        # Not taken in time, or new since a fork inside the block.
        with suppress_faults(RuntimeError):
            self._turn.release()
