"""Commands of the screens beside the runs: all jobs, two runs side by side, the errors of all runs."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import Command
from etlwatch.commands.shared import filter_and_sort, mark

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
    *filter_and_sort("jobs", "jobs", "sync* !demo state:overdue,failed"),
    mark("jobs", "job", "y"),
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
    *filter_and_sort("errors", "errors", "timeout job:crm* state:new,open"),
    mark("errors", "error", "y"),
    Command(
        name="errors.back",
        keys="escape,backspace",
        shown="esc",
        action="back",
        title="Back to the runs",
        help="all errors again, then back to the runs",
        footer=("esc", "runs", 0),
    ),
)
"""What works on the errors of all runs."""
