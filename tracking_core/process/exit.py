"""How runs end whose process exits without ending them (docs/promises.md, P8 and P9).

    exit without an end                 abandoned, by `exit`
    an unhandled exception              failed, with its traceback; also that of the thread that began the run
    SIGTERM, SIGHUP                     terminated, by `signal SIGTERM`; then the signal does what it always did
    ctrl-c that nobody caught           terminated, by `signal SIGINT`
    SIGKILL, os._exit, power            nothing is recorded: the run is lost when its heartbeat is missing

All of it together takes no longer than one budget, whatever the stores do, and starts no thread. A forked child ends
no run that it inherited. A job's own signal handlers and hooks are never replaced: signals are taken only where the
default action stands, the interpreter is asked for its unhandled exception, and the hook for threads is chained.
"""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

from tracking_core.dataclass import dataclass
from tracking_core.events import RawEnd, RawError, RunStatus
from tracking_core.process import deadlines, forks
from tracking_core.process.heartbeat import heartbeat
from tracking_core.process.interrupts import suppress_faults
from tracking_core.process.locks import defer, held_here

if TYPE_CHECKING:
    from multiprocessing.util import Finalize

    from tracking_core.delivery import Delivery

STORE_BUDGET_S = 4.0
"""Seconds that a leaving process waits for its stores, all closing and leaving of the last minute together."""

SPOOL_BUDGET_S = 1.0
"""What is left then for the spool and for threads to end: five seconds in all."""

_FORGIVEN_AFTER_S = 60.0
_LEAST_S = 0.25
_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.02
_SIGNALS = ("SIGTERM", "SIGHUP")


class Budget:
    """Time that may be spent on leaving: used up by each `close` and given back a minute later."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._spent = 0.0
        self._last = -_FORGIVEN_AFTER_S

    def until(self) -> float:
        """Return the moment of the monotonic clock by which stores must have answered."""
        now = self._monotonic()
        if now - self._last > _FORGIVEN_AFTER_S:
            self._spent = 0.0
        return now + max(STORE_BUDGET_S - self._spent, _LEAST_S)

    def spent_since(self, began: float) -> None:
        """Count the time from then until now."""
        self._last = self._monotonic()
        self._spent += self._last - began


@dataclass(frozen=True, slots=True)
class _OpenRun:
    """A run that was begun here and has not been ended."""

    run_id: int
    delivery: Delivery
    thread: threading.Thread
    """The one that began it."""

    stale: BaseException | None
    """What the interpreter had for its last unhandled exception when the run began; not this run's."""


