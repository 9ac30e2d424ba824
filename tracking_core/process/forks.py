"""What this package does around a fork of the job's process, in one order.

    before   load what deliveries need, so that no child is forked while a thread is at an import
             end this package's own threads: Python 3.12 warns of a fork beside any thread, and a lock that one holds at
             that moment is held for ever in the child
             wait until nobody uses SQLite, and close it
    after    let SQLite be used, and start the threads again, in the parent; begin anew in the child

Hooks before a fork run in the reverse order of their registration, so there is one for all of it, and its steps are
registered here. It costs a fork about a millisecond, and two seconds at the most when a store does not answer.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum

from tracking_core.loading import load
from tracking_core.process.interrupts import suppress_faults

PATIENCE_S = 1.0
"""How long a fork waits for a thread that is talking to a store; beyond it, it goes ahead."""

_SENT = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD")
_EXIT_S = 0.05
_steps: list[tuple[Step, Callable[[], None], Callable[[], None]]] = []
_hooked = False


class Step(IntEnum):
    """The order of what is done before a fork; afterwards it is undone in the reverse order."""

    LOAD = 1
    THREADS = 2
    STORES = 3


def around_forks(step: Step, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Have something done before every fork, and something after it in the parent."""
    _steps.append((step, before, after))
    _steps.sort(key=lambda entry: entry[0])


def hook() -> None:
    """Take part in forks from now on; doing so twice is fine."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    # Logging takes its lock before a fork. Ours comes first only if it is registered later; otherwise it would wait for
    # an import that waits for that lock.
    load("logging")
    importlib.import_module("logging")
    os.register_at_fork(before=_before, after_in_parent=_after)


def _before() -> None:
    threads = threading.active_count()
    for _, before, _ in _steps:
        with suppress(Exception):
            before()
    if sys.version_info >= (3, 13) and threads > threading.active_count() == 1:
        _say_nothing_of_threads()


def _say_nothing_of_threads() -> None:
    """Keep Python from warning of a fork beside threads: there are none, and it looks when ours have started again.

    Only where the job itself has no other thread: there it would not be warned without this package either.
    """
    import warnings

    warnings.filterwarnings("ignore", r"This process .* is multi-threaded, use of fork", DeprecationWarning)


def _after() -> None:
    for _, _, after in reversed(list(_steps)):
        with suppress(Exception):
            after()


def leave_signals_to_main() -> None:
    """Let the calling thread take no signal that a process is sent.

    Python acts on signals in the main thread, which does not wake from a read or a lock when another thread was sent
    the signal: a job that waits there would go on after SIGTERM.
    """
    with suppress(Exception):
        signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in _SENT})


def wait_until_gone(thread: threading.Thread | None, seconds: float = PATIENCE_S) -> None:
    """Wait for the end of a thread that was told to end, and of the system's thread, which comes a little later."""
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
