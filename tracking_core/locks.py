"""The locks of this package that the main thread may hold while a signal arrives.

A signal's handler runs in the main thread, between any two of its steps: also while that thread holds a lock which the
writer's thread is waiting for, and for which the handler would then wait in vain. So all of these are re-entrant, and
known here: a handler asks whether it came at such a moment, and comes again a little later. A thread that talks to a
store may hold locks there: what comes in between is put off until it has done.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_known: weakref.WeakSet[threading.RLock] = weakref.WeakSet()


_occupied: dict[int, deque[Callable[[bool], object]]] = {}
os.register_at_fork(after_in_child=_occupied.clear)


def reentrant_lock() -> threading.RLock:
    """Return a lock that its holder may take again, and that `held_here` knows of."""
    lock = threading.RLock()
    _known.add(lock)
    return lock


@contextmanager
def occupied() -> Iterator[None]:
    """Say that the calling thread talks to a store inside the block; what was put off is done at the end of it.

    A `__del__` may run between any two steps of the block and have something to say itself. Said at once it could wait
    for a lock of the store, a row's or the file's, that this very thread holds.
    """
    me = threading.get_ident()
    if me in _occupied:
        yield
        return
    waiting = _occupied[me] = deque()
    interrupted = True
    try:
        yield
        interrupted = False
    except Exception:
        interrupted = False
        raise
    finally:
        _occupied.pop(me, None)
        while waiting:
            with suppress(Exception):
                waiting.popleft()(interrupted)


def put_off(what: Callable[[bool], object]) -> bool:
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
