"""What is asked of a store to compare two runs, or one with the last success of its job before it.

Contains these questions, for `etlwatch compare` and the screens alike.
"""

from __future__ import annotations

from typing import Final

from etlwatch.analysis.as_of import unknown_of
from etlwatch.analysis.snapshot import RunDetails
from tracking_core.records import Run
from tracking_core.store.base import Reader

__all__ = ["last_success", "read_reference", "read_side"]

ERRORS_COMPARED: Final = 1_000
"""Errors of each run that are compared by kind, the newest."""


def last_success(reader: Reader, run: Run) -> Run | None:
    """Return the newest completed run of a run's job that began before it; None without one."""
    found = reader.runs_of_job(run.job, 1, completed=True, before=run.started_at)
    return found[0] if found else None


def read_reference(reader: Reader, run: Run) -> RunDetails:
    """Return the last success before a run, one without a run where there is none; raises the reader's StoreError."""
    found = last_success(reader, run)
    return RunDetails(run=None, run_id=0) if found is None else read_side(reader, found)


def read_side(reader: Reader, run: Run) -> RunDetails:
    """Return all of a run that is compared; raises the reader's StoreError."""
    run_id = run.run_id
    return RunDetails(
        run=run,
        run_id=run_id,
        phases=tuple(reader.phases([run_id])),
        endpoints=tuple(reader.endpoints(run_id)),
        source_counts=tuple(reader.source_counts(run_id)),
        errors=tuple(reader.errors(run_id, ERRORS_COMPARED)) if run.errors else (),
        unknown=unknown_of(run),
    )
