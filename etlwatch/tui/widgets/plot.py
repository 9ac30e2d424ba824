"""The full-size chart, drawn by plotext 6 and stored as spans.

Everything that depends on plotext: figures, markers, and reading its output back into roles. It is imported when the
first chart is drawn (0.15 s).

    PlotChart().show(Plot(…))       drawn again only for another plot, another size or other glyphs

plotext 6 has one figure for the whole process and paints in numbered colours. Every colour gets a number that only this
file uses; the output is cut at the escape sequences and each number turned into its role again, so that a
drawing serves every theme and nothing of plotext's own reaches the terminal.
"""

import re
import sys
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from etlwatch.rendering.request_charts import Plot, Series, legend, y_ticks
from etlwatch.text.display import Glyphs
from etlwatch.text.spans import Span, Spans, fit, merge, plain_text, spans_width
from etlwatch.tui.imports import without_module
from etlwatch.tui.widgets.span_lines import ValueLines

# Numbers of the 256-colour palette, used as names; they are never shown.
_FRAME: Final = 16
_TICKS: Final = 17
_USUAL: Final = 18
_CURSOR: Final = 19
_FIRST_SERIES: Final = 32
_FRAME_ROLES: Final = {_FRAME: "faint", _TICKS: "dim", _USUAL: "dim", _CURSOR: "blue"}

_CURSOR_MARKER: Final = "│"
_USUAL_MARKER: Final = "·"
_FULL: Final = "█"
_LABEL_CELLS: Final = 4
_AXIS_LINES: Final = 1

_NO_GROUNDS: Final = ("plain", "text", "dim")
"""Colours of words and lines, which a theme has no ground of."""

_ESCAPE: Final = re.compile(r"\x1b\[([0-9;]*)m")
_FOREGROUND: Final = re.compile(r"38;5;(\d+)")

# Where series do not differ by colour, each is an area with a pattern of its own, the last one solid.
_PATTERNS: Final = {"unicode": ("░▒▓", "█"), "ascii": (":%+", "#")}


_UNUSED: Final = (("plotext._doc.doc", "docs"), ("plotext._tests.run", "test"))
"""Modules that plotext imports for itself, with the one name that it takes from each.

Its documentation objects and its own tests are two thirds of its import time and 4 MB that stay.
"""


@lru_cache(maxsize=1)
def _plotext() -> ModuleType:
    """Import plotext once, without `_UNUSED`, and turn off its limit to the size of a terminal."""
    for name, attribute in _UNUSED:
        empty = ModuleType(name)
        setattr(empty, attribute, None)
        sys.modules.setdefault(name, empty)
    # Python's own hashes instead of OpenSSL's library, 3 MB; some builds of Python have only the latter.
    with without_module("_hashlib") if find_spec("_md5") else nullcontext():
        plotext = import_module("plotext")
    plotext.terminal.limit(width=False, height=False)
    return plotext


def plot_lines(
    plot: Plot, *, width: int, height: int, glyphs: Glyphs, shades: bool = True, marker: str = "hd"
) -> tuple[Spans, ...]:
    """Return `height` lines of `width` cells: a title with its legend, and the chart with its axes.

    `marker` is plotext's: `hd` for quadrants, which every font has, `fhd` for sextants. Without `shades`, or in ASCII,
    the series are steps filled with patterns, each in front of the one before. What is too small for a chart is the
    title alone.
    """
    patterned = not shades or glyphs.name == "ascii"
    looser, solid = _PATTERNS[glyphs.name]
    patterns = [*looser[: len(plot.series) - 1], solid] if plot.series else []
    names = legend(plot, patterns if patterned else [glyphs.done] * len(plot.series))
    room = width - spans_width(plot.title) - spans_width(names)
    head = fit((*plot.title, (" " * max(2, room), "plain"), *names), width, ellipsis=glyphs.ellipsis)
    if height < 4 or width < 20 or not plot.end > plot.start or not plot.top > 0:
        return (head, *([()] * (height - 1)))[: max(0, height)]
    # Without times its line is drawn all the same, since plotext cannot leave it out, and cut off.
    axis = 0 if plot.times else _AXIS_LINES
    figure = _drawn(plot, width, height - 1 + axis, "" if patterned else marker)
    roles = {**_FRAME_ROLES, **{_FIRST_SERIES + index: series.role for index, series in enumerate(plot.series)}}
    lines = [fit(_spans(line, roles, glyphs), width) for line in figure.build().string().split("\n")]
    if patterned:
        canvas = 1 + next((row for row, line in enumerate(lines) if plain_text(line)[:_LABEL_CELLS].strip() == "0"), -1)
        lines[:canvas] = _stepped(plot, lines[:canvas], patterns, glyphs)
    return (head, *lines[: height - 1], *([()] * (height - 1 - len(lines))))


def _drawn(plot: Plot, width: int, height: int, marker: str) -> Any:
    """Draw `plot` into plotext's figure and return that; without a marker all but the series."""
    plotext = _plotext()
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.canvas(background="default")
    figure.axes(active=False, side=1)
    figure.axes(active=True, side=0, pixel=plotext.pixel(_FRAME))
    y = figure.ruler(1, 0)
    y.lim(0, plot.top).alignment(lim="edge").pixel(plotext.pixel(_TICKS))
    ticks = y_ticks(plot, height - 2)
    y.ticks([value for value, _ in ticks], [label.rjust(_LABEL_CELLS) for _, label in ticks])
    x = figure.ruler(0, 0)
    x.lim(plot.start, plot.end).alignment(lim="edge").pixel(plotext.pixel(_TICKS))
    times = [(when, label) for when, label in plot.times if plot.start <= when <= plot.end]
    x.ticks([when for when, _ in times], [label for _, label in times])
    # Lines cover the dots of the usual level where both are, areas lie under them.
    areas = any(series.kind == "area" for series in plot.series)
    for draw in (_draw_series, _draw_usual) if areas else (_draw_usual, _draw_series):
        draw(figure, plot, width, marker)
    # A signal as well, for the same reason.
    if plot.cursor is not None and plot.start <= plot.cursor <= plot.end:
        paint = plotext.marker(_CURSOR_MARKER, plotext.pixel(_CURSOR))
        figure.draw(figure.signal([plot.cursor] * 2, [0, plot.top], marker=paint).lines().density("full"))
    return figure


