"""`etlwatch exec`: runs any command as a tracked run and exits with its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from etlwatch.cli import connect
from etlwatch.cli.faults import strike_out
from etlwatch.cli.options import store_option
from etlwatch.cli.terminal import report

if TYPE_CHECKING:
    from etlwatch.execution.tracked import Tail

KEPT_KIB = 16
MOST_KIB = 24
"""Two streams of this size fit the text of an error."""


@click.command(
    "exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Exit status: that of COMMAND; 128 + n where signal n ended it, 127 not found, 126 not executable.",
)
@store_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] COMMAND...")
@click.option("--job", "-j", required=True, metavar="NAME", help="The pipeline's name: its runs are compared.")
@click.option("--notes", metavar="TEXT", help="Notes of this run.")
@click.option(
    "--tail",
    type=click.Choice(["stderr", "stdout", "both"]),
    help="The streams whose end is kept.  [default: both; stderr where both are one terminal]",
)
@click.option(
    "--stderr",
    "kept_kib",
    type=click.IntRange(0, MOST_KIB),
    default=KEPT_KIB,
    metavar="KIB",
    help=f"How much of each to keep; 0 leaves both alone.  [default: {KEPT_KIB}]",
)
@click.option(
    "--record-command",
    type=click.Choice(["names", "full"]),
    default="names",
    help="Record the program and the names of its options, or its whole command line with secrets masked.",
)
def exec_command(
    command: tuple[str, ...],
    job: str,
    notes: str | None,
    tail: Tail | None,
    kept_kib: int,
    record_command: Literal["names", "full"],
) -> int:
    """Run COMMAND as a tracked run.

    It gets this program's streams, signals and terminal, and runs whether or not the store answers. Its end is recorded
    within a second: exit status or signal, whether memory ran out, peak memory, and the end of its stdout and stderr.
    What it records itself through tracking_core goes into the same run.
    """
    from etlwatch.execution.tracked import TrackedCommand, execute

    tracked = TrackedCommand(
        arguments=command, job=job, notes=notes, record_command=record_command, tail=tail, keep=kept_kib * 1024
    )
    return execute(tracked, connect.location, lambda words: report(f"etlwatch exec: {strike_out(words)}"))
