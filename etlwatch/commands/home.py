"""Commands of the list of runs."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import Command
from etlwatch.commands.shared import filter_and_sort, mark, time_cursor

__all__ = ["HOME_COMMANDS"]

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
    *filter_and_sort("home", "runs", "state:failed,lost job:sync* since:24h endpoint:/v2"),
    mark("home", "run", "= y b", ("space", "mark", 4)),
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
    *time_cursor("home", earlier="comma", later="full_stop", shown=(",", "."), priority=5),
    Command(
        name="home.back",
        keys="escape",
        shown="esc",
        action="back",
        title="Clear the filter and the marks",
        help="show all runs again; forget the marks",
    ),
)
"""What works on the list of runs."""
