"""What the exit of a command means: its exit status, the state of its run, and the error that is recorded."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from etlwatch.execution.memory import MemoryFacts
from etlwatch.text.numbers import duration
from tracking_core.dataclass import dataclass, field
from tracking_core.events import RunStatus

NOT_FOUND = 127
NOT_EXECUTABLE = 126
KILLED = 128
"""Shells report a signal as this plus its number."""

STOPS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""Signals by which people and service managers ask a program to stop."""


class ExitStatus(Exception):
    """A command ended with an exit status other than 0."""


class KilledBySignal(Exception):
    """A command was ended by a signal."""


class NotStarted(Exception):
    """There is no such command, or it cannot be executed."""


for _kind in (ExitStatus, KilledBySignal, NotStarted):
    # Errors are shown with their module unless it is builtins.
    _kind.__module__ = "builtins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    exit_code: int | None = None
    """None if a signal ended it, or it was not started."""

    killed_by: int | None = None
    start_error: OSError | None = None
    """Why it could not be started."""

    asked_to_stop: int | None = None
    """The last of STOPS that was sent to it through us or together with us."""

    core_dumped: bool = False
    cpu_s: float = 0.0
    memory: MemoryFacts = field(default_factory=MemoryFacts)

    @property
    def exit_status(self) -> int:
        """As a shell reports it: the command's own, 128 + n for a signal, 127 not found, 126 not executable."""
        if self.start_error is not None:
            return NOT_FOUND if isinstance(self.start_error, FileNotFoundError) else NOT_EXECUTABLE
        if self.killed_by is not None:
            return KILLED + self.killed_by
        return self.exit_code or 0

    @property
    def status(self) -> RunStatus:
        """The status of the run: terminated if stopped on request, else failed for any status but 0."""
        if self.exit_status == 0:
            return RunStatus.COMPLETED
        stopped = self.killed_by in STOPS or (self.killed_by is None and self.asked_to_stop is not None)
        return RunStatus.TERMINATED if stopped else RunStatus.FAILED

    @property
    def ended_by(self) -> str:
        """The value of `runs.ended_by`."""
        number = self.killed_by
        if number is None and self.status == RunStatus.TERMINATED:
            number = self.asked_to_stop
        return "job" if number is None else f"signal {_name(number)}"

    @property
    def headline(self) -> str:
        """How it ended, in one line, with the evidence."""
        if self.start_error is not None:
            return f"{self.start_error.filename}: {self.start_error.strerror or self.start_error}"
        if self.killed_by is not None:
            core = ", core dumped" if self.core_dumped else ""
            return f"killed by {_name(self.killed_by)} ({self.killed_by}){core}{self._kill_cause(self.killed_by)}"
        text = f"exit status {self.exit_status}"
        reported = self.exit_status - KILLED
        if reported in _NAMES:
            text += f", a shell's code for {_name(reported)} ({reported}){self._kill_cause(reported)}"
        return text

    @property
    def figures(self) -> str:
        """Peak memory and CPU time, '' if it was not started."""
        return "" if self.start_error is not None else ", ".join(filter(None, (self.memory.peak_text, self._cpu())))

    def error(self, output: Sequence[str]) -> Exception | None:
        """Return the error to record, with figures and the end of its output; None for a command that did not fail."""
        if self.status != RunStatus.FAILED:
            return None
        kind = (
            KilledBySignal if self.killed_by is not None else NotStarted if self.start_error is not None else ExitStatus
        )
        error = kind(self.headline)
        for note in filter(None, (self.figures, *output)):
            error.add_note(note)
        return error

    def _cpu(self) -> str:
        return f"CPU {duration(self.cpu_s)}" if self.cpu_s >= 1 else f"CPU {self.cpu_s * 1000:.0f}ms"

    def _kill_cause(self, number: int) -> str:
        """Return whether lack of memory was the cause, which is possible for SIGKILL only."""
        return self.memory.kill_cause if number == signal.SIGKILL else ""


_NAMES = {int(each): each.name for each in signal.Signals}


def _name(number: int) -> str:
    return _NAMES.get(number, f"signal {number}")
