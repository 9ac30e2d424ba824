"""Distinguishes exceptions from outside (ctrl-c, a signal handler, PyThreadState_SetAsyncExc) from faults of a store.

One from outside passes through to the caller of a recording method; a fault never does. Those that are no `Exception`
are always from outside. A timeout's may be of any class, also one that a driver raises; it is known by its traceback.
"""

from __future__ import annotations

import opcode
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
