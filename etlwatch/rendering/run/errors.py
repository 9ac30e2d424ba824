"""A run's errors: grouped by fingerprint, one in full with its traceback, and search in them.

Every text passes `safe`; a traceback keeps its line breaks only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

from etlwatch.analysis.errors import ErrorsOfKind, group_errors
from etlwatch.fields.errors import GROUPS, known_text, success_text
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import count, moment, number_of, stamp
from etlwatch.text.safe import cell_width, safe
from etlwatch.text.spans import Span, Spans, headers, laid_out, merge, plain_text
from tracking_core.dataclass import dataclass


def groups_of(view: RunView) -> list[ErrorsOfKind]:
    """Return the errors of a run by kind, as far as they were read."""
    return group_errors(view.run, view.details.errors, view.details.kinds)


def groups_text(view: RunView) -> str:
    """Return how many errors there are, in how many kinds, and whether only the newest were read."""
    total, read = view.run.errors, len(view.details.errors)
    groups = len({error.fingerprint for error in view.details.errors})
    if not total and not read:
        return "none recorded"
    newest = f", the newest {count(read)} read" if read < total else ""
    return f"{count(max(total, read))} in {number_of(groups, 'group')}{newest}"


def errors_block(groups: Sequence[ErrorsOfKind], context: DisplayContext, width: int, *, headed: bool) -> list[Spans]:
    """Return groups as the overview shows them, a line each, under headers where there is room for them."""
    columns = [column for column in GROUPS.layout(width) if width >= 110 or column.key != "last"]
    ellipsis = context.glyphs.ellipsis
    lines = [laid_out(columns, GROUPS.cells(group, context), width, ellipsis=ellipsis) for group in groups]
    return [headers(columns, width), *lines] if headed and groups else lines


def error_lines(errors: ErrorsOfKind, context: DisplayContext) -> list[Spans]:
    """Return the newest error of a group in full: what, when, where, its message and its traceback."""
    error = errors.newest
    where = f" in {safe(error.phase)}" if error.phase else ""
    times = f"{stamp(error.at, context.zone)}{where}"
    if errors.group.errors > 1:
        since = moment(errors.group.first_at, context.now, context.zone)
        times += f"; {count(errors.group.errors)} alike since {since}"
    lines: list[Spans] = [((f" {safe(error.error_type)}", "red bold"), (f"  {times}", "dim"))]
    lines.extend(((f" {line}", "text"),) for line in safe(error.message, newline=True).split("\n"))
    if errors.kind is not None:
        known = known_text(errors.kind, context)
        new = " new" if errors.kind.new else ""
        about = f"; {success_text(errors.kind, context)}"
        lines.append(((new, "red bold"), (f" {known}"[len(new) :] + about, "dim")))
    nothing: Spans = ((" no traceback was recorded with it", "dim"),)
    return [*lines, (), *(traceback_lines(error.traceback) if error.traceback else (nothing,))]


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


MOST_HITS = 1_000
"""The most places that are found: a single letter occurs tens of thousands of times."""

OTHER_HIT = "blue bold on selected"
THIS_HIT = "text bold reverse"


@dataclass(frozen=True, slots=True)
class Hit:
    """One place of the words."""

    text: str
    """The key of the text it is in."""

    line: int
    start: int
    """Characters before it."""

    column: int
    """Cells before it."""


def find_hits(texts: Mapping[str, Sequence[Spans]], words: str) -> tuple[Hit, ...]:
    """Return every place of `words`, text by text in their order, at most MOST_HITS; none for blank words."""
    pattern = _pattern(words)
    if pattern is None:
        return ()
    found = (
        Hit(key, number, place.start(), cell_width(line[: place.start()]))
        for key, lines in texts.items()
        for number, line in enumerate(map(plain_text, lines))
        for place in pattern.finditer(line)
    )
    return tuple(islice(found, MOST_HITS))


def marked(lines: Iterable[Spans], words: str, here: Hit | None = None) -> list[Spans]:
    """Return lines with each place of `words` marked, and the one that is looked at marked most."""
    pattern = _pattern(words)
    if pattern is None:
        return list(lines)
    out = []
    for number, line in enumerate(lines):
        places = [found.span() for found in pattern.finditer(plain_text(line))]
        this = here.start if here is not None and here.line == number else -1
        out.append(_marked(line, places, this) if places else line)
    return out


def _pattern(words: str) -> re.Pattern[str] | None:
    return re.compile(re.escape(words), re.IGNORECASE) if words.strip() else None


def _marked(line: Spans, places: Sequence[tuple[int, int]], this: int) -> Spans:
    text = plain_text(line)
    roles = [role for part, role in line for _ in part]
    for start, end in places:
        roles[start:end] = [THIS_HIT if start == this else OTHER_HIT] * (end - start)
    spans: list[Span] = list(zip(text, roles, strict=True))
    return merge(spans)
