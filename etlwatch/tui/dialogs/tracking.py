"""The dialogs of the tracking switch: a list of switches, then one that turns the chosen switch, Cancel first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from etlwatch.rendering.lines import Key, Row, labelled_lines
from etlwatch.rendering.operations import (
    Failed,
    Scope,
    SwitchStates,
    audit_line,
    consequence,
    runs_lines,
    scope_cells,
    scope_columns,
    scopes,
    standing,
    turned_text,
)
from etlwatch.text.numbers import number_of
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans
from etlwatch.tui.dialogs.base import Box
from etlwatch.tui.operations import actor, read_switches, turn
from etlwatch.tui.widgets.inputs import Choice, Field
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.span_lines import SpanLines
from tracking_core.records import Switch

AUDIT_SHOWN = 3
LEAST_ROWS = 3


class TrackingBox(Box):
    """The switches: of all jobs and of each."""

    DEFAULT_CSS = """
    TrackingBox {
        #switches { margin: 0; height: 6; }
        #below { height: auto; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "read", "read again", show=False),
    ]

    def __init__(self, *, first: str | None = None) -> None:
        """Prepare; the job `first` is listed right below all jobs."""
        super().__init__()
        self._first = first
        self._states: SwitchStates | None = None
        self._scopes: dict[str | None, Scope] = {}
        self._failed: Failed | None = None

    def title_text(self) -> str:
        """Return the title."""
        return f"Tracking {self.dashboard.label}".rstrip()

    def middle(self) -> Iterable[Widget]:
        """Yield the table of switches and the lines below it."""
        yield LineTable(scope_columns(60), empty="reading…", reversed_columns=1, ground="bar", id="switches")
        yield SpanLines(ground="bar", id="below")

    def choices(self) -> Iterable[Choice]:
        """Yield the choice that opens the next dialog."""
        yield Choice("Turn", locked=True, id="act")

    def opened(self) -> None:
        """Read the switches and focus the list, from which nothing is turned."""
        self.query_one("#cancel", Choice).show("Close")
        self.query_one(LineTable).focus()
        self.action_read()

    def action_read(self) -> None:
        """Read the switches."""
        self.do(read_switches, self._read, lambda _: "")

    def _read(self, states: SwitchStates | Failed) -> None:
        if isinstance(states, Failed):
            self._failed = states
        else:
            self._states, self._failed = states, None
            found = scopes(states, first=self._first)
            self._scopes = {scope.job: scope for scope in found}
            self.query_one(LineTable).update_rows(self._rows(states, found))
        self.draw()

    def _rows(self, states: SwitchStates, found: Iterable[Scope]) -> list[Row]:
        """Return a row for each switch; its cells are written when it is drawn, for there may be thousands."""
        context = self.context
        by_job = Counter(run.job for run in states.live)
        rows: list[Row] = []
        for scope in found:
            live = len(states.live) if scope.job is None else by_job[scope.job]
            rows.append(
                Row(
                    key=("all",) if scope.job is None else scope.job,
                    cells=partial(scope_cells, scope, live, context),
                    role="plain" if scope.job is None or live else "dim",
                    version=(scope, live, states.at),
                )
            )
        return rows

    @property
    def chosen(self) -> Scope | None:
        """The switch under the cursor."""
        key = self.query_one(LineTable).cursor_key
        return self._scopes.get(key if isinstance(key, str) else None) if key is not None else None

    # -- drawing

    def draw(self) -> None:
        """Draw the dialog again: the table takes the lines that the text below leaves."""
        if not self.is_mounted:
            return
        super().draw()
        width, room = self._room()
        table = self.query_one(LineTable)
        table.columns = scope_columns(width)
        below = list(self._below(width, max(0, room - LEAST_ROWS - 1)))
        wanted = len(self._scopes) + 1
        table.styles.height = max(2, min(wanted, room - len(below)))
        self.query_one("#below", SpanLines).update(below[: max(0, room - 2)])
        scope = self.chosen
        if scope is None:
            return
        label = f"Turn {'off' if scope.enabled else 'on'} for {scope.name}"
        room_for_label = max(10, width - 30)
        self.query_one("#act", Choice).show(_cut(label, room_for_label), locked=bool(self.refused))

    def _room(self) -> tuple[int, int]:
        rows = self.app.size.height
        width = int(getattr(self.query_one("#box").styles.width, "value", 74)) - 6
        return width, max(3, rows - (3 if rows < 23 else 6))

    def lines(self, width: int, rows: int) -> Sequence[Spans]:  # noqa: ARG002 - all of it is in the table
        """Return no lines: the table comes first."""
        return []

    def _below(self, width: int, rows: int) -> list[Spans]:
        """Return the facts about the switch under the cursor, and the last audit entries."""
        states, scope = self._states, self.chosen
        if self._failed is not None:
            return [(), *labelled_lines("!", f"{self._failed.words}; r reads again", width, role="amber", most=3)]
        if states is None or scope is None:
            return []
        context = self.context
        touched = states.touched(scope.job)
        word = "off" if scope.enabled else "on"
        concerned = number_of(len(touched), "run")
        lines: list[Spans] = [
            (),
            *labelled_lines("Now", standing(scope, context), width, most=2),
            *labelled_lines(word.capitalize(), consequence(scope, states, enable=not scope.enabled), width, most=2),
            *labelled_lines("Live", [((f"{concerned}  ", "text"),)] if not touched else
                            runs_lines(touched, context, width=width - 8, most=2), width),
        ]  # fmt: skip
        if self.refused:
            lines += [(), *self.read_only_lines()]
        if states.audit and rows - len(lines) >= 2:
            shown = [audit_line(entry, context, width=width - 8) for entry in states.audit[:AUDIT_SHOWN]]
            lines += [(), *labelled_lines("Audit", shown, width)]
        return lines[: max(0, rows)]

    def keys(self) -> Sequence[Key]:
        """Return the keys of the list."""
        return (*(() if self.refused else (Key("enter", "turn"),)), Key("r", "read again", 2))

    @on(LineTable.RowHighlighted)
    def _highlighted(self) -> None:
        self.draw()

    # -- turning

    @on(LineTable.RowOpened)
    @on(Choice.Taken, "#act")
    async def _go_on(self) -> None:
        scope, states = self.chosen, self._states
        if scope is None or states is None:
            return
        if self.refused:
            self.dashboard.show_message(self.refused, severity="warning")
            return
        await self.app.push_screen(TurningBox(scope, states, turned=self.action_read))

    def command_arguments(self) -> list[str]:
        """Return the command that shows the switches."""
        return ["tracking", "status"]


