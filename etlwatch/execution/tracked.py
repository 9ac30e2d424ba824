"""A command as a tracked run: the run starts, the command runs, the run ends as the command did.

No fault of the store or the tracker changes the command's start, its streams or its exit status. What the command
records itself through `tracking_core` goes into the same run.

The command is in our process group, so that ctrl-z, ctrl-c and the shell's `fg` reach both: a signal from the terminal
is not sent again, one sent to us alone is passed on. Signals are waited for, not handled, on the thread that waits for
the child; all other threads must be started while the signals are blocked.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Literal

from etlwatch.execution.outcome import STOPS, MemoryFacts, Outcome, oom_kills, own_peak, peak_of
from etlwatch.execution.streams import Stream, Tail, kept_streams
from tracking_core import SimpleETLTracker
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass
from tracking_core.delivery.spool_codec import HANDED_RUN, handed_on
from tracking_core.events import PhaseStatus, RunStatus

PHASE = "command"
"""The phase with the command's time and peak memory, beside the phases that it records itself."""

PASSED_ON = frozenset({*STOPS, signal.SIGUSR1, signal.SIGUSR2})
WAITED_FOR = frozenset({*PASSED_ON, signal.SIGCHLD, signal.SIGWINCH})

_CHANGED_BY_PYTHON = tuple(
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ", "SIGCHLD") if hasattr(signal, name)
)
"""Signals that Python ignores or that are set here: the command must get their default."""

Mask = set[signal.Signals | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedCommand:
    """A command, and how its run is recorded."""

    arguments: Sequence[str]
    """The program and its arguments."""

    job: str
    notes: str | None = None
    record_command: Literal["names", "full"] = "names"
    tail: Tail | None = None
    """The streams whose end is kept; None for both, or for stderr alone where both are one terminal."""

    keep: int = 16 * 1024
    """Bytes of each that are kept; with 0 the command gets our streams directly."""


def execute(command: TrackedCommand, locate: Callable[[], StoreLocation], warn: Callable[[str], None]) -> int:
    """Run a command as a tracked run and return its exit status.

    `locate` returns its store. If that or any other part of the tracking fails, the command runs untracked and `warn`
    gets the reason. Must be called on the main thread.
    """
    with ExitStack() as afterwards, signals_held() as mask:
        # A run that was handed to us is the parent of the new one, not the run to record into.
        os.environ.pop(HANDED_RUN, None)
        run = _Run(command, locate, warn)
        run.begin()
        kept = kept_streams(command.tail, command.keep)
        for stream in kept:
            # After the end is recorded and signals are unblocked: its reader may be slow.
            afterwards.callback(stream.close)
        outcome = _run_command(command.arguments, run.environ(), kept, mask)
        run.end(outcome, [] if outcome.start_error is not None else [stream.tail_text() for stream in kept])
        if outcome.start_error is not None:
            warn(outcome.headline)
        return outcome.exit_status


def _run_command(arguments: Sequence[str], environ: Mapping[str, str], kept: Sequence[Stream], mask: Mask) -> Outcome:
    """Run the command to its end and return how it ended."""
    given = {number: stream.for_child for stream in kept for number in stream.numbers}
    before, ours = oom_kills(), own_peak()
    try:
        pid = start(arguments, environ, streams=given, mask=mask)
    except OSError as error:
        return Outcome(start_error=type(error)(error.errno, error.strerror, arguments[0]))
    for stream in kept:
        stream.started()

    def resized() -> None:
        for stream in kept:
            stream.resized()

    wait_status, usage, asked_to_stop = wait_for_exit(pid, resized=resized)
    for stream in kept:
        stream.ended()
    code, peak = os.waitstatus_to_exitcode(wait_status), peak_of(usage)
    return Outcome(
        exit_code=code if code >= 0 else None,
        killed_by=-code if code < 0 else None,
        core_dumped=code < 0 and os.WCOREDUMP(wait_status),
        asked_to_stop=asked_to_stop,
        cpu_s=usage.ru_utime + usage.ru_stime,
        # Before it executed the command, the child was a copy of us, which the kernel counts too.
        memory=MemoryFacts(peak=peak, peak_is_bound=peak <= ours, before=before, after=oom_kills()),
    )


class _Run:
    """The run of one command, if it can be tracked; no method raises."""

    def __init__(
        self, command: TrackedCommand, locate: Callable[[], StoreLocation], warn: Callable[[str], None]
    ) -> None:
        self._command = command
        self._locate = locate
        self._warn = warn
        self._location: StoreLocation | None = None
        self._tracker: SimpleETLTracker | None = None
        self._run_id: int | None = None

    def begin(self) -> None:
        """Start the run."""
        try:
            self._location = self._locate()
            # Buffered: immediate delivery would delay the command until the store answers or the deadline.
            self._tracker = SimpleETLTracker(
                self._location, delivery="buffered", record_command=self._command.record_command
            )
            self._tracker.command_words = self._command.arguments
            self._run_id = self._tracker.start_run(self._command.notes, job=self._command.job)
            self._tracker.log_phase(self._run_id, PHASE, PhaseStatus.RUNNING)
        except Exception as error:  # noqa: BLE001 - no fault of the tracking stops the command
            self._warn(f"not tracked: {error}")

    def environ(self) -> dict[str, str]:
        """Return the command's environment: ours, and the run to record into."""
        environ = dict(os.environ)
        if self._tracker is None or self._location is None:
            return environ
        if self._location.named:
            environ["TRACKING_DSN"] = self._location.dsn
        start = self._tracker.start_of(self._run_id)
        return environ if start is None else environ | handed_on(start, self._location.label)

    def end(self, outcome: Outcome, output: Sequence[str]) -> None:
        """End the run as the command ended, and deliver it."""
        tracker = self._tracker
        if tracker is None:
            return
        with suppress(Exception):
            completed = outcome.status == RunStatus.COMPLETED
            phase = PhaseStatus.COMPLETED if completed else PhaseStatus.FAILED
            tracker.log_phase(self._run_id, PHASE, phase, memory_mb=outcome.memory.peak_mb)
            error = outcome.error(output)
            if error is not None:
                tracker.log_error(self._run_id, error, phase=PHASE)
            notes = ", ".join(filter(None, (outcome.headline, outcome.figures)))
            tracker.end_as(self._run_id, outcome.status, notes, ended_by=outcome.ended_by)
        tracker.close()


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


def wait_for_exit(pid: int, *, resized: Callable[[], object]) -> tuple[int, resource.struct_rusage, int | None]:
    """Pass signals on to a child until it exits; only inside `signals_held`.

    Returns its status as `waitpid` does, its usage, and the last signal of STOPS that reached us while it ran.
    """
    asked_to_stop: int | None = None
    while True:
        number, from_terminal = _next_signal()
        if number == signal.SIGCHLD:
            # Any child: the first process of a container must reap the orphans of all others.
            while (gone := os.wait4(-1, os.WNOHANG))[0]:
                if gone[0] == pid:
                    return gone[1], gone[2], asked_to_stop
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
