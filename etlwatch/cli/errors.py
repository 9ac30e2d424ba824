"""`etlwatch errors`: single errors, newest first, or with `--group` their kinds: new or known, mended or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.errors import ErrorKind
from etlwatch.analysis.filter import fits_job, matches_job
from etlwatch.cli import connect, output
from etlwatch.cli.connect import RUN_FORMS, find_run, no_such_job
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import (
    SPAN,
    Format,
    at_option,
    check_follow,
    follow_option,
    format_option,
    jobs_option,
    limit_option,
    store_option,
)
from etlwatch.cli.output import table
from etlwatch.cli.runs import JOB_CELLS
from etlwatch.cli.terminal import Look, report
from etlwatch.fields.errors import ERRORS, KINDS, ErrorRow
from etlwatch.reading.errors import ERRORS_OF_RUN, newest_errors, read_kinds, read_kinds_of_run
from etlwatch.reading.jobs import jobs_named
from etlwatch.text.numbers import local_time
from etlwatch.text.safe import clip, pad
from tracking_core.identity import format_run_id
from tracking_core.records import ErrorRecord
from tracking_core.store.queries import ERRORS_COUNTED

if TYPE_CHECKING:
    from tracking_core.store.queries import Reader

LIMIT = 20
WINDOW = timedelta(days=7)
TRACEBACK_LINES = 40


def find_errors(reader: Reader, word: str | None, jobs: tuple[str, ...], limit: int) -> tuple[list[ErrorRow], int]:
    """Return the newest errors of the run that `word` names, of jobs, or of all; and how many there are."""
    if word is not None:
        run = find_run(reader, word)
        rows = [ErrorRow(error, run.job) for error in newest_errors(reader, limit + 1, run_id=run.run_id)]
        return rows[:limit], max(run.errors, len(rows)) if len(rows) > limit else len(rows)
    named = jobs_named(reader, jobs) if jobs else None
    errors = list(newest_errors(reader, limit + 1, jobs=named))
    there_are = reader.count_errors(jobs=named) if len(errors) > limit else len(errors)
    return _with_jobs(reader, errors[:limit]), there_are


def _with_jobs(reader: Reader, errors: Iterable[ErrorRecord]) -> list[ErrorRow]:
    jobs: dict[int, str] = {}
    found = []
    for error in errors:
        if error.run_id not in jobs:
            run = reader.run(error.run_id)
            jobs[error.run_id] = "" if run is None else run.job
        found.append(ErrorRow(error, jobs[error.run_id]))
    return found


def traceback_lines(error: ErrorRecord, look: Look, *, indent: str, at_most: int | None = None) -> Iterator[str]:
    """Yield the lines of an error's traceback, the last ones where there are more than `at_most`."""
    lines = look.shown(error.traceback.rstrip(), newline=True).split("\n") if error.traceback.strip() else []
    if at_most is not None and len(lines) > at_most:
        yield indent + look.glyphs.text(f"… {len(lines) - at_most:,} lines before")
        lines = lines[-at_most:]
    yield from (indent + line for line in lines)


def _with_tracebacks(rows: Sequence[ErrorRow], look: Look, *, now: datetime, without: str) -> Iterator[str]:
    lines = table(ERRORS.columns(rows, look.context(now), without=without), rows, look)
    for line, row in zip_longest(lines, [None, *rows]) if rows else ():
        yield line
        if row is not None:
            yield from traceback_lines(row.error, look, indent="    ")


def follow_errors(word: str | None, jobs: tuple[str, ...], limit: int, form: Format, *, tracebacks: bool) -> None:
    """Print the newest errors that are asked for, the oldest first, then each new one."""
    from etlwatch.reading.runs import MOST_ERRORS, ErrorFollower

    stream = output.Stream(form, ERRORS.keys)
    follower: ErrorFollower | None = None
    first = True

    def look(reader: Reader) -> None:
        nonlocal follower, first
        with reader.one_view():
            if follower is None:
                follower = ErrorFollower(None if word is None else find_run(reader, word).run_id)
            added = follower.added(reader)
            if first:
                rows = find_errors(reader, word, jobs, limit)[0][::-1]
            else:
                rows = [row for row in _with_jobs(reader, added) if matches_job(row.job, jobs)]
        first = False
        follower.mark_seen()
        if follower.cut:
            report(f"more than {MOST_ERRORS:,} errors since the last look: the newest {MOST_ERRORS:,} were read")
        if form is Format.TABLE:
            output.write_table(lambda look: _stream_lines(rows, look, tracebacks=tracebacks))
        else:
            stream.write(list(map(ERRORS.data, rows)))

    connect.follow(look)


