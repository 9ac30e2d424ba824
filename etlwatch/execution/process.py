"""A command as our child: its start, the signals that are passed on to it, and its end.

It stands in our process group, so that ctrl-z, ctrl-c and the shell's `fg` reach both of us as they would reach it
alone: what the terminal sends is not sent a second time. What is sent to us alone is passed on. Signals are waited for
instead of handled, on the one thread that attends the child; every other thread must be started while they are blocked.
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
"""Ignored by the interpreter, or set to their default by us: the command must find them as programs do."""

Mask = set[signal.Signals | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a child ended."""

    wait_status: int
    """As `waitpid` gives it."""

    usage: resource.struct_rusage
    asked_to_stop: int | None
    """The last signal of STOPS that reached us while it lived."""


@contextmanager
def signals_held() -> Iterator[Mask]:
    """Block what is waited for, on this thread and those that it starts; yield the mask that was there before.

    What arrives too late to be passed on is dropped at the end: it was meant for a command that is dead.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WAITED_FOR)
    handled = signal.getsignal(signal.SIGCHLD)
    # Where it is ignored, children vanish without a word on how they ended.
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
    """Start a command with our streams but for `streams`, and return its process id; raises OSError where it cannot.

    `streams` are descriptors by the number that each is to have, `mask` the signals that it is to find blocked.
    """
    actions = [(os.POSIX_SPAWN_DUP2, given, number) for number, given in streams.items()]
    # Not subprocess: it cannot give back the mask without a fork, and a fork would stop the tracker's threads.
    return os.posix_spawnp(
        command[0], list(command), dict(environ), file_actions=actions, setsigmask=mask, setsigdef=_CHANGED_BY_PYTHON
    )


def attend(pid: int, *, resized: Callable[[], object]) -> Death:
    """Pass signals on to a child until it is dead, and return how it died; inside `signals_held`."""
    asked_to_stop: int | None = None
    while True:
        number, from_terminal = _next_signal()
        if number == signal.SIGCHLD:
            # Any: as a container's first process we are left the orphans of all others, and bury them.
            while (gone := os.wait4(-1, os.WNOHANG))[0]:
                if gone[0] == pid:
                    return Death(wait_status=gone[1], usage=gone[2], asked_to_stop=asked_to_stop)
        elif number == signal.SIGWINCH:
            resized()
        else:
            asked_to_stop = number if number in STOPS else asked_to_stop
            with suppress(ProcessLookupError, PermissionError):
                if not (from_terminal and os.getpgid(pid) == os.getpgrp()):
                    os.kill(pid, number)


def _next_signal() -> tuple[int, bool]:
    """Wait for a signal; return it, and whether a terminal sent it, to the whole process group."""
    if not hasattr(signal, "sigwaitinfo"):
        # macOS does not say who sent a signal; ctrl-c and ctrl-\ are the usual ones there.
        number = signal.sigwait(WAITED_FOR)
        return number, number in (signal.SIGINT, signal.SIGQUIT)
    told = signal.sigwaitinfo(WAITED_FOR)
    return told.si_signo, told.si_code > 0
