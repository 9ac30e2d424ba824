"""Operations on a store from the dashboard: switch, close, clean up, bundle. Each runs in a thread of its own.

Each operation has a connection and a deadline of its own, and each change of the store is one transaction: an operation
that is cut off leaves nothing half done. The outcome is a record; a store that does not answer gives a `Failed`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from etlwatch.reading.poller import describe_failure
from etlwatch.rendering.operations import CleanupPreview, Failed, NotClosed, PlanChanged, Removed, SwitchStates
from tracking_core.dataclass import dataclass
from tracking_core.identity import host_name, user_name
from tracking_core.records import CleanupPlan, Run, RunStatus, Switch
from tracking_core.store.base import Store
from tracking_core.store.queries import Reader

if TYPE_CHECKING:
    from etlwatch.reading.bundle import Bundled

OPERATION_S: Final = 5.0
"""Seconds for connecting and for each read or small change."""

STEP_S: Final = 30.0
"""Seconds for one step of a removal, or the count before it: a run has many rows."""

REPORT_EVERY_S: Final = 0.2
"""Seconds between two reports: a small file takes hundreds of steps per second."""

AUDIT_READ: Final = 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBundled:
    """Why no file was written."""

    why: str


def actor() -> str:
    """Return the person for the audit: user@host."""
    return f"{user_name()}@{host_name()}"


def begin(work: Callable[[], T], receive: Callable[[T | Failed], object]) -> None:
    """Run `work` in a daemon thread and call `receive` there with its result; an error becomes a Failed."""

    def run() -> None:
        outcome: T | Failed
        try:
            outcome = work()
        except Exception as error:  # noqa: BLE001 - shown in the dialog that began it
            outcome = failure_of(error)
        # The application may have ended.
        with contextlib.suppress(RuntimeError):
            receive(outcome)

    threading.Thread(target=run, name="etlwatch-operation", daemon=True).start()


def failure_of(error: BaseException) -> Failed:
    """Return an error as text without credentials."""
    what, cause, _ = describe_failure(error)
    return Failed(what=what, cause=cause)


def read_switches(store: Store) -> SwitchStates:
    """Return the switches, the live runs, the jobs and the last audit entries, all of one moment."""
    with store.reader(OPERATION_S) as reader, reader.one_view():
        return SwitchStates(
            at=reader.now(),
            switches=tuple(reader.switches()),
            live=tuple(reader.live_runs()),
            jobs=tuple(reader.job_names()),
            audit=tuple(reader.audit(AUDIT_READ)),
        )


def turn(store: Store, *, enabled: bool, job: str | None, reason: str) -> Switch:
    """Turn the switch of all jobs (job None) or of one."""
    with store.administration(OPERATION_S) as admin:
        return admin.set_switch(enabled=enabled, job=job, actor=actor(), reason=reason)


def close_run(store: Store, run_id: int, *, reason: str, anyway: bool) -> Run | NotClosed:
    """Close a run that is lost, or `anyway` one that is not; the run as it was, or why nothing was changed."""
    with store.reader(OPERATION_S) as reader:
        run = reader.run(run_id)
    if run is None:
        return NotClosed(why="the store no longer holds this run; nothing was changed")
    if run.status != RunStatus.RUNNING:
        return NotClosed(why=f"it is already {run.status}; nothing was changed")
    if run.state != "lost" and not anyway:
        return NotClosed(why=f"it is {run.state} again, not lost; nothing was changed")
    with store.administration(OPERATION_S) as admin:
        closed = admin.close_run(run_id, actor=actor(), reason=reason)
    return run if closed else NotClosed(why="it ended a moment ago; nothing was changed")


def bundle(store: Store, run_id: int, path: Path) -> Bundled | NotBundled:
    """Copy a run into a file; the store is not changed."""
    from etlwatch.reading.bundle import bundle_run

    def find(reader: Reader) -> Run:
        run = reader.run(run_id)
        if run is None:
            raise LookupError
        return run

    try:
        with store.reader(STEP_S) as reader:
            return bundle_run(reader, find, path, source=store.label)
    except FileExistsError:
        return NotBundled(why=f"{path} is there already")
    except LookupError:
        return NotBundled(why="the store no longer holds this run")
    except OSError as error:
        return NotBundled(why=f"{path} cannot be written: {error.strerror or error}")


def read_cleanup(store: Store, days: int, *, keep_last_success: bool = False) -> CleanupPreview:
    """Return what a clean-up would remove, and how many unfinished runs are lost; nothing is changed.

    A store without runs is not opened for changes, which would create a missing file.
    """
    with store.reader(OPERATION_S) as reader:
        empty = not reader.recent_runs(1)
        live = [] if empty else reader.live_runs()
        now = reader.now()
    if empty:
        plan = CleanupPlan(
            cutoff=now - timedelta(days=days), days=days, runs=0, requests=0, errors=0, jobs=(), kept_running=0
        )
        return CleanupPreview(plan=plan, at=now, empty=True)
    with store.administration(STEP_S) as admin:
        plan = admin.plan_cleanup(days, keep_last_success=keep_last_success)
    lost = sum(run.state == "lost" and run.started_at < plan.cutoff for run in live)
    return CleanupPreview(plan=plan, at=now, lost=min(lost, plan.kept_running))


def remove(
    store: Store,
    plan: CleanupPlan,
    *,
    stopping: threading.Event,
    report: Callable[[Removed], object],
    monotonic: Callable[[], float] = time.monotonic,
) -> Removed | PlanChanged:
    """Remove what was planned step by step until `stopping` is set; return the progress, also when the store is lost.

    If a new count at the same cutoff differs from the plan, nothing is removed: PlanChanged has the new plan.
    """
    began = reported = monotonic()
    runs = steps = weeks_left = 0
    cutoff, keeping = plan.cutoff, plan.keep_last_success

    def so_far(*, stopped: bool = False, failed: Failed | None = None) -> Removed:
        seconds = monotonic() - began
        return Removed(runs=runs, steps=steps, weeks_left=weeks_left, seconds=seconds, stopped=stopped, failed=failed)

    try:
        with store.administration(STEP_S) as admin:
            again = admin.plan_cleanup(plan.days, cutoff=cutoff, keep_last_success=keeping)
            if _counted(again) != _counted(plan):
                return PlanChanged(plan=again)
            if stopping.is_set():
                return so_far(stopped=True)
            for step in admin.cleanup(plan.days, actor=actor(), cutoff=cutoff, keep_last_success=keeping):
                runs, steps = runs + step, steps + 1
                if stopping.is_set():
                    return so_far(stopped=True)
                if monotonic() - reported >= REPORT_EVERY_S:
                    reported = monotonic()
                    report(so_far())
            if plan.dropped_weeks:
                # Weeks in use could not be dropped.
                weeks_left = admin.plan_cleanup(plan.days, cutoff=cutoff, keep_last_success=keeping).dropped_weeks
    except Exception as error:  # noqa: BLE001 - what was removed before is reported with it
        return so_far(failed=failure_of(error))
    return so_far()


def _counted(plan: CleanupPlan) -> dict[str, int]:
    return {job.job: job.runs for job in plan.jobs}
