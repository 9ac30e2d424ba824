"""What people and `etlwatch doctor` do in a store, for both dialects: changes, each audited, and inspections.

A change is the shared switch, a run closed by hand, or a clean-up in steps. An inspection asks what a Reader does not,
and removes a probe: a run under a job name of its own, written to see whether writing works. A clean-up leaves
tombstones and an audit entry, which a probe must not: it is removed by its id alone.
"""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import chain
from typing import ClassVar

from tracking_core.arguments import days_of
from tracking_core.clock import to_microseconds
from tracking_core.dataclass import asdict, dataclass
from tracking_core.errors import StoreError, StoreRefused, StoreUnavailable
from tracking_core.identity import format_run_id
from tracking_core.records import CleanupJob, CleanupPlan, Switch
from tracking_core.sanitize import clean_key, clean_text
from tracking_core.store import sql_files
from tracking_core.store.base import Connection
from tracking_core.store.dialect import Transactions
from tracking_core.store.retention import (
    Candidate,
    Cleanup,
    Removed,
    RequestsFate,
    StepLimits,
    cutoff_of,
    first_step,
    forgotten_before,
    holds,
    new_lease,
    refused_before,
)
from tracking_core.store.writing import WIDENINGS, to_json

SUMMARIES_OF_A_RUN = (
    "remove_endpoints",
    "remove_series",
    "remove_phases",
    "remove_phase_series",
    "remove_source_counts",
    "remove_errors",
    "remove_writers",
)
"""In the order of their locks (see sql/administration.sql)."""

MOST_EMPTY_STEPS = 20
"""How many steps in a row may find all their runs changed meanwhile."""


_going_on: set[tuple[str, int]] = set()
"""The clean-ups of this process, by store and audit entry; the entry in a lost store stays open there."""


