"""Errors by fingerprint, in one run and over all runs: how often, since when, new or known, and mended or not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tracking_core.dataclass import dataclass
from tracking_core.records import ErrorGroup, ErrorRecord, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorKind:
    """All errors of one job and fingerprint, as seen from a stretch of time or from one run."""

    fingerprint: str
    error_type: str
    message: str
    """Of the newest one, as are phase, job and run_id."""

    phase: str | None
    job: str
    """'' when its run was removed."""

    run_id: int
    run: Run | None = None
    """The run of the newest one; None when it was removed."""

    errors: int
    """Within the stretch or the run."""

    cut: bool = False
    """Whether these are more than were counted."""

    first_at: datetime
    last_at: datetime
    all_errors: int
    """Whenever they happened, as are the next two."""

    all_runs: int
    all_cut: bool = False
    """Whether both are more than were counted."""

    seen_since: datetime
    new: bool
    """Whether no run before the newest one had it."""

    succeeded: str = ""
    """Which phase of its job is held against it: its own, '' for the whole job where it has no such phase."""

    succeeded_at: datetime | None = None
    """When that last completed; None when it has not among the job's last runs."""

    @property
    def key(self) -> tuple[str, str]:
        """Job and fingerprint: what makes a kind."""
        return self.job, self.fingerprint

    @property
    def mended(self) -> bool:
        """Whether that has completed since."""
        return self.succeeded_at is not None and self.succeeded_at > self.last_at


def kind_of(
    seen: ErrorGroup,
    always: ErrorGroup | None,
    run: Run | None,
    *,
    succeeded: str = "",
    succeeded_at: datetime | None = None,
) -> ErrorKind:
    """Return a kind from its group in a stretch of time, its group over all time, and the run of its newest error."""
    whole = always or seen
    return ErrorKind(
        fingerprint=seen.fingerprint,
        error_type=seen.error_type,
        message=seen.message,
        phase=seen.phase,
        job=seen.job,
        run_id=seen.run_id,
        run=run,
        errors=seen.errors,
        cut=seen.cut,
        first_at=seen.first_at,
        last_at=seen.last_at,
        all_errors=max(whole.errors, seen.errors),
        all_runs=max(whole.runs, seen.runs),
        all_cut=whole.cut,
        seen_since=whole.first_at,
        new=(whole.runs == 1 and not whole.cut) or (run is not None and whole.first_at >= run.started_at),
        succeeded=succeeded,
        succeeded_at=succeeded_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorsOfKind:
    """The errors of one run that share a fingerprint, as far as they were read."""

    group: ErrorGroup
    newest: ErrorRecord
    kind: ErrorKind | None = None
    """What all runs have of it; None while nobody has asked."""

    @property
    def fingerprint(self) -> str:
        """What they share."""
        return self.group.fingerprint


def group_errors(run: Run, errors: Iterable[ErrorRecord], kinds: Iterable[ErrorKind] = ()) -> list[ErrorsOfKind]:
    """Return the errors of one run by fingerprint: those that no earlier run had first, then the newest first."""
    kind_by_fingerprint = {kind.fingerprint: kind for kind in kinds}
    by_fingerprint: dict[str, list[ErrorRecord]] = {}
    for error in errors:
        by_fingerprint.setdefault(error.fingerprint, []).append(error)
    found = []
    for fingerprint, members in by_fingerprint.items():
        newest = max(members, key=lambda error: error.at)
        group = ErrorGroup(
            job=run.job,
            fingerprint=fingerprint,
            errors=len(members),
            runs=1,
            first_at=min(error.at for error in members),
            last_at=newest.at,
            run_id=run.run_id,
            phase=newest.phase,
            error_type=newest.error_type,
            message=newest.message,
        )
        found.append(ErrorsOfKind(group=group, newest=newest, kind=kind_by_fingerprint.get(fingerprint)))
    return sorted(found, key=lambda each: (each.kind is not None and each.kind.new, each.group.last_at), reverse=True)


def groups_of_run(run: Run, errors: Iterable[ErrorRecord]) -> list[ErrorGroup]:
    """Return the errors of one run by kind, the newest kind first."""
    return [each.group for each in group_errors(run, errors)]
