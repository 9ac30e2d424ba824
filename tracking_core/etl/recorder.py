"""How a context reports to a tracked run: what a run must offer, and the isolation of the job from its errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from tracking_core.process.interrupts import from_outside

logger = logging.getLogger(__name__)


class PhaseRecorder(Protocol):
    """What a context needs of a run, as an `ETLRunContext`; or of a tracker, whose methods take the run's id first.

    It is called one thing at a time; one that has a run id also by the heartbeat's thread.
    """

    @property
    def log_phase(self) -> Callable[..., bool]:
        """Records a phase's state, given its name and status; by name `totals` and `processed`, `memory_mb`.

        Counts are by unit and cumulative for the phase. `memory_limit_mb` is given only for a phase that has one.
        """

    @property
    def log_error(self) -> Callable[..., bool]:
        """Records an error of the run, an exception or text; by name its `phase`."""


class PhaseReporter:
    """Reports phases and errors to a run: best-effort, never raising."""

    def __init__(self, run: object) -> None:
        """Report to an `ETLRunContext`, to a `(tracker, run_id)` pair, or with None to nobody; else TypeError."""
        is_run = len(run) == 2 and _can_record(run[0]) if isinstance(run, tuple) else run is None or _can_record(run)
        if not is_run:
            raise TypeError(f"run must be an ETLRunContext or a (tracker, run_id) pair, not {type(run).__name__}")
        self._recorder, *self._run_id = run if isinstance(run, tuple) else (run,)
        for run_id in self._run_id:
            if run_id is not None and (isinstance(run_id, bool) or not isinstance(run_id, int)):
                given = type(run_id).__name__
                raise TypeError(f"the run id of run=(tracker, run_id) must be an int or None, not {given}")
        self._warned = False

    @property
    def has_recorder(self) -> bool:
        """Whether there is anything to report to."""
        return self._recorder is not None

    @property
    def reports_aside(self) -> bool:
        """Whether the heartbeat's thread may report too: of a run that has an id, so not while tracking is off."""
        (run_id,) = self._run_id or (getattr(self._recorder, "run_id", None),)
        return run_id is not None

    def report_phase(self, phase_name: str, status: str, **state: object) -> None:
        """Report how a phase stands, with the named parameters of `PhaseRecorder.log_phase`."""
        if state.get("memory_limit_mb") is None:
            # A recorder of another make may not have the parameter.
            state.pop("memory_limit_mb", None)
        self._report("log_phase", phase_name, status, **state)

    def report_error(self, error: BaseException | str, phase_name: str) -> None:
        """Report an error."""
        self._report("log_error", error, phase=phase_name)

    def _report(self, method: str, *values: object, **named: object) -> None:
        if self._recorder is None:
            return
        try:
            getattr(self._recorder, method)(*self._run_id, *values, **named)
        except Exception as error:
            if from_outside(error):
                raise
            if not self._warned:
                self._warned = True
                # The type alone: the text of a driver's error may hold connection parameters.
                logger.warning(
                    "The run's phases could not be recorded (%s); the job goes on, this is logged once",
                    type(error).__name__,
                )


def _can_record(candidate: object) -> bool:
    return all(callable(getattr(candidate, name, None)) for name in ("log_phase", "log_error"))
