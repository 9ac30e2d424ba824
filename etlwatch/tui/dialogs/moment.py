"""The prompt for a past moment: one line at the bottom of the screen."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from etlwatch.text.moments import ACCEPTED, MomentError, parse_moment
from etlwatch.text.numbers import stamp
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans, spans_width
from etlwatch.tui.dialogs.base import Modal
from etlwatch.tui.widgets.inputs import TextInput
from etlwatch.tui.widgets.span_lines import SpanLines


class TimePrompt(Modal[datetime | None]):
    """Ask for a moment; dismissed with it, or with None."""

    DEFAULT_CSS = """
    TimePrompt {
        Horizontal { dock: bottom; height: 1; width: 100%; background: $surface; }
        #sign { width: 9; }
        Input { width: 1fr; padding: 0; background: $surface; }
        Input:focus { background-tint: $foreground 0%; }
        #answer { width: auto; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "close", show=False)]

    def __init__(self, now: datetime, cursor: datetime | None, zone: tzinfo | None) -> None:
        """Prepare; an empty line means the moment of the time `cursor`, if there is one."""
        super().__init__()
        self._now = now
        self._cursor = cursor
        self._zone = zone

    def compose(self) -> ComposeResult:
        """Lay out sign, input and what is understood."""
        with Horizontal():
            yield SpanLines([((" as of ", "blue bold"),)], ground="bar", id="sign")
            yield TextInput(id="moment")
            yield SpanLines(ground="bar", id="answer")

    def on_mount(self) -> None:
        """Begin empty."""
        self.query_one(TextInput).focus()
        self._typed(Input.Changed(self.query_one(TextInput), ""))

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        if not message.value.strip():
            cursor = stamp(self._cursor, self._zone) if self._cursor is not None else ""
            self._answer(((f"enter: {cursor}" if cursor else ACCEPTED, "dim"),))
            return
        try:
            moment = parse_moment(message.value, now=self._now, zone=self._zone)
        except MomentError as error:
            self._answer(((safe(error), "amber"),))
        else:
            self._answer(((stamp(moment, self._zone), "text"),))

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        if not message.value.strip():
            self.leave(self._cursor)
            return
        try:
            self.leave(parse_moment(message.value, now=self._now, zone=self._zone))
        except MomentError as error:
            self._answer(((safe(error), "amber bold"),))

    def action_close(self) -> None:
        """Change nothing."""
        self.leave()

    def _answer(self, spans: Spans) -> None:
        answer_line = self.query_one("#answer", SpanLines)
        answer_line.styles.width = min(spans_width(spans) + 2, max(self.app.size.width - 40, 20))
        answer_line.update([((" ", "plain"), *spans)])
