"""The terminal's driver: input one event at a time, a lost terminal detected, the first frame taken over.

An event is passed to the app when what the one before it has caused is handled: keys that are typed ahead reach the
screen that they open. Private names of Textual 8.2: `XTermParser`, `App._post_message`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import threading
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.message_pump import MessagePump

from etlwatch.text.display import UNICODE, Glyphs
from etlwatch.tui.opening import ENTER, Opening
from etlwatch.tui.terminal.cells import RESET

HANDLED_S: Final = 0.5
"""The longest wait for what an event causes, seconds; then the next one is passed on."""

# Mouse reports that Textual does not parse, and would take for keys: X10's with three bytes, and urxvt's.
_OTHER_MICE: Final = re.compile(rb"\x1b\[M[\x20-\xff]{3}|\x1b\[\d+;\d+;\d+M")


class TerminalDriver(LinuxDriver):
    """A driver for any input and any end of its terminal."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._gone = False
        self._on_lost: Callable[[], None] | None = None
        self._entered = False
        self._glyphs: Glyphs = getattr(self._app, "glyphs", UNICODE)
        self._waiting: deque[Message] = deque()
        self._passing: asyncio.Task[None] | None = None
        threading.Thread(target=self._watch, name="etlwatch-hang-up", daemon=True).start()

    # -- input

    def run_input_thread(self) -> None:
        """Read events until the app stops; bytes that are no UTF-8 are skipped."""
        parser = XTermParser()
        decoder = getincrementaldecoder("utf-8")("ignore")
        ready = select.poll()
        ready.register(self.fileno, select.POLLIN)
        # A terminal that is lost ends the program elsewhere.
        with contextlib.suppress(OSError):
            while not self.exit_event.is_set():
                text = ""
                if ready.poll(100):
                    read = os.read(self.fileno, 4_096)
                    if not read:
                        return
                    text = decoder.decode(_OTHER_MICE.sub(b"", read))
                # An empty text would be the end of the input.
                for event in (*(parser.feed(text) if text else ()), *parser.tick()):
                    self.process_message(event)

    def send_message(self, message: Message) -> None:
        """Pass a message from the input thread to the app: what was typed, clicked or pasted in its turn."""
        if isinstance(message, events.InputEvent | events.Paste):
            self._loop.call_soon_threadsafe(self._take, message)
        else:
            super().send_message(message)

    def _take(self, event: Message) -> None:
        last = self._waiting[-1] if self._waiting else None
        if isinstance(event, events.MouseMove) and isinstance(last, events.MouseMove):
            self._waiting.pop()
        self._waiting.append(event)
        if self._passing is None or self._passing.done():
            self._passing = self._loop.create_task(self._pass_on())

    async def _pass_on(self) -> None:
        while self._waiting:
            await self._app._post_message(self._waiting.popleft())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._handled(), HANDLED_S)

    async def _handled(self) -> None:
        """Wait until what an event has caused is handled.

        A key goes from the app to the focused widget, up to the app again, which runs the action; that sends messages
        up from the widget. A screen that was opened is mounted before it handles anything else.
        """
        app = self._app
        await passed(app)
        if not app.screen_stack:
            return
        screen = app.screen
        way = [*screen.focused.ancestors_with_self] if screen.focused else [screen, app]
        for pump in way * 3:
            await passed(pump)
        if app.screen_stack and app.screen is not screen:
            await passed(app.screen)

    # -- the terminal

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
            found = watch.poll()
        except (OSError, ValueError):
            return
        if any(event & (select.POLLHUP | select.POLLERR) for _, event in found):
            self._gone = True
            if self._on_lost is not None:
                self._on_lost()


async def passed(pump: MessagePump) -> None:
    """Wait until everything that is in the queue of a pump is handled; not for one that is closing."""
    handled = asyncio.Event()
    if pump.is_running and pump.call_later(handled.set):
        await handled.wait()
