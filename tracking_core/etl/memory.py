"""How much memory the process holds, at most, and against a limit."""

from __future__ import annotations

import logging
import math
import os
from time import monotonic
from typing import TYPE_CHECKING, Any

from tracking_core.process.interrupts import from_outside, load
from tracking_core.process.locks import ReentrantLock

if TYPE_CHECKING:
    import psutil

logger = logging.getLogger(__name__)

SAMPLE_INTERVAL_S = 0.1
"""Without a limit, progress samples the memory at most this often: a reading costs ten times what counting does."""

_BYTES_PER_MB = 1024 * 1024


class MemoryMonitor:
    """Watch this process's resident memory, in MB of 1024 × 1024 bytes.

    Attributes: `memory_limit_mb` (None for no limit), `peak_memory_mb`, the greatest ever sampled, and
    `phase_peak_mb`, the greatest since `begin_phase`. Peaks are of samples: what comes and goes between two of them is
    not seen. Safe to use from several threads. Source: `MemoryMonitor` of the second seed.
    """

    def __init__(self, memory_limit_mb: float | None = None, *, lock: ReentrantLock | None = None) -> None:
        """Make a monitor without samples.

        Raises TypeError for a limit that is no number, ValueError for one that is not above 0.
        """
        self.memory_limit_mb = _checked_limit(memory_limit_mb)
        self.peak_memory_mb: float = 0
        self.phase_peak_mb: float = 0
        # Guards the peaks: of two threads with a new peak each, the greater must stay.
        self._lock = lock if lock is not None else ReentrantLock()
        self._process: psutil.Process | None = None
        self._warned = False
        self._next_sample = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: it may watch another process, on a machine with another clock."""
        return {**self.__dict__, "_process": None, "_next_sample": 0.0}

    def get_current_memory_mb(self) -> float:
        """Return the process's resident set size in MB, from the operating system."""
        # Imported at the first sample: a job that tracks only requests never pays for it.
        load("psutil")
        import psutil

        # Making a Process costs more than the reading itself; in a forked child the kept one is the parent.
        if self._process is None or self._process.pid != os.getpid():
            self._process = psutil.Process()
        resident: int = self._process.memory_info().rss
        return resident / _BYTES_PER_MB

    def begin_phase(self) -> None:
        """Forget the phase's peak; the monitor's own stays."""
        with self._lock:
            self.phase_peak_mb = 0

    def sample(self) -> float | None:
        """Read the memory and keep the peaks; return MB, or None where it cannot be read (warned of once)."""
        self._next_sample = monotonic() + SAMPLE_INTERVAL_S
        try:
            current = self.get_current_memory_mb()
        except Exception as error:
            # A system without /proc must not cost the job its work.
            if from_outside(error):
                raise
            if not self._warned:
                self._warned = True
                logger.warning("Memory usage cannot be read (%s); limit and peak are not watched", error)
            return None
        with self._lock:
            self.peak_memory_mb = max(self.peak_memory_mb, current)
            self.phase_peak_mb = max(self.phase_peak_mb, current)
        return current

    def check_memory(self) -> None:
        """Sample the memory and compare it with the limit.

        Raises MemoryError when a limit is set and the usage is above it.
        """
        current = self.sample()
        if current is not None and self.memory_limit_mb is not None and current > self.memory_limit_mb:
            raise MemoryError(f"Memory usage ({current:.2f} MB) exceeds limit ({self.memory_limit_mb} MB)")

    def check_progress(self) -> None:
        """Do as `check_memory`, but without a limit at most every 100 ms: for what is called for every item."""
        if self.memory_limit_mb is not None or monotonic() >= self._next_sample:
            self.check_memory()


def _checked_limit(limit_mb: float | None) -> float | None:
    if limit_mb is None:
        return None
    if isinstance(limit_mb, bool) or not isinstance(limit_mb, (int, float)):
        raise TypeError(f"memory_limit_mb must be a number or None, not {type(limit_mb).__name__}")
    if math.isnan(limit_mb) or limit_mb <= 0:
        raise ValueError(f"memory_limit_mb must be above 0, or None for no limit: {limit_mb}")
    return limit_mb
