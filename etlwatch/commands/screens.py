"""The record of a command; the commands of each screen, by the screen's name, and those that open one from everywhere.

A command belongs to one screen, by the first part of its name: a keymap may give it another key on one screen only.
Loads nothing of Textual before a screen asks for bindings, so that a keymap can be checked without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from etlwatch.config.options import shown_key
from etlwatch.rendering.lines import Key
from tracking_core.dataclass import dataclass, replace

if TYPE_CHECKING:
    from textual.binding import BindingType


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the dashboard: its key, its action and its texts."""

    name: str
    """Unique; the binding's id, by which a keymap may give it another key."""

    keys: str
    """Textual's names, commas between: `less_than_sign`, `colon,ctrl+p`."""

    action: str
    """Textual's action: `sort(-1)`."""

    help: str
    """What it does, in a few words, for help and palette."""

    title: str = ""
    """Its name in the palette; '' leaves it out."""

    shown_as: str | None = None
    """The keys as they are shown; None for all of them under their usual names."""

    footer: tuple[str, str, int] | None = None
    """Key, word and priority in the footer (the highest number is dropped first); None leaves it out.

    Of two keys the second belongs to the next command.
    """

    priority: bool = False
    """Whether it runs before the focused widget gets the key, and before the next key is handled.

    For commands that work everywhere, and for those that open a text field: what is typed next belongs there.
    """

    changes: bool = False
    """Whether it changes the store: shown greyed, with the reason, where that is not allowed."""

    @property
    def shown(self) -> str:
        """The keys as they are shown: `<`, `: ctrl+p`."""
        return " ".join(map(shown_key, filter(None, self.keys.split(",")))) if self.shown_as is None else self.shown_as


def bindings_of(commands: Iterable[Command]) -> list[BindingType]:
    """Return Textual's bindings of these commands.

    A command whose key the widget binds itself gets a key that is never sent, so that a keymap can change it.
    """
    from textual.binding import Binding

    return [
        Binding(
            command.keys or _no_key(command.name),
            command.action,
            command.help,
            show=False,
            key_display=command.shown,
            id=command.name,
            priority=command.priority,
        )
        for command in commands
        if command.action
    ]


def _no_key(name: str) -> str:
    """Return a key that no terminal sends: one for each command, since Textual's keymap removes keys, not bindings."""
    return f"no-key-for-{name}"


