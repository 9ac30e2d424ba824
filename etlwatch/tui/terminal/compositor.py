"""Textual at the terminal: only cells that differ are sent, and a lost terminal is detected.

    class EtlwatchApp(CellDiffing):
        cell_diffing = True      switched off, every update goes out as Textual made it
    app.bytes_sent               what screen updates have cost so far
    app.repaint()                forget what the terminal shows and draw all of it

Textual sends whole spans of lines: 60 changed cells a second are some 7 kB, here 0.8 kB. The seam is `App._display`,
through which the updates of every screen pass, modal ones and the command palette included; replacing each screen's
`_compositor` instead would miss those that Textual pushes itself. The private names used, Textual 8.2: `App._display`,
`_fatal_error`, `_exit_renderables`, `_close_messages_no_wait`, `_batch_count`, `_driver`, `_previous_cursor_position`,
`_sync_available`, the fields of `LayoutUpdate` and `ChopsUpdate`, and the cache of `StylesCache.get_inner_outer`.

They are used in this file only. What the terminal holds is forgotten (and drawn whole) when it is resized, when the
program comes back from ctrl+z, and on `repaint()`.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._styles_cache import StylesCache
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.strip import Strip
from textual.widgets import Input

from etlwatch.text.display import UNICODE, Glyphs
from etlwatch.tui.opening import ENTER, Opening
from etlwatch.tui.terminal.cells import RESET, Shadow

_WHOLE = 512
"""Bytes from which an update is marked as one frame; a shorter one arrives in one piece anyway."""

_STYLES_KEPT = 100
"""More widgets than any screen has."""


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


class CellDiffing(App[Any]):
    """Mix-in for an app whose updates are sent by the cell; see the module."""

    cell_diffing: bool = True
    """Whether only differing cells are sent; set on the class or on an app before it runs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._shadow = Shadow()
        self._bytes_sent = 0

    def take_over(self, shadow: Shadow) -> None:
        """Use a shadow of what is already on the terminal; before the app runs."""
        self._shadow = shadow

    @property
    def bytes_sent(self) -> int:
        """Bytes that screen updates have cost since the start."""
        return self._bytes_sent

    def repaint(self) -> None:
        """Draw the whole screen, whatever the terminal shows."""
        self._shadow.forget()
        if self._running and self.screen_stack:
            self.screen.refresh()

    @staticmethod
    def clear_style_cache() -> None:
        """Free the lines of removed widgets; to be called now and then.

        Textual caches the styles of 1,024 widgets in objects that hold the widgets' lines too.
        """
        if StylesCache.get_inner_outer.cache_info().currsize > _STYLES_KEPT:
            StylesCache.get_inner_outer.cache_clear()

    def on_mount(self) -> None:
        """Draw everything when the program comes back from ctrl+z."""
        self.app_resume_signal.subscribe(self, lambda _: self.repaint())

    def on_resize(self, event: events.Resize) -> None:
        """Draw everything: a terminal of another size has rearranged its cells."""
        # The first event only reports the size: the frame drawn before this app is still valid.
        if self._bytes_sent or tuple(event.size) != self._shadow.size:
            self.repaint()

    def _fatal_error(self) -> None:
        """Report a crash without the values of variables, which may hold a password."""
        from rich.segment import Segments
        from rich.traceback import Traceback

        self.bell()
        report = Traceback(show_locals=False, width=None)
        self._exit_renderables.append(Segments(self.console.render(report, self.console.options)))
        self._close_messages_no_wait()

    def _display(self, screen: Any, renderable: Any) -> None:
        """Send an update as differences; anything but a plain update of the whole terminal is left to Textual."""
        driver = self._driver
        if driver is None or driver.is_headless or driver.is_inline or not self._running or self._batch_count:
            super()._display(screen, renderable)
            return
        if not self.cell_diffing or not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            if renderable is not None:
                self._shadow.forget()
            super()._display(screen, renderable)
            return
        size = (self.size.width, self.size.height)
        text = self._shadow.difference(_placed(renderable), self.console.color_system, size)
        text += self._cursor_move(screen, moved=bool(text))
        if text:
            if len(text) >= _WHOLE and self._sync_available:
                text = f"{SYNC_START}{text}{SYNC_END}"
            self._bytes_sent += len(text.encode("utf-8", "replace"))
            driver.write(text)
            driver.flush()
        self.post_display_hook()

    def _cursor_move(self, screen: Any, *, moved: bool) -> str:
        """Return the sequence that moves the terminal's cursor to the input: input methods open their windows there."""
        position = screen.outer_size.clamp_offset(self.cursor_position)
        wanted = position != self._previous_cursor_position or (moved and isinstance(self.focused, Input))
        if not wanted:
            return ""
        self._previous_cursor_position = position
        return self._shadow.move(position.y, position.x)


class TerminalDriver(LinuxDriver):
    """A driver that detects a lost terminal."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._gone = False
        self._on_lost: Callable[[], None] | None = None
        self._entered = False
        self._glyphs: Glyphs = getattr(self._app, "glyphs", UNICODE)
        threading.Thread(target=self._watch, name="etlwatch-hang-up", daemon=True).start()

    def call_when_lost(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the terminal is lost, from the watching thread; at once if it is lost already."""
        self._on_lost = callback
        if self._gone:
            callback()

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
            if self._on_lost is not None:
                self._on_lost()
