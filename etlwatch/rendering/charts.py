"""Whole charts as lines (title, y labels, areas, times), one-line sparks, axes, and the time cursor.

chart_lines(Chart(…), width=50, rows=6)     1 + rows + 1 lines: title, plot, times
spark_lines([Spark(…), …], width=80)        a line each: label, value, spark, usual
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from etlwatch.analysis.series import Column
from etlwatch.text.blocks import How, Layer, Value, areas, columns_of, resample, spark
from etlwatch.text.display import UNICODE, DisplayContext, Glyphs
from etlwatch.text.numbers import Number, clock, count, moment
from etlwatch.text.safe import cell_width
from etlwatch.text.spans import Span, Spans, fit, merge, spans_width
from tracking_core.dataclass import dataclass, replace

LABEL_CELLS: Final = 4
"""Cells of the y labels, and one more between them and the plot."""

SPARK_LABEL_CELLS: Final = 17
SPARK_ASIDE_CELLS: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything a compact chart shows; equal charts look the same."""

    title: Spans
    """At the left of the first line."""
    aside: Spans = ()
    """At its right, left out where it does not fit."""
    layers: tuple[Layer, ...]
    """From the outermost in; resampled to the columns there are."""
    how: How = "mean"
    """How neighbours are put together when there are more values than columns."""
    top: float
    """Value of the upper edge, in the unit of the layers."""
    top_label: str
    """How it is written, at most four cells."""
    usual: float | None = None
    crosses: Collection[int] = ()
    """Places of the values with a 5xx or an error."""
    edge_labels: tuple[Span, ...] = ()
    """One a layer, at the right edge where the layer ends."""
    times: tuple[str, ...] = ()
    """Below, left to right; an empty tuple leaves the line out."""
    cursor: int | None = None
    """Place of the value that the time cursor is on."""
    framed: bool = False
    """Whether a line parts the y labels from the plot, where figures stand beside them."""


def _edge_cells(chart: Chart) -> int:
    """Return the cells at the right for the layers' labels, with the one before them."""
    return max((spans_width((label,)) + 1 for label in chart.edge_labels), default=0)


def plot_columns(chart: Chart, width: int) -> int:
    """Return how many columns the plot has in `width` cells."""
    return max(0, width - LABEL_CELLS - 1 - _edge_cells(chart))


def chart_lines(
    chart: Chart, *, width: int, rows: int, glyphs: Glyphs = UNICODE, shades: bool = True
) -> tuple[Spans, ...]:
    """Return the lines of `chart`, each exactly `width` cells: title, `rows` of plot, times if any."""
    columns = plot_columns(chart, width)
    layers = tuple(_in_columns(layer, columns, chart.how) for layer in chart.layers)
    longest = max((len(layer.values) for layer in chart.layers), default=0)
    plot = areas(
        layers,
        top=chart.top,
        rows=rows,
        usual=chart.usual,
        crosses=columns_of(chart.crosses, longest, columns),
        glyphs=glyphs,
        shades=shades,
    )
    for column in _cursor_in(chart.cursor, longest, columns):
        plot = tuple(with_line(cells, column, glyphs=glyphs, shades=shades) for cells in plot)
    edges = _edge_rows(chart, layers, rows)
    lines = [_title(chart, width)]
    for row, cells in enumerate(plot):
        label = chart.top_label if row == 0 else "0" if row == rows - 1 else ""
        lines.append(
            fit(
                (
                    (f"{label:>{LABEL_CELLS}}", "dim"),
                    (glyphs.line, "faint") if chart.framed else (" ", "dim"),
                    *fit(cells, columns),
                    *(((" ", "plain"), edges[row]) if row in edges else ()),
                ),
                width,
            )
        )
    if chart.times:
        below = times_line(chart.times, columns)
        lines.append(fit(((" " * (LABEL_CELLS + 1), "plain"), *below), width))
    return tuple(lines)


def _in_columns(layer: Layer, columns: int, how: How) -> Layer:
    over = columns_of(layer.over, len(layer.values), columns)
    return replace(layer, values=resample(layer.values, columns, how=how), over=over)


def _cursor_in(cursor: int | None, longest: int, columns: int) -> list[int]:
    """Return the column of the time cursor, if it is on the chart."""
    return sorted(columns_of((cursor,), longest, columns))[:1] if cursor is not None and columns else []


def _title(chart: Chart, width: int) -> Spans:
    """Return the first line; the aside stays only where two cells part it from the title."""
    room = width - spans_width(chart.title) - spans_width(chart.aside)
    if not chart.aside or room < 2:
        return fit(chart.title, width)
    return (*chart.title, (" " * room, "plain"), *chart.aside)


