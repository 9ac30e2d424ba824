"""The runs table's three layouts (docs/screens.md), as data, and how runs are ordered by them.

Contains which columns a width has room for, and their sort keys. Keys of the cells: state, job, start, time, bar,
ratio, phase, progress, done, eta, req, rate, items, err, p95, note.

    run_columns(width, longest_job=19)      the layout for a terminal of that width; job and note grow with it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Final

from etlwatch.analysis.forecast import eta_words
from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.verdict import BEHIND
from etlwatch.fields.bars import duration_bar, progress_bar
from etlwatch.fields.ordering import Ordering
from etlwatch.text.columns import Column, widened
from etlwatch.text.glyphs import UNICODE, Glyphs
from etlwatch.text.numbers import UNKNOWN, count, duration, duration_ms, percent, rate, ratio, started
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans
from tracking_core.dataclass import dataclass

if TYPE_CHECKING:
    from etlwatch.analysis.run_rows import RunRow


__all__ = ["RUNS", "RUNS_80", "RUNS_120", "RUNS_160", "Pen", "row_role", "run_cells", "run_columns", "state_spans"]

LEAST_NOTE: Final = 16
"""Cells below which a note says nothing any more."""

_STATE: Final = Column(key="state", header="state", width=12)
_JOB: Final = Column(key="job", header="job", width=18, gap=1, grow=1)
_BAR: Final = Column(key="bar", header="vs p95", width=9, gap=1, sortable=False)
_RATIO: Final = Column(key="ratio", width=4, align="right", gap=1)
_ETA: Final = Column(key="eta", header="eta", width=11)
_RATE: Final = Column(key="rate", header="req/s", width=5, align="right")
_ITEMS: Final = Column(key="items", header="items", width=5, align="right")
_P95: Final = Column(key="p95", header="p95", width=5, align="right")


def _time_column(gap: int) -> Column:
    return Column(key="time", header="time", width=7, align="right", gap=gap)


def _start_column(gap: int) -> Column:
    return Column(key="start", header="start", width=5, gap=gap)


def _phase_column(gap: int) -> Column:
    return Column(key="phase", header="phase", width=10, gap=gap)


def _done_column(gap: int) -> Column:
    return Column(key="done", header="done", width=4, align="right", gap=gap)


def _errors_column(gap: int) -> Column:
    return Column(key="err", header="err", width=4, align="right", gap=gap)


def _margin(width: int) -> Column:
    """Stay away from the right edge, so that growth begins beyond the drawn width."""
    return Column(key="margin", width=width, gap=0, sortable=False)


RUNS_80: Final = (
    _STATE, _JOB, _time_column(1), _BAR, _RATIO, _phase_column(1), _done_column(1), _errors_column(1), _margin(3),
)  # fmt: skip

RUNS_120: Final = (
    _STATE, _JOB, _start_column(1), _time_column(2), _BAR, _RATIO, _phase_column(1), _done_column(1), _ETA, _RATE,
    _ITEMS, _errors_column(1), _P95,
    _margin(2),
)  # fmt: skip

RUNS_160: Final = (
    _STATE,
    _JOB,
    _start_column(2),
    _time_column(2),
    _BAR,
    _RATIO,
    _phase_column(2),
    Column(key="progress", width=6, gap=1, sortable=False),
    _done_column(1),
    _ETA,
    Column(key="req", header="req", width=5, align="right"),
    _RATE,
    _ITEMS,
    _errors_column(2),
    _P95,
    Column(key="note", header="note", width=22, grow=2),
    _margin(1),
)


def run_columns(width: int, *, longest_job: int = 0) -> tuple[Column, ...]:
    """Return the layout for a terminal of `width` cells.

    A job's name of up to `longest_job` cells that does not fit takes what the right margin and the note can spare.
    """
    drawn = RUNS_160 if width >= 160 else RUNS_120 if width >= 120 else RUNS_80
    return widened(drawn, "job", longest_job, {"margin": 1, "note": LEAST_NOTE})


def _by_need(row: RunRow) -> tuple[int, int, float, int]:
    """Rank first; among the living the longest running first, among the ended the last ended first."""
    if row.run.ended_at is None:
        return (row.verdict.rank, 0, row.run.started_at.timestamp(), row.run.run_id)
    return (row.verdict.rank, 1, -row.run.ended_at.timestamp(), -row.run.run_id)


RUNS: Final[Ordering[RunRow]] = Ordering(
    by_need=_by_need,
    keys={
        "job": (lambda row: row.run.job.casefold(), False),
        "start": (lambda row: row.run.started_at.timestamp(), True),
        "time": (lambda row: row.run.duration_s, True),
        "ratio": (lambda row: row.ratio, True),
        "phase": (lambda row: row.phase.name.casefold() if row.phase else None, False),
        "done": (lambda row: row.phase.share if row.phase else None, True),
        "eta": (lambda row: row.eta.low.timestamp() if row.eta else None, False),
        "req": (lambda row: row.run.requests, True),
        "rate": (lambda row: row.rates.requests if row.rates else None, True),
        "items": (lambda row: row.run.items, True),
        "err": (lambda row: row.trouble, True),
        "p95": (lambda row: row.percentiles.p95 if row.percentiles else None, True),
        "note": (lambda row: row.verdict.note.casefold() or None, False),
    },
)
"""How runs are ordered."""


@dataclass(frozen=True, slots=True)
class Pen:
    """What writing depends on beside the facts."""

    now: datetime
    """The store's clock."""

    zone: tzinfo | None = None
    """None: the local one."""

    glyphs: Glyphs = UNICODE


