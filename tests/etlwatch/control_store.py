"""A store in memory that can be changed: it lists every operation, waits at a gate, and fails where a test wants it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from tests.etlwatch.fleet import NOW, FakeReader, FakeStore
from tests.etlwatch.night import night
from tracking_core.records import AuditEntry, CleanupJob, CleanupPlan, Switch

DAY = timedelta(days=1)


def make_plan(*jobs: tuple[str, int, int, int, int], days: int = 30, kept_running: int = 3) -> CleanupPlan:
    """Return a plan of jobs: (name, runs, requests, errors, age of the oldest in days)."""
    parts = tuple(
        CleanupJob(job=job, runs=runs, requests=requests, errors=errors, oldest=NOW - age * DAY)
        for job, runs, requests, errors, age in jobs
    )
    return CleanupPlan(
        cutoff=NOW - days * DAY,
        days=days,
        runs=sum(job.runs for job in parts),
        requests=sum(job.requests for job in parts),
        errors=sum(job.errors for job in parts),
        jobs=parts,
        kept_running=kept_running,
    )


DRAWN_PLAN = make_plan(
    ("crm_contacts_sync", 412, 8_201_884, 1_204, 266),
    ("ads_metrics_pull", 388, 1_904_010, 2_871, 266),
    ("warehouse_orders", 301, 988_320, 219, 229),
    ("invoices_export", 100, 200_000, 10, 200),
    ("product_catalog", 86, 187_805, 6, 266),
)
"""The plan of the drawn screen."""

WEEKS_PLAN = replace(
    DRAWN_PLAN, dropped_weeks=21, dropped_bytes=2_254_857_830, cut_weeks=1, waiting_requests=38_120, last_successes=5
)
"""The same on PostgreSQL, where requests are dropped by the week."""


@dataclass
class ControlStore(FakeStore):
    """A FakeStore with an administration."""

    plan: CleanupPlan = DRAWN_PLAN
    later_plans: list[CleanupPlan] = field(default_factory=list)
    """What is counted when the cutoff is given: the plan, unless something is here."""

    steps: list[int | Exception] = field(default_factory=list)
    """What a clean-up yields, or raises; one step of everything when empty."""

    gate: threading.Event | None = None
    """Every change and every step waits for it."""

    fault: Exception | None = None
    """Raised instead of an administration."""

    operations: list[tuple[object, ...]] = field(default_factory=list)
    audit_list: list[AuditEntry] = field(default_factory=list)
    administrations: int = 0
    open_administrations: int = 0
    closable: bool = True

    def reader(self, deadline: float) -> ControlReader:
        super().reader(deadline)
        return ControlReader(self)

    def administration(self, deadline: float) -> FakeAdministration:
        if self.fault is not None:
            raise self.fault
        self.administrations += 1
        self.open_administrations += 1
        return FakeAdministration(self)

    def wait(self) -> None:
        if self.gate is not None:
            assert self.gate.wait(20.0)


class ControlReader(FakeReader):
    """A reader that knows the audit."""

    def __init__(self, store: ControlStore) -> None:
        super().__init__(store)
        self._kept = store

    def audit(self, limit: int | None = 100, *, until: datetime | None = None) -> list[AuditEntry]:
        return self._kept.audit_list[:limit]


class FakeAdministration:
    """One connection of a ControlStore."""

    def __init__(self, store: ControlStore) -> None:
        self._store = store

    def close(self) -> None:
        self._store.open_administrations -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_switch(self, *, enabled: bool, job: str | None, actor: str, reason: str) -> Switch:
        self._store.wait()
        self._store.operations.append(("turn", enabled, job, reason))
        switch = Switch(
            scope="global" if job is None else "job",
            job=job or "",
            enabled=enabled,
            changed_at=NOW,
            changed_by=actor,
            reason=reason,
        )
        others = [each for each in self._store.switch_list if (each.scope, each.job) != (switch.scope, switch.job)]
        self._store.switch_list = [*others, switch]
        return switch

    def close_run(self, run_id: int, *, actor: str, reason: str) -> bool:
        self._store.wait()
        self._store.operations.append(("close", run_id, reason))
        if self._store.closable:
            self._store.runs = [
                replace(run, status="abandoned", state="abandoned") if run.run_id == run_id else run
                for run in self._store.runs
            ]
        return self._store.closable

    def plan_cleanup(
        self, days: int, *, cutoff: datetime | None = None, keep_last_success: bool = False
    ) -> CleanupPlan:
        self._store.wait()
        if cutoff is not None and self._store.later_plans:
            self._store.plan = self._store.later_plans.pop(0)
        return replace(
            self._store.plan, days=days, cutoff=cutoff or NOW - days * DAY, keep_last_success=keep_last_success
        )

    def cleanup(
        self, days: int, *, actor: str, cutoff: datetime | None = None, keep_last_success: bool = False
    ) -> Iterator[int]:
        self._store.operations.append(("cleanup", days, cutoff, *(["keep last success"] if keep_last_success else [])))
        for step in self._store.steps or [self._store.plan.runs]:
            self._store.wait()
            if isinstance(step, Exception):
                raise step
            self._store.operations.append(("step", step))
            yield step


def control_night() -> ControlStore:
    """Return the night of the drawn screens, with something to clean up and operations in the audit."""
    given = night()
    store = ControlStore(
        **{name: getattr(given, name) for name in FakeStore.__dataclass_fields__ if name not in ("asked",)}
    )
    store.audit_list = [
        AuditEntry(id=3, at=NOW - 3 * DAY, actor="ana@bastion", action="tracking off",
                   detail={"scope": "job", "job": "invoices_export", "reason": "API being migrated"}),
        AuditEntry(id=2, at=NOW - 9 * DAY, actor="ana@bastion", action="cleanup",
                   detail={"days": 90, "runs": 1_204, "finished": True}),
        AuditEntry(id=1, at=NOW - 20 * DAY, actor="ben@etl-03", action="close run",
                   detail={"id": "06ABCDEFGH7KQ", "job": "warehouse_orders", "reason": ""}),
    ]  # fmt: skip
    store.switch_list = [
        Switch(scope="job", job="invoices_export", enabled=False, changed_at=NOW - 3 * DAY, changed_by="ana@bastion",
               reason="API being migrated"),
    ]  # fmt: skip
    return store
