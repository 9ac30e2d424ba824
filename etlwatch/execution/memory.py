"""A command's memory: its peak, its limit, and processes killed by the kernel for lack of memory while it ran.

Read from the control group (version 2) and the kernel's counters; what cannot be read is None.
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
