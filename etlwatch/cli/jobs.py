"""`etlwatch jobs`: one line a job, what is late first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.filter import fits_job
from etlwatch.analysis.jobs import JobRow
from etlwatch.cli import connect, output
from etlwatch.cli.connect import no_such_job
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import (
    Format,
    at_option,
    configured,
    configured_zone,
    format_option,
    jobs_option,
    read_filter,
    store_option,
)
from etlwatch.cli.output import table
from etlwatch.cli.terminal import Look, report
from etlwatch.fields.jobs import JOBS
from etlwatch.reading.health import HealthReader
from etlwatch.reading.jobs import jobs_named, read_rows
from etlwatch.rendering.panes import jobs_headline
from etlwatch.text.spans import plain_text

if TYPE_CHECKING:
    from tracking_core.store.queries import Reader


def read_jobs(reader: Reader, patterns: Sequence[str] = ()) -> tuple[list[JobRow], datetime]:
    """Return the rows of the jobs that are meant, by need, and the moment for which they hold."""
    judged = HealthReader(thresholds=configured().thresholds)
    with reader.one_view():
        now, names = reader.now(), jobs_named(reader, patterns)
        completed = [run for own in reader.runs_of_jobs(names, 1, completed=True).values() for run in own]
        health = judged.read_briefly(reader, [*reader.live_runs(), *completed], now=now, jobs=set(names))
        living = {run.run_id: run for run in health.runs}
        rows = read_rows(reader, names, living, now=now, zone=configured_zone())
    return JOBS.sort(rows), now


def job_lines(rows: Sequence[JobRow], look: Look, now: datetime) -> Iterator[str]:
    """Yield the table, and below it what is late, where something is."""
    context = look.context(now)
    yield from table(JOBS.columns(rows, context), rows, look)
    if any(row.overdue_s is not None for row in rows):
        yield ""
        yield look.paint(look.shown(plain_text(jobs_headline(rows, context, brief=False)).strip()), "amber")


@click.command()
@store_option
@jobs_option("this job")
@at_option
@format_option
@click.argument("filter", nargs=-1, metavar="[FILTER]...")
def jobs(
    jobs: tuple[str, ...],
    filter: tuple[str, ...],  # noqa: A002 - click names arguments so
    at: str | None,
    form: Format,
) -> None:
    """List jobs: how they went, what is usual, when each is next.

    FILTER is the dashboard's: parts of names, "!demo", state:overdue,failed.

    What has not begun although its own rhythm lets expect it stands first, then what has trouble.

    A job's rhythm and its usual time come from its last 30 runs; fewer than five are no normal.
    """
    wanted = read_filter(JOBS, filter)
    with connect.reader(at) as reader:
        rows, now = read_jobs(reader, jobs)
        mistake = no_such_job(reader, jobs, {row.job for row in rows}, fits_job)
    rows = [row for row in rows if wanted.matches(row, now)]
    if form is Format.TABLE and not rows and not mistake:
        report("no such job" if jobs or wanted else f"no runs in {connect.location().label}")
    output.write_list(form, JOBS, rows, now, lines=partial(job_lines, now=now))
    if mistake:
        raise Unsuccessful(mistake)
