"""What works on the boards: all jobs, two runs side by side, the errors of all runs."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import Command

__all__ = ["COMPARE_COMMANDS", "ERRORS_COMMANDS", "JOBS_COMMANDS"]

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
