"""A copy of the cells that the terminal shows, and the shortest text that turns them into others.

Loads nothing of Textual: the first frame is drawn with it (`etlwatch.tui.opening`).

    shadow.difference(pieces, "truecolor", (160, 40))    what to send for pieces (line, column, segments)
    shadow.forget()                                      the terminal may show anything

Cursor moves are absolute, so that a character which a terminal draws wider than Rich believes disturbs no more than the
cells beside it. The style is not reset at the end of an update: the next one often begins with the same.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.style import Style

# Equal cells between two changed ones that are cheaper to send again than to jump over.
_GAP = 4

_ATTRIBUTES = (
    ("bold", "1"), ("dim", "2"), ("italic", "3"), ("underline", "4"), ("blink", "5"), ("blink2", "6"), ("reverse", "7"),
    ("conceal", "8"), ("strike", "9"), ("underline2", "21"), ("overline", "53"),
)  # fmt: skip

_COLOUR_SYSTEMS = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "windows": ColorSystem.WINDOWS}

Segments: TypeAlias = Iterable[tuple[str, Style | None, Any]]
"""A piece of a line as Rich has it: text, style, and control codes where it is none."""

# Attributes that show on a blank; all others leave a space looking the same.
_ON_BLANKS = frozenset({"4", "7", "9", "21", "53"})


class CellStyle(NamedTuple):
    """How one cell looks: SGR parameters, in the order in which they are sent."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""
    link: str = ""
    """The parameters of a hyperlink (OSC 8): `id;address`."""


Cell = tuple[str, CellStyle]
"""A character with its combining marks, and its look; the second cell of a wide one has no character."""

_PLAIN = CellStyle()

RESET = "\x1b[m"
"""Resets the style only."""


@lru_cache(maxsize=4096)
def _cell_style(style: Style, colours: ColorSystem) -> CellStyle:
    """Return how a style looks; the terminal's default colours are the empty text."""
    codes = ["", ""]
    for index, colour in enumerate((style.color, style.bgcolor)):
        if colour is not None and not colour.is_default:
            codes[index] = ";".join(colour.downgrade(colours).get_ansi_codes(foreground=index == 0))
    attributes = tuple(code for name, code in _ATTRIBUTES if getattr(style, name))
    link = f"id={style._link_id};{style.link}" if style.link else ""
    return CellStyle(attributes, codes[0], codes[1], link)


@lru_cache(maxsize=4096)
def _cell(character: str, cell_style: CellStyle) -> Cell:
    """Return a cell, the same one wherever it is the same: a screen has thousands."""
    return (character, cell_style)


# Clocks and counters make segments that never come back: what is kept has to stay small.
@lru_cache(maxsize=1024)
def _segment_cells(text: str, style: Style | None, colours: ColorSystem) -> tuple[Cell, ...]:
    """Return the cells of one segment; a blank keeps only what shows on a blank."""
    cell_style = _PLAIN if style is None else _cell_style(style, colours)
    blank = cell_style
    if not cell_style.link and _ON_BLANKS.isdisjoint(cell_style.attributes):
        blank = CellStyle(background=cell_style.background)
    if text.isascii():
        return tuple(
            _cell(character, blank if character == " " else cell_style) for character in text if character >= " "
        )
    cells: list[Cell] = []
    for start, stop, width in split_graphemes(text)[0]:
        if width:
            cells.append((text[start:stop], blank if text[start:stop] == " " else cell_style))
            cells.extend([("", cell_style)] * (width - 1))
    return tuple(cells)


def _cells(segments: Segments, colours: ColorSystem) -> list[Cell]:
    """Return the cells of a piece of a line."""
    cells: list[Cell] = []
    for text, style, control in segments:
        if not control:
            cells.extend(_segment_cells(text, style, colours))
    return cells