def _stream_lines(rows: Iterable[ErrorRow], look: Look, *, tracebacks: bool) -> Iterator[str]:
    for row in rows:
        error = row.error
        head = f"{local_time(error.at, look.zone)}  {format_run_id(error.run_id)}  "
        words = f"{pad(look.shown(row.job), JOB_CELLS)}  {look.shown(f'{error.error_type}: {error.message}')}"
        if look.width is not None:
            words = clip(words, max(look.width - len(head), 0), ellipsis=look.glyphs.ellipsis)
        yield head + words
        if tracebacks:
            yield from traceback_lines(error, look, indent="    ")


def find_kinds(
    reader: Reader, word: str | None, jobs: Sequence[str], since: timedelta | None, limit: int
) -> tuple[list[ErrorKind], int, datetime, str]:
    """Return the kinds of the run that `word` names, or of all runs since a span ago, and how many there are.

    And the moment of the reader; the text names what was not counted.
    """
    unread = ""
    with reader.one_view():
        now = reader.now()
        if word is None:
            names = jobs_named(reader, jobs) if jobs else None
            kinds, there_are = read_kinds(reader, now - (since or WINDOW), limit, jobs=names)
            if any(kind.cut for kind in kinds):
                unread = f"of more than {ERRORS_COUNTED:,} errors the newest were counted; a shorter --since has fewer"
        else:
            run = find_run(reader, word)
            kinds = read_kinds_of_run(reader, run)
            there_are = len(kinds)
            if run.errors > ERRORS_OF_RUN:
                unread = f"of {run.errors:,} errors the newest {ERRORS_OF_RUN:,} were counted"
    return kinds[:limit], there_are, now, unread


def print_kinds(
    word: str | None, jobs: Sequence[str], since: timedelta | None, limit: int, form: Format, at: str | None
) -> None:
    """Print the kinds that are asked for."""
    with connect.reader(at) as reader:
        kinds, there_are, now, unread = find_kinds(reader, word, jobs, since, limit)
        mistake = no_such_job(reader, jobs, {kind.job for kind in kinds}, fits_job)
    if form is Format.TABLE and not kinds and not mistake:
        report("no errors")
    output.write_list(form, KINDS, kinds, now, without="job" if word is not None else "")
    output.report_cut(len(kinds), there_are)
    if unread:
        report(unread)
    if mistake:
        raise Unsuccessful(mistake)


@click.command(epilog=f"RUN is {RUN_FORMS}.")
@store_option
@click.argument("run", required=False)
@limit_option(LIMIT, "At most so many, the newest.")
@jobs_option("errors of this job")
@click.option("--group", "-g", is_flag=True, help="One line a kind of error: how often, new or known, mended or not.")
@click.option(
    "--since",
    type=SPAN,
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
    if follow:
        check_follow(form, at)
    if group:
        if follow:
            raise click.UsageError("--follow tells single errors: give it or --group, not both")
        if tracebacks:
            raise click.UsageError("--tracebacks shows single errors: give it or --group, not both")
        print_kinds(run, jobs, since, limit, form, at)
        return
    if follow:
        follow_errors(run, jobs, limit, form, tracebacks=tracebacks)
        return
    with connect.reader(at) as reader, reader.one_view():
        rows, there_are = find_errors(reader, run, jobs, limit)
        mistake = no_such_job(reader, jobs, {row.job for row in rows}, fits_job)
        now = reader.now()
    if form is Format.TABLE and not rows and not mistake:
        report("no errors")
    without = "id job" if run is not None else ""
    lines = partial(_with_tracebacks, now=now, without=without) if tracebacks else None
    output.write_list(form, ERRORS, rows, now, without=without, lines=lines)
    output.report_cut(len(rows), there_are)
    if mistake:
        raise Unsuccessful(mistake)
