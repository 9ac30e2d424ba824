"""Only the cells that differ from what the terminal shows are sent.

Owns the knowledge of what the terminal holds, and everything private to Textual that this needs; nothing else in the
package touches either. Refuses to own what is drawn: the frames are Textual's own, only their way to the wire differs.

    class EtlwatchApp(CellDiffing):
        cell_diffing = True      switched off, every update goes out as Textual made it
    app.bytes_sent               what screen updates have cost so far, either way
    app.repaint()                forget what the terminal shows and draw all of it

Textual sends whole spans of lines: 60 changed cells a second are some 7 kB, here 0.8 kB. The seam is `App._display`,
through which the updates of every screen pass, modal ones and the command palette included; replacing each screen's
`_compositor` instead would miss those that Textual pushes itself. The private names used, Textual 8.2: `App._display`,
`_batch_count`, `_driver`, `_previous_cursor_position`, and the fields of `LayoutUpdate` and `ChopsUpdate`.

What the terminal holds is forgotten (and drawn whole) when it is resized, when the program comes back from ctrl+z, and
on `repaint()`. Cursor moves are absolute, so that a character which a terminal draws wider than Rich believes disturbs
no more than the cells beside it.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.strip import Strip

__all__ = ["CellDiffing", "Shadow"]

# Equal cells between two changed ones that are cheaper to send again than to jump over.
_GAP = 4

_ATTRIBUTES = (
    ("bold", "1"), ("dim", "2"), ("italic", "3"), ("underline", "4"), ("blink", "5"), ("blink2", "6"), ("reverse", "7"),
    ("conceal", "8"), ("strike", "9"), ("underline2", "21"), ("overline", "53"),
)  # fmt: skip

_COLOUR_SYSTEMS = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "windows": ColorSystem.WINDOWS}

# Attributes that show on a blank; all others leave a space looking the same.
_ON_BLANKS = frozenset({"4", "7", "9", "21", "53"})


class Look(NamedTuple):
    """How one cell looks: SGR parameters, in the order in which they are sent."""

    attributes: tuple[str, ...] = ()
    foreground: str = ""
    background: str = ""
    link: str = ""
    """The parameters of a hyperlink (OSC 8): `id;address`."""


Cell = tuple[str, Look]
"""A character with its combining marks, and its look; the second cell of a wide one has no character."""

_PLAIN = Look()


@lru_cache(maxsize=4096)
def _look(style: Style, colours: ColorSystem) -> Look:
    """Return how a style looks; the terminal's default colours are the empty text."""
    codes = ["", ""]
    for index, colour in enumerate((style.color, style.bgcolor)):
        if colour is not None and not colour.is_default:
            codes[index] = ";".join(colour.downgrade(colours).get_ansi_codes(foreground=index == 0))
    attributes = tuple(code for name, code in _ATTRIBUTES if getattr(style, name))
    link = f"id={style._link_id};{style.link}" if style.link else ""
    return Look(attributes, codes[0], codes[1], link)


@lru_cache(maxsize=1024)
def _segment_cells(text: str, style: Style | None, colours: ColorSystem) -> tuple[Cell, ...]:
    """Return the cells of one segment; a blank keeps only what shows on a blank."""
    look = _PLAIN if style is None else _look(style, colours)
    blank = look
    if not look.link and _ON_BLANKS.isdisjoint(look.attributes):
        blank = Look(background=look.background)
    if text.isascii():
        return tuple((character, blank if character == " " else look) for character in text if character >= " ")
    cells: list[Cell] = []
    for start, stop, width in split_graphemes(text)[0]:
        if width:
            cells.append((text[start:stop], blank if text[start:stop] == " " else look))
            cells.extend([("", look)] * (width - 1))
    return tuple(cells)


def _cells(strip: Strip, colours: ColorSystem) -> list[Cell]:
    """Return the cells of a strip."""
    cells: list[Cell] = []
    for text, style, control in strip:
        if not control:
            cells.extend(_segment_cells(text, style, colours))
    return cells


