"""Whether an exception is from outside (ctrl-c, a signal, PyThreadState_SetAsyncExc) or a fault of a store; block ends.

One from outside passes through to the caller of a recording method; a fault never does. Those that are no `Exception`
are always from outside. A timeout's may be of any class, also one that a driver raises; it is known by its traceback.
"""

from __future__ import annotations

import opcode
import sys
from queue import Empty
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
