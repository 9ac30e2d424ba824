"""The terminal until Textual takes it: a frame at once, and the first rows when they arrive.

Enters the terminal, draws lines, and restores it when something fails before Textual is loaded, which takes a quarter
of a second.

    with Opening(frame_of, stream) as opening:    nothing happens where the stream is no terminal, or a dumb one
        opening.show(lines)
        …                                         Textual is loaded, its driver calls `opening.hand_over()`
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import threading
from collections.abc import Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any, Final, Self, TextIO

from etlwatch.text.display import Glyphs
from etlwatch.tui.colours import color_system_of, role_style
from etlwatch.tui.first_frame import Line
from etlwatch.tui.terminal.cells import RESET, Shadow

ENTER: Final = "\x1b[?1049h"
"""To the alternate screen."""

ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that end the program, with the terminal restored; the status is 128 and the signal's number."""

_BEGIN: Final = ENTER + "\x1b[?25l\x1b[?7l"
_LEAVE: Final = RESET + "\x1b[?7h\x1b[?1049l\x1b[?25h"

# In the order in which `termios.tcgetattr` returns them.
_IFLAG, _LFLAG, _CC = 0, 3, 6


class Opening:
    """A terminal that shows a frame before Textual is loaded; a context manager."""

    def __init__(self, output: TextIO | None, keys: TextIO | None, environ: Mapping[str, str]) -> None:
        """Prepare to draw on `output`, with typed keys kept for later; without a terminal nothing is drawn."""
        self.shadow = Shadow()
        """What the terminal shows so far."""

        self.attributes: list[Any] | None = None
        """How the terminal was before."""

        self._color_system = color_system_of(environ)
        self._output = output if self._color_system and _is_terminal(output) and _is_terminal(keys) else None
        self._keys = keys
        self._handlers: dict[signal.Signals, Any] = {}
        # Guards drawing, which the poller's thread does as well, against Textual taking over; a signal may come inside.
        self._lock = threading.RLock()
        self._holds = False

    @property
    def holds(self) -> bool:
        """Whether this object controls the terminal: entered, and neither left nor handed over."""
        return self._holds

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines; (0, 0) where nothing is drawn."""
        if self._output is None:
            return (0, 0)
        try:
            size = os.get_terminal_size(self._output.fileno())
        except OSError:
            return (0, 0)
        return (size.columns, size.lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        self._restore_handlers()

    def show(self, lines: Iterable[Line], theme: str, glyphs: Glyphs) -> None:
        """Draw a whole screen of lines; only what differs from the last one is sent. Does nothing once handed over."""
        size = self.size
        if 0 in size:
            return
        pieces = [
            (y, 0, [(text, role_style(theme, role, ground), None) for text, role in spans])
            for y, (spans, ground) in enumerate(lines)
        ]
        with self._lock:
            if not self._holds and self.shadow.size != (0, 0):
                return
            text = self.shadow.difference(pieces, self._color_system, size)
            if not self._holds:
                self._enter()
                text = _BEGIN + text
            self._send(text if text.isascii() else glyphs.text(text))

    def hand_over(self) -> None:
        """Hand the terminal over to Textual; nothing is drawn here after that."""
        with self._lock:
            self._holds = False

    def leave(self) -> None:
        """Restore the terminal, unless it was handed over."""
        with self._lock:
            if not self._holds:
                return
            self._holds = False
            self._send(_LEAVE)
            if self.attributes is not None and self._keys is not None:
                with contextlib.suppress(termios.error, OSError, ValueError):
                    termios.tcsetattr(self._keys.fileno(), termios.TCSANOW, self.attributes)

    def _enter(self) -> None:
        """Turn off echo, so that typed keys are read later; ctrl+c still ends the program."""
        self._holds = True
        assert self._keys is not None
        with contextlib.suppress(termios.error, OSError, ValueError):
            descriptor = self._keys.fileno()
            self.attributes = termios.tcgetattr(descriptor)
            changed = termios.tcgetattr(descriptor)
            changed[_LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
            changed[_IFLAG] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
            changed[_CC][termios.VMIN], changed[_CC][termios.VTIME] = 1, 0
            # ctrl+z here would leave the shell on the alternate screen.
            changed[_CC][termios.VSUSP] = os.fpathconf(descriptor, "PC_VDISABLE")
            termios.tcsetattr(descriptor, termios.TCSANOW, changed)
        for number in (*ENDING, signal.SIGINT):
            # Only the main thread may; elsewhere signals keep their default.
            with contextlib.suppress(ValueError):
                self._handlers[number] = signal.signal(number, self._ended)

    def _ended(self, number: int, _frame: FrameType | None) -> None:
        # At once: the signal may come before anything that would restore the terminal later.
        self.leave()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            with contextlib.suppress(ValueError):
                if signal.getsignal(number) == self._ended:
                    signal.signal(number, handler)
        self._handlers.clear()

    def _send(self, text: str) -> None:
        assert self._output is not None
        data = text.encode(self._output.encoding or "ascii", "replace")
        # A lost terminal is detected by the driver.
        with contextlib.suppress(OSError, ValueError):
            while data:
                data = data[os.write(self._output.fileno(), data) :]


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
