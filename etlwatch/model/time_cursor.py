"""The one time cursor of all charts: a moment, the column of a chart that holds it, and the line that shows it.

Owns finding and moving it, so that it means the same moment on every chart of every screen. Refuses to own where it is
(`etlwatch.app`) and what is said of the moment (`etlwatch.model.zoom`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from etlwatch.model.glyphs import UNICODE, Glyphs
from etlwatch.model.series import Column
from etlwatch.model.spans import Span, Spans, merge

__all__ = ["moved", "place_of", "with_line"]


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
