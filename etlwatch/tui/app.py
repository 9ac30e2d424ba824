"""The application: the poller, the latest and the shown snapshot, pause, interval, theme, navigation, exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from etlwatch.analysis.series import WINDOWS, Window
from etlwatch.analysis.snapshot import Snapshot, Watching, changes_since
from etlwatch.commands import APP_COMMANDS, Command, bindings_of, remapped, textual_keymap
from etlwatch.config.settings import INTERVALS, Settings
from etlwatch.fields.field import Order
from etlwatch.reading.gatherer import Watch
from etlwatch.reading.poller import Lost, Poller, Read
from etlwatch.rendering.header import short_label
from etlwatch.text.display import Glyphs, glyphs_for
from etlwatch.text.moments import stepped
from etlwatch.text.numbers import duration
from etlwatch.tui.administration import ControlledApp
from etlwatch.tui.colours import pick_theme
from etlwatch.tui.opening import ENDING
from etlwatch.tui.screens.base import DashboardScreen
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.terminal.driver import TerminalDriver
from etlwatch.tui.theme import THEMES
from etlwatch.tui.view_state import first_window, load_window, save_window, state_file
from tracking_core.dataclass import replace

if TYPE_CHECKING:
    from etlwatch.tui.dashboard import Dashboard
    from etlwatch.tui.start import Startup
    from tracking_core.store.base import Store

EXIT_S = 0.8
"""Seconds for an orderly end after the terminal was lost."""

RATE_EVERY_S = 5.0
"""Seconds over which bytes per second are measured."""

SCRUB_STEPS = 60
"""Steps of the present window for earlier and later."""

HANG_UP_STATUS = 128 + signal.SIGHUP
STORE_STATUS = 3


class Polled(Message):
    """The poller's result, posted from its thread."""

    def __init__(self, result: Read | Lost) -> None:
        super().__init__()
        self.result = result


