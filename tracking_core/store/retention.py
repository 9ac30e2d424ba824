"""How long what is kept, and how much goes at once: the arithmetic of a clean-up, without a database.

A spool lives 30 days. So a run that ended less than 35 days ago leaves a tombstone when it is removed, and batch keys
live as long: what a spool still holds of either is recognised. Beyond that the cutoff alone refuses what comes late.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from tracking_core.clock import EPOCH
from tracking_core.dataclass import asdict, dataclass, replace
from tracking_core.identity import boot_id

SPOOL_OUTLIVED = timedelta(days=35)
LEASE_S = 90.0
"""How long a clean-up of another machine counts as under way after its last step: longer than a step may last."""

_TICK = timedelta(microseconds=1)


def cutoff_of(days: int, now: datetime, latest_end: datetime | None) -> datetime:
    """Return the moment before which a finished run must have ended to be removed.

    0 days means every finished run, those too whose job's clock put their end ahead of the store's.
    """
    if days == 0:
        return now if latest_end is None else max(now, latest_end + _TICK)
    try:
        return max(now - timedelta(days=days), EPOCH)
    except OverflowError:
        return EPOCH


def forgotten_before(now: datetime) -> datetime:
    """Return the moment before which a batch key or a tombstone was made that no spool can hold any more."""
    return now - SPOOL_OUTLIVED


def refused_before(days: int, cutoff: datetime, now: datetime) -> datetime:
    """Return the moment before which an unknown finished run must have ended to be refused from now on.

    A clean-up of everything leaves tombstones of what it removed; a spool may still hold other runs as old.
    """
    return min(cutoff, now) if days else min(cutoff, forgotten_before(now))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLimits:
    """How much one step may remove, so that writers do not wait long for its locks."""

    runs: int
    """The most runs a step."""

    weight: int
    """The most rows a step, in requests' worth."""

    purge: int
    """The most rows a step of those that nothing shows: batch keys, and requests of runs that are gone."""

    requests: bool = True
    """Whether the requests of a run go in the step that removes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A run that may go, and about how much hangs on it."""

    run_id: int
    requests: int
    errors: int
    duration_ms: int | None

    def weight(self, *, requests: bool) -> int:
        """Return its rows in requests' worth, the requests themselves included or not.

        A cell of the series weighs four, an error with its traceback twenty.
        """
        cells = min(self.requests, 90 + (self.duration_ms or 0) // 60_000)
        return (self.requests if requests else 0) + 4 * cells + 20 * self.errors + 10


def first_step(candidates: Sequence[Candidate], limits: StepLimits) -> list[Candidate]:
    """Return the runs from the head of the list that go in one step: always one, then as many as its pace allows."""
    chosen: list[Candidate] = []
    weight = 0
    for candidate in candidates[: limits.runs]:
        weight += candidate.weight(requests=limits.requests)
        if chosen and weight > limits.weight:
            break
        chosen.append(candidate)
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsFate:
    """What becomes of the requests of the runs that go; all 0 where they go row by row with their runs."""

    dropped_weeks: int = 0
    dropped_bytes: int = 0
    cut_weeks: int = 0
    """Weeks that hold something else as well: what goes is deleted from them."""

    waiting_requests: int = 0
    """Seen nowhere any more, and on the disk until the whole of their week is older than a cutoff."""


@dataclass(slots=True)
class Removed:
    """What a clean-up has removed so far."""

    runs: int = 0
    requests: int = 0
    errors: int = 0
    weeks: int = 0
    """Weeks of requests that were dropped whole, those that never held any not counted."""

    def add(self, gone: Sequence[Candidate]) -> None:
        """Count runs that are gone."""
        self.runs += len(gone)
        self.requests += sum(candidate.requests for candidate in gone)
        self.errors += sum(candidate.errors for candidate in gone)


@dataclass(slots=True)
class Lease:
    """What keeps a second clean-up from beginning: it ends with this one, with its process, or by itself."""

    until: datetime
    """On the store's clock; renewed while the clean-up goes on."""

    renew_at: float
    """On the monotonic clock."""

    def renew(self) -> None:
        """Lease on for as long as it was meant to last."""
        self.until += timedelta(seconds=time.monotonic() - self.renew_at + LEASE_S / 3)
        self.renew_at = time.monotonic() + LEASE_S / 3

    def detail(self) -> dict[str, object]:
        """Return what the audit holds of it."""
        return {"machine": boot_id(), "pid": os.getpid(), "until": self.until.isoformat()}


def new_lease(now: datetime) -> Lease:
    """Return the hold of a clean-up that begins."""
    return Lease(until=now + timedelta(seconds=LEASE_S), renew_at=time.monotonic() + LEASE_S / 3)


def holds(detail: Mapping[str, object], now: datetime, *, ours: bool) -> bool:
    """Return whether an audit entry is one of a clean-up that goes on; `ours` is whether this process is at it."""
    hold = detail.get("hold")
    if not isinstance(hold, Mapping) or datetime.fromisoformat(str(hold["until"])) <= now:
        return False
    if not hold["machine"] or hold["machine"] != boot_id():
        return True
    if hold["pid"] == os.getpid():
        return ours
    try:
        os.kill(int(hold["pid"]), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup:
    """A clean-up under way: its arguments, its clock, and how far it is."""

    days: int
    cutoff: datetime
    now: datetime
    spared: tuple[int, ...]
    """Runs that stay although they are old: each job's last success, if wanted."""

    keeps_last_success: bool
    audit_id: int
    """Its audit entry."""

    removed: Removed
    lease: Lease

    def detail(self, *, more: Sequence[Candidate], finished: bool, ended: bool) -> dict[str, object]:
        """Return its entry in the audit; `more` is removed beside what has been counted."""
        removed = replace(self.removed)
        removed.add(more)
        return {
            **({} if ended else {"hold": self.lease.detail()}),
            "days": self.days,
            "cutoff": self.cutoff.isoformat(),
            "keep_last_success": self.keeps_last_success,
            **asdict(removed),
            "finished": finished,
        }
