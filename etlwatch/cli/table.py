"""Tables of plain text: columns with headings, fitted to a width or as wide as they need.

A table that does not fit is written with the brief texts of its columns, then its elastic columns shrink, then columns
leave by their own order. Every cell passes `Look.shown`, so that nothing of a database reaches a terminal raw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from etlwatch.cli.terminal import Look
from etlwatch.text.display import Tone
from etlwatch.text.safe import Align, cell_width, clip, pad
from etlwatch.text.spans import KEEP, TextColumn
from tracking_core.dataclass import dataclass

Row = TypeVar("Row")
GAP = "  "
ALIGNED_UP_TO = 80
"""Where nothing is cut, a cell wider than this pushes its line aside instead of padding every other line."""

_CHARACTERS_A_CELL = 8
"""At most: a letter with its marks. What lies beyond the line's width anyway is not looked at."""


@dataclass(slots=True)
class _Laid:
    heading: str
    cells: list[str]
    right: bool
    tones: list[Tone]
    width: int
    shrinks_to: int | None
    leaves: int


def table(columns: Sequence[TextColumn[Row]], rows: Sequence[Row], look: Look, *, indent: str = "") -> Iterator[str]:
    """Yield the lines of a table, its headings first, last the columns without room; nothing without rows."""
    if not rows:
        return
    laid = _lay(columns, rows, look, brief=False)
    omitted: list[str] = []
    if look.width is not None:
        room = look.width - len(indent)
        if _total(laid) > room:
            brief = _lay(columns, rows, look, brief=True)
            laid = _fit(brief, room)
            omitted = [column.heading for column in brief if column not in laid]
    ellipsis = look.glyphs.ellipsis
    yield _line(laid, None, look, indent, ellipsis)
    for index in range(len(rows)):
        yield _line(laid, index, look, indent, ellipsis)
    if omitted and look.width is not None:
        line = f"{indent}no room for: {', '.join(omitted)}"
        yield look.paint(clip(line, look.width, ellipsis=ellipsis), "dim")


def _lay(columns: Sequence[TextColumn[Row]], rows: Sequence[Row], look: Look, *, brief: bool) -> list[_Laid]:
    laid = []
    for column in columns:
        write = column.brief if brief and column.brief is not None else column.full
        looked_at = None if look.width is None else look.width * _CHARACTERS_A_CELL
        cells = [look.shown(write(row)[:looked_at]) for row in rows]
        if not any(cells):
            continue
        heading = look.shown(column.heading)
        laid.append(
            _Laid(
                heading=heading,
                cells=cells,
                right=column.right,
                tones=[column.tone(row) for row in rows],
                width=max(cell_width(heading), *map(cell_width, cells)),
                shrinks_to=column.shrinks_to,
                leaves=column.leaves,
            )
        )
    return laid


def _total(laid: Sequence[_Laid]) -> int:
    return sum(column.width for column in laid) + len(GAP) * (len(laid) - 1)


def _fit(laid: list[_Laid], room: int) -> list[_Laid]:
    """Drop columns until the rest fits with its elastic ones at their least, then give those what is left."""
    while True:
        least = sum(column.width - _slack(column) for column in laid) + len(GAP) * (len(laid) - 1)
        leaving = max(laid, key=lambda column: column.leaves)
        if least <= room or leaving.leaves == KEEP:
            break
        laid = [column for column in laid if column is not leaving]
    excess = _total(laid) - room
    # The widest gives first, so that one long note does not squeeze the job's name.
    for column in sorted(laid, key=_slack, reverse=True):
        given = min(max(excess, 0), _slack(column))
        column.width -= given
        excess -= given
    return laid


def _slack(column: _Laid) -> int:
    return 0 if column.shrinks_to is None else max(column.width - max(column.shrinks_to, cell_width(column.heading)), 0)


def _line(laid: Sequence[_Laid], index: int | None, look: Look, indent: str, ellipsis: str) -> str:
    parts = []
    used = len(indent)
    for position, column in enumerate(laid):
        text = column.heading if index is None else column.cells[index]
        tone: Tone = "dim" if index is None else column.tones[index]
        # Trailing blanks would wrap a line that is exactly as wide as the terminal.
        last = position == len(laid) - 1 and not column.right
        width = column.width
        if look.width is None:
            width = max(min(width, ALIGNED_UP_TO), cell_width(text))
        else:
            width = max(min(width, look.width - used), 0)
        used += width + len(GAP)
        align: Align = "right" if column.right else "left"
        written = clip(text, width, ellipsis=ellipsis) if last else pad(text, width, align, ellipsis=ellipsis)
        parts.append(look.paint(written, tone))
    return (indent + GAP.join(parts)).rstrip()