def _draw_series(figure: Any, plot: Plot, _width: int, marker: str) -> None:
    plotext = _plotext()
    for index, series in sorted(enumerate(plot.series), key=lambda each: each[1].in_front):
        if not marker:
            continue
        paint = plotext.marker(marker, plotext.pixel(_FIRST_SERIES + index))
        for piece in _pieces(series):
            signal = figure.signal([when for when, _ in piece], [value for _, value in piece], marker=paint)
            if series.kind == "area":
                signal.fillx()
            signal.lines().density("full")
            figure.draw(signal)


def _draw_usual(figure: Any, plot: Plot, width: int, _marker: str) -> None:
    plotext = _plotext()
    # A signal and not plotext's line, which it lays under the areas.
    if plot.usual is not None and 0 <= plot.usual <= plot.top:
        canvas = max(2, width - _LABEL_CELLS - 1)
        step = 2 * (plot.end - plot.start) / canvas
        dots = [plot.start + step * (dot + 0.75) for dot in range(canvas // 2)]
        paint = plotext.marker(_USUAL_MARKER, plotext.pixel(_USUAL))
        figure.draw(figure.signal(dots, [plot.usual] * len(dots), marker=paint))


def _stepped(plot: Plot, lines: Sequence[Spans], patterns: Sequence[str], glyphs: Glyphs) -> list[Spans]:
    """Lay the series over the canvas as steps, the first line on top; the cursor stays, and dots above the areas."""
    grid = [[(character, role) for text, role in line for character in text] for line in lines]
    left = _LABEL_CELLS + 1
    columns = max(0, len(grid[0]) - left) if grid else 0
    heights = [
        [_height(series, plot, plot.start + (plot.end - plot.start) * (column + 0.5) / columns, len(grid))
         for column in range(columns)]
        for series in plot.series
    ]  # fmt: skip
    for series, pattern, over in zip(plot.series, patterns, heights, strict=True):
        for column, height in enumerate(over):
            for row in range(height):
                _fill(grid[-1 - row], left + column, (pattern, series.role), patterns)
    for series, pattern, over in zip(plot.series, patterns, heights, strict=True):
        for column, height in enumerate(over):
            if series.in_front and height:
                _fill(grid[-height], left + column, (pattern, series.role), patterns)
    return [merge((glyphs.text(text), role) for text, role in line) for line in grid]


def _fill(line: list[Span], column: int, cell: Span, patterns: Sequence[str]) -> None:
    # A dot without a ground of its own would be a hole in an area.
    if line[column][0] in (" ", _USUAL_MARKER, *patterns):
        line[column] = cell


def _height(series: Series, plot: Plot, when: float, rows: int) -> int:
    """Return how many of `rows` cells a series is high at a moment; what is not nothing is one at least."""
    place = bisect_right(series.points, when, key=lambda point: point[0])
    before, after = series.points[place - 1 : place], series.points[place : place + 1]
    value = before[0][1] if place and before and after and after[0][1] is not None else None
    if value is None or not value > 0:
        return 0
    return max(1, min(rows, round(value / plot.top * rows)))


def _pieces(series: Series) -> list[list[tuple[float, float]]]:
    """Return the unbroken parts of a series: an unknown value breaks the line."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for when, value in series.points:
        if value is None or value != value:
            pieces.append([])
        else:
            pieces[-1].append((when, float(value)))
    return [piece for piece in pieces if piece]


def _spans(line: str, roles: dict[int, str], glyphs: Glyphs) -> Spans:
    """Turn one line of plotext's output into spans; colours that are not ours become plain.

    What is laid over an area keeps the area as its ground, read from the cell before it.
    """
    out: list[Span] = []
    role = "plain"
    for index, piece in enumerate(_ESCAPE.split(line)):
        if index % 2:  # the parameters of an escape sequence
            found = _FOREGROUND.search(piece)
            if found:
                role = roles.get(int(found[1]), "plain")
            elif piece in ("", "0"):
                role = "plain"
        elif piece:
            over = role in ("blue", "dim") and set(piece) <= {_CURSOR_MARKER, _USUAL_MARKER}
            filled = over and out and (out[-1][0][-1] == _FULL or " on " in out[-1][1])
            ground = out[-1][1].split(" on ")[-1] if filled else ""
            out.append((piece, f"{role} on {ground}" if ground and ground not in _NO_GROUNDS else role))
    return merge((glyphs.text(text), role) for text, role in out)


class PlotChart(ValueLines[Plot | None]):
    """A chart at full size: as tall as CSS gives it, drawn again when its plot has changed."""

    DEFAULT_CSS = "PlotChart { height: 1fr; }"

    empty = None

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the chart at its present size; nothing before there is a plot."""
        if self.value is None:
            return ()
        height = self.size.height
        return plot_lines(self.value, width=width, height=height, glyphs=self.glyphs, shades=self.shades)
