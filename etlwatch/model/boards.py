"""What beside the runs is on screen: all jobs, all kinds of errors, or two runs side by side; asked for, and answered.

Owns the records of question and answer that travel between screens and poller. Refuses to own the asking
(`etlwatch.gather_boards`) and what is drawn from the answers. One board is on screen at a time.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, TypeAlias

from tracking_core.dataclass import dataclass

if TYPE_CHECKING:
    from etlwatch.model.error_groups import ErrorKind
    from etlwatch.model.jobs import JobHistory
    from etlwatch.model.snapshot import RunDetails

__all__ = ["AnyBoard", "AskedBoard", "AskedErrors", "AskedJobs", "AskedRuns", "ErrorsBoard", "JobsBoard", "RunsBoard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedJobs:
    """All jobs."""

    zone: tzinfo | None = None
    """In which the times of day are that jobs begin at; None is the local one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedErrors:
    """All kinds of errors in a window."""

    window_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRuns:
    """A run and what it is held against."""

    after: int
    before: int | None = None
    """None for the last success of its job before it."""


AskedBoard: TypeAlias = AskedJobs | AskedErrors | AskedRuns


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsBoard:
    """The jobs that have been read by now."""

    histories: tuple[JobHistory, ...]
    complete: bool
    """Whether these are all, or as many as are kept."""

    there_are: int = 0
    """How many jobs have runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsBoard:
    """The kinds of errors since a moment, what needs somebody first."""

    since: datetime
    kinds: tuple[ErrorKind, ...]
    cut: bool = False
    """Whether these are only the newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsBoard:
    """Both sides of a comparison."""

    after: RunDetails
    """Its run is None when the store does not hold it (any more), as of the other side."""

    before: RunDetails | None
    """None where the job had no success before."""


AnyBoard: TypeAlias = JobsBoard | ErrorsBoard | RunsBoard
