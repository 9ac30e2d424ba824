"""The last line of every screen as a widget. Refuses to own what it says (`etlwatch.model.footer_line`).

Footer().show([Key("enter", "open", priority=0), Key("q", "quit", priority=3)])
"""

from collections.abc import Sequence

from etlwatch.model.footer_line import Key, footer_line
from etlwatch.model.spans import Spans
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["Footer"]


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
