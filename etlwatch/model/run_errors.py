"""A run's errors: grouped by fingerprint, and one in full with its traceback.

Owns grouping, the cells of the list and the lines of an error. Refuses to own what other runs know of a fingerprint.
Every text passes `safe`; a traceback keeps its lines and nothing else of what a terminal would act on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from etlwatch.model.columns import Column
from etlwatch.model.numbers import count, moment, stamp
from etlwatch.model.run_cells import Pen
from etlwatch.model.run_view import RunView
from etlwatch.model.spans import Span, Spans
from etlwatch.model.verdict import last_line
from etlwatch.text import pad, safe
from tracking_core.records import ErrorRecord

__all__ = ["ERROR_COLUMNS", "ErrorGroup", "error_cells", "error_lines", "group_errors", "group_line", "groups_words"]

ERROR_COLUMNS = (
    Column(key="count", header="count", width=5, align="right", sortable=False),
    Column(key="first", header="first", width=9, sortable=False),
    Column(key="last", header="last", width=9, gap=1, sortable=False),
    Column(key="kind", header="kind", width=16, grow=1, sortable=False),
    Column(key="where", header="where", width=10, grow=1, sortable=False),
    Column(key="message", header="message", width=16, grow=4, sortable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Errors of one kind in one run."""

    fingerprint: str
    newest: ErrorRecord
    oldest: ErrorRecord
    number: int


def group_errors(errors: Sequence[ErrorRecord]) -> list[ErrorGroup]:
    """Return errors by fingerprint, the group with the newest one first."""
    groups: dict[str, list[ErrorRecord]] = {}
    for error in errors:
        groups.setdefault(error.fingerprint, []).append(error)
    made = [
        ErrorGroup(
            fingerprint=fingerprint,
            newest=max(members, key=lambda error: error.at),
            oldest=min(members, key=lambda error: error.at),
            number=len(members),
        )
        for fingerprint, members in groups.items()
    ]
    return sorted(made, key=lambda group: group.newest.at, reverse=True)


def groups_words(view: RunView) -> str:
    """Say how many errors there are, in how many kinds, and whether only the newest were read."""
    total, read = view.run.errors, len(view.details.errors)
    groups = len(group_errors(view.details.errors))
    if not total and not read:
        return "none recorded"
    kinds = f" in {groups} group{'s' if groups != 1 else ''}"
    newest = f", the newest {count(read)} read" if read < total else ""
    return f"{count(max(total, read))}{kinds}{newest}"


def error_cells(group: ErrorGroup, pen: Pen) -> dict[str, Spans]:
    """Return the cells of a group in the list of errors."""
    newest = group.newest
    return {
        "count": ((pen.glyphs.text(f"{count(group.number)}×"), "text bold"),),
        "first": ((moment(group.oldest.at, pen.now, pen.zone), "dim"),),
        "last": ((moment(newest.at, pen.now, pen.zone), "dim"),),
        "kind": ((safe(newest.error_type), "red"),),
        "where": ((safe(newest.phase or ""), "text"),),
        "message": ((safe(last_line(newest.message)), "text"),),
    }


def group_line(group: ErrorGroup, pen: Pen, width: int) -> Spans:
    """Return a group in one line of the overview."""
    newest = group.newest
    brief = width < 110
    times = f"{moment(group.oldest.at, pen.now, pen.zone)} {moment(newest.at, pen.now, pen.zone)}"
    kind = 12 if brief else 20
    where = 10 if brief else 18
    spans: list[Span] = [(f"{pen.glyphs.text(f'{count(group.number)}×'):>6} ", "text bold")]
    if not brief:
        spans.append((f" {pad(times, 19)} ", "dim"))
    room = max(10, width - sum(len(text) for text, _ in spans) - kind - where - 3)
    ellipsis = pen.glyphs.ellipsis
    spans.append((pad(safe(newest.error_type), kind, ellipsis=ellipsis), "red"))
    spans.append((" " + pad(safe(newest.phase or ""), where, ellipsis=ellipsis), "dim"))
    spans.append((" " + pad(safe(last_line(newest.message)), room, ellipsis=ellipsis), "text"))
    return tuple(spans)


@lru_cache(maxsize=16)
def _traceback_lines(traceback: str) -> tuple[Spans, ...]:
    """Return a traceback line by line; where the error is (`File …`) in text, the rest dim."""
    lines: list[Spans] = []
    for line in safe(traceback.replace("\t", "    "), newline=True).split("\n"):
        stripped = line.lstrip()
        role = "text" if stripped.startswith("File ") or not line.startswith(" ") else "dim"
        lines.append(((f" {line}", role),))
    return tuple(lines)


def error_lines(group: ErrorGroup, pen: Pen) -> list[Spans]:
    """Return the newest error of a group in full: what, when, where, its message and its traceback."""
    error = group.newest
    where = f" in {safe(error.phase)}" if error.phase else ""
    times = f"{stamp(error.at, pen.zone)}{where}"
    if group.number > 1:
        times += f"; {count(group.number)} alike since {stamp(group.oldest.at, pen.zone)}"
    lines: list[Spans] = [((f" {safe(error.error_type)}", "red bold"), (f"  {times}", "dim"))]
    lines.extend(((f" {line}", "text"),) for line in safe(error.message, newline=True).split("\n"))
    lines.append(())
    if error.traceback:
        lines.extend(_traceback_lines(error.traceback))
    else:
        lines.append(((" no traceback was recorded with it", "dim"),))
    return lines
