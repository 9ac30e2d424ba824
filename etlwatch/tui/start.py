"""The start of the dashboard: the first frame, the first poll, then Textual.

Loading Textual is most of a start, and neither the frame nor the first poll needs it. A failure before the
application runs leaves the terminal as it was.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from etlwatch.config.settings import Settings
from etlwatch.rendering.header import short_label
from etlwatch.tui.colours import color_system_of, pick_theme
from etlwatch.tui.first_frame import FirstFrame
from etlwatch.tui.imports import without_module
from etlwatch.tui.opening import Opening
from etlwatch.tui.view_state import first_window, load_window, state_file
from tracking_core.config import resolve

if TYPE_CHECKING:
    from etlwatch.analysis.snapshot import Snapshot
    from etlwatch.reading.poller import Lost, Read
    from tracking_core.config import StoreLocation
    from tracking_core.store.base import Store

FIRST_ANSWER_S: Final = 0.06
"""Seconds to wait for the first answer before Textual, which would slow it down, is loaded."""


class Startup:
    """The first frame and the running poller, which the app takes over."""

    def __init__(self, opening: Opening, frame: FirstFrame, open_store: Callable[[], Store]) -> None:
        """Start polling for the contents of the frame."""
        from etlwatch.reading.gatherer import Watch
        from etlwatch.reading.poller import Poller

        # The driver is loaded here: in the poller's thread it would take turns with Textual's modules. What is wrong
        # with the store is reported by the poller.
        with contextlib.suppress(Exception):
            open_store()
        self.opening = opening
        self.snapshot: Snapshot | None = None
        """The last snapshot, also where the store was lost after it."""

        self.poller = Poller(
            open_store,
            self._take,
            interval=frame.settings.interval,
            watch=Watch(window=frame.window, columns=frame.layout.chart_columns),
            thresholds=frame.settings.thresholds,
        )
        self._frame = frame
        # Guards the last answer, set by the poller's thread, and the receiver, set by the app.
        self._lock = threading.Lock()
        self._last: Read | Lost | None = None
        self._receiver: Callable[[Read | Lost], None] | None = None
        self._answered = threading.Event()
        self.poller.start()

    def wait(self, seconds: float) -> None:
        """Wait for the first answer at most so long."""
        self._answered.wait(seconds)

    def answers_to(self, receiver: Callable[[Read | Lost], None]) -> Read | Lost | None:
        """Send later answers to `receiver`, in the poller's thread; return the last one before that."""
        with self._lock:
            self._receiver = receiver
            last, self._last = self._last, None
            return last

    def _take(self, result: Read | Lost) -> None:
        """Store an answer and draw it, until the app receives them."""
        from etlwatch.reading.poller import Read

        with self._lock:
            receiver = self._receiver
            if receiver is None:
                self._last = result
                if isinstance(result, Read):
                    self.snapshot = result.snapshot
        if receiver is not None:
            receiver(result)
        elif isinstance(result, Read) and self.opening.holds and self._frame.settings.first_run is None:
            self.opening.show(self._frame.with_runs(result.snapshot), self._frame.theme, self._frame.glyphs)
        self._answered.set()


def run_dashboard(store: object = None, settings: Settings | None = None, opening: Opening | None = None) -> int:
    """Open the dashboard on a store and return the exit status: 0 after `q`, 3 if the store could not be read at first.

    `store` is a DSN, a mapping, a StoreLocation, or None for the default; `opening` is a terminal with a first frame.
    Raises ConfigurationError for an invalid store and ValueError for an unknown theme.
    """
    location = resolve(store)
    settings = settings or Settings()

    def open_store() -> Store:
        from tracking_core.store import open_store as open_location

        return open_location(location)

    try:
        with opening or Opening(sys.__stderr__, sys.__stdin__, os.environ) as opening:
            frame = draw_first(opening, settings, location)
            # Loading creates no garbage, and collecting takes a twentieth of the start.
            gc.disable()
            startup = Startup(opening, frame, open_store)
            startup.wait(FIRST_ANSWER_S)
            # asyncio, which Textual imports, loads it for connections that the dashboard never opens: 4 MB.
            with without_module("ssl"):
                from etlwatch.tui.app import STORE_STATUS, EtlwatchApp

            app = EtlwatchApp(open_store, settings, label=frame.label, startup=startup)
            # Loaded modules stay: without them the collector is faster, and frees closed screens sooner.
            gc.freeze()
            gc.enable()
            status = app.run(mouse=settings.mouse)
    except KeyboardInterrupt:
        # Before the app runs; in the app ctrl+c does the same.
        return 0
    if os.environ.get("ETLWATCH_DEBUG", "") not in ("", "0"):
        sys.stderr.write("".join(f"dropped: {each}" for each in app.dropped))
    if app.failure:
        sys.stderr.write(f"etlwatch: {location.label}: {app.failure}\n")
    return STORE_STATUS if app.failure else (status if status is not None else app.return_code or 0)


def draw_first(opening: Opening, settings: Settings, location: StoreLocation) -> FirstFrame:
    """Draw the screen without an answer, and return the frame that draws it with one."""
    width, height = opening.size
    frame = FirstFrame(
        settings=settings,
        label=settings.label or short_label(location.label),
        theme=pick_theme(settings.theme, os.environ, color_system=color_system_of(os.environ) or "truecolor"),
        window=first_window(settings, load_window(state_file(os.environ))),
        width=width,
        height=height,
    )
    opening.show(frame.connecting(settings.as_of or datetime.now(UTC)), frame.theme, frame.glyphs)
    return frame
