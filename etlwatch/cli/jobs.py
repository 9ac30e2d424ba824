"""`etlwatch jobs`: one line a job, what is late first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.filter import FilterError
from etlwatch.analysis.jobs import RUNS_SHOWN, JobRow
from etlwatch.cli import connect, output, shapes
from etlwatch.cli.configuration import configured, configured_zone
from etlwatch.cli.options import at_option, format_option
from etlwatch.cli.output import Format
from etlwatch.cli.runs import jobs_named
from etlwatch.cli.table import Column, table
from etlwatch.cli.terminal import Look, Tone, say
from etlwatch.cli.words import state_tone
from etlwatch.fields.jobs import JOB_WORDS, JOBS, job_cells
from etlwatch.fields.runs import Pen
from etlwatch.reading.health import Judge
from etlwatch.reading.jobs import read_rows
from etlwatch.rendering.job_pane import jobs_headline
from etlwatch.text.spans import plain_text

if TYPE_CHECKING:
    from tracking_core.records import Run
    from tracking_core.store.base import Reader

FIELDS = (
    "job", "trouble", "completed", "counted", "success", "usual_s", "p95_s", "past_runs", "trend", "last_run_id",
    "last_began", "last_state", "next_expected", "overdue_s", "rhythm_hits", "rhythm_of", "rhythm_tolerance_s",
    "rhythm_every_s", "given_up_since", "last_runs",
)  # fmt: skip
BRIEF_STRIP = 20


def read_jobs(reader: Reader, patterns: Sequence[str] = (), at: str | None = None) -> tuple[list[JobRow], datetime]:
    """Return the rows of the jobs that are meant, by need, and the store's clock; or as of a past moment, and that."""
    zone = configured_zone()
    with reader.one_view():
        reader = connect.reader_at(reader, at)
        now = reader.now()
        names = jobs_named(reader, patterns)
        rows = read_rows(reader, names, _judged(reader, now, names), now=now, zone=zone)
    return JOBS.sort(rows), now


def _judged(reader: Reader, now: datetime, jobs: Collection[str]) -> dict[int, Run]:
    judgement = Judge(thresholds=configured().thresholds).conclude(reader, reader.live_runs(), now=now, jobs=set(jobs))
    return {run.run_id: run for run in judgement.runs}


def job_shape(row: JobRow) -> dict[str, object]:
    """Return a job as data, its keys FIELDS; `last_runs` are the last ones, oldest first."""
    usual, expected, last = row.past.duration_s, row.expected, row.last
    return {
        "job": row.job,
        "trouble": row.trouble or None,
        "completed": row.completed,
        "counted": row.counted,
        "success": round(row.completed / row.counted, 4) if row.counted else None,
        "usual_s": usual.usual,
        "p95_s": usual.p95,
        "past_runs": row.past.runs,
        "trend": None if row.trend is None else round(row.trend, 4),
        "last_run_id": None if last is None else str(last.run_id),
        "last_began": shapes.moment(last.started_at) if last else None,
        "last_state": str(last.state) if last else None,
        "next_expected": shapes.moment(expected.at) if expected else None,
        "overdue_s": None if row.overdue_s is None else round(row.overdue_s, 3),
        "rhythm_hits": expected.hits if expected else None,
        "rhythm_of": expected.of if expected else None,
        "rhythm_tolerance_s": expected.tolerance_s if expected else None,
        "rhythm_every_s": expected.every_s if expected else None,
        "given_up_since": shapes.moment(row.given_up_since),
        "last_runs": [
            {"run_id": str(run.run_id), "state": str(run.state), "duration_s": round(run.duration_s, 3)}
            for run in row.runs
        ],
    }


def job_lines(rows: Sequence[JobRow], look: Look, now: datetime) -> Iterator[str]:
    """Yield the table, and below it what is late, where something is."""
    pen = Pen(now, look.zone, look.glyphs)
    full = {row.job: _texts(row, pen, RUNS_SHOWN) for row in rows}
    brief = {row.job: _texts(row, pen, BRIEF_STRIP) for row in rows}

    def column(key: str, heading: str, *, right: bool = False, leaves: int = 0) -> Column[JobRow]:
        return Column(
            heading=heading,
            full=lambda row: full[row.job][key],
            brief=lambda row: brief[row.job][key],
            right=right,
            leaves=leaves,
        )

    yield from table(
        [
            Column(heading="job", full=lambda row: row.job, shrinks_to=17),
            column("strip", "last runs"),
            column("success", "success", right=True),
            column("usual", "usual", right=True),
            column("p95", "p95", right=True, leaves=3),
            column("trend", "trend", right=True, leaves=2),
            column("began", "last began", leaves=1),
            Column(
                heading="next",
                full=lambda row: full[row.job]["next"],
                brief=lambda row: brief[row.job]["next"],
                tone=_tone,
            ),
        ],
        rows,
        look,
    )
    if any(row.overdue_s is not None for row in rows):
        yield ""
        yield look.paint(look.shown(plain_text(jobs_headline(rows, pen, brief=False)).strip()), "amber")


def _texts(row: JobRow, pen: Pen, strip_cells: int) -> dict[str, str]:
    return {key: plain_text(spans) for key, spans in job_cells(row, pen, strip_cells=strip_cells).items()}


def _tone(row: JobRow) -> Tone:
    if row.overdue_s is not None:
        return "amber"
    return state_tone(row.live.state) if row.live else "dim"


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
        wanted = JOB_WORDS.parse(" ".join(filter))
    except FilterError as error:
        raise click.BadParameter(str(error), param_hint="'FILTER'") from None
    with connect.reader() as reader:
        rows, now = read_jobs(reader, jobs, at)
    rows = [row for row in rows if wanted.matches(row)]
    if form is not Format.TABLE:
        output.write_rows(form, map(job_shape, rows), fields=FIELDS)
        return
    if not rows:
        say("no such job" if jobs or wanted else f"no runs in {connect.location().label}")
    output.write_table(lambda look: job_lines(rows, look, now))
