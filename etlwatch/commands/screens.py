"""Commands of each screen, by the screen's name, and the commands that open a screen from everywhere.

A command belongs to one screen, by the first part of its name: a keymap may give it another key on one screen only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from etlwatch.commands.command import Command, command

# fmt: off
OPENERS: Final = (
    command("app.jobs", "J", "app.show_screen('jobs')", title="Jobs",
            help="one line a job: last runs, drift, what is late", footer=("J", "jobs", 3)),
    command("app.errors", "E", "app.show_screen('errors')", title="Errors of all runs",
            help="by kind: how often, new or known, resolved or not", footer=("E", "errors", 6)),
)
"""Open a screen from everywhere: `etlwatch.tui.screens.NAME`, whose class is `SCREEN` there."""


def filter_and_sort(group: str, things: str, example: str) -> tuple[Command, ...]:
    """Return the commands that choose and order the things of a list; `example` is shown in the help."""
    return (
        command(f"{group}.filter", "slash", "filter", title=f"Filter the {things}", help=example,
                footer=("/", "filter", 1), priority=True),
        *sort(group, things),
    )


def sort(group: str, things: str, *, priority: int = 1) -> tuple[Command, ...]:
    """Return the commands that order the things of a list; `priority` is that of the keys in the footer."""
    return (
        command(f"{group}.sort_left", "less_than_sign", "sort(-1)",
                title=f"Sort the {things} by the column to the left", help="sort by the column to the left",
                footer=("< >", "sort", priority)),
        command(f"{group}.sort_right", "greater_than_sign", "sort(1)",
                title=f"Sort the {things} by the column to the right", help="sort by the column to the right"),
        command(f"{group}.invert", "I", "invert", title=f"Invert the order of the {things}",
                help="invert the order"),
    )


def mark(group: str, thing: str, use: str, footer: tuple[str, str, int] | None = None) -> Command:
    """Return the command that marks a thing of a list; `use` says what acts on marked ones."""
    return command(f"{group}.mark", "", "mark", title=f"Mark the {thing}",
                   help=f"mark the {thing} under the cursor for {use}", shown="space", footer=footer)


def time_cursor(group: str, earlier: str = "comma", later: str = "full_stop", *, pair: str = ", .",
                priority: int = 5) -> tuple[Command, ...]:
    """Return the commands that move the time cursor; `pair` and `priority` are those of the footer."""
    return (
        command(f"{group}.earlier", earlier, "move_cursor(-1)",
                help="move the time cursor of all charts back one column", footer=(pair, "cursor", priority)),
        command(f"{group}.later", later, "move_cursor(1)",
                help="move the time cursor forward; remove it at the end"),
    )


def back(group: str, title: str, help: str, word: str) -> Command:  # noqa: A002 - as the field is called
    """Return the command that closes a screen; `word` is the footer's."""
    return command(f"{group}.back", "escape,backspace", "back", title=title, help=help, shown="esc",
                   footer=("esc", word, 0))


