"""What a full-size chart shows: series over time, ticks with words, the time cursor.

Owns the data of such a chart and its ticks. Refuses to own drawing (`etlwatch.widgets.plot` has a library for that) and
colours.

    Plot(title=…, start=…, end=…, top=4000, label=millis_label, series=(Series(…), …), times=((t, "02:12"), …))
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

from etlwatch.model.blocks import Value
from etlwatch.model.spans import Span, Spans
from tracking_core.dataclass import dataclass

__all__ = ["Plot", "Series", "legend", "y_ticks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line or area."""

    name: str
    """What the legend calls it: `p95`."""
    role: str
    """Its ink."""
    points: tuple[tuple[float, Value], ...]
    """(seconds, value), in order of time; a value of None breaks the line."""
    kind: Literal["line", "area"] = "line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Everything a full-size chart shows; equal plots look the same."""

    title: Spans
    start: float
    """Seconds (any epoch) at the left edge."""
    end: float
    """Seconds at the right edge; after `start`."""
    top: float
    """Value of the upper edge, above 0; the lower one is 0."""
    label: Callable[[float], str]
    """Writes a value of the y axis; one of the labels of `etlwatch.model.axes`."""
    series: tuple[Series, ...]
    """Drawn in this order: the last one on top."""
    times: tuple[tuple[float, str], ...] = ()
    """Ticks of the x axis."""
    usual: float | None = None
    """A level drawn across."""
    cursor: float | None = None
    """The time cursor, in seconds."""


_ROUND_PARTS: Final = {1: 5, 2: 4, 4: 4, 6: 3}
"""Into how many parts a top divides by its first digit so that each can be written: 0.2, 0.5, 1 and 2 of its power."""


def y_ticks(plot: Plot, rows: int) -> tuple[tuple[float, str], ...]:
    """Return the ticks of the y axis for a canvas of `rows` lines: ends only, halves, or round parts of its top."""
    leading = int(f"{plot.top:e}"[0])
    steps = _ROUND_PARTS.get(leading, 4) if rows >= 12 else 2 if rows >= 6 else 1
    return tuple(
        (plot.top * step / steps, plot.label(plot.top * step / steps) if step else "0") for step in range(steps + 1)
    )


def legend(plot: Plot, samples: Sequence[str]) -> Spans:
    """Return the names of the series, each after the sample of its line in its ink; nothing for a single one."""
    if len(plot.series) < 2:
        return ()
    out: list[Span] = []
    for series, sample in zip(plot.series, samples, strict=True):
        out += [("  " if out else "", "plain"), (sample * 2, series.role), (f" {series.name}", "dim")]
    return tuple(out)
