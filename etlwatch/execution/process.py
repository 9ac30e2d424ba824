"""A command as a child process: its start, the signals passed on to it, and its exit.

It is in our process group, so that ctrl-z, ctrl-c and the shell's `fg` reach both: a signal from the terminal is not
sent again, one sent to us alone is passed on. Signals are waited for, not handled, on the thread that waits for the
child; all other threads must be started while the signals are blocked.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from etlwatch.execution.outcome import STOPS
from tracking_core.dataclass import dataclass

PASSED_ON = frozenset({*STOPS, signal.SIGUSR1, signal.SIGUSR2})
WAITED_FOR = frozenset({*PASSED_ON, signal.SIGCHLD, signal.SIGWINCH})

_CHANGED_BY_PYTHON = tuple(
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ", "SIGCHLD") if hasattr(signal, name)
)
"""Signals that Python ignores or that are set here: the command must get their default."""

Mask = set[signal.Signals | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildExit:
    """How a child ended."""

    wait_status: int
    """As `waitpid` returns it."""

    usage: resource.struct_rusage
    asked_to_stop: int | None
    """The last signal of STOPS that reached us while it ran."""


@contextmanager
def signals_held() -> Iterator[Mask]:
    """Block the signals that are waited for, on this thread and those it starts; yield the previous mask.

    Signals still pending at the end are dropped: they were for a command that has ended.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITED_FOR)
    handled = signal.getsignal(signal.SIGCHLD)
    # If it is ignored, the exit status of children is lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield before
    finally:
        for number in signal.sigpending() & WAITED_FOR:
            signal.sigwait({number})
        if handled is not None:
            signal.signal(signal.SIGCHLD, handled)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(command: Sequence[str], environ: Mapping[str, str], *, streams: Mapping[int, int], mask: Mask) -> int:
    """Start a command and return its process id; raise OSError where it cannot be started.

    `streams` are descriptors by the number that each gets, instead of ours; `mask` is the command's signal mask.
    """
    actions = [(os.POSIX_SPAWN_DUP2, given, number) for number, given in streams.items()]
    # Not subprocess: setting the mask needs a fork there, and a fork would stop the tracker's threads.
    return os.posix_spawnp(
        command[0], list(command), dict(environ), file_actions=actions, setsigmask=mask, setsigdef=_CHANGED_BY_PYTHON
    )


def wait_for_exit(pid: int, *, resized: Callable[[], object]) -> ChildExit:
    """Pass signals on to a child until it exits; only inside `signals_held`."""
    asked_to_stop: int | None = None
    while True:
        number, from_terminal = _next_signal()
        if number == signal.SIGCHLD:
            # Any child: the first process of a container must reap the orphans of all others.
            while (gone := os.wait4(-1, os.WNOHANG))[0]:
                if gone[0] == pid:
                    return ChildExit(wait_status=gone[1], usage=gone[2], asked_to_stop=asked_to_stop)
        elif number == signal.SIGWINCH:
            resized()
        else:
            asked_to_stop = number if number in STOPS else asked_to_stop
            with suppress(ProcessLookupError, PermissionError):
                if not (from_terminal and os.getpgid(pid) == os.getpgrp()):
                    os.kill(pid, number)


def _next_signal() -> tuple[int, bool]:
    """Wait for a signal; return it, and whether a terminal sent it to the whole process group."""
    if not hasattr(signal, "sigwaitinfo"):
        # macOS has no sender of a signal; these two usually come from the terminal.
        number = signal.sigwait(WAITED_FOR)
        return number, number in (signal.SIGINT, signal.SIGQUIT)
    info = signal.sigwaitinfo(WAITED_FOR)
    return info.si_signo, info.si_code > 0
