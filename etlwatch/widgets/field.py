"""A line to type in: a label, brackets around what is typed, and a word behind.

Owns the three parts and which characters are taken; others go on to the screen, so that its keys work while a number is
typed. Refuses to own what the text means: its owner hears Textual's `Input.Changed` and `Input.Submitted`.
"""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from etlwatch.model.spans import Spans, spans_width
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["Field"]


class _Typed(Input):
    """An input that takes some characters only."""

    def __init__(self, taken: str, *, longest: int, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(select_on_focus=False, max_length=longest, id=id)
        self._taken = taken

    def _takes(self, character: str | None) -> bool:
        return character is not None and character.isprintable() and (not self._taken or character in self._taken)

    def check_consume_key(self, key: str, character: str | None) -> bool:  # noqa: ARG002 - Textual's signature
        """Say which keys are typed here and are no keys of the screen."""
        return self._takes(character)

    def on_key(self, event: events.Key) -> None:
        """Let what is not taken go on to the screen."""
        if event.is_printable and not self._takes(event.character):
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Take only what may be typed."""
        if self._taken:
            event.prevent_default()
            event.stop()
            self.insert_text_at_cursor("".join(each for each in event.text if each in self._taken))


class Field(Horizontal):
    """One line to type in; see the module."""

    DEFAULT_CSS = """
    Field {
        height: 1;
        SpanLines { height: 1; width: auto; }
        .edge { width: 1; }
        Input { height: 1; padding: 0; border: none; background: $surface; width: 1fr; }
        Input:focus { border: none; background: $surface; background-tint: $foreground 0%; }
    }
    """

    def __init__(
        self,
        label: Spans,
        *,
        cells: int | None = None,
        taken: str = "",
        longest: int = 2_000,
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        """Make a line of `cells` to type in (None: all there is); `taken` are the characters it takes, '' for all."""
        super().__init__(id=id)
        self._label = label
        self._cells = cells
        self._input = _Typed(taken, longest=longest)
        self._says = SpanLines(ground="bar")

    def compose(self) -> ComposeResult:
        """Lay the parts out."""
        label = SpanLines([self._label], ground="bar", classes="label")
        label.styles.width = spans_width(self._label)
        yield label
        yield SpanLines([(("[", "dim"),)], ground="bar", classes="edge")
        yield self._input
        yield SpanLines([(("]", "dim"),)], ground="bar", classes="edge")
        yield self._says

    def on_mount(self) -> None:
        """Give the input its width, all of it to type in: the app's own style sheet is stronger than a widget's."""
        self._input.styles.padding = 0
        if self._cells is not None:
            self._input.styles.width = self._cells
        self._says.styles.width = 0 if self._cells is None else "1fr"

    @property
    def input(self) -> Input:
        """What is typed in."""
        return self._input

    @property
    def text(self) -> str:
        """What was typed."""
        return self._input.value

    def label(self, spans: Spans) -> None:
        """Show another label."""
        told = self.query_one(".label", SpanLines)
        told.styles.width = spans_width(spans)
        told.update([spans])

    def say(self, spans: Spans) -> None:
        """Say something behind the brackets."""
        self._says.update([(("  ", "plain"), *spans)])

    def type_first(self, character: str) -> None:
        """Take the keys, beginning with a character typed while they were elsewhere."""
        self._input.focus()
        self._input.insert_text_at_cursor(character)
