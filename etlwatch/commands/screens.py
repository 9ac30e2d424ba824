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


CLEAR_FIRST: Final = "clear filter, marks and order, then back to the runs"

# fmt: off
OPENERS: Final = (
    Command("app.jobs", "J", "app.show_screen('jobs')", title="Jobs",
            help="all jobs: last runs, drift, what is late", footer=("J", "jobs", 3)),
    Command("app.errors", "E", "app.show_screen('errors')", title="Errors of all runs",
            help="errors of all runs by kind: how often, new, resolved", footer=("E", "errors", 6)),
)
"""Open a screen from everywhere: `etlwatch.tui.screens.NAME`, whose class is `SCREEN` there."""


def filter_and_sort(group: str, things: str, example: str) -> tuple[Command, ...]:
    """Return the commands that choose and order the things of a list; the help has an `example` of a filter."""
    return (
        Command(f"{group}.filter", "slash", "filter", title=f"Filter the {things}", help=f"filter: {example}",
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
        Command("home.open", "d", "open", title="Open the run", help="open the run: everything about it",
                shown_as="enter d", footer=("enter", "open", 0)),
        Command("home.errors", "e", "errors", title="Errors of the run under the cursor",
                help="errors of the run and their tracebacks", footer=("e", "errors", 3)),
        *filter_and_sort("home", "runs", "state:failed,lost job:sync* since:24h dur>10m"),
        mark("home", "run", "= y b", ("space", "mark", 4)),
        Command("home.compare", "equals_sign", "compare", title="Compare runs",
                help="compare two marked runs, or this and its last success", footer=("=", "compare", 4)),
        Command("home.window", "w", "window", title="Change the window of the charts",
                help="window of the charts: 5m, 1h, 24h, 7d", footer=("w", "window", 1)),
        Command("home.bell", "b", "bell", title="Bell when the run changes state",
                help="bell when the run under the cursor changes state"),
        Command("home.close", "C", "close_run", title="Close a lost run", help="close a lost run: mark it as abandoned",
                changes=True),
        Command("home.zoom", "z", "zoom", title="Zoom into the charts",
                help="zoom: a chart at full size, with a time cursor", footer=("z", "zoom", 3)),
        *time_cursor("home"),
        Command("home.back", "escape", "back", title="Clear the filter, the marks, the order",
                help="clear, one a time: filter, marks, order"),
    ),
    "run": (
        Command("run.next_tab", "right_square_bracket,tab,right", "tab(1)", title="Next tab", help="the next tab",
                footer=("[ ]", "tabs", 0)),
        Command("run.previous_tab", "left_square_bracket,shift+tab,left", "tab(-1)", title="Previous tab",
                help="the previous tab"),
        *(Command(f"run.tab_{place}", str(place), f"open_tab({place - 1})", help="the tab at this place",
                  shown_as="1-7" if place == 1 else "") for place in range(1, 8)),
        Command("run.errors", "e", "show_tab('errors')", title="Errors of the run",
                help="errors of the run and their tracebacks", footer=("e", "errors", 2)),
        Command("run.end", "l", "end_of_errors", title="The end of the errors",
                help="the end of its newest error, which names the cause"),
        Command("run.compare", "equals_sign", "compare", title="Compare with its last success",
                help="compare: what changed since its job's last success", footer=("=", "compare", 1)),
        Command("run.bell", "b", "bell", title="Bell when this run changes state",
                help="bell when this run changes state", footer=("b", "bell", 4)),
        Command("run.bundle", "B", "bundle", title="Bundle this run into one file",
                help="bundle the run into one file that others can open"),
        Command("run.close", "C", "close_run", title="Close this lost run",
                help="close this run if it is lost: mark it as abandoned", changes=True),
        Command("run.search", "slash", "search", title="Search the errors", help="search errors and tracebacks",
                footer=("/", "search", 2), priority=True),
        Command("run.next_hit", "n", "next_hit(1)", help="the next match of the search"),
        Command("run.previous_hit", "N", "next_hit(-1)", help="the previous match of the search"),
        Command("run.copy_end", "L", "copy_end", title="Copy the last lines of the traceback",
                help="copy the last 20 lines of the error"),
        Command("run.zoom", "z", "zoom", title="Zoom into the run's charts",
                help="zoom: its requests at full size, with a time cursor", footer=("z", "zoom", 3)),
        *sort("run", "endpoints", priority=6),
        *time_cursor("run"),
        back("run", "Back to the runs", "search and cursor away, then back to the runs", "runs"),
    ),
    "zoom": (
        Command("zoom.next", "z,right_square_bracket,tab,j,down", "next_chart(1)", title="Next chart",
                help="the next chart: throughput, latency, not 2xx", footer=("z", "next chart", 0)),
        Command("zoom.previous", "Z,left_square_bracket,shift+tab,k,up", "next_chart(-1)", title="Previous chart",
                help="the previous chart"),
        *time_cursor("zoom", "left,h,comma", "right,l,full_stop", pair="← →", priority=0),
        Command("zoom.page_earlier", "pageup,H", "move_cursor(-10)", help="the time cursor ten columns earlier"),
        Command("zoom.page_later", "pagedown,L", "move_cursor(10)", help="the time cursor ten columns later"),
        Command("zoom.window", "w", "window", title="Change the window of the chart",
                help="window of the chart: 5m, 1h, 24h, 7d, whole run", footer=("w", "window", 0)),
        back("zoom", "Back", "back to the screen before", "back"),
    ),
    "jobs": (
        Command("jobs.open", "", "open", title="Runs of the job", help="open the job: its runs",
                shown_as="enter", footer=("enter", "runs of job", 0)),
        *filter_and_sort("jobs", "jobs", "sync* !demo state:overdue,failed"),
        mark("jobs", "job", "y"),
        back("jobs", "Back to the runs", CLEAR_FIRST, "runs"),
    ),
    "compare": (
        Command("compare.all", "a", "all", title="Show all figures", help="all figures: also what did not change",
                footer=("a", "all figures", 0)),
        Command("compare.swap", "x", "swap", title="Swap the two runs",
                help="swap: compare the first run with the second", footer=("x", "swap", 2)),
        back("compare", "Back from the comparison", "back to the screen before", "back"),
    ),
    "errors": (
        Command("errors.open", "d", "open", title="The newest run with these errors",
                help="open the newest run that has them, at its errors", shown_as="enter d",
                footer=("enter", "open run", 0)),
        Command("errors.window", "w", "window", title="Change the window of the errors",
                help="window of the errors: 24h, 7d, 30d", footer=("w", "window", 0)),
        *filter_and_sort("errors", "errors", "timeout job:crm* state:new,open"),
        mark("errors", "error", "y"),
        back("errors", "Back to the runs", CLEAR_FIRST, "runs"),
    ),
}
"""By the name of the screen, which is the first part of their names."""