@lru_cache(maxsize=4096)
def _change(old: Look, new: Look) -> str:
    """Return the shortest sequence that turns one look into another."""
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
    """The cells that the terminal shows, as far as they are known."""

    def __init__(self) -> None:
        self._size = (0, 0)
        self._rows: list[list[Cell | None]] = []

    def forget(self) -> None:
        """Know nothing any more: the next update sends all it holds."""
        self._size = (0, 0)

    def difference(self, update: CompositorUpdate, console: Console, size: tuple[int, int]) -> str:
        """Return what to send so that the terminal shows `update`, and take it as shown; empty for nothing to do."""
        width, height = size
        if size != self._size:
            self._size = size
            self._rows = [[None] * width for _ in range(height)]
        colours = _COLOUR_SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR)
        writer = _Writer(width)
        for y, x, strip in _placed(update):
            if 0 <= y < height and 0 <= x < width:
                self._draw(y, x, _cells(strip, colours)[: width - x], writer)
        return writer.finished()

    def _draw(self, y: int, x: int, cells: list[Cell], writer: "_Writer") -> None:
        """Send the runs of `cells` that differ from the row, and remember them."""
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
            writer.write(y, x + first, cells[first:stop])
            index = stop
        row[x : x + length] = cells

    @staticmethod
    def _run_end(cells: list[Cell], row: list[Cell | None], x: int, index: int) -> int:
        """Return where a run of changed cells ends, small gaps of one look included."""
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


class _Writer:
    """Collects what is sent, knowing where the cursor is and how it writes."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._out: list[str] = []
        self._look = _PLAIN
        self._y = -1
        self._x = -1
        """Column of the cursor; -1 when it is not sure."""

    def write(self, y: int, x: int, cells: list[Cell]) -> None:
        """Send `cells` from (x, y) on."""
        self._move(y, x)
        for character, look in cells:
            if not character:
                continue
            if look != self._look:
                self._out.append(_change(self._look, look))
                self._look = look
            self._out.append(character)
        self._x = x + len(cells)
        if self._x >= self._width or not all(character.isascii() for character, _ in cells):
            # At the edge the cursor waits; after other letters the terminal may count its cells differently.
            self._x = -1

    def _move(self, y: int, x: int) -> None:
        if (y, x) == (self._y, self._x):
            return
        if y == self._y:
            self._out.append(f"\x1b[{x + 1}G")
        else:
            self._out.append(f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H")
        self._y = y

    def finished(self) -> str:
        """Return everything, with the look set back."""
        if self._look != _PLAIN:
            self._out.append(_change(self._look, _PLAIN))
            self._look = _PLAIN
        return "".join(self._out)


def _placed(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield (line, column, strip) for every piece of a line that an update has rendered."""
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in line:
                yield y, x, strip
                x += strip.cell_length
    elif isinstance(update, ChopsUpdate):
        # Pieces outside the dirty spans may show what lies behind another widget: Textual has not asked that one.
        for y, spans in _by_line(update.spans).items():
            for end, (x, piece) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if piece is not None and any(x < last and end > first for first, last in spans):
                    yield y, x, piece


def _by_line(spans: Iterable[tuple[int, int, int]]) -> dict[int, list[tuple[int, int]]]:
    lines: dict[int, list[tuple[int, int]]] = {}
    for y, first, last in spans:
        lines.setdefault(y, []).append((first, last))
    return lines


class _Ready(CompositorUpdate):
    """An update that is already text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render_segments(self, console: Console) -> str:  # noqa: ARG002 - Textual's signature
        return self._text


class CellDiffing(App[Any]):
    """Mix-in for an app whose updates are sent by the cell; see the module."""

    cell_diffing: bool = True
    """Whether only differing cells are sent; set on the class or on an app before it runs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._shadow = Shadow()
        self._bytes_sent = 0

    @property
    def bytes_sent(self) -> int:
        """Bytes that screen updates have cost since the start."""
        return self._bytes_sent

    def repaint(self) -> None:
        """Draw the whole screen, whatever the terminal may show by now."""
        self._shadow.forget()
        if self._running and self.screen_stack:
            self.screen.refresh()

    def on_mount(self) -> None:
        """Draw everything when the program comes back from ctrl+z."""
        self.app_resume_signal.subscribe(self, lambda _: self.repaint())

    def on_resize(self) -> None:
        """Draw everything: a terminal that has changed its size has rearranged what it showed."""
        self.repaint()

    def _display(self, screen: Any, renderable: Any) -> None:
        """Send an update as differences; what is not a plain update of the whole terminal goes its own way."""
        driver = self._driver
        if (
            isinstance(renderable, LayoutUpdate | ChopsUpdate)
            and driver is not None
            and not driver.is_headless
            and not driver.is_inline
            and self._running
            and not self._batch_count
        ):
            text = self._text_of(renderable)
            self._bytes_sent += len(text.encode("utf-8", "replace"))
            moved = screen.outer_size.clamp_offset(self.cursor_position) != self._previous_cursor_position
            if not text and not moved:
                self.post_display_hook()
                return
            renderable = _Ready(text)
        super()._display(screen, renderable)

    def _text_of(self, update: CompositorUpdate) -> str:
        if not self.cell_diffing:
            return update.render_segments(self.console)
        return self._shadow.difference(update, self.console, (self.size.width, self.size.height))
