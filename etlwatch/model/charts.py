"""Whole charts as lines: title, y labels, areas, labels at the edge, times; and the one-line sparks.

Owns how a chart is put together in a given width (docs/screens.md). Refuses to own the areas themselves
(`etlwatch.model.blocks`), colours, and what the numbers in a title are.

    chart_lines(Chart(…), width=50, rows=6)     1 + rows + 1 lines: title, plot, times
    spark_lines([Spark(…), …], width=80)        a line each: label, value, spark, usual
"""

from collections.abc import Collection, Sequence
from typing import Final

from etlwatch.model.axes import times_line
from etlwatch.model.blocks import How, Layer, Value, areas, columns_of, resample, spark
from etlwatch.model.glyphs import UNICODE, Glyphs
from etlwatch.model.spans import Span, Spans, fit, spans_width
from etlwatch.model.time_cursor import with_line
from tracking_core.dataclass import dataclass, replace

__all__ = ["LABEL_CELLS", "Chart", "Spark", "chart_lines", "plot_columns", "spark_lines"]

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
                    (f"{label:>{LABEL_CELLS}} ", "dim"),
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
