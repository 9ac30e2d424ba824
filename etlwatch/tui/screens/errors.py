"""The screen of the errors of all runs by kind: new ones first, resolved ones last."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Final

from etlwatch.analysis.errors import ErrorKind
from etlwatch.analysis.run_rows import RunRow, verdict_of
from etlwatch.analysis.snapshot import ErrorsBoard, Snapshot
from etlwatch.commands import GROUPS, bindings_of
from etlwatch.fields.errors import KINDS
from etlwatch.reading.gatherer import AskedErrors
from etlwatch.rendering.lines import Part, Row
from etlwatch.rendering.panes import kind_pane, kind_title, kinds_headline
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import count, number_of
from etlwatch.text.spans import Spans
from etlwatch.tui.screens.listing import BoardScreen

WINDOWS: Final = (("24h", 86_400), ("7d", 604_800), ("30d", 2_592_000))


class ErrorsScreen(BoardScreen[ErrorKind]):
    """The kinds of errors of all runs."""

    commands = GROUPS["errors"]
    BINDINGS = bindings_of(GROUPS["errors"])
    in_footer: ClassVar[Mapping[str, tuple[str, str, int] | None]] = {
        "app.errors": None,
        "app.help": ("?", "help", 0),
        "app.pause": ("p", "pause", 3),
    }

    rows_id = "kinds"
    thing = "error"
    fields = KINDS
    empty = "reading the errors…"

    def __init__(self) -> None:
        super().__init__()
        self.window = 0
        self._there_are = 0

    # -- drawing

    def question(self) -> AskedErrors:
        """Ask for the errors of the window."""
        return AskedErrors(window_s=WINDOWS[self.window][1])

    def rows_of(self, snapshot: Snapshot) -> Sequence[ErrorKind] | None:
        """Return the kinds of errors of a snapshot."""
        board = snapshot.board
        if not isinstance(board, ErrorsBoard):
            return None
        self._there_are = board.there_are
        self.fit_job_column({kind.job for kind in board.kinds})
        return board.kinds

    def table_row(self, row: ErrorKind, context: DisplayContext) -> Row:
        """Return a kind's row."""
        return Row(
            key=row.key,
            cells=partial(KINDS.cells, row, context),
            role="dim" if row.mended else "plain",
            version=(row, context.now.astimezone(context.zone).date()),
        )

    def empty_text(self) -> str:
        """Return that the window has no errors, and the key for a longer one."""
        return f"no errors in the last {WINDOWS[self.window][0]}; w looks further back"

    def title_of_selected(self) -> Spans:
        """Return kind, job and run."""
        return kind_title(self.selected, self.context) if self.selected else ()

    def pane_of_selected(self) -> Sequence[Spans]:
        """Return the message, since when it is known, and its last run."""
        return kind_pane(self.selected, self.context, width=self.size.width) if self.selected else ()

    @property
    def current_run(self) -> RunRow | None:
        """The newest run that has the kind under the cursor."""
        run = self.selected.run if self.selected else None
        return None if run is None else RunRow(run=run, verdict=verdict_of(run, now=self.context.now))

    def left_parts(self) -> list[Part]:
        """Return the window, and how many kinds there are."""
        parts = [Part((("errors", "text bold"), (" of all runs", "dim")), 1, 2)]
        if self.known:
            new = sum(kind.new and not kind.mended for kind in self.rows.values())
            parts.append(Part(((f"last {WINDOWS[self.window][0]}", "dim"),), 2, 2))
            listed = count(len(self.rows))
            number = f"{listed} of {count(self._there_are)}" if self._there_are > len(self.rows) else listed
            if new:
                parts.append(Part(((f"{count(new)} new", "red bold"),), 0, 2, "state:new !state:mended"))
            kinds = number_of(len(self.rows), "kind", number)
            parts.append(Part(((kinds, "text"),), 1, 2))
        return [parts[0], *self.filter_parts(), *parts[1:]]

    def second_lines(self) -> Sequence[Spans]:
        """Return how many there are and which is the newest new one."""
        if not self.known:
            return [((" reading the errors…", "dim"),)]
        return [kinds_headline(list(self.rows.values()), self.context, brief=self.brief)]

    def footer_texts(self) -> dict[str, str]:
        """Name the present window, and where esc leads."""
        words = {"errors.window": f"window {WINDOWS[self.window][0]}"}
        return words | ({"errors.back": "all errors"} if self.filter else {})

    def copied(self, key: Hashable | None) -> str:
        """Return a kind and its newest message."""
        kind = self.rows.get(key)
        return f"{kind.error_type}: {kind.message}" if kind else ""

    def command_arguments(self) -> Sequence[str]:
        """Return the command that lists these kinds, with the jobs of the filter."""
        # A filter looks for parts of names, the option for whole ones.
        jobs = (name if "*" in name or "?" in name else f"*{name}*" for name in self.filter.jobs)
        return ["errors", "--group", "--since", WINDOWS[self.window][0], *(f"--job={job}" for job in jobs)]

    # -- commands

    def action_open(self) -> None:
        """Show the errors of the newest run that has the kind under the cursor."""
        row = self.current_run
        if row is not None:
            self.dashboard.open_screen("run", row, "errors")
        elif self.selected is not None:
            self.dashboard.show_message("the run of this error was removed from the store", severity="warning")

    def action_window(self) -> None:
        """Choose the next longer window; after the longest the shortest."""
        self.window = (self.window + 1) % len(WINDOWS)
        self.watch_store()
        self.refresh_frame()


SCREEN = ErrorsScreen
