"""Three ways to raise an exception inside a call from outside, as CPython delivers one and nowhere else.

`at_step` raises at the k-th place of a call where the interpreter looks for signals: an opcode trace counts the places,
and just before the chosen one a C function is made the trace function, PyErr_SetInterrupt, so that no Python code of
the test itself is interrupted. `by_timer` raises from a signal's handler after some microseconds, `by_thread` with
PyThreadState_SetAsyncExc from another thread.
"""

from __future__ import annotations

import ctypes
import dis
import gc
import inspect
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

from tests.support.job import ROOT

Call = Callable[[], object]
_PLACES = frozenset(
    number
    for name, number in dis.opmap.items()
    if name in {"RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "WITH_EXCEPT_START", "BEFORE_WITH"}
)
_OURS = str(ROOT / "tracking_core")
_interrupt = ctypes.pythonapi.PyErr_SetInterrupt
_interrupt.argtypes = (ctypes.py_object,) * 3
_interrupt.restype = None
_nothing = ctypes.pythonapi.Py_IsInitialized
_nothing.argtypes = (ctypes.py_object,) * 3
_nothing.restype = None
_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Late(RuntimeError):
    """What a timeout decorator of a job raises."""


class Killed(BaseException):
    """What a library that ends a task raises."""


KINDS: tuple[type[BaseException], ...] = (Late, TimeoutError, KeyboardInterrupt, Killed)


class Outcome:
    """What became of one interrupted call."""

    def __init__(self, *, raised: bool, came_out: bool, value: object, late: bool = False, where: str = "") -> None:
        self.raised = raised
        """Whether the exception was raised at all; the call may have been over."""

        self.where = where
        """The innermost places of the call at that moment, where they are known."""

        self.came_out = came_out
        """Whether it came out of the call."""

        self.late = late
        """Whether it came when the call had just returned."""

        self.value = value
        """What the call returned, None where it did not."""


def _places(frame: FrameType | None) -> str:
    found = []
    while frame is not None and len(found) < 5:
        path = Path(frame.f_code.co_filename)
        name = f"{path.parent.name}/{path.name}" if path.name == "__init__.py" else path.name
        found.append(f"{name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found)


def at_step(call: Call, step: int, kind: type[BaseException], *, also: str = "contextlib.py") -> Outcome:
    """Raise at one place of a call, counted from 1; main thread only. `also`: a part of the names of other files."""
    raised: list[str] = []

    def handler(_number: int, frame: FrameType | None) -> None:
        sys.settrace(None)
        if not raised:
            raised.append(_places(frame))
            raise kind

    left = step
    generators: list[FrameType] = []

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if event == "call":
            if not (_is_seen(frame) or also in frame.f_code.co_filename):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            if frame.f_code.co_flags & inspect.CO_GENERATOR:
                generators.append(frame)
        elif event == "opcode" and frame.f_code.co_code[frame.f_lasti] in _PLACES:
            left -= 1
            if left == 0:
                # What the place calls is not traced, and the handler neither.
                sys.settrace(_nothing)
                _stop_tracing(frame, generators, trace)
                return _interrupt
        return trace

    before = signal.signal(signal.SIGINT, handler)
    values: list[object] = []
    # What the collector calls, a `__del__` for one, is no place of the call.
    gc.disable()
    try:
        try:
            sys.settrace(trace)
            values.append(call())
        finally:
            sys.settrace(None)
    except BaseException as error:
        if type(error) is not kind:
            raise
        # It may also come when the call has just returned.
        return Outcome(
            raised=True,
            came_out=not values,
            value=values[0] if values else None,
            late=bool(values),
            where="".join(raised),
        )
    finally:
        gc.enable()
        signal.signal(signal.SIGINT, before)
    return Outcome(raised=bool(raised), came_out=False, value=values[0], where="".join(raised))


def _stop_tracing(frame: FrameType, others: list[FrameType], trace: object) -> None:
    """Have no Python code called for the frames around one and for others."""
    outer = frame.f_back
    while outer is not None:
        others.append(outer)
        outer = outer.f_back
    for each in others:
        if each.f_trace is trace:
            each.f_trace = _nothing


def _is_seen(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return name.startswith(_OURS) or name.endswith(("contextlib.py", "threading.py", "weakref.py"))


def by_timer(call: Call, seconds: float, kind: type[BaseException]) -> Outcome:
    """Raise from the handler of a signal after some time; main thread only."""
    raised: list[str] = []

    def handler(_number: int, frame: FrameType | None) -> None:
        raised.append(_places(frame))
        raise kind

    before = signal.signal(signal.SIGALRM, handler)
    values: list[object] = []
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            values.append(call())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except kind:
        return Outcome(
            raised=True,
            came_out=not values,
            value=values[0] if values else None,
            late=bool(values),
            where="".join(raised),
        )
    finally:
        signal.signal(signal.SIGALRM, before)
    return Outcome(raised=bool(raised), came_out=False, value=values[0], where="".join(raised))


def by_thread(call: Call, seconds: float, kind: type[BaseException]) -> Outcome:
    """Raise with PyThreadState_SetAsyncExc in a thread that makes the call, from this one, while it is inside."""
    inside, values, ended, left = [False], list[object](), list[BaseException](), SimpleQueue[None]()
    worker = threading.Thread(target=_in_thread, args=(call, inside, values, ended, left))
    worker.start()
    until = time.monotonic() + seconds
    while worker.is_alive() and (time.monotonic() < until or not (inside[0] or values)):
        time.sleep(min(seconds, 0.0001))
    # The call may be over by the time that it is raised: then it comes when it has just returned.
    where = _places(sys._current_frames().get(worker.ident or 0))
    raised = inside[0] and worker.ident is not None and _raise_in(worker.ident, kind) == 1
    left.put(None)
    worker.join()
    for error in ended:
        if type(error) is not kind:
            raise error
    value = values[0] if values else None
    late = bool(ended and values)
    return Outcome(raised=bool(raised), came_out=bool(ended and not values), value=value, late=late, where=where)


def _in_thread(
    call: Call, inside: list[bool], values: list[object], ended: list[BaseException], left: SimpleQueue[None]
) -> None:
    try:
        try:
            inside[0] = True
            values.append(call())
        finally:
            inside[0] = False
            # What was raised comes here at the latest.
            left.get()
    except BaseException as error:
        # Whatever comes out is judged by who waits for this thread.
        ended.append(error)


def chosen(way: str, call: Call, place: int, dice: random.Random, longest_s: float) -> Outcome:
    """Interrupt a call in one of the ways: at a step, or after a random time."""
    kind = dice.choice(KINDS)
    if way == "steps":
        return at_step(call, place, kind)
    seconds = max(dice.random() ** 2 * longest_s, 1e-6)
    return by_timer(call, seconds, kind) if way == "timer" else by_thread(call, seconds, kind)
