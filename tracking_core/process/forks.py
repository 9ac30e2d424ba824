"""The registry of what this package does around a fork of the job's process.

    before   load what deliveries need, so that no child is forked while a thread is at an import
             end this package's own threads: Python 3.12 warns of a fork beside any thread, and a lock that one holds at
             that moment is held for ever in the child
             wait until nobody uses SQLite, and close it
    after    let SQLite be used, and start the threads again, in the parent
    child    make every lock free, then begin anew what must not go on as the parent's

An object registers once, in its `__init__`, and is dropped with its last reference. Hooks before a fork run in the
reverse order of their registration, so the interpreter is given one for all of it. It costs a fork about a millisecond,
and two seconds at the most when a store does not answer.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from types import MethodType
from typing import Any, TypeAlias

from tracking_core.process.interrupts import load, suppress_faults

PATIENCE_S = 1.0
"""How long a fork waits for a thread that is talking to a store; beyond it, it goes ahead."""

_SENT = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD")
_EXIT_S = 0.05

Call: TypeAlias = Callable[[], object]
Owner: TypeAlias = Callable[[], Any]
_in_child: dict[Owner, Callable[[Any], object] | None] = {}
_hooked = False


class Step(IntEnum):
    """The order of what is done before a fork; afterwards it is undone in the reverse order."""

    LOAD = 1
    THREADS = 2
    STORES = 3


_before: dict[Step, dict[Owner, Callable[[Any], object] | None]] = {step: {} for step in Step}
_after: dict[Step, dict[Owner, Callable[[Any], object] | None]] = {step: {} for step in Step}


def around_forks(step: Step, before: Call, after: Call = lambda: None) -> None:
    """Call `before` before every fork and `after` after it in the parent; methods as long as their object lives."""
    _add(_before[step], before)
    _add(_after[step], after)


def renew_in_child(renew: Call) -> None:
    """Call this in every forked child; a method as long as its object lives."""
    _add(_in_child, renew)


def _add(registry: dict[Owner, Callable[[Any], object] | None], call: Call) -> None:
    if isinstance(call, MethodType):
        # The dictionary's own method removes it: an exception from outside in Python code there would be lost.
        registry[weakref.ref(call.__self__, registry.pop)] = call.__func__
    else:
        registry[lambda: call] = None


def hook() -> None:
    """Take part in forks from now on; calling it twice is fine."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    # Logging takes its lock before a fork. Ours comes first only if it is registered later; otherwise it would wait for
    # an import that waits for that lock.
    load("logging")
    importlib.import_module("logging")
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork)


def _before_fork() -> None:
    threads = threading.active_count()
    for step in Step:
        _call_all(_before[step])
    if sys.version_info >= (3, 13) and threads > threading.active_count() == 1:
        # Python must not warn of a fork beside threads: it looks when ours have started again. Where the job has other
        # threads itself it does.
        import warnings

        warnings.filterwarnings("ignore", r"This process .* is multi-threaded, use of fork", DeprecationWarning)


def _after_fork() -> None:
    for step in reversed(Step):
        _call_all(_after[step])


def _call_all(registry: dict[Owner, Callable[[Any], object] | None]) -> None:
    # A list of the keys alone: making pairs could start a garbage collection, which removes some.
    for owner in list(registry):
        found, method = owner(), registry.get(owner)
        if found is not None:
            with suppress(Exception):
                method(found) if method else found()


def begin_in_child() -> None:
    """Begin anew what is registered: called in every forked child."""
    _call_all(_in_child)


os.register_at_fork(after_in_child=begin_in_child)


def leave_signals_to_main() -> None:
    """Let the calling thread take no signal that a process is sent.

    Python acts on signals in the main thread, which does not wake from a read or a lock when another thread was sent
    the signal: a job that waits there would go on after SIGTERM.
    """
    with suppress(Exception):
        signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in _SENT})


def wait_until_gone(thread: threading.Thread | None, seconds: float = PATIENCE_S) -> None:
    """Wait for a thread that is about to end, and for the end of the system's thread, which comes a little later."""
    if thread is None or thread is threading.current_thread():
        return
    with suppress_faults(RuntimeError):
        # Not started yet, when a signal's handler comes in the midst of that.
        thread.join(seconds)
    if thread.is_alive() or thread.native_id is None:
        return
    give_up = time.monotonic() + _EXIT_S
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < give_up:  # noqa: PTH110 - every fork pays
        time.sleep(0)
