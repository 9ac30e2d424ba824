"""What the end of a command means: its exit status, the state of its run, and the words of its death certificate.

Pure. Owns which deaths count as stopped on request (`terminated`) and which as failures. Refuses to own how the facts
were come by (`process.py`, `memory.py`).
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from etlwatch.execution.memory import MemoryFacts
from etlwatch.text.numbers import duration
from tracking_core.dataclass import dataclass, field
from tracking_core.states import RunStatus

NOT_FOUND = 127
NOT_EXECUTABLE = 126
KILLED = 128
"""Added to a signal's number: how shells say it."""

STOPS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""Signals by which people and service managers ask a program to stop."""


class ExitStatus(Exception):
    """A command ended with an exit status other than 0."""


class KilledBySignal(Exception):
    """A command was ended by a signal."""


class NotStarted(Exception):
    """There is no such command, or it cannot be executed."""


for _kind in (ExitStatus, KilledBySignal, NotStarted):
    # What people read of an error is its name; where its class stands tells them nothing.
    _kind.__module__ = "builtins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    exit_code: int | None = None
    """None for one that a signal ended, or that was never started."""

    killed_by: int | None = None
    refusal: OSError | None = None
    """Why it could not be started."""

    asked_to_stop: int | None = None
    """The last of STOPS that it was sent through us or together with us."""

    core_dumped: bool = False
    cpu_s: float = 0.0
    memory: MemoryFacts = field(default_factory=MemoryFacts)

    @property
    def exit_status(self) -> int:
        """What a shell would have seen: the command's own, 128 + n for a signal, 127 not found, 126 not executable."""
        if self.refusal is not None:
            return NOT_FOUND if isinstance(self.refusal, FileNotFoundError) else NOT_EXECUTABLE
        if self.killed_by is not None:
            return KILLED + self.killed_by
        return self.exit_code or 0

    @property
    def status(self) -> RunStatus:
        """The state in which the run ends: stopped on request is terminated, every other death a failure."""
        if self.exit_status == 0:
            return RunStatus.COMPLETED
        stopped = self.killed_by in STOPS or (self.killed_by is None and self.asked_to_stop is not None)
        return RunStatus.TERMINATED if stopped else RunStatus.FAILED

    @property
    def ended_by(self) -> str:
        """Who ended the run, as `runs.ended_by` says it."""
        number = self.killed_by
        if number is None and self.status == RunStatus.TERMINATED:
            number = self.asked_to_stop
        return "job" if number is None else f"signal {_name(number)}"

    @property
    def headline(self) -> str:
        """How it died, in one line, with what proves it."""
        if self.refusal is not None:
            return f"{self.refusal.filename}: {self.refusal.strerror or self.refusal}"
        if self.killed_by is not None:
            core = ", core dumped" if self.core_dumped else ""
            return f"killed by {_name(self.killed_by)} ({self.killed_by}){core}{self._for_memory(self.killed_by)}"
        words = f"exit status {self.exit_status}"
        reported = self.exit_status - KILLED
        if reported in _NAMES:
            words += f", as a shell says {_name(reported)} ({reported}){self._for_memory(reported)}"
        return words

    @property
    def figures(self) -> str:
        """What it took, '' for one that was never started."""
        return "" if self.refusal is not None else ", ".join(filter(None, (self.memory.peak_words, self._cpu())))

    def error(self, last_words: Sequence[str]) -> Exception | None:
        """Return the death certificate: an error to be recorded, with figures and the last of its output.

        None for a command that ended well or was stopped on request.
        """
        if self.status != RunStatus.FAILED:
            return None
        kind = KilledBySignal if self.killed_by is not None else NotStarted if self.refusal is not None else ExitStatus
        certificate = kind(self.headline)
        for note in (self.figures, *last_words):
            if note:
                certificate.add_note(note)
        return certificate

    def _cpu(self) -> str:
        return f"CPU {duration(self.cpu_s)}" if self.cpu_s >= 1 else f"CPU {self.cpu_s * 1000:.0f}ms"

    def _for_memory(self, number: int) -> str:
        """Say whether the kernel killed for want of memory, which only SIGKILL can mean."""
        return self.memory.verdict if number == signal.SIGKILL else ""


_NAMES = {int(each): each.name for each in signal.Signals}


def _name(number: int) -> str:
    return _NAMES.get(number, f"signal {number}")
