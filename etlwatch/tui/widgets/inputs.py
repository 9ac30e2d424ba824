"""A line to type in, a prompt in place of the footer, and the choices of a dialog.

A line takes some characters only; others reach the screen, so that its keys work while a number is typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.geometry import Size
from textual.message import Message
from textual.widgets import Input

from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans, spans_width
from etlwatch.tui.widgets.span_lines import SpanLines


class TextInput(Input):
    """An input that takes printable characters, or only some of them."""

    def __init__(self, taken: str = "", *, longest: int = 2_000, id: str | None = None) -> None:  # noqa: A002
        super().__init__(select_on_focus=False, max_length=longest, id=id)
        self._taken = taken

    def start_with(self, text: str) -> None:
        """Set the text, with the cursor behind it."""
        self.value = text
        self.cursor_position = len(text)

    def _matches(self, character: str | None) -> bool:
        return character is not None and character.isprintable() and (not self._taken or character in self._taken)

    def check_consume_key(self, key: str, character: str | None) -> bool:  # noqa: ARG002 - Textual's signature
        """Return whether a key is text for this field, not a key of the screen."""
        return self._matches(character)

    def on_key(self, event: events.Key) -> None:
        """Pass other characters on to the screen."""
        if event.is_printable and not self._matches(event.character):
            event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Paste accepted characters; several lines become one."""
        event.prevent_default()
        event.stop()
        self.insert_text_at_cursor("".join(filter(self._matches, " ".join(event.text.splitlines()))))


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
        self._input = TextInput(taken, longest=longest)
        self._hint = SpanLines(ground="bar")

    def compose(self) -> ComposeResult:
        """Yield the parts."""
        label = SpanLines([self._label], ground="bar", classes="label")
        label.styles.width = spans_width(self._label)
        yield label
        yield SpanLines([(("[", "dim"),)], ground="bar", classes="edge")
        yield self._input
        yield SpanLines([(("]", "dim"),)], ground="bar", classes="edge")
        yield self._hint

    def on_mount(self) -> None:
        """Give the input its width, all of it to type in: the app's own style sheet is stronger than a widget's."""
        self._input.styles.padding = 0
        if self._cells is not None:
            self._input.styles.width = self._cells
        self._hint.styles.width = 0 if self._cells is None else "1fr"

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
        answer_line = self.query_one(".label", SpanLines)
        answer_line.styles.width = spans_width(spans)
        answer_line.update([spans])

    def show_hint(self, spans: Spans) -> None:
        """Show a hint behind the brackets."""
        self._hint.update([(("  ", "plain"), *spans)])

    def type_first(self, character: str) -> None:
        """Focus the field and insert a character that was typed elsewhere."""
        self._input.focus()
        self._input.insert_text_at_cursor(character)


class Prompt(Horizontal):
    """A text field in place of the footer; hidden until it is opened."""

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
        """Yield sign, field and answer."""
        sign = SpanLines([((f" {self._sign} ", "blue bold"),)], ground="bar", id="sign")
        sign.styles.width = len(self._sign) + 2
        yield sign
        yield TextInput()
        yield SpanLines(ground="bar", id="answer")

    @property
    def asking(self) -> bool:
        """Whether it is shown."""
        return bool(self.display)

    @property
    def text(self) -> str:
        """The text of the field."""
        return self.query_one(Input).value

    def ask(self, text: str = "") -> None:
        """Show the field with a text and focus it.

        At once, not with the next frame: over a slow link no typed letter may be lost.
        """
        field = self.query_one(TextInput)
        self.display = True
        self.screen.set_focus(field)
        field.start_with(text)

    def leave(self) -> None:
        """Hide it; the screen sets the focus."""
        self.display = False

    def show_answer(self, answer: Spans) -> None:
        """Show an answer at the right."""
        answer_line = self.query_one("#answer", SpanLines)
        answer_line.styles.width = min(spans_width(answer) + 2, max(self.app.size.width - 24, 10))
        answer_line.update([((" ", "plain"), *answer)])

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        if self.asking:
            self.post_message(self.Typed(message.value))

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.post_message(self.Entered(message.value))


class Choice(SpanLines, can_focus=True):
    """One choice; see the module."""

    DEFAULT_CSS = "Choice { width: auto; height: 1; margin: 0 2 0 0; }"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "take", "take", show=False)]

    class Taken(Message):
        """This choice was taken."""

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
        """Its text."""
        return self._label

    @property
    def locked(self) -> bool:
        """Whether it cannot be taken now."""
        return self._locked

    def show(self, label: str | None = None, *, locked: bool | None = None) -> None:
        """Change the text, lock or unlock; a locked choice loses the focus."""
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
        """Show whether it has the focus."""
        super().watch_has_focus(value)
        self.renew()

    def on_click(self, event: events.Click) -> None:
        """Take it."""
        event.stop()
        self.action_take()

    def action_take(self) -> None:
        """Report that it was taken."""
        if not self._locked:
            self.post_message(self.Taken(self))
