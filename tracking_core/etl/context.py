"""The state that the components of an ETL job share: phases, statistics, errors, resources, one connection.

Counting is in progress.py, memory in memory.py, reports to a tracked run in recorder.py.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from os import PathLike
from time import monotonic
from types import TracebackType
from typing import Any, Self

from tracking_core.etl.connection import JobConnection
from tracking_core.etl.progress import (
    DEFAULT_PHASES,
    DEFAULT_UNITS,
    MemoryMonitor,
    ProgressTracker,
    checked_phases,
    checked_units,
)
from tracking_core.etl.recorder import PhaseRecorder, PhaseReporter
from tracking_core.etl.values import copy_containers, json_ready, now
from tracking_core.events import PhaseStatus
from tracking_core.failures import Failure
from tracking_core.process.heartbeat import Throttle
from tracking_core.process.interrupts import error_behind, is_clean_exit, is_recorded, mark_recorded
from tracking_core.process.locks import ReentrantLock

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 0.5
"""Progress of a phase is reported at most this often; starts, ends and errors always."""


class ETLContext:
    """Hold configuration, phase states, progress, errors and resources for all components of one job.

    In memory alone it needs no database. With `run` it also reports phases, progress, memory and errors to a
    tracked run, best-effort and never raising. Safe to use from several threads. Source: the second seed.

    Attributes beside the parameters: `current_phase` (None between phases), `phase_status` by phase (pending, running,
    completed or failed), `progress_tracker`, `memory_monitor`, and `statistics`, a plain dict that the job may add to:
    `phases` by name, `total`, and `errors` from the first error on.
    """

    def __init__(
        self,
        db_config: Mapping[str, Any] | str | object | None = None,
        batch_size: int = 100,
        memory_limit_mb: float | None = None,
        parallel_processing: bool = False,
        output_dir: str | PathLike[str] | None = None,
        *,
        phases: Iterable[str] = DEFAULT_PHASES,
        units: Iterable[str] = DEFAULT_UNITS,
        run: PhaseRecorder | tuple[PhaseRecorder, int | None] | None = None,
    ) -> None:
        """Make a context with every phase pending; connect to nothing.

        `memory_limit_mb` is in MB, None for no limit. `units` are what the job counts: each gives the parameters
        `total_<unit>` of `start_phase` and `<unit>` of `update_progress`. `run` is an `ETLRunContext` or a
        `(tracker, run_id)` pair.

        Raises TypeError or ValueError for a limit, phase, unit or run that is none.
        """
        self.db_config = db_config
        self.batch_size = batch_size
        self.memory_limit_mb = memory_limit_mb
        self.parallel_processing = parallel_processing
        self.output_dir = output_dir
        self.phases = checked_phases(phases)
        unit_names = checked_units(units)
        self.units = tuple(name.unit for name in unit_names)
        self.run = run

        # Guards phases, counters, peaks, statistics and resources; held for moments, never while something is
        # reported or opened. Where both are taken, the turn of the throttle comes first.
        self._lock = ReentrantLock()
        self.current_phase: str | None = None
        self.phase_status: dict[str, str] = dict.fromkeys(self.phases, PhaseStatus.PENDING.value)
        self.progress_tracker = ProgressTracker(self.units, lock=self._lock)
        self.memory_monitor = MemoryMonitor(memory_limit_mb, lock=self._lock)
        self.statistics: dict[str, Any] = {
            "phases": {},
            "total": {
                "start_time": now(),
                "end_time": None,
                "duration_seconds": 0,
                **{name.processed_in_all: 0 for name in unit_names},
            },
        }
        self._unit_names = unit_names
        self._started = monotonic()
        self._connection = JobConnection()
        self._resources: dict[str, Any] = {}
        self._reporter = PhaseReporter(run)
        self._throttle = Throttle(PROGRESS_INTERVAL_S, self._report_progress)
        self._announced = False
        self._handled_at_start: BaseException | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of, at one moment: without the connection, and with locks of its own."""
        with self._lock:
            left_behind = {"_throttle", "_connection", "_handled_at_start"}
            return {
                **{name: value for name, value in self.__dict__.items() if name not in left_behind},
                "phase_status": self.phase_status.copy(),
                "statistics": copy_containers(self.statistics),
                "_resources": self._resources.copy(),
                "_started": monotonic() - self._started,
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._started = monotonic() - self._started
        self._connection = JobConnection()
        self._throttle = Throttle(PROGRESS_INTERVAL_S, self._report_progress)
        self._handled_at_start = None

    def start_phase(self, phase_name: str, *totals: int, **named_totals: int) -> None:
        """Start a phase, with `total_<unit>` by position or name, 0 where not yet known.

        A phase may be run again: totals of all phases go on, its own statistics are replaced at its end.

        Raises ValueError for an unknown phase or while a phase is in progress, TypeError or ValueError for totals that
        are unknown, negative or no counts; nothing has changed then.
        """
        with self._throttle:
            with self._lock:
                self._require_phase(phase_name)
                if self.current_phase:
                    raise ValueError(
                        f"Cannot start phase '{phase_name}': Phase '{self.current_phase}' is already in progress"
                    )
                self.progress_tracker.start_phase(phase_name, *totals, **named_totals)
                self.memory_monitor.begin_phase()
                self.current_phase = phase_name
                self.phase_status[phase_name] = PhaseStatus.RUNNING.value
                self._handled_at_start = sys.exception()
            self._throttle.begin()
            memory_mb = self.memory_monitor.sample()
            # At the first start every phase is reported, in order: the run shows "2/3", and what is still to come.
            for name in (phase_name,) if self._announced else self.phases:
                self._tell_phase(name, memory_mb if name == phase_name else None)
            self._announced = True
        logger.info("Started ETL phase: %s", phase_name)

    def end_phase(self, result: dict[str, Any] | None = None) -> dict[str, Any]:
        """End the current phase and return a copy of its statistics with `status`, and with `result` over them.

        The status is `result['status']`, else failed after `record_error` for this phase or while an exception
        propagates (as in `finally`; also in an `except` block, where a phase that went well needs its status), else
        completed. Statistics are those of `ProgressTracker.finish_phase` and `peak_memory_mb`.

        Raises ValueError when no phase is in progress, when `result` is no dict, or when its status is neither
        completed nor failed; nothing has changed then.
        """
        # Read ahead of the lock; an early sample also counts towards the phase's peak.
        self.memory_monitor.sample()
        with self._throttle:
            with self._lock:
                phase_name = self.current_phase
                if not phase_name:
                    raise ValueError("Cannot end phase: No phase is currently in progress")
                if result is not None and not isinstance(result, dict):
                    raise ValueError("Result must be a dictionary or None")
                status = self._final_status(phase_name, result or {})
                peak_mb = self.memory_monitor.phase_peak_mb
                processed = self.progress_tracker.processed
                outcome = copy_containers(
                    {
                        **self.progress_tracker.finish_phase(),
                        "peak_memory_mb": peak_mb,
                        "status": status,
                        **(result or {}),
                    }
                )
                returned: dict[str, Any] = copy_containers(outcome)
                self.statistics["phases"][phase_name] = outcome
                # From the counters: a `result` with keys of the same name does not change what was processed.
                for name in self._unit_names:
                    self.statistics["total"][name.processed_in_all] += processed[name.unit]
                self.phase_status[phase_name] = status
                self.current_phase = self._handled_at_start = None
            self._tell_phase(phase_name, peak_mb or None)
        logger.info("Completed ETL phase: %s (Status: %s)", phase_name, status)
        return returned

    def phase(self, phase_name: str, *totals: int, **named_totals: int) -> PhaseBlock:
        """Return a phase as a `with` block: it starts with the block, and completes or fails with it.

        Entering raises what `start_phase` raises.
        """
        return PhaseBlock(self, phase_name, totals, named_totals)

    def update_progress(self, *increments: int, **named_increments: int) -> None:
        """Add to the processed counts of the current phase, `<unit>` by position or name; then check the memory.

        Raises ValueError when no phase is in progress, TypeError or ValueError for increments that are unknown,
        negative or no counts (nothing has changed then), and MemoryError above the memory limit: the work is counted
        and stored by then.

        It is reported about twice a second: what this call does not report is sent by a later one, by the phase's
        end, or within two seconds by this process's heartbeat, also of a job that hangs and of an attached run.
        """
        with self._lock:
            if not self.current_phase:
                raise ValueError("Cannot update progress: No phase is currently in progress")
            self.progress_tracker.update(*increments, **named_increments)
        if self._reporter.has_recorder:
            self._throttle.counted(aside=self._reporter.reports_aside)
        try:
            self.memory_monitor.check_progress()
        except MemoryError:
            with self._throttle:
                self._throttle.reported()
                self._report_progress()
            raise

    def get_phase_status(self, phase: str) -> str:
        """Return pending, running, completed or failed.

        Raises ValueError for an unknown phase.
        """
        with self._lock:
            self._require_phase(phase)
            return self.phase_status[phase]

    def set_phase_status(self, phase: str, status: str) -> None:
        """Set a phase's status to pending, running, completed or failed; neither starts nor ends it.

        Raises ValueError for an unknown phase or status.
        """
        with self._throttle:
            with self._lock:
                self._require_phase(phase)
                valid_statuses = [known.value for known in PhaseStatus if known is not PhaseStatus.SKIPPED]
                if status not in valid_statuses:
                    raise ValueError(f"Invalid status: {status}. Valid statuses are: {', '.join(valid_statuses)}")
                self.phase_status[phase] = str(status)
            self._tell_phase(phase, None)
        logger.info("ETL phase '%s' status changed to '%s'", phase, status)

    def record_error(self, phase: str, error: BaseException | str) -> dict[str, Any]:
        """Record an error of a phase, which is failed from now on, and return a copy of what was recorded.

        A current phase stays current until `end_phase`. Keys: `error_type`, `error_message`, `timestamp`, `phase` and
        `traceback`, the exception's own; for a string the type is `str` and the traceback empty.

        Raises ValueError for an unknown phase, TypeError for what is neither exception nor string.
        """
        with self._lock:
            self._require_phase(phase)
        failure = Failure.from_error(error)
        details = {
            "error_type": failure.error_type,
            "error_message": failure.message,
            "timestamp": now().isoformat(),
            "phase": phase,
            "traceback": failure.traceback,
        }
        with self._throttle:
            with self._lock:
                self.statistics.setdefault("errors", []).append(details)
                self.phase_status[phase] = PhaseStatus.FAILED.value
            mark_recorded(error, id(self))
            self._reporter.report_error(error, phase)
            self._tell_phase(phase, None)
        logger.error("Error in ETL phase '%s': %s", phase, failure.message)
        return dict(details)

    def finalize(self) -> None:
        """Set `end_time` (aware, UTC) and `duration_seconds` (monotonic, since the context was made) of the total."""
        with self._lock:
            self.statistics["total"]["end_time"] = now()
            self.statistics["total"]["duration_seconds"] = monotonic() - self._started

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready deep copy of the statistics, with `current_phase` and `phase_status` beside them.

        Times are ISO 8601 text; configuration and resources are left out.
        """
        with self._lock:
            state = {**self.statistics, "current_phase": self.current_phase, "phase_status": self.phase_status}
            ready: dict[str, Any] = json_ready(state)
            return ready

    def get_db_connection(self) -> Any:
        """Return the job's connection, a psycopg or sqlite3 one; open it where there is none or it was closed.

        Shared by the components; whoever made the context closes it. In psycopg 3 `with connection:` commits and then
        closes it, which psycopg2 did not; `with connection.transaction():` keeps it open.

        Raises ValueError when `db_config` is None or fits no accepted form; what the driver raises passes through.
        """
        return self._connection.get(self.db_config)

    def close_db_connection(self) -> None:
        """Close the job's connection if there is one."""
        self._connection.close()

    def set_resource(self, key: str, value: Any) -> None:
        """Keep a value under a key for other components."""
        with self._lock:
            self._resources[key] = value

    def get_resource(self, key: str, default: Any = None) -> Any:
        """Return the value kept under a key, or `default`."""
        with self._lock:
            return self._resources.get(key, default)

    def _require_phase(self, phase: str) -> None:
        if phase not in self.phase_status:
            raise ValueError(f"Invalid phase name: {phase}. Valid phases are: {', '.join(self.phase_status)}")

    def _final_status(self, phase_name: str, result: dict[str, Any]) -> str:
        """Return the status with which the phase ends."""
        if "status" not in result:
            error = sys.exception()
            # Not one that was being handled when the phase started, nor one that just ends a loop or a program well.
            propagates = not (error is None or error is self._handled_at_start or is_clean_exit(error))
            propagates = propagates and not isinstance(error, (StopIteration, StopAsyncIteration))
            failed = self.phase_status[phase_name] == PhaseStatus.FAILED or propagates
            return (PhaseStatus.FAILED if failed else PhaseStatus.COMPLETED).value
        allowed = (PhaseStatus.COMPLETED.value, PhaseStatus.FAILED.value)
        if result["status"] not in allowed:
            raise ValueError(f"Invalid status: {result['status']}. Valid statuses are: {', '.join(allowed)}")
        return str(result["status"])

    def _tell_phase(self, phase_name: str, memory_mb: float | None) -> None:
        """Tell the run how the phase stands; the caller has the turn."""
        with self._lock:
            status = self.phase_status[phase_name]
            # The counters are those of the phase that was started last.
            counted = self.progress_tracker.phase == phase_name
            totals = self.progress_tracker.totals if counted else None
            processed = self.progress_tracker.processed if counted else None
        limit_mb = self.memory_monitor.memory_limit_mb if counted else None
        self._reporter.report_phase(
            phase_name, status, totals=totals, processed=processed, memory_mb=memory_mb, memory_limit_mb=limit_mb
        )

    def _report_progress(self) -> None:
        """Tell the run how far the current phase has come; the caller has the turn."""
        phase_name = self.current_phase
        if phase_name is not None:
            self._tell_phase(phase_name, self.memory_monitor.sample())


class PhaseBlock:
    """Start a phase with a block, and end it as the block ends; made by `ETLContext.phase`.

    An exception is recorded, fails the phase and goes on. As for the run, `sys.exit()` and `sys.exit(0)`
    complete it; ctrl-c and a cancelled task fail it and are no error, and of
    another `sys.exit` the exception is recorded that was being handled. A block may end its phase itself.
    """

    # A class, not a generator: that one's frame would stand in every traceback that is recorded.
    __slots__ = ("_context", "_handled_before", "_named_totals", "_totals", "name", "result")

    def __init__(
        self, context: ETLContext, name: str, totals: tuple[int, ...], named_totals: Mapping[str, int]
    ) -> None:
        """Stand for a phase that is started when the block is entered."""
        self._context = context
        self._totals = totals
        self._named_totals = named_totals
        self._handled_before: BaseException | None = None
        self.name = name
        self.result: dict[str, Any] = {}
        """What the block adds to the phase's statistics, given to `end_phase`."""

    def update(self, *increments: int, **named_increments: int) -> None:
        """Count processed work; raises what `ETLContext.update_progress` raises."""
        self._context.update_progress(*increments, **named_increments)

    def __enter__(self) -> Self:
        """Start the phase; raises what `ETLContext.start_phase` raises."""
        self._handled_before = sys.exception()
        self._context.start_phase(self.name, *self._totals, **self._named_totals)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the phase; the exception goes on."""
        if error is None or is_clean_exit(error):
            self._end(self.result)
            return
        behind = error_behind(error, self._handled_before)
        if behind is not None and not is_recorded(behind, id(self._context)):
            self._context.record_error(self.name, behind)
        self._end({**self.result, "status": PhaseStatus.FAILED.value})

    def _end(self, result: dict[str, Any]) -> None:
        if self._context.current_phase == self.name:
            self._context.end_phase(result)