class Administration(Connection, Transactions):
    """A connection of a person who changes something, each change audited; raises StoreError when the store fails."""

    label: str
    limits: StepLimits
    removed_with_a_run: ClassVar[tuple[str, ...]] = SUMMARIES_OF_A_RUN
    """The blocks that remove what belongs to some runs, in the order of their locks."""

    def _load(self) -> None:
        """Load the statements; SchemaNewer, and the connection closed, where the tables are too new."""
        dialect = self.forms.dialect
        version = {"newest_version": sql_files.blocks(dialect, "reads")["newest_version"]}
        self._sql = sql_files.blocks(dialect, "administration") | version
        try:
            with self._look():
                newest = self._read("newest_version").value(0)
            sql_files.check_readable(newest, sql_files.migrations(dialect)[-1].version, self.label)
        except StoreError:
            self.close()
            raise

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
        switch = {"scope": scope, "job": name, "enabled": enabled, "changed_by": actor, "reason": reason}
        detail = {"scope": scope, "job": name, "reason": reason}

        def turn() -> Switch:
            self._do("turn_switch", **switch, now=self._now())
            self._audit(actor, "tracking on" if enabled else "tracking off", detail)
            return self._read("switch", scope=scope, job=name).records(Switch, self.forms)[0]

        return self._changed(turn)

    def close_run(self, run_id: int, *, actor: str, reason: str) -> bool:
        """Mark a running run as abandoned, the reason on a new line of its notes; audited.

        False when it is not running or unknown: nothing is changed then. It lasted until its last sign of life. Should
        its job live after all, the job's own end wins later. Raises ValueError for an actor without a name.
        """
        actor, reason = clean_key(_named("actor", actor)), clean_text(reason)

        def close() -> bool:
            if not self._do("close_run", run_id=run_id, now=self._now(), reason=reason, ended_by=f"person {actor}"):
                return False
            job = self._read("job_of_run", run_id=run_id).value()
            detail = {"run_id": str(run_id), "id": format_run_id(run_id), "job": job, "reason": reason}
            self._audit(actor, "close run", detail)
            return True

        return self._changed(close)

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
            kept = self._read("count_kept", cutoff=self._moment(cutoff)).value()
            fate = self._fate_of_requests(days, cutoff, now, spared)
        jobs = tuple(found.records(CleanupJob, self.forms))
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

        A step is one transaction; one that removes requests or gives space back yields 0. The rest is cancelled when
        the iterator is closed. The audit shows at any time how far it came. Raises ValueError, before any I/O, for days
        that are no int of 0 or more, for a cutoff without a zone and for an actor without a name.
        """
        days = days_of(days)
        actor = clean_key(_named("actor", actor))
        if cutoff is not None:
            to_microseconds(cutoff)
        return self._cleanup(days, actor, cutoff, keep_last_success)

    def _cleanup(self, days: int, actor: str, planned: datetime | None, keep_last_success: bool) -> Iterator[int]:
        under_way = self._begin(days, actor, planned, keep_last_success)
        try:
            for step in chain(
                self._remove_runs(under_way),
                self._clear_requests(under_way),
                self._purge(under_way.now),
                self._tidy(),
            ):
                if time.monotonic() >= under_way.lease.renew_at:
                    under_way.lease.renew()
                    with self._change():
                        self._amend(under_way)
                yield step
        except BaseException:
            # So that the next one sees that this one has ended; without the store, its lease runs out.
            with suppress(StoreError), self._change():
                self._amend(under_way, ended=True)
            raise
        finally:
            _going_on.discard((self.label, under_way.audit_id))
        with self._change():
            self._amend(under_way, ended=True, finished=True)

    def _begin(self, days: int, actor: str, planned: datetime | None, keep_last_success: bool) -> Cleanup:
        def begin() -> Cleanup:
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
                audit_id=self._audit(actor, "cleanup", {}),
                removed=Removed(),
                lease=new_lease(now),
            )
            self._amend(under_way)
            # Before another thread can read the entry.
            _going_on.add((self.label, under_way.audit_id))
            return under_way

        return self._changed(begin)

    def _check_none_goes_on(self, now: datetime) -> None:
        """Raise StoreRefused where another clean-up is under way."""
        for entry in self._read("latest_cleanups").by_name():
            detail = json.loads(entry["detail"])
            if holds(detail, now, ours=(self.label, entry["id"]) in _going_on):
                raise StoreRefused(
                    f"{self.label}: a clean-up by {entry['actor']} is under way, {detail['runs']:,} runs so far;"
                    " begin again when it has ended"
                )

    def _remove_runs(self, under_way: Cleanup) -> Iterator[int]:
        empty_steps = 0
        while empty_steps < MOST_EMPTY_STEPS:
            with self._look():
                chosen = self._choose(under_way)
            if not chosen:
                return
            if chosen[0].weight(requests=self.limits.requests) > self.limits.weight:
                yield from self._lighten(chosen[0], under_way.cutoff)
            gone = self._changed(partial(self._remove, chosen, under_way))
            empty_steps = 0 if gone else empty_steps + 1
            if gone:
                under_way.removed.add(gone)
                yield len(gone)
        raise StoreUnavailable(f"{self.label}: its old runs change faster than they can be removed")

    def _choose(self, under_way: Cleanup) -> list[Candidate]:
        found = self._read(
            "choose_runs",
            cutoff=self._moment(under_way.cutoff),
            spared=self._list(under_way.spared),
            most=self.limits.runs,
        )
        return first_step(found.records(Candidate, self.forms), self.limits)

    def _remove(self, chosen: list[Candidate], under_way: Cleanup) -> list[Candidate]:
        """Remove those of the chosen runs that are still old enough; return them."""
        run_ids, cutoff = [candidate.run_id for candidate in chosen], self._moment(under_way.cutoff)
        found = self._read("lock_removable", run_ids=self._list(run_ids), cutoff=cutoff)
        gone = found.records(Candidate, self.forms)
        if gone:
            wanted = self._list([candidate.run_id for candidate in gone])
            since = self._moment(forgotten_before(under_way.now))
            self._remove_parts_of(wanted)
            self._do("leave_tombstones", run_ids=wanted, since=since, now=self._now())
            self._do("remove_runs", run_ids=wanted)
            self._amend(under_way, more=gone)
        return gone

    def _remove_parts_of(self, run_ids: object) -> None:
        for block in self.removed_with_a_run:
            self._do(block, run_ids=run_ids)

    def _purge(self, now: datetime) -> Iterator[int]:
        before = self._moment(forgotten_before(now))
        purged = self.limits.purge
        while purged == self.limits.purge:
            with self._change():
                purged = self._do("purge_batches", before=before, most=self.limits.purge)
            if purged:
                yield 0
        purged = self.limits.runs
        while purged == self.limits.runs:
            with self._change():
                run_ids = self._read("old_tombstones", before=before, most=self.limits.runs).column("run_id")
                purged = len(run_ids)
                # Programs of an older version lock no runs: one of their single requests may have arrived later.
                self._remove_parts_of(self._list(run_ids))
                self._do("purge_tombstones", run_ids=self._list(run_ids))
            if purged:
                yield 0

    def _last_successes(self, cutoff: datetime) -> list[int]:
        return self._read("last_successes", cutoff=self._moment(cutoff)).column("run_id")

    def _amend(
        self, under_way: Cleanup, *, more: Sequence[Candidate] = (), ended: bool = False, finished: bool = False
    ) -> None:
        """Write how far a clean-up has come, `more` being what this transaction removes."""
        detail = under_way.detail(more=more, finished=finished, ended=ended)
        self._do("amend_action", id=under_way.audit_id, detail=to_json(detail))

    def _clock(self) -> tuple[datetime, datetime | None]:
        (found,) = self._read("clock", now=self._now()).by_name()
        latest_end = found["latest_end"]
        return self.forms.moment(found["moment"]), None if latest_end is None else self.forms.moment(latest_end)

    def _audit(self, actor: str, action: str, detail: Mapping[str, object]) -> int:
        return self._record(now=self._now(), actor=actor, action=action, detail=to_json(detail))


def _named(what: str, name: str) -> str:
    if not name.strip():
        raise ValueError(f"{what} is empty; a name is needed")
    return name


PROBE_JOB = "etlwatch-doctor"
PROBE_ERA_S = (473_385_600, 788_918_400)
"""1985 to 1995, in seconds since 1970: where probes date their requests, since no run can be that old."""

_ERA_END_S = 946_684_800
"""2000-01-01Z: a clock that is off may carry a probe's requests this far and no farther."""

