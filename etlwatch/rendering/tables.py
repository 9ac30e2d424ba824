"""The lines of a keyed table as spans: rows, the row under the cursor, the header.

    Row(key=run_id, cells={"job": (("crm", "plain"),)}, role="dim")
    row_spans(row, placed(columns, width), glyphs, marked=False)

A row's cells may be a function, called only when the row is drawn; then its `version` shows whether it has changed.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeAlias

from etlwatch.text.display import Glyphs
from etlwatch.text.safe import cell_width, clip
from etlwatch.text.spans import GUTTER, Placed, Span, Spans, fit, in_glyphs
from tracking_core.dataclass import dataclass, field

Cells: TypeAlias = Mapping[str, Spans]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: its key, its cells and its colour."""

    key: Hashable
    """What the selection stays on; unique in the table."""
    cells: Cells | Callable[[], Cells] = field(compare=False)
    """Spans by column key; a missing key is an empty cell."""
    role: str = "plain"
    """The role of `plain` in its cells: `dim` for rows without a problem."""
    version: object = None
    """With `cells` a function: equal means that nothing has changed."""
    badge: str = ""
    """One cell in the gutter, if the row is not marked."""
    _computed: list[Cells] = field(default_factory=list, compare=False, repr=False)
    """The cells that the function returned, once it was called."""

    def drawn(self) -> Cells:
        """Return the cells; a function is called once, when they are asked for first."""
        if not callable(self.cells):
            return self.cells
        if not self._computed:
            self._computed.append(self.cells())
        return self._computed[0]

    def same_as(self, other: "Row") -> bool:
        """Return whether both draw the same, without computing a cell."""
        if self is other:
            return True
        if self != other:
            return False
        # Two functions are compared by the version alone, which `==` has just done.
        return (callable(self.cells) and callable(other.cells)) or self.cells == other.cells


def row_spans(row: Row, places: Sequence[Placed], glyphs: Glyphs, *, marked: bool, cursor: str = " ") -> Spans:
    """Return a row as spans from the gutter to its last column, `plain` resolved to the row's own role."""
    cells = row.drawn()
    out: list[Span] = [
        (cursor, "plain" if cursor == " " else "blue"),
        (glyphs.mark if marked else row.badge or " ", "blue"),
    ]
    x = GUTTER
    own = row.role
    for at in places:
        if at.x > x:
            out.append((" " * (at.x - x), "plain"))
        phrase = in_glyphs(cells.get(at.column.key, ()), glyphs)
        for text, role in fit(phrase, at.width, at.column.align, ellipsis=glyphs.ellipsis):
            out.append((text, own if role == "plain" else role))
        x = at.x + at.width
    return tuple(out)


def cursor_spans(
    row: Row, places: Sequence[Placed], glyphs: Glyphs, *, marked: bool, shades: bool, reversed_columns: int = 2
) -> Spans:
    """Return the row under the cursor; without `shades` for a ground of its own, its leading columns are reversed."""
    spans = row_spans(row, places, glyphs, marked=marked, cursor=glyphs.cursor)
    if shades or not places or not reversed_columns:
        return spans
    last = places[min(reversed_columns, len(places)) - 1]
    return _reversed(spans, 1, last.x + last.width + 1)


def header_spans(places: Sequence[Placed], width: int, glyphs: Glyphs, sort: tuple[str, bool] | None) -> Spans:
    """Return the header, with an arrow for a column key and whether descending.

    The arrow is after the heading, or before one that fills its column.
    """
    line = [" "] * width
    for at in places:
        header, x = clip(at.column.header, at.width, ellipsis=glyphs.ellipsis), at.x
        room = at.width - cell_width(header)
        if sort is not None and sort[0] == at.column.key:
            arrow = glyphs.descending if sort[1] else glyphs.ascending
            if room >= 2:
                header, room = f"{header} {arrow}", room - 2
            else:
                line[x - 1] = arrow
        if at.column.align == "right":
            x += room
        line[x : x + len(header)] = header
    return (("".join(line), "dim"),)


def _reversed(spans: Spans, start: int, stop: int) -> Spans:
    """Return spans with the cells from `start` to `stop` reversed and bold."""
    out: list[Span] = []
    x = 0
    for text, role in spans:
        end = x + cell_width(text)
        if end <= start or x >= stop:
            out.append((text, role))
        elif x >= start and end <= stop:
            out.append((text, "text bold reverse"))
        else:
            # Only padding crosses an edge, so that cells are characters here.
            out.extend(
                (character, "text bold reverse" if start <= x + offset < stop else role)
                for offset, character in enumerate(text)
            )
        x = end
    return tuple(out)
