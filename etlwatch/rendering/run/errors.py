"""A run's errors: grouped by fingerprint, and one in full with its traceback.

Every text passes `safe`; a traceback keeps its line breaks only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from etlwatch.analysis.errors import ErrorKind, ErrorsOfKind, group_errors
from etlwatch.analysis.verdict import last_line
from etlwatch.fields.errors import known_text, runs_text, success_text
from etlwatch.rendering.run.view import RunView
from etlwatch.text.columns import Column, headers, laid_out
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import count, moment, stamp
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans

__all__ = [
    "error_cells",
    "error_columns",
    "error_lines",
    "errors_block",
    "groups_of",
    "groups_text",
    "traceback_lines",
]

ERRORS_160: Final = (
    Column(key="count", header="count", width=5, align="right", sortable=False),
    Column(key="first", header="first", width=9, sortable=False),
    Column(key="last", header="last", width=9, gap=1, sortable=False),
    Column(key="kind", header="kind", width=18, gap=1, sortable=False),
    Column(key="where", header="where", width=14, sortable=False),
    Column(key="message", header="message", width=40, grow=3, sortable=False),
    Column(key="known", header="known?", width=42, grow=1, sortable=False),
)
ERRORS_120: Final = (
    Column(key="count", header="count", width=5, align="right", sortable=False),
    Column(key="first", header="first", width=9, sortable=False),
    Column(key="last", header="last", width=9, gap=1, sortable=False),
    Column(key="kind", header="kind", width=16, gap=1, sortable=False),
    Column(key="where", header="where", width=10, gap=1, sortable=False),
    Column(key="message", header="message", width=24, gap=1, grow=1, sortable=False),
    Column(key="brief", header="known?", width=24, sortable=False),
)
ERRORS_80: Final = (
    Column(key="count", header="count", width=5, align="right", sortable=False),
    Column(key="last", header="last", width=9, gap=1, sortable=False),
    Column(key="kind", header="kind", width=13, gap=1, sortable=False),
    Column(key="where", header="where", width=8, gap=1, sortable=False),
    Column(key="message", header="message", width=20, gap=1, grow=1, sortable=False),
    Column(key="runs", header="known?", width=10, gap=1, sortable=False),
)
BLOCK_80: Final = (
    Column(key="count", width=4, align="right"),
    Column(key="kind", width=12, gap=1),
    Column(key="where", width=10, gap=1),
    Column(key="message", width=20, gap=1, grow=1),
    Column(key="runs", width=15, gap=1),
)
"""Of the overview in 80 cells, where they stand without headers."""


def error_columns(width: int) -> tuple[Column, ...]:
    """Return the layout of the list of errors for a terminal of `width` cells."""
    return ERRORS_160 if width >= 160 else ERRORS_120 if width >= 110 else ERRORS_80


def groups_of(view: RunView) -> list[ErrorsOfKind]:
    """Return the errors of a run by kind, as far as they were read."""
    return group_errors(view.run, view.details.errors, view.details.kinds)


def groups_text(view: RunView) -> str:
    """Say how many errors there are, in how many kinds, and whether only the newest were read."""
    total, read = view.run.errors, len(view.details.errors)
    groups = len({error.fingerprint for error in view.details.errors})
    if not total and not read:
        return "none recorded"
    kinds = f" in {groups} group{'s' if groups != 1 else ''}"
    newest = f", the newest {count(read)} read" if read < total else ""
    return f"{count(max(total, read))}{kinds}{newest}"


def error_cells(errors: ErrorsOfKind, context: DisplayContext) -> dict[str, Spans]:
    """Return the cells of a group in the list of errors."""
    newest = errors.newest
    return {
        "count": ((context.glyphs.text(f"{count(errors.group.errors)}×"), "text bold"),),
        "first": ((moment(errors.group.first_at, context.now, context.zone), "dim"),),
        "last": ((moment(newest.at, context.now, context.zone), "dim"),),
        "kind": ((safe(newest.error_type), "red"),),
        "where": ((safe(newest.phase or ""), "text"),),
        "message": ((safe(last_line(newest.message)), "text"),),
        **_known_cells(errors.kind, context),
    }


def _known_cells(kind: ErrorKind | None, context: DisplayContext) -> dict[str, Spans]:
    """Return what other runs know of a kind, at three lengths; nothing where nobody has asked."""
    if kind is None:
        return {}
    since = moment(kind.seen_since, context.now, context.zone)
    if kind.new:
        new = ("new", "red bold")
        return {
            "known": (new, (f" in this run; first seen {since}", "dim")),
            "brief": (new, (f" since {since}", "dim")),
            "runs": (new, (f" {since}", "dim")),
        }
    runs = runs_text(kind)
    return {
        "known": ((known_text(kind, context).replace("known: ", "known  "), "dim"),),
        "brief": ((f"{runs} since {since}", "dim"),),
        "runs": ((f"in {runs}", "dim"),),
    }


def errors_block(groups: Sequence[ErrorsOfKind], context: DisplayContext, width: int, *, headed: bool) -> list[Spans]:
    """Return groups as the overview shows them, a line each, under headers where there is room for them."""
    columns = error_columns(width) if width >= 110 else BLOCK_80
    lines = [headers(columns, width)] if headed and groups else []
    lines += [
        laid_out(columns, error_cells(group, context), width, ellipsis=context.glyphs.ellipsis) for group in groups
    ]
    return lines


def error_lines(errors: ErrorsOfKind, context: DisplayContext) -> list[Spans]:
    """Return the newest error of a group in full: what, when, where, its message and its traceback."""
    error = errors.newest
    where = f" in {safe(error.phase)}" if error.phase else ""
    times = f"{stamp(error.at, context.zone)}{where}"
    if errors.group.errors > 1:
        times += (
            f"; {count(errors.group.errors)} alike since {moment(errors.group.first_at, context.now, context.zone)}"
        )
    lines: list[Spans] = [((f" {safe(error.error_type)}", "red bold"), (f"  {times}", "dim"))]
    lines.extend(((f" {line}", "text"),) for line in safe(error.message, newline=True).split("\n"))
    if errors.kind is not None:
        known = known_text(errors.kind, context)
        lines.append((
            (f" {known[: len('new')]}", "red bold" if errors.kind.new else "dim"),
            (f"{known[len('new') :]}; {success_text(errors.kind, context)}", "dim"),
        ))  # fmt: skip
    lines.append(())
    if error.traceback:
        lines.extend(traceback_lines(error.traceback))
    else:
        lines.append(((" no traceback was recorded with it", "dim"),))
    return lines


# Groups of exceptions draw a margin of pipes before every line.
_FRAME: Final = re.compile(r"^[\s|+-]*File \"")
_MARKS: Final = re.compile(r"^[\s|]*[~^]+\s*$")
_HEADING: Final = re.compile(
    r"^[\s|+-]*((Exception Group )?Traceback \(most recent call last\)|During handling of|The above exception was)"
    r"|^[\s|+-]*-{5,}"
)
_RAISED: Final = re.compile(r"^[\s|+-]*[A-Za-z_][\w.]*(:|$)")


@lru_cache(maxsize=16)
def traceback_lines(traceback: str) -> tuple[Spans, ...]:
    """Return a traceback line by line, a cell in from the edge; every line passes `safe`."""
    lines = safe(traceback.rstrip("\n").replace("\t", "    "), newline=True).split("\n")
    roles = ["text"] * len(lines)
    last_frame = -1
    for place, line in enumerate(lines):
        if _FRAME.match(line):
            roles[place] = "dim"
            last_frame = place
        elif _HEADING.match(line) or _MARKS.match(line):
            roles[place] = "dim"
    raised = _raised(lines, last_frame)
    for place in range(raised, len(lines)):
        # A message of several lines is all of it what was raised.
        roles[place] = "red bold" if place == raised else "red"
    return tuple(((f" {line}", role),) for line, role in zip(lines, roles, strict=True))


def _raised(lines: list[str], last_frame: int) -> int:
    """Return the line on which the last exception begins: behind its last frame's code, else the last line."""
    for place in range(last_frame + 1, len(lines)):
        indented = len(lines[place]) - len(lines[place].lstrip(" |+-"))
        frame = lines[last_frame] if last_frame >= 0 else ""
        if indented < len(frame) - len(frame.lstrip(" |+-")) and _RAISED.match(lines[place]):
            return place
    return max(0, len(lines) - 1)
