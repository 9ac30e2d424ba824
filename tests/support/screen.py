"""An emulated terminal screen: bytes in, cells out. Owns what pyte does not know; touches no terminal."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pyte
from pyte.screens import Char

ALTERNATE_SCREEN = 1049

# Sequences that pyte would draw as text or take for something else: keyboard protocols (`CSI > 1 u`), mode queries
# (`CSI ? 2026 $ p`), device control and application strings, operating system commands of two digits and more.
_UNKNOWN_TO_PYTE = re.compile(
    rb"\x1b\[[<=>][0-?]*[ -/]*[@-~]|\x1b\[\?[0-?]*[ -/]*(?![hlJK])[@-~]|\x1b(?:[PX^_]|\][0-9]{2}).*?(?:\x1b\\|\x07)",
    re.DOTALL,
)
# A sequence that goes on in the next chunk.
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[PX^_\]][^\x1b\x07]*\x1b?)?\Z")


class _Cells(pyte.Screen):
    """pyte's screen with an alternate one, and with answers to the queries it understands."""

    def __init__(self, columns: int, lines: int, answer: Callable[[bytes], None]) -> None:
        self._answer = answer
        self._main: tuple[Any, Any] | None = None
        self.on_title: Callable[[str], None] = lambda title: None
        super().__init__(columns, lines)

    def set_mode(self, *modes: int, **options: Any) -> None:
        if options.get("private") and ALTERNATE_SCREEN in modes and self._main is None:
            self._main = (copy.deepcopy(self.buffer), copy.copy(self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes: int, **options: Any) -> None:
        super().reset_mode(*modes, **options)
        if options.get("private") and ALTERNATE_SCREEN in modes and self._main is not None:
            self.buffer, self.cursor = self._main
            self._main = None

    def set_title(self, param: str) -> None:
        super().set_title(param)
        self.on_title(param)

    @property
    def alternate(self) -> bool:
        return self._main is not None

    def write_process_input(self, data: str) -> None:
        self._answer(data.encode())


class EmulatedScreen:
    """What a terminal of `columns` × `lines` shows after the bytes fed to it; not thread-safe.

    `answer` takes the bytes with which a terminal replies to queries (its type, the cursor's place).
    """

    def __init__(self, columns: int, lines: int, answer: Callable[[bytes], None] = lambda reply: None) -> None:
        self._cells = _Cells(columns, lines, answer)
        self._stream = pyte.ByteStream(self._cells)
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes; a sequence may be split anywhere."""
        data = self._pending + data
        unfinished = _UNFINISHED.search(data)
        end = unfinished.start() if unfinished else len(data)
        self._pending = data[end:]
        self._stream.feed(_UNKNOWN_TO_PYTE.sub(b"", data[:end]))

    def resize(self, columns: int, lines: int) -> None:
        """Change the size; the program must redraw."""
        self._cells.resize(lines, columns)

    @property
    def lines(self) -> list[str]:
        """The text of every line, its right padding removed; a wide character counts once."""
        rows = (self._cells.buffer[row] for row in range(self._cells.lines))
        return ["".join(row[column].data for column in range(self._cells.columns)).rstrip() for row in rows]

    @property
    def cells(self) -> dict[tuple[int, int], tuple[object, ...]]:
        """What each cell shows, by line and column: character, ground and, unless blank, colour and weight."""
        shown: dict[tuple[int, int], tuple[object, ...]] = {}
        for line in range(self._cells.lines):
            row = self._cells.buffer[line]
            for column in range(self._cells.columns):
                cell = row[column]
                look: tuple[object, ...] = (cell.bg, cell.reverse, cell.underscore, cell.strikethrough)
                # The colour and weight of a blank are not to be seen.
                shown[line, column] = (cell.data, *look, *((cell.fg, cell.bold) if cell.data != " " else ()))
        return shown

    def call_on_title(self, call: Callable[[str], None]) -> None:
        """Call `call` with each title that the program sets, before what it writes next is drawn."""
        self._cells.on_title = call

    @property
    def text(self) -> str:
        """The lines as one string."""
        return "\n".join(self.lines)

    @property
    def title(self) -> str:
        """The window title that the program has set."""
        return str(self._cells.title)

    @property
    def alternate(self) -> bool:
        """Whether the program is on the alternate screen."""
        return self._cells.alternate

    @property
    def cursor(self) -> tuple[int, int]:
        """The cursor's column and line, from 0."""
        return self._cells.cursor.x, self._cells.cursor.y

    def cell(self, column: int, line: int) -> Char:
        """Return one cell: `data`, `fg`, `bg`, `bold`, `reverse`, …; '' is the second half of a wide character."""
        return self._cells.buffer[line][column]

    def find(self, text: str) -> tuple[int, int]:
        """Return column and line where `text` begins first. Raises LookupError when it is not on the screen."""
        for number in range(self._cells.lines):
            row = [self._cells.buffer[number][column].data for column in range(self._cells.columns)]
            position = "".join(row).find(text)
            if position >= 0:
                starts = [sum(map(len, row[:column])) for column in range(len(row))]
                return next(at for at, start in enumerate(starts) if start == position and row[at]), number
        raise LookupError(f"{text!r} is not on the screen:\n{self.text}")
