"""`etlwatch runs`: which runs there are, newest first."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.filter import Filter, FilterError, like
from etlwatch.analysis.run_rows import RunRow
from etlwatch.cli import connect, output
from etlwatch.cli.configuration import configured, configured_zone
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import at_option, follow_option, format_option, limit_option
from etlwatch.cli.output import Format
from etlwatch.cli.selectors import (
    DERIVED_STATES,
    STATES,
    closest_job,
    fits_job,
    jobs_named,
    matches_job,
    no_such_job,
    parse_states,
    parsed_by,
)  # fmt: skip
from etlwatch.cli.table import table
from etlwatch.cli.terminal import Look, say
from etlwatch.fields.runs import RUNS, notes_of, row_of, run_data, run_passes
from etlwatch.reading.health import Judge
from etlwatch.text.display import state_tone
from etlwatch.text.moments import parse_span
from etlwatch.text.numbers import local_time
from etlwatch.text.safe import clip, pad
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import Run

if TYPE_CHECKING:
    from tracking_core.store.base import Reader

PAGE = 500
ALIVE = frozenset({"running", *DERIVED_STATES})
"""The states of runs that nobody has ended."""

JOBS_ONE_BY_ONE = 100
"""Jobs whose own newest runs are read; of more the newest of all jobs are looked through."""

MOMENT = timedelta(microseconds=1)
LIMIT = 20
STATE_CELLS, JOB_CELLS = 12, 18


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs are asked for."""

    limit: int = LIMIT
    jobs: tuple[str, ...] = ()
    """Names or patterns (`sync*`); a run of any of them is meant, with none a run of any job."""

    states: frozenset[str] = frozenset()
    since: timedelta | None = None
    """How long ago a run may have begun, on the store's clock."""

    filter: Filter[RunRow] = Filter()
    """The same in the dashboard's words; both hold."""

    @property
    def narrow(self) -> bool:
        """Whether runs are passed over, so that more of them have to be read than are listed."""
        return bool(self.states or self.filter)

    def oldest(self, now: datetime) -> datetime | None:
        """Return the moment before which no run that is asked for has begun."""
        bounds = (None if self.since is None else now - self.since, self.filter.oldest(now))
        return max((bound for bound in bounds if bound is not None), default=None)

    def takes(self, run: Run, now: datetime, endpoints: Collection[str] | None = None) -> bool:
        """Return whether a run is asked for; `now` is the store's clock, `endpoints` those it asked if known."""
        return (
            (not self.states or run.state in self.states)
            and matches_job(run.job, self.jobs)
            and run_passes(self.filter, row_of(run), now, endpoints)
        )


def unmatched(reader: Reader, query: RunQuery, listed: Collection[str]) -> str:
    """Return which names of a query no job has, '' where nothing is wrong; `listed` are the jobs of the runs found."""
    said = [no_such_job(reader, query.jobs, listed, fits_job), no_such_job(reader, query.filter.jobs, listed, like)]
    if query.filter.only_words and query == RunQuery(limit=query.limit, filter=query.filter) and not listed:
        said += [f"no run fits {word!r}{closest_job(reader, word)}" for word in query.filter.words]
    return "; ".join(filter(None, said))


def find_runs(reader: Reader, query: RunQuery) -> Iterator[Run]:
    """Yield the runs that are asked for, newest first, judged, reading no further than it has to."""
    now = reader.now()
    alive = not query.states or bool(query.states & ALIVE)
    living = reader.live_runs() if alive else []
    runs: Iterable[Run]
    if query.states and query.states <= ALIVE:
        runs = living
    else:
        runs = _stored(reader, query)
        if not query.narrow:
            # Only what will be printed is held against its past.
            runs = list(islice(_until(reader, runs, query, now), query.limit))
    jobs = {run.job for run in (living if query.narrow else runs) if matches_job(run.job, query.jobs)}
    judged = {
        run.run_id: run
        for run in Judge(thresholds=configured().thresholds).conclude(reader, living, now=now, jobs=jobs).runs
    }
    runs = (judged.get(run.run_id, run) for run in runs)
    yield from islice(_until(reader, runs, query, now), query.limit)


