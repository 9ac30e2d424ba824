"""Commands of the screen of one run."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import Command
from etlwatch.commands.shared import sort, time_cursor

__all__ = ["RUN_COMMANDS"]

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
        footer=("=", "compare", 1),
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
        name="run.bundle",
        keys="B",
        shown="B",
        action="bundle",
        title="Bundle this run into one file",
        help="into one file, for a colleague to open",
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
        name="run.copy_end",
        keys="L",
        shown="L",
        action="copy_end",
        title="Copy the last lines of the traceback",
        help="the last 20 lines of the error under the cursor",
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
    *sort("run", "endpoints", priority=6),
    *time_cursor("run", earlier="comma", later="full_stop", shown=(",", "."), priority=5),
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
