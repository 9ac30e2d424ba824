"""`etlwatch jobs`: one line a job, what is late first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.filter import FilterError, fits_job
from etlwatch.analysis.jobs import JobRow
from etlwatch.cli import connect, output
from etlwatch.cli.configuration import configured, configured_zone
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import at_option, format_option
from etlwatch.cli.output import Format
from etlwatch.cli.selectors import no_such_job
from etlwatch.cli.table import table
from etlwatch.cli.terminal import Look, report
from etlwatch.fields.jobs import JOBS
from etlwatch.reading.health import HealthReader
from etlwatch.reading.jobs import jobs_named, read_rows
from etlwatch.rendering.panes import jobs_headline
from etlwatch.text.spans import plain_text

if TYPE_CHECKING:
    from tracking_core.records import Run
    from tracking_core.store.base import Reader


def read_jobs(reader: Reader, patterns: Sequence[str] = (), at: str | None = None) -> tuple[list[JobRow], datetime]:
    """Return the rows of the jobs that are meant, by need, and the store's clock; or as of a past moment, and that."""
    zone = configured_zone()
    with reader.one_view():
        reader = connect.reader_at(reader, at)
        now = reader.now()
        names = jobs_named(reader, patterns)
        rows = read_rows(reader, names, _living(reader, now, names), now=now, zone=zone)
    return JOBS.sort(rows), now


def _living(reader: Reader, now: datetime, jobs: Collection[str]) -> dict[int, Run]:
    health = HealthReader(thresholds=configured().thresholds).read_briefly(
        reader, reader.live_runs(), now=now, jobs=set(jobs)
    )
    return {run.run_id: run for run in health.runs}


def job_lines(rows: Sequence[JobRow], look: Look, now: datetime) -> Iterator[str]:
    """Yield the table, and below it what is late, where something is."""
    context = look.context(now)
    yield from table(JOBS.columns(rows, context), rows, look)
    if any(row.overdue_s is not None for row in rows):
        yield ""
        yield look.paint(look.shown(plain_text(jobs_headline(rows, context, brief=False)).strip()), "amber")


@click.command()
@connect.store_option
@click.option("--job", "-j", "jobs", multiple=True, metavar="JOB", help="Only this job; sync* works, repeatable.")
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
    try:
        wanted = JOBS.filter(" ".join(filter), configured_zone())
    except FilterError as error:
        raise click.BadParameter(str(error), param_hint="'FILTER'") from None
    with connect.reader() as reader:
        rows, now = read_jobs(reader, jobs, at)
        mistake = no_such_job(reader, jobs, {row.job for row in rows}, fits_job)
    rows = [row for row in rows if wanted.matches(row, now)]
    if form is Format.TABLE and not rows and not mistake:
        report("no such job" if jobs or wanted else f"no runs in {connect.location().label}")
    output.write_list(form, JOBS, rows, now, lines=partial(job_lines, now=now))
    if mistake:
        raise Unsuccessful(mistake)
