"""Text about kinds of errors outside their table: headline, pane, and the line of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etlwatch.analysis.errors import ErrorKind
from etlwatch.analysis.verdict import last_line
from etlwatch.fields.errors import (
    known_text,
    number_text,
    runs_text,
    success_text,
)
from etlwatch.rendering.lines import labelled
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import clock, count, moment, short_id
from etlwatch.text.safe import clip, safe
from etlwatch.text.spans import Span, Spans
from tracking_core.identity import format_run_id


def kinds_spans(kinds: Sequence[ErrorKind], errors: int, context: DisplayContext) -> Spans:
    """Return which of a run's newest errors are new: `14 × ReadTimeout in load, known: in 9 runs since Tue 02:10`.

    () without kinds; `errors` is how many the run has in all.
    """
    in_kinds = sum(kind.errors for kind in kinds)
    spans: list[Span] = []
    if 0 < in_kinds < errors:
        spans.append((f"{count(errors)} recorded; of the last {count(in_kinds)}: ", "text"))
    for place, kind in enumerate(kinds):
        since = moment(kind.seen_since, context.now, context.zone)
        where = f" in {safe(kind.phase)}" if kind.phase else ""
        spans.append((f"{'; ' if place else ''}{count(kind.errors)} × {safe(kind.error_type)}{where}, ", "text"))
        new: tuple[Span, ...] = (("new", "red bold"), (f" since {since}", "text"))
        spans += new if kind.new else (((f"known: in {runs_text(kind)} since {since}", "text")),)
    return tuple((context.glyphs.text(text), role) for text, role in spans)


NAME_CELLS: Final = 40
"""Cells of a job's name on line 2, so that what is said of the error stays beside it."""


def kinds_headline(kinds: Sequence[ErrorKind], context: DisplayContext, *, brief: bool) -> Spans:
    """Return line 2: how many kinds there are, how many of them are new, and which is the newest new one."""
    if not kinds:
        return ((" No errors were recorded in this time.", "dim"),)
    new = [kind for kind in kinds if kind.new and not kind.mended]
    total = sum(kind.errors for kind in kinds)
    kinds_word = f"{count(len(kinds))} kind{'' if len(kinds) == 1 else 's'}"
    number = number_text(total, cut=any(kind.cut for kind in kinds))
    said: Spans = ((f" {number} error{'' if total == 1 else 's'} of {kinds_word}", "text"),)
    if not new:
        return (*said, ("; none of them is new.", "text"))
    first = max(new, key=lambda kind: kind.last_at)
    said = (*said, ("; ", "text"), (f"{count(len(new))} new", "red bold"))
    if brief:
        return (*said, (f": {safe(first.error_type)} in {safe(first.job)}.", "text"))
    at = clock(first.seen_since, context.zone)
    job = clip(safe(first.job), NAME_CELLS)
    return (
        *said,
        (
            f": {safe(first.error_type)} in {job} since {at}, {success_text(first, context)}.",
            "text",
        ),
    )


def kind_title(kind: ErrorKind, context: DisplayContext) -> Spans:
    """Return kind, job and run, for the rule above the pane."""
    glyph = context.glyphs.state("failed")
    return (
        (f"{glyph} {safe(kind.error_type)}", "dim" if kind.mended else "red bold"),
        ("  ", "plain"),
        (safe(kind.job), "text bold"),
        (f" {short_id(format_run_id(kind.run_id))}", "dim"),
    )


def kind_pane(kind: ErrorKind, context: DisplayContext) -> list[Spans]:
    """Return the lines of the pane, most important first."""
    return [
        labelled("message", safe(last_line(kind.message))),
        labelled("known?", f"{known_text(kind, context)}; {success_text(kind, context)}"),
        labelled("last", f"{moment(kind.last_at, context.now, context.zone)} in run {format_run_id(kind.run_id)}"),
    ]
