"""How a command ended: its exit status, its memory, the state of its run, and the error that is recorded.

Memory is read from the control group (version 2) and the kernel's counters; what cannot be read is None.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from etlwatch.text.numbers import duration
from tracking_core.dataclass import dataclass, field
from tracking_core.events import RunStatus

MIB = 1024 * 1024
NEAR_LIMIT = 0.9
"""A peak beyond this share of the limit makes lack of memory the likely cause of a kill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OomKills:
    """How many processes the kernel has killed for lack of memory so far."""

    in_group: int | None = None
    """In this process's control group and below; None where that cannot be read."""

    anywhere: int | None = None
    limit: int | None = None
    """Bytes that the group may use, the lowest limit of all groups above it; None without a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """A command's memory, read after its end."""

    peak: int | None = None
    """Bytes of the largest process of the command; None where it is not known."""

    peak_is_bound: bool = False
    """Whether the peak is only an upper bound."""

    before: OomKills = OomKills()
    after: OomKills = OomKills()

    @property
    def peak_mb(self) -> float | None:
        """The peak in MiB; None where it is not known exactly."""
        return None if self.peak is None or self.peak_is_bound else self.peak / MIB

    @property
    def peak_text(self) -> str:
        """The peak and the limit, '' where the peak is not known."""
        if self.peak is None:
            return ""
        text = f"peak memory {'below ' if self.peak_is_bound else ''}{size(self.peak)}"
        return text + (f" of {size(self.after.limit)}" if self.after.limit is not None else "")

    @property
    def kill_cause(self) -> str:
        """Whether lack of memory caused a SIGKILL, with the evidence; '' or a clause with a comma before it."""
        evidence = []
        if self.peak is not None and not self.peak_is_bound:
            evidence.append(f"peak {size(self.peak)}")
        if self.after.limit is not None:
            evidence.append(f"limit {size(self.after.limit)}")
        if _rose(self.before.in_group, self.after.in_group):
            return f", probably out of memory: {', '.join([*evidence, 'oom_kill count rose in the cgroup'])}"
        if _rose(self.before.anywhere, self.after.anywhere):
            return f", probably out of memory: {', '.join([*evidence, 'oom_kill count of the kernel rose'])}"
        near = self.after.limit is not None and (self.peak or 0) >= NEAR_LIMIT * self.after.limit
        if near and not self.peak_is_bound:
            return f", perhaps out of memory: {', '.join(evidence)}"
        return "" if self.after.in_group is None else ", not by the kernel: its oom_kill count did not rise"


def _rose(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def size(count: int) -> str:
    """Format a number of bytes: 812 MiB, 1.9 GiB."""
    mib = count / MIB
    if mib >= 1000:
        return f"{mib / 1024:.1f} GiB"
    return f"{mib:.0f} MiB" if mib >= 10 else f"{mib:.1f} MiB"


def oom_kills(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> OomKills:
    """Return how many processes were killed for lack of memory so far, and the limit; None where not readable."""
    in_group: int | None = None
    limits: list[int] = []
    for folder in _groups_above(proc, groups):
        if in_group is None:
            in_group = _counter(folder / "memory.events", "oom_kill")
        with suppress(OSError, ValueError):
            # "max" means no limit.
            limits.append(int((folder / "memory.max").read_text(encoding="ascii")))
    return OomKills(
        in_group=in_group, anywhere=_counter(proc / "vmstat", "oom_kill"), limit=min(limits) if limits else None
    )


def _groups_above(proc: Path, groups: Path) -> Iterator[Path]:
    """Yield this process's group, then those above it."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        if line.startswith("0::/"):
            own = groups / line.removeprefix("0::/")
            yield from (folder for folder in (own, *own.parents) if folder == groups or groups in folder.parents)


def _counter(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            word, _, value = line.partition(" ")
            if word == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return None


def own_peak(proc: Path = Path("/proc")) -> int:
    """Return this program's own peak memory in bytes, which is also counted for a command with a lower one.

    From /proc where possible: resource usage begins with the peak of our parent, which may be far larger.
    """
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / "self" / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_of(resource.getrusage(resource.RUSAGE_SELF))


def peak_of(usage: resource.struct_rusage) -> int:
    """Return the peak resident size of a usage record, in bytes."""
    # Linux counts KiB, macOS bytes.
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


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
