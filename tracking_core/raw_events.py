"""What a recording method was given, with checked types and raw values: plain tuples, cheap to make in the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from tracking_core.failures import Failure

RawRequest: TypeAlias = tuple[
    int,  # run id
    int,  # the job's clock, microseconds since 1970-01-01Z
    str,  # endpoint
    float | None,  # offset
    float | None,  # limit
    float | None,  # status
    float,  # items
    float,  # duration in milliseconds
    bool,  # throttled, as given
    str | None,  # error
]
"""One request as its caller gave it, types checked, ranges not; a bare tuple: making one is on the job's time."""


class RawPhase(NamedTuple):
    """A phase as its caller gave it."""

    run_id: int
    at_us: int
    phase: str
    status: str
    totals: Mapping[str, float]
    processed: Mapping[str, float]
    memory_mb: float | None
    started_us: int | None = None
    """When it began, on the job's clock, as reported afterwards; None: when its states were reported."""

    ended_us: int | None = None
    memory_limit_mb: float | None = None
    at_s: float | None = None
    """`at_us` on the monotonic clock, which does not step."""


class RawCount(NamedTuple):
    """A source count as its caller gave it."""

    run_id: int
    at_us: int
    entity: str
    items: float


class RawError(NamedTuple):
    """An error as it was caught; its traceback is text already, since frames change."""

    run_id: int
    at_us: int
    phase: str | None
    failure: Failure


class RawEnd(NamedTuple):
    """A run's end as its caller gave it."""

    run_id: int
    at_us: int
    status: str
    notes: str | None
    ended_by: str
