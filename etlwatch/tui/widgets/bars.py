"""The widgets of one line: header, rule and footer.

HealthLine().show(([Part(…), …], [Part(…), …]))
"""

from collections.abc import Sequence
from typing import TypeAlias

from etlwatch.rendering.lines import Key, Part, footer_line, lay_out, rule_line
from etlwatch.text.spans import Spans
from etlwatch.tui.widgets.span_lines import ValueLines

Sides: TypeAlias = tuple[Sequence[Part], Sequence[Part]]
"""The parts at the left and at the right."""


class HealthLine(ValueLines[Sides]):
    """A line of two sides: the right one stays, the left one loses its least important parts."""

    DEFAULT_CSS = "HealthLine { height: 1; }"

    def __init__(self, value: Sides = ((), ()), *, ground: str = "bar", id: str | None = None) -> None:  # noqa: A002
        super().__init__(value, ground=ground, id=id)

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the line for this width."""
        return [lay_out(*self.value, width, ellipsis=self.glyphs.ellipsis)]


class Rule(ValueLines[Spans]):
    """A horizontal line with a title in it."""

    DEFAULT_CSS = "Rule { height: 1; }"

    def __init__(self, title: Spans = (), *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(title, id=id)

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the rule for this width."""
        return [rule_line(self.value, width, line=self.glyphs.usual, ellipsis=self.glyphs.ellipsis)]


class Footer(ValueLines[Sequence[Key]]):
    """Keys in blue, their texts dim."""

    DEFAULT_CSS = "Footer { height: 1; }"

    def __init__(self, keys: Sequence[Key] = (), *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(keys, ground="bar", id=id)

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the keys that fit, in their order."""
        return [footer_line(self.value, width, ellipsis=self.glyphs.ellipsis)]
