"""A lock that neither a forked child nor a handler on the same thread can hang on.

Owns what happens to this package's locks at a fork. It refuses to own what they guard: each user says that.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType

_all_locks: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


class ForkSafeLock:
    """Lock out other threads; re-entrant, and new in a forked child.

    Re-entrant because a signal handler, a logging handler or a `__del__` may call in while its own thread holds the
    lock. New after a fork because the thread that held it does not exist in the child.
    """

    __slots__ = ("__weakref__", "rlock")

    def __init__(self) -> None:
        self.rlock = threading.RLock()
        """Taken itself, where a Python call for taking it and one for giving it back cost too much."""

        _all_locks.add(self)

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock; return whether it was taken, which is certain when `blocking`."""
        return self.rlock.acquire(blocking=blocking)

    def release(self) -> None:
        """Give the lock back once."""
        self.rlock.release()

    def __enter__(self) -> None:
        self.rlock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rlock.release()

    def __reduce__(self) -> tuple[type[ForkSafeLock], tuple[()]]:
        """Let what it guards be copied and pickled: a copy has a lock of its own."""
        return type(self), ()

    def _renew(self) -> None:
        self.rlock = threading.RLock()


def _renew_all_locks() -> None:
    for lock in _all_locks:
        lock._renew()


os.register_at_fork(after_in_child=_renew_all_locks)
