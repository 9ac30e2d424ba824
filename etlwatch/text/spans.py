"""Styled text as spans: text with a role instead of a colour; and lines of columns made of them.

A span is `(text, role)`. A role is `COLOUR [bold] [on GROUND]`: `"dim"`, `"amber bold"`, `"chart-p50 on chart-p95"`.
Colours: `plain` (the row's own), text, dim, faint, blue, amber, red, amber-fill, chart-p99, chart-p95, chart-p50.
Grounds: background, bar, selected, and every colour that fills an area.

A layout of the dashboard is a tuple of columns. Columns of commands are placed by `etlwatch.cli.output`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from etlwatch.text.display import Glyphs, Tone
from etlwatch.text.safe import ELLIPSIS, Align, cell_width, clip
from tracking_core.dataclass import dataclass, replace

Span: TypeAlias = tuple[str, str]
Spans: TypeAlias = tuple[Span, ...]


def plain_text(spans: Iterable[Span]) -> str:
    """Return the characters of `spans` without their roles."""
    return "".join(text for text, _ in spans)


def spans_width(spans: Iterable[Span]) -> int:
    """Return the cells that `spans` take."""
    return sum(cell_width(text) for text, _ in spans)


def merge(spans: Iterable[Span]) -> Spans:
    """Return `spans` with neighbours of one role joined and empty ones left out."""
    out: list[Span] = []
    for text, role in spans:
        if not text:
            continue
        if out and out[-1][1] == role:
            out[-1] = (out[-1][0] + text, role)
        else:
            out.append((text, role))
    return tuple(out)


def join(parts: Iterable[Spans], separator: str = "  ") -> Spans:
    """Return the non-empty parts one after the other with plain `separator` between them."""
    out: list[Span] = []
    for part in parts:
        if not part:
            continue
        if out:
            out.append((separator, "plain"))
        out.extend(part)
    return tuple(out)


def fit(spans: Iterable[Span], width: int, align: Align = "left", *, ellipsis: str = ELLIPSIS) -> Spans:
    """Return `spans` in exactly `width` cells, clipped with `ellipsis` or filled with plain spaces."""
    given = tuple(spans)
    room = width - spans_width(given)
    if room < 0:
        return _clipped(given, width, ellipsis)
    if room == 0:
        return given
    if align == "right":
        return ((" " * room, "plain"), *given)
    if align == "center":
        return ((" " * (room // 2), "plain"), *given, (" " * (room - room // 2), "plain"))
    return (*given, (" " * room, "plain"))


def _clipped(spans: Spans, width: int, ellipsis: str) -> Spans:
    """Cut `spans`, known to be too wide, to exactly `width` cells; a cut wide character leaves a space."""
    out: list[Span] = []
    left = width
    for index, (text, role) in enumerate(spans):
        cells = cell_width(text)
        if cells < left or (cells == left and index == len(spans) - 1):
            out.append((text, role))
            left -= cells
            continue
        # One blank more than the room makes `clip` add the ellipsis.
        cut = clip(text + " " * (left + 1), left, ellipsis=ellipsis) if left else ""
        out.append((cut, role))
        left -= cell_width(cut)
        break
    if left > 0:
        out.append((" " * left, "plain"))
    return tuple(out)


def in_glyphs(spans: Iterable[Span], glyphs: Glyphs) -> Spans:
    """Return spans in a set of glyphs: unchanged, or in ASCII, names from the store included."""
    return tuple((glyphs.text(text), role) for text, role in spans)


Row = TypeVar("Row")

KEEP: Final = 0
GUTTER = 2
"""Cells before the first column: the cursor's mark and the mark of a chosen row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a layout."""

    key: str
    """Under which rows hold their cell, and which a sort names."""
    header: str = ""
    width: int
    """Cells, before growth."""
    align: Align = "left"
    """Of the header and the cells."""
    gap: int = 2
    """Cells before it: two between groups, one inside; ignored for the first."""
    grow: int = 0
    """Its share of what a wider terminal leaves over; 0 stays as it is."""
    sortable: bool = True
    """Whether a click on its header asks for a sort."""
    cut_middle: bool = False
    """Whether a text that is too wide keeps its beginning and its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumn(Generic[Row]):
    """One column of a command's table: its heading, and the text of a row's cell."""

    heading: str
    full: Callable[[Row], str]
    brief: Callable[[Row], str] | None = None
    """A shorter text, for a table that does not fit; None for the same."""
    right: bool = False
    tone: Callable[[Row], Tone] = lambda _row: ""
    shrinks_to: int | None = None
    """The cells that an elastic column needs at least; None for one that is never cut."""
    leaves: int = KEEP
    """When the column leaves a table that is still too wide: the highest first, KEEP never."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A column at its place."""

    column: Column
    x: int
    width: int
    """Cells it really has: grown, or cut at the right edge."""


