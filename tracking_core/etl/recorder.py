"""How a context reports to a tracked run: what a run must offer, and the isolation of the job from its errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol, cast

from tracking_core.dataclass import dataclass
from tracking_core.process.interrupts import from_outside

logger = logging.getLogger(__name__)


class PhaseRecorder(Protocol):
    """What a context needs of a run; an `ETLRunContext` is one.

    It is called one thing at a time; one that has a `run_id` also by the heartbeat's thread.
    """

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
        """Record a phase's state; counts are by unit and cumulative for the phase, memory in MB.

        `memory_limit_mb` is given only for a phase that has one.
        """

    def log_error(self, error: BaseException | str, *, phase: str | None = None) -> bool:
        """Record an error of the run."""


class RunTracker(Protocol):
    """What a context needs of a tracker that takes run ids; a `SimpleETLTracker` is one.

    A context calls it one thing at a time, also on the heartbeat's thread.
    """

    def log_phase(
        self,
        run_id: int | None,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
        memory_limit_mb: float | None = None,
    ) -> bool:
        """Record a phase's state for the run."""

    def log_error(self, run_id: int | None, error: BaseException | str, *, phase: str | None = None) -> bool:
        """Record an error of the run."""


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
        memory_limit_mb: float | None = None,
    ) -> bool:
        """Record a phase's state for the run."""
        return self.tracker.log_phase(
            self.run_id,
            phase_name,
            status,
            totals=totals,
            processed=processed,
            memory_mb=memory_mb,
            **_limit(memory_limit_mb),
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


def _limit(memory_limit_mb: float | None) -> dict[str, float]:
    # A recorder of another make may not have the parameter.
    return {} if memory_limit_mb is None else {"memory_limit_mb": memory_limit_mb}


def _can_record(candidate: object) -> bool:
    return all(callable(getattr(candidate, name, None)) for name in ("log_phase", "log_error"))


class PhaseReporter:
    """Tell a recorder of phases and errors: best-effort, never raising."""

    def __init__(self, recorder: PhaseRecorder | None) -> None:
        """Report to `recorder`, or not at all when it is None."""
        self._recorder = recorder
        self._warned = False

    @property
    def has_recorder(self) -> bool:
        """Whether there is anything to report to."""
        return self._recorder is not None

    @property
    def reports_aside(self) -> bool:
        """Whether the heartbeat's thread may report too: of a run that has an id, so not while tracking is off."""
        return getattr(self._recorder, "run_id", None) is not None

    def report_phase(
        self,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
        memory_limit_mb: float | None = None,
    ) -> None:
        """Tell the recorder how a phase stands; what it raises is warned of once and goes no further."""
        if self._recorder is None:
            return
        try:
            self._recorder.log_phase(
                phase_name, status, totals=totals, processed=processed, memory_mb=memory_mb, **_limit(memory_limit_mb)
            )
        except Exception as error:
            if from_outside(error):
                raise
            self._warn(error)

    def report_error(self, error: BaseException | str, phase_name: str) -> None:
        """Tell the recorder of an error; what it raises is warned of once and goes no further."""
        if self._recorder is None:
            return
        try:
            self._recorder.log_error(error, phase=phase_name)
        except Exception as failure:
            if from_outside(failure):
                raise
            self._warn(failure)

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        # The type alone: the text of a driver's error may hold connection parameters.
        logger.warning(
            "The run's phases could not be recorded (%s); the job goes on, this is logged once",
            type(error).__name__,
        )
