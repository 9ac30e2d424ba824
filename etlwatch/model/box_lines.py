"""Lines of a box: labelled sentences that wrap, and a line split into a left and a right part.

Owns the wrapping. Refuses to own what a box says (`switching`, `removal`, `closing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etlwatch.model.spans import Spans, fit
from etlwatch.text import cell_width, clip

__all__ = ["LABEL_CELLS", "labelled_lines", "told", "wrap"]

LABEL_CELLS: Final = 8


def wrap(words: str, width: int) -> list[str]:
    """Return text in lines of at most `width` cells, broken between words; a word too long for a line is cut in two."""
    width = max(1, width)
    lines: list[str] = []
    line = ""
    for word in words.split(" "):
        longer = f"{line} {word}" if line else word
        if cell_width(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while cell_width(word) > width:
            # A wide character may not fit a single cell; it goes on alone and is clipped when drawn.
            head = clip(word, width, ellipsis="") or word[:1]
            lines.append(head)
            word = word[len(head) :]
        line = word
    return [*lines, line] if line or not lines else lines


def told(words: str, width: int, *, role: str = "text", most: int | None = None) -> list[Spans]:
    """Return a sentence in lines; beyond `most` lines the last one says that something is missing."""
    lines = wrap(words, width)
    if most is not None and len(lines) > most:
        lines = [*lines[: max(0, most - 1)], " ".join(lines[max(0, most - 1) :])]
    return [((line, role),) for line in lines]


def labelled_lines(
    label: str, said: str | Sequence[Spans], width: int, *, role: str = "text", most: int | None = None
) -> list[Spans]:
    """Return lines behind a dim label of eight cells; further lines stand below the first."""
    room = max(1, width - LABEL_CELLS)
    lines = told(said, room, role=role, most=most) if isinstance(said, str) else list(said)
    return [(*fit(((label if index == 0 else "", "dim"),), LABEL_CELLS), *line) for index, line in enumerate(lines)]
