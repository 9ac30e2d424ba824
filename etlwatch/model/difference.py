"""One figure of two runs, and whether it changed by more than what is always different.

Owns the record and the arithmetic of a single difference. Refuses to own which figures are compared
(`etlwatch.model.compare`, `etlwatch.model.compare_figures`) and the words (`etlwatch.model.compare_words`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from tracking_core.dataclass import dataclass

__all__ = ["Difference", "Kind", "Unit", "number_difference"]

Kind: TypeAlias = Literal["phase", "endpoint", "run", "error", "source", "origin"]
Unit: TypeAlias = Literal["s", "ms", "count", "rate", "share", "mb", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of both runs."""

    kind: Kind
    what: str
    """A phase, an endpoint, an entity or an error of the store, else our own word: `items`, `code version`."""

    measure: str
    """What of it: `time`, `requests`, `rate`, `p95`, `429`, `failed`, `items`, `errors`; '' for a text."""

    unit: Unit
    before: float | str | None
    after: float | str | None
    """In `unit`; None where a run has no such figure."""

    difference: float | None = None
    """After minus before; None where that says nothing."""

    share: float | None = None
    """Of the difference between the durations, 1.0 for all of it; None for what is not measured in time."""

    remarkable: bool = False
    """Whether it changed by more than what is always different."""

    note: str = ""
    """Why, or what is not known yet; text from the store may be in it."""

    @property
    def relative(self) -> float | None:
        """The difference as a part of `before`."""
        if self.difference is None or not isinstance(self.before, int | float) or not self.before:
            return None
        return self.difference / self.before


def number_difference(
    kind: Kind,
    what: str,
    measure: str,
    unit: Unit,
    before: float | None,
    after: float | None,
    *,
    least: float,
    least_relative: float,
    so_far: bool = False,
) -> Difference:
    """Return the difference of two numbers; `so_far` for sums that still grow: less is no change yet."""
    difference = None if before is None or after is None else after - before
    note = ""
    if so_far:
        note = "so far"
        if difference is not None and difference <= 0:
            difference = None
    remarkable = (
        difference is not None and abs(difference) >= least and abs(difference) >= least_relative * abs(before or 0.0)
    )
    return Difference(
        kind=kind,
        what=what,
        measure=measure,
        unit=unit,
        before=before,
        after=after,
        difference=difference,
        remarkable=remarkable,
        note=note,
    )