class TurningBox(Box):
    """Turns one switch."""

    def __init__(self, scope: Scope, states: SwitchStates, *, turned: Callable[[], None]) -> None:
        """Prepare to turn a switch; `turned` is called once that is done."""
        super().__init__()
        self._scope = scope
        self._states = states
        self._turned = turned
        self._message: Spans = ()

    @property
    def enable(self) -> bool:
        """Whether it is to be turned on."""
        return not self._scope.enabled

    def title_text(self) -> str:
        """Return the title."""
        return f"Turn tracking {'on' if self.enable else 'off'} for {self._scope.name}"

    def middle(self) -> Iterable[Widget]:
        """Return the line for the reason."""
        yield Field((("Reason  ", "dim"),), id="reason")

    def choices(self) -> Iterable[Choice]:
        """Return the choice that turns it."""
        yield Choice(f"Turn {'on' if self.enable else 'off'}", id="act")

    def lines(self, width: int, rows: int) -> Sequence[Spans]:
        """Return its state, the consequence, and the runs concerned."""
        scope, states, context = self._scope, self._states, self.context
        touched = states.touched(scope.job)
        where = self.dashboard.label
        message: list[Spans] = [self._message] if self._message else []
        lines = [
            *labelled_lines("Store", safe(where), width, most=1),
            *labelled_lines("Now", standing(scope, context), width, most=2),
            *labelled_lines("Then", consequence(scope, states, enable=self.enable), width, most=3),
        ]
        name = labelled_lines("As", f"{safe(actor())}, written to the audit", width)
        room = max(1, min(6, rows - len(lines) - len(name) - len(message) - 2))
        verb = "may record again" if self.enable else "can only end once it is off"
        live: list[Spans] = []
        if touched:
            live = [((f"{number_of(len(touched), 'live run')} {verb}:", "text bold"),)]
        live += runs_lines(touched, context, width=width - 8, most=room)
        gap: list[Spans] = [()] if rows > 10 else []
        return [*lines, *labelled_lines("Live", live, width), *name, *message, *gap][-rows:]

    @on(Input.Submitted)
    def _entered(self) -> None:
        """Focus the choice; the same key does not take it."""
        self.query_one("#act").focus()

    @on(Choice.Taken, "#act")
    def _turn(self) -> None:
        reason = self.query_one(Field).text.strip()
        enable, job = self.enable, self._scope.job
        self.query_one("#act", Choice).show("turning…", locked=True)
        self.query_one("#cancel").focus()
        self.do(lambda store: turn(store, enabled=enable, job=job, reason=reason), self._done, self._words)

    def _words(self, result: Switch | Failed) -> str:
        if isinstance(result, Failed):
            return f"tracking was not turned: {result.words}"
        return turned_text(result, self._states.touched(self._scope.job))

    def _done(self, result: Switch | Failed) -> None:
        app = self.dashboard
        if isinstance(result, Failed):
            self._message = ((f"! {result.words}; nothing was changed", "amber bold"),)
            self.query_one("#act", Choice).show("Try again", locked=False)
            self.draw()
            return
        app.show_message(self._words(result))
        app.poller.refresh()
        self.leave()
        self._turned()

    def command_arguments(self) -> list[str]:
        """Return the command that does the same."""
        words = ["tracking", "on" if self.enable else "off"]
        if self._scope.job is not None:
            words += ["--job", self._scope.job]
        elif not self.enable:
            words.append("--all")
        reason = self.query_one(Field).text.strip()
        return [*words, *(["--reason", reason] if reason else [])]


def _cut(label: str, width: int) -> str:
    from etlwatch.text.safe import clip

    return clip(label, width)
