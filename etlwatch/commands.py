"""Every command of the dashboard, declared once: bindings, footer, palette and help are made from these records.

Owns keys and words. Refuses to own what a command does: that is the `action_…` method of the screen or the app that
lists it. Help and footer show the keys that are declared here and nothing else.

Left alone on purpose: ctrl+s and ctrl+q stop and start the output of many terminals, ctrl+d ends shells, ctrl+h is
backspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from textual.binding import Binding, BindingType

from etlwatch.widgets.footer import Key

__all__ = [
    "APP_COMMANDS",
    "HOME_COMMANDS",
    "MOVE_COMMANDS",
    "RUN_COMMANDS",
    "Command",
    "bindings_of",
    "footer_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One thing a person can do."""

    name: str
    """Unique; the binding's id, by which a keymap may give it another key."""

    keys: str
    """Textual's names, commas between: `less_than_sign`, `colon,ctrl+p`."""

    shown: str
    """The keys as people know them: `<`, `: ctrl+p`."""

    action: str
    """Textual's action: `sort(-1)`."""

    title: str
    """What it is called in the palette; '' keeps it out of there."""

    help: str
    """What it does, in a few words, for help and palette."""

    footer: tuple[str, str, int] | None = None
    """Key, word and priority in the footer (0 stays longest); None keeps it out."""

    priority: bool = False
    """Whether it is done before whatever has the focus sees the key, and before the next key is looked at.

    For what must work everywhere, and for what opens a field for text: the letters typed ahead belong into it.
    """


MOVE_COMMANDS: Final = (
    Command(name="move.down", keys="", shown="j ↓", action="", title="", help="one down"),
    Command(name="move.up", keys="", shown="k ↑", action="", title="", help="one up"),
    Command(name="move.ends", keys="", shown="g G", action="", title="", help="first, last"),
    Command(name="move.pages", keys="", shown="pgup pgdn", action="", title="", help="a screenful up, down"),
)
"""What tables and texts understand by themselves; here for the help alone."""

APP_COMMANDS: Final = (
    Command(
        name="app.pause",
        keys="p",
        shown="p",
        action="app.pause",
        title="Pause the display",
        help="stop and resume drawing; collecting goes on",
        footer=("p", "pause", 1),
    ),
    Command(
        name="app.time",
        keys="t",
        shown="t",
        action="app.time",
        title="Look at a past moment",
        help="02:41, yesterday 03:00, Tue 02:10, -1h30m",
        footer=("t", "time", 2),
    ),
    Command(
        name="app.earlier",
        keys="left,shift+left",
        shown="← shift+←",
        action="app.scrub(-1)",
        title="",
        help="looking back: a column earlier",
    ),
    Command(
        name="app.later",
        keys="right,shift+right",
        shown="→ shift+→",
        action="app.scrub(1)",
        title="",
        help="looking back: a column later",
    ),
    Command(
        name="app.live",
        keys="escape",
        shown="esc",
        action="app.live",
        title="Back to now",
        help="looking back: to now again",
        priority=True,
    ),
    Command(
        name="app.refresh",
        keys="r",
        shown="r",
        action="app.refresh_now",
        title="Refresh now",
        help="ask the store now, also while it is away",
    ),
    Command(
        name="app.slower",
        keys="plus",
        shown="+",
        action="app.interval(1)",
        title="Poll less often",
        help="a longer interval between polls",
    ),
    Command(
        name="app.faster",
        keys="minus",
        shown="-",
        action="app.interval(-1)",
        title="Poll more often",
        help="a shorter interval between polls",
    ),
    Command(
        name="app.copy",
        keys="y",
        shown="y",
        action="app.copy",
        title="Copy what is selected",
        help="send the selection to the terminal's clipboard",
        footer=("y", "copy", 3),
    ),
    Command(
        name="app.copy_command",
        keys="Y",
        shown="Y",
        action="app.copy_command",
        title="Copy the command line of this screen",
        help="the same answer as a plain command",
        footer=("Y", "command", 3),
    ),
    Command(
        name="app.palette",
        keys="colon,ctrl+p",
        shown=": ctrl+p",
        action="app.command_palette",
        title="",
        help="every command by name",
        footer=(":", "commands", 1),
        priority=True,
    ),
    Command(
        name="app.help",
        keys="question_mark",
        shown="?",
        action="app.help",
        title="Help",
        help="these keys",
        footer=("?", "help", 1),
    ),
    Command(
        name="app.suspend",
        keys="ctrl+z",
        shown="ctrl+z",
        action="app.suspend_process",
        title="",
        help="to the shell; fg comes back",
        priority=True,
    ),
    Command(
        name="app.quit",
        keys="q",
        shown="q",
        action="app.quit",
        title="Quit",
        help="leave; jobs are not touched",
        footer=("q", "quit", 4),
    ),
    Command(
        name="app.interrupt",
        keys="ctrl+c",
        shown="ctrl+c",
        action="app.quit",
        title="",
        help="leave, from anywhere",
        priority=True,
    ),
)
"""What works on every screen."""

