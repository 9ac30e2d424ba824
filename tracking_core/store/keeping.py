"""What a person changes, once for both dialects: the shared switch, a run closed by hand, a clean-up in steps.

Owns which statements make a deed, in which order, and its entry in the audit, written in the same transaction. How a
transaction is made belongs to the connections that inherit from this.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from typing import ClassVar

from tracking_core.arguments import days_of
from tracking_core.clock import to_microseconds
from tracking_core.errors import StoreUnavailable
from tracking_core.identity import format_run_id
from tracking_core.records import CleanupJob, CleanupPlan, Switch
from tracking_core.sanitize import clean_key, clean_text
from tracking_core.store import rows
from tracking_core.store.dialect import Dialect
from tracking_core.store.parameters import to_json
from tracking_core.store.retention import (
    Candidate,
    Pace,
    Tally,
    cutoff_of,
    first_step,
    forgotten_before,
    refused_before,
)
from tracking_core.store.rows import Row

REMOVED_WITH_A_RUN = (
    "remove_requests",
    "remove_endpoints",
    "remove_series",
    "remove_phases",
    "remove_phase_series",
    "remove_source_counts",
    "remove_errors",
    "remove_writers",
)
"""In the order in which every transaction locks the tables (DESIGN 2); the runs themselves come last."""

PATIENCE = 20
"""How many steps in a row may be taken back because their runs changed meanwhile."""

PURGES = ("purge_tombstones", "purge_batches")


class _RunsChanged(Exception):
    """A run that was chosen is running again, or ended later than it was thought to: the step is taken back."""


class Keeping(Dialect):
    """The verbs of `tracking_core.store.base.Keeper`; each raises StoreError when the store does not do its part."""

    label: str
    pace: Pace
    writers_overlap: ClassVar[bool]
    """Whether others write while a change is being made."""

    @abstractmethod
    def _change(self) -> AbstractContextManager[None]:
        """Make one transaction of the statements inside, bounded by the deadline."""

    @abstractmethod
    def _look(self) -> AbstractContextManager[None]:
        """Let all statements inside read one moment of the store."""

    @abstractmethod
    def _read(self, block: str, **parameters: object) -> list[Row]:
        """Return the rows of a block of keeping.sql, inside `_change` or `_look`."""

    @abstractmethod
    def _do(self, block: str, **parameters: object) -> int:
        """Run a block of keeping.sql inside `_change`; return the number of rows it touched."""

    @abstractmethod
    def _record(self, **parameters: object) -> int:
        """Insert an audit entry inside `_change`; return its id."""

    def _tidy(self) -> Iterator[int]:
        """Give space back after a clean-up, in steps that yield 0."""
        return iter(())

    def set_switch(self, *, enabled: bool, job: str | None, actor: str, reason: str) -> Switch:
        """Turn the shared switch of all jobs (job None) or of one; audited, also when it stood so already.

        Raises ValueError for a job or an actor without a name.
        """
        scope = "global" if job is None else "job"
        name = "" if job is None else clean_key(_named("job", job))
        actor, reason = clean_key(_named("actor", actor)), clean_text(reason)
        with self._change():
            self._do(
                "turn_switch",
                scope=scope,
                job=name,
                enabled=enabled,
                now=self._now(),
                changed_by=actor,
                reason=reason,
            )
            detail = {"scope": scope, "job": name, "reason": reason}
            self._deed(actor, "tracking on" if enabled else "tracking off", detail)
            return rows.switch(self._read("switch", scope=scope, job=name)[0], self.forms)

    def close_run(self, run_id: int, *, actor: str, reason: str) -> bool:
        """Mark a running run as abandoned, the reason on a new line of its notes; audited.

        False when it is not running or unknown: nothing is changed then. It lasted until its last sign of life. Should
        its job live after all, the job's own end wins later. Raises ValueError for an actor without a name.
        """
        actor, reason = clean_key(_named("actor", actor)), clean_text(reason)
        with self._change():
            closed = self._do("close_run", run_id=run_id, now=self._now(), reason=reason, ended_by=f"person {actor}")
            if closed:
                job = self._read("job_of_run", run_id=run_id)[0][0]
                detail = {"run_id": str(run_id), "id": format_run_id(run_id), "job": job, "reason": reason}
                self._deed(actor, "close run", detail)
        return bool(closed)

    def plan_cleanup(self, days: int, *, cutoff: datetime | None = None) -> CleanupPlan:
        """Return what a clean-up of finished runs that ended `days` or more days ago would remove.

        A cutoff is kept as it is given: so one counts again what was planned before. Counts come from the runs' own
        counters. Raises ValueError, before any I/O, for days that are no int of 0 or more and a cutoff without a zone.
        """
        days = days_of(days)
        if cutoff is not None:
            to_microseconds(cutoff)
        with self._look():
            cutoff = cutoff or self._cutoff(days)
            found = self._read("plan_jobs", cutoff=self._moment(cutoff))
            kept = self._read("count_kept", cutoff=self._moment(cutoff))[0][0]
        jobs = tuple(
            CleanupJob(job=job, runs=runs, requests=requests, errors=errors, oldest=self.forms.moment(oldest))
            for job, runs, requests, errors, oldest in found
        )
        return CleanupPlan(
            cutoff=cutoff,
            days=days,
            runs=sum(job.runs for job in jobs),
            requests=sum(job.requests for job in jobs),
            errors=sum(job.errors for job in jobs),
            jobs=jobs,
            kept_running=kept,
        )

    def cleanup(self, days: int, *, actor: str, cutoff: datetime | None = None) -> Iterator[int]:
        """Remove finished runs that ended before the cutoff (the planned one if given); yield the runs of each step.

        A step is one transaction; one that removes parts of a large run or gives space back yields 0. Whoever stops
        asking cancels the rest. The audit says at any time how far it came. Raises ValueError, before any I/O, for
        days that are no int of 0 or more, for a cutoff without a zone and for an actor without a name.
        """
        days = days_of(days)
        actor = clean_key(_named("actor", actor))
        if cutoff is not None:
            to_microseconds(cutoff)
        return self._cleanup(days, actor, cutoff)

    def _cleanup(self, days: int, actor: str, planned: datetime | None) -> Iterator[int]:
        tally = Tally()
        with self._change():
            now, latest_end = self._clock()
            cutoff = planned or cutoff_of(days, now, latest_end)
            self._do("raise_cutoff", cutoff=self._moment(refused_before(days, cutoff, now)))
            deed = self._deed(actor, "cleanup", _detail(days, cutoff, tally, finished=False))
        taken_back = 0
        while taken_back < PATIENCE:
            with self._look():
                chosen = self._choose(cutoff)
            if not chosen:
                break
            if chosen[0].requests > self.pace.weight:
                yield from self._trim(chosen[0], cutoff)
            try:
                with self._change():
                    self._remove([candidate.run_id for candidate in chosen], cutoff, now)
                    tally.add(chosen)
                    detail = to_json(_detail(days, cutoff, tally, finished=False))
                    self._do("amend_deed", id=deed, detail=detail)
            except _RunsChanged:
                taken_back += 1
                continue
            taken_back = 0
            yield len(chosen)
        else:
            raise StoreUnavailable(f"{self.label}: its old runs change faster than they can be removed")
        yield from self._purge(now)
        yield from self._tidy()
        with self._change():
            self._do("amend_deed", id=deed, detail=to_json(_detail(days, cutoff, tally, finished=True)))

    def _choose(self, cutoff: datetime) -> list[Candidate]:
        found = self._read("choose_runs", cutoff=self._moment(cutoff), most=self.pace.runs)
        candidates = [
            Candidate(run_id=run_id, requests=requests, errors=errors, duration_ms=duration_ms)
            for run_id, requests, errors, duration_ms in found
        ]
        return first_step(candidates, self.pace)

    def _trim(self, run: Candidate, cutoff: datetime) -> Iterator[int]:
        while True:
            with self._look():
                bound = self._read("bound_of_requests", run_id=run.run_id, most=self.pace.weight)
            if not bound:
                return
            writer_id, seq = bound[0]
            with self._change():
                trimmed = self._do(
                    "trim_requests", run_id=run.run_id, writer_id=writer_id, seq=seq, cutoff=self._moment(cutoff)
                )
            if not trimmed:
                return
            yield 0

    def _remove(self, run_ids: list[int], cutoff: datetime, now: datetime) -> None:
        wanted = self._list(run_ids)
        for block in REMOVED_WITH_A_RUN:
            self._do(block, run_ids=wanted)
        self._do("leave_tombstones", run_ids=wanted, since=self._moment(forgotten_before(now)), now=self._now())
        if self._do("remove_runs", run_ids=wanted, cutoff=self._moment(cutoff)) != len(run_ids):
            raise _RunsChanged
        if self.writers_overlap:
            # A batch that was on its way has written its rows after they were removed and its run's counters before.
            for block in REMOVED_WITH_A_RUN:
                self._do(block, run_ids=wanted)

    def _purge(self, now: datetime) -> Iterator[int]:
        before = self._moment(forgotten_before(now))
        for block in PURGES:
            purged = self.pace.purge
            while purged == self.pace.purge:
                with self._change():
                    purged = self._do(block, before=before, most=self.pace.purge)
                if purged:
                    yield 0

    def _cutoff(self, days: int) -> datetime:
        now, latest_end = self._clock()
        return cutoff_of(days, now, latest_end)

    def _clock(self) -> tuple[datetime, datetime | None]:
        now, latest_end = self._read("clock", now=self._now())[0]
        return self.forms.moment(now), None if latest_end is None else self.forms.moment(latest_end)

    def _deed(self, actor: str, action: str, detail: Mapping[str, object]) -> int:
        return self._record(now=self._now(), actor=actor, action=action, detail=to_json(detail))


def _detail(days: int, cutoff: datetime, tally: Tally, *, finished: bool) -> dict[str, object]:
    return {"days": days, "cutoff": cutoff.isoformat(), **asdict(tally), "finished": finished}


def _named(what: str, name: str) -> str:
    if not name.strip():
        raise ValueError(f"{what} is empty; a name is needed")
    return name
