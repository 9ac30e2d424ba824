"""First imports inside calls, on a thread that exceptions from outside do not reach."""

from __future__ import annotations

import _thread
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import starmap
from queue import Empty, SimpleQueue
from types import FrameType

from tracking_core.process.interrupts import suppress_faults

_IMPORTING = "<frozen importlib._bootstrap>"


def load(*names: str) -> None:
    """Import what the caller imports next; what goes wrong is raised there.

    An exception from outside in the midst of an import leaves the lock of that module held for ever. A thread that is
    at an import of its own imports here: it may hold a lock that the other thread would wait for.
    """
    missing = [name for name in names if not _is_loaded(name)]
    if not missing or _is_importing(sys._getframe()):
        return

    def work() -> None:
        for name in missing:
            with suppress(BaseException):
                import_module(name)
        # A module that asks for its thread leaves an object of one behind, which would look alive at a fork.
        threading._active.pop(_thread.get_ident(), None)  # type: ignore[attr-defined]

    # None can be started while the interpreter ends, or where the system gives no more.
    with suppress_faults(RuntimeError):
        aside(work)


class _Once(list[tuple[()]]):
    """What a thread has until it ends, whoever keeps the exception that ended it."""


def aside(work: Callable[[], object], seconds: float | None = None) -> None:
    """Do something on a thread of its own, which exceptions from outside do not reach; wait for its end, so long.

    In CPython 3.11 one for the calling thread may hit a thread that it is just starting. It ends then and has done
    nothing, but is not waited for in vain. RuntimeError where none can be started.
    """
    ended: SimpleQueue[object] = SimpleQueue()
    once = [_Once([()])]
    _watch = weakref.ref(once[0], ended.put)
    # All of it is C: no frame, and so no traceback, has what is watched.
    _thread.start_new_thread(deque[object](maxlen=0).extend, (starmap(work, once.pop()),))
    with suppress(Empty):
        ended.get(timeout=seconds)


def _is_loaded(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False
