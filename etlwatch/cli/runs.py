"""`etlwatch runs`: which runs there are, newest first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.filter import fits_job, like
from etlwatch.analysis.states import DERIVED, FLAWED
from etlwatch.cli import connect, output
from etlwatch.cli.connect import closest_job, no_such_job
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import (
    SPAN,
    Format,
    at_option,
    check_follow,
    configured,
    follow_option,
    format_option,
    jobs_option,
    limit_option,
    parsed,
    read_filter,
    store_option,
)
from etlwatch.cli.terminal import Look, report
from etlwatch.fields.runs import RUNS, notes_of, row_of, run_data
from etlwatch.reading.runs import RunQuery, asked_for, count_runs, find_runs
from etlwatch.rendering.header import count_states, state_parts
from etlwatch.text.display import state_tone
from etlwatch.text.numbers import local_time
from etlwatch.text.safe import clip, pad
from etlwatch.text.spans import plain_text
from tracking_core.dataclass import replace
from tracking_core.records import Run, RunStatus

if TYPE_CHECKING:
    from tracking_core.store.queries import Reader

LIMIT = 20
HEALTH_WINDOW_S = 3600.0
"""In which completed runs are counted."""

STATE_CELLS, JOB_CELLS = 12, 18
STATES = (*(status.value for status in RunStatus), *DERIVED, *FLAWED)


def parse_states(text: str) -> frozenset[str]:
    """Return one state, or several with commas between; ValueError naming all there are for any other word."""
    words = frozenset(word.strip().lower() for word in text.split(",") if word.strip())
    if not words or not words <= set(STATES):
        raise ValueError(f"{text!r} is no state; there are {', '.join(STATES)}")
    return words


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
    with connect.reader(at) as reader:
        thresholds = configured().thresholds
        # One more than is listed tells whether there are others.
        found = _noting_jobs(find_runs(reader, replace(query, limit=query.limit + 1), thresholds=thresholds), listed)
        if form is Format.TABLE:
            rows += islice(found, query.limit)
        else:
            output.write_rows(form, map(run_data, islice(found, query.limit)), fields=RUNS.keys)
        more = next(found, None) is not None
        there_are, all_counted = count_runs(reader, query, thresholds=thresholds) if more else (0, True)
        mistake = unmatched(reader, query, listed)
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
    from etlwatch.reading.runs import RunFollower

    follower = RunFollower(configured().thresholds)
    stream = output.Stream(form, RUNS.keys)
    first, health = True, ""

    def look(reader: Reader) -> None:
        nonlocal first, health
        with reader.one_view():
            changed, now = follower.changed(reader), reader.now()
            if first:
                runs = list(find_runs(reader, query, thresholds=configured().thresholds))[::-1]
            else:
                runs = [run for run in changed if _is_asked_for(reader, run, query, now)]
        first = False
        follower.mark_seen()
        if form is not Format.TABLE:
            stream.write([run_data(run) for run in runs])
            return
        health, told = health_words(follower.seen, now), health
        output.write_table(lambda look: (change_line(run, look) for run in runs))
        if health != told:
            # Where lines are counted or searched they are changes only.
            output.write_table(lambda look: [health_line(health, now, look)] if look.is_terminal else [])

    connect.follow(look)


def _is_asked_for(reader: Reader, run: Run, query: RunQuery, now: datetime) -> bool:
    return any(True for _ in asked_for(reader, [run], query, now))


def health_words(runs: Sequence[Run], now: datetime) -> str:
    """Return the counts of line 1 of the dashboard, of runs in the order of their starts."""
    success = {run.job: run.started_at for run in runs if run.status == RunStatus.COMPLETED}
    # A failure counts until its job has succeeded.
    counted = [run for run in runs if run.state != "failed" or success.get(run.job, run.started_at) <= run.started_at]
    counts = count_states(map(row_of, counted), now=now, window_s=HEALTH_WINDOW_S)
    return ", ".join(plain_text(part.spans) for part in state_parts(counts, brief=False, window="1h"))


def health_line(words: str, now: datetime, look: Look) -> str:
    """Return the counts of states as a line of a stream: when, of which store, how many."""
    return f"{local_time(now, look.zone)}  {look.shown(connect.location().label)}: {words}"


def change_line(run: Run, look: Look) -> str:
    """Return a run's state as one line of a stream: since when it is in it, the state, the run, why."""
    state = pad(look.state(run.state), STATE_CELLS)
    words = f"{run.id}  {pad(look.shown(run.job), JOB_CELLS)}  {look.shown(notes_of(run))}".rstrip()
    line = f"{local_time(run.ended_at or run.state_since or run.started_at, look.zone)}  "
    if look.width is not None:
        words = clip(words, max(look.width - len(line) - STATE_CELLS - 2, 0), ellipsis=look.glyphs.ellipsis)
    return line + look.paint(state, state_tone(run.state)) + "  " + words


@click.command()
@store_option
@click.argument("words", nargs=-1, metavar="[FILTER]...")
@limit_option(LIMIT, "At most so many, the newest.")
@jobs_option("runs of this job")
@click.option(
    "--state",
    "-s",
    "states",
    multiple=True,
    type=parsed("state", parse_states),
    help=f"Only runs in these states, commas between: {', '.join(STATES)}.",
)
@click.option("--since", type=SPAN, help="Only runs begun within this span: 90m, 24h, 7d.")
@at_option
@follow_option("each run whose state changes, lost and slow ones too")
@format_option
def runs(
    words: tuple[str, ...],
    limit: int,
    jobs: tuple[str, ...],
    states: tuple[frozenset[str], ...],
    since: timedelta | None,
    at: str | None,
    follow: bool,
    form: Format,
) -> None:
    """List runs, newest first.

    FILTER is the dashboard's: state:failed,lost job:sync* since:24h dur>10m "!demo", JOB1,JOB2, or words to look for.

    In json, jsonl and csv every column of a run is there, and its id as a decimal string.
    """
    wanted = frozenset[str]().union(*states)
    query = RunQuery(limit=limit, jobs=jobs, states=wanted, since=since, filter=read_filter(RUNS, words))
    if follow:
        check_follow(form, at)
        follow_runs(query, form)
    else:
        print_runs(query, form, at)
