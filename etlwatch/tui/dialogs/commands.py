"""The commands of a screen, from the records of the bindings: the help with their keys, the palette by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.fuzzy import Matcher
from textual.widgets import Input

from etlwatch.commands import APP_COMMANDS, MOUSE, MOVE_COMMANDS, Command, remapped
from etlwatch.config.settings import Keymap
from etlwatch.rendering.lines import Row
from etlwatch.text.safe import cell_width, pad, safe
from etlwatch.text.spans import Column, Spans
from etlwatch.tui.dialogs.base import Modal
from etlwatch.tui.widgets.inputs import TextInput
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.scroll_lines import ScrollLines

KEY_CELLS = 13
MOST_KEY_CELLS = 24
"""A keymap may have longer names of keys; the help beside them stays readable."""


def help_lines(commands: Sequence[Command], keymap: Keymap | None = None, refused: str = "") -> list[Spans]:
    """Return the help: the screen's own commands, those of every screen, those that move, and the mouse.

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
    lines += [(), (("mouse", "dim"),)]
    lines += [((pad(what, width), "blue"), (effect, "text")) for what, effect in MOUSE]
    return lines


class HelpScreen(Modal[None]):
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
            yield ScrollLines(lambda _width, _height: self._lines, ground="bar", id="help")

    def on_mount(self) -> None:
        """Focus the lines, so that keys scroll."""
        self.query_one(ScrollLines).focus()

    def on_resize(self) -> None:
        """Make the box as tall as the help, up to five eighths of the terminal: more costs a slow link too much."""
        view = self.query_one(ScrollLines)
        room = max(1, self.app.size.height * 5 // 8)
        view.styles.height = min(room, len(self._lines))
        self.query_one("#box").border_subtitle = "j k scroll, esc closes" if len(self._lines) > room else "esc closes"

    def action_close(self) -> None:
        """Back to the screen below."""
        self.leave()


class Palette(Modal[Command]):
    """Commands by name: type a part of it, choose with the arrows; left with the command to run, or None."""

    DEFAULT_CSS = """
    Palette {
        #box { width: 74; max-width: 100%; height: auto; max-height: 100%; padding: 0 1; }
        LineTable { height: auto; margin: 1 0 0 0; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", show=False),
        Binding("down", "move(1)", "next", show=False),
        Binding("up", "move(-1)", "previous", show=False),
        Binding("pagedown", "page(1)", "a screenful down", show=False),
        Binding("pageup", "page(-1)", "a screenful up", show=False),
    ]

    def __init__(self, commands: Sequence[Command], refused: str = "") -> None:
        """Prepare to offer those that have a title; what changes something has the reason `refused` beside it."""
        super().__init__()
        self._commands = {command.name: command for command in commands if command.title}
        self._refused = refused

    def compose(self) -> ComposeResult:
        """Yield the text field above the list."""
        with Vertical(id="box", classes="panel") as box:
            box.border_title = "Commands"
            box.border_subtitle = "enter runs, esc closes"
            yield TextInput(id="name")
            yield LineTable(
                (Column(key="title", width=44), Column(key="keys", width=8), Column(key="reason", width=12, grow=1)),
                empty="no command has this in its name", header=False, markable=False, ground="bar",
            )  # fmt: skip

    def on_mount(self) -> None:
        """List all commands."""
        self.query_one(LineTable).can_focus = False
        self.query_one(TextInput).focus()
        self._list("")

    def on_resize(self) -> None:
        """Show as many commands as there is room for."""
        self.query_one(LineTable).styles.max_height = max(1, self.app.size.height - 6)

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        self._list(message.value)

    def _list(self, text: str) -> None:
        """List the commands whose title or keys resemble a text, the nearest first."""
        found = list(self._commands.values())
        if text.strip():
            matcher = Matcher(text.strip())
            scores = {each.name: matcher.match(f"{each.title} {each.shown}") for each in found}
            found = sorted((each for each in found if scores[each.name] > 0), key=lambda each: -scores[each.name])
        table = self.query_one(LineTable)
        table.update_rows([Row(key=each.name, cells=self._cells(each)) for each in found])
        if found:
            table.move_cursor(found[0].name)

    def _cells(self, command: Command) -> dict[str, Spans]:
        reason = safe(self._refused) if command.changes else ""
        title, keys = ("dim", "dim") if reason else ("text", "blue")
        return {"title": ((command.title, title),), "keys": ((command.shown, keys),), "reason": ((reason, "dim"),)}

    @on(Input.Submitted)
    @on(LineTable.RowOpened)
    def _chosen(self) -> None:
        chosen = self.query_one(LineTable).cursor_key
        if isinstance(chosen, str):
            self.leave(self._commands[chosen])

    def action_leave(self) -> None:
        """Close it."""
        self.leave()

    def action_move(self, by: int) -> None:
        """Move the cursor by lines."""
        self.query_one(LineTable).action_move(by)

    def action_page(self, direction: int) -> None:
        """Move the cursor by a screenful."""
        self.query_one(LineTable).action_page(direction)
