"""What a context measures of a phase: counts by unit, their names and checks, and the memory of the process."""

from __future__ import annotations

import logging
import operator
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from numbers import Number
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from tracking_core.clock import Clock
from tracking_core.dataclass import dataclass
from tracking_core.etl.values import moment_of
from tracking_core.process.interrupts import from_outside, load
from tracking_core.process.locks import ReentrantLock

if TYPE_CHECKING:
    import psutil


DEFAULT_PHASES = ("extract", "transform", "load")
DEFAULT_UNITS = ("conversations", "messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitNames:
    """Hold what is named after one unit: attributes of the progress tracker and keys of the statistics."""

    unit: str
    """As a parameter of `update_progress`."""
    total: str
    """Expected count: attribute, parameter of `start_phase` and key."""
    processed: str
    """Processed count: attribute and key."""
    percent: str
    """Key of processed in percent of total; the unit loses a trailing `s`."""
    rate: str
    """Key of processed per second."""
    processed_in_all: str
    """Key of the count over all phases."""

    @classmethod
    def of(cls, unit: str) -> Self:
        """Name everything that belongs to `unit`."""
        return cls(
            unit=unit,
            total=f"total_{unit}",
            processed=f"processed_{unit}",
            percent=f"{unit.removesuffix('s')}_percent",
            rate=f"{unit}_per_second",
            processed_in_all=f"{unit}_processed",
        )


def checked_phases(phases: Iterable[str]) -> tuple[str, ...]:
    """Return the phases' names in their order.

    Raises TypeError for anything but strings, ValueError for none, an empty or a repeated name.
    """
    names = _checked_names("phases", phases)
    if not names:
        raise ValueError("phases must name at least one phase")
    return names


def checked_units(units: Iterable[str]) -> tuple[UnitNames, ...]:
    """Return what is named after each unit, in the units' order.

    Raises TypeError for anything but strings, ValueError for a name that cannot be part of a parameter's name, is
    repeated, or would share a statistics key with another (`row` and `rows` have one percent key).
    """
    names = [UnitNames.of(unit) for unit in _checked_names("units", units)]
    keys: dict[str, str] = {}
    for name in names:
        if not name.unit.isidentifier():
            raise ValueError(f"units: {name.unit!r} cannot be part of a parameter's name such as total_<unit>")
        for key in (name.total, name.processed, name.percent, name.rate):
            if key in keys:
                raise ValueError(f"units: {keys[key]!r} and {name.unit!r} would share the statistics key {key!r}")
            keys[key] = name.unit
    return tuple(names)


def bind_counts(parameters: tuple[str, ...], positional: tuple[int, ...], named: Mapping[str, int]) -> dict[str, int]:
    """Return a count for each parameter as Python would bind them; what was not given is 0.

    Raises TypeError for too many, unknown or doubly given arguments, naming what was given and what is accepted, and
    what `checked_count` raises.
    """
    accepted = ", ".join(parameters) or "none"
    if len(positional) > len(parameters):
        raise TypeError(f"{len(positional)} counts were given; accepted: {accepted}")
    unknown = [name for name in named if name not in parameters]
    if unknown:
        raise TypeError(f"unknown count {', '.join(map(repr, unknown))}; accepted: {accepted}")
    given = dict(zip(parameters, positional, strict=False))
    twice = [name for name in given if name in named]
    if twice:
        raise TypeError(f"count {', '.join(map(repr, twice))} was given twice, by position and by name")
    given.update(named)
    return {name: checked_count(name, given.get(name, 0)) for name in parameters}


def checked_count(name: str, value: object) -> int:
    """Return `value` as an int: any kind of number without a fraction (3.0, Decimal, numpy's) will do, None is 0.

    Raises TypeError for a bool or what is no real number, ValueError for a negative number or one with a fraction.
    """
    if value is None:
        return 0
    # A bool is an int to Python, but `total_messages=True` is a slip.
    if isinstance(value, bool) or not (hasattr(value, "__index__") or isinstance(value, Number)):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    count = operator.index(value) if hasattr(value, "__index__") else _without_fraction(name, value)
    if count < 0:
        raise ValueError(f"{name} must not be negative: {count}")
    return count


def _without_fraction(name: str, number: Any) -> int:
    try:
        count = int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} must be a whole number, not {number}") from None
    if count != number:
        raise ValueError(f"{name} must be a whole number, not {number}")
    return count


def _checked_names(what: str, names: Iterable[str]) -> tuple[str, ...]:
    # A lone string would be taken letter by letter.
    if isinstance(names, str):
        raise TypeError(f"{what} must be a sequence of names, not the string {names!r}")
    checked = tuple(names)
    for name in checked:
        if not isinstance(name, str):
            raise TypeError(f"{what} must be strings, not {type(name).__name__}")
        if not name:
            raise ValueError(f"{what} must not hold an empty name")
        if checked.count(name) > 1:
            raise ValueError(f"{what} must differ: {name!r} is there more than once")
    return checked


_SYSTEM_CLOCK = Clock()


