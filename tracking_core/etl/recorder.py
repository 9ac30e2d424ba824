"""The way from a context to a tracked run: what a run must offer, and how often it is told.

Owns the protocol, the adapter for a `(tracker, run_id)` pair, the pace of progress and the isolation of the job from
whatever the run raises. It refuses to own what is told: see context.py.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from tracking_core.clock import Clock, SystemClock
from tracking_core.etl.locks import ForkSafeLock

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 0.5
"""Progress of a phase is told at most this often; starts, ends and errors always."""

_SYSTEM_CLOCK = SystemClock()


class PhaseRecorder(Protocol):
    """What a context needs of a run; an `ETLRunContext` is one."""

    def log_phase(
        self,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
    ) -> bool:
        """Record a phase's state; counts are by unit and cumulative for the phase, memory in MB."""
        ...

    def log_error(self, error: BaseException | str, *, phase: str | None = None) -> bool:
        """Record an error of the run."""
        ...


class RunTracker(Protocol):
    """What a context needs of a tracker that takes run ids; a `SimpleETLTracker` is one."""

    def log_phase(
        self,
        run_id: int | None,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
    ) -> bool:
        """Record a phase's state for the run."""
        ...

    def log_error(self, run_id: int | None, error: BaseException | str, *, phase: str | None = None) -> bool:
        """Record an error of the run."""
        ...


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A tracker and the id of one of its runs, as a `PhaseRecorder`."""

    tracker: RunTracker
    run_id: int | None
    """None when tracking was off at the run's start: the tracker then records nothing."""

    def log_phase(
        self,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
    ) -> bool:
        """Record a phase's state for the run."""
        return self.tracker.log_phase(
            self.run_id, phase_name, status, totals=totals, processed=processed, memory_mb=memory_mb
        )

    def log_error(self, error: BaseException | str, *, phase: str | None = None) -> bool:
        """Record an error of the run."""
        return self.tracker.log_error(self.run_id, error, phase=phase)


def recorder_of(run: object) -> PhaseRecorder | None:
    """Return the recorder behind the `run=` of a context; None for None.

    Raises TypeError for what is neither a run nor a `(tracker, run_id)` pair.
    """
    if run is None:
        return None
    if isinstance(run, tuple) and len(run) == 2 and _can_record(run[0]):
        tracker, run_id = run
        if run_id is not None and (isinstance(run_id, bool) or not isinstance(run_id, int)):
            raise TypeError(f"the run id of run=(tracker, run_id) must be an int or None, not {type(run_id).__name__}")
        return TrackedRun(cast(RunTracker, tracker), run_id)
    if not isinstance(run, tuple) and _can_record(run):
        return cast(PhaseRecorder, run)
    raise TypeError(f"run must be an ETLRunContext or a (tracker, run_id) pair, not {type(run).__name__}")


def _can_record(candidate: object) -> bool:
    return all(callable(getattr(candidate, name, None)) for name in ("log_phase", "log_error"))


class PhaseReporter:
    """Tell a recorder of phases and errors: best-effort, in order, progress at a pace, never raising.

    Whoever reports a change holds `lock` from before the change until it was told, so that a late "running" never
    follows a "completed". Progress only tries for it: a thread that finds it taken leaves its counts to the next.
    """

    def __init__(self, recorder: PhaseRecorder | None, *, clock: Clock = _SYSTEM_CLOCK) -> None:
        """Report to `recorder`, or to nobody when it is None."""
        self._recorder = recorder
        self._clock = clock
        # Guards the order in which the recorder is told; held while it works, so never together with counting.
        self.lock = ForkSafeLock()
        self._next_progress: float | None = None
        self._warned = False

    def begin_phase(self) -> None:
        """Let the first progress of a phase through at once."""
        self._next_progress = None

    def progress_is_due(self) -> bool:
        """Return whether progress may be told now."""
        if self._recorder is None:
            return False
        # Read once: another thread may begin a phase in between.
        next_progress = self._next_progress
        return next_progress is None or self._clock.monotonic() >= next_progress

    def begin_progress(self) -> None:
        """Let the next progress wait its interval; called first, since a recorder that logs may lead back here."""
        self._next_progress = self._clock.monotonic() + PROGRESS_INTERVAL_S

    def tell_phase(
        self,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
    ) -> None:
        """Tell the recorder how a phase stands; what it raises is warned of once and goes no further."""
        if self._recorder is None:
            return
        try:
            self._recorder.log_phase(phase_name, status, totals=totals, processed=processed, memory_mb=memory_mb)
        except Exception as error:  # noqa: BLE001 - a recorder of any make must not break the job (CONTRACT 2)
            self._warn(error)

    def tell_error(self, error: BaseException | str, phase_name: str) -> None:
        """Tell the recorder of an error; what it raises is warned of once and goes no further."""
        if self._recorder is None:
            return
        try:
            self._recorder.log_error(error, phase=phase_name)
        except Exception as failure:  # noqa: BLE001 - a recorder of any make must not break the job (CONTRACT 2)
            self._warn(failure)

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        # The type alone: the text of a driver's error may hold connection parameters.
        logger.warning(
            "The run could not be told of its phases (%s); the job goes on, and this is said once", type(error).__name__
        )
