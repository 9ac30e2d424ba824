"""A command as a tracked run: the run starts, the command runs, the run ends as the command did.

No fault of the store or the tracker changes the command's start, its streams or its exit status. What the command
records itself through `tracking_core` goes into the same run.

The command is in our process group, so that ctrl-z, ctrl-c and the shell's `fg` reach both: a signal from the terminal
is not sent again, one sent to us alone is passed on. Signals are waited for, not handled, on the thread that waits for
the child; all other threads must be started while the signals are blocked.

Its stdout and stderr are passed on unchanged as they come, with the last bytes of each kept. Each goes through a
terminal of its own where ours is one, so that buffering and colours stay, else through a pipe. Where both of ours are
one file or pipe, the command gets one as well, so that the order stays. In the kept text escape sequences and
overwritten lines are removed and passwords masked.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import resource
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, Literal

from etlwatch.execution.outcome import STOPS, MemoryFacts, Outcome, oom_kills, own_peak, peak_of
from tracking_core import SimpleETLTracker
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass
from tracking_core.delivery.spool_codec import HANDED_RUN, handed_on
from tracking_core.events import PhaseStatus, RunStatus
from tracking_core.redaction import without_secrets

PHASE = "command"
"""The phase with the command's time and peak memory, beside the phases that it records itself."""

PASSED_ON = frozenset({*STOPS, signal.SIGUSR1, signal.SIGUSR2})
WAITED_FOR = frozenset({*PASSED_ON, signal.SIGCHLD, signal.SIGWINCH})

_CHANGED_BY_PYTHON = tuple(
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ", "SIGCHLD") if hasattr(signal, name)
)
"""Signals that Python ignores or that are set here: the command must get their default."""

Mask = set[signal.Signals | int]

CHUNK = 65_536
AFTER_EXIT_S = 0.5
"""How long to wait for the rest of the output after the command's exit."""

MOST_LEFT = 1024 * 1024
"""Bytes passed on after its exit, the capacity of a pipe: other processes may still write into it."""

NAMES: Final = {1: "stdout", 2: "stderr"}
Tail = Literal["stderr", "stdout", "both"]

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_()][0-9A-B]?)")


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


class Stream:
    """The output of one command to its stdout, its stderr, or both."""

    def __init__(self, keep: int, numbers: Sequence[int]) -> None:
        """Prepare to pass on the output to the descriptors `numbers`, keeping the last `keep` bytes."""
        self.numbers = numbers
        self._name = " and ".join(NAMES[number] for number in numbers)
        self._keep = keep
        out = numbers[0]
        self._out: int | None = out
        self._kept = b""
        self._left_out = False
        self._is_terminal = os.isatty(out)
        self._source, self.for_child = self._open()
        self._wake_read, self._wake = os.pipe()
        self._left: int | None = None
        """Bytes that are still passed on; None while the command runs."""

        self._thread = threading.Thread(target=self._pass_on, name=f"etlwatch {self._name}", daemon=True)

    def _open(self) -> tuple[int, int]:
        if self._is_terminal:
            with suppress(OSError):
                source, for_child = pty.openpty()
                # Raw: our own terminal does the output processing.
                tty.setraw(for_child)
                self._source = source
                self.resized()
                return source, for_child
        return os.pipe()

    def started(self) -> None:
        """Start passing on, once the command has its descriptor."""
        os.close(self.for_child)
        self._thread.start()

    def resized(self) -> None:
        """Set the size of the command's terminal to ours."""
        if self._is_terminal and self._out is not None:
            with suppress(OSError):
                fcntl.ioctl(self._source, termios.TIOCSWINSZ, fcntl.ioctl(self._out, termios.TIOCGWINSZ, bytes(8)))

    def ended(self) -> None:
        """Stop once the rest of the output is passed on, after the command's exit."""
        self._left = MOST_LEFT
        os.write(self._wake, b"x")

    def tail_text(self) -> str:
        """Return the end of the output with a heading, without waiting for a slow reader."""
        self._thread.join(AFTER_EXIT_S)
        return self._tail_text()

    def close(self) -> None:
        """Pass on the rest of the output, as fast as it is read, and close the descriptors."""
        if self._thread.ident is not None:
            self._thread.join()
        else:
            os.close(self.for_child)
        for descriptor in (self._source, self._wake_read, self._wake):
            os.close(descriptor)

    def _pass_on(self) -> None:
        waiting = select.poll()
        waiting.register(self._source, select.POLLIN)
        waiting.register(self._wake_read, select.POLLIN)
        while self._left is None or self._left > 0:
            ready = {descriptor for descriptor, _ in waiting.poll()}
            if self._source not in ready:
                return
            try:
                chunk = os.read(self._source, CHUNK)
            except OSError:
                # EIO: the last user of the terminal has closed it.
                return
            if not chunk:
                return
            if self._left is not None:
                self._left -= len(chunk)
            self._left_out |= len(self._kept) + len(chunk) > self._keep
            self._kept = (self._kept + chunk)[-self._keep :]
            if not self._write(chunk):
                return

    def _write(self, chunk: bytes) -> bool:
        """Pass a chunk on; False where the command must see that its stdout has no reader any more."""
        view = memoryview(chunk)
        while view and self._out is not None:
            try:
                view = view[os.write(self._out, view) :]
            except BlockingIOError:
                select.select([], [self._out], [])
            except OSError:
                # No reader any more. For stdout, the command's next write must fail as it would without us; a lost
                # stderr is ignored.
                self._out = None
                if 1 in self.numbers:
                    os.dup2(self._wake_read, self._source, inheritable=False)
                    return False
        return True

    def _tail_text(self) -> str:
        # The rest of a secret that was cut in two would not be masked: the text begins with a whole word.
        cut = re.match(rb"[^\s]{0,1024}\s", self._kept) if self._left_out else None
        text = readable(self._kept[cut.end() :] if cut else self._kept)
        if not text:
            return ""
        heading = f"the last {self._keep // 1024} KiB of {self._name}:" if self._left_out else f"{self._name}:"
        return f"{heading}\n{text}"


def kept_streams(tail: Tail | None, keep: int) -> list[Stream]:
    """Return the streams whose last `keep` bytes are kept; the command gets our others directly.

    By default both, but only stderr where both are one terminal: a program that draws on it needs the terminal itself.
    """
    # If we were started without one, its number may be in use for something else.
    ours = {number: stream is not None for number, stream in ((1, sys.stdout), (2, sys.stderr))}
    try:
        one = all(ours.values()) and _identity(1) == _identity(2)
        tail = tail or ("stderr" if one and os.isatty(2) else "both")
        wanted = [number for number, name in NAMES.items() if tail in (name, "both") and ours[number]]
        groups = [wanted] if one and len(wanted) == 2 else [[number] for number in wanted]
    except OSError:
        return []
    made: list[Stream] = []
    for numbers in groups if keep > 0 else ():
        # If no descriptor is free, the command gets ours.
        with suppress(OSError):
            made.append(Stream(keep, numbers))
    return made


def _identity(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino


def readable(output: bytes) -> str:
    """Return output as text, without escape sequences, overwritten lines and passwords."""
    text = _SEQUENCES.sub("", output.decode("utf-8", "replace"))
    lines = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return without_secrets("\n".join(lines).strip("\n"))
