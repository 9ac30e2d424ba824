"""The screen of the errors of all runs, by kind: what is new first, what is mended last.

Owns the window and the cursor of its table. Refuses to own the facts and the words (`etlwatch.model.error_groups`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult

from etlwatch.commands import ERRORS_COMMANDS, bindings_of
from etlwatch.gather import Watch
from etlwatch.model.boards import AskedErrors, ErrorsBoard
from etlwatch.model.error_groups import (
    KINDS_80,
    ErrorKind,
    kind_cells,
    kind_columns,
    kind_pane,
    kind_title,
    kinds_headline,
)
from etlwatch.model.numbers import count
from etlwatch.model.parts import Part
from etlwatch.model.rows import RunRow
from etlwatch.model.snapshot import Snapshot
from etlwatch.model.spans import Spans
from etlwatch.model.verdict import judge_run
from etlwatch.screens.base import DashboardScreen
from etlwatch.widgets.footer import Footer
from etlwatch.widgets.header import HealthLine
from etlwatch.widgets.line_table import LineTable, Row
from etlwatch.widgets.rule import Rule
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["ErrorsScreen"]

WINDOWS: Final = (("24h", 86_400), ("7d", 604_800), ("30d", 2_592_000))
PANE_LINES: Final = 2
WIDE_PANE_LINES: Final = 3


class ErrorsScreen(DashboardScreen):
    """The kinds of errors of all runs."""

    commands = ERRORS_COMMANDS
    BINDINGS = bindings_of(ERRORS_COMMANDS)
    in_footer: ClassVar[Mapping[str, tuple[str, str, int] | None]] = {"app.errors": None}

    DEFAULT_CSS = """
    ErrorsScreen {
        #second { height: 1; }
        #gap { height: 1; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.window = 0
        self._kinds: dict[str, ErrorKind] = {}
        self._known = False

    def compose(self) -> ComposeResult:
        """Lay the parts out; which of them are shown follows from the size."""
        yield HealthLine(id="health")
        yield SpanLines(id="second")
        yield SpanLines([()], id="gap")
        yield LineTable(KINDS_80, empty="reading the errors…", reversed_columns=1, id="kinds")
        yield Rule(id="rule")
        yield SpanLines(id="pane")
        yield Footer(id="footer")

    # -- drawing

    def on_mount(self) -> None:
        """Give the keys to the table."""
        self._arrange()
        self.set_focus(self.query_one(LineTable))

    def on_resize(self) -> None:
        """Choose the layout for the new size."""
        self._arrange()

    def on_screen_resume(self) -> None:
        """Ask for the errors while they are in front."""
        app = self.dashboard
        board = AskedErrors(window_s=WINDOWS[self.window][1])
        limit = app.poller.watch.limit
        app.poller.watch = Watch(limit=limit, window=app.window, columns=0, board=board, moment=app.moment)

    def _arrange(self) -> None:
        width, height = self.app.size
        self.query_one(LineTable).columns = kind_columns(width)
        self.query_one("#gap").display = width >= 120 and height >= 28
        self.query_one("#second").display = height >= 8
        self.query("#rule, #pane").set(display=height >= 13)
        self.query_one("#pane").styles.height = WIDE_PANE_LINES if height >= 20 else PANE_LINES

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw the kinds of a snapshot; one that was read for another screen holds none, and changes nothing."""
        board = snapshot.board
        if not isinstance(board, ErrorsBoard):
            return
        self._kinds = {kind.fingerprint: kind for kind in board.kinds}
        self._known = True
        pen = self.pen
        table = self.query_one(LineTable)
        table.set_empty(f"no errors in the last {WINDOWS[self.window][0]}; w looks further back")
        table.update_rows(
            [
                Row(
                    key=kind.fingerprint,
                    cells=partial(kind_cells, kind, pen),
                    role="dim" if kind.mended else "plain",
                    version=(kind, pen.now.astimezone(pen.zone).date()),
                )
                for kind in board.kinds
            ]
        )
        self._draw_pane()

    def _draw_pane(self) -> None:
        kind, pen = self.selected, self.pen
        self.query_one(Rule).show(kind_title(kind, pen) if kind else ())
        lines = WIDE_PANE_LINES if self.size.height >= 20 else PANE_LINES
        self.query_one("#pane", SpanLines).update(kind_pane(kind, pen)[:lines] if kind else ())

    @property
    def selected(self) -> ErrorKind | None:
        """The kind under the cursor."""
        key = self.query_one(LineTable).cursor_key
        return self._kinds.get(key) if isinstance(key, str) else None

    @property
    def run_in_hand(self) -> RunRow | None:
        """The newest run that has the kind under the cursor."""
        run = self.selected.run if self.selected else None
        return None if run is None else RunRow(run=run, verdict=judge_run(run, now=self.pen.now))

    def left_parts(self) -> list[Part]:
        """Return the window, and how many kinds there are."""
        parts = [Part((("errors", "text bold"), (" of all runs", "dim")), 1, 2)]
        if self._known:
            new = sum(kind.new and not kind.mended for kind in self._kinds.values())
            parts.append(Part(((f"last {WINDOWS[self.window][0]}", "dim"),), 2, 2))
            if new:
                parts.append(Part(((f"{count(new)} new", "red bold"),), 0, 2))
            parts.append(
                Part(((f"{count(len(self._kinds))} kind{'' if len(self._kinds) == 1 else 's'}", "text"),), 1, 2)
            )
        return parts

    def second_lines(self) -> Sequence[Spans]:
        """Return how many there are and which is the newest new one."""
        if not self._known:
            return [((" reading the errors…", "dim"),)]
        return [kinds_headline(list(self._kinds.values()), self.pen, brief=self.brief)]

    def footer_words(self) -> dict[str, str]:
        """Name the present window."""
        return {"errors.window": WINDOWS[self.window][0]}

    def copy_text(self) -> str:
        """Return the kind under the cursor."""
        kind = self.selected
        return f"{kind.error_type}: {kind.message}" if kind else ""

    def command_words(self) -> Sequence[str]:
        """Return the command that lists these kinds."""
        return ["errors", "--group", "--since", WINDOWS[self.window][0]]

    # -- commands

    @on(LineTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self._draw_pane()

    @on(LineTable.RowOpened)
    def _row_opened(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Show the errors of the newest run that has the kind under the cursor."""
        from etlwatch.screens.run import RunScreen

        row = self.run_in_hand
        if row is not None:
            self.app.push_screen(RunScreen(row, tab="errors"))
        elif self.selected is not None:
            self.dashboard.say("the run of this error was removed from the store", severity="warning")

    def action_window(self) -> None:
        """Look further back, or from the longest window to the shortest."""
        self.window = (self.window + 1) % len(WINDOWS)
        self.on_screen_resume()
        self.refresh_frame()

    def action_back(self) -> None:
        """Back to the runs."""
        self.app.pop_screen()
