"""A copy of the cells that the terminal shows, and the shortest text that turns them into others.

Loads nothing of Textual: the first frame is drawn with it (`etlwatch.tui.opening`).

    shadow.difference(pieces, "truecolor", (160, 40))    what to send for pieces (line, column, segments)
    shadow.forget()                                      the terminal may show anything

After a letter that a terminal may draw wider than Rich believes the cursor is moved to a column by its number, so that
no more than the cells beside it are disturbed. A blank takes any colour of letters: between words none is sent. The
style is not reset at the end of an update: the next one often begins with the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.style import Style

# So many equal cells between two changed ones may be cheaper to send again than to jump over.
_GAP = 4

_ATTRIBUTES = (
    ("bold", "1"), ("dim", "2"), ("italic", "3"), ("underline", "4"), ("blink", "5"), ("blink2", "6"), ("reverse", "7"),
    ("conceal", "8"), ("strike", "9"), ("underline2", "21"), ("overline", "53"),
)  # fmt: skip

_OFF = {
    "1": "22", "2": "22", "3": "23", "4": "24", "21": "24", "5": "25", "6": "25", "7": "27", "8": "28", "9": "29",
    "53": "55",
}  # fmt: skip
"""What turns an attribute off."""

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

    @property
    def shows_on_blanks(self) -> bool:
        """Whether a blank in this style is more than its background."""
        return bool(self.link) or not _ON_BLANKS.isdisjoint(self.attributes)


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
    blank = cell_style if cell_style.shows_on_blanks else CellStyle(background=cell_style.background)
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
def _change(old: CellStyle | None, new: CellStyle) -> str:
    """Return the shortest sequence that turns one style, None for an unknown one, into another."""
    if old is None:
        return RESET + _change(_PLAIN, new)
    out = "" if old.link == new.link else f"\x1b]8;{new.link or ';'}\x1b\\"
    if old[:3] == new[:3]:
        return out
    afresh = ";".join(("0", *new.attributes, *filter(None, new[1:3])))
    changed = list(dict.fromkeys(_OFF[code] for code in old.attributes if code not in new.attributes))
    # What turns bold off turns dim off as well.
    changed += [code for code in new.attributes if code not in old.attributes or _OFF[code] in changed]
    if old.foreground != new.foreground:
        changed.append(new.foreground or "39")
    if old.background != new.background:
        changed.append(new.background or "49")
    afresh = min(";".join(changed), afresh, key=len)
    # A bare reset needs no parameter.
    return f"{out}\x1b[{'' if afresh == '0' else afresh}m"


class Pen(NamedTuple):
    """Where and how a terminal writes next, as far as that is known."""

    y: int = -1
    x: int = -1
    """Column of the cursor; -1 when it is not sure."""

    style: CellStyle | None = None


Run = tuple[int, int, list[Cell]]
"""Changed cells side by side: their line, the column of the first, and the cells."""


@lru_cache(maxsize=4096)
def _for_blank(old: CellStyle | None, ground: str, ahead: CellStyle) -> CellStyle:
    """Return the style in which to write a blank: the present one, else that of the next letter, where they do."""
    for style in (old, ahead):
        if style is not None and style.background == ground and not style.shows_on_blanks:
            return style
    if old is None or old.shows_on_blanks:
        return CellStyle(background=ground)
    return old._replace(background=ground)


def _is_blank(cell: Cell) -> bool:
    """Return whether a cell shows nothing but its background."""
    letter, style = cell
    return letter == " " and not (style.foreground or style.attributes or style.link)


def _text(cells: Sequence[Cell], style: CellStyle | None) -> tuple[str, CellStyle | None]:
    """Return what to send for cells to a terminal that writes in `style`, and the style in which it writes then."""
    out: list[str] = []
    for place, cell in enumerate(cells):
        character, wanted = cell
        if not character:
            continue
        if wanted != style:
            if _is_blank(cell):
                ahead = next((other for letter, other in cells[place:] if letter.strip()), wanted)
                wanted = _for_blank(style, wanted.background, ahead)
            if wanted != style:
                out.append(_change(style, wanted))
                style = wanted
        out.append(character)
    return "".join(out), style


def _by_style(runs: Iterable[Run]) -> list[Run]:
    """Return runs in parts whose letters are of one style each, those of the same style together."""
    parts: list[tuple[CellStyle, Run]] = []
    for y, x, cells in runs:
        start, style, lettered = 0, cells[0][1], False
        for place, cell in enumerate(cells):
            if lettered and cell[1] is style:
                continue
            blank = _is_blank(cell)
            if cell[1].background != style.background or (lettered and not blank and cell[1] != style):
                parts.append((style, (y, x + start, cells[start:place])))
                start, style, lettered = place, cell[1], False
            if not blank and not lettered:
                style, lettered = cell[1], True
        parts.append((style, (y, x + start, cells[start:])))
    first = {style: place for place, (style, _) in reversed([*enumerate(parts)])}
    ground = {style.background: place for style, place in reversed([*first.items()])}
    return [run for _, run in sorted(parts, key=lambda part: (ground[part[0].background], first[part[0]]))]


class Shadow:
    """The cells that the terminal shows, and where and how it writes next."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._rows: list[list[Cell | None]] = []
        self._pen = Pen()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines of what is known; (0, 0) for nothing."""
        return self._size

    def forget(self) -> None:
        """Forget all cells: the next update is sent whole."""
        self._size = (0, 0)
        self._pen = Pen()

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
        runs: list[Run] = []
        for y, x, segments in pieces:
            if 0 <= y < height and 0 <= x < width:
                runs += self._changed(y, x, _cells(segments, colours)[: width - x])
        text, pen = self._written(runs)
        if len(runs) > 1:
            # Moves between letters of one colour are often shorter than changes of colour between neighbours.
            text, pen = min((text, pen), self._written(_by_style(runs)), key=lambda written: _size(written[0]))
        self._pen = pen
        return text

    def move(self, y: int, x: int) -> str:
        """Return what brings the cursor to a cell, and take it as done."""
        self._pen = self._pen._replace(y=y, x=x)
        return f"\x1b[{y + 1};{x + 1}H"

    def _changed(self, y: int, x: int, cells: list[Cell]) -> Iterator[Run]:
        """Yield the runs of `cells` that differ from the row, and store them."""
        row = self._rows[y]
        before = row[x : x + len(cells)]
        if before == cells:
            return
        row[x : x + len(cells)] = cells
        index = 0
        while index < len(cells):
            if cells[index] == before[index]:
                index += 1
                continue
            first = index
            while first > 0 and not cells[first][0]:
                first -= 1  # the second half of a wide character is sent with its first
            index += 1
            while index < len(cells) and (cells[index] != before[index] or not cells[index][0]):
                index += 1
            yield y, x + first, cells[first:index]

    def _written(self, runs: Iterable[Run]) -> tuple[str, Pen]:
        """Return what draws runs in this order, and how the terminal writes after it."""
        out: list[str] = []
        pen = self._pen
        for y, x, cells in runs:
            text, style = _text(cells, pen.style)
            text = _way(pen, y, x) + text
            if y == pen.y and 0 < x - pen.x <= _GAP and pen.x >= 0:
                # To send what is between is often shorter than to move over it.
                between = [cell for cell in self._rows[y][pen.x : x] if cell is not None]
                through, style_then = _text([*between, *cells], pen.style)
                if len(between) == x - pen.x and _size(through) <= _size(text):
                    text, style = through, style_then
            out.append(text)
            end = x + len(cells)
            # At the edge the cursor waits; after other letters the terminal may count its cells differently.
            pen = Pen(y, end if end < self._size[0] and all(map(_is_one_cell, cells)) else -1, style)
        return "".join(out), pen


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _way(pen: Pen, y: int, x: int) -> str:
    """Return the shortest move of the cursor to a cell; '' where it is there."""
    if y != pen.y:
        return f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H"
    if x == pen.x:
        return ""
    column = f"\x1b[{x + 1}G" if x else "\r"
    if 0 <= pen.x < x:
        return min(f"\x1b[{x - pen.x}C" if x - pen.x > 1 else "\x1b[C", column, key=len)
    return column


def _is_one_cell(cell: Cell) -> bool:
    """Return whether every terminal draws a character in one cell: ASCII, lines and blocks."""
    return len(cell[0]) == 1 and (cell[0].isascii() or "\u2500" <= cell[0] <= "\u259f")