def _edge_rows(chart: Chart, layers: Sequence[Layer], rows: int) -> dict[int, Span]:
    """Return the label of each row (from the top) that has one: at its layer's last known value, none on another.

    Placed from the innermost layer out, so that one that is pushed goes up, where its layer is.
    """
    taken: dict[int, Span] = {}
    for layer, label in reversed(list(zip(layers, chart.edge_labels, strict=False))):
        last = next((value for value in reversed(layer.values) if value is not None and value == value), None)
        if last is None or not chart.top > 0:
            continue
        row = rows - 1 - max(0, int(min(max(last / chart.top, 0.0), 1.0) * rows - 1e-9))
        while row in taken and row > 0:
            row -= 1
        taken.setdefault(row, label)
    return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """One line of the smallest layout."""

    label: str
    value: Span
    """The present value, `("2.1s", "amber bold")`."""
    values: tuple[Value, ...]
    top: float
    over: Collection[int] = ()
    """Places of the values beyond the usual."""
    aside: str = ""
    """What is usual: `usual 0.7s`."""
    how: How = "mean"
    cursor: int | None = None
    """Place of the value that the time cursor is on."""


def spark_lines(sparks: Sequence[Spark], *, width: int, glyphs: Glyphs = UNICODE) -> tuple[Spans, ...]:
    """Return a line of `width` cells for each spark, their blocks in the same columns."""
    columns = max(0, width - SPARK_LABEL_CELLS - SPARK_ASIDE_CELLS - 4)
    lines: list[Spans] = []
    for one in sparks:
        gap = max(1, SPARK_LABEL_CELLS - len(one.label) - spans_width((one.value,)))
        blocks = spark(
            resample(one.values, columns, how=one.how),
            top=one.top,
            over=columns_of(one.over, len(one.values), columns),
            glyphs=glyphs,
        )
        for column in _cursor_in(one.cursor, len(one.values), columns):
            blocks = with_line(blocks, column, glyphs=glyphs, shades=False)
        head = fit(((one.label, "dim"), (" " * gap, "plain"), one.value), SPARK_LABEL_CELLS)
        line = ((" ", "plain"), *head, ("  ", "plain"), *fit(blocks, columns), (" ", "plain"), (one.aside, "dim"))
        lines.append(fit(line, width))
    return tuple(lines)


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


def top_over(values: Iterable[Value], *, least: float = 1.0, most: float = math.inf) -> float:
    """Return the top of an axis that holds all known values."""
    return nice_top(max((value for value in values if value is not None), default=None), least=least, most=most)


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


DAY_S: Final = 86_400
"""Seconds beyond which times on an axis name their day."""

_TICK_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200, DAY_S, 7 * DAY_S),
)


def time_ticks(start: float, end: float, context: DisplayContext, *, most: int = 6) -> tuple[tuple[float, str], ...]:
    """Return the beginning and the round times between two moments (seconds), at most about `most` of them."""
    step = next((each for each in _TICK_STEPS_S if (end - start) / each <= most), _TICK_STEPS_S[-1])
    local = datetime.fromtimestamp(start, UTC).astimezone(context.zone)
    shift = local.utcoffset()
    offset = shift.total_seconds() if shift else 0.0
    first = -(-(start + offset) // step) * step - offset
    last = datetime.fromtimestamp(end, UTC)

    def label(at: float) -> str:
        when = datetime.fromtimestamp(at, UTC)
        return moment(when, last, context.zone) if end - start > DAY_S else clock(when, context.zone, seconds=step < 60)

    # The beginning first: where it touches a round time, it is the one that stays.
    return tuple((at, label(at)) for at in (start, *(first + step * n for n in range(int((end - first) // step) + 1))))


def place_of(columns: Sequence[Column], cursor_s: float | None) -> int | None:
    """Return the place of the column that holds a moment (seconds since 1970-01-01Z); None where none does."""
    if cursor_s is None or not columns or cursor_s < columns[0].begin:
        return None
    if len(columns) > 1 and cursor_s >= columns[-1].begin + (columns[1].begin - columns[0].begin):
        return None
    return max(place for place, column in enumerate(columns) if column.begin <= cursor_s)


def moved(columns: Sequence[Column], cursor_s: float | None, by: int) -> float | None:
    """Return the moment `by` columns later than the cursor; None beyond the newest: there it goes on with the time.

    A cursor on no column is brought to the nearest one first; without one it comes from the newest.
    """
    if not columns:
        return cursor_s
    last = len(columns) - 1
    here = place_of(columns, cursor_s)
    if here is None:
        here = 0 if cursor_s is not None and cursor_s < columns[0].begin else last
    place = max(0, here + by)
    # The middle of the column: another chart may have finer ones.
    return columns[place].begin + columns[place].seconds / 2 if place < last else None


def with_line(spans: Iterable[Span], column: int, *, glyphs: Glyphs = UNICODE, shades: bool = True) -> Spans:
    """Lay a blue line over a cell of a row of single-cell characters, filled up to it first; an area stays behind."""
    cells = [(character, role) for text, role in spans for character in text]
    cells.extend([(" ", "plain")] * (column + 1 - len(cells)))
    character, role = cells[column]
    ground = role.rpartition(" on ")[2] if " on " in role else role if character == glyphs.blocks[-1] else ""
    cells[column] = (glyphs.line, f"blue on {ground}" if ground and shades else "blue")
    return merge(cells)
