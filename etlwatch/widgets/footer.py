"""The last line of every screen: the keys that matter here, as many as fit.

Owns the look of a key and its word, and which go first when the line is too short. Refuses to own the commands.

    Footer().show([Key("enter", "open", priority=0), Key("q", "quit", priority=3)])
"""

from collections.abc import Sequence
from dataclasses import dataclass

from etlwatch.model.parts import Part, lay_out
from etlwatch.model.spans import Spans
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["Footer", "Key"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key and what it does."""

    key: str
    word: str
    priority: int = 1
    """The highest number is dropped first; 0 is never."""


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
        parts = [Part(((key.key, "blue"), (f" {key.word}", "dim")), key.priority) for key in self._keys]
        return [lay_out(parts, (), width, ellipsis=self.glyphs.ellipsis)]
