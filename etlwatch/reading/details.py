"""Everything that is read of one run: the one that is open, and both sides of a comparison.

What grows with a run's length is read again only where it can have changed: of its series the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from etlwatch.analysis.as_of import RunAsOf, unknown_of
from etlwatch.analysis.baseline import JobBaseline
from etlwatch.analysis.coverage import coverage_of
from etlwatch.analysis.findings import Finding
from etlwatch.analysis.snapshot import RunDetails
from etlwatch.analysis.states import Thresholds
from etlwatch.reading.errors import kinds_of_errors
from etlwatch.reading.health import read_baseline, read_health_of_run
from etlwatch.reading.past import counted_later
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import ErrorRecord, Run, RunStatus, SeriesCell
from tracking_core.store.queries import Reader

MOST_ERRORS: Final = 200
"""Errors of an open run that are read, newest first."""

MOST_PAGES: Final = 20_000
"""Raw requests that are read to find holes and overlaps; a run with more of them is not searched."""

MOST_SEARCHED: Final = 10 * MOST_PAGES
"""Requests of a run among which those with pages are looked for; a longer one is not searched either."""

PAGES_EVERY_S: Final = 60
"""How often they are read again while the open run moves."""

DETAIL_EVERY_S: Final = 10
"""How often the series of an open run is read again while it moves: its cells are no finer."""

KINDS_EVERY_S: Final = 60
"""How often it is asked again what other runs know of the open run's errors."""


class RunDetailsCache:
    """Ask for all of the open run that may have changed. Not thread-safe: one poller owns it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget every answer."""
        self._stamps: dict[str, object] = {}
        """What the open run was like when each part of its details was read."""

        self._held: RunDetails | None = None
        self._errors = 0
        """How many errors it had when they were read."""

    def read(self, reader: Reader, run_id: int | None, now_s: float) -> RunDetails | None:
        """Return the details of the open run, None while none is open; raises the reader's StoreError."""
        if run_id is None:
            self.forget()
            return None
        if self._held is None or self._held.run_id != run_id:
            self.forget()
            self._held = RunDetails(run=None, run_id=run_id)
        run = reader.run(run_id)
        held = replace(self._held, run=run)
        if isinstance(run, RunAsOf):
            held = replace(held, series_until=run.series_until)
        self._held = held if run is None else self._renewed(reader, held, run, int(now_s))
        return self._held

    def _renewed(self, reader: Reader, held: RunDetails, run: Run, now_s: int) -> RunDetails:
        run_id = run.run_id
        if held.reference is None:
            # What was a success before this run began is one for good.
            held = replace(held, reference=read_reference(reader, run))
        moving = run.status == RunStatus.RUNNING
        stamp = (run.requests, run.progress_at, run.status, run.emitted, run.dropped)
        if self._is_stale("quick", stamp) or moving:
            held = replace(held, **_parts(reader, run), ledger=tuple(reader.ledger(run_id)))
        if self._is_stale("slow", now_s // DETAIL_EVERY_S if moving else stamp):
            series = _series(reader, run, held.series)
            held = replace(held, series=series, samples=tuple(reader.phase_samples(run_id)))
        if run.requests and self._is_stale("pages", (now_s // PAGES_EVERY_S, True) if moving else stamp):
            held = _with_coverage(reader, held, run)
        if run.errors != self._errors:
            held = replace(held, errors=_errors(reader, run, held.errors, run.errors - self._errors))
            self._errors = run.errors
        # An error storm changes their number with every poll, and what other runs know of them hardly ever.
        fingerprints = frozenset(error.fingerprint for error in held.errors)
        if self._is_stale("kinds", (fingerprints, now_s // KINDS_EVERY_S if moving else stamp)):
            held = replace(held, kinds=tuple(kinds_of_errors(reader, run, held.errors)) if fingerprints else ())
        return held

    def _is_stale(self, part: str, stamp: object) -> bool:
        """Return whether a part was last read for another stamp, and note this one."""
        stale = self._stamps.get(part) != stamp
        self._stamps[part] = stamp
        return stale


def _with_coverage(reader: Reader, details: RunDetails, run: Run) -> RunDetails:
    """Return the details of a run with the holes and overlaps among its pages: reads raw requests."""
    found = reader.pages(run.run_id, MOST_PAGES + 1) if run.requests <= MOST_SEARCHED else []
    cut = len(found) > MOST_PAGES or run.requests > MOST_SEARCHED
    return replace(details, coverage=() if cut else coverage_of(found), coverage_cut=cut)


def _series(reader: Reader, run: Run, kept: Sequence[SeriesCell]) -> tuple[SeriesCell, ...]:
    """Return a run's series: what was read of it and its end read anew, or all of it where the two do not add up.

    Cells are counted in the transactions that count the run's requests, so their sum proves that nothing else changed;
    what a spool delivers late changes older ones.
    """
    if kept:
        since = kept[-1].bucket
        joined = (*(cell for cell in kept if cell.bucket < since), *reader.series(run.run_id, since))
        if sum(cell.requests for cell in joined) == run.requests:
            return joined
    return tuple(reader.series(run.run_id))


def _errors(reader: Reader, run: Run, kept: Sequence[ErrorRecord], new: int) -> tuple[ErrorRecord, ...]:
    """Return a run's newest errors: in a storm those that are new, and those kept of the others.

    They do not change, and each may hold a traceback of 64 KiB. Where as many of the newest as there are new ones are
    not among those kept, they are the new ones; what arrives late from a spool lies below.
    """
    if kept and 0 < new < MOST_ERRORS:
        fresh = reader.errors(run.run_id, new)
        keys = {error.key for error in kept}
        if len(fresh) == new and not any(error.key in keys for error in fresh):
            return (*fresh, *kept)[:MOST_ERRORS]
    return tuple(reader.errors(run.run_id, MOST_ERRORS)) if run.errors else ()


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
        **_parts(reader, run),
        errors=tuple(reader.errors(run_id, ERRORS_COMPARED)) if run.errors else (),
    )


def _parts(reader: Reader, run: Run) -> dict[str, Any]:
    run_id = run.run_id
    return {
        "phases": tuple(reader.phases([run_id])),
        "endpoints": tuple(reader.endpoints(run_id)),
        "source_counts": tuple(reader.source_counts([run_id])),
        "unknown": unknown_of(run, counted_later(reader, run_id)),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport(RunDetails):
    """One run with all that belongs to it, and how it does."""

    run: Run
    """In its derived state."""

    at: datetime
    """The store's clock."""

    findings: tuple[Finding, ...]
    """All that proves it lost or behind, gravest first."""

    baseline: JobBaseline
    """Of its job; of a run that has ended, of the runs before it."""

    histogram: Mapping[int, int]


def read_report(reader: Reader, run: Run, *, thresholds: Thresholds) -> RunReport:
    """Return all of one run; raises the reader's StoreError."""
    run_id, now = run.run_id, reader.now()
    health = read_health_of_run(reader, run, now=now, thresholds=thresholds)
    baseline = health.baselines.get(run.job)
    return RunReport(
        run=health.runs[0],
        run_id=run_id,
        at=now,
        findings=health.findings.get(run_id, ()),
        baseline=baseline or read_baseline(reader, run.job, before=run.started_at, in_full=False),
        histogram=reader.latencies([run_id]).get(run_id, {}),
        **_parts(reader, run),
        errors=tuple(reader.errors(run_id, MOST_ERRORS)) if run.errors else (),
        ledger=tuple(reader.ledger(run_id)),
    )
