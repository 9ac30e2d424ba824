"""The locks of this package that the main thread may hold while a signal arrives.

A signal's handler runs in the main thread, between any two of its steps: also while that thread holds a lock which the
writer's thread is waiting for, and for which the handler would then wait in vain. So all of these are re-entrant, and
known here: a handler asks whether it came at such a moment, and comes again a little later.
"""

from __future__ import annotations

import threading
import weakref

_known: weakref.WeakSet[threading.RLock] = weakref.WeakSet()


def reentrant_lock() -> threading.RLock:
    """Return a lock that its holder may take again, and that `held_here` knows of."""
    lock = threading.RLock()
    _known.add(lock)
    return lock


def held_here() -> bool:
    """Return whether the calling thread holds one of the locks."""
    return any(lock._is_owned() for lock in list(_known))  # type: ignore[attr-defined]
