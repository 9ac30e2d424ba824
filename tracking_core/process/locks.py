"""The locks of this package, and what one thread uses to wait for another.

CPython raises an exception from outside (ctrl-c, a signal handler, PyThreadState_SetAsyncExc) when a Python function
is entered, at a loop's backward jump, and after a call of something written in C; nowhere else. So a caller's thread
can leave nothing held that follows these rules:

    a lock         `reentrant_lock()`, taken by `with`: the steps of an RLock are C, so it is held exactly inside the
                   block; or by `take` in a `try`. Never a Condition or an Event: they take theirs in Python.
    waiting        `Signal`: a SimpleQueue, whose `get` and `put` are C.
    a flag         set by an assignment inside or just before `try`, reset by the first statement of its `finally`.
    a thread       started by `start_thread`.
    two values     that belong together are assigned in one statement without a call.

Locks are re-entrant and listed here since a signal's handler runs in the main thread, between any two of its steps:
also while that thread holds a lock which the writer's thread waits for. The handler asks whether it came at such a
moment, and comes again a little later. A thread that talks to a store may hold locks there: what comes in between is
put off until it has finished.
"""

from __future__ import annotations

import _thread
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from tracking_core.process.interrupts import from_outside, suppress_faults

_LONGEST_START_S = 5.0
_known: weakref.WeakSet[threading.RLock] = weakref.WeakSet()

T = TypeVar("T")
_occupied: dict[int, deque[Callable[[bool], object]]] = {}
os.register_at_fork(after_in_child=_occupied.clear)


def reentrant_lock() -> threading.RLock:
    """Return a lock that its holder may take again, and that `held_here` knows of."""
    lock = threading.RLock()
    _known.add(lock)
    return lock


def take(lock: threading.RLock, held: list[bool], seconds: float = -1) -> bool:
    """Take a lock within a time, -1 without a limit, and add to `held` whether it was: in one step, which calls C only.

    The caller releases it in `finally` where True is in `held`.
    """
    held += map(lock.acquire, (True,), (seconds,))
    return held[-1]


class Signal:
    """What threading.Event is, without a lock that an interrupted thread can leave held."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: deque[SimpleQueue[None]] = deque()

    def set(self) -> None:
        """Let go on whoever waits now or later."""
        self._is_set = True
        with suppress(IndexError):
            while True:
                self._waiting.popleft().put(None)

    def clear(self) -> None:
        """Let wait whoever comes from now on."""
        self._is_set = False

    def wait(self, seconds: float | None) -> bool:
        """Wait until it is set, at most so long, None without a limit; return whether it is."""
        mine: SimpleQueue[None] = SimpleQueue()
        self._waiting.append(mine)
        if not self._is_set:
            with suppress(Empty, OverflowError):
                mine.get(timeout=None if seconds is None else max(seconds, 0))
        with suppress(ValueError):
            self._waiting.remove(mine)
        return self._is_set


def daemon_thread(target: Callable[[], object], name: str) -> threading.Thread | None:
    """Return a thread that has not been started; None in a sub-interpreter that allows none."""
    try:
        return threading.Thread(target=target, name=name, daemon=True)
    except RuntimeError as error:
        if from_outside(error):
            raise
        return None


def start_thread(thread: threading.Thread | None) -> bool:
    """Start a thread; False where none can be: the interpreter shuts down, or the system gives no more.

    `Thread.start` waits for an Event, and an exception from outside could leave that held: the new thread would hang.
    So another thread calls it, which exceptions from outside do not reach.
    """
    if thread is None:
        return False
    tried: SimpleQueue[None] = SimpleQueue()

    def start() -> None:
        with suppress(RuntimeError):
            thread.start()
        tried.put(None)

    with suppress_faults(RuntimeError), suppress(Empty):
        _thread.start_new_thread(start, ())
        tried.get(timeout=_LONGEST_START_S)
    return thread.ident is not None


def store_busy(work: Callable[[], T]) -> T:
    """Return what `work` returns, during which the calling thread talks to a store; then do what was put off.

    A `__del__` may run between any two steps of the work and have something to record itself. Done at once it could
    wait for a lock of the store, a row's or the file's, that this very thread holds.
    """
    me = threading.get_ident()
    waiting: deque[Callable[[bool], object]] = deque()
    if me in _occupied:
        return work()
    interrupted = True
    try:
        _occupied[me] = waiting
        result = work()
        interrupted = False
    except Exception:
        interrupted = False
        raise
    else:
        return result
    finally:
        _occupied.pop(me, None)
        while waiting:
            with suppress_faults():
                waiting.popleft()(interrupted)


def defer(what: Callable[[bool], object]) -> bool:
    """Have something done when the calling thread is done with its store; False, when it is not talking to any.

    `what` is called with whether the thread was interrupted, by ctrl-c for one, and should lose no time.
    """
    waiting = _occupied.get(threading.get_ident())
    if waiting is None:
        return False
    waiting.append(what)
    return True


def held_here() -> bool:
    """Return whether the calling thread holds one of the locks."""
    return any(lock._is_owned() for lock in list(_known))  # type: ignore[attr-defined]
