"""Axes: round tops, their labels, times along the bottom, and the one time scale of a run.

Owns where a value or a moment falls in cells, and the words on the axes. Refuses to own what is drawn between them.

    nice_top(540) 600          the least of 1, 2, 4, 6, 10 × 10ⁿ that holds a value
    count_label(600) 600       millis_label(4000) 4s       share_label(.1) 10%      each at most four cells
    times_line(("02:12", "02:42", "03:12"), 45)             left, middle, right
    TimeScale(start, end, cells)                            shared by charts, gantt and ticks of the run screen
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from etlwatch.model.numbers import Number, count
from etlwatch.model.spans import Spans, merge
from etlwatch.text import cell_width
from tracking_core.dataclass import dataclass

__all__ = ["TimeScale", "count_label", "millis_label", "nice_top", "share_label", "times_line"]

_STEPS: Final = (1, 2, 4, 6, 10)


def nice_top(value: Number, *, least: float = 1.0, most: float = math.inf) -> float:
    """Return the top of an axis that holds `value`: 1, 2, 4, 6 or 10 times a power of ten.

    Never below `least` (the top of a chart in which nothing happens) nor above `most` (1.0 for a share).
    Unknown and senseless values give `least`.
    """
    try:
        size = float(value) if value is not None else 0.0
    except (TypeError, ValueError, OverflowError):
        size = 0.0
    if not math.isfinite(size) or size <= least:
        return min(least, most)
    power: float = 10.0 ** math.floor(math.log10(size))
    # A hair of tolerance: 0.6000000000000001 is 0.6, not a reason for the next step.
    factor = next((step for step in _STEPS if step * power >= size * (1 - 1e-9)), 10)
    return min(factor * power, most)


def count_label(top: float) -> str:
    """Write the top of an axis of counts or rates in at most four cells: `600`, `4k`, `1M`, `0.4`."""
    if top < 1:
        return f"{top:.1g}"[:4]
    if top < 10:
        return f"{top:.1f}".removesuffix(".0")
    text = count(top)
    return text if top < 1_000 else f"{top / 1_000:g}k" if top < 1_000_000 else text.replace(".0", "")


def millis_label(top: float) -> str:
    """Write the top of an axis of milliseconds in at most four cells: `40ms`, `0.4s`, `4s`, `10m`, `2h`."""
    if top < 100:
        return f"{top:.0f}ms" if top >= 1 else f"{top:.1g}ms"[-4:]
    for unit, size, limit in (("s", 1_000, 600), ("m", 60_000, 600)):
        if top / size < limit:
            return f"{top / size:.1f}".removesuffix(".0") + unit if top / size < 10 else f"{top / size:.0f}{unit}"
    return f"{top / 3_600_000:.0f}h"


def share_label(top: float) -> str:
    """Write the top of an axis of shares (1.0 is all) in at most four cells: `10%`, `0.4%`, `100%`."""
    return f"{top * 100:.1f}".removesuffix(".0") + "%" if top < 0.1 else f"{top * 100:.0f}%"


def times_line(labels: Sequence[str], width: int) -> Spans:
    """Return the line below a chart: the first label at its left, the last at its right, the others between.

    Labels that would touch are left out, the middle ones first, and then all but the last, which is now.
    """
    cells = [" "] * max(0, width)
    ends: list[tuple[int, str]] = []
    count_of = len(labels)
    for index, label in enumerate(labels):
        room = width - cell_width(label)
        ends.append((math.ceil(room * index / (count_of - 1)) if count_of > 1 else room, label))
    taken = [ends[-1]] if ends and ends[-1][0] >= 0 else []
    for start, label in [*ends[:1], *ends[1:-1]]:
        if (
            start >= 0
            and all(start + len(label) < other or start > other + len(shown) for other, shown in taken)
            and (start, label) not in taken
        ):
            taken.append((start, label))
    for start, label in taken:
        cells[start : start + len(label)] = label
    return merge([("".join(cells), "dim")])


@dataclass(frozen=True, slots=True)
class TimeScale:
    """A span of time laid over cells: the axis that charts, gantt and error ticks of a run share."""

    start: float
    """Seconds (any epoch) at the left edge of the first cell."""
    end: float
    """Seconds at the right edge of the last cell; not before `start`."""
    cells: int

    def column(self, when: float) -> int:
        """Return the cell that holds `when`, clamped to the axis."""
        if self.cells <= 0 or not self.end > self.start or not math.isfinite(when):
            return 0
        return max(0, min(self.cells - 1, int((when - self.start) / (self.end - self.start) * self.cells)))

    def ticks(self, labels: Iterable[tuple[float, str]], *, now: float | None = None) -> Spans:
        """Return a line of time labels beginning at their cells, `now` in blue ending at its own.

        A label that would touch one already placed, or leave the axis, is left out; `now` is placed first.
        """
        cells = [(" ", "plain")] * self.cells
        free = [True] * self.cells

        def place(first: int, text: str, role: str) -> None:
            around = free[max(0, first - 1) : first + len(text) + 1]
            if first < 0 or first + len(text) > self.cells or not all(around):
                return
            for offset, character in enumerate(text):
                cells[first + offset] = (character, role)
                free[first + offset] = False

        if now is not None:
            place(max(0, self.column(now) - len("now") + 1), "now", "blue")
        for when, label in labels:
            if self.start <= when <= self.end:
                place(self.column(when), label, "dim")
        return merge(cells)
