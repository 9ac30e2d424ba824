"""The heartbeat of a process: one thread, one statement for each store and beat, however many runs and trackers.

A beat opens a connection of its own, is bounded by the deadline and survives every error: a store that does not answer
misses beats, and its runs look lost until it answers again. The state of the shared switch comes back with each beat.
After it the thread reports the progress that was held back, so that a slow store delays no beat.

A `Throttle` reports a phase's progress at most once in an interval, the last one always, and none after a later state.
What comes too soon is reported with the next update, or about a second later by the thread, so that a job which hangs
does not show less than it did.
"""

from __future__ import annotations

import importlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import MethodType, TracebackType
from typing import TYPE_CHECKING

from tracking_core.dataclass import dataclass
from tracking_core.process import deadlines, forks
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import suppress_faults
from tracking_core.process.locks import ReentrantLock, daemon_thread, start_thread, store_busy

if TYPE_CHECKING:
    from tracking_core.store.base import Store
    from tracking_core.switch import TrackingSwitch

SHORTEST_REST_S = 0.01
"""Between two beats of one thread, whatever the interval and however long a beat took."""

REPORT_AFTER_S = 1.0
"""How long after a report was held back its reporter is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSettings:
    """What a tracker brings along for its runs to beat."""

    store_key: str
    """The same for trackers that record in one place; never shown, it may hold a password."""

    open_store: Callable[[], Store]
    deadline: float
    """Seconds."""

    interval: float
    """Seconds between two beats."""

    switch: TrackingSwitch


@dataclass(frozen=True, slots=True)
class _Beating:
    """One run that lives."""

    run_id: int
    job: str
    settings: HeartbeatSettings


class Heartbeat:
    """The runs of this process that live, and the thread that beats for them."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # Guards the starting of the thread; re-entrant, since a signal's handler may come in between.
        self._starting = ReentrantLock()
        self._begin()
        forks.around_forks(forks.Step.THREADS, self.pause, self.resume)
        forks.renew_in_child(self._begin)

    def _begin(self) -> None:
        # In a forked child too: the parent's runs are the parent's to keep alive.
        # Both dictionaries are read and changed by single steps only, so no thread needs to wait for another.
        self._runs: dict[int, _Beating] = {}
        self._beaten: dict[str, float] = {}
        # In the order of their turns; only the thread takes any out.
        self._reporters: deque[tuple[float, weakref.ref[Throttle]]] = deque()
        self._signals: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = self._paused = False

    def watch(self, run_id: int, job: str, settings: HeartbeatSettings) -> bool:
        """Let a run beat from now on; False where no thread can be started any more."""
        self._runs[run_id] = _Beating(run_id, job, settings)
        self._beaten.setdefault(settings.store_key, self._monotonic())
        if self._run():
            # A thread that rests until a later beat wakes for an earlier one.
            self._signals.put(None)
            return True
        self._runs.pop(run_id, None)
        return False

    def forget(self, run_id: int) -> None:
        """Let a run beat no more: it has ended, or there is none."""
        self._runs.pop(run_id, None)

    def report_soon(self, reporter: Throttle) -> None:
        """Call a reporter in about a second; also in a process whose runs another one beats."""
        self._reporters.append((self._monotonic() + REPORT_AFTER_S, weakref.ref(reporter)))
        # Here a thread may start in a process that began no run, and so takes no part in forks yet.
        forks.hook()
        if self._run():
            self._signals.put(None)

    def report_all(self) -> None:
        """Call every reporter at once, since the process leaves."""
        for _, listed in list(self._reporters):
            _ask(listed(), at_once=True)

    def stop(self, until: float) -> None:
        """Beat no more, and wait for the beat under way until this moment of the monotonic clock."""
        self._stopped = True
        self._runs.clear()
        self._signals.put(None)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(until - self._monotonic(), 0))

    def pause(self) -> None:
        """End the thread before a fork."""
        self._paused = True
        self._signals.put(None)
        forks.wait_until_gone(self._thread)

    def resume(self) -> None:
        """Start a thread again after a fork, in the parent, if runs live or a report is held back."""
        self._paused, self._thread = False, None
        if self._runs or self._reporters:
            self._run()

    def take_turn(self) -> float | None:
        """Beat and then ask, as far as it is time; return the seconds until the next turn, None without any."""
        until_beat: float | None = 1.0
        # The thread outlives whatever happens in one beat.
        with suppress(Exception):
            until_beat = self.beat_due()
        rests = [rest for rest in (until_beat, self.report_due()) if rest is not None]
        return min(rests, default=None)

    def beat_due(self) -> float | None:
        """Beat for every store whose turn it is; return the seconds until the next turn, None without runs."""
        groups: dict[str, list[_Beating]] = {}
        for beating in list(self._runs.values()):
            groups.setdefault(beating.settings.store_key, []).append(beating)
        rests: list[float] = []
        for key, group in groups.items():
            interval = min(beating.settings.interval for beating in group)
            now = self._monotonic()
            if now >= self._beaten.setdefault(key, now) + interval:
                # Turns that were missed while a beat took its time are not made up for.
                self._beaten[key] = now
                _beat(group)
            rests.append(self._beaten[key] + interval - self._monotonic())
        for key in set(self._beaten) - set(groups):
            self._beaten.pop(key, None)
        return max(min(rests), SHORTEST_REST_S) if rests else None

    def report_due(self) -> float | None:
        """Call the reporter whose turn it is; return the seconds until the next turn, None without one.

        One at a time, so that a beat waits for no more than one.
        """
        if self._reporters and self._reporters[0][0] <= self._monotonic():
            _ask(self._reporters.popleft()[1](), at_once=False)
        return max(self._reporters[0][0] - self._monotonic(), SHORTEST_REST_S) if self._reporters else None

    def _run(self) -> bool:
        with self._starting:
            if self._paused or (self._thread is not None and self._thread.is_alive()):
                return True
            if self._stopped or deadlines.is_leaving():
                return False
            self._thread = daemon_thread(self._loop, "tracking_core heartbeat")
            if start_thread(self._thread):
                return True
            self._thread = None
            return False

    def _loop(self) -> None:
        forks.leave_signals_to_main()
        signals = self._signals
        # What the end of a run may need is loaded here, aside: a module that is loaded while the interpreter leaves
        # makes it forget that it leaves because of ctrl-c, and a child forked while one is being loaded cannot load it.
        with suppress(Exception):
            for module in ("tracking_core.delivery.spool", "tracking_core.failures", "hashlib"):
                importlib.import_module(module)
        while not (self._stopped or self._paused) and self._thread is threading.current_thread():
            rest = self.take_turn()
            with suppress(Empty):
                signals.get(timeout=rest)


def _beat(group: list[_Beating]) -> None:
    """Store one heartbeat of these runs of one store, and apply what it answers about the switch."""
    settings = group[0].settings

    def beat() -> None:
        with settings.open_store().writer(settings.deadline) as writer:
            receipt = writer.beat([beating.run_id for beating in group])
        for beating in group:
            # The answer covers no run that the store does not hold yet, nor its job's switch.
            if beating.run_id not in receipt.refused:
                beating.settings.switch.update((beating.job,), receipt.switched_off)

    with suppress(Exception):
        store_busy(beat)


def _ask(reporter: Throttle | None, *, at_once: bool) -> None:
    if reporter is not None:
        with suppress(Exception):
            reporter.report_rest(at_once=at_once)


heartbeat = Heartbeat()
"""The one of this process."""


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
        """Report the rest; a little later if it is not time yet, unless `at_once`. Waits for no other thread."""
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