@lru_cache(maxsize=4096)
def _change(old: CellStyle, new: CellStyle) -> str:
    """Return the shortest sequence that turns one cell_style into another."""
    out = "" if old.link == new.link else f"\x1b]8;{new.link or ';'}\x1b\\"
    if old[:3] == new[:3]:
        return out
    afresh = ";".join(("0", *new.attributes, *filter(None, new[1:3])))
    if set(old.attributes) <= set(new.attributes):
        added = [code for code in new.attributes if code not in old.attributes]
        if old.foreground != new.foreground:
            added.append(new.foreground or "39")
        if old.background != new.background:
            added.append(new.background or "49")
        afresh = min(";".join(added), afresh, key=len)
    # A bare reset needs no parameter.
    return f"{out}\x1b[{'' if afresh == '0' else afresh}m"


class Shadow:
    """The cells that the terminal shows, and where and how it writes next, as far as that is known."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._rows: list[list[Cell | None]] = []
        self._cell_style: CellStyle | None = None
        self._y = -1
        self._x = -1
        """Column of the cursor; -1 when it is not sure."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of what is known; (0, 0) for nothing."""
        return self._size

    def forget(self) -> None:
        """Forget all cells: the next update is sent whole."""
        self._size = (0, 0)
        self.lose_cursor()

    def lose_cursor(self) -> None:
        """Forget the cursor and style of the terminal, after other output."""
        self._cell_style = None
        self._y = self._x = -1

    def difference(
        self, pieces: Iterable[tuple[int, int, Segments]], color_system: str | None, size: tuple[int, int]
    ) -> str:
        """Return what to send so that the terminal shows `pieces` (line, column, segments), and take it as shown.

        Empty for nothing to do. `color_system` is Rich's word for the colours of the terminal; `size` is in columns and
        lines.
        """
        width, height = size
        if size != self._size:
            self._size = size
            self._rows = [[None] * width for _ in range(height)]
        colours = _COLOUR_SYSTEMS.get(color_system or "", ColorSystem.TRUECOLOR)
        out: list[str] = []
        for y, x, segments in pieces:
            if 0 <= y < height and 0 <= x < width:
                self._draw(y, x, _cells(segments, colours)[: width - x], out)
        return "".join(out)

    def move(self, y: int, x: int) -> str:
        """Return what brings the cursor to a cell, and take it as done."""
        self._y, self._x = y, x
        return f"\x1b[{y + 1};{x + 1}H"

    def _draw(self, y: int, x: int, cells: list[Cell], out: list[str]) -> None:
        """Send the runs of `cells` that differ from the row, and store them."""
        row = self._rows[y]
        length = len(cells)
        if row[x : x + length] == cells:
            return
        index = 0
        while index < length:
            if cells[index] == row[x + index]:
                index += 1
                continue
            first = index
            while first > 0 and not cells[first][0]:
                first -= 1  # the second half of a wide character is sent with its first
            stop = self._run_end(cells, row, x, index)
            self._write(y, x + first, cells[first:stop], out)
            index = stop
        row[x : x + length] = cells

    @staticmethod
    def _run_end(cells: list[Cell], row: list[Cell | None], x: int, index: int) -> int:
        """Return where a run of changed cells ends, small gaps of one cell_style included."""
        stop = index + 1
        ahead = stop
        while ahead < len(cells) and ahead - stop <= _GAP:
            if cells[ahead] != row[x + ahead]:
                stop = ahead + 1
            elif cells[ahead][1] != cells[stop - 1][1]:
                break
            ahead += 1
        while stop < len(cells) and not cells[stop][0]:
            stop += 1
        return stop

    def _write(self, y: int, x: int, cells: list[Cell], out: list[str]) -> None:
        """Send `cells` from (x, y) on; the look stays as the last one has it."""
        if (y, x) != (self._y, self._x):
            if y == self._y:
                out.append(f"\x1b[{x + 1}G" if x else "\r")
            else:
                out.append(f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H")
            self._y = y
        for character, cell_style in cells:
            if not character:
                continue
            if cell_style != self._cell_style:
                out.append(
                    RESET + _change(_PLAIN, cell_style)
                    if self._cell_style is None
                    else _change(self._cell_style, cell_style)
                )
                self._cell_style = cell_style
            out.append(character)
        self._x = x + len(cells)
        if self._x >= self._size[0] or not all(character.isascii() for character, _ in cells):
            # At the edge the cursor waits; after other letters the terminal may count its cells differently.
            self._x = -1
