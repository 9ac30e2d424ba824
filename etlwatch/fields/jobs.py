"""How a job is written in the jobs table: its columns at three widths, the strip of its last runs, its cells.

Contains the words and tones of the cells (docs/screens.md). Every text from the store passes `safe` here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from etlwatch.analysis.baseline import MINIMUM_RUNS
from etlwatch.analysis.jobs import JobRow
from etlwatch.analysis.list_filter import Vocabulary
from etlwatch.analysis.verdict import BEHIND
from etlwatch.fields.bars import is_over
from etlwatch.fields.ordering import Ordering
from etlwatch.fields.runs import Pen
from etlwatch.text.blocks import strip
from etlwatch.text.columns import Column, widened
from etlwatch.text.numbers import UNKNOWN, change, clock, late_by, moment, percent, ratio, span
from etlwatch.text.safe import safe
from etlwatch.text.spans import Span, Spans
from tracking_core.records import RunStatus

__all__ = [
    "JOBS",
    "JOBS_80",
    "JOBS_120",
    "JOBS_160",
    "JOB_WORDS",
    "STATE_TONES",
    "day_words",
    "job_cells",
    "job_columns",
    "next_spans",
    "strip_of",
]

STATE_TONES: Final = {"lost": "red", "failed": "red", **dict.fromkeys(BEHIND, "amber")}
_POOR: Final = 0.9
"""A success rate at or below this is remarkable."""

_JOB: Final = Column(key="job", header="job", width=18, grow=1)


def _strip_column(runs: int, header: str, gap: int) -> Column:
    return Column(key="strip", header=header, width=runs, gap=gap, sortable=False)


_NUMBERS: Final = (
    Column(key="success", header="success", width=10, align="right", gap=4),
    Column(key="usual", header="usual", width=7, align="right"),
    Column(key="p95", header="p95", width=7, align="right"),
    Column(key="trend", header="trend", width=6, align="right"),
)
LEAST_NEXT: Final = 17
LEAST_NEXT_WIDE: Final = 40
"""Cells below which it is no longer said when a job is next, and why that is late."""

JOBS_160: Final = (
    _JOB,
    _strip_column(30, "last 30 runs (half = p95)", 2),
    *_NUMBERS,
    Column(key="began", header="last began", width=11, gap=4),
    Column(key="next", header="next", width=50, gap=3, grow=1),
)
JOBS_120: Final = (
    _JOB,
    _strip_column(30, "last 30 runs (half = p95)", 2),
    *_NUMBERS,
    Column(key="next", header="next", width=24, gap=3),
)
JOBS_80: Final = (
    Column(key="job", header="job", width=17, grow=1),
    _strip_column(20, "last 20 (half=p95)", 1),
    Column(key="success", header="success", width=7, align="right", gap=3),
    Column(key="usual", header="usual", width=6, align="right"),
    Column(key="next", header="next", width=20),
)


def job_columns(width: int, *, longest_job: int = 0) -> tuple[Column, ...]:
    """Return the layout for a terminal of `width` cells; a name of up to `longest_job` takes what `next` can spare."""
    drawn = JOBS_160 if width >= 160 else JOBS_120 if width >= 120 else JOBS_80
    return widened(drawn, "job", longest_job, {"next": LEAST_NEXT if width < 160 else LEAST_NEXT_WIDE})


def strip_of(row: JobRow, pen: Pen, cells: int) -> Spans:
    """Return the last runs as a strip at the right edge of `cells`: half height is the p95, a mark where one has none.

    A job that is late to begin ends in `!`. Without a p95 the longest run is half height.
    """
    glyphs = pen.glyphs
    room = cells - (row.overdue_s is not None)
    runs = row.runs[-room:]
    completed = [run.duration_s for run in runs if run.status == RunStatus.COMPLETED]
    p95 = row.past.duration_s.p95
    marks: dict[int, Span] = {
        place: (glyphs.state(run.state), STATE_TONES.get(run.state, "text"))
        for place, run in enumerate(runs)
        if run.status != RunStatus.COMPLETED
    }
    over = [place for place, run in enumerate(runs) if place not in marks and p95 and is_over(run.duration_s, p95)]
    values: list[float | None] = [run.duration_s for run in runs]
    if row.overdue_s is not None:
        marks[len(values)] = (glyphs.state("overdue"), "amber")
        values.append(None)
    drawn = strip(
        values, top=2 * (p95 or max(completed, default=0.0)), marks=marks, over=over, role="chart-p95", glyphs=glyphs
    )
    return ((" " * (cells - len(values)), "plain"), *drawn)


def _success(row: JobRow, *, brief: bool) -> Spans:
    if not row.counted:
        return ((UNKNOWN, "dim"),)
    known = row.counted >= MINIMUM_RUNS
    rate = row.completed / row.counted
    spans: Spans = ((f"{row.completed}/{row.counted}", "amber" if known and rate <= _POOR else "dim"),)
    if not brief:
        spans += ((f"{percent(rate) if known else UNKNOWN:>5}", "text" if known else "dim"),)
    return spans


def _usual(row: JobRow) -> str:
    """Write what the job usually takes, or how many runs there are where they are too few to say."""
    usual = row.past.duration_s.usual
    if usual is not None:
        return span(usual)
    return f"{len(row.runs)} run{'' if len(row.runs) == 1 else 's'}"


def day_words(when: datetime | None, pen: Pen) -> str:
    """Write a moment with the word of its day: `today 02:40`, `tomorrow 02:00`, `Sun 02:00`, `Feb 02`."""
    if when is None:
        return UNKNOWN
    day, today = when.astimezone(pen.zone).date(), pen.now.astimezone(pen.zone).date()
    word = {today: "today", today + timedelta(days=1): "tomorrow"}.get(day)
    return f"{word} {clock(when, pen.zone)}" if word else moment(when, pen.now, pen.zone)


def next_spans(row: JobRow, pen: Pen, *, brief: bool = False) -> Spans:
    """Return when a job is next: overdue, now with its state, or the moment its rhythm lets expect."""
    glyphs = pen.glyphs
    if row.overdue_s is not None:
        due = "" if brief or row.expected is None else f" ({clock(row.expected.at, pen.zone)})"
        return ((f"overdue {late_by(row.overdue_s)}{due}", "amber strong"),)
    live = row.live
    if live is not None:
        over = ratio(row.past.duration_s.ratio(live.duration_s), only_above=True) if live.state == "slow" else ""
        words = f"now {glyphs.state(live.state)}{' ' if over else ''}{glyphs.text(over)}"
        tone = STATE_TONES.get(live.state)
        return ((words, f"{tone} strong" if tone else "text"),)
    if row.expected is None:
        return ((glyphs.text(UNKNOWN), "dim"),)
    if row.expected.at <= pen.now:
        return ((f"due {clock(row.expected.at, pen.zone)}", "text"),)
    return ((day_words(row.expected.at, pen), "dim"),)


def job_cells(row: JobRow, pen: Pen, *, strip_cells: int) -> dict[str, Spans]:
    """Return all cells of a row by column key; below 30 cells of strip the words are the brief ones."""
    brief = strip_cells < 30
    past = row.past.duration_s
    text = pen.glyphs.text
    began = day_words(row.last.started_at, pen) if row.last else UNKNOWN
    return {
        "job": ((safe(row.job), "dim" if row.given_up_since else "plain"),),
        "strip": strip_of(row, pen, strip_cells),
        "success": tuple((text(word), role) for word, role in _success(row, brief=brief)),
        "usual": ((text(_usual(row)), "dim"),),
        "p95": ((text(span(past.p95)), "dim"),),
        "trend": ((text(change(row.trend)), "amber" if row.drifting else "dim"),),
        "began": ((text(began), "dim"),),
        "next": next_spans(row, pen, brief=brief),
    }


JOBS: Final[Ordering[JobRow]] = Ordering(
    by_need=lambda row: (row.rank, row.job.casefold(), row.job),
    keys={
        "job": (lambda row: row.job.casefold(), False),
        "success": (lambda row: row.completed / row.counted if row.counted else None, False),
        "usual": (lambda row: row.past.duration_s.usual, True),
        "p95": (lambda row: row.past.duration_s.p95, True),
        "trend": (lambda row: row.trend, True),
        "began": (lambda row: row.last.started_at.timestamp() if row.last else None, True),
        "next": (lambda row: row.expected.at.timestamp() if row.expected else None, False),
    },
)
"""By need: those that are late first, then those with trouble, by name."""


def _states_of(row: JobRow) -> frozenset[str]:
    """Return all that a job may be looked for by: its trouble, its living run's state, or that all is well."""
    states = {row.trouble or ("over" if row.given_up_since else "ok")}
    if row.live is not None:
        states.add(row.live.state)
    return frozenset(states)


JOB_WORDS: Final[Vocabulary[JobRow]] = Vocabulary(
    thing="a job",
    words=lambda row: (row.job,),
    fields={"job": lambda row: row.job},
    states=("overdue", "lost", "failed", "stalled", "throttled", "slow", "running", "ok", "over"),
    states_of=_states_of,
)
"""`sync* !demo state:overdue,failed`."""
