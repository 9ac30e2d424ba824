"""How far a phase has come: totals, processed counts, duration and the statistics made from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tracking_core.clock import Clock
from tracking_core.etl.phases import DEFAULT_UNITS, bind_counts, checked_count, checked_units
from tracking_core.etl.values import moment_of
from tracking_core.process.locks import ReentrantLock

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
