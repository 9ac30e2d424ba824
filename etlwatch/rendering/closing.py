"""The dialog that closes a run, and failures of operations, as text."""

from __future__ import annotations

from etlwatch.analysis.run_rows import RunRow
from etlwatch.rendering.lines import labelled_lines
from etlwatch.rendering.run_pane import state_span
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import ago, duration, moment, short_id
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans, fit
from tracking_core.dataclass import dataclass

@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why something could not be done."""

    what: str
    """In a few words: `no connection`, `refused`, `no tables`, …"""

    cause: str
    """The store's own words, one line, without credentials; not yet safe to show."""

    @property
    def words(self) -> str:
        """What failed, then the cause, without a full stop."""
        cause = safe(self.cause).rstrip(".")
        return f"{self.what}: {cause}" if cause else self.what


@dataclass(frozen=True, slots=True, kw_only=True)
class NotClosed:
    """A run that was left as it is."""

    why: str


def closing_lines(row: RunRow, context: DisplayContext, *, actor: str, width: int, rows: int) -> list[Spans]:
    """Return the facts for closing a run, most important first, in at most `rows` lines."""
    run = row.run
    title: Spans = (state_span(row, context), ("  ", "plain"), (safe(run.job), "text bold"), (f"  {run.id}", "dim"))
    seen = run.heartbeat_at or run.progress_at
    sign = (
        f"{moment(seen, context.now, context.zone)}, {ago((context.now - seen).total_seconds())}"
        if seen
        else "none recorded"
    )
    where = f", on {safe(run.host)}, pid {run.pid}" if run.host else ""
    lines: list[Spans] = [
        fit(title, width, ellipsis=context.glyphs.ellipsis),
        *labelled_lines(
            "Began", f"{moment(run.started_at, context.now, context.zone)}, {duration(run.duration_s)} ago", width
        ),
        *labelled_lines("Sign", f"last sign of life {sign}{where}", width, most=2),
    ]
    if run.state != "lost":
        against = f"It is {safe(run.state)}, not lost. Closing does not stop its process"
        lines += labelled_lines("Against", f"{against}, and its own end replaces this later.", width, role="amber")
    elif row.verdict.because:
        lines += labelled_lines("Because", safe(row.verdict.because), width, most=2)
    lines += labelled_lines("Then", "it becomes abandoned, with its last sign of life as its end", width)
    if run.state == "lost":
        lines += labelled_lines("", "if its job still runs, the job's own end replaces this", width, role="dim")
    lines += labelled_lines("As", f"{safe(actor)}, written to the audit", width)
    return lines[:rows]


def confirmation_text(row: RunRow) -> str:
    """Return what has to be typed to close a run that is not lost."""
    return short_id(row.run.id)
