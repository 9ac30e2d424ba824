"""`etlwatch runs`: which runs there are, newest first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.filter import FilterError, fits_job, like
from etlwatch.cli import connect, output
from etlwatch.cli.configuration import configured, configured_zone
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import at_option, follow_option, format_option, limit_option
from etlwatch.cli.output import Format
from etlwatch.cli.selectors import STATES, closest_job, no_such_job, parse_states, parsed_by
from etlwatch.cli.terminal import Look, report
from etlwatch.fields.runs import RUNS, notes_of, row_of, run_data
from etlwatch.reading.runs import RunQuery, asked_for, count_runs, find_runs
from etlwatch.text.display import state_tone
from etlwatch.text.moments import parse_span
from etlwatch.text.numbers import local_time
from etlwatch.text.safe import clip, pad
from tracking_core.dataclass import replace
from tracking_core.records import Run

if TYPE_CHECKING:
    from tracking_core.store.base import Reader

LIMIT = 20
STATE_CELLS, JOB_CELLS = 12, 18


def unmatched(reader: Reader, query: RunQuery, listed: Collection[str]) -> str:
    """Return which names of a query no job has, '' where nothing is wrong; `listed` are the jobs of the runs found."""
    phrase = [no_such_job(reader, query.jobs, listed, fits_job), no_such_job(reader, query.filter.jobs, listed, like)]
    if query.filter.only_words and query == RunQuery(limit=query.limit, filter=query.filter) and not listed:
        phrase += [f"no run fits {word!r}{closest_job(reader, word)}" for word in query.filter.words]
    return "; ".join(filter(None, phrase))


def _noting_jobs(runs: Iterable[Run], jobs: set[str]) -> Iterator[Run]:
    for run in runs:
        jobs.add(run.job)
        yield run


def print_runs(query: RunQuery, form: Format, at: str | None = None) -> None:
    """Print the runs that are asked for, `at` a past moment as they stood then."""
    rows: list[Run] = []
    listed: set[str] = set()
    with connect.reader() as present:
        reader = connect.reader_at(present, at)
        thresholds = configured().thresholds
        # One more than is listed tells whether there are others.
        found = _noting_jobs(find_runs(reader, replace(query, limit=query.limit + 1), thresholds=thresholds), listed)
        if form is Format.TABLE:
            rows += islice(found, query.limit)
        else:
            output.write_rows(form, map(run_data, islice(found, query.limit)), fields=RUNS.keys)
        more = next(found, None) is not None
        there_are, all_counted = count_runs(reader, query, thresholds=thresholds) if more else (0, True)
        mistake = unmatched(present, query, listed)
        now = reader.now()
    if form is Format.TABLE:
        if not rows and not mistake:
            asked = query != RunQuery(limit=query.limit)
            report("no run fits" if asked else f"no runs in {connect.location().label}")
        output.write_list(form, RUNS, [row_of(run) for run in rows], now)
    output.report_cut(query.limit, there_are, all_counted=all_counted)
    if mistake:
        raise Unsuccessful(mistake)


def follow_runs(query: RunQuery, form: Format) -> None:
    """Print the runs that are asked for, the oldest first, then each one whose state changes."""
    from etlwatch.cli.follow import Stream, check_format, follow
    from etlwatch.reading.runs import RunFollower

    check_format(form)
    follower = RunFollower(configured().thresholds)
    stream = Stream(form, RUNS.keys)
    first = True

    def look(reader: Reader) -> None:
        nonlocal first
        with reader.one_view():
            changed, now = follower.changed(reader), reader.now()
            if first:
                runs = list(find_runs(reader, query, thresholds=configured().thresholds))[::-1]
            else:
                runs = [run for run in changed if _is_asked_for(reader, run, query, now)]
        first = False
        follower.mark_seen()
        if form is Format.TABLE:
            output.write_table(lambda look: (change_line(run, look) for run in runs))
        else:
            stream.write([run_data(run) for run in runs])

    follow(look)


def _is_asked_for(reader: Reader, run: Run, query: RunQuery, now: datetime) -> bool:
    return any(True for _ in asked_for(reader, [run], query, now))


def change_line(run: Run, look: Look) -> str:
    """Return a run's state as one line of a stream: since when it is in it, the state, the run, why."""
    state = pad(look.state(run.state), STATE_CELLS)
    words = f"{run.id}  {pad(look.shown(run.job), JOB_CELLS)}  {look.shown(notes_of(run))}".rstrip()
    line = f"{local_time(run.ended_at or run.state_since or run.started_at, look.zone)}  "
    if look.width is not None:
        words = clip(words, max(look.width - len(line) - STATE_CELLS - 2, 0), ellipsis=look.glyphs.ellipsis)
    return line + look.paint(state, state_tone(run.state)) + "  " + words


@click.command()
@connect.store_option
@click.argument("words", nargs=-1, metavar="[FILTER]...")
@limit_option(LIMIT, "At most so many, the newest.")
@click.option(
    "--job", "-j", "jobs", multiple=True, metavar="JOB", help="Only runs of this job; sync* works, repeatable."
)
@click.option(
    "--state",
    "-s",
    "states",
    multiple=True,
    metavar="STATE",
    help=f"Only runs in these states, commas between: {', '.join(STATES)}.",
)
@click.option(
    "--since", metavar="SPAN", callback=parsed_by(parse_span), help="Only runs begun within this span: 90m, 24h, 7d."
)
@at_option
@follow_option("each run whose state changes, lost and slow ones too")
@format_option
def runs(
    words: tuple[str, ...],
    limit: int,
    jobs: tuple[str, ...],
    states: tuple[str, ...],
    since: timedelta | None,
    at: str | None,
    follow: bool,
    form: Format,
) -> None:
    """List runs, newest first.

    FILTER is the dashboard's: state:failed,lost job:sync* since:24h dur>10m "!demo", JOB1,JOB2, or words to look for.

    In json, jsonl and csv every column of a run is there, and its id as a decimal string.
    """
    try:
        wanted = frozenset().union(*map(parse_states, states)) if states else frozenset()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--state'") from None
    try:
        wanted_filter = RUNS.filter(" ".join(words), configured_zone())
    except FilterError as error:
        raise click.BadParameter(str(error), param_hint="'FILTER'") from None
    query = RunQuery(limit=limit, jobs=jobs, states=frozenset(wanted), since=since, filter=wanted_filter)
    if not follow:
        print_runs(query, form, at)
    elif at is None:
        follow_runs(query, form)
    else:
        raise click.UsageError("--follow tells what is new, and the past has nothing new: give it or --at, not both")