FORGET = (
    "forget_batches",
    "remove_requests",
    "remove_endpoints",
    "remove_series",
    "forget_throughput",
    "remove_phases",
    "remove_phase_series",
    "remove_source_counts",
    "remove_errors",
    "remove_writers",
    "remove_runs",
)
"""What removes a probe, in the order of the locks; the run itself is locked before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How many requests of one run each table counts."""

    raw: int
    distinct: int
    by_endpoint: int
    over_time: int
    on_run: int
    in_ledgers: int
    of_all_runs: int
    """Right only for a run that has its stretch of time to itself, as a probe has."""

    @property
    def agree(self) -> bool:
        """Whether all of them are equal."""
        return len(set(asdict(self).values())) == 1


class Inspection(Transactions):
    """The queries of an inspection, and the removal of a probe; each raises StoreError when the store fails."""

    def versions(self) -> list[tuple[int, str, str]]:
        """Return (version, name, checksum) of the migrations that ran here."""
        with self._look():
            found = self._read("versions").by_name()
        return [(row["version"], row["name"], row["checksum"]) for row in found]

    def figures(self, run_id: int) -> Figures:
        """Return a run's requests as every table that counts them has them."""
        with self._look():
            return self._read("probe_figures", run_id=run_id).records(Figures, self.forms)[0]

    def overdue_cells(self, now_s: int, most: int) -> int:
        """Return how many cells of all runs are older than their width allows, counted up to `most` a width."""
        with self._look():
            counted = [
                self._read("overdue_cells", width=width, before=now_s - age - (now_s - age) % wider, most=most).value()
                for width, wider, age in WIDENINGS
            ]
        return sum(counted)

    def forget_probe(self, run_id: int, writer_ids: Sequence[int] = ()) -> int:
        """Remove a probe and all that its writers left, in one transaction; return the rows that remain, 0 if done.

        Raises ValueError, and changes nothing, for the run of another job.
        """
        given: dict[str, object] = {
            "run_id": run_id,
            "run_ids": self._list([run_id]),
            "writer_ids": self._list(list(writer_ids)),
            "era_end": _ERA_END_S,
        }

        def forget() -> None:
            if any(job != PROBE_JOB for job in self._read("probe_job", run_id=run_id).column("job")):
                raise ValueError(f"run {format_run_id(run_id)} is no probe; nothing was removed")
            span = self._read("probe_span", run_id=run_id).by_name()
            for block in FORGET:
                self._do(block, **{"since": 0, "until": 0} | given | (span[0] if span else {}))

        self._changed(forget)
        with self._look():
            return int(self._read("probe_remains", **given).value())
