"""What the system says of a command's memory: its peak, its limit, and kills for want of it while it ran.

Owns the reading of the control group (version 2) and of the kernel's counters; what cannot be read is unknown, and said
to be. Refuses to own what follows for a run (`outcome.py`).
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tracking_core.dataclass import dataclass

MIB = 1024 * 1024
NEAR_LIMIT = 0.9
"""A peak beyond this share of the limit makes a kill for want of memory the likely one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kills:
    """How many processes the kernel had killed for want of memory by some moment."""

    in_group: int | None = None
    """In this process's control group and below; None where that cannot be read."""

    anywhere: int | None = None
    limit: int | None = None
    """Bytes that the group may use, the least of all groups above it; None without a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """What is known of a command's memory once it has ended."""

    peak: int | None = None
    """Bytes of the largest process below the command; None where nothing is known."""

    peak_is_bound: bool = False
    """Whether the peak is only known not to have been higher."""

    before: Kills = Kills()
    after: Kills = Kills()

    @property
    def peak_mb(self) -> float | None:
        """The peak in MiB where it is known exactly."""
        return None if self.peak is None or self.peak_is_bound else self.peak / MIB

    @property
    def peak_words(self) -> str:
        """The peak beside its limit, '' where neither is known."""
        if self.peak is None:
            return ""
        words = f"peak memory {'below ' if self.peak_is_bound else ''}{size(self.peak)}"
        return words + (f" of {size(self.after.limit)}" if self.after.limit is not None else "")

    @property
    def verdict(self) -> str:
        """Say of a process that SIGKILL ended whether memory was why, with the proofs; begins with a comma."""
        proofs = []
        if self.peak is not None and not self.peak_is_bound:
            proofs.append(f"peak {size(self.peak)}")
        if self.after.limit is not None:
            proofs.append(f"limit {size(self.after.limit)}")
        if _rose(self.before.in_group, self.after.in_group):
            return f", probably out of memory: {', '.join([*proofs, 'oom_kill count rose in the cgroup'])}"
        if _rose(self.before.anywhere, self.after.anywhere):
            return f", probably out of memory: {', '.join([*proofs, 'oom_kill count of the kernel rose'])}"
        near = self.after.limit is not None and (self.peak or 0) >= NEAR_LIMIT * self.after.limit
        if near and not self.peak_is_bound:
            return f", perhaps out of memory: {', '.join(proofs)}"
        return "" if self.after.in_group is None else ", not by the kernel: its oom_kill count did not rise"


def _rose(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def size(count: int) -> str:
    """Write a number of bytes as people say it: 812 MiB, 1.9 GiB."""
    mib = count / MIB
    if mib >= 1000:
        return f"{mib / 1024:.1f} GiB"
    return f"{mib:.0f} MiB" if mib >= 10 else f"{mib:.1f} MiB"


def kills(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Kills:
    """Return how many processes were killed for want of memory so far, and the limit; unknown where not readable."""
    in_group: int | None = None
    limits: list[int] = []
    for folder in _groups_above(proc, groups):
        if in_group is None:
            in_group = _counter(folder / "memory.events", "oom_kill")
        with suppress(OSError, ValueError):
            # "max" stands for no limit.
            limits.append(int((folder / "memory.max").read_text(encoding="ascii")))
    return Kills(
        in_group=in_group, anywhere=_counter(proc / "vmstat", "oom_kill"), limit=min(limits) if limits else None
    )


def _groups_above(proc: Path, groups: Path) -> Iterator[Path]:
    """Yield this process's group of the one hierarchy, then those above it."""
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
    """Return the most memory that this program has held, in bytes: what is counted for a command that held less.

    Where the system tells it: a record of usage begins with the peak of whoever started us, which may be far larger.
    """
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / "self" / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return peak_of(resource.getrusage(resource.RUSAGE_SELF))


def peak_of(usage: resource.struct_rusage) -> int:
    """Return the greatest resident size of a record of usage, in bytes."""
    # Linux counts KiB, macOS bytes.
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
