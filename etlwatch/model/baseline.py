"""What is usual for a job, from the completed runs at hand.

Owns the arithmetic of "usual" and "p95" over a job's past. Refuses to own verdicts, and to invent a normal: the number
of runs behind a figure always travels with it, and fewer than five are no figure (`etlwatch.model.bars`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tracking_core.records import Run, RunStatus

__all__ = ["MOST_RUNS", "Past", "baselines", "quantile"]

MOST_RUNS: Final = 30
"""Completed runs that are looked back upon; older ones say little about now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The completed runs of one job."""

    runs: int = 0
    """How many, at most MOST_RUNS."""

    usual_s: float | None = None
    """The median duration, seconds."""

    p95_s: float | None = None


def quantile(ascending: list[float], share: float) -> float | None:
    """Return the value at or below which `share` (0 to 1) of the ascending values lie, by nearest rank."""
    if not ascending:
        return None
    rank = max(1, -(-int(len(ascending) * share * 1_000) // 1_000))
    return ascending[min(rank, len(ascending)) - 1]


def baselines(runs: Iterable[Run]) -> Mapping[str, Past]:
    """Return the past of each job among `runs`, given newest first."""
    durations: dict[str, list[float]] = {}
    for run in runs:
        if run.status == RunStatus.COMPLETED:
            kept = durations.setdefault(run.job, [])
            if len(kept) < MOST_RUNS:
                kept.append(run.duration_s)
    pasts: dict[str, Past] = {}
    for job, values in durations.items():
        values.sort()
        pasts[job] = Past(runs=len(values), usual_s=quantile(values, 0.5), p95_s=quantile(values, 0.95))
    return pasts
