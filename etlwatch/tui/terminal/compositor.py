"""Textual's updates of the screen: only cells that differ are sent; errors of what is gone are dropped.

    class EtlwatchApp(CellDiffing):
        cell_diffing = True      switched off, every update goes out as Textual made it
    app.bytes_sent               what screen updates have cost so far
    app.repaint()                forget what the terminal shows and draw all of it

Textual sends whole spans of lines: 60 changed cells a second are some 7 kB, here 0.8 kB. The seam is `App._display`,
through which the updates of every screen pass, modal ones included; replacing each screen's `_compositor` instead
would miss those that Textual pushes itself. The private names used, Textual 8.2: `App._display`, `_fatal_error`,
`_handle_exception`, `_exit_renderables`, `_close_messages_no_wait`, `_batch_count`, `_driver`, `_sync_available`,
`_previous_cursor_position`, the fields of `LayoutUpdate` and `ChopsUpdate`, and the cache of
`StylesCache.get_inner_outer`.

They are used in this file only. What the terminal holds is forgotten (and drawn whole) when it is resized, when the
program comes back from ctrl+z, and on `repaint()`.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._context import active_message_pump
from textual._styles_cache import StylesCache
from textual.app import App
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from etlwatch.tui.terminal.cells import Shadow

_WHOLE = 512
"""Bytes from which an update is marked as one frame; a shorter one arrives in one piece anyway."""

_DROPPED_KEPT = 20

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
        self.dropped: deque[str] = deque(maxlen=_DROPPED_KEPT)
        """Tracebacks of the last errors in screens and widgets that were gone."""

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

    def action_redraw(self) -> None:
        """Draw the whole screen."""
        self.repaint()

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

    def is_gone(self, node: object) -> bool:
        """Return whether this is a widget or screen that was removed, or is of a screen that was left."""
        return isinstance(node, Widget) and not (
            node.is_attached and any(each in self.screen_stack for each in node.ancestors_with_self)
        )

    async def run_action(self, action: Any, default_namespace: Any = None, namespaces: Any = None) -> bool:
        """Run an action; one of a screen or widget that is gone, or not composed yet, is dropped."""
        node = default_namespace
        if self.is_gone(node) or (isinstance(node, Widget) and not (node.is_mounted and node.screen.is_mounted)):
            return False
        return await super().run_action(action, default_namespace, namespaces)

    def _handle_exception(self, error: Exception) -> None:
        """End with a report, except for an error in a screen or widget that is gone.

        A message, a callback or a result may arrive after its screen was left; its widgets are no longer found then.
        """
        if self.is_gone(active_message_pump.get(None)):
            self.dropped.append("".join(traceback.format_exception(error)))
        else:
            super()._handle_exception(error)

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
