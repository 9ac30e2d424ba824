"""Whether an exception is from outside (ctrl-c, a signal, PyThreadState_SetAsyncExc) or a fault of a store; block ends.

One from outside passes through to the caller of a recording method; a fault never does. Those that are no `Exception`
are always from outside. A timeout's may be of any class, also one that a driver raises; it is known by its traceback.
Imports inside calls are made by `load`, on a thread that exceptions from outside do not reach.
"""

from __future__ import annotations

import _thread
import opcode
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import starmap
from queue import Empty, SimpleQueue
from types import FrameType, TracebackType

_RAISES = frozenset({opcode.opmap["RAISE_VARARGS"], opcode.opmap["RERAISE"]})
_WITHOUT_TEXT = (StopIteration, StopAsyncIteration, MemoryError, Empty)
"""What C code raises without arguments; all else has some."""

_LONGEST_CHAIN = 100


def from_outside(error: BaseException) -> bool:
    """Return whether an exception was raised inside a call from outside of it."""
    if not isinstance(error, Exception):
        return True
    trace, outer = error.__traceback__, list[FrameType]()
    while trace is not None:
        frame = trace.tb_frame
        if _has_interrupted(frame, outer):
            return True
        if trace.tb_next is None:
            # SetAsyncExc raises a class without arguments, at a step that raises nothing itself.
            steps = frame.f_code.co_code
            return not (error.args or isinstance(error, _WITHOUT_TEXT) or steps[trace.tb_lasti] in _RAISES)
        outer.append(frame)
        trace = trace.tb_next
    return False


def _has_interrupted(frame: FrameType, outer: list[FrameType]) -> bool:
    """Return whether a frame is a signal's handler, which was given one of the outer ones as the one it interrupted.

    Not always the next one: between them may be frames that C code has made up for its own functions.
    """
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + bool(code.co_flags & 0x04)]
    given = [frame.f_locals.get(name) for name in names[:4]]
    handed = [each for one in given for each in (one[:2] if type(one) is tuple else (one,))]
    # Not `isinstance`, which asks the object for its class: an argument's may raise.
    return any(type(each) is FrameType and each in outer for each in handed)


def replaced_in(error: BaseException | None, before: BaseException | None) -> BaseException | None:
    """Return the exception from outside that a library has replaced by this one, None where there is none.

    `before` is what was being handled when the library was called: the job's, and not replaced.
    """
    for _ in range(_LONGEST_CHAIN):
        if error is None or error is before:
            break
        if from_outside(error):
            return error
        error = error.__cause__ or error.__context__
    return None


class suppress_faults:  # noqa: N801 - used as contextlib.suppress is
    """Suppress exceptions of a block, of these kinds or of all, but one from outside."""

    def __init__(self, *kinds: type[Exception]) -> None:
        self._kinds = kinds or Exception

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Return whether the exception ends here."""
        return isinstance(error, self._kinds) and not from_outside(error)


_MARK = "_tracking_recorded_in"
"""Set on an exception that was recorded, so that the end of its run does not record it a second time."""


def is_clean_exit(error: BaseException) -> bool:
    """Return whether it is `sys.exit()` or `sys.exit(0)`: a way out of a block that went well."""
    return isinstance(error, SystemExit) and error.code in (None, 0)


def is_stop(error: BaseException) -> bool:
    """Return whether somebody stopped the block from outside: ctrl-c, or a cancelled task (which ctrl-c becomes)."""
    if isinstance(error, KeyboardInterrupt):
        return True
    # Looked up, not imported: a job without asyncio need not pay for it. Another thread may be importing it just now.
    return isinstance(error, getattr(sys.modules.get("asyncio"), "CancelledError", ()))


def error_behind(error: BaseException | None, before: BaseException | None) -> BaseException | None:
    """Return the exception to record for one that left a block, None where there is none.

    `sys.exit(1)` is no error itself: the one is that was being handled then. `before` was being handled already when
    the block began, so it is not the block's.
    """
    for _ in range(_LONGEST_CHAIN):
        if not isinstance(error, SystemExit):
            break
        error = None if is_clean_exit(error) else error.__cause__ or error.__context__
    return None if error is None or error is before or is_stop(error) else error


def mark_recorded(error: object, recorder: int) -> None:
    """Note on an exception that a run (by its id) or a context has recorded it.

    A class may forbid new attributes; then it may be recorded twice.
    """
    if isinstance(error, BaseException):
        with suppress_faults():
            setattr(error, _MARK, {*getattr(error, _MARK, ()), recorder})


def is_recorded(error: BaseException, recorder: int | None) -> bool:
    """Return whether a run or a context has recorded an exception."""
    return recorder in getattr(error, _MARK, ())


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