def row_role(row: RunRow) -> str:
    """Return what `plain` means in a row: dim for what is over and well, or was made good."""
    return "dim" if row.verdict.tone == "dim" else "plain"


def state_spans(row: RunRow, glyphs: Glyphs = UNICODE) -> Spans:
    """Return glyph and word of a run's state in its tone."""
    state = row.verdict.state
    role = f"{row.verdict.tone} strong" if row.verdict.needs_you else row.verdict.tone
    return ((f"{glyphs.state(state)} {safe(state)}", role),)


def _one(text: str, role: str = "plain") -> Spans:
    return ((text, role),) if text else ()


def _job(row: RunRow) -> Spans:
    return _one(safe(row.run.job))


def _start(row: RunRow, pen: Pen) -> Spans:
    return _one(started(row.run.started_at, pen.now, pen.zone), "dim")


def _time(row: RunRow) -> Spans:
    return _one(duration(row.run.duration_s))


def _bar(row: RunRow, pen: Pen) -> Spans:
    usual = row.usual_duration
    return duration_bar(row.run.duration_s, usual.p95, runs=usual.runs, glyphs=pen.glyphs)


def _ratio(row: RunRow, pen: Pen) -> Spans:
    return _one(pen.glyphs.text(ratio(row.ratio, only_above=True)), "amber")


def _phase(row: RunRow) -> Spans:
    phase = row.phase
    if phase is None:
        return ()
    words = f"{phase.position}/{phase.count} {safe(phase.name)}".rstrip()
    return _one(words, "plain" if row.live else "dim")


def _progress(row: RunRow, pen: Pen) -> Spans:
    if row.phase is None or not row.live:
        return ()
    return progress_bar(row.phase.share, glyphs=pen.glyphs)


def _done(row: RunRow) -> Spans:
    if row.phase is None or row.phase.share is None:
        return ()
    # A column of four cells: a job that does ten times what it expected is told by a multiple.
    write = percent if row.phase.share < 9.995 else ratio
    return _one(write(row.phase.share), "plain" if row.live else "dim")


def _eta(row: RunRow, pen: Pen) -> Spans:
    return _one(pen.glyphs.text(eta_words(row.eta, pen.now, pen.zone)))


def _requests(row: RunRow) -> Spans:
    return _one(count(row.run.requests, blank_zero=True))


def _rate(row: RunRow, pen: Pen) -> Spans:
    if not row.live:
        return ()
    if row.rates is None or row.verdict.state == "lost":
        return _one(pen.glyphs.text(UNKNOWN)) if row.run.requests else ()
    if not row.run.requests:
        return ()
    return _one(rate(row.rates.requests), "amber" if row.verdict.state in BEHIND else "plain")


def _items(row: RunRow) -> Spans:
    return _one(count(row.run.items, blank_zero=True))


def _errors(row: RunRow) -> Spans:
    return _one(count(row.trouble, blank_zero=True), "red" if row.verdict.state == "failed" else "plain")


def _p95(row: RunRow, pen: Pen) -> Spans:
    if row.percentiles is None:
        return _one(pen.glyphs.text(UNKNOWN)) if row.run.requests else ()
    return _one(duration_ms(row.percentiles.p95))


def _note(row: RunRow) -> Spans:
    role = row.verdict.tone if row.verdict.needs_you else "dim"
    return _one(safe(row.verdict.note), role)


_FACTS: Final[Mapping[str, Callable[[RunRow], Spans]]] = {
    "job": _job,
    "time": _time,
    "phase": _phase,
    "done": _done,
    "req": _requests,
    "items": _items,
    "err": _errors,
    "note": _note,
}
_DRAWN: Final[Mapping[str, Callable[[RunRow, Pen], Spans]]] = {
    "state": lambda row, pen: state_spans(row, pen.glyphs),
    "start": _start,
    "bar": _bar,
    "ratio": _ratio,
    "progress": _progress,
    "eta": _eta,
    "rate": _rate,
    "p95": _p95,
}
"""What also depends on the clock or the glyphs."""


def run_cells(row: RunRow, pen: Pen) -> dict[str, Spans]:
    """Return all cells of a row by column key."""
    cells = {key: write(row) for key, write in _FACTS.items()}
    cells.update((key, draw(row, pen)) for key, draw in _DRAWN.items())
    return cells
