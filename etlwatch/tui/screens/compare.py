"""The screen of two runs side by side: what changed, by its share of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from textual.app import ComposeResult

from etlwatch.analysis.compare import Comparison, compare_runs
from etlwatch.analysis.snapshot import RunsBoard, Snapshot
from etlwatch.commands import GROUPS, bindings_of
from etlwatch.fields.differences import DIFFERENCES, difference_text, name_text, value_text
from etlwatch.reading.gatherer import AskedRuns, Watch
from etlwatch.rendering.compare import conclusion, run_text, same_text
from etlwatch.rendering.lines import PANE_LABEL_CELLS, Part, Row, labelled, sentence_lines
from etlwatch.rendering.run.view import BRIEF_JOB_CELLS, WIDE_JOB_CELLS
from etlwatch.text.display import urgent_role_of
from etlwatch.text.numbers import short_id
from etlwatch.text.safe import cell_width, clip, safe
from etlwatch.text.spans import Spans, plain_text
from etlwatch.tui.screens.base import DashboardScreen
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.span_lines import SpanLines
from tracking_core.dataclass import replace
from tracking_core.identity import format_run_id
from tracking_core.records import Run


class CompareScreen(DashboardScreen):
    """Two runs, or one and the last success of its job."""

    commands = GROUPS["compare"]
    BINDINGS = bindings_of(GROUPS["compare"])

    DEFAULT_CSS = """
    CompareScreen {
        #sides { height: 2; }
        #gap { height: 1; }
        #same { height: 1; }
    }
    """

    def __init__(self, after: int, before: int | None = None) -> None:
        """Compare the run `after` with `before`, by default with the last success of its job."""
        super().__init__()
        self.asked = AskedRuns(after=after, before=before)
        self.all_figures = False
        self.comparison: Comparison | None = None
        self._message: Spans = ((" reading both runs…", "dim"),)

    def body(self) -> ComposeResult:
        """Yield both runs, the table of differences, and what is the same."""
        yield SpanLines(id="sides")
        yield SpanLines([()], id="gap")
        yield LineTable(
            DIFFERENCES.layout(80), empty="reading both runs…", reversed_columns=1, markable=False, id="differences"
        )
        yield SpanLines(id="same")

    # -- drawing

    def on_mount(self) -> None:
        """Focus the table."""
        self.choose_layout()
        self.set_focus(self.query_one(LineTable))

    def watched(self) -> Watch:
        """Return the question for both runs."""
        return replace(super().watched(), board=self.asked)

    def choose_layout(self) -> None:
        """Choose the layout for the terminal's size."""
        width, height = self.app.size
        self.query_one(LineTable).columns = DIFFERENCES.layout(width)
        self.query_one("#second").styles.height = self._conclusion_lines
        self.query_one("#gap").display = height >= 20
        self.query_one("#sides").display = height >= 10
        self.query_one("#same").display = height >= 14

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw both runs as of a snapshot; one that was read for another screen changes nothing."""
        board = snapshot.board
        if not isinstance(board, RunsBoard) or board.after.run_id != self.asked.after:
            return
        if board.after.run is None:
            gone = "had not begun by then" if snapshot.looking_back else "is not in the store any more"
            self._nothing(f"run {format_run_id(self.asked.after)} {gone}")
        elif board.before is None:
            job = safe(board.after.run.job)
            self._nothing(
                f"no run of {job} completed before this one: mark two runs with space and compare them with ="
            )
        elif board.before.run is None:
            self._nothing(f"run {format_run_id(board.before.run_id)} is not in the store any more")
        else:
            self.comparison = compare_runs(board.after, board.before, now=snapshot.at)
            self._draw(self.comparison)

    def _nothing(self, why: str) -> None:
        self.comparison = None
        self._message = ((f" {why}", "text"),)
        self.query_one("#sides", SpanLines).update([(), ()])
        self.query_one("#same", SpanLines).update([()])
        table = self.query_one(LineTable)
        table.set_empty("nothing to compare")
        table.update_rows([])

    def _draw(self, comparison: Comparison) -> None:
        context = self.context
        self._message = ((f" {conclusion(comparison, context)}", "text bold"),)
        after, before = (self._side(run) for run in (comparison.after, comparison.before))
        self.query_one("#sides", SpanLines).update([labelled("before", before), labelled("after", after)])
        same = same_text(comparison)
        self.query_one("#same", SpanLines).update([((f" {same}" if same else " ", "dim"),)])
        shown = comparison.differences if self.all_figures else comparison.changes
        table = self.query_one(LineTable)
        table.set_empty("nothing changed that is worth a line; a shows all figures")
        table.update_rows(
            [
                Row(
                    key=(each.kind, each.what, each.measure, each.note if each.kind == "error" else ""),
                    cells=partial(DIFFERENCES.cells, each, context),
                    role="plain" if each.remarkable else "dim",
                    version=(each, self.size.width),
                )
                for each in shown
            ]
        )

    def _side(self, run: Run) -> Spans:
        context = self.context
        tone = urgent_role_of(run.state)
        words = context.glyphs.text(run_text(run, context, brief=self.brief))
        # A long name leaves room for what differs.
        room = self.size.width - PANE_LABEL_CELLS - cell_width(words) - 6
        return (
            (f"{context.glyphs.state(run.state)} ", tone),
            (f"{clip(safe(run.job), max(8, room), ellipsis=context.glyphs.ellipsis)} ", "text bold"),
            (words, "text"),
        )

    def left_parts(self) -> list[Part]:
        """Return where esc leads, and which runs these are."""
        parts = [Part(((f"{self.context.glyphs.back} back", "dim"),), 3, 2), Part((("compare", "text bold"),), 1, 2)]
        if self.comparison is not None:
            after, before = self.comparison.after, self.comparison.before
            cells = (BRIEF_JOB_CELLS if self.brief else WIDE_JOB_CELLS) - len("against")
            words: Spans = (
                (clip(safe(after.job), cells, ellipsis=self.context.glyphs.ellipsis), "text bold"),
                (f" {short_id(after.id)}", "dim"),
                (" against ", "dim"),
                (f"{safe(before.job)} " if before.job != after.job else "", "text bold"),
                (short_id(before.id), "dim"),
            )
            parts.append(Part(words, 0, 2))
        return parts

    def second_lines(self) -> Sequence[Spans]:
        """Return the conclusion, in two lines where one is short."""
        lines = self._conclusion_lines
        if lines == 1:
            return [self._message]
        role = self._message[0][1]
        phrase = sentence_lines(plain_text(self._message).strip(), self.size.width - 2, role=role, most=lines)
        return [((" ", "plain"), *line) for line in phrase]

    @property
    def _conclusion_lines(self) -> int:
        width, height = self.app.size
        return 2 if width < 110 and height >= 16 else 1

    def footer_texts(self) -> dict[str, str]:
        """Return what the key for all figures does."""
        return {"compare.all": "changes" if self.all_figures else "all figures"}

    # -- commands

    def action_all(self) -> None:
        """Show all figures, or only what changed."""
        self.all_figures = not self.all_figures
        if self.comparison is not None:
            self._draw(self.comparison)
        self.refresh_frame()

    def action_swap(self) -> None:
        """Hold the first run against the second."""
        if self.comparison is not None:
            self.asked = AskedRuns(after=self.comparison.before.run_id, before=self.comparison.after.run_id)
            self.watch_store()

    # -- copying

    def copy_text(self) -> str:
        """Return the conclusion and what changed, as plain lines."""
        comparison = self.comparison
        if comparison is None:
            return ""
        lines = [conclusion(comparison, self.context)]
        for each in comparison.changes:
            before, after = value_text(each, each.before), value_text(each, each.after)
            lines.append(f"{name_text(each)}: {before} → {after} {difference_text(each)}".rstrip())
        return "\n".join(lines)

    def command_arguments(self) -> Sequence[str]:
        """Return the command that compares these runs."""
        before = self.comparison.before.run_id if self.comparison is not None else self.asked.before
        return ["compare", format_run_id(self.asked.after), *([format_run_id(before)] if before is not None else [])]


SCREEN = CompareScreen
