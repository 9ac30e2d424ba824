"""A run as a `with` block: it begins with the block and ends as the block ends.

Signals that do not arrive as exceptions are handled in process/exit.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tracking_core.events import PhaseStatus, RunStatus
from tracking_core.process.forks import renew_in_child
from tracking_core.process.heartbeat import Throttle
from tracking_core.process.interrupts import error_behind, is_clean_exit, is_recorded, is_stop, load
from tracking_core.process.locks import ReentrantLock
from tracking_core.sanitize import MAX_INTEGER, whole_number

if TYPE_CHECKING:
    from datetime import datetime

    from tracking_core.tracker import SimpleETLTracker

PROGRESS_INTERVAL_S = 1.0
"""`PhaseContext.update` reports at most this often."""


class ETLRunContext:
    """Begin a run with the block, end it as the block ends, and record into it without naming its id.

    A clean exit completes the run. An exception is recorded with its traceback, fails the run with its message (its
    class name when that is empty) and goes on its way; `sys.exit()` and `sys.exit(0)` complete it, ctrl-c ends it as
    terminated. Recording methods return what the tracker's return: recorded or not.
    """

    def __init__(
        self,
        tracker: SimpleETLTracker,
        notes: str | None = None,
        *,
        job: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.tracker = tracker
        self.run_id: int | None = None
        """None before the block, and when tracking was off at its beginning: then every method returns False."""

        self.success = False
        """Whether the block, or `end_run` within it, ended the run well; False until then."""

        self._ended_well = True
        self._notes = notes
        self._job = job
        self._tags = tags
        self._is_attached = False
        self._pid: int | None = None
        self._handled_before: BaseException | None = None

    @classmethod
    def attached(cls, tracker: SimpleETLTracker, run_id: int | None) -> Self:
        """Return a context for a run begun elsewhere, which it will not end: what `SimpleETLTracker.attach` gives."""
        context = cls(tracker)
        context.run_id = run_id
        context._is_attached = True
        return context

    def __reduce__(self) -> tuple[object, ...]:
        """Let a run be handed to another process, which records into it and does not end it."""
        return type(self.tracker).adopt, (self.tracker, self.run_id, self.tracker.start_of(self.run_id))

    def __enter__(self) -> Self:
        """Begin the run; RuntimeError when this context's run is under way."""
        if self._is_attached:
            return self
        with _open.lock:
            if self._pid is not None:
                raise RuntimeError("this run is under way already; make another ETLRunContext for another run")
            self._pid = os.getpid()
        try:
            self.success, self._ended_well, self._handled_before = False, True, sys.exception()
            self.run_id = self.tracker.start_run(self._notes, job=self._job, tags=self._tags)
            self.tracker.note_block(self)
        except BaseException:
            # The block is not entered, so nobody else would end it.
            self._pid = None
            self.tracker.finish(self.run_id, RunStatus.ABANDONED)
            raise
        return self

    def note_end(self, *, well: bool) -> None:
        """Take in how the run was ended within the block."""
        self.success = self._ended_well = well

    async def __aenter__(self) -> Self:
        """Begin the run as `with` does: with immediate delivery the loop waits for the store."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run as `with` does."""
        self.__exit__(kind, error, trace)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the run as the block ended; the exception goes on its way."""
        creator, self._pid = self._pid, None
        before, self._handled_before = self._handled_before, None
        try:
            self._record(error_behind(error, before))
            self.success = (error is None or is_clean_exit(error)) and self._ended_well
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

    def _record(self, error: BaseException | None, phase: str | None = None) -> None:
        if error is not None and not is_recorded(error, self.run_id):
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
        memory_limit_mb: float | None = None,
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
            memory_limit_mb=memory_limit_mb,
        )

    def log_error(self, error: BaseException | str, *, phase: str | None = None) -> bool:
        """Record an exception or a message; True when recorded. The run's end will not record it once more."""
        return self.tracker.log_error(self.run_id, error, phase=phase)

    def end_run(self, success: bool, notes: str | None = None) -> bool:
        """End the run before its block does, which then ends nothing; True when recorded. Also of an attached run."""
        return self.tracker.end_run(self.run_id, success, notes)

    def phase(self, phase_name: str, **totals: int) -> PhaseContext:
        """Return a phase as a `with` block, its expected counts by unit: `run.phase('extract', contacts=1000)`.

        It completes or fails with the block, and its exception is recorded under its name. A unit may be written as
        `ETLContext` writes it, `total_contacts`.
        """
        return PhaseContext(self, phase_name, {unit.removeprefix("total_"): count for unit, count in totals.items()})