class OpenRuns:
    """The open runs of this process, and its hooks."""

    def __init__(self) -> None:
        self._hooked_signals: set[int] = set()
        self._pause_s = _FIRST_PAUSE_S
        self._hooked_threads = False
        self._deliveries: weakref.WeakSet[Delivery] = weakref.WeakSet()
        self._last: list[Callable[[], object]] = []
        self.renew()
        forks.renew_in_child(self.renew)

    def renew(self) -> None:
        """Begin anew in a forked child: the runs it inherited are its parent's to end."""
        # Changed by single steps only: a signal's handler may come in between any two of them.
        self._open: dict[int, _OpenRun] = {}
        self._budget = Budget()
        self._finalizer: Finalize[object] | None = None
        self._signalled = self._sent_again = False
        self._until: float | None = None
        deadlines.leave_by(float("inf"))

    # -- called by the trackers ---------------------------------------------------------------------------------------

    def began(self, run_id: int, delivery: Delivery) -> None:
        """Note a run that was begun here."""
        self._open[run_id] = _OpenRun(run_id, delivery, threading.current_thread(), _last_unhandled())
        self.hook()

    def ended(self, run_id: int) -> None:
        """Note that the job has ended its run."""
        self._open.pop(run_id, None)

    def close(self, delivery: Delivery) -> None:
        """Close one delivery within the budget of leaving."""
        began = time.monotonic()
        delivery.leave(self._budget.until() + SPOOL_BUDGET_S)
        self._budget.spent_since(began)

    def flush_at_exit(self, delivery: Delivery) -> None:
        """Have what this delivery accepted stored or spooled when the process ends."""
        self._deliveries.add(delivery)

    def call_last(self, call: Callable[[], object]) -> None:
        """Call this when all that waited is stored or spooled."""
        self._last.append(call)

    # -- hooks -------------------------------------------------------------------------------------------------------

    def hook(self) -> None:
        """Set the hooks that are not set yet and can be set from here."""
        forks.hook()
        if not self._hooked_threads:
            self._hooked_threads = True
            _chain_thread_hook(self._thread_died)
        self._hook_multiprocessing()
        if len(self._hooked_signals) < len(_SIGNALS) and threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                number = getattr(signal, name)
                # Not over a handler of the job's own, nor where it ignores the signal (nohup).
                if signal.getsignal(number) is signal.SIG_DFL:
                    try:
                        signal.signal(number, self._on_signal)
                    except ValueError:
                        # A sub-interpreter: its main thread is not the process's, and signals are not its own.
                        return
                    self._hooked_signals.add(number)

    def _hook_multiprocessing(self) -> None:
        """Leave in order in a child of multiprocessing, which ends without `atexit`."""
        process = sys.modules.get("multiprocessing.process")
        if process is None or process.parent_process() is None:
            return
        # Asked again each time: a child forgets what was registered before its own function began.
        if self._finalizer is None or not self._finalizer.still_active():
            from multiprocessing.util import Finalize

            self._finalizer = Finalize(None, self.at_exit, exitpriority=-10)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        again, self._sent_again = self._sent_again, False
        if self._signalled and not again:
            # A second one ends the process at once.
            _die_of(number)
        if not self._signalled:
            self._signalled = True
            # What this thread waits for now must leave time for the rest.
            self._begin()
        if defer(lambda _interrupted: self._terminate(number)) or (held_here() and self._send_again(number)):
            return
        self._terminate(number)

    def _terminate(self, number: int) -> None:
        """End what is open because of a signal, and then this process as the signal does."""
        name = signal.Signals(number).name
        try:
            self._leave(lambda run: RawEnd(run.run_id, _now_us(), RunStatus.TERMINATED, None, f"signal {name}"))
        finally:
            _die_of(number)

    def _send_again(self, number: int) -> bool:
        """Send a signal once more in a moment, when this thread may have let go of its locks; False if that fails."""

        def send() -> None:
            time.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
            self._sent_again = True
            os.kill(os.getpid(), number)

        with suppress_faults(RuntimeError):
            # Not threading.Thread: its own locks may be among those that this thread holds.
            _thread.start_new_thread(send, ())
            return True
        return False

    def _thread_died(self, thread: threading.Thread | None, error: BaseException) -> None:
        """Fail the runs that a thread began and did not end before it died of an exception."""
        for run in list(self._open.values()):
            if run.thread is thread:
                self._end(run, _failed(run, error))
                heartbeat.forget(run.run_id)

    def at_exit(self) -> None:
        """End what is open as its process ends, and bring away what waits."""
        error = sys.exc_info()[1]
        self._leave(lambda run: _fate(run, error))

    # -- the way out -------------------------------------------------------------------------------------------------

    def _leave(self, fate: Callable[[_OpenRun], RawEnd]) -> None:
        until = self._begin()
        heartbeat.report_all()
        for run in list(self._open.values()):
            self._end(run, fate(run))
        deliveries = list(self._deliveries)
        for place, delivery in enumerate(deliveries):
            # Each has its part of the time, so that the last one can still spool what it holds.
            now = time.monotonic()
            spare = max(until + SPOOL_BUDGET_S - max(now, until), 0) / (len(deliveries) - place)
            with suppress(Exception):
                delivery.leave(max(now, until) + spare)
        heartbeat.stop(until + SPOOL_BUDGET_S)
        for call in self._last:
            call()

    def _begin(self) -> float:
        """Begin to leave, once; return the moment by which stores must have answered."""
        if self._until is None:
            self._until = self._budget.until()
            deadlines.leave_by(self._until)
        return self._until

    def _end(self, run: _OpenRun, end: RawEnd) -> None:
        self.ended(run.run_id)
        with suppress(Exception):
            run.delivery.end(end)


def _die_of(number: int) -> None:
    """End this process as the signal would have ended it without us.

    Linux ignores a signal's default action for the first process of a pid namespace, which a container's job usually
    is: such a process exits with the status that a shell gives for the signal.
    """
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(128 + number)


def _fate(run: _OpenRun, error: BaseException | None) -> RawEnd:
    """Return how a run ends whose process exits: by the exception under way, or the interpreter's unhandled one."""
    last = _last_unhandled()
    cause = error or (last if last is not run.stale else None)
    if isinstance(cause, KeyboardInterrupt):
        return RawEnd(run.run_id, _now_us(), RunStatus.TERMINATED, None, "signal SIGINT")
    if cause is not None and not isinstance(cause, SystemExit):
        return _failed(run, cause)
    return RawEnd(run.run_id, _now_us(), RunStatus.ABANDONED, None, "exit")


def _failed(run: _OpenRun, error: BaseException) -> RawEnd:
    """Record an exception and return the end that it means."""
    from tracking_core.failures import Failure

    failure = Failure.from_error(error)
    with suppress(Exception):
        run.delivery.event(RawError(run.run_id, _now_us(), None, failure))
    return RawEnd(run.run_id, _now_us(), RunStatus.FAILED, failure.message or failure.error_type, "exit")


def _last_unhandled() -> BaseException | None:
    """Return the unhandled exception that ends the interpreter; it is set whatever sys.excepthook is.

    One that was reported at an interactive prompt, or before it (`python -i`), ends nothing.
    """
    found = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    if not isinstance(found, BaseException) or sys.flags.interactive or os.environ.get("PYTHONINSPECT"):
        return None
    if hasattr(sys, "ps1"):
        # What was typed is in no file; it is called by the prompt's own code, if that is written in Python.
        trace = found.__traceback__
        for each in (trace, trace and trace.tb_next):
            if each is not None and not os.path.exists(each.tb_frame.f_code.co_filename):  # noqa: PTH110 - cheap while leaving
                return None
    return found


def _chain_thread_hook(died: Callable[[threading.Thread | None, BaseException], None]) -> None:
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        try:
            before(args)
        finally:
            if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
                with suppress(Exception):
                    died(args.thread, args.exc_value)

    threading.excepthook = hook


def _now_us() -> int:
    return time.time_ns() // 1000


open_runs = OpenRuns()
"""The one of this process."""

# Registered when the package is imported, so that it runs after whatever a job registers: a job may end its run there.
atexit.register(open_runs.at_exit)
