"""Lines of a screen: left and right parts dropped by priority, rules, the footer, labelled lines, rows of a table.

lay_out(left, right, width)      left-aligned parts, right-aligned parts, exactly `width` cells
Part(spans, priority=0, gap=2)   0 is never dropped; the highest number goes first
Row(key=run_id, cells={"job": (("crm", "plain"),)}, role="dim")
row_spans(row, placed(columns, width), glyphs, marked=False)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, TypeAlias

from etlwatch.text.display import Glyphs
from etlwatch.text.safe import ELLIPSIS, cell_width, clip, clip_middle
from etlwatch.text.spans import GUTTER, Placed, Span, Spans, fit, in_glyphs, merge, spans_width
from tracking_core.dataclass import dataclass, field


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line that is shown whole or not at all."""

    spans: Spans
    priority: int = 0
    """0 is kept, and clipped if it must be; of the others the highest number is dropped first."""
    gap: int = 2
    """Plain cells before it, unless it is the first of its side."""
    filter: str = ""
    """What a click on it filters by."""


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
    room = max(0, width - 2 * margin)
    shown_left, shown_right = fitting(left, right, room, apart)
    ending = _side(shown_right)
    left_room = room - (spans_width(ending) + apart if ending else 0)
    line = [(" " * margin, "plain")]
    if left_room > 0:
        line += fit(_side(shown_left), left_room, ellipsis=ellipsis)
        line.append((" " * (apart if ending else 0), "plain"))
    line += ending
    return fit(merge(line), width, ellipsis=ellipsis)


def filter_at(left: Sequence[Part], right: Sequence[Part], width: int, x: int) -> str:
    """Return the filter of the left part in cell `x` of a line that `lay_out` made; '' for none."""
    shown, _ = fitting(left, right, max(0, width - 2), 2)
    for place, part in enumerate(shown):
        until = 1 + spans_width(_side(shown[: place + 1]))
        if until - spans_width(part.spans) <= x < until:
            return part.filter
    return ""


def fitting(left: Sequence[Part], right: Sequence[Part], room: int, apart: int) -> tuple[list[Part], list[Part]]:
    """Return the parts of both sides that `lay_out` shows in `room` cells."""
    shown_left, shown_right = list(left), list(right)

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
    return shown_left, shown_right


def rule_line(title: Spans, width: int, *, line: str = "─", ellipsis: str = ELLIPSIS) -> Spans:
    """Return `─ title ────` in exactly `width` cells, the title clipped if it must be; without one a bare line."""
    if not title:
        return ((line * max(0, width), "faint"),)
    room = max(0, width - 4)
    shown = fit(title, min(room, spans_width(title)), ellipsis=ellipsis)
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
    """Return the keys that fit, in their order: keys in blue, or bold without colours, their words dim."""
    return lay_out(key_parts(keys), (), width, ellipsis=ellipsis)


def key_parts(keys: Sequence[Key]) -> list[Part]:
    """Return a part for each key: the key in blue, its word dim."""
    return [Part(((key.key, "blue strong"), (f" {key.word}", "dim")), key.priority) for key in keys]


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


def wrapped_lines(label: str, words: str, width: int) -> list[Spans]:
    """Return a text behind its label in one line of a pane or, where that is too narrow, in two; none for ''."""
    lines = sentence_lines(words, width - PANE_LABEL_CELLS - 2, most=2) if words else []
    return [labelled(label if place == 0 else "", line) for place, line in enumerate(lines)]


def labelled(label: str, text: str | Spans) -> Spans:
    """Return one line of a pane: a dim label, then its text."""
    phrase: Spans = ((text, "text"),) if isinstance(text, str) else text
    return ((f" {label:<{PANE_LABEL_CELLS - 1}} ", "dim"), *phrase)


Cells: TypeAlias = Mapping[str, Spans]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table: its key, its cells and its colour."""

    key: Hashable
    """What the selection stays on; unique in the table."""
    cells: Cells | Callable[[], Cells] = field(compare=False)
    """Spans by column key, a missing key is an empty cell; a function is called only when the row is drawn."""
    role: str = "plain"
    """The role of `plain` in its cells: `dim` for rows without a problem."""
    version: object = None
    """With `cells` a function: equal means that nothing has changed."""
    badge: str = ""
    """One cell in the gutter, if the row is not marked."""
    _computed: list[Cells] = field(default_factory=list, compare=False, repr=False)
    """The cells that the function returned, once it was called."""

    def drawn(self) -> Cells:
        """Return the cells; a function is called once, when they are asked for first."""
        if not callable(self.cells):
            return self.cells
        if not self._computed:
            self._computed.append(self.cells())
        return self._computed[0]

    def same_as(self, other: Row) -> bool:
        """Return whether both draw the same, without computing a cell."""
        # Two functions are compared by the version alone, which `==` does.
        computed = callable(self.cells) and callable(other.cells)
        return self is other or (self == other and (computed or self.cells == other.cells))


def row_spans(row: Row, places: Sequence[Placed], glyphs: Glyphs, *, marked: bool, cursor: str = " ") -> Spans:
    """Return a row as spans from the gutter to its last column, `plain` resolved to the row's own role."""
    cells = row.drawn()
    out: list[Span] = [
        (cursor, "plain" if cursor == " " else "blue"),
        (glyphs.mark if marked else row.badge or " ", "blue"),
    ]
    x = GUTTER
    own = row.role
    for at in places:
        if at.x > x:
            out.append((" " * (at.x - x), "plain"))
        phrase = in_glyphs(cells.get(at.column.key, ()), glyphs)
        if at.column.cut_middle:
            phrase = tuple((clip_middle(text, at.width, ellipsis=glyphs.ellipsis), role) for text, role in phrase)
        for text, role in fit(phrase, at.width, at.column.align, ellipsis=glyphs.ellipsis):
            out.append((text, own if role == "plain" else role))
        x = at.x + at.width
    return tuple(out)


def cursor_spans(
    row: Row, places: Sequence[Placed], glyphs: Glyphs, *, marked: bool, shades: bool, reversed_columns: int = 2
) -> Spans:
    """Return the row under the cursor; without `shades` for a ground of its own, its leading columns are reversed."""
    spans = row_spans(row, places, glyphs, marked=marked, cursor=glyphs.cursor)
    if shades or not places or not reversed_columns:
        return spans
    last = places[min(reversed_columns, len(places)) - 1]
    return _reversed(spans, 1, last.x + last.width + 1)


def header_spans(places: Sequence[Placed], width: int, glyphs: Glyphs, sort: tuple[str, bool] | None) -> Spans:
    """Return the header, with an arrow for a column key and whether descending.

    The arrow is after the heading, or before one that fills its column.
    """
    line = [" "] * width
    for at in places:
        header, x = clip(at.column.header, at.width, ellipsis=glyphs.ellipsis), at.x
        room = at.width - cell_width(header)
        if sort is not None and sort[0] == at.column.key:
            arrow = glyphs.descending if sort[1] else glyphs.ascending
            if room >= 2:
                header, room = f"{header} {arrow}", room - 2
            else:
                line[x - 1] = arrow
        if at.column.align == "right":
            x += room
        line[x : x + len(header)] = header
    return (("".join(line), "dim"),)


def _reversed(spans: Spans, start: int, stop: int) -> Spans:
    """Return spans with the cells from `start` to `stop` reversed and bold."""
    out: list[Span] = []
    x = 0
    for text, role in spans:
        for character in text:
            out.append((character, "text bold reverse" if start <= x < stop else role))
            x += cell_width(character)
    return merge(out)
