"""`etlwatch errors`: what went wrong, in one run or in all, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from etlwatch.cli import connect, output, shapes
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import at_option, follow_option, format_option, limit_option
from etlwatch.cli.output import Format
from etlwatch.cli.runs import JOB_CELLS, fits_job, jobs_named, matches_job
from etlwatch.cli.selectors import RUN_FORMS, find_run, no_such_job, parsed_by
from etlwatch.cli.table import Column, table
from etlwatch.cli.terminal import Look, say
from etlwatch.cli.words import local_time, zone_of
from etlwatch.text.moments import parse_span
from etlwatch.text.numbers import moment
from etlwatch.text.safe import clip, pad
from tracking_core.dataclass import dataclass
from tracking_core.identity import format_run_id
from tracking_core.records import ErrorRecord

if TYPE_CHECKING:
    from tracking_core.store.base import Reader

LIMIT = 20
TRACEBACK_LINES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An error, and the job of its run: '' when the run was removed meanwhile."""

    error: ErrorRecord
    job: str


def find_errors(reader: Reader, word: str | None, jobs: tuple[str, ...], limit: int) -> list[Found]:
    """Return the newest errors of the run that `word` names, of jobs, or of all."""
    if word is not None:
        run = find_run(reader, word)
        return [Found(error=error, job=run.job) for error in reader.errors(run.run_id, limit)]
    if jobs:
        named = jobs_named(reader, jobs)
        return _with_jobs(reader, reader.errors_of_jobs(named, limit))
    return _with_jobs(reader, reader.errors(None, limit))


def _with_jobs(reader: Reader, errors: Iterable[ErrorRecord]) -> list[Found]:
    jobs: dict[int, str] = {}
    found = []
    for error in errors:
        if error.run_id not in jobs:
            run = reader.run(error.run_id)
            jobs[error.run_id] = "" if run is None else run.job
        found.append(Found(error=error, job=jobs[error.run_id]))
    return found


def error_columns(rows: Iterable[Found], look: Look, now: datetime, *, one_run: bool) -> list[Column[Found]]:
    """Return the columns of a table of errors; without run and job where all are of one run."""
    zone = zone_of((row.error.at for row in rows), look.zone)
    columns: list[Column[Found]] = [
        Column(
            heading=f"at {zone}",
            full=lambda row: local_time(row.error.at, look.zone),
            brief=lambda row: moment(row.error.at, now, look.zone),
        )
    ]
    if not one_run:
        columns += [
            Column(
                heading="run",
                full=lambda row: format_run_id(row.error.run_id),
                brief=lambda row: format_run_id(row.error.run_id)[-6:],
            ),
            Column(heading="job", full=lambda row: row.job, shrinks_to=12),
        ]
    return [
        *columns,
        Column(heading="phase", full=lambda row: row.error.phase or "", shrinks_to=6, leaves=1),
        Column(heading="error", full=lambda row: row.error.error_type, tone=lambda _row: "red", shrinks_to=14),
        Column(heading="message", full=lambda row: row.error.message, shrinks_to=16),
    ]


def traceback_lines(error: ErrorRecord, look: Look, *, indent: str, at_most: int | None = None) -> Iterator[str]:
    """Yield the lines of an error's traceback, the last ones where there are more than `at_most`."""
    lines = look.shown(error.traceback.rstrip(), newline=True).split("\n") if error.traceback.strip() else []
    if at_most is not None and len(lines) > at_most:
        yield indent + look.glyphs.text(f"… {len(lines) - at_most:,} lines before")
        lines = lines[-at_most:]
    yield from (indent + line for line in lines)


def _lines(rows: list[Found], look: Look, now: datetime, *, one_run: bool, tracebacks: bool) -> Iterator[str]:
    lines = table(error_columns(rows, look, now, one_run=one_run), rows, look)
    if not tracebacks:
        yield from lines
        return
    for line, row in zip_longest(lines, [None, *rows]) if rows else ():
        yield line
        if row is not None:
            yield from traceback_lines(row.error, look, indent="    ")


