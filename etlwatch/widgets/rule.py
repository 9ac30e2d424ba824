"""A line across the screen with a title set into it: `─ ▲ slow 1.8× p95  crm_contacts_sync 7KQX ─────`.

Owns the line. Refuses to own the title's words and roles.

    Rule((("phases", "bold"),))       a widget, `.show(title)` later
    rule_line(title, width)           the same as spans, to be set beside another in one line
"""

from collections.abc import Sequence

from etlwatch.model.spans import Spans, fit, spans_width
from etlwatch.text import ELLIPSIS
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["Rule", "rule_line"]


def rule_line(title: Spans, width: int, *, line: str = "─", ellipsis: str = ELLIPSIS) -> Spans:
    """Return `─ title ────` in exactly `width` cells, the title clipped if it must be; without one a bare line."""
    if not title:
        return ((line * max(0, width), "faint"),)
    room = max(0, width - 4)
    shown = fit(title, room, ellipsis=ellipsis) if spans_width(title) > room else title
    rest = max(0, width - 3 - spans_width(shown))
    return fit(((f"{line} ", "faint"), *shown, (" ", "plain"), (line * rest, "faint")), width)


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
