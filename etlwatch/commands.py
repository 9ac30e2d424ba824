"""Every command of the dashboard, declared once: bindings, footer, palette and help are made from these records.

Owns keys and words. Refuses to own what a command does: that is the `action_…` method of the screen or the app that
lists it. Help and footer show the keys that are declared here, or what a keymap makes of them, and nothing else. The
declarations load nothing of Textual, so that a keymap can be checked without a screen.

Left alone on purpose: ctrl+s and ctrl+q stop and start the output of many terminals, ctrl+d ends shells, ctrl+h is
backspace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from etlwatch.config.key_names import shown_key

if TYPE_CHECKING:
    from textual.binding import BindingType

    from etlwatch.widgets.footer import Key

__all__ = [
    "APP_COMMANDS",
    "COMPARE_COMMANDS",
    "ERRORS_COMMANDS",
    "EVERYWHERE",
    "GROUPS",
    "HOME_COMMANDS",
    "JOBS_COMMANDS",
    "MOVE_COMMANDS",
    "RUN_COMMANDS",
    "ZOOM_COMMANDS",
    "Command",
    "bindings_of",
    "footer_of",
    "key_of",
    "remapped",
    "textual_keymap",
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
    """Key, word and priority in the footer (0 stays longest); None keeps it out.

    Two keys are its own and that of the command after it.
    """

    priority: bool = False
    """Whether it is done before whatever has the focus sees the key, and before the next key is looked at.

    For what must work everywhere, and for what opens a field for text: the letters typed ahead belong into it.
    """

    changes: bool = False
    """Whether it changes the store: shown greyed, with the reason, where that is not allowed."""


MOVE_COMMANDS: Final = (
    Command(name="move.down", keys="j,down", shown="j ↓", action="", title="", help="one down"),
    Command(name="move.up", keys="k,up", shown="k ↑", action="", title="", help="one up"),
    Command(name="move.first", keys="g,home", shown="g home", action="", title="", help="first"),
    Command(name="move.last", keys="G,end", shown="G end", action="", title="", help="last"),
    Command(
        name="move.page_down", keys="pagedown,ctrl+f", shown="pgdn ctrl+f", action="", title="", help="a screenful down"
    ),
    Command(name="move.page_up", keys="pageup,ctrl+b", shown="pgup ctrl+b", action="", title="", help="a screenful up"),
)
"""What tables and texts understand by themselves, under the same names."""

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
        name="app.jobs",
        keys="J",
        shown="J",
        action="app.jobs",
        title="Jobs",
        help="one line a job: last runs, success, drift, what is late",
        footer=("J", "jobs", 3),
    ),
    Command(
        name="app.errors",
        keys="E",
        shown="E",
        action="app.all_errors",
        title="Errors of all runs",
        help="by kind: how often, new or known, mended or not",
        footer=("E", "errors", 6),
    ),
    Command(
        name="app.tracking",
        keys="T",
        shown="T",
        action="app.tracking",
        title="Tracking: how it stands, turn it on or off",
        help="the tracking switch: who, when, why, whom it touches",
        changes=True,
    ),
    Command(
        name="app.cleanup",
        keys="X",
        shown="X",
        action="app.cleanup",
        title="Clean up old runs",
        help="a plan of what would go, carried out on a typed count",
        changes=True,
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
        name="home.errors",
        keys="e",
        shown="e",
        action="errors",
        title="Errors of the run under the cursor",
        help="its errors and their tracebacks",
        footer=("e", "errors", 3),
    ),
    Command(
        name="home.filter",
        keys="slash",
        shown="/",
        action="filter",
        title="Filter the runs",
        help="state:failed,lost job:sync* since:24h endpoint:/v2",
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
        name="home.mark",
        keys="",
        shown="space",
        action="mark",
        title="Mark the run",
        help="mark the run under the cursor for a comparison",
        footer=("space", "mark", 4),
    ),
    Command(
        name="home.compare",
        keys="equals_sign",
        shown="=",
        action="compare",
        title="Compare runs",
        help="two marked runs, or this one with its last success",
        footer=("=", "compare", 4),
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
        name="home.bell",
        keys="b",
        shown="b",
        action="bell",
        title="Bell when the run changes state",
        help="a bell when the run under the cursor changes state",
    ),
    Command(
        name="home.close",
        keys="C",
        shown="C",
        action="close_run",
        title="Close a lost run",
        help="mark a lost run as abandoned",
        changes=True,
    ),
    Command(
        name="home.zoom",
        keys="z",
        shown="z",
        action="zoom",
        title="Zoom into the charts",
        help="a chart at full size, with a time cursor",
        footer=("z", "zoom", 3),
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
        name="run.compare",
        keys="equals_sign",
        shown="=",
        action="compare",
        title="Compare with its last success",
        help="what changed since the last success of its job",
        footer=("=", "compare", 3),
    ),
    Command(
        name="run.bell",
        keys="b",
        shown="b",
        action="bell",
        title="Bell when this run changes state",
        help="a bell when this run changes state",
        footer=("b", "bell", 4),
    ),
    Command(
        name="run.close",
        keys="C",
        shown="C",
        action="close_run",
        title="Close this lost run",
        help="mark this run as abandoned, if it is lost",
        changes=True,
    ),
    Command(
        name="run.search",
        keys="slash",
        shown="/",
        action="search",
        title="Search the errors",
        help="words in errors and tracebacks",
        footer=("/", "search", 2),
        priority=True,
    ),
    Command(
        name="run.next_hit",
        keys="n",
        shown="n",
        action="next_hit(1)",
        title="",
        help="searching: the next place",
    ),
    Command(
        name="run.previous_hit",
        keys="N",
        shown="N",
        action="next_hit(-1)",
        title="",
        help="searching: the place before",
    ),
    Command(
        name="run.zoom",
        keys="z",
        shown="z",
        action="zoom",
        title="Zoom into the run's charts",
        help="its requests at full size, with a time cursor",
        footer=("z", "zoom", 3),
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

ZOOM_COMMANDS: Final = (
    Command(
        name="zoom.next",
        keys="z,right_square_bracket,j,down",
        shown="z ] j ↓",
        action="next_chart(1)",
        title="Next chart",
        help="throughput, latency, what is not 2xx",
        footer=("z", "next chart", 0),
    ),
    Command(
        name="zoom.previous",
        keys="Z,left_square_bracket,k,up",
        shown="Z [ k ↑",
        action="next_chart(-1)",
        title="Previous chart",
        help="the chart before",
    ),
    Command(
        name="zoom.earlier",
        keys="left,h",
        shown="← h",
        action="move_cursor(-1)",
        title="",
        help="the time cursor a column earlier",
        footer=("← →", "cursor", 0),
    ),
    Command(
        name="zoom.later",
        keys="right,l",
        shown="→ l",
        action="move_cursor(1)",
        title="",
        help="the time cursor a column later",
    ),
    Command(
        name="zoom.page_earlier",
        keys="pageup,H",
        shown="pgup H",
        action="move_cursor(-10)",
        title="",
        help="the time cursor ten columns earlier",
    ),
    Command(
        name="zoom.page_later",
        keys="pagedown,L",
        shown="pgdn L",
        action="move_cursor(10)",
        title="",
        help="the time cursor ten columns later",
    ),
    Command(
        name="zoom.back",
        keys="escape,backspace",
        shown="esc",
        action="back",
        title="Back",
        help="back to where the chart was opened",
        footer=("esc", "back", 0),
    ),
)
"""What works on a chart at full size."""

JOBS_COMMANDS: Final = (
    Command(
        name="jobs.open",
        keys="",
        shown="enter",
        action="open",
        title="Runs of the job",
        help="the runs of the job under the cursor",
        footer=("enter", "runs of job", 0),
    ),
    Command(
        name="jobs.filter",
        keys="slash",
        shown="/",
        action="filter",
        title="Filter the jobs",
        help="sync* !demo state:overdue,failed",
        footer=("/", "filter", 1),
        priority=True,
    ),
    Command(
        name="jobs.sort_left",
        keys="less_than_sign",
        shown="<",
        action="sort(-1)",
        title="Sort the jobs by the column to the left",
        help="sort by the column to the left",
        footer=("< >", "sort", 1),
    ),
    Command(
        name="jobs.sort_right",
        keys="greater_than_sign",
        shown=">",
        action="sort(1)",
        title="Sort the jobs by the column to the right",
        help="sort by the column to the right",
    ),
    Command(
        name="jobs.invert",
        keys="I",
        shown="I",
        action="invert",
        title="Invert the order of the jobs",
        help="turn the order round",
    ),
    Command(
        name="jobs.back",
        keys="escape,backspace",
        shown="esc",
        action="back",
        title="Back to the runs",
        help="all jobs again, then back to the runs",
        footer=("esc", "runs", 0),
    ),
)
"""What works on the list of jobs."""

COMPARE_COMMANDS: Final = (
    Command(
        name="compare.all",
        keys="a",
        shown="a",
        action="all",
        title="Show all figures",
        help="also what did not change",
        footer=("a", "all figures", 0),
    ),
    Command(
        name="compare.swap",
        keys="x",
        shown="x",
        action="swap",
        title="Swap the two runs",
        help="hold the first run against the second",
        footer=("x", "swap", 2),
    ),
    Command(
        name="compare.back",
        keys="escape,backspace",
        shown="esc",
        action="back",
        title="Back from the comparison",
        help="back to where it was asked for",
        footer=("esc", "back", 0),
    ),
)
"""What works on two runs side by side."""

ERRORS_COMMANDS: Final = (
    Command(
        name="errors.open",
        keys="",
        shown="enter",
        action="open",
        title="The newest run with such errors",
        help="the errors of the newest run that has them",
        footer=("enter", "open run", 0),
    ),
    Command(
        name="errors.window",
        keys="w",
        shown="w",
        action="window",
        title="Change how far back errors are looked for",
        help="24 hours, 7 days, 30 days",
        footer=("w", "window", 0),
    ),
    Command(
        name="errors.back",
        keys="escape,backspace",
        shown="esc",
        action="back",
        title="Back to the runs",
        help="back to the runs",
        footer=("esc", "runs", 0),
    ),
)
"""What works on the errors of all runs."""


GROUPS: Final[Mapping[str, tuple[Command, ...]]] = {
    "app": APP_COMMANDS,
    "home": HOME_COMMANDS,
    "run": RUN_COMMANDS,
    "zoom": ZOOM_COMMANDS,
    "jobs": JOBS_COMMANDS,
    "compare": COMPARE_COMMANDS,
    "errors": ERRORS_COMMANDS,
    "move": MOVE_COMMANDS,
}
"""Every command, by the first part of its name."""

EVERYWHERE: Final = ("app", "move")
"""The groups that work on every screen beside the screen's own."""


def bindings_of(commands: Iterable[Command]) -> list[BindingType]:
    """Return Textual's bindings of these commands.

    One whose key a widget already knows is bound to none, so that a keymap has something to give a key to.
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
    """Return a keymap as Textual takes it."""
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
    return replace(command, keys=",".join(keys), shown=" ".join(map(shown_key, keys)))


def key_of(name: str, commands: Iterable[Command]) -> str:
    """Return the first key of a command as it is shown; '' where it has none."""
    return next((command.shown.split()[0] for command in commands if command.name == name and command.shown), "")


def footer_of(commands: Sequence[Command], words: Mapping[str, str] | None = None) -> list[Key]:
    """Return the footer's keys in the order of the commands; `words` replaces the word of a command by its name."""
    from etlwatch.widgets.footer import Key

    said = words or {}
    return [
        Key(command.footer[0], said.get(command.name, command.footer[1]), command.footer[2])
        for command in commands
        if command.footer is not None
    ]