# fmt: off
APP_COMMANDS: Final = (
    Command("app.pause", "p", "app.pause", title="Pause the display",
            help="pause or resume drawing; polling continues", footer=("p", "pause", 1)),
    Command("app.time", "t", "app.time", title="Look at a past moment",
            help="time: show a past moment: 02:41, Tue 02:10, -1h30m", footer=("t", "time", 2)),
    Command("app.earlier", "left", "app.scrub(-1)", help="past moment: one column earlier", priority=True),
    Command("app.later", "right", "app.scrub(1)", help="past moment: one column later", priority=True),
    Command("app.live", "escape", "app.live", title="Back to now", help="past moment: back to now", priority=True),
    Command("app.refresh", "r", "app.refresh_now", title="Refresh now",
            help="refresh: read the store now, connected or not"),
    Command("app.slower", "plus", "app.interval(1)", title="Poll less often", help="poll less often"),
    Command("app.faster", "minus", "app.interval(-1)", title="Poll more often",
            help="poll more often"),
    *OPENERS,
    Command("app.tracking", "T", "app.tracking", title="Tracking: show it, turn it on or off",
            help="tracking switch: who, when, why, affected runs", changes=True),
    Command("app.cleanup", "X", "app.cleanup", title="Clean up old runs",
            help="clean up: plan a removal, confirm it with the count", changes=True),
    Command("app.copy", "y", "app.copy", title="Copy what is selected",
            help="copy the selection to the terminal's clipboard", footer=("y", "copy", 3)),
    Command("app.copy_command", "Y", "app.copy_command", title="Copy the command line of this screen",
            help="copy the command line that gives the same answer", footer=("Y", "command", 3)),
    Command("app.palette", "colon,ctrl+p", "app.palette", help="commands: each of them by name",
            footer=(":", "commands", 1), priority=True),
    Command("app.help", "question_mark", "app.help", title="Help", help="help: these keys", footer=("?", "help", 1)),
    Command("app.redraw", "ctrl+l", "app.redraw", help="draw the whole screen again", priority=True),
    Command("app.suspend", "ctrl+z", "app.suspend_process", help="suspend to the shell; fg resumes", priority=True),
    Command("app.leave", "q", "app.leave", help="back to the screen before; from the runs, quit",
            footer=("q", "quit", 4)),
    Command("app.quit", "Q", "app.quit", title="Quit", help="quit from any screen; jobs are not affected"),
    Command("app.interrupt", "ctrl+c", "app.quit", help="quit, also while typing", priority=True),
)
"""Commands of every screen."""

MOVE_COMMANDS: Final = (
    Command("move.down", "j,down", "move(1)", help="one line down"),
    Command("move.up", "k,up", "move(-1)", help="one line up"),
    Command("move.first", "g,home", "to_end(-1)", help="first"),
    Command("move.last", "G,end", "to_end(1)", help="last"),
    Command("move.page_down", "pagedown,ctrl+f", "page(1)", help="a screenful down"),
    Command("move.page_up", "pageup,ctrl+b", "page(-1)", help="a screenful up"),
    Command("move.right", "right_parenthesis,shift+right", "scroll_side(1)", help="a wide text to the right"),
    Command("move.left", "left_parenthesis,shift+left", "scroll_side(-1)", help="a wide text to the left"),
)
"""Commands of every table and text, bound by their widgets under these names."""

MOUSE: Final = (
    ("click", "open a row, sort by a heading, show a tab"),
    ("click", "a count of line 1 filters, a chart zooms"),
    ("shift+drag", "select text with the terminal; in some option+drag"),
)
"""What the mouse does, for help and documentation."""
