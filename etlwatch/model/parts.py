"""One line of a left and a right part that never collide: what does not fit is dropped by priority.

Owns the arithmetic of the health line, the footer and the rules. Refuses to own what stands in them.

    lay_out(left, right, width)      left-aligned parts, right-aligned parts, exactly `width` cells
    Part(spans, priority=0, gap=2)   0 is never dropped; the highest number goes first
"""

from collections.abc import Sequence

from etlwatch.model.spans import Span, Spans, fit, merge, spans_width
from etlwatch.text import ELLIPSIS
from tracking_core.dataclass import dataclass

__all__ = ["Part", "lay_out"]


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