class ProgressTracker:
    """Count what a phase has processed, per unit, against what is expected.

    For each unit there are attributes `total_<unit>` and `processed_<unit>`, whole numbers that may be set at any time,
    also mid-phase; `phase`, `start_time` and `end_time` (aware, UTC) are None until known.
    Safe to use from several threads. Source: `ProgressTracker` of the second seed.
    """

    phase: str | None
    start_time: datetime | None
    end_time: datetime | None

    def __init__(
        self,
        units: Iterable[str] = DEFAULT_UNITS,
        *,
        clock: Clock = _SYSTEM_CLOCK,
        lock: ReentrantLock | None = None,
    ) -> None:
        """Make a tracker of these units with nothing counted.

        `lock` lets an owner guard its own state together with these counters.

        Raises TypeError and ValueError for units that cannot be named so (see `checked_units`).
        """
        self._names = checked_units(units)
        self._total_names = tuple(name.total for name in self._names)
        self._unit_names = tuple(name.unit for name in self._names)
        self._processed_names = {name.unit: name.processed for name in self._names}
        self._clock = clock
        # Guards the counters, and that they belong to the phase and times beside them.
        self._lock = lock if lock is not None else ReentrantLock()
        self._counters: dict[str, int] = {}
        self.reset()

    @property
    def units(self) -> tuple[str, ...]:
        """Return the units' names in their order."""
        return self._unit_names

    @property
    def totals(self) -> dict[str, int]:
        """Return the expected counts by unit; 0 where none were given."""
        with self._lock:
            return {name.unit: self._counters[name.total] for name in self._names}

    @property
    def processed(self) -> dict[str, int]:
        """Return the processed counts of the phase by unit."""
        with self._lock:
            return {name.unit: self._counters[name.processed] for name in self._names}

    def reset(self) -> None:
        """Forget the phase and set every counter to 0."""
        with self._lock:
            self.phase = None
            self.start_time = None
            self.end_time = None
            self._started: float | None = None
            for name in self._names:
                self._counters[name.total] = 0
                self._counters[name.processed] = 0

    def start_phase(self, phase: str, *totals: int, **named_totals: int) -> None:
        """Forget what was counted and begin a phase, with `total_<unit>` by position or name, 0 where not given.

        Raises TypeError or ValueError, before anything changes, for totals that are unknown or no counts.
        """
        counts = bind_counts(self._total_names, totals, named_totals)
        with self._lock:
            self.reset()
            self.phase = phase
            self.start_time = self._now()
            self._started = self._clock.monotonic()
            self._counters.update(counts)

    def update(self, *increments: int, **named_increments: int) -> None:
        """Add to the processed counts, `<unit>` by position or name, 0 where not given.

        Raises TypeError or ValueError, before anything changes, for increments that are unknown, negative or no counts.
        """
        counters, processed = self._counters, self._processed_names
        counts = named_increments if not increments else bind_counts(self._unit_names, increments, named_increments)
        for unit, count in counts.items():
            if type(count) is not int or count < 0 or unit not in processed:
                counts = bind_counts(self._unit_names, increments, named_increments)
                break
        with self._lock:
            for unit, count in counts.items():
                counters[processed[unit]] += count

    def finish_phase(self) -> dict[str, Any]:
        """Return the phase's statistics as of now: the seed's twelve keys for the seed's two units.

        Times are ISO 8601 text with their zone, the duration in seconds of the monotonic clock. A percentage is 0 where
        the total is 0, and may exceed 100; a rate is 0 where no time has passed.

        Raises RuntimeError when no phase was started.
        """
        with self._lock:
            if self.start_time is None or self._started is None:
                raise RuntimeError("Cannot finish phase: no phase was started")
            self.end_time = self._now()
            duration = self._clock.monotonic() - self._started
            statistics: dict[str, Any] = {
                "phase": self.phase,
                "start_time": self.start_time.isoformat(),
                "end_time": self.end_time.isoformat(),
                "duration_seconds": duration,
            }
            for name in self._names:
                total, processed = self._counters[name.total], self._counters[name.processed]
                statistics[name.total] = total
                statistics[name.processed] = processed
                statistics[name.percent] = processed / total * 100 if total else 0
            for name in self._names:
                statistics[name.rate] = self._counters[name.processed] / duration if duration > 0 else 0
            return statistics

    def __getattr__(self, name: str) -> int:
        # Called only for what is not found otherwise. Through __dict__, since __init__ has not run in a copy.
        counters: dict[str, int] = self.__dict__.get("_counters", {})
        if name in counters:
            return counters[name]
        raise AttributeError(f"ProgressTracker has no attribute {name!r}; its counters are {', '.join(counters)}")

    def __setattr__(self, name: str, value: object) -> None:
        counters: dict[str, int] = self.__dict__.get("_counters", {})
        if name in counters:
            count = checked_count(name, value)
            with self._lock:
                counters[name] = count
        elif name.startswith(("total_", "processed_")):
            # A misspelt counter would be kept beside the real one, and be missed in every figure.
            raise AttributeError(f"ProgressTracker has no counter {name!r}; its counters are {', '.join(counters)}")
        else:
            super().__setattr__(name, value)

    def _now(self) -> datetime:
        return moment_of(self._clock.now_us())

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of, at one moment; the time that has passed goes on in the copy."""
        with self._lock:
            passed = None if self._started is None else self._clock.monotonic() - self._started
            return {**self.__dict__, "_counters": self._counters.copy(), "_started": passed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._started is not None:
            self._started = self._clock.monotonic() - self._started


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
        if memory_limit_mb is not None:
            if isinstance(memory_limit_mb, bool) or not isinstance(memory_limit_mb, (int, float)):
                raise TypeError(f"memory_limit_mb must be a number or None, not {type(memory_limit_mb).__name__}")
            if not memory_limit_mb > 0:
                raise ValueError(f"memory_limit_mb must be above 0, or None for no limit: {memory_limit_mb}")
        self.memory_limit_mb = memory_limit_mb
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
