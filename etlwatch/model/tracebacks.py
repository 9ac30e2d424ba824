"""A traceback as lines in three inks: where in dim, the code in text, what was raised in red.

Owns telling these apart, for plain ones, chained ones and groups. Refuses to own the rest of an error
(`etlwatch.model.run_errors`). Reads lines, not Python: what it does not know is shown as it is.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from etlwatch.model.spans import Spans
from etlwatch.text import safe

__all__ = ["traceback_lines"]

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