def _stored(reader: Reader, query: RunQuery) -> Iterator[Run]:
    """Yield runs that may be asked for, newest first, as they are stored."""
    # A state that is derived is stored as running.
    statuses = frozenset("running" if state in ALIVE else state for state in query.states)
    size = PAGE if query.narrow else min(query.limit, PAGE)
    jobs = jobs_named(reader, query.jobs) if query.jobs else []
    if query.jobs and len(jobs) <= JOBS_ONE_BY_ONE:
        pages = [_newest_of(reader, job, page, query.limit) for job, page in _first_pages(reader, jobs, query.limit)]
        return heapq.merge(*pages, key=lambda run: (run.started_at, run.run_id), reverse=True)
    return _newest(reader, size, statuses)


def _first_pages(reader: Reader, jobs: Collection[str], size: int) -> Iterable[tuple[str, list[Run]]]:
    return reader.runs_of_jobs(jobs, min(size, PAGE)).items()


def _until(reader: Reader, runs: Iterable[Run], query: RunQuery, now: datetime) -> Iterator[Run]:
    oldest = query.oldest(now)
    for run, endpoints in _with_endpoints(reader, runs, query):
        if oldest is not None and run.started_at < oldest:
            return
        if query.takes(run, now, endpoints):
            yield run


def _with_endpoints(
    reader: Reader, runs: Iterable[Run], query: RunQuery
) -> Iterator[tuple[Run, frozenset[str] | None]]:
    """Yield runs with the endpoints they asked, a page at a time; None where the filter does not name any."""
    left = iter(runs)
    while page := list(islice(left, PAGE if query.filter.endpoints else 1)):
        names = reader.endpoint_names([run.run_id for run in page]) if query.filter.endpoints else None
        yield from ((run, None if names is None else names.get(run.run_id, frozenset())) for run in page)


def _newest_of(reader: Reader, job: str, page: list[Run], size: int) -> Iterator[Run]:
    """Yield the runs of a job, newest first, of which the first page has been read."""
    size = min(size, PAGE)
    seen: set[int] = set()
    while True:
        new = [run for run in page if run.run_id not in seen]
        yield from new
        if len(page) < size:
            return
        # Runs of one job may begin in the same microsecond: the next page begins with that moment once more, and is
        # wider where that moment filled a page.
        seen = {run.run_id for run in page}
        size = PAGE if new else 2 * size
        page = reader.runs_of_job(job, size, before=page[-1].started_at + MOMENT)


def _newest(reader: Reader, size: int, statuses: Collection[str]) -> Iterator[Run]:
    before: tuple[datetime, int] | None = None
    while True:
        if statuses:
            page = reader.runs_in_status(statuses, size, before=before)
        else:
            page = reader.recent_runs(size, before=before)
        yield from page
        if len(page) < size:
            return
        before = (page[-1].started_at, page[-1].run_id)


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
        # One more than is listed tells whether there are others.
        wanted = replace(query, limit=query.limit + 1) if form is Format.TABLE else query
        found = _noting_jobs(find_runs(reader, wanted), listed)
        if form is Format.TABLE:
            rows += found
        else:
            output.write_rows(form, map(run_data, found), fields=RUNS.keys)
        mistake = unmatched(present, query, listed)
        now = reader.now()
    if form is Format.TABLE:
        if not rows and not mistake:
            asked = query != RunQuery(limit=query.limit)
            say("no run fits" if asked else f"no runs in {connect.location().label}")
        cut, rows = len(rows) > query.limit, rows[: query.limit]
        shown = [row_of(run) for run in rows]
        output.write_table(lambda look: table(RUNS.columns(shown, look.context(now)), shown, look))
        if cut:
            say(f"the newest {query.limit:,} are listed; --limit lists more")
    if mistake:
        raise Unsuccessful(mistake)


def follow_runs(query: RunQuery, form: Format) -> None:
    """Print the runs that are asked for, the oldest first, then each one whose state changes."""
    from etlwatch.cli.follow import Stream, check_format, follow
    from etlwatch.reading.following import RunFollower

    check_format(form)
    follower = RunFollower(configured().thresholds)
    stream = Stream(form, RUNS.keys)
    first = True

    def look(reader: Reader) -> None:
        nonlocal first
        with reader.one_view():
            changed, now = follower.changed(reader), reader.now()
            if first:
                runs = list(find_runs(reader, query))[::-1]
            else:
                runs = [run for run in changed if _is_asked_for(reader, run, query, now)]
        first = False
        follower.told()
        if form is Format.TABLE:
            output.write_table(lambda look: (change_line(run, look) for run in runs))
        else:
            stream.write([run_data(run) for run in runs])

    follow(look)


def _is_asked_for(reader: Reader, run: Run, query: RunQuery, now: datetime) -> bool:
    return any(True for _ in _until(reader, [run], query, now))


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
