"""How a block ended by the exception that left it: cleanly, stopped from outside, or with an error to record."""

from __future__ import annotations

import sys

from tracking_core.process.interrupts import suppress_faults

_MARK = "_tracking_recorded_in"
"""Set on an exception that was recorded, so that the end of its run does not record it a second time."""

_LONGEST_CHAIN = 100


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
