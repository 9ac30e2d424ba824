"""What works on the list of runs."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import Command

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
