"""Thresholds as monitoring plugins write them: `10`, `10:`, `~:10`, `10:20`, `@10:20`."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

__all__ = ["Range", "parse_range"]

FORMS: Final = "10 (alert outside 0 to 10), 10: (below 10), ~:10 (above 10), 10:20 (outside), @10:20 (inside)"
_CHARACTERS: Final = frozenset("@~:.-0123456789")


class Range(NamedTuple):
    """Values that are all right, or with `inside` those that are not; both ends belong to it."""

    text: str
    low: float = 0.0
    high: float = math.inf
    inside: bool = False

    def alerts(self, value: float) -> bool:
        """Return whether a value has to be reported."""
        return (self.low <= value <= self.high) == self.inside


def parse_range(text: str) -> Range:
    """Return the range that a text means; ValueError naming the forms otherwise."""
    low, colon, high = text.removeprefix("@").rpartition(":")
    try:
        begin = -math.inf if low == "~" else float(low or 0)
        end = float(high) if high or not colon else math.inf
    except ValueError:
        begin, end = math.inf, -math.inf
    if begin > end or not (high or low) or not _CHARACTERS.issuperset(text):
        raise ValueError(f"{text!r} is no range: write {FORMS}")
    return Range(text, begin, end, text.startswith("@"))
