"""A line across the screen with a title set into it, as a widget. Refuses to own the line (`etlwatch.model.rule_line`).

Rule((("phases", "bold"),))       `.show(title)` later
"""

from collections.abc import Sequence

from etlwatch.model.rule_line import rule_line
from etlwatch.model.spans import Spans
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["Rule"]


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
