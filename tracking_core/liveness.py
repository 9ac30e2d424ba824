"""Whether a run that is stored as `running` still lives: derived from its heartbeat when it is read, never written.

States that compare a run with earlier ones are the dashboard's.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tracking_core.dataclass import dataclass

LOST_AFTER_INTERVALS = 3
"""A run is lost when this many of its own heartbeat intervals have passed without a beat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """What a run's state is, since when, and the observation behind it."""

    state: str
    """The stored status, or `lost`."""

    since: datetime | None = None
    """When the state began, on the store's clock; None when it is simply the stored status."""

    evidence: str = ""
    """The evidence, '' when the state is the stored one."""


def liveness_of(
    *,
    status: str,
    heartbeat_at: datetime | None,
    heartbeat_interval_s: float | None,
    now: datetime,
) -> Liveness:
    """Return a run's state from its heartbeat; `now` is the store's clock, as are all stored times."""
    if status != "running" or heartbeat_at is None or not heartbeat_interval_s:
        return Liveness(state=status)
    allowed = timedelta(seconds=LOST_AFTER_INTERVALS * heartbeat_interval_s)
    silent = now - heartbeat_at
    if silent <= allowed:
        return Liveness(state=status)
    seconds = silent.total_seconds()
    return Liveness(
        state="lost",
        since=heartbeat_at + allowed,
        evidence=f"no heartbeat for {seconds:.0f} s; it beats every {heartbeat_interval_s:g} s",
    )
