"""What tests of the ETL context share: stand-ins for clocks, memory and runs, and the seed's keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.clocks import ManualClock
from tracking_core.etl import MemoryMonitor

SEED_KEYS = [
    "phase",
    "start_time",
    "end_time",
    "duration_seconds",
    "total_conversations",
    "processed_conversations",
    "conversation_percent",
    "total_messages",
    "processed_messages",
    "message_percent",
    "conversations_per_second",
    "messages_per_second",
]
"""What the seed's `finish_phase` returns, in its order."""


class SteppedClock(ManualClock):
    """Clocks that a test moves on together."""

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self.us += round(seconds * 1_000_000)


@dataclass
class RecordingRun:
    """A run that remembers what it was told; raises `failure` instead when there is one."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    failure: BaseException | None = None
    limits: set[float | None] = field(default_factory=set)

    def log_phase(
        self,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
        memory_limit_mb: float | None = None,
    ) -> bool:
        self.limits.add(memory_limit_mb)
        self.told.append(("phase", phase_name, status, totals, processed, memory_mb))
        if self.failure is not None:
            raise self.failure
        return True

    def log_error(self, error: BaseException | str, *, phase: str | None = None) -> bool:
        self.told.append(("error", error, phase))
        if self.failure is not None:
            raise self.failure
        return True

    def states(self, phase_name: str) -> list[str]:
        """Return the states told of a phase, in order."""
        return [event[2] for event in self.told if event[:2] == ("phase", phase_name)]

    def last(self, phase_name: str) -> tuple[Any, ...]:
        """Return (status, totals, processed, memory_mb) as last told of a phase."""
        return [event[2:] for event in self.told if event[:2] == ("phase", phase_name)][-1]


@dataclass
class RecordingTracker:
    """A tracker that takes run ids, and remembers what it was told."""

    told: list[tuple[Any, ...]] = field(default_factory=list)

    def log_phase(self, run_id: int | None, phase_name: str, status: str, **details: Any) -> bool:
        self.told.append((run_id, phase_name, status, details))
        return run_id is not None

    def log_error(self, run_id: int | None, error: BaseException | str, *, phase: str | None = None) -> bool:
        self.told.append((run_id, error, phase))
        return run_id is not None


def set_memory(monitor: MemoryMonitor, *readings_mb: float) -> None:
    """Let the monitor read these values one after the other, the last one for ever."""
    readings = list(readings_mb)
    monitor.get_current_memory_mb = lambda: readings.pop(0) if len(readings) > 1 else readings[0]  # type: ignore[method-assign]


def failing(message: str = "boom") -> ValueError:
    """Return an error that was raised and caught."""
    try:
        raise ValueError(message)
    except ValueError as error:
        return error
