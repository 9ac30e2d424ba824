"""The fields of a job: one declaration each for the jobs table, its orders and filters, `etlwatch jobs`, JSON and CSV.

Also the strip of a job's last runs and when it is next, which the pane below the table shows as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from etlwatch.analysis.baseline import MINIMUM_RUNS
from etlwatch.analysis.states import BEHIND, FLAWED
from etlwatch.fields.field import Field, FieldList, InCommand, data_field, data_fields, rounded, text
from etlwatch.text.blocks import is_over, spark
from etlwatch.text.display import DisplayContext, Tone, state_tone, urgent_role_of
from etlwatch.text.numbers import UNKNOWN, change, clock, late_by, moment, number_of, percent, ratio, span
from etlwatch.text.safe import safe
from etlwatch.text.spans import Span, Spans
from tracking_core.records import RunStatus

if TYPE_CHECKING:
    from etlwatch.analysis.jobs import JobRow

_POOR: Final = 0.9
"""A success rate at or below this is remarkable."""

STRIP: Final = (20, 30)
"""Runs in the strip of each layout."""

LEAST_NEXT: Final = (17, 17, 40)
"""Cells that the column needs to show when a job is next, and why that is late."""


def strip_of(row: JobRow, context: DisplayContext, cells: int) -> Spans:
    """Return the last runs as a strip at the right edge of `cells`: half height is the p95, a mark where one has none.

    A job that is late to begin ends in `!`. Without a p95 the longest run is half height.
    """
    glyphs = context.glyphs
    room = cells - (row.overdue_s is not None)
    runs = row.runs[-room:]
    completed = [run.duration_s for run in runs if run.status == RunStatus.COMPLETED]
    p95 = row.baseline.duration_s.p95
    marks: dict[int, Span] = {
        place: (glyphs.state(run.state), urgent_role_of(run.state))
        for place, run in enumerate(runs)
        if run.status != RunStatus.COMPLETED
    }
    over = [place for place, run in enumerate(runs) if place not in marks and p95 and is_over(run.duration_s, p95)]
    values: list[float | None] = [run.duration_s for run in runs]
    if row.overdue_s is not None:
        marks[len(values)] = (glyphs.state("overdue"), "amber")
        values.append(None)
    drawn = spark(
        values, top=2 * (p95 or max(completed, default=0.0)), marks=marks, over=over, role="chart-p95", glyphs=glyphs
    )
    return ((" " * (cells - len(values)), "plain"), *drawn)


def _success(row: JobRow, context: DisplayContext, *, brief: bool = False) -> Spans:
    unknown = context.glyphs.text(UNKNOWN)
    if not row.counted:
        return ((unknown, "dim"),)
    known = row.counted >= MINIMUM_RUNS
    rate = row.completed / row.counted
    spans: Spans = ((f"{row.completed}/{row.counted}", "amber" if known and rate <= _POOR else "dim"),)
    if not brief:
        spans += ((f"{percent(rate) if known else unknown:>5}", "text" if known else "dim"),)
    return spans


def _usual(row: JobRow) -> str:
    """Write what the job usually takes, or how many runs there are where they are too few."""
    usual = row.baseline.duration_s.usual
    if usual is not None:
        return span(usual)
    return number_of(len(row.runs), "run")


def day_text(when: datetime | None, context: DisplayContext) -> str:
    """Write a moment with the word of its day: `today 02:40`, `tomorrow 02:00`, `Sun 02:00`, `Feb 02`."""
    if when is None:
        return UNKNOWN
    day, today = when.astimezone(context.zone).date(), context.now.astimezone(context.zone).date()
    word = {today: "today", today + timedelta(days=1): "tomorrow"}.get(day)
    return f"{word} {clock(when, context.zone)}" if word else moment(when, context.now, context.zone)


def next_spans(row: JobRow, context: DisplayContext, *, brief: bool = False) -> Spans:
    """Return when a job is next: overdue, now with its state, or the moment expected by its rhythm."""
    glyphs = context.glyphs
    if row.overdue_s is not None:
        due = "" if brief or row.expected is None else f" ({clock(row.expected.at, context.zone)})"
        return ((f"overdue {late_by(row.overdue_s)}{due}", "amber strong"),)
    live = row.live
    if live is not None:
        over = ratio(row.baseline.duration_s.ratio(live.duration_s), only_above=True) if live.state == "slow" else ""
        now = f"now {glyphs.state(live.state)}{' ' if over else ''}{glyphs.text(over)}"
        tone = urgent_role_of(live.state)
        return ((now, tone if tone == "text" else f"{tone} strong"),)
    if row.expected is None:
        return ((glyphs.text(UNKNOWN), "dim"),)
    if row.expected.at <= context.now:
        return ((f"due {clock(row.expected.at, context.zone)}", "text"),)
    return ((day_text(row.expected.at, context), "dim"),)


def _next_tone(row: JobRow) -> Tone:
    if row.overdue_s is not None:
        return "amber"
    return state_tone(row.live.state) if row.live else "dim"


def _dim(words: str, context: DisplayContext, role: str = "dim") -> Spans:
    return text(context.glyphs.text(words), role)


def _of_rhythm(name: str, row: JobRow) -> object:
    return getattr(row.expected, name) if row.expected else None


def _states(row: JobRow) -> frozenset[str]:
    """Return all that a filter finds a job by: its trouble, its living run's state, or that all is well."""
    states = {row.trouble or ("over" if row.given_up_since else "ok")}
    if row.live is not None:
        states.add(row.live.state)
    return frozenset(states)


