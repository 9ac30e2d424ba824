"""What a person changes, once for both dialects: the shared switch, a run closed by hand, a clean-up in steps.

Owns which statements make a deed, in which order, and its entry in the audit, written in the same transaction. How a
transaction is made belongs to the connections that inherit from this.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import ClassVar

from tracking_core.arguments import days_of
from tracking_core.clock import to_microseconds
from tracking_core.dataclass import asdict
from tracking_core.errors import StoreError, StoreRefused, StoreUnavailable
from tracking_core.identity import format_run_id
from tracking_core.records import CleanupJob, CleanupPlan, Switch
from tracking_core.sanitize import clean_key, clean_text
from tracking_core.store import rows
from tracking_core.store.dialect import Dialect
from tracking_core.store.parameters import to_json
from tracking_core.store.retention import (
    Candidate,
    Cleanup,
    Pace,
    RequestsFate,
    Tally,
    cutoff_of,
    first_step,
    forgotten_before,
    holds,
    new_hold,
    refused_before,
)
from tracking_core.store.rows import Row

SUMMARIES_OF_A_RUN = (
    "remove_endpoints",
    "remove_series",
    "remove_phases",
    "remove_phase_series",
    "remove_source_counts",
    "remove_errors",
    "remove_writers",
)
"""In the order in which every transaction locks the tables; before them the requests, last the runs."""

PATIENCE = 20
"""How many steps in a row may be taken back because their runs changed meanwhile."""


_going_on: set[tuple[str, int]] = set()
"""The clean-ups of this process, by store and audit entry: one whose store was lost cannot say there that it ended."""


class _RunsChanged(Exception):
    """A run that was chosen is running again, or ended later than it was thought to: the step is taken back."""


class StoreAdministration(Dialect):
    """The methods of `tracking_core.store.base.Administration`; each raises StoreError when the store fails."""

    label: str
    pace: Pace
    removed_with_a_run: ClassVar[tuple[str, ...]] = SUMMARIES_OF_A_RUN
    """The blocks that remove what hangs on some runs, in the order of their locks."""

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
        """Return the rows of a block of administration.sql, inside `_change` or `_look`."""

    @abstractmethod
    def _do(self, block: str, **parameters: object) -> int:
        """Run a block of administration.sql inside `_change`; return the number of rows it touched."""

    @abstractmethod
    def _record(self, **parameters: object) -> int:
        """Insert an audit entry inside `_change`; return its id."""

    def _lighten(self, _run: Candidate, _cutoff: datetime, /) -> Iterator[int]:
        """Remove parts of a run that is too large for one step before its turn, in steps that yield 0."""
        return iter(())

    def _fate_of_requests(self, _days: int, _cutoff: datetime, _now: datetime, _spared: list[int], /) -> RequestsFate:
        """Return what a clean-up would do with requests beside removing their runs; inside `_look`."""
        return RequestsFate()

    def _clear_requests(self, _under_way: Cleanup, /) -> Iterator[int]:
        """Give back what the requests of removed runs take, in steps that yield 0."""
        return iter(())

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

    def plan_cleanup(
        self, days: int, *, cutoff: datetime | None = None, keep_last_success: bool = False
    ) -> CleanupPlan:
        """Return what a clean-up of finished runs that ended `days` or more days ago would remove.

        A cutoff is kept as it is given: so one counts again what was planned before. Counts come from the runs' own
        counters. Raises ValueError, before any I/O, for days that are no int of 0 or more and a cutoff without a zone.
        """
        days = days_of(days)
        if cutoff is not None:
            to_microseconds(cutoff)
        with self._look():
            now, latest_end = self._clock()
            cutoff = cutoff or cutoff_of(days, now, latest_end)
            successes = self._last_successes(cutoff)
            spared = successes if keep_last_success else []
            found = self._read("plan_jobs", cutoff=self._moment(cutoff), spared=self._list(spared))
            kept = self._read("count_kept", cutoff=self._moment(cutoff))[0][0]
            fate = self._fate_of_requests(days, cutoff, now, spared)
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
            keep_last_success=keep_last_success,
            last_successes=len(successes),
            **asdict(fate),
        )

    def cleanup(
        self, days: int, *, actor: str, cutoff: datetime | None = None, keep_last_success: bool = False
    ) -> Iterator[int]:
        """Remove finished runs that ended before the cutoff (the planned one if given); yield the runs of each step.

        A step is one transaction; one that removes requests or gives space back yields 0. Whoever stops asking cancels
        the rest. The audit says at any time how far it came. Raises ValueError, before any I/O, for days that are no
        int of 0 or more, for a cutoff without a zone and for an actor without a name.
        """
        days = days_of(days)
        actor = clean_key(_named("actor", actor))
        if cutoff is not None:
            to_microseconds(cutoff)
        return self._cleanup(days, actor, cutoff, keep_last_success)

    def _cleanup(self, days: int, actor: str, planned: datetime | None, keep_last_success: bool) -> Iterator[int]:
        under_way = self._begin(days, actor, planned, keep_last_success)
        try:
            for step in self._steps(under_way):
                if time.monotonic() >= under_way.hold.renew_at:
                    under_way.hold.renew()
                    with self._change():
                        self._amend(under_way)
                yield step
        except BaseException:
            # Whoever begins the next one sees that this one has ended; without the store, that its time is over.
            with suppress(StoreError), self._change():
                self._amend(under_way, ended=True)
            raise
        finally:
            _going_on.discard((self.label, under_way.deed))
        with self._change():
            self._amend(under_way, ended=True, finished=True)

    def _steps(self, under_way: Cleanup) -> Iterator[int]:
        yield from self._remove_runs(under_way)
        yield from self._clear_requests(under_way)
        yield from self._purge(under_way.now)
        yield from self._tidy()

    def _begin(self, days: int, actor: str, planned: datetime | None, keep_last_success: bool) -> Cleanup:
        with self._change():
            now, latest_end = self._clock()
            cutoff = planned or cutoff_of(days, now, latest_end)
            spared = self._last_successes(cutoff) if keep_last_success else []
            # This takes the lock behind which two clean-ups begin one after the other.
            self._do("raise_cutoff", cutoff=self._moment(refused_before(days, cutoff, now)))
            self._check_none_goes_on(now)
            under_way = Cleanup(
                days=days,
                cutoff=cutoff,
                now=now,
                spared=tuple(spared),
                keeps_last_success=keep_last_success,
                deed=self._deed(actor, "cleanup", {}),
                tally=Tally(),
                hold=new_hold(now),
            )
            self._amend(under_way)
            # Before another thread can read the entry.
            _going_on.add((self.label, under_way.deed))
        return under_way

    def _check_none_goes_on(self, now: datetime) -> None:
        """Raise StoreRefused where another clean-up is under way."""
        for deed, who, text in self._read("latest_cleanups"):
            detail = json.loads(text)
            if holds(detail, now, ours=(self.label, deed) in _going_on):
                raise StoreRefused(
                    f"{self.label}: a clean-up by {who} is under way, {detail['runs']:,} runs so far;"
                    " begin again when it has ended"
                )

    def _remove_runs(self, under_way: Cleanup) -> Iterator[int]:
        taken_back = 0
        while taken_back < PATIENCE:
            with self._look():
                chosen = self._choose(under_way)
            if not chosen:
                return
            if chosen[0].weight(requests=self.pace.requests) > self.pace.weight:
                yield from self._lighten(chosen[0], under_way.cutoff)
            try:
                with self._change():
                    self._remove([candidate.run_id for candidate in chosen], under_way)
                    under_way.tally.add(chosen)
                    self._amend(under_way)
            except _RunsChanged:
                taken_back += 1
                continue
            taken_back = 0
            yield len(chosen)
        raise StoreUnavailable(f"{self.label}: its old runs change faster than they can be removed")

    def _choose(self, under_way: Cleanup) -> list[Candidate]:
        found = self._read(
            "choose_runs",
            cutoff=self._moment(under_way.cutoff),
            spared=self._list(under_way.spared),
            most=self.pace.runs,
        )
        candidates = [
            Candidate(run_id=run_id, requests=requests, errors=errors, duration_ms=duration_ms)
            for run_id, requests, errors, duration_ms in found
        ]
        return first_step(candidates, self.pace)

    def _remove(self, run_ids: list[int], under_way: Cleanup) -> None:
        wanted = self._list(run_ids)
        since = self._moment(forgotten_before(under_way.now))
        self._remove_what_hangs_on(wanted)
        self._do("leave_tombstones", run_ids=wanted, since=since, now=self._now())
        if self._do("remove_runs", run_ids=wanted, cutoff=self._moment(under_way.cutoff)) != len(run_ids):
            raise _RunsChanged
        if self.writers_overlap:
            # A batch that was on its way has written its rows after they were removed and its run's counters before.
            self._remove_what_hangs_on(wanted)

    def _remove_what_hangs_on(self, run_ids: object) -> None:
        for block in self.removed_with_a_run:
            self._do(block, run_ids=run_ids)

    def _purge(self, now: datetime) -> Iterator[int]:
        before = self._moment(forgotten_before(now))
        purged = self.pace.purge
        while purged == self.pace.purge:
            with self._change():
                purged = self._do("purge_batches", before=before, most=self.pace.purge)
            if purged:
                yield 0
        purged = self.pace.runs
        while purged == self.pace.runs:
            with self._change():
                run_ids = [run_id for (run_id,) in self._read("old_tombstones", before=before, most=self.pace.runs)]
                purged = len(run_ids)
                if self.writers_overlap:
                    # A single request that was on its way, unlike a batch, is not taken back when its run goes.
                    self._remove_what_hangs_on(self._list(run_ids))
                self._do("purge_tombstones", run_ids=self._list(run_ids))
            if purged:
                yield 0

    def _last_successes(self, cutoff: datetime) -> list[int]:
        return [run_id for (run_id,) in self._read("last_successes", cutoff=self._moment(cutoff))]

    def _amend(self, under_way: Cleanup, *, ended: bool = False, finished: bool = False) -> None:
        self._do("amend_deed", id=under_way.deed, detail=to_json(under_way.detail(finished=finished, ended=ended)))

    def _clock(self) -> tuple[datetime, datetime | None]:
        now, latest_end = self._read("clock", now=self._now())[0]
        return self.forms.moment(now), None if latest_end is None else self.forms.moment(latest_end)

    def _deed(self, actor: str, action: str, detail: Mapping[str, object]) -> int:
        return self._record(now=self._now(), actor=actor, action=action, detail=to_json(detail))


def _named(what: str, name: str) -> str:
    if not name.strip():
        raise ValueError(f"{what} is empty; a name is needed")
    return name
