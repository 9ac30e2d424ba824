"""The base of all screens: line 1, line 2, the footer, and how a snapshot reaches them.

While the store does not answer, a banner replaces line 2 and everything else is dimmed.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.screen import Screen

from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.series import Column
from etlwatch.analysis.snapshot import Snapshot
from etlwatch.commands import Command, footer_of, key_of
from etlwatch.reading.gatherer import Watch
from etlwatch.rendering.charts import moved
from etlwatch.rendering.header import (
    Freshness,
    banner,
    bundle_parts,
    freshness_parts,
    looking_back_parts,
    name_parts,
    tracking_part,
)
from etlwatch.rendering.lines import Key, Part
from etlwatch.text.display import DisplayContext
from etlwatch.text.spans import Spans
from etlwatch.tui.widgets.inputs import Prompt
from etlwatch.tui.widgets.span_lines import Footer, HealthLine, SpanLines

if TYPE_CHECKING:
    from etlwatch.tui.dashboard import Dashboard

COMMANDS_WITH_AT = frozenset({"runs", "show", "errors", "jobs", "compare"})
"""Commands with the option --at."""


class DashboardScreen(Screen[None]):
    """A screen that draws snapshots."""

    commands: ClassVar[tuple[Command, ...]] = ()
    """The screen's own commands; bindings, footer, palette and help are made from them."""

    in_footer: ClassVar[Mapping[str, tuple[str, str, int] | None]] = {}
    """Footer entries of the commands of every screen: key, word and priority by name; None leaves one out."""

    DEFAULT_CSS = "DashboardScreen #second { height: 1; }"
    ALLOW_SELECT = False
    AUTO_FOCUS = ""
    _muted = False

    @property
    def has_frame(self) -> bool:
        """Whether its first two lines and its footer exist: not while it is composed or removed."""
        return {"health", "second", "footer"} <= {child.id for child in self.children}

    @property
    def is_in_front(self) -> bool:
        """Whether nothing but a dialog is in front of it."""
        return [each for each in self.app.screen_stack if isinstance(each, DashboardScreen)][-1:] == [self]

    @property
    def dashboard(self) -> Dashboard:
        """The application."""
        return cast("Dashboard", self.app)

    @property
    def context(self) -> DisplayContext:
        """The moment, zone and glyphs of displayed text."""
        shown = self.dashboard.shown
        now = shown.at if shown is not None else self.dashboard.clock_now()
        return DisplayContext(now, self.dashboard.settings.zone, self.dashboard.glyphs)

    @property
    def brief(self) -> bool:
        """Whether lines are short: below 110 cells."""
        return self.size.width < 110

    def compose(self) -> ComposeResult:
        """Yield line 1, line 2, the screen's own widgets and the footer."""
        yield HealthLine(id="health")
        yield SpanLines(id="second")
        yield from self.body()
        yield Footer(id="footer")

    def body(self) -> ComposeResult:
        """Yield the widgets between line 2 and the footer."""
        raise NotImplementedError

    # -- the run that commands are about

    @property
    def current_run(self) -> RunRow | None:
        """The run under the cursor, or the one that the screen is about; None for none."""
        return None

    async def action_close_run(self) -> None:
        """Close it, if it is lost."""
        await self.dashboard.close_run(self.current_run)

    def action_bell(self) -> None:
        """Turn its bell on or off."""
        self.dashboard.toggle_bell(self.current_run)
        self.redraw()

    # -- the time cursor

    def time_columns(self) -> Sequence[Column]:
        """Return the columns of the charts on screen; () where there are none."""
        return ()

    def draw_cursor(self) -> None:
        """Draw the time cursor; by default everything."""
        self.redraw()

    def action_move_cursor(self, by: int) -> None:
        """Move the time cursor by columns; after the newest it is removed."""
        app = self.dashboard
        app.cursor_s = moved(self.time_columns(), app.cursor_s, by)
        self.draw_cursor()

    def drop_cursor(self) -> bool:
        """Remove the time cursor; return whether there was one."""
        app = self.dashboard
        if app.cursor_s is None:
            return False
        app.cursor_s = None
        self.draw_cursor()
        return True

    # -- the prompt in place of the footer

    @property
    def prompting(self) -> bool:
        """Whether the prompt is open."""
        return any(prompt.asking for prompt in self.query(Prompt))

    def open_prompt(self, text: str) -> None:
        """Show the prompt instead of the footer, with a text to edit."""
        self.query_one("#footer").display = False
        self.query_one(Prompt).ask(text)

    def close_prompt(self) -> None:
        """Show the footer again."""
        self.query_one(Prompt).leave()
        self.query_one("#footer").display = True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action may run now: in the prompt the key that opens it is a letter."""
        return not self.prompting if action in ("filter", "search") else super().check_action(action, parameters)

    # -- for subclasses

    def watched(self) -> Watch:
        """Return what is read at each poll while this screen is in front."""
        watch = self.dashboard.poller.watch
        return Watch(limit=watch.limit, window=self.dashboard.window, columns=0, moment=self.dashboard.moment)

    def watch_store(self) -> None:
        """Read at each poll what this screen shows."""
        self.dashboard.poller.watch = self.watched()

    def action_back(self) -> None:
        """Undo one step, or leave the screen."""
        self.leave()

    def leave(self) -> None:
        """Go back to the screen before."""
        self.app.pop_screen()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw a snapshot."""
        raise NotImplementedError

    def left_parts(self) -> list[Part]:
        """Return the left side of line 1, behind the store's name."""
        raise NotImplementedError

    def second_lines(self) -> Sequence[Spans]:
        """Return line 2 while the store answers."""
        raise NotImplementedError

    def footer_texts(self) -> dict[str, str]:
        """Return changing texts of the footer by the command's name."""
        return {}

    def mute(self, *, muted: bool) -> None:
        """Dim everything that came from the store, or not."""
        for widget in self.query("*"):
            if hasattr(widget, "muted") and widget.id not in ("health", "second", "footer"):
                muting: Any = widget
                muting.muted = muted

    def copy_text(self) -> str:
        """Return what `y` copies; '' for nothing."""
        return ""

    def command_arguments(self) -> Sequence[str]:
        """Return the arguments of the `etlwatch` command that shows the same."""
        return ()

    def command_line(self) -> str:
        """Return the command that shows the same, quoted for a shell."""
        words, moment = list(self.command_arguments()), self.dashboard.moment
        if moment is not None and words[:1] and words[0] in COMMANDS_WITH_AT:
            words += ["--at", moment.astimezone(UTC).isoformat()]
        return shlex.join(["etlwatch", *words, *self.dashboard.settings.store_option])

    # -- the frame

    def refresh_frame(self) -> None:
        """Draw lines 1 and 2 and the footer again: after a poll, and every second for the clock."""
        if not self.is_mounted or not self.size.width:
            return
        app = self.dashboard
        self.get_child_by_id("health", HealthLine).show((self._left(), self._right()))
        lost = app.lost
        if lost is not None:
            line = banner(
                what=lost.what,
                cause=lost.cause,
                attempt=lost.attempt,
                retry_in_s=app.retry_in_s(),
                retry_key=key_of("app.refresh", app.commands_on(self)),
                width=self.size.width,
            )
            self.get_child_by_id("second", SpanLines).update([line])
        else:
            self.get_child_by_id("second", SpanLines).update(self.second_lines())
        muted = lost is not None and app.shown is not None
        if muted or self._muted:
            # Each time, because widgets may have been added.
            self._muted = muted
            self.mute(muted=muted)
        commands = app.commands_on(self)
        words = {"app.leave": "quit" if self is self.app.screen_stack[0] else "back"}
        keys = footer_of(commands, words | self.footer_texts())
        if app.moment is not None:
            # The keys that move and end looking back do nothing else until then.
            first = _looking_back_keys(commands)
            keys = [*first, *(key for key in keys if key.key not in [each.key for each in first])]
        self.get_child_by_id("footer", Footer).show(keys)

    def _left(self) -> list[Part]:
        app = self.dashboard
        return [*name_parts(app.label, app.settings.colour, brief=self.brief), *self.left_parts()]

    def _right(self) -> list[Part]:
        app = self.dashboard
        shown = app.shown
        fresh = Freshness(
            age_s=app.age_s(),
            interval_s=app.poller.interval,
            poll_ms=shown.poll_ms if shown else 0.0,
            bytes_per_s=app.bytes_per_s,
            as_of=shown.at if shown else None,
            behind_s=shown.behind_s if shown else None,
            connected=app.lost is None,
            paused=app.paused,
        )
        if app.moment is not None:
            return looking_back_parts(app.moment, shown.at if shown else None, app.settings.zone, self.size.width)
        if shown is not None and app.settings.as_of is not None:
            return [tracking_part(shown.switches, brief=self.brief), *bundle_parts(shown.at, app.settings.zone)]
        parts = freshness_parts(fresh, clock_now=app.clock_now(), zone=app.settings.zone, width=self.size.width)
        if shown is None or app.lost is not None:
            return parts
        return [tracking_part(shown.switches, brief=self.brief), *parts]

    def on_mount(self) -> None:
        """Draw the last snapshot."""
        self.redraw()

    def on_screen_resume(self) -> None:
        """Read what this screen shows, and draw what was read for another one."""
        self.watch_store()
        self.redraw()

    def on_screen_suspend(self) -> None:
        """Leave no message to the next screen."""
        self.app.clear_notifications()

    def on_resize(self) -> None:
        """Lay out and draw for the new size."""
        self.choose_layout()
        self.call_after_refresh(self.redraw)

    def choose_layout(self) -> None:
        """Choose the layout for the terminal's size."""

    def redraw(self) -> None:
        """Draw everything from the app's snapshot."""
        if not self.is_mounted:
            return
        shown = self.dashboard.shown
        if shown is not None:
            self.show_snapshot(shown)
        self.refresh_frame()


def _looking_back_keys(commands: Sequence[Command]) -> list[Key]:
    scrub = " ".join(filter(None, (key_of("app.earlier", commands), key_of("app.later", commands))))
    return [Key(key, word, 0) for key, word in ((key_of("app.live", commands), "now"), (scrub, "scrub")) if key]
