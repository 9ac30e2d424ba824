"""How a run is written in the runs table: one function a column, each giving spans.

Owns the words, numbers and tones of the cells. Refuses to own widths (`etlwatch.model.run_columns`) and what the facts
are (`etlwatch.model.rows`). Every text that comes from the store passes `safe` here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Final

from etlwatch.model.bars import duration_bar, progress_bar
from etlwatch.model.eta import eta_words
from etlwatch.model.glyphs import UNICODE, Glyphs
from etlwatch.model.numbers import UNKNOWN, count, duration, duration_ms, percent, rate, ratio, started
from etlwatch.model.rows import RunRow
from etlwatch.model.spans import Spans
from etlwatch.model.verdict import BEHIND
from etlwatch.text import safe
from tracking_core.dataclass import dataclass

__all__ = ["Pen", "row_role", "run_cells", "state_spans"]


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
