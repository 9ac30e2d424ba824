"""The screen of all keys, made from the same records as the bindings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from etlwatch.commands import APP_COMMANDS, MOVE_COMMANDS, Command, remapped
from etlwatch.config.settings import Keymap
from etlwatch.text.safe import cell_width, pad, safe
from etlwatch.text.spans import Spans
from etlwatch.tui.widgets.scroll_lines import ScrollLines

KEY_CELLS = 13
MOST_KEY_CELLS = 24
"""A keymap may have longer names of keys; the help beside them stays readable."""


def help_lines(commands: Sequence[Command], keymap: Keymap | None = None, refused: str = "") -> list[Spans]:
    """Return the help: the screen's own commands, those of every screen, and those that move.

    Commands without a key are only in the palette. Commands that change something
    are greyed if `refused` has a reason.
    """
    lines: list[Spans] = []
    every = remapped((*commands, *APP_COMMANDS, *MOVE_COMMANDS), keymap or {})
    width = min(max(KEY_CELLS, *(cell_width(command.shown) + 2 for command in every)), MOST_KEY_CELLS)
    for title, declared in (("here", commands), ("everywhere", APP_COMMANDS), ("moving", MOVE_COMMANDS)):
        group = [command for command in remapped(declared, keymap or {}) if command.shown]
        if not group:
            continue
        if lines:
            lines.append(())
        lines.append(((title, "dim"),))
        for command in group:
            greyed = bool(refused) and command.changes
            key_role, role = ("dim", "dim") if greyed else ("blue", "text")
            lines.append(((pad(command.shown, width), key_role), (command.help, role)))
        if refused and declared is APP_COMMANDS:
            lines.append(((safe(refused), "amber"),))
    return lines


class HelpScreen(ModalScreen[None]):
    """Help over the screen it is about."""

    DEFAULT_CSS = """
    HelpScreen {
        #box { width: 72; max-width: 100%; height: auto; max-height: 100%; }
        ScrollLines { height: auto; background: $surface; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "close", "close", show=False),
    ]

    def __init__(self, commands: Sequence[Command], keymap: Keymap | None = None, refused: str = "") -> None:
        super().__init__()
        self._lines = help_lines(commands, keymap, refused)

    def compose(self) -> ComposeResult:
        """Show the lines in a box."""
        with Vertical(id="box", classes="panel") as box:
            box.border_title = "Keys"
            box.border_subtitle = "esc closes"
            yield ScrollLines(lambda _width, _height: self._lines, ground="bar", id="help")

    def on_mount(self) -> None:
        """Make the box as tall as the help, where the terminal allows it."""
        view = self.query_one(ScrollLines)
        room = max(1, self.app.size.height - 4)
        view.styles.height = len(self._lines)
        view.styles.max_height = room
        view.focus()
        if len(self._lines) > room:
            self.query_one("#box").border_subtitle = "j k scroll, esc closes"

    def action_close(self) -> None:
        """Back to the screen below."""
        self.dismiss()
