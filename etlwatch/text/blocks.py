"""Bars of line characters, and charts of eighth blocks: values to cells of characters with roles (docs/screens.md).

Textual's sparkline renderable does not fit: it begins at the least value instead of zero, blends two colours, and
draws neither an unknown bucket nor two series in one cell.

    duration_bar(seconds, p95, runs=30)  ━━━━╋━━━   nine cells, the p95 always in the fifth
    progress_bar(share)                  ━━━───     six cells
    areas(layers, top=600, rows=6)     rows from the top, each a tuple of spans; layers from the outermost in
    spark(values, top=830)             one line, capped at ▇ so that lines above one another stay apart;
                                       marks={28: ("×", "red")} puts a glyph where a run has a state
    resample(values, 45, how="max")    as many values as there are columns
    columns_of({3, 4}, 60, 45)         the columns that hold these values

A value of None is an unknown bucket and leaves its column empty; what is not nothing is at least an eighth high.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from etlwatch.text.display import UNICODE, Glyphs
from etlwatch.text.numbers import number_of
from etlwatch.text.spans import Span, Spans, merge
from tracking_core.dataclass import dataclass

Value: TypeAlias = float | int | None
How: TypeAlias = Literal["mean", "max"]

EIGHTHS: Final = 8
_HIGHEST_SPARK: Final = 7


BAR_CELLS: Final = 9
MARK_CELL: Final = 4
PROGRESS_CELLS: Final = 6


def is_over(seconds: float, p95: float) -> bool:
    """Return whether a duration is beyond its p95 by as much as is printed: from `1.1×` on."""
    return p95 > 0 and round(seconds / p95, 1) > 1.0


def duration_bar(seconds: float, p95: float | None, *, runs: int, glyphs: Glyphs = UNICODE) -> Spans:
    """Return nine cells of a duration against its job's p95 (both in seconds), over `runs` completed past runs.

    The middle of the fifth cell is the p95, so that full width is twice that; half cells are rounded down, at
    least one half is drawn, and `»` ends a bar that leaves. Without a p95 the number of runs.
    """
    if p95 is None:
        return ((number_of(runs, "run") if runs else "no runs", "dim"),)
    over = is_over(seconds, p95)
    # A half cell is a ninth of the p95.
    halves = max(1, int(min(seconds / p95, 9.0) * BAR_CELLS)) if p95 > 0 else 0
    before = min(halves, 2 * MARK_CELL)
    after = max(0, halves - 2 * (MARK_CELL + 1)) if over else 0
    room = 2 * (BAR_CELLS - MARK_CELL - 1)
    left = glyphs.done * (before // 2) + glyphs.half * (before % 2)
    right = glyphs.done * (min(after, room) // 2) + glyphs.half * (min(after, room) % 2)
    if after > room:
        right = right[:-1] + glyphs.beyond
    return merge(
        [
            (left.ljust(MARK_CELL), "plain"),
            (glyphs.passed, "amber") if over else (glyphs.line, "faint"),
            (right, "amber"),
            (" " * (BAR_CELLS - MARK_CELL - 1 - len(right)), "plain"),
        ]
    )


def progress_bar(share: float | None, *, cells: int = PROGRESS_CELLS, glyphs: Glyphs = UNICODE) -> Spans:
    """Return `cells` cells of progress, `share` of 1.0 done, rounded down: full only when it is. Unknown: nothing."""
    if share is None or share != share:
        return ()
    full = int(min(max(share, 0.0), 1.0) * cells)
    return merge([(glyphs.done * full, "plain"), (glyphs.usual * (cells - full), "faint")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One series of an area chart."""

    values: Sequence[Value]
    """One value a column, in the unit of `top`; None where nothing is known."""
    role: str
    """The colour of the area: `chart-p99`, `chart-p95`, `chart-p50`."""
    over: Collection[int] = ()
    """Columns beyond the usual, drawn in `amber-fill` instead."""


