"""Lines of a screen: left and right parts dropped by priority, rules, the footer, labelled lines of a dialog.

lay_out(left, right, width)      left-aligned parts, right-aligned parts, exactly `width` cells
Part(spans, priority=0, gap=2)   0 is never dropped; the highest number goes first
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etlwatch.text.safe import ELLIPSIS, cell_width, clip
from etlwatch.text.spans import Span, Spans, fit, merge, spans_width
from tracking_core.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line that is shown whole or not at all."""

    spans: Spans
    priority: int = 0
    """0 is kept, and clipped if it must be; of the others the highest number is dropped first."""
    gap: int = 2
    """Plain cells before it, unless it is the first of its side."""


def _side(parts: Sequence[Part]) -> Spans:
    out: list[Span] = []
    for part in parts:
        if out:
            out.append((" " * part.gap, "plain"))
        out.extend(part.spans)
    return tuple(out)


def lay_out(
    left: Sequence[Part],
    right: Sequence[Part] = (),
    width: int = 80,
    *,
    margin: int = 1,
    apart: int = 2,
    ellipsis: str = ELLIPSIS,
) -> Spans:
    """Return one line of exactly `width` cells with `margin` cells at both ends.

    The sides keep `apart` cells between them. Parts are dropped, the highest priority number first and the last of
    equals first, until both fit; what is left of the left side is then clipped, and the right side stays.
    """
    shown_left, shown_right = list(left), list(right)
    room = max(0, width - 2 * margin)

    def excess() -> int:
        sides = [spans_width(_side(side)) for side in (shown_left, shown_right) if side]
        return sum(sides) + apart * (len(sides) - 1) - room

    while excess() > 0:
        droppable = [part for part in (*shown_left, *shown_right) if part.priority > 0]
        if not droppable:
            break
        worst = max(part.priority for part in droppable)
        side = shown_left if any(part.priority == worst for part in shown_left) else shown_right
        index = max(index for index, part in enumerate(side) if part.priority == worst)
        del side[index]
    ending = _side(shown_right)
    left_room = room - (spans_width(ending) + apart if ending else 0)
    line = [(" " * margin, "plain")]
    if left_room > 0:
        line += fit(_side(shown_left), left_room, ellipsis=ellipsis)
        line.append((" " * (apart if ending else 0), "plain"))
    line += ending
    return fit(merge(line), width, ellipsis=ellipsis)


def rule_line(title: Spans, width: int, *, line: str = "─", ellipsis: str = ELLIPSIS) -> Spans:
    """Return `─ title ────` in exactly `width` cells, the title clipped if it must be; without one a bare line."""
    if not title:
        return ((line * max(0, width), "faint"),)
    room = max(0, width - 4)
    shown = fit(title, room, ellipsis=ellipsis) if spans_width(title) > room else title
    rest = max(0, width - 3 - spans_width(shown))
    return fit(((f"{line} ", "faint"), *shown, (" ", "plain"), (line * rest, "faint")), width)


@dataclass(frozen=True, slots=True)
class Key:
    """A key and what it does."""

    key: str
    word: str
    priority: int = 1
    """The highest number is dropped first; 0 is never."""


def footer_line(keys: Sequence[Key], width: int, *, ellipsis: str = ELLIPSIS) -> Spans:
    """Return the keys that fit, in their order: keys in blue, their words dim."""
    return lay_out(key_parts(keys), (), width, ellipsis=ellipsis)


def key_parts(keys: Sequence[Key]) -> list[Part]:
    """Return a part for each key: the key in blue, its word dim."""
    return [Part(((key.key, "blue"), (f" {key.word}", "dim")), key.priority) for key in keys]


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


def sentence_lines(words: str, width: int, *, role: str = "text", most: int | None = None) -> list[Spans]:
    """Return a sentence in lines; beyond `most` lines the last one is cut with an ellipsis."""
    lines = wrap(words, width)
    if most is not None and len(lines) > most:
        lines = [*lines[: max(0, most - 1)], " ".join(lines[max(0, most - 1) :])]
    return [((line, role),) for line in lines]


def labelled_lines(
    label: str, phrase: str | Sequence[Spans], width: int, *, role: str = "text", most: int | None = None
) -> list[Spans]:
    """Return lines behind a dim label of eight cells, the first one beside it."""
    room = max(1, width - LABEL_CELLS)
    lines = sentence_lines(phrase, room, role=role, most=most) if isinstance(phrase, str) else list(phrase)
    return [(*fit(((label if index == 0 else "", "dim"),), LABEL_CELLS), *line) for index, line in enumerate(lines)]


PANE_LABEL_CELLS = 9


def labelled(label: str, text: str | Spans) -> Spans:
    """Return one line of a pane: a dim label, then its text."""
    phrase: Spans = ((text, "text"),) if isinstance(text, str) else text
    return ((f" {label:<{PANE_LABEL_CELLS - 1}} ", "dim"), *phrase)
