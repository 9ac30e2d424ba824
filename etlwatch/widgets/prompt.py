"""One line to type into, in the footer's place, with an answer at its right.

Owns the field and the look of both. Refuses to own what the text means: its owner answers with `says`.

    prompt = Prompt("/")
    prompt.ask("state:lost")        shows it with this text and takes the keys, at once
    prompt.says((("3 of 14", "dim"),))
    Prompt.Typed, Prompt.Entered    its messages, with `text`
"""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from etlwatch.model.spans import Spans, spans_width
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["Prompt"]


class Prompt(Horizontal):
    """A field for a line of text; hidden until somebody is asked."""

    DEFAULT_CSS = """
    Prompt {
        height: 1;
        display: none;
        background: $surface;
        SpanLines { height: 1; width: auto; }
        Input { width: 1fr; padding: 0; background: $surface; }
        Input:focus { background-tint: $foreground 0%; }
    }
    """

    class Typed(Message):
        """The text has changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Entered(Typed):
        """The text is meant so."""

    def __init__(self, sign: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._sign = sign

    def compose(self) -> ComposeResult:
        """Lay out sign, field and answer."""
        sign = SpanLines([((f" {self._sign} ", "blue bold"),)], ground="bar", id="sign")
        sign.styles.width = len(self._sign) + 2
        yield sign
        yield Input(select_on_focus=False)
        yield SpanLines(ground="bar", id="says")

    @property
    def asking(self) -> bool:
        """Whether it is shown."""
        return bool(self.display)

    @property
    def text(self) -> str:
        """What stands in the field."""
        return self.query_one(Input).value

    def ask(self, text: str = "") -> None:
        """Show the field with a text and give it the keys.

        At once, not with the next frame: whoever types ahead over a slow link must not have lost a letter.
        """
        field = self.query_one(Input)
        self.display = True
        self.screen.set_focus(field)
        field.value = text
        field.cursor_position = len(text)

    def leave(self) -> None:
        """Hide it; its owner gives the keys to somebody else."""
        self.display = False

    def says(self, answer: Spans) -> None:
        """Show an answer at the right."""
        told = self.query_one("#says", SpanLines)
        told.styles.width = min(spans_width(answer) + 2, max(self.app.size.width - 24, 10))
        told.update([((" ", "plain"), *answer)])

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        if self.asking:
            self.post_message(self.Typed(message.value))

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.post_message(self.Entered(message.value))
