"""The dialog that closes a run whose process no longer ends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from etlwatch.analysis.run_rows import RunRow
from etlwatch.rendering.lines import sentence_lines
from etlwatch.rendering.operations import Failed, NotClosed, closing_lines
from etlwatch.text.numbers import short_id
from etlwatch.text.safe import clip, safe
from etlwatch.text.spans import Spans
from etlwatch.tui.dialogs.base import Box
from etlwatch.tui.operations import actor, close_run
from etlwatch.tui.widgets.inputs import Choice, Field
from tracking_core.records import Run


class ClosingBox(Box):
    """Closes one run; one that is not lost only after its short id was typed."""

    def __init__(self, row: RunRow) -> None:
        """Prepare to close a run that has not ended."""
        super().__init__()
        self._row = row
        self._lost = row.run.state == "lost"
        self._message = ""

    def title_text(self) -> str:
        """Return the title."""
        return f"Close a run of {self.dashboard.label}"

    def middle(self) -> Iterable[Widget]:
        """Return the line for the reason, and the one that confirms."""
        yield Field((("Reason  ", "dim"),), id="reason")
        word = short_id(self._row.run.id)
        yield Field((("Type ", "text"), (word, "text bold"), (" to confirm  ", "text")), cells=6, longest=6, id="word")

    def choices(self) -> Iterable[Choice]:
        """Return the choice that closes it."""
        yield Choice("Close as abandoned" if self._lost else "Close anyway", locked=True, id="act")

    def opened(self) -> None:
        """Show the confirmation for a run that is not lost; show no field if nothing may be changed."""
        self.query_one("#word").display = not self._lost and not self.refused
        self.query_one("#reason").display = not self.refused
        self._unlock()

    @property
    def unlocked(self) -> bool:
        """Whether it may be closed now."""
        if self.refused:
            return False
        typed = self.query_one("#word", Field).text.strip().upper()
        return self._lost or typed == short_id(self._row.run.id)

    @on(Input.Changed)
    def _unlock(self) -> None:
        self.query_one("#act", Choice).show(locked=not self.unlocked)
        self.draw()

    @on(Input.Submitted)
    def _entered(self) -> None:
        """Focus the next step; the same key does not take the choice."""
        self.query_one("#act" if self.unlocked else "#word Input").focus()

    def lines(self, width: int, rows: int) -> Sequence[Spans]:
        """Return the facts about the run and the consequences."""
        ending = self.read_only_lines() or (
            sentence_lines(f"! {self._message}", width, role="amber bold", most=3) if self._message else []
        )
        gap: list[Spans] = [()] if rows > 9 else []
        ending = [*gap, *ending, *gap] if ending else gap
        room = max(1, rows - len(ending))
        return [*closing_lines(self._row, self.context, actor=actor(), width=width, rows=room), *ending]

    @on(Choice.Taken, "#act")
    def _close(self) -> None:
        if not self.unlocked:
            return
        reason = self.query_one("#reason", Field).text.strip()
        run_id, anyway = self._row.run.run_id, not self._lost
        self.query_one("#act", Choice).show("closing…", locked=True)
        self.query_one("#cancel").focus()
        self.do(lambda store: close_run(store, run_id, reason=reason, anyway=anyway), self._done, self._words)

    def _words(self, result: Run | NotClosed | Failed) -> str:
        name = f"{clip(safe(self._row.run.job), 40)} {short_id(self._row.run.id)}"
        if isinstance(result, Failed):
            return f"{name} was not closed: {result.words}"
        if isinstance(result, NotClosed):
            return f"{name}: {result.why}"
        return f"{name} is abandoned now, closed by {actor()}"

    def _done(self, result: Run | NotClosed | Failed) -> None:
        self.dashboard.poller.refresh()
        if isinstance(result, Run):
            self.dashboard.show_message(self._words(result))
            self.leave()
            return
        if isinstance(result, NotClosed):
            # The run cannot be closed: there is nothing to try again.
            self._message = result.why
            self.query_one("#act", Choice).show("Close as abandoned", locked=True)
            self.query_one("#cancel", Choice).show("Leave")
        else:
            self._message = f"{result.words}; nothing was changed"
            self.query_one("#act", Choice).show("Try again", locked=False)
        self.draw()

    def command_arguments(self) -> list[str]:
        """Return the command that does the same."""
        reason = self.query_one("#reason", Field).text.strip()
        words = ["close", self._row.run.id, *([] if self._lost else ["--force"])]
        return [*words, *(["--reason", reason] if reason else [])]
