"""The base of screens with a list: a table with filter, order and marks, and a pane for the row under the cursor."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.events import Click
from textual.widget import Widget

from etlwatch.analysis.filter import Filter, FilterError
from etlwatch.analysis.snapshot import Snapshot
from etlwatch.fields.field import FieldList, Order
from etlwatch.reading.gatherer import AskedBoard, Watch
from etlwatch.rendering.lines import Part, Row
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import count
from etlwatch.text.safe import cell_width, safe
from etlwatch.text.spans import Column, Spans
from etlwatch.tui.screens.base import DashboardScreen
from etlwatch.tui.widgets.inputs import Prompt
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.span_lines import HealthLine, Rule, SpanLines
from tracking_core.dataclass import replace

T = TypeVar("T")


class ListScreen(DashboardScreen, Generic[T]):
    """A screen with a table of rows."""

    rows_id: ClassVar[str]
    """The id of the table, and the name of its stored order."""

    fields: ClassVar[FieldList[Any]]
    empty: ClassVar[str]
    """The text in the table until the first answer."""

    reversed_columns: ClassVar[int] = 1
    most_pane_lines: ClassVar[tuple[int, int]] = (3, 3)
    """Of a narrow and of a wide terminal."""

    DEFAULT_CSS = """
    ListScreen .gap { height: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.order = Order()
        self.filter: Filter[Any] = Filter()
        self.rows: dict[Hashable, T] = {}
        """All rows by their keys, those that need attention first."""

        self.matching = 0
        """Rows that pass the filter."""

        self.longest_job = 0
        """Cells of the longest name in the column of the jobs."""

        self._filter_before = ""

    # -- for subclasses

    def above_the_table(self) -> Iterable[Widget]:
        """Return the widgets between line 2 and the table."""
        return (SpanLines([()], classes="gap"),)

    def lay_out(self, width: int, height: int) -> None:
        """Show what there is room for."""
        self.query(".gap").set(display=width >= 120 and height >= 28)
        self.query_one("#second").display = height >= 8
        self.set_pane_lines(0 if height < 13 else self.most_pane_lines[width >= 120] if height >= 24 else 2)

    def draw_table(self) -> None:
        """Draw the rows that pass the filter in their order, and set `matching`."""
        raise NotImplementedError

    def title_of_selected(self) -> Spans:
        """Return the title in the rule above the pane."""
        raise NotImplementedError

    def pane_of_selected(self) -> Sequence[Spans]:
        """Return the lines about the row under the cursor, most important first."""
        raise NotImplementedError

    def copied(self, key: Hashable | None) -> str:
        """Return what `y` copies of a row; '' for nothing."""
        raise NotImplementedError

    def action_open(self) -> None:
        """Open the row under the cursor."""
        raise NotImplementedError

    # -- drawing

    @property
    def selected(self) -> T | None:
        """The row under the cursor."""
        return self.rows.get(self.table.cursor_key)

    def fit_job_column(self, jobs: Collection[str]) -> None:
        """Make the column of the jobs as wide as the longest name, as far as there is room."""
        longest = max((cell_width(safe(job)) for job in jobs), default=0)
        if longest != self.longest_job:
            self.longest_job = longest
            self.table.columns = self.columns_at(self.app.size.width)

    def columns_at(self, width: int) -> tuple[Column, ...]:
        """Return the columns of the table in a terminal of `width` cells."""
        return self.fields.layout(width, longest_job=self.longest_job)

    def body(self) -> ComposeResult:
        """Yield the parts; which of them are shown follows from the size."""
        yield from self.above_the_table()
        columns = self.fields.layout(80)
        yield LineTable(columns, empty=self.empty, reversed_columns=self.reversed_columns, id=self.rows_id)
        yield Rule(id="rule")
        yield SpanLines(id="pane")
        yield Prompt("/", id="prompt")

    def on_mount(self) -> None:
        """Focus the table, sorted as it was last since the start."""
        self.choose_layout()
        self.order = self.dashboard.orders.get(self.rows_id, Order())
        self.set_focus(self.table)

    def choose_layout(self) -> None:
        """Choose the layout for the terminal's size."""
        width, height = self.app.size
        self.table.columns = self.columns_at(width)
        self.lay_out(width, height)

    def set_pane_lines(self, lines: int) -> None:
        """Set the lines of the pane; 0 hides it."""
        self.query("#rule, #pane").set(display=lines > 0)
        self.query_one("#pane").styles.height = max(1, lines)

    @property
    def table(self) -> LineTable:
        """The list."""
        return self.query_one(f"#{self.rows_id}", LineTable)

    @property
    def _visible(self) -> list[str]:
        return [column.key for column in self.table.columns]

    def draw_pane(self) -> None:
        """Draw the pane of the row under the cursor."""
        self.query_one(Rule).show(self.title_of_selected())
        pane = self.query_one("#pane", SpanLines)
        height = pane.styles.height
        pane.update(self.pane_of_selected()[: int(height.value) if height is not None else 2])

    def filter_parts(self) -> list[Part]:
        """Return the filter if there is one and how many rows pass it, a chosen order, and how many are marked."""
        parts = []
        if self.filter:
            numbers = f"  {count(self.matching)} of {count(len(self.rows))}"
            parts.append(Part(((f"/{safe(self.filter.text)}", "blue"), (numbers, "dim")), 0, 2, self.filter.text))
        if self.order != Order():
            parts.append(Part(((self.fields.order_text(self.order, self.context.glyphs), "blue"),)))
        marked = len(self.table.marked)
        if marked:
            parts.append(Part(((f"{count(marked)} marked", "blue"),), 1, 2))
        return parts

    def copy_text(self) -> str:
        """Return the marked rows in their order, else the one under the cursor."""
        table = self.table
        keys = [row.key for row in table.rows if row.key in table.marked] or [table.cursor_key]
        return "\n".join(filter(None, map(self.copied, keys)))

    # -- commands

    @on(LineTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self.draw_pane()

    @on(LineTable.RowOpened)
    def _row_opened(self) -> None:
        self.action_open()

    @on(LineTable.RowMarked)
    def _row_marked(self) -> None:
        self.refresh_frame()

    @on(Click, "#health")
    def _health_clicked(self, message: Click) -> None:
        """Filter by the state whose count was clicked; a click on the filter shows all rows again."""
        chosen = self.query_one(HealthLine).filter_at(message.x)
        if chosen:
            self.apply_filter("" if chosen == self.filter.text else chosen)

    @on(LineTable.SortRequested)
    def _sort_requested(self, message: LineTable.SortRequested) -> None:
        if message.column == self.order.column:
            self.action_invert()
        elif message.column in self.fields.orders:
            self._reorder(Order(message.column))

    def action_sort(self, step: int) -> None:
        """Sort by the next column."""
        self._reorder(self.fields.next(self.order, step, self._visible))

    def action_invert(self) -> None:
        """Invert the order."""
        self._reorder(Order(self.order.column, not self.order.inverted))

    def _reorder(self, order: Order) -> None:
        self.order = self.dashboard.orders[self.rows_id] = order
        self.draw_table()
        self.refresh_frame()

    def action_mark(self) -> None:
        """Mark the row under the cursor, or unmark it."""
        self.table.action_mark()

    def action_back(self) -> None:
        """Back one step: prompt, filter, marks, order, screen."""
        if self.prompting:
            self._close_prompt(self._filter_before)
        elif self.filter.text:
            self.apply_filter("")
        elif self.table.marked:
            self.table.unmark()
            self.refresh_frame()
        elif self.order != Order():
            self._reorder(Order())
        else:
            super().action_back()

    # -- the filter

    def action_filter(self) -> None:
        """Open the prompt on the present filter."""
        self._filter_before = self.filter.text
        self.open_prompt(self.filter.text)
        self.apply_filter(self.filter.text)

    @on(Prompt.Typed)
    def _typed(self, message: Prompt.Typed) -> None:
        if self.prompting and not isinstance(message, Prompt.Entered):
            self.apply_filter(message.text)

    @on(Prompt.Entered)
    def _entered(self, message: Prompt.Entered) -> None:
        try:
            self.fields.filter(message.text)
        except FilterError:
            # The prompt stays open with the error; `esc` restores the filter before.
            self.apply_filter(message.text)
        else:
            self._close_prompt(message.text)

    def _close_prompt(self, text: str) -> None:
        self.close_prompt()
        self.set_focus(self.table)
        self.apply_filter(text)

    def apply_filter(self, text: str) -> None:
        """Filter by `text`; an invalid one is reported and the last valid filter kept."""
        answer: Spans = ()
        try:
            self.filter = self.fields.filter(text, self.dashboard.settings.zone)
        except FilterError as error:
            answer = ((safe(error), "amber"),)
            if not self.prompting:
                self.dashboard.show_message(str(error), severity="warning")
        self.draw_table()
        self.draw_pane()
        self.query_one(Prompt).show_answer(answer or ((f"{count(self.matching)} of {count(len(self.rows))}", "dim"),))
        self.refresh_frame()


class BoardScreen(ListScreen[T]):
    """A list that is read only while it is in front: a question for each poll, and the rows of its answer."""

    thing: ClassVar[str]
    """What a row is called in a sentence."""

    known = False
    """Whether the question was answered."""

    def question(self) -> AskedBoard:
        """Return what is asked at each poll."""
        raise NotImplementedError

    def rows_of(self, snapshot: Snapshot) -> Sequence[T] | None:
        """Return the rows of a snapshot, in the order of need; None when it was read for another screen."""
        raise NotImplementedError

    def table_row(self, row: T, context: DisplayContext) -> Row:
        """Return a row of the table."""
        raise NotImplementedError

    def empty_text(self) -> str:
        """Return the text of a table that has no rows, without a filter."""
        raise NotImplementedError

    def watched(self) -> Watch:
        """Return the question, without the charts of all runs."""
        return replace(super().watched(), board=self.question())

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw the rows of a snapshot."""
        rows = self.rows_of(snapshot)
        if rows is None:
            return
        context = self.context
        self.rows, self.known = {self.table_row(row, context).key: row for row in rows}, True
        self.draw_table()
        self.draw_pane()

    def draw_table(self) -> None:
        """Draw the rows that pass the filter."""
        context = self.context
        rows = (row for row in self.rows.values() if self.filter.matches(row, context.now))
        shown = [self.table_row(row, context) for row in self.fields.sort(rows, self.order)]
        self.matching = len(shown)
        nothing = f"no {self.thing} fits {safe(self.filter.text)}; esc shows all" if self.rows else self.empty_text()
        self.table.set_empty(nothing if self.known else self.empty)
        self.table.update_rows(shown, sort=self.fields.arrow(self.order))
