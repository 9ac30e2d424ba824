"""Textual's Linux driver, with a watch for a terminal that is gone.

The watch blocks in the kernel and costs nothing. Reading alone would not do: a terminal that is gone always reads as
ready, and the loop would use a whole core.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Any

from textual.drivers.linux_driver import LinuxDriver

from etlwatch.text.glyphs import UNICODE, Glyphs
from etlwatch.tui.opening import ENTER, Opening
from etlwatch.tui.terminal.cells import RESET

class TerminalDriver(LinuxDriver):
    """A driver that detects a lost terminal."""

    on_terminal_lost: Callable[[], None] | None = None
    """Called once, in its own thread, when the terminal is lost."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._gone = False
        self._entered = False
        self._glyphs: Glyphs = getattr(self._app, "glyphs", UNICODE)
        threading.Thread(target=self._watch, name="etlwatch-hang-up", daemon=True).start()

    def start_application_mode(self) -> None:
        """Take over the terminal; after a first frame it is on the alternate screen already."""
        startup = getattr(self._app, "startup", None)
        opening: Opening | None = startup.opening if startup is not None else None
        if opening is None or not opening.holds:
            super().start_application_mode()  # type: ignore[no-untyped-call]
            return
        opening.hand_over()
        self._entered = True
        super().start_application_mode()  # type: ignore[no-untyped-call]
        # Textual has read the attributes of the first frame; the shell needs the earlier ones.
        self.attrs_before = opening.attributes

    def write(self, data: str) -> None:
        """Send data, unless the terminal is lost: the queue would fill and block the writing thread.

        With ASCII glyphs only ASCII is sent, also from Textual's own widgets.
        """
        if self._entered and data == ENTER:
            self._entered = False
        elif not self._gone:
            super().write(data if data.isascii() else self._glyphs.text(data))

    def stop_application_mode(self) -> None:
        """Restore the terminal, with the style of the last cell reset."""
        self.write(RESET)
        super().stop_application_mode()

    def _watch(self) -> None:
        """Wait for the hang-up, which poll always reports."""
        watch = select.poll()
        try:
            watch.register(self.fileno, 0)
            events = watch.poll()
        except (OSError, ValueError):
            return
        if any(event & (select.POLLHUP | select.POLLERR) for _, event in events):
            self._gone = True
            if self.on_terminal_lost is not None:
                self.on_terminal_lost()