def textual_keymap(keymap: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return a keymap in Textual's form."""
    return {name: ",".join(keys) or _no_key(name) for name, keys in keymap.items()}


def remapped(commands: Sequence[Command], keymap: Mapping[str, Sequence[str]]) -> tuple[Command, ...]:
    """Return commands with the keys that a keymap gives them, wherever they are shown."""
    if not keymap:
        return tuple(commands)
    changed = [_with_keys(command, keymap.get(command.name)) for command in commands]
    for index, (before, after) in enumerate(zip(commands, changed, strict=True)):
        if before.footer is None:
            continue
        pair = [after, *changed[index + 1 : index + 2]] if " " in before.footer[0] else [after]
        if any(command.name in keymap for command in pair):
            keys = [command.shown.split()[0] for command in pair if command.shown]
            changed[index] = replace(after, footer=(" ".join(keys), *before.footer[1:]) if after.shown else None)
    return tuple(changed)


def _with_keys(command: Command, keys: Sequence[str] | None) -> Command:
    if keys is None:
        return command
    return replace(command, keys=",".join(keys), shown_as=None)


def key_of(name: str, commands: Iterable[Command]) -> str:
    """Return the first key of a command as it is shown; '' where it has none."""
    return next((command.shown.split()[0] for command in commands if command.name == name and command.shown), "")


def footer_of(commands: Sequence[Command], words: Mapping[str, str] | None = None) -> list[Key]:
    """Return the footer's keys in the order of the commands; `words` replaces the word of a command by its name."""
    replaced = words or {}
    return [
        Key(command.footer[0], replaced.get(command.name, command.footer[1]), command.footer[2])
        for command in commands
        if command.footer is not None
    ]


# fmt: off
OPENERS: Final = (
    Command("app.jobs", "J", "app.show_screen('jobs')", title="Jobs",
            help="one line a job: last runs, drift, what is late", footer=("J", "jobs", 3)),
    Command("app.errors", "E", "app.show_screen('errors')", title="Errors of all runs",
            help="by kind: how often, new or known, resolved or not", footer=("E", "errors", 6)),
)
"""Open a screen from everywhere: `etlwatch.tui.screens.NAME`, whose class is `SCREEN` there."""


def filter_and_sort(group: str, things: str, example: str) -> tuple[Command, ...]:
    """Return the commands that choose and order the things of a list; `example` is shown in the help."""
    return (
        Command(f"{group}.filter", "slash", "filter", title=f"Filter the {things}", help=example,
                footer=("/", "filter", 1), priority=True),
        *sort(group, things),
    )


def sort(group: str, things: str, *, priority: int = 1) -> tuple[Command, ...]:
    """Return the commands that order the things of a list; `priority` is that of the keys in the footer."""
    return (
        Command(f"{group}.sort_left", "less_than_sign", "sort(-1)",
                title=f"Sort the {things} by the column to the left", help="sort by the column to the left",
                footer=("< >", "sort", priority)),
        Command(f"{group}.sort_right", "greater_than_sign", "sort(1)",
                title=f"Sort the {things} by the column to the right", help="sort by the column to the right"),
        Command(f"{group}.invert", "I", "invert", title=f"Invert the order of the {things}",
                help="invert the order"),
    )


def mark(group: str, thing: str, use: str, footer: tuple[str, str, int] | None = None) -> Command:
    """Return the command that marks a thing of a list; `use` says what acts on marked ones."""
    return Command(f"{group}.mark", "", "mark", title=f"Mark the {thing}",
                   help=f"mark the {thing} under the cursor for {use}", shown_as="space", footer=footer)


def time_cursor(group: str, earlier: str = "comma", later: str = "full_stop", *, pair: str = ", .",
                priority: int = 5) -> tuple[Command, ...]:
    """Return the commands that move the time cursor; `pair` and `priority` are those of the footer."""
    return (
        Command(f"{group}.earlier", earlier, "move_cursor(-1)",
                help="move the time cursor of all charts back one column", footer=(pair, "cursor", priority)),
        Command(f"{group}.later", later, "move_cursor(1)",
                help="move the time cursor forward; remove it at the end"),
    )


def back(group: str, title: str, help: str, word: str) -> Command:  # noqa: A002 - as the field is called
    """Return the command that closes a screen; `word` is the footer's."""
    return Command(f"{group}.back", "escape,backspace", "back", title=title, help=help, shown_as="esc",
                   footer=("esc", word, 0))


SCREEN_COMMANDS: Final[Mapping[str, tuple[Command, ...]]] = {
    "home": (
        Command("home.open", "", "open", title="Open the run", help="everything about the run under the cursor",
                shown_as="enter", footer=("enter", "open", 0)),
        Command("home.errors", "e", "errors", title="Errors of the run under the cursor",
                help="its errors and their tracebacks", footer=("e", "errors", 3)),
        *filter_and_sort("home", "runs", "state:failed,lost job:sync* since:24h endpoint:/v2"),
        mark("home", "run", "= y b", ("space", "mark", 4)),
        Command("home.compare", "equals_sign", "compare", title="Compare runs",
                help="two marked runs, or this one with its last success", footer=("=", "compare", 4)),
        Command("home.window", "w", "window", title="Change the window of the charts",
                help="5 minutes, 1 hour, 24 hours, 7 days", footer=("w", "window", 1)),
        Command("home.bell", "b", "bell", title="Bell when the run changes state",
                help="a bell when the run under the cursor changes state"),
        Command("home.close", "C", "close_run", title="Close a lost run", help="mark a lost run as abandoned",
                changes=True),
        Command("home.zoom", "z", "zoom", title="Zoom into the charts", help="a chart at full size, with a time cursor",
                footer=("z", "zoom", 3)),
        *time_cursor("home"),
        Command("home.back", "escape", "back", title="Clear the filter and the marks",
                help="show all runs again; remove the marks"),
    ),
    "run": (
        Command("run.next_tab", "right_square_bracket,tab", "tab(1)", title="Next tab", help="the next tab",
                footer=("[ ]", "tabs", 0)),
        Command("run.previous_tab", "left_square_bracket,shift+tab", "tab(-1)", title="Previous tab",
                help="the previous tab"),
        Command("run.errors", "e", "show_tab('errors')", title="Errors of the run",
                help="its errors and their tracebacks", footer=("e", "errors", 2)),
        Command("run.compare", "equals_sign", "compare", title="Compare with its last success",
                help="what changed since the last success of its job", footer=("=", "compare", 1)),
        Command("run.bell", "b", "bell", title="Bell when this run changes state",
                help="a bell when this run changes state", footer=("b", "bell", 4)),
        Command("run.bundle", "B", "bundle", title="Bundle this run into one file",
                help="copy it into one file that a colleague can open"),
        Command("run.close", "C", "close_run", title="Close this lost run",
                help="mark this run as abandoned, if it is lost", changes=True),
        Command("run.search", "slash", "search", title="Search the errors", help="search errors and tracebacks",
                footer=("/", "search", 2), priority=True),
        Command("run.next_hit", "n", "next_hit(1)", help="the next match of the search"),
        Command("run.previous_hit", "N", "next_hit(-1)", help="the previous match of the search"),
        Command("run.copy_end", "L", "copy_end", title="Copy the last lines of the traceback",
                help="the last 20 lines of the error under the cursor"),
        Command("run.zoom", "z", "zoom", title="Zoom into the run's charts",
                help="its requests at full size, with a time cursor", footer=("z", "zoom", 3)),
        *sort("run", "endpoints", priority=6),
        *time_cursor("run"),
        back("run", "Back to the runs", "back to the runs", "runs"),
    ),
    "zoom": (
        Command("zoom.next", "z,right_square_bracket,tab,j,down", "next_chart(1)", title="Next chart",
                help="throughput, latency, what is not 2xx", footer=("z", "next chart", 0)),
        Command("zoom.previous", "Z,left_square_bracket,shift+tab,k,up", "next_chart(-1)", title="Previous chart",
                help="the previous chart"),
        *time_cursor("zoom", "left,h,comma", "right,l,full_stop", pair="← →", priority=0),
        Command("zoom.page_earlier", "pageup,H", "move_cursor(-10)", help="the time cursor ten columns earlier"),
        Command("zoom.page_later", "pagedown,L", "move_cursor(10)", help="the time cursor ten columns later"),
        Command("zoom.window", "w", "window", title="Change the window of the chart",
                help="5 minutes, 1 hour, 24 hours, 7 days, a whole run", footer=("w", "window", 0)),
        back("zoom", "Back", "back to the screen before", "back"),
    ),
    "jobs": (
        Command("jobs.open", "", "open", title="Runs of the job", help="the runs of the job under the cursor",
                shown_as="enter", footer=("enter", "runs of job", 0)),
        *filter_and_sort("jobs", "jobs", "sync* !demo state:overdue,failed"),
        mark("jobs", "job", "y"),
        back("jobs", "Back to the runs", "all jobs again, then back to the runs", "runs"),
    ),
    "compare": (
        Command("compare.all", "a", "all", title="Show all figures", help="also what did not change",
                footer=("a", "all figures", 0)),
        Command("compare.swap", "x", "swap", title="Swap the two runs", help="compare the first run with the second",
                footer=("x", "swap", 2)),
        back("compare", "Back from the comparison", "back to the screen before", "back"),
    ),
    "errors": (
        Command("errors.open", "", "open", title="The newest run with these errors",
                help="the errors of the newest run that has them", shown_as="enter", footer=("enter", "open run", 0)),
        Command("errors.window", "w", "window", title="Change the window of the errors",
                help="24 hours, 7 days, 30 days", footer=("w", "window", 0)),
        *filter_and_sort("errors", "errors", "timeout job:crm* state:new,open"),
        mark("errors", "error", "y"),
        back("errors", "Back to the runs", "all errors again, then back to the runs", "runs"),
    ),
}
"""By the name of the screen, which is the first part of their names."""


# fmt: off
APP_COMMANDS: Final = (
    Command("app.pause", "p", "app.pause", title="Pause the display",
            help="stop or resume drawing; polling continues", footer=("p", "pause", 1)),
    Command("app.time", "t", "app.time", title="Look at a past moment",
            help="02:41, yesterday 03:00, Tue 02:10, -1h30m", footer=("t", "time", 2)),
    Command("app.earlier", "left,shift+left", "app.scrub(-1)", help="past moment: one column earlier"),
    Command("app.later", "right,shift+right", "app.scrub(1)", help="past moment: one column later"),
    Command("app.live", "escape", "app.live", title="Back to now", help="past moment: back to now", priority=True),
    Command("app.refresh", "r", "app.refresh_now", title="Refresh now",
            help="read the store now, also without a connection"),
    Command("app.slower", "plus", "app.interval(1)", title="Poll less often", help="a longer interval between polls"),
    Command("app.faster", "minus", "app.interval(-1)", title="Poll more often",
            help="a shorter interval between polls"),
    *OPENERS,
    Command("app.tracking", "T", "app.tracking", title="Tracking: show it, turn it on or off",
            help="the tracking switch: who, when, why, affected runs", changes=True),
    Command("app.cleanup", "X", "app.cleanup", title="Clean up old runs",
            help="plan a removal; confirm it by typing the count", changes=True),
    Command("app.copy", "y", "app.copy", title="Copy what is selected",
            help="send the selection to the terminal's clipboard", footer=("y", "copy", 3)),
    Command("app.copy_command", "Y", "app.copy_command", title="Copy the command line of this screen",
            help="the same answer as a plain command", footer=("Y", "command", 3)),
    Command("app.palette", "colon,ctrl+p", "app.palette", help="every command by name",
            footer=(":", "commands", 1), priority=True),
    Command("app.help", "question_mark", "app.help", title="Help", help="these keys", footer=("?", "help", 1)),
    Command("app.redraw", "ctrl+l", "app.redraw", help="draw the whole screen again", priority=True),
    Command("app.suspend", "ctrl+z", "app.suspend_process", help="suspend to the shell; fg resumes", priority=True),
    Command("app.quit", "q", "app.quit", title="Quit", help="quit; jobs are not affected", footer=("q", "quit", 4)),
    Command("app.interrupt", "ctrl+c", "app.quit", help="quit, from anywhere", priority=True),
)
"""Commands of every screen."""

MOVE_COMMANDS: Final = (
    Command("move.down", "j,down", "move(1)", help="one line down"),
    Command("move.up", "k,up", "move(-1)", help="one line up"),
    Command("move.first", "g,home", "to_end(-1)", help="first"),
    Command("move.last", "G,end", "to_end(1)", help="last"),
    Command("move.page_down", "pagedown,ctrl+f", "page(1)", help="a screenful down"),
    Command("move.page_up", "pageup,ctrl+b", "page(-1)", help="a screenful up"),
)
"""Commands of every table and text, bound by their widgets under these names."""
