"""When what a process or a thread does with any store must be over.

A connection's operation has its own deadline. Three things may shorten it, also while it is being waited for: the call
that the operation is a part of (an immediate call connects, writes and replays within one deadline), somebody who waits
for the thread and has no more time, and the leaving of the process (docs/promises.md, P9).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import get_ident
from typing import TypeVar

from tracking_core.process.forks import renew_in_child

T = TypeVar("T")
THREAD_LIMIT_LIFE_S = 10.0
"""So long after its moment a thread's limit ends: whoever set it was interrupted before taking it back. Seconds."""

_leave_by = math.inf
_within: ContextVar[float] = ContextVar("within", default=math.inf)
_limited_threads: dict[int, float] = {}


def leave_by(when: float) -> None:
    """Let no operation of this process wait beyond this moment of the monotonic clock; math.inf takes it back."""
    global _leave_by
    _leave_by = when


def is_leaving() -> bool:
    """Return whether this process has begun to leave, so that no thread may be started any more."""
    return _leave_by != math.inf


def moment(due: float) -> float:
    """Return when an operation of the calling thread that is due then has to be over."""
    thread = get_ident()
    limited = _limited_threads.get(thread, math.inf)
    if limited != math.inf and time.monotonic() > limited + THREAD_LIMIT_LIFE_S:
        _limited_threads.pop(thread, None)
        limited = math.inf
    return min(due, _leave_by, _within.get(), limited)


def bounded(seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, in which nothing that this thread waits for takes longer, all of it together.

    The limit is a context's own, which ends with the call in C, so that no exception from outside can leave it behind;
    each greenlet has another.
    """

    def limited() -> T:
        _within.set(min(time.monotonic() + seconds, _within.get()))
        return work()

    return copy_context().run(limited)


@contextmanager
def limit_thread(thread: int, when: float) -> Iterator[None]:
    """Let a thread, by its ident, wait for nothing beyond a moment of the monotonic clock; the present wait too."""
    _limited_threads[thread] = when
    try:
        yield
    finally:
        _limited_threads.pop(thread, None)


# A thread of the child may be given the ident of one that only the parent has.
renew_in_child(_limited_threads.clear)
