"""Commands that work on every screen, and those that move through tables and texts."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import command
from etlwatch.commands.screens import OPENERS

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