def follow_errors(word: str | None, jobs: tuple[str, ...], limit: int, form: Format, *, tracebacks: bool) -> None:
    """Print the newest errors that are asked for, the oldest first, then each new one."""
    from etlwatch.cli.follow import Stream, check_format, follow
    from etlwatch.reading.following import MOST_ERRORS, ErrorFollower

    check_format(form)
    stream = Stream(form, shapes.ERROR_FIELDS)
    follower: ErrorFollower | None = None
    first = True

    def look(reader: Reader) -> None:
        nonlocal follower, first
        with reader.one_view():
            if follower is None:
                follower = ErrorFollower(None if word is None else find_run(reader, word).run_id)
            added = follower.added(reader)
            if first:
                rows = find_errors(reader, word, jobs, limit)[::-1]
            else:
                rows = [row for row in _with_jobs(reader, added) if matches_job(row.job, jobs)]
        first = False
        follower.told()
        if follower.cut:
            say(f"more than {MOST_ERRORS:,} errors since the last look: the newest {MOST_ERRORS:,} were read")
        if form is Format.TABLE:
            output.write_table(lambda look: _stream_lines(rows, look, tracebacks=tracebacks))
        else:
            stream.write([shapes.error_shape(row.error, row.job) for row in rows])

    follow(look)


def _stream_lines(rows: Iterable[Found], look: Look, *, tracebacks: bool) -> Iterator[str]:
    for row in rows:
        error = row.error
        head = f"{local_time(error.at, look.zone)}  {format_run_id(error.run_id)}  "
        words = f"{pad(look.shown(row.job), JOB_CELLS)}  {look.shown(f'{error.error_type}: {error.message}')}"
        if look.width is not None:
            words = clip(words, max(look.width - len(head), 0), ellipsis=look.glyphs.ellipsis)
        yield head + words
        if tracebacks:
            yield from traceback_lines(error, look, indent="    ")


@click.command(epilog=f"RUN is {RUN_FORMS}.")
@connect.store_option
@click.argument("run", required=False)
@limit_option(LIMIT, "At most so many, the newest.")
@click.option(
    "--job", "-j", "jobs", multiple=True, metavar="JOB", help="Only errors of this job; sync* works, repeatable."
)
@click.option("--group", "-g", is_flag=True, help="One line a kind of error: how often, new or known, mended or not.")
@click.option(
    "--since",
    metavar="SPAN",
    callback=parsed_by(parse_span),
    help="With --group, only errors of this span: 24h, 30d.  [default: 7d]",
)
@click.option("--tracebacks", "-T", is_flag=True, help="In a table, put each error's traceback below it.")
@at_option
@follow_option("each new error")
@format_option
def errors(
    run: str | None,
    limit: int,
    jobs: tuple[str, ...],
    group: bool,
    since: timedelta | None,
    tracebacks: bool,
    at: str | None,
    follow: bool,
    form: Format,
) -> None:
    """List errors, newest first: of one RUN, of a job, or of all."""
    if run is not None and jobs:
        raise click.UsageError("a run belongs to one job already: give RUN or --job, not both")
    if since is not None and (run is not None or not group):
        raise click.UsageError("--since goes with --group, and not with a RUN: its errors are few enough")
    if follow and at is not None:
        raise click.UsageError("--follow tells what is new, and the past has nothing new: give it or --at, not both")
    if group:
        from etlwatch.cli.error_kinds import print_kinds

        if follow:
            raise click.UsageError("--follow tells single errors: give it or --group, not both")
        if tracebacks:
            raise click.UsageError("--tracebacks shows single errors: give it or --group, not both")
        print_kinds(run, jobs, since, limit, form, at)
        return
    if follow:
        follow_errors(run, jobs, limit, form, tracebacks=tracebacks)
        return
    with connect.reader() as present, present.one_view():
        reader = connect.reader_at(present, at)
        # One more than is listed tells whether there are others.
        rows = find_errors(reader, run, jobs, limit + (form is Format.TABLE))
        mistake = no_such_job(present, jobs, {row.job for row in rows}, fits_job)
        now = reader.now()
    if form is not Format.TABLE:
        output.write_rows(form, (shapes.error_shape(row.error, row.job) for row in rows), fields=shapes.ERROR_FIELDS)
    else:
        if not rows and not mistake:
            say("no errors")
        cut, rows = len(rows) > limit, rows[:limit]
        output.write_table(lambda look: _lines(rows, look, now, one_run=run is not None, tracebacks=tracebacks))
        if cut:
            say(f"the newest {limit:,} are listed; --limit lists more")
    if mistake:
        raise Unsuccessful(mistake)