def resample(values: Sequence[Value], columns: int, *, how: How = "mean") -> tuple[Value, ...]:
    """Return `columns` values over the same time: means or maxima of neighbours, or each one repeated.

    `mean` is for rates and shares, `max` for percentiles, whose peaks must not be averaged away. Unknown values (None,
    NaN) are left out of their column, which is unknown only where all of them are.
    """
    count = len(values)
    if count == columns:
        return tuple(values)
    out: list[Value] = []
    for column in range(columns if count else 0):
        first = column * count // columns
        known = [
            value
            for value in values[first : max(first + 1, (column + 1) * count // columns)]
            if value is not None and value == value
        ]
        out.append((max(known) if how == "max" else sum(known) / len(known)) if known else None)
    return tuple(out)


def columns_of(places: Collection[int], count: int, columns: int) -> frozenset[int]:
    """Return the columns of the values at `places`, out of `count`, after a `resample`."""
    if count <= 0:
        return frozenset()
    out: set[int] = set()
    for place in places:
        if 0 <= place < count:
            first = place * columns // count
            out.update(range(first, max(first + 1, (place + 1) * columns // count)))
    return frozenset(column for column in out if column < columns)


def _share(value: float, top: float) -> float:
    """Return the part of a positive `top` that a value reaches, at most 1, whatever the size of either."""
    return 1.0 if value >= top else value / top


def _eighths(value: Value, top: float, rows: int) -> int:
    """Return the height of a column in eighths of a cell, 0 to 8 × rows; NaN and None are 0."""
    if value is None or not value > 0 or not top > 0:
        return 0
    return max(1, min(rows * EIGHTHS, int(_share(value, top) * rows * EIGHTHS + 0.5)))


def areas(
    layers: Sequence[Layer],
    *,
    top: float,
    rows: int,
    usual: float | None = None,
    crosses: Collection[int] = (),
    glyphs: Glyphs = UNICODE,
    shades: bool = True,
) -> tuple[Spans, ...]:
    """Return `rows` lines of nested areas, the topmost first, all of them as wide as the longest layer.

    `layers` go from the outermost (p99) in. `usual` is drawn as dots through empty and full cells; `crosses` are
    columns that get a red × in the first cell above them. Without `shades` (sixteen colours, none, or ASCII) nested
    areas differ by pattern instead of by colour.
    """
    width = max((len(layer.values) for layer in layers), default=0)
    patterned = len(layers) > 1 and (not shades or glyphs.name == "ascii")
    heights = [_nested_heights(layers, column, top, rows) for column in range(width)]
    foregrounds = [
        [("amber-fill" if column in layer.over else layer.role) for layer in layers] for column in range(width)
    ]
    usual_row = None if usual is None or not top > 0 or usual < 0 else min(rows - 1, int(_share(usual, top) * rows))
    lines: list[Spans] = []
    for row in reversed(range(rows)):
        cells: list[Span] = []
        for column in range(width):
            levels = [max(0, min(EIGHTHS, height - row * EIGHTHS)) for height in heights[column]]
            if patterned:
                cell = _pattern_cell(levels, foregrounds[column], glyphs)
            else:
                cell = _block_cell(levels, foregrounds[column], glyphs)
            if row == usual_row:
                cell = _with_dot(cell, glyphs, shades=shades)
            if column in crosses and row == min(rows - 1, -(-max(heights[column], default=0) // EIGHTHS)):
                cell = (glyphs.cross, _on("red", cell, shades=shades))
            cells.append(cell)
        lines.append(merge(cells))
    return tuple(lines)


def _nested_heights(layers: Sequence[Layer], column: int, top: float, rows: int) -> list[int]:
    """Return each layer's height in one column, an outer one never below what it holds.

    Of three, where the two inner ones end alike, the innermost leaves its last cell to the other.
    """
    heights: list[int] = []
    least = 0
    for layer in reversed(layers):
        value = layer.values[column] if column < len(layer.values) else None
        least = max(least, _eighths(value, top, rows))
        heights.append(least)
    if len(heights) > 2 and heights[0] == heights[1]:
        heights[0] = max(0, heights[0] - 1) // EIGHTHS * EIGHTHS
    return heights[::-1]


def _block_cell(levels: Sequence[int], foregrounds: Sequence[str], glyphs: Glyphs) -> Span:
    """Return one cell of nested levels (outermost first): two foregrounds at most, so the lowest boundary is drawn.

    What lies above that boundary becomes the ground, whichever of it fills most: the innermost area, which is the
    one read most closely, keeps its exact height.
    """
    bands: list[tuple[int, str]] = []
    below = 0
    for level, colour in zip(reversed(levels), reversed(foregrounds), strict=True):
        if level > below:
            bands.append((level - below, colour))
            below = level
    if below < EIGHTHS:
        bands.append((EIGHTHS - below, ""))
    height, colour = bands[0]
    rest = bands[1:]
    if not colour:
        return (" ", "plain")
    if not rest:
        return (glyphs.blocks[EIGHTHS], colour)
    ground = max(rest, key=lambda band: band[0])[1]
    if ground in ("", colour):
        return (glyphs.blocks[height], colour)
    return (glyphs.blocks[height], f"{colour} on {ground}")


def _pattern_cell(levels: Sequence[int], foregrounds: Sequence[str], glyphs: Glyphs) -> Span:
    """Return one cell without shades: the pattern of the innermost area that fills half of it, else a block."""
    for index in reversed(range(len(levels))):
        if levels[index] >= EIGHTHS // 2:
            return (glyphs.patterns[min(index, len(glyphs.patterns) - 1)], foregrounds[index])
    return (glyphs.blocks[levels[0]], foregrounds[0]) if levels[0] else (" ", "plain")


def _with_dot(cell: Span, glyphs: Glyphs, *, shades: bool) -> Span:
    """Put the dot of the usual level into an empty cell, or onto a full one where its ground can be coloured."""
    text, role = cell
    if text == " ":
        return (glyphs.usual_level, "dim")
    full = text == glyphs.blocks[EIGHTHS] and " on " not in role
    return (glyphs.usual_level, _on("dim", cell, shades=shades)) if full and shades else cell


def _on(colour: str, cell: Span, *, shades: bool) -> str:
    """Return the role of `colour` on whatever fills `cell`."""
    text, role = cell
    if text == " " or not shades or role == "plain":
        return colour
    return f"{colour} on {role.split(' on ')[-1]}"


def spark(
    values: Sequence[Value],
    *,
    top: float,
    marks: Mapping[int, Span] | None = None,
    over: Collection[int] = (),
    role: str = "chart-p95",
    glyphs: Glyphs = UNICODE,
) -> Spans:
    """Return one line of seven heights, one value a cell, `top` the full height; `over` columns in `amber-fill`.

    A known value is at least `▁`, zero too, so that the line shows where data is; an unknown one is a space. A column
    in `marks` has that glyph instead.
    """
    cells: list[Span] = []
    for column, value in enumerate(values):
        if marks and column in marks:
            cells.append(marks[column])
        elif value is None or value != value:
            cells.append((" ", "plain"))
        else:
            share = _share(max(value, 0.0), top) if top > 0 else 0.0
            level = min(_HIGHEST_SPARK, max(1, int(share * EIGHTHS)))
            cells.append((glyphs.blocks[level], "amber-fill" if column in over else role))
    return merge(cells)