def placed(columns: Sequence[Column], width: int) -> tuple[Placed, ...]:
    """Place `columns` side by side in `width` cells; what is left over goes to those that grow, by their shares.

    A column beyond the right edge is left out, and one that crosses it is cut.
    """
    needed = GUTTER + sum(column.width + (column.gap if index else 0) for index, column in enumerate(columns))
    shares = sum(column.grow for column in columns)
    spare = max(0, width - needed) if shares else 0
    out: list[Placed] = []
    x = GUTTER
    given = seen = 0
    for index, column in enumerate(columns):
        x += column.gap if index else 0
        seen += column.grow
        # Shares of the running total, so that the rounding never loses or invents a cell.
        extra = spare * seen // shares - given if shares else 0
        given += extra
        cells = min(column.width + extra, width - x)
        if cells <= 0:
            break
        out.append(Placed(column, x, cells))
        x += column.width + extra
    return tuple(out)


def widened(columns: Sequence[Column], key: str, width: int, spare: Mapping[str, int]) -> tuple[Column, ...]:
    """Return `columns` with one of them as wide as `width`, as far as others can spare it.

    `spare` names these in the order in which they give, each with the cells that it keeps.
    """
    by_key = {column.key: column for column in columns}
    short = max(0, width - by_key[key].width)
    for name, least in spare.items():
        given = min(short, max(0, by_key[name].width - least)) if name in by_key else 0
        if given:
            by_key[name] = replace(by_key[name], width=by_key[name].width - given)
            by_key[key] = replace(by_key[key], width=by_key[key].width + given)
            short -= given
    return tuple(by_key.values())


def laid_out(columns: Sequence[Column], cells: Mapping[str, Spans], width: int, *, ellipsis: str = ELLIPSIS) -> Spans:
    """Return the cells of one row, each in its column's place, behind an empty gutter."""
    out: list[Span] = []
    x = 0
    for at in placed(columns, width):
        out.append((" " * (at.x - x), "plain"))
        out.extend(fit(cells.get(at.column.key, ()), at.width, at.column.align, ellipsis=ellipsis))
        x = at.x + at.width
    return tuple(out)


def headers(columns: Sequence[Column], width: int) -> Spans:
    """Return the line of headers above such rows."""
    return laid_out(columns, {column.key: ((column.header, "dim"),) for column in columns}, width)


SPARK_LINES: Final = 3
"""Lines of the charts in the smallest layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeLayout:
    """What the home screen shows at a size."""

    chart_rows: int
    """Lines of plot of each chart; 0 for none."""

    chart_columns: int
    """Buckets that the charts or sparks have room for; 0 when nothing is charted."""

    sparks: bool
    spaced: bool
    """Whether empty lines set the charts apart."""

    pane_lines: int
    """Lines of the pane below its rule; 0 for no pane."""

    headline: bool
    brief: bool
    """Whether line 1 sums states up as behind and ok."""


def home_layout(width: int, height: int, *, low_bandwidth: bool = False) -> HomeLayout:
    """Return the layout for a terminal of this size; 80 × 24 is whole, below that the least important goes first.

    `low_bandwidth` leaves out all charts.
    """
    charts = width >= 110 and height >= 28 and not low_bandwidth
    rows = 6 if width >= 150 and height >= 36 else 4
    sparks = not charts and height >= 18 and not low_bandwidth
    columns = max(1, width // 3 - 8) if charts else max(1, width - 34) if sparks else 0
    return HomeLayout(
        chart_rows=rows if charts else 0,
        chart_columns=columns,
        sparks=sparks,
        spaced=charts,
        pane_lines=0 if height < 13 else 3 if height >= 24 and (width < 110 or (width >= 150 and height >= 36)) else 2,
        headline=height >= 8,
        brief=width < 110,
    )
