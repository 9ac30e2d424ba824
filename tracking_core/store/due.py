"""When this process's last words to any store must be over.

An operation has its own deadline; a process that is leaving has one for all of them together (PROMISES P9), which also
ends what is being waited for at that moment, in whichever thread.
"""

from __future__ import annotations

import math

_leave_by = math.inf


def leave_by(when: float) -> None:
    """Let no operation of this process wait beyond this moment of the monotonic clock; math.inf takes it back."""
    global _leave_by
    _leave_by = when


def moment(due: float) -> float:
    """Return when an operation that is due then has to be over."""
    return min(due, _leave_by)
