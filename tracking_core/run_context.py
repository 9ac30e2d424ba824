"""A run as a `with` block: it begins with the block and ends as the block ends (CONTRACT 2).

Owns what an exception means for a run and for a phase. Signals that do not arrive as exceptions are not seen here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tracking_core.endings import is_clean_exit, is_stop
from tracking_core.pace import Pace
from tracking_core.sanitize import MAX_INTEGER, whole_number
from tracking_core.states import PhaseStatus, RunStatus
from tracking_core.tracker import SimpleETLTracker

if TYPE_CHECKING:
    from datetime import datetime

PROGRESS_INTERVAL_S = 1.0
"""`PhaseContext.update` tells the store at most this often."""

_RECORDED_MARK = "_tracking_recorded_in"
"""Set on an exception that a run has recorded, so that the run's own end does not record it a second time."""


class ETLRunContext:
    """Begin a run with the block, end it as the block ends, and record into it without naming its id.

    A clean exit completes the run. An exception is recorded with its traceback, fails the run with its message (its
    class name when that is empty) and goes on its way; `sys.exit()` and `sys.exit(0)` complete it, ctrl-c ends it as
    terminated. Recording methods return what the tracker's return: recorded or not.
    """

    def __init__(self, tracker: SimpleETLTracker, notes: str | None = None, *, job: str | None = None) -> None:
        self.tracker = tracker
        self.run_id: int | None = None
        """None before the block, and when tracking was off at its beginning: then every method returns False."""

        self.success = False
        """Whether the block ended well; False until then."""

        self._notes = notes
        self._job = job
        self._is_attached = False
        self._pid: int | None = None

    @classmethod
    def attached(cls, tracker: SimpleETLTracker, run_id: int | None) -> Self:
        """Return a context for a run begun elsewhere, which it will not end: what `SimpleETLTracker.attach` gives."""
        context = cls(tracker)
        context.run_id = run_id
        context._is_attached = True
        return context

    def __reduce__(self) -> tuple[object, ...]:
        """Let a run be handed to another process, which records into it and does not end it."""
        return SimpleETLTracker.adopt, (self.tracker, self.run_id, self.tracker.start_of(self.run_id))

    def __enter__(self) -> Self:
        """Begin the run; RuntimeError when this context's run is under way."""
        if self._is_attached:
            return self
        if self._pid is not None:
            raise RuntimeError("this run is under way already; make another ETLRunContext for another run")
        self.success = False
        try:
            self.run_id = self.tracker.start_run(self._notes, job=self._job)
            self._pid = os.getpid()
        except BaseException:
            # The block is not entered, so nobody else would end it.
            self.tracker.finish(self.run_id, RunStatus.ABANDONED)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run as the block ended; the exception goes on its way."""
        creator, self._pid = self._pid, None
        try:
            if error is not None and not is_clean_exit(error) and not is_stop(error):
                self._record(error)
            self.success = error is None or is_clean_exit(error)
            # A forked child that leaves the block it inherited ends nothing: the run is its parent's.
            if not self._is_attached and creator == os.getpid():
                status, notes, by = _ending_of(error)
                self.tracker.end_as(self.run_id, status, notes, ended_by=by)
        except BaseException:
            # Interrupted: the run ends as its block did, since nobody else would end it.
            if not self._is_attached and creator == os.getpid():
                status, notes, by = _ending_of(error)
                self.tracker.finish(self.run_id, status, notes, ended_by=by)
            raise

    def _record(self, error: BaseException, phase: str | None = None) -> None:
        if getattr(error, _RECORDED_MARK, None) != self.run_id:
            self.log_error(error, phase=phase)

    def log_request(
        self,
        endpoint: str,
        offset: int | None,
        limit: int | None,
        status: int | None,
        count: int,
        duration: float,
        *,
        throttled: bool = False,
        error: BaseException | str | None = None,
    ) -> bool:
        """Record one HTTP request, `duration` in milliseconds (see the tracker's method); True when recorded."""
        return self.tracker.log_request(
            self.run_id, endpoint, offset, limit, status, count, duration, throttled=throttled, error=error
        )

    def log_source_count(self, entity: str, count: int) -> bool:
        """Record how many items a source has of an entity; True when recorded."""
        return self.tracker.log_source_count(self.run_id, entity, count)

    def log_phase(
        self,
        phase_name: str,
        status: str,
        *,
        totals: Mapping[str, int] | None = None,
        processed: Mapping[str, int] | None = None,
        memory_mb: float | None = None,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
    ) -> bool:
        """Record a phase's state and its counts by unit (see the tracker's method); True when recorded."""
        return self.tracker.log_phase(
            self.run_id,
            phase_name,
            status,
            totals=totals,
            processed=processed,
            memory_mb=memory_mb,
            started_at=started_at,
            ended_at=ended_at,
        )

    def log_error(self, error: BaseException | str, *, phase: str | None = None) -> bool:
        """Record an exception or a message; True when recorded. The run's end will not record it once more."""
        recorded = self.tracker.log_error(self.run_id, error, phase=phase)
        if recorded and isinstance(error, BaseException):
            # An exception class may forbid new attributes; then its record may be there twice.
            with contextlib.suppress(Exception):
                setattr(error, _RECORDED_MARK, self.run_id)
        return recorded

    def phase(self, phase_name: str, **totals: int) -> PhaseContext:
        """Return a phase as a `with` block, its expected counts by unit: `run.phase('extract', contacts=1000)`.

        It completes or fails with the block, and its exception is recorded under its name. A unit may be written as
        `ETLContext` writes it, `total_contacts`.
        """
        return PhaseContext(self, phase_name, {unit.removeprefix("total_"): count for unit, count in totals.items()})


class PhaseContext:
    """A phase of a run for the length of a `with` block."""

    def __init__(self, run: ETLRunContext, phase_name: str, totals: Mapping[str, int]) -> None:
        self._run = run
        self.phase_name = phase_name
        expected = run.tracker.arguments.counts("totals", totals)
        self.totals = {unit: whole_number(number, 0, MAX_INTEGER)[0] for unit, number in expected.items()}
        self.processed: dict[str, int] = {}
        """What was done so far, by unit."""

        self._pace = Pace(PROGRESS_INTERVAL_S, self._tell_progress)
        # Also of one that is used without its block.
        self._status = PhaseStatus.RUNNING

    def __reduce__(self) -> tuple[object, ...]:
        """Let a phase be handed to another process, which tells of it at a pace of its own."""
        return type(self), (self._run, self.phase_name, self.totals), {"processed": self.processed}

    def __enter__(self) -> Self:
        """Begin the phase."""
        self.processed = dict.fromkeys(self.totals, 0)
        self._tell(PhaseStatus.RUNNING)
        return self

    def update(self, **units: int) -> None:
        """Add to what was done, by unit; a negative number counts as 0.

        The store is told about once a second: what this call does not tell is told by a later one, by the phase's end,
        or within two seconds by this process's heartbeat, also of a job that hangs and of an attached run. What comes
        after the phase's end is not told.
        """
        for unit, number in self._run.tracker.arguments.counts("units", units).items():
            self.processed[unit] = self.processed.get(unit, 0) + whole_number(number, 0, MAX_INTEGER)[0]
        if self._run.run_id is not None:
            self._pace.counted()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete or fail the phase as the block ended; the exception goes on its way."""
        if error is None or is_clean_exit(error):
            self._tell(PhaseStatus.COMPLETED)
            return
        if not is_stop(error):
            self._run._record(error, self.phase_name)
        self._tell(PhaseStatus.FAILED)

    def _tell(self, status: PhaseStatus) -> None:
        with self._pace:
            self._status = status
            self._pace.told()
            self._record()

    def _tell_progress(self) -> None:
        if self._status is PhaseStatus.RUNNING:
            self._record()

    def _record(self) -> None:
        # A copy, made in one step: another thread may add a unit meanwhile.
        processed = self.processed.copy()
        self._run.log_phase(self.phase_name, self._status, totals=self.totals, processed=processed)


def _ending_of(error: BaseException | None) -> tuple[RunStatus, str | None, str]:
    """Return how a run ends whose block ended so: status, notes, and by what."""
    if error is None or is_clean_exit(error):
        return RunStatus.COMPLETED, None, "job"
    if is_stop(error):
        by = "signal SIGINT" if isinstance(error, KeyboardInterrupt) else "job"
        return RunStatus.TERMINATED, _message_of(error), by
    return RunStatus.FAILED, _message_of(error), "job"


def _message_of(error: BaseException) -> str:
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return f"exit status {int(error.code)}"
    from tracking_core.failures import first_leaf, message_of

    return message_of(error) or type(first_leaf(error)).__name__
