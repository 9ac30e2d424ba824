"""The locks of this package, and what one thread uses to wait for another.

CPython raises an exception from outside (ctrl-c, a signal handler, PyThreadState_SetAsyncExc) when a Python function
is entered, at a loop's backward jump, and after a call of something written in C; nowhere else. So a caller's thread
can leave nothing held that follows these rules:

    a lock         `ReentrantLock()`, taken by `with`: the steps of an RLock are C, so it is held exactly inside the
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
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Self, TypeVar

from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import aside, suppress_faults

_LONGEST_START_S = 5.0
_all_locks: dict[weakref.ref[ReentrantLock], None] = {}

T = TypeVar("T")
_waiting_for_store: dict[int, deque[Callable[[bool], object]]] = {}


class ReentrantLock(_thread.RLock):  # type: ignore[misc] # it may be inherited from
    """A lock that its holder may take again, free in a forked child, and known to `held_here` if held shortly.

    A copy of what it guards has a lock of its own. `slow`: held while something is waited for.
    """

    __slots__ = ("slow",)
    slow: bool

    def __new__(cls, *, slow: bool = False) -> Self:
        """Return a new lock."""
        lock = super().__new__(cls)
        lock.slow = slow
        _all_locks[weakref.ref(lock, _all_locks.pop)] = None
        return lock

    def __reduce__(self) -> tuple[Callable[[], ReentrantLock], tuple[()]]:
        """Let what it guards be copied and pickled."""
        return partial(ReentrantLock, slow=self.slow), ()


def _free_all() -> None:
    for found in list(_all_locks):
        lock = found()
        # One that the forking thread itself holds is released by it, in the child too.
        if lock is not None and not lock._is_owned():  # type: ignore[attr-defined]
            lock._at_fork_reinit()  # type: ignore[attr-defined]


# Before anything else is renewed: whoever held them is not there.
renew_in_child(_free_all)
renew_in_child(_waiting_for_store.clear)


def take(lock: ReentrantLock, held: list[bool], seconds: float = -1) -> bool:
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
    with suppress_faults(RuntimeError):
        return threading.Thread(target=target, name=name, daemon=True)
    return None


def start_thread(thread: threading.Thread | None) -> bool:
    """Start a thread; False where none can be: the interpreter shuts down, or the system gives no more.

    `Thread.start` waits for an Event, and an exception from outside could leave that held: the new thread would hang.
    So another thread calls it, which exceptions from outside do not reach.
    """
    if thread is None:
        return False

    def start() -> None:
        with suppress(RuntimeError):
            thread.start()

    for _ in range(2):
        if thread.ident is None:
            with suppress_faults(RuntimeError):
                aside(start, _LONGEST_START_S)
    return thread.ident is not None


def store_busy(work: Callable[[], T]) -> T:
    """Return what `work` returns, during which the calling thread talks to a store; then do what was put off.

    A `__del__` may run between any two steps of the work and have something to record itself. Done at once it could
    wait for a lock of the store, a row's or the file's, that this very thread holds.
    """
    me = threading.get_ident()
    waiting: deque[Callable[[bool], object]] = deque()
    if me in _waiting_for_store:
        return work()
    interrupted = True
    try:
        _waiting_for_store[me] = waiting
        result = work()
        interrupted = False
    except Exception:
        interrupted = False
        raise
    else:
        return result
    finally:
        _waiting_for_store.pop(me, None)
        while waiting:
            with suppress_faults():
                waiting.popleft()(interrupted)


def defer(what: Callable[[bool], object]) -> bool:
    """Have something done when the calling thread is done with its store; False, when it is not talking to any.

    `what` is called with whether the thread was interrupted, by ctrl-c for one, and should lose no time.
    """
    waiting = _waiting_for_store.get(threading.get_ident())
    if waiting is None:
        return False
    waiting.append(what)
    return True


def held_here() -> bool:
    """Return whether the calling thread holds a lock that it will soon release."""
    locks = [found() for found in list(_all_locks)]
    return any(lock is not None and not lock.slow and lock._is_owned() for lock in locks)  # type: ignore[attr-defined]
