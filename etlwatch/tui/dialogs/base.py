"""The base of all dialogs: lines, a line to type in, and choices with Cancel first.

An operation runs in a thread; its outcome is shown in the dialog, or as a toast if the dialog was closed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget

from etlwatch.rendering.lines import Key, key_parts, lay_out
from etlwatch.rendering.operations import Failed
from etlwatch.text.display import DisplayContext
from etlwatch.text.safe import clip, safe
from etlwatch.text.spans import Spans
from etlwatch.tui.operations import begin
from etlwatch.tui.widgets.inputs import Choice
from etlwatch.tui.widgets.span_lines import SpanLines, ValueLines

if TYPE_CHECKING:
    from etlwatch.tui.dashboard import Dashboard
    from tracking_core.store.base import Store

T = TypeVar("T")

WIDEST = 92
MARGINS = 6
"""Cells beside the box at 80 columns, as drawn."""

FRAME_CELLS = 6
"""Edges and padding at both sides."""


class Hint(ValueLines[Sequence[Key]]):
    """The keys at the right of the choices, as many as there is room for."""

    DEFAULT_CSS = "Hint { width: 1fr; height: 1; }"

    ground = "bar"

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return those that fit, at the right."""
        return [lay_out((), key_parts(self.value), width, margin=0, ellipsis=self.glyphs.ellipsis)]


class Modal(ModalScreen[T]):
    """A screen over another one, which is left once."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("Q", "app.quit", "quit", show=False)]

    @property
    def dashboard(self) -> Dashboard:
        """The application."""
        return cast("Dashboard", self.app)

    def leave(self, result: T | None = None) -> None:
        """Close it with a result; not for a second key or click that arrives before it is removed."""
        if self.is_current:
            self.dismiss(result)


class Box(Modal[None]):
    """A dialog; subclasses fill it."""

    DEFAULT_CSS = """
    Box {
        #box { width: 74; height: auto; max-width: 100%; max-height: 100%; }
        #lines { height: auto; }
        #choices { height: 1; margin: 1 0 0 0; }
        #choices Choice:first-of-type { margin: 0 2 0 0; }
        .tight #choices { margin: 0; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "cancel", "close", show=False),
        Binding("down,right,l,j", "app.focus_next", "next", show=False),
        Binding("up,left,h,k", "app.focus_previous", "previous", show=False),
        Binding("Y", "copy_command", "copy the command", show=False),
    ]

    @property
    def context(self) -> DisplayContext:
        """The moment, zone and glyphs of displayed text."""
        app = self.dashboard
        return DisplayContext(app.clock_now(), app.settings.zone, app.glyphs)

    @property
    def refused(self) -> str:
        """Why nothing may be changed; '' if changes are allowed."""
        settings = self.dashboard.settings
        return "" if settings.may_write else settings.write_reason

    # -- for subclasses

    def opened(self) -> None:
        """Start after the parts are composed."""

    def title_text(self) -> str:
        """Return the title, which may contain text from a store."""
        raise NotImplementedError

    def middle(self) -> Iterable[Widget]:
        """Yield the widgets between lines and choices."""
        return ()

    def choices(self) -> Iterable[Choice]:
        """Return the choices behind Cancel."""
        return ()

    def lines(self, width: int, rows: int) -> Sequence[Spans]:
        """Return the text, in at most `rows` lines of `width` cells."""
        raise NotImplementedError

    def keys(self) -> Sequence[Key]:
        """Return the keys at the right of the choices."""
        return (Key("Y", "as command"),)

    def command_arguments(self) -> list[str]:
        """Return the command that does the same, without the program's name and the store's."""
        return []

    def command_line(self) -> str:
        """Return that command, quoted for a shell."""
        return shlex.join(["etlwatch", *self.command_arguments(), *self.dashboard.settings.store_option])

    # -- the frame

    def compose(self) -> ComposeResult:
        """Yield the parts."""
        with Vertical(id="box", classes="panel"):
            yield SpanLines(ground="bar", id="lines")
            yield from self.middle()
            with Horizontal(id="choices"):
                yield Choice("Cancel", id="cancel")
                yield from self.choices()
                yield Hint(id="hint")

    def on_mount(self) -> None:
        """Focus Cancel."""
        self.query_one("#cancel").focus()
        self.opened()
        self.draw()

    def on_resize(self) -> None:
        """Fit the dialog to the terminal."""
        self.draw()

    def draw(self) -> None:
        """Draw the dialog again."""
        if not self.is_mounted:
            return
        columns, rows = self.app.size
        box = self.query_one("#box")
        tight = rows < 23
        box.set_class(tight, "tight")
        # Set here: the app's style sheet overrides a widget's.
        box.styles.padding = (0, 2) if tight else (1, 2, 0, 2)
        wide = max(10, min(WIDEST, columns if columns < 60 else columns - MARGINS))
        box.styles.width = wide
        box.border_title = Content(clip(safe(self.title_text()), max(4, wide - 8)))
        others = sum(1 for widget in self.middle_shown())
        # Two edges, the choices, and where there is room the empty lines above text and choices.
        left = rows - 3 - others - (0 if tight else 2)
        width = wide - FRAME_CELLS
        self.query_one("#lines", SpanLines).update(list(self.lines(width, max(1, left)))[: max(1, left)])
        self.query_one(Hint).show(self.keys())

    def middle_shown(self) -> Iterable[Widget]:
        """Return the parts between lines and choices that take a line each."""
        return [widget for widget in self.query("#box > Field") if widget.display]

    def read_only_lines(self) -> list[Spans]:
        """Return the reason why nothing may be changed as a line; none if changes are allowed."""
        return [((f"! {safe(self.refused)}", "amber"),)] if self.refused else []

    # -- keys

    @on(Choice.Taken, "#cancel")
    def _cancelled(self) -> None:
        self.action_cancel()

    def action_cancel(self) -> None:
        """Close the dialog; nothing is changed."""
        self.leave()

    def action_copy_command(self) -> None:
        """Copy the command that does the same."""
        self.dashboard.copy(self.command_line())

    def on_click(self, event: events.Click) -> None:
        """Ignore a click beside the dialog."""
        event.stop()

    # -- operations

    def do(
        self, work: Callable[[Store], T], received: Callable[[T | Failed], None], toast: Callable[[T | Failed], str]
    ) -> None:
        """Run `work` on the store in a thread, then call `received`; show `toast` if the dialog was closed."""
        app, dashboard = self.app, self.dashboard

        def outcome(result: T | Failed) -> None:
            if self.is_attached and self.is_mounted:
                received(result)
            elif toast(result):
                dashboard.show_message(toast(result), severity="error" if isinstance(result, Failed) else "information")

        begin(lambda: work(dashboard.open_store()), lambda result: app.call_later(outcome, result))