SCREEN_COMMANDS: Final[Mapping[str, tuple[Command, ...]]] = {
    "home": (
        command("home.open", "", "open", title="Open the run", help="everything about the run under the cursor",
                shown="enter", footer=("enter", "open", 0)),
        command("home.errors", "e", "errors", title="Errors of the run under the cursor",
                help="its errors and their tracebacks", footer=("e", "errors", 3)),
        *filter_and_sort("home", "runs", "state:failed,lost job:sync* since:24h endpoint:/v2"),
        mark("home", "run", "= y b", ("space", "mark", 4)),
        command("home.compare", "equals_sign", "compare", title="Compare runs",
                help="two marked runs, or this one with its last success", footer=("=", "compare", 4)),
        command("home.window", "w", "window", title="Change the window of the charts",
                help="5 minutes, 1 hour, 24 hours, 7 days", footer=("w", "window", 1)),
        command("home.bell", "b", "bell", title="Bell when the run changes state",
                help="a bell when the run under the cursor changes state"),
        command("home.close", "C", "close_run", title="Close a lost run", help="mark a lost run as abandoned",
                changes=True),
        command("home.zoom", "z", "zoom", title="Zoom into the charts", help="a chart at full size, with a time cursor",
                footer=("z", "zoom", 3)),
        *time_cursor("home"),
        command("home.back", "escape", "back", title="Clear the filter and the marks",
                help="show all runs again; remove the marks"),
    ),
    "run": (
        command("run.next_tab", "right_square_bracket,tab", "tab(1)", title="Next tab", help="the next tab",
                footer=("[ ]", "tabs", 0)),
        command("run.previous_tab", "left_square_bracket,shift+tab", "tab(-1)", title="Previous tab",
                help="the previous tab"),
        command("run.errors", "e", "show_tab('errors')", title="Errors of the run",
                help="its errors and their tracebacks", footer=("e", "errors", 2)),
        command("run.compare", "equals_sign", "compare", title="Compare with its last success",
                help="what changed since the last success of its job", footer=("=", "compare", 1)),
        command("run.bell", "b", "bell", title="Bell when this run changes state",
                help="a bell when this run changes state", footer=("b", "bell", 4)),
        command("run.bundle", "B", "bundle", title="Bundle this run into one file",
                help="copy it into one file that a colleague can open"),
        command("run.close", "C", "close_run", title="Close this lost run",
                help="mark this run as abandoned, if it is lost", changes=True),
        command("run.search", "slash", "search", title="Search the errors", help="search errors and tracebacks",
                footer=("/", "search", 2), priority=True),
        command("run.next_hit", "n", "next_hit(1)", help="the next match of the search"),
        command("run.previous_hit", "N", "next_hit(-1)", help="the previous match of the search"),
        command("run.copy_end", "L", "copy_end", title="Copy the last lines of the traceback",
                help="the last 20 lines of the error under the cursor"),
        command("run.zoom", "z", "zoom", title="Zoom into the run's charts",
                help="its requests at full size, with a time cursor", footer=("z", "zoom", 3)),
        *sort("run", "endpoints", priority=6),
        *time_cursor("run"),
        back("run", "Back to the runs", "back to the runs", "runs"),
    ),
    "zoom": (
        command("zoom.next", "z,right_square_bracket,tab,j,down", "next_chart(1)", title="Next chart",
                help="throughput, latency, what is not 2xx", footer=("z", "next chart", 0)),
        command("zoom.previous", "Z,left_square_bracket,shift+tab,k,up", "next_chart(-1)", title="Previous chart",
                help="the previous chart"),
        *time_cursor("zoom", "left,h,comma", "right,l,full_stop", pair="← →", priority=0),
        command("zoom.page_earlier", "pageup,H", "move_cursor(-10)", help="the time cursor ten columns earlier"),
        command("zoom.page_later", "pagedown,L", "move_cursor(10)", help="the time cursor ten columns later"),
        command("zoom.window", "w", "window", title="Change the window of the chart",
                help="5 minutes, 1 hour, 24 hours, 7 days, a whole run", footer=("w", "window", 0)),
        back("zoom", "Back", "back to the screen before", "back"),
    ),
    "jobs": (
        command("jobs.open", "", "open", title="Runs of the job", help="the runs of the job under the cursor",
                shown="enter", footer=("enter", "runs of job", 0)),
        *filter_and_sort("jobs", "jobs", "sync* !demo state:overdue,failed"),
        mark("jobs", "job", "y"),
        back("jobs", "Back to the runs", "all jobs again, then back to the runs", "runs"),
    ),
    "compare": (
        command("compare.all", "a", "all", title="Show all figures", help="also what did not change",
                footer=("a", "all figures", 0)),
        command("compare.swap", "x", "swap", title="Swap the two runs", help="compare the first run with the second",
                footer=("x", "swap", 2)),
        back("compare", "Back from the comparison", "back to the screen before", "back"),
    ),
    "errors": (
        command("errors.open", "", "open", title="The newest run with these errors",
                help="the errors of the newest run that has them", shown="enter", footer=("enter", "open run", 0)),
        command("errors.window", "w", "window", title="Change the window of the errors",
                help="24 hours, 7 days, 30 days", footer=("w", "window", 0)),
        *filter_and_sort("errors", "errors", "timeout job:crm* state:new,open"),
        mark("errors", "error", "y"),
        back("errors", "Back to the runs", "all errors again, then back to the runs", "runs"),
    ),
}
"""By the name of the screen, which is the first part of their names."""


# fmt: off
APP_COMMANDS: Final = (
    command("app.pause", "p", "app.pause", title="Pause the display",
            help="stop or resume drawing; polling continues", footer=("p", "pause", 1)),
    command("app.time", "t", "app.time", title="Look at a past moment",
            help="02:41, yesterday 03:00, Tue 02:10, -1h30m", footer=("t", "time", 2)),
    command("app.earlier", "left,shift+left", "app.scrub(-1)", help="past moment: one column earlier"),
    command("app.later", "right,shift+right", "app.scrub(1)", help="past moment: one column later"),
    command("app.live", "escape", "app.live", title="Back to now", help="past moment: back to now", priority=True),
    command("app.refresh", "r", "app.refresh_now", title="Refresh now",
            help="read the store now, also without a connection"),
    command("app.slower", "plus", "app.interval(1)", title="Poll less often", help="a longer interval between polls"),
    command("app.faster", "minus", "app.interval(-1)", title="Poll more often",
            help="a shorter interval between polls"),
    *OPENERS,
    command("app.tracking", "T", "app.tracking", title="Tracking: show it, turn it on or off",
            help="the tracking switch: who, when, why, affected runs", changes=True),
    command("app.cleanup", "X", "app.cleanup", title="Clean up old runs",
            help="plan a removal; confirm it by typing the count", changes=True),
    command("app.copy", "y", "app.copy", title="Copy what is selected",
            help="send the selection to the terminal's clipboard", footer=("y", "copy", 3)),
    command("app.copy_command", "Y", "app.copy_command", title="Copy the command line of this screen",
            help="the same answer as a plain command", footer=("Y", "command", 3)),
    command("app.palette", "colon,ctrl+p", "app.command_palette", help="every command by name",
            footer=(":", "commands", 1), priority=True),
    command("app.help", "question_mark", "app.help", title="Help", help="these keys", footer=("?", "help", 1)),
    command("app.suspend", "ctrl+z", "app.suspend_process", help="suspend to the shell; fg resumes", priority=True),
    command("app.quit", "q", "app.quit", title="Quit", help="quit; jobs are not affected", footer=("q", "quit", 4)),
    command("app.interrupt", "ctrl+c", "app.quit", help="quit, from anywhere", priority=True),
)
"""Commands of every screen."""

MOVE_COMMANDS: Final = (
    command("move.down", "j,down", "move(1)", help="one line down"),
    command("move.up", "k,up", "move(-1)", help="one line up"),
    command("move.first", "g,home", "to_end(-1)", help="first"),
    command("move.last", "G,end", "to_end(1)", help="last"),
    command("move.page_down", "pagedown,ctrl+f", "page(1)", help="a screenful down"),
    command("move.page_up", "pageup,ctrl+b", "page(-1)", help="a screenful up"),
)
"""Commands of every table and text, bound by their widgets under these names."""
