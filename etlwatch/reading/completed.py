"""The findings of completed runs: what is read of them and of the runs before them, and how long a finding holds.

One job takes a few questions, however many of its runs are looked at. What completed does not change, but for events
that arrive late from a spool.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from etlwatch.analysis.baseline import NO_BASELINE
from etlwatch.analysis.completed import Check, RunFacts, checks_of, completed_runs
from etlwatch.analysis.coverage import Coverage, coverage_of
from etlwatch.analysis.findings import Examined, Finding, findings_of
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import EndpointTotals, Phase, PhaseSample, Run, RunStatus, SourceCount
from tracking_core.store.queries import Reader

MOST_COMPARED: Final = 60
"""Completed runs of a job that one is compared with: two months of a daily job, eight of each weekday."""

PAGES_READ: Final = 20_000
"""Requests of a run with holes that are read to find them; a longer run is not searched."""

EARLIER_PAGED: Final = 3
"""Earlier runs whose pages show whether holes are usual."""

_OfRun = TypeVar("_OfRun", Phase, PhaseSample, EndpointTotals, SourceCount)
_Stamp = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedHealth:
    """What was found about completed runs."""

    findings: Mapping[int, tuple[Finding, ...]]
    """By run, those that have any."""

    jobs_left: int
    """Jobs with completed runs that are not looked at yet."""


class CompletedRunsReader:
    """Find what is wrong with completed runs, each once. Not thread-safe: one poller owns it."""

    def __init__(
        self, *, budget_s: float | None = None, at_once: int = 1, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare; `budget_s` bounds the reading in one call, None reads all; of so many jobs `at_once`."""
        self._budget_s = budget_s
        self._at_once = at_once
        self._monotonic = monotonic
        self.forget()

    def forget(self) -> None:
        """Forget every finding."""
        self._found: dict[int, tuple[_Stamp, tuple[Finding, ...]]] = {}

    def read(self, reader: Reader, runs: Iterable[Run]) -> CompletedHealth:
        """Return the findings of completed runs; raises the reader's StoreError."""
        completed = {run.run_id: run for run in runs if run.status == RunStatus.COMPLETED}
        self._found = {run_id: found for run_id, found in self._found.items() if run_id in completed}
        unread: dict[str, list[Run]] = {}
        for run in completed.values():
            if run.run_id not in self._found or self._found[run.run_id][0] != _stamp(run):
                unread.setdefault(run.job, []).append(run)
        began, jobs = self._monotonic(), list(unread)
        while jobs:
            size = len(jobs) if self._budget_s is None else self._at_once
            some, jobs = jobs[:size], jobs[size:]
            self._found |= _findings(reader, {job: unread[job] for job in some})
            if self._budget_s is not None and self._monotonic() - began >= self._budget_s:
                break
        findings = {run_id: found for run_id, (_, found) in self._found.items() if found}
        return CompletedHealth(findings=findings, jobs_left=len(jobs))


def _stamp(run: Run) -> _Stamp:
    return run.requests, run.items, run.emitted, run.dropped, run.ended_at


def _findings(reader: Reader, runs: Mapping[str, Sequence[Run]]) -> dict[int, tuple[_Stamp, tuple[Finding, ...]]]:
    """Return the findings of completed runs of some jobs, each compared with the runs before it."""
    past = reader.runs_of_jobs(runs, MOST_COMPARED, completed=True)
    facts = _facts(reader, {run.run_id: run for own in (*past.values(), *runs.values()) for run in own})
    _add_pages(reader, facts, runs, past)
    found = {}
    for job, own in runs.items():
        compared = completed_runs([facts[run.run_id] for run in reversed(past[job])])
        baseline = replace(NO_BASELINE, completed=compared)
        for run in own:
            each = facts[run.run_id]
            examined = Examined(
                run=run,
                baseline=baseline,
                now=run.ended_at or run.started_at,
                phases=each.phases,
                source_counts=each.source_counts,
                endpoints=each.endpoints,
                coverage=each.coverage,
                coverage_before=each.coverage_before,
                missing_events=each.missing_events,
            )
            found[run.run_id] = _stamp(run), findings_of(examined)
    return found


def read_checks(reader: Reader, run: Run) -> list[Check]:
    """Return the checks of one completed run against those before it; raises the reader's StoreError."""
    runs, past = {run.job: [run]}, reader.runs_of_jobs([run.job], MOST_COMPARED, completed=True)
    facts = _facts(reader, {each.run_id: each for each in (*past[run.job], run)})
    _add_pages(reader, facts, runs, past)
    own = facts[run.run_id]
    if run.requests and not own.coverage and not reader.runs_with_holes([run.run_id]):
        own = replace(own, paged=bool(reader.pages(run.run_id, 1)))
    return checks_of(own, completed_runs([facts[each.run_id] for each in reversed(past[run.job])]))


def _facts(reader: Reader, runs: Mapping[int, Run]) -> dict[int, RunFacts]:
    """Return what is compared of runs, without their pages."""
    run_ids = list(runs)
    phases, counts = by_run(reader.phases(run_ids)), by_run(reader.source_counts(run_ids))
    endpoints = by_run(reader.endpoints_of_runs(run_ids))
    return {
        run_id: RunFacts(
            run=run,
            phases=phases.get(run_id, ()),
            source_counts=counts.get(run_id, ()),
            endpoints=endpoints.get(run_id, ()),
        )
        for run_id, run in runs.items()
    }


def _add_pages(
    reader: Reader,
    facts: dict[int, RunFacts],
    runs: Mapping[str, Sequence[Run]],
    past: Mapping[str, Sequence[Run]],
) -> None:
    """Add what is missing of runs: pages where their number is not what their offsets show, and events."""
    own = {run.run_id: run for each in runs.values() for run in each}
    for run_id in reader.runs_with_holes([run_id for run_id, run in own.items() if run.requests]):
        run = own[run_id]
        earlier = [each for each in past[run.job] if each.started_at < run.started_at][:EARLIER_PAGED]
        facts[run_id] = replace(
            facts[run_id],
            coverage=_coverage(reader, run),
            coverage_before=tuple(_coverage(reader, each) for each in earlier),
        )
    for run_id, run in own.items():
        if run.emitted > run.requests + run.errors:
            missing = sum(entry.missing for entry in reader.ledger(run_id))
            facts[run_id] = replace(facts[run_id], missing_events=missing)


def by_run(records: Iterable[_OfRun]) -> dict[int, list[_OfRun]]:
    """Return records by the run that they belong to."""
    found: dict[int, list[_OfRun]] = {}
    for record in records:
        found.setdefault(record.run_id, []).append(record)
    return found


def _coverage(reader: Reader, run: Run) -> tuple[Coverage, ...]:
    pages = reader.pages(run.run_id, PAGES_READ + 1)
    return coverage_of(pages) if len(pages) <= PAGES_READ else ()