class PhaseContext:
    """A phase of a run for the length of a `with` block.

    Those of one run and name that are open at the same time in this process are one phase: their totals and counts add
    up, it is over when the last block is left, and failed if one of them failed.
    """

    def __init__(self, run: ETLRunContext, phase_name: str, totals: Mapping[str, int]) -> None:
        self._run = run
        self.phase_name = phase_name
        expected = run.tracker.arguments.counts("totals", totals)
        self.totals = {unit: whole_number(number, 0, MAX_INTEGER)[0] for unit, number in expected.items()}
        self.processed: dict[str, int] = {}
        """What was done so far within this block, by unit."""

        # Also of one that is used without its block.
        self._phase = _OpenPhase(self)
        self._handled_before: BaseException | None = None

    @property
    def _throttle(self) -> Throttle:
        return self._phase.throttle

    def __reduce__(self) -> tuple[object, ...]:
        """Let a phase be handed to another process, which reports it at times of its own."""
        return type(self), (self._run, self.phase_name, self.totals), {"processed": self.processed}

    def __enter__(self) -> Self:
        """Begin the phase, or join it where it is open."""
        self._handled_before = sys.exception()
        joined: list[_OpenPhase] = []
        try:
            with _open.lock:
                self._phase = _open.joined(self, joined)
            self._phase.report()
        except BaseException:
            # Interrupted: the block is not entered, so nobody would leave it.
            for phase in joined:
                phase.left([], failed=True)
            raise
        return self

    def update(self, **units: int) -> None:
        """Add to what was done, by unit; a negative number counts as 0.

        It is reported about once a second: what this call does not report is sent by a later one, by the phase's end,
        or within two seconds by this process's heartbeat, also of a job that hangs and of an attached run. What comes
        after the phase's end is not reported.
        """
        counts = self._run.tracker.arguments.counts("units", units)
        with _open.lock:
            for unit, number in counts.items():
                self.processed[unit] = self.processed.get(unit, 0) + whole_number(number, 0, MAX_INTEGER)[0]
        if self._run.run_id is not None:
            self._throttle.counted()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete or fail the phase as the block ended, if it is the last; the exception goes on its way."""
        before, self._handled_before = self._handled_before, None
        try:
            self._run._record(error_behind(error, before), self.phase_name)
        finally:
            counted_out: list[bool] = []
            try:
                self._phase.left(counted_out, failed=error is not None and not is_clean_exit(error))
            except BaseException:
                # Interrupted: the block is left nevertheless, and the phase's end reported.
                self._phase.left(counted_out, failed=error is not None and not is_clean_exit(error))
                raise


class _OpenPhase:
    """What the open blocks of one phase of one run have done together, and its reports to the run."""

    def __init__(self, member: PhaseContext) -> None:
        self.members = [member]
        self.throttle = Throttle(PROGRESS_INTERVAL_S, self._report_progress)
        self._begin()

    def _begin(self) -> None:
        self.entered = 0
        self._failed = False
        self._status = PhaseStatus.RUNNING

    def join(self, member: PhaseContext, joined: list[_OpenPhase]) -> None:
        """Count a block in, and add this to `joined` in the same step; the caller has the lock."""
        if self.entered == 0:
            self.members = []
            self._begin()
        if not any(other is member for other in self.members):
            member.processed = dict.fromkeys(member.totals, 0)
        # Once for each block, also of one object that several threads enter.
        self.members += (member,)
        self.entered += 1
        joined += (self,)

    def left(self, counted_out: list[bool], *, failed: bool) -> None:
        """Count a block out, unless `counted_out` has that done; the last one ends the phase."""
        try:
            with self.throttle:
                with _open.lock:
                    if not counted_out:
                        self.entered -= 1
                        counted_out += (True,)
                    self._failed = self._failed or failed
                    if self.entered <= 0:
                        self._status = PhaseStatus.FAILED if self._failed else PhaseStatus.COMPLETED
                self.throttle.reported()
                self._record()
        finally:
            # Not before the end is reported: it must not follow the start of a new phase of this name.
            with _open.lock:
                if self.entered <= 0:
                    _open.forget(self)

    def report(self) -> None:
        """Report the state of the phase to the run."""
        with self.throttle:
            self.throttle.reported()
            self._record()

    def _report_progress(self) -> None:
        if self._status is PhaseStatus.RUNNING:
            self._record()

    def _record(self) -> None:
        with _open.lock:
            members = self.members
            totals = _sum(member.totals for member in members)
            processed = _sum(member.processed for member in {id(member): member for member in members}.values())
            run, name, status = members[0]._run, members[0].phase_name, self._status
        run.log_phase(name, status, totals=totals, processed=processed)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for mapping in counts:
        for unit, number in mapping.items():
            found[unit] = found.get(unit, 0) + number
    return found


class _OpenPhases:
    """The phases that are open in this process, by tracker, run and name."""

    def __init__(self) -> None:
        self.lock = ReentrantLock()
        self._begin()
        # A forked child has blocks of its own.
        renew_in_child(self._begin)

    def _begin(self) -> None:
        self._phases: dict[tuple[SimpleETLTracker, int, str], _OpenPhase] = {}

    def joined(self, member: PhaseContext, joined: list[_OpenPhase]) -> _OpenPhase:
        """Return the phase that a block is part of from now on, its own where none is open; the caller has the lock."""
        run_id, phase = member._run.run_id, member._phase
        if run_id is not None:
            phase = self._phases.setdefault((member._run.tracker, run_id, member.phase_name), phase)
        phase.join(member, joined)
        return phase

    def forget(self, phase: _OpenPhase) -> None:
        """Let a new phase begin under the name of one that is over; the caller has the lock."""
        for key in [key for key, other in self._phases.items() if other is phase]:
            del self._phases[key]


_open = _OpenPhases()


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
    load("tracking_core.failures")
    from tracking_core.failures import first_leaf, message_of

    return message_of(error) or type(first_leaf(error)).__name__