class EtlwatchApp(ControlledApp, inherit_bindings=False):
    """The dashboard."""

    CSS_PATH = "etlwatch.tcss"
    TITLE = "etlwatch"
    BINDINGS = bindings_of(APP_COMMANDS)
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    NOTIFICATION_TIMEOUT = 4.0

    def __init__(
        self,
        open_store: Callable[[], Store],
        settings: Settings | None = None,
        *,
        label: str = "",
        startup: Startup | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the dashboard; `open_store` is called in the poller's thread, after the first frame.

        `startup` is the first frame and the running poller, which the app takes over.
        """
        self.settings = settings or Settings()
        super().__init__(
            driver_class=TerminalDriver if sys.platform != "win32" else None,
            # The theme sets it too late: for NO_COLOR Textual has chosen 24-bit greys by then.
            ansi_color=True if os.environ.get("NO_COLOR") else None,
        )
        self.glyphs: Glyphs = glyphs_for(ascii_only=self.settings.ascii_only)
        self.latest: Snapshot | None = None
        self.shown: Snapshot | None = None
        self.lost: Lost | None = None
        self.paused = False
        self.state_file = state_file(os.environ)
        self.window: Window = first_window(self.settings, load_window(self.state_file))
        self.moment: datetime | None = None
        """The past moment on screen; None for now."""

        self.orders: dict[str, Order] = {}
        self.cursor_s: float | None = None
        """The time cursor of all charts, seconds since 1970-01-01Z; None where there is none."""

        self.bytes_per_s: float | None = None
        self.failure = ""
        self.open_store = open_store
        self.watching = Watching()
        self.label = self.settings.label or label
        """The store's name: the target's, else the last part of its own label."""

        self._monotonic = monotonic
        self._first_run = self.settings.first_run
        self._drawn_at = 0.0
        self._measured = (monotonic(), 0)
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self.startup = startup
        if startup is not None:
            self.poller = startup.poller
            self.take_over(startup.opening.shadow)
            # So that the widgets' first frame equals the one on the terminal.
            self.latest = self.shown = startup.snapshot
        else:
            self.poller = Poller(
                open_store,
                self._deliver,
                interval=self.settings.interval,
                watch=Watch(columns=0),
                thresholds=self.settings.thresholds,
            )
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = pick_theme(self.settings.theme, os.environ, color_system=self.console.color_system or "truecolor")

    # -- for screens

    def commands_on(self, screen: DashboardScreen) -> tuple[Command, ...]:
        """Return the commands of a screen with their keys."""
        everywhere = [replace(each, footer=screen.in_footer.get(each.name, each.footer)) for each in APP_COMMANDS]
        return remapped((*screen.commands, *everywhere), self.settings.keymap)

    def clock_now(self) -> datetime:
        """Return the store's clock, before the first answer this machine's."""
        if self.latest is None:
            return self.present()
        if self.latest.looking_back or self.settings.as_of is not None:
            return self.latest.at
        return self.latest.at + timedelta(seconds=max(0.0, self._monotonic() - self.latest.read_at))

    def present(self) -> datetime:
        """Return the latest moment that can be shown: now on this machine, or the moment of a bundle."""
        return self.settings.as_of or datetime.now(UTC)

    def age_s(self) -> float | None:
        """Return the age of the shown data in seconds; None before the first answer."""
        return None if self.shown is None else max(0.0, self._monotonic() - self.shown.read_at)

    def retry_in_s(self) -> float:
        """Return the seconds until the next attempt; 0 while the store answers."""
        return 0.0 if self.lost is None else max(0.0, self.lost.retry_at - time.monotonic())

    # -- begin and end

    def get_default_screen(self) -> Screen[Any]:
        """Return the first screen."""
        return HomeScreen()

    def on_mount(self) -> None:
        """Start polling after the first frame, and the timer of the clock."""
        self.set_keymap(textual_keymap(self.settings.keymap))
        for notice in self.settings.notices:
            self.show_message(notice, severity="warning")
        if self.startup is None:
            self.call_after_refresh(self.poller.start)
        else:
            last = self.startup.answers_to(self._deliver)
            if last is not None:
                self._deliver(last)
        self.set_interval(1.0, self._tick)
        driver = self._driver
        if isinstance(driver, TerminalDriver):
            driver.call_when_lost(self._terminal_lost)
        self._event_loop = asyncio.get_running_loop()
        if not self.is_headless:
            self.handle_signals()

    def handle_signals(self) -> None:
        """Exit in order on a signal, with the terminal restored."""
        # Only the main thread may set handlers.
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop = asyncio.get_running_loop()
            for number in ENDING:
                loop.add_signal_handler(number, self.exit, 128 + number)
            loop.add_signal_handler(signal.SIGHUP, self._terminal_lost)

    def on_unmount(self) -> None:
        """Stop the poller without waiting for it."""
        self.poller.stop()

    def _terminal_lost(self) -> None:
        """Exit after the terminal was lost: in order if possible, by force after EXIT_S."""
        end = threading.Timer(EXIT_S, os._exit, [HANG_UP_STATUS])
        end.daemon = True
        end.start()
        if self._event_loop is not None:
            with contextlib.suppress(RuntimeError):
                self._event_loop.call_soon_threadsafe(self.exit, HANG_UP_STATUS)

    async def action_quit(self) -> None:
        """Leave."""
        self.exit(0)

    def action_leave(self) -> None:
        """Go back to the screen before; leave from the first one."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        else:
            self.exit(0)

    # -- polls

    def _deliver(self, result: Read | Lost) -> None:
        """Post a result from the poller's thread; an app that is exiting ignores it."""
        with contextlib.suppress(RuntimeError):
            self.post_message(Polled(result))

    @on(Polled)
    def _polled(self, message: Polled) -> None:
        if isinstance(message.result, Lost):
            self._connection_lost(message.result)
        else:
            self._snapshot_read(message.result)

    def _snapshot_read(self, read: Read) -> None:
        if read.snapshot.looking_back != (self.moment is not None):
            # It was read for another moment.
            return
        before = self.latest if self.lost is not None else None
        self.latest = read.snapshot
        if before is not None and before.looking_back == self.latest.looking_back:
            changed = changes_since(before, self.latest)
            self.show_message(changed.words, severity=changed.severity)
        self.label = self.label or short_label(read.label)
        self.lost = None
        if not self.latest.looking_back:
            self.ring(self.latest)
        if not self.paused or self.shown is None:
            self.shown = self.latest
        self._draw(self.shown if not self.paused else None)
        if self._first_run is not None and isinstance(self.screen, HomeScreen):
            self.screen.open_run(self._first_run)
            self._first_run = None

    def _connection_lost(self, lost: Lost) -> None:
        self.lost = lost
        if lost.hopeless and self.latest is None:
            # Nothing was shown yet and waiting does not help: exit with the reason, as a command does.
            self.failure = f"{lost.what}: {lost.cause}"
            self.exit(STORE_STATUS)
            return
        self._draw(None)

    def _draw(self, snapshot: Snapshot | None) -> None:
        """Draw on the screen in front; other screens draw when they come to the front."""
        self._drawn_at = self._monotonic()
        for screen in reversed(self.screen_stack):
            if isinstance(screen, DashboardScreen):
                # An answer may arrive while the screen is being removed.
                if screen.has_frame:
                    if snapshot is not None:
                        screen.show_snapshot(snapshot)
                    screen.refresh_frame()
                return

    def _tick(self) -> None:
        """Draw clock, ages and countdown each second between polls."""
        self.clear_style_cache()
        now = self._monotonic()
        since, bytes_before = self._measured
        if now - since >= RATE_EVERY_S:
            # The first interval includes the first frame and is not typical.
            self.bytes_per_s = (self.bytes_sent - bytes_before) / (now - since) if bytes_before else None
            self._measured = (now, self.bytes_sent)
        if self.lost is not None or now - self._drawn_at > 0.9:
            self._draw(None)

    # -- commands

    def next_window(self) -> None:
        """Choose the next longer window of the charts, after the longest the shortest, also for the next start."""
        self.window = WINDOWS[(WINDOWS.index(self.window) + 1) % len(WINDOWS)]
        save_window(self.state_file, self.window)

    def action_pause(self) -> None:
        """Stop drawing polls, or draw the latest and continue."""
        self.paused = not self.paused
        if not self.paused:
            self.shown = self.latest
        self._draw(self.shown if not self.paused else None)

    def action_time(self) -> None:
        """Ask for the past moment to show."""
        from etlwatch.tui.dialogs.moment import TimePrompt

        now = self.clock_now() if self.moment is None else self.present()
        cursor = None if self.cursor_s is None else datetime.fromtimestamp(self.cursor_s, UTC)
        self.push_screen(TimePrompt(now, cursor, self.settings.zone), self.show_moment)

    def show_moment(self, moment: datetime | None) -> None:
        """Show everything as of a moment; None changes nothing."""
        if moment is not None:
            self._set_moment(moment)

    def action_scrub(self, columns: int) -> None:
        """Move the shown moment by columns of the present window, at most to now."""
        if self.moment is None:
            return
        moment = stepped(self.moment, columns, step_s=max(self.window.seconds // SCRUB_STEPS, self.window.base))
        self._set_moment(moment if moment < self.present() else None)

    def action_live(self) -> None:
        """Show the present again."""
        self._set_moment(None)

    def _set_moment(self, moment: datetime | None) -> None:
        self.moment = moment
        self.poller.watch = replace(self.poller.watch, moment=moment)
        self._draw(None)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Allow commands only while no dialog is open and no text field has the focus."""
        if action in ("live", "scrub", "palette"):
            free = isinstance(self.screen, DashboardScreen) and not isinstance(self.focused, Input)
            return free and (action == "palette" or self.moment is not None)
        return super().check_action(action, parameters)

    def open_screen(self, name: str, *arguments: Any) -> None:
        """Open a screen by the name of its module in `etlwatch.tui.screens`."""
        self.push_screen(_screen_class(name)(*arguments))

    def action_show_screen(self, name: str) -> None:
        """Show a screen of which there is one: return to it where it is open already."""
        kind = _screen_class(name)
        if any(isinstance(screen, kind) for screen in self.screen_stack):
            while not isinstance(self.screen, kind):
                self.pop_screen()
        else:
            self.push_screen(kind())

    def action_refresh_now(self) -> None:
        """Poll the store at once."""
        self.poller.refresh()

    def action_interval(self, step: int) -> None:
        """Step to the next longer or shorter interval."""
        longer = step > 0
        current = self.poller.interval
        choices = [each for each in INTERVALS if (each > current if longer else each < current)]
        if choices:
            self.poller.interval = choices[0] if longer else choices[-1]
        self.show_message(f"a poll every {duration(self.poller.interval) if self.poller.interval >= 1 else '0.5s'}")
        self._draw(None)

    def action_palette(self) -> None:
        """Offer the commands of the screen in front by name."""
        from etlwatch.tui.dialogs.commands import Palette

        screen = self.screen
        if isinstance(screen, DashboardScreen):

            def run(command: Command | None) -> None:
                if command is not None:
                    self.call_next(self.run_action, command.action, screen)

            commands = remapped((*screen.commands, *APP_COMMANDS), self.settings.keymap)
            self.push_screen(Palette(commands, self._refused), run)

    def action_help(self) -> None:
        """Show the keys of the screen in front."""
        from etlwatch.tui.dialogs.commands import HelpScreen

        screen = self.screen
        if isinstance(screen, DashboardScreen):
            self.push_screen(HelpScreen(screen.commands, self.settings.keymap, self._refused))

    @property
    def _refused(self) -> str:
        return "" if self.settings.may_write else self.settings.write_reason


def _screen_class(name: str) -> type[Any]:
    found: type[DashboardScreen] = import_module(f"etlwatch.tui.screens.{name}").SCREEN
    return found


if TYPE_CHECKING:
    _: type[Dashboard] = EtlwatchApp
