"""Line 1 of every screen: how it stands at the left, how fresh that is at the right.

Owns what is dropped first when the line is too short. Refuses to own what it says.

    HealthLine().show(left=[Part(…), …], right=[Part(…), …])
"""

from collections.abc import Sequence

from etlwatch.model.parts import Part, lay_out
from etlwatch.model.spans import Spans
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["HealthLine"]


class HealthLine(SpanLines):
    """A line of two sides: the right one stays, the left one loses its least important parts."""

    DEFAULT_CSS = "HealthLine { height: 1; }"

    def __init__(self, *, ground: str = "bar", id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(ground=ground, id=id)
        self._parts: tuple[tuple[Part, ...], tuple[Part, ...]] = ((), ())

    def show(self, left: Sequence[Part], right: Sequence[Part] = ()) -> None:
        """Show other parts; only the cells that differ are sent."""
        if (tuple(left), tuple(right)) != self._parts:
            self._parts = (tuple(left), tuple(right))
            self.renew()

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the line for this width."""
        left, right = self._parts
        return [lay_out(left, right, width, ellipsis=self.glyphs.ellipsis)]
