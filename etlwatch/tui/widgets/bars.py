"""The widgets of one line: header, rule and footer.

HealthLine().show(left=[Part(…), …], right=[Part(…), …])
"""

from collections.abc import Sequence

from etlwatch.rendering.lines import Key, Part, footer_line, lay_out, rule_line
from etlwatch.text.spans import Spans
from etlwatch.tui.widgets.span_lines import SpanLines

__all__ = ["Footer", "HealthLine", "Rule"]


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


class Rule(SpanLines):
    """A titled line in the app's glyphs."""

    DEFAULT_CSS = "Rule { height: 1; }"

    def __init__(self, title: Spans = (), *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._title = title

    def show(self, title: Spans) -> None:
        """Show another title."""
        if title != self._title:
            self._title = title
            self.renew()

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the rule for this width."""
        return [rule_line(self._title, width, line=self.glyphs.usual, ellipsis=self.glyphs.ellipsis)]


class Footer(SpanLines):
    """Keys in blue, their words dim."""

    DEFAULT_CSS = "Footer { height: 1; }"

    def __init__(self, keys: Sequence[Key] = (), *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(ground="bar", id=id)
        self._keys = tuple(keys)

    def show(self, keys: Sequence[Key]) -> None:
        """Show other keys."""
        if tuple(keys) != self._keys:
            self._keys = tuple(keys)
            self.renew()

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the keys that fit, in their order."""
        return [footer_line(self._keys, width, ellipsis=self.glyphs.ellipsis)]