HOME_COMMANDS: Final = (
    Command(
        name="home.open",
        keys="",
        shown="enter",
        action="open",
        title="Open the run",
        help="everything about the run under the cursor",
        footer=("enter", "open", 0),
    ),
    Command(
        name="home.filter",
        keys="slash",
        shown="/",
        action="filter",
        title="Filter the runs",
        help="state:failed,lost job:sync* since:24h dur>10m !demo",
        footer=("/", "filter", 1),
        priority=True,
    ),
    Command(
        name="home.sort_left",
        keys="less_than_sign",
        shown="<",
        action="sort(-1)",
        title="Sort by the column to the left",
        help="sort by the column to the left",
        footer=("< >", "sort", 1),
    ),
    Command(
        name="home.sort_right",
        keys="greater_than_sign",
        shown=">",
        action="sort(1)",
        title="Sort by the column to the right",
        help="sort by the column to the right",
    ),
    Command(
        name="home.invert",
        keys="I",
        shown="I",
        action="invert",
        title="Invert the order",
        help="turn the order round",
    ),
    Command(
        name="home.window",
        keys="w",
        shown="w",
        action="window",
        title="Change the window of the charts",
        help="5 minutes, 1 hour, 24 hours, 7 days",
        footer=("w", "window", 1),
    ),
    Command(
        name="home.back",
        keys="escape",
        shown="esc",
        action="clear_filter",
        title="Clear the filter",
        help="show all runs again",
    ),
)
"""What works on the list of runs."""

RUN_COMMANDS: Final = (
    Command(
        name="run.next_tab",
        keys="right_square_bracket,tab",
        shown="] tab",
        action="tab(1)",
        title="Next tab",
        help="the next tab",
        footer=("[ ]", "tabs", 0),
    ),
    Command(
        name="run.previous_tab",
        keys="left_square_bracket,shift+tab",
        shown="[ shift+tab",
        action="tab(-1)",
        title="Previous tab",
        help="the tab before",
    ),
    Command(
        name="run.errors",
        keys="e",
        shown="e",
        action="show_tab('errors')",
        title="Errors of the run",
        help="its errors and their tracebacks",
        footer=("e", "errors", 2),
    ),
    Command(
        name="run.back",
        keys="escape,backspace",
        shown="esc",
        action="back",
        title="Back to the runs",
        help="back to the runs",
        footer=("esc", "runs", 0),
    ),
)
"""What works on the screen of one run."""


def bindings_of(commands: Iterable[Command]) -> list[BindingType]:
    """Return Textual's bindings of these commands; none for those whose key a widget already knows."""
    return [
        Binding(
            command.keys,
            command.action,
            command.help,
            show=False,
            key_display=command.shown,
            id=command.name,
            priority=command.priority,
        )
        for command in commands
        if command.keys
    ]


def footer_of(commands: Sequence[Command], words: Mapping[str, str] | None = None) -> list[Key]:
    """Return the footer's keys in the order of the commands; `words` replaces the word of a command by its name."""
    said = words or {}
    return [
        Key(command.footer[0], said.get(command.name, command.footer[1]), command.footer[2])
        for command in commands
        if command.footer is not None
    ]
