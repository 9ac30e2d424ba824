"""When what a process or a thread says to any store must be over.

A connection's operation has its own deadline. Three things may shorten it, also while it is being waited for: the call
that the operation is a part of (an immediate call connects, writes and replays within one deadline), somebody who waits
for the thread and has no more time, and the leaving of the process (PROMISES P9).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

_leave_by = math.inf
_within: dict[int, float] = {}
_hurried: dict[int, float] = {}


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
    return min(due, _leave_by, _within.get(thread, math.inf), _hurried.get(thread, math.inf))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let nothing that this thread waits for inside the block take longer, all of it together."""
    thread = get_ident()
    before = _within.get(thread)
    when = time.monotonic() + seconds
    _within[thread] = when if before is None else min(when, before)
    try:
        yield
    finally:
        if before is None:
            _within.pop(thread, None)
        else:
            _within[thread] = before


@contextmanager
def hurrying(thread: int, when: float) -> Iterator[None]:
    """Let a thread, by its ident, wait for nothing beyond a moment of the monotonic clock; the present wait too."""
    _hurried[thread] = when
    try:
        yield
    finally:
        _hurried.pop(thread, None)


def _forget_other_threads() -> None:
    # A thread of the child may be given the ident of one that only the parent has.
    mine = _within.get(get_ident())
    _within.clear()
    _hurried.clear()
    if mine is not None:
        _within[get_ident()] = mine


os.register_at_fork(after_in_child=_forget_other_threads)
