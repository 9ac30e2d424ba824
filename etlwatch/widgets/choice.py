"""A choice in a box: `▸ [ Cancel ]`, taken with enter, space or a click.

Owns the look of a choice, with the keys on it and without, and locked. Refuses to own what it does: its owner hears
`Choice.Taken`. The mark and the brackets say where the keys are without any colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from etlwatch.model.spans import Spans, spans_width
from etlwatch.text import safe
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["Choice"]


class Choice(SpanLines, can_focus=True):
    """One choice; see the module."""

    DEFAULT_CSS = "Choice { width: auto; height: 1; margin: 0 2 0 0; }"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "take", "take", show=False)]

    class Taken(Message):
        """Somebody took this choice."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            """The choice, for `@on` selectors."""
            return self.choice

    def __init__(self, label: str, *, locked: bool = False, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(ground="bar", id=id)
        self._label = label
        self._locked = locked
        self.can_focus = not locked

    @property
    def label(self) -> str:
        """What it says."""
        return self._label

    @property
    def locked(self) -> bool:
        """Whether it cannot be taken now."""
        return self._locked

    def show(self, label: str | None = None, *, locked: bool | None = None) -> None:
        """Say something else, lock or unlock; a locked choice loses the keys."""
        self._label = self._label if label is None else label
        if locked is not None and locked != self._locked:
            self._locked = locked
            self.can_focus = not locked
            if locked and self.has_focus:
                self.blur()
        self.renew()
        self.refresh(layout=True)

    def lines_for(self, width: int) -> Sequence[Spans]:  # noqa: ARG002 - as wide as it is
        """Return the choice."""
        return [self._spans()]

    def _spans(self) -> Spans:
        word = f"[ {safe(self._label)} ]"
        if self._locked:
            return (("  ", "plain"), (word, "dim"))
        if self.has_focus:
            return ((f"{self.glyphs.mark} ", "blue"), (word, "blue bold"))
        return (("  ", "plain"), (word, "text"))

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 - Textual's signature
        """Return the cells it takes."""
        return min(spans_width(self._spans()), container.width)

    def watch_has_focus(self, value: bool) -> None:
        """Show whether the keys are here."""
        super().watch_has_focus(value)
        self.renew()

    def on_click(self, event: events.Click) -> None:
        """Take it."""
        event.stop()
        self.action_take()

    def action_take(self) -> None:
        """Tell the owner."""
        if not self._locked:
            self.post_message(self.Taken(self))