JOBS: Final[FieldList[JobRow]] = FieldList(
    [
        Field(
            key="job", heading="job", width=(17, 18), grow=1, ascending=True, value=lambda row: row.job,
            cell=lambda row, _: text(safe(row.job), "dim" if row.given_up_since else "plain"),
            filter="job", searched=True, data="job", command=InCommand(text=lambda row, _: row.job, shrinks_to=17),
        ),
        data_field("trouble", lambda row: row.trouble or None),
        *data_fields("completed counted"),
        Field(
            key="success", heading="success", width=(7, 10), gap=(3, 4), align="right", ascending=True,
            value=lambda row: row.completed / row.counted if row.counted else None,
            cell=_success, brief_cell=lambda row, context: _success(row, context, brief=True),
            data="success", data_value=lambda row: round(row.completed / row.counted, 4) if row.counted else None,
            command=InCommand(),
        ),
        Field(
            key="usual", heading="usual", width=(6, 7), align="right",
            value=lambda row: row.baseline.duration_s.usual, cell=lambda row, context: _dim(_usual(row), context),
            data="usual_s", command=InCommand(),
        ),
        Field(
            key="p95", heading="p95", width=(0, 7), align="right",
            value=lambda row: row.baseline.duration_s.p95,
            cell=lambda row, context: _dim(span(row.baseline.duration_s.p95), context),
            data="p95_s", command=InCommand(leaves=3),
        ),
        data_field("past_runs", lambda row: row.baseline.runs),
        Field(
            key="trend", heading="trend", width=(0, 6), align="right", value=lambda row: row.trend,
            cell=lambda row, context: _dim(change(row.trend), context, "amber" if row.drifting else "dim"),
            data="trend", data_value=lambda row: rounded(row.trend, 4), command=InCommand(leaves=2),
        ),
        data_field("last_run_id", lambda row: str(row.last.run_id) if row.last else None),
        Field(
            key="began", heading="last began", width=(0, 0, 11), gap=4,
            value=lambda row: row.last.started_at if row.last else None,
            cell=lambda row, context: _dim(day_text(row.last.started_at if row.last else None, context), context),
            data="last_began", command=InCommand(leaves=1),
        ),
        data_field("last_state", lambda row: row.last.state if row.last else None),
        Field(
            key="next", heading="next", width=(20, 24, 50), gap=(2, 3), grow=(0, 0, 1), least=LEAST_NEXT,
            ascending=True, value=lambda row: row.expected.at if row.expected else None,
            cell=next_spans, brief_cell=lambda row, context: next_spans(row, context, brief=True),
            data="next_expected", command=InCommand(tone=_next_tone),
        ),
        data_field("overdue_s", lambda row: rounded(row.overdue_s, 3)),
        *(data_field(f"rhythm_{name}", partial(_of_rhythm, name)) for name in ("hits", "of", "tolerance_s", "every_s")),
        data_field("given_up_since"),
        Field(
            key="strip", heading=("last 20 (half=p95)", "last 30 runs (half = p95)"),
            width=STRIP, gap=(1, 2),
            cell=lambda row, context: strip_of(row, context, STRIP[-1]),
            brief_cell=lambda row, context: strip_of(row, context, STRIP[0]),
            command=InCommand(heading="last runs"),
            data="last_runs", data_value=lambda row: [
                {"run_id": str(run.run_id), "state": str(run.state), "duration_s": round(run.duration_s, 3)}
                for run in row.runs
            ],
        ),
    ],
    screen="job strip success usual p95 trend began next",
    command="job strip success usual p95 trend began next",
    need=lambda row: (row.rank, row.job.casefold(), row.job),
    states=("overdue", "lost", "failed", *BEHIND, *FLAWED, "running", "ok", "over"),
    states_of=_states,
    listed="job",
)  # fmt: skip
"""By need: those that are late first, then those with trouble, by name."""
