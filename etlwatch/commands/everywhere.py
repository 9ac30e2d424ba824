"""What works on every screen, and how tables and texts are moved through."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import Command

__all__ = ["APP_COMMANDS", "MOVE_COMMANDS"]

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
