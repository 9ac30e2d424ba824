"""The first screen: how the fleet is, what to look at, and every run there is.

Owns filter, order, window and cursor of the runs table, and which row its pane is about. Refuses to own the facts
(`etlwatch.model`) and the drawing of its parts (`etlwatch.widgets`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal

from etlwatch.commands import HOME_COMMANDS, Command, bindings_of
from etlwatch.gather import Watch
from etlwatch.gather_listing import MOST_LISTED, OLDER_PAGE
from etlwatch.model.filter import Filter, FilterError, parse_filter
from etlwatch.model.fleet_view import fleet_charts, fleet_sparks
from etlwatch.model.health import Counts, count_states, headline, outage_line, state_parts
from etlwatch.model.layout import HomeLayout, home_layout
from etlwatch.model.numbers import count
from etlwatch.model.ordering import Order, next_order, sort_rows
from etlwatch.model.pane import pane_lines, pane_title
from etlwatch.model.parts import Part
from etlwatch.model.rows import RunRow, build_rows
from etlwatch.model.run_cells import row_role, run_cells
from etlwatch.model.run_columns import RUNS_80, run_columns
from etlwatch.model.series import WINDOWS
from etlwatch.model.snapshot import FleetSeries, Snapshot
from etlwatch.model.spans import Spans
from etlwatch.screens.base import DashboardScreen
from etlwatch.text import safe
from etlwatch.widgets.charts import BlockChart, SparkLines
from etlwatch.widgets.footer import Footer
from etlwatch.widgets.header import HealthLine
from etlwatch.widgets.line_table import LineTable, Row
from etlwatch.widgets.prompt import Prompt
from etlwatch.widgets.rule import Rule
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["HomeScreen"]

NO_RUNS = "no runs yet: a job that imports tracking_core appears here by itself; `etlwatch demo` shows some"


class HomeScreen(DashboardScreen):
    """The list of runs."""

    commands: ClassVar[tuple[Command, ...]] = HOME_COMMANDS
    BINDINGS = bindings_of(HOME_COMMANDS)

    DEFAULT_CSS = """
    HomeScreen {
        #charts { height: auto; padding: 0 0 0 1; }
        #charts BlockChart { margin: 0 3 0 0; }
        #charts #not-ok { margin: 0 2 0 0; }
        .gap { height: 1; }
        #second { height: 1; }
    }
    """

    job: str | None = None
    """The only job whose runs are listed; None for all."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = Filter()
        self.order = Order()
        self._filter_before = ""
        self._rows: dict[int, RunRow] = {}
        self._all: tuple[RunRow, ...] = ()
        self._shown = 0
        self._headline: Spans = ()
        self._counts = Counts()
        self._fleet: FleetSeries | None = None
        self._layout: HomeLayout | None = None

    def compose(self) -> ComposeResult:
        """Lay the parts out; which of them are shown follows from the size."""
        yield HealthLine(id="health")
        yield SpanLines(id="second")
        yield SpanLines([()], id="gap-above", classes="gap")
        with Horizontal(id="charts"):
            yield BlockChart(id="throughput")
            yield BlockChart(id="latency")
            yield BlockChart(id="not-ok")
        yield SpanLines([()], id="gap-below", classes="gap")
        yield SparkLines(id="sparks")
        yield LineTable(RUNS_80, empty="connecting…", id="runs")
        yield Rule(id="rule")
        yield SpanLines(id="pane")
        yield Prompt("/", id="prompt")
        yield Footer(id="footer")

    # -- drawing

    def on_mount(self) -> None:
        """Give the keys to the table, sorted as it was last; not by a column that is not there at this width."""
        self._arrange()
        remembered = self.dashboard.memory.order
        if remembered.column in {column.key for column in self.query_one(LineTable).columns}:
            self.order = remembered
        self.set_focus(self.query_one(LineTable))

    def on_resize(self) -> None:
        """Choose the layout for the new size."""
        self._arrange()

    def on_screen_resume(self) -> None:
        """Ask for what this screen shows again."""
        self._watch()

    def _arrange(self) -> None:
        """Show what there is room for."""
        width, height = self.app.size
        layout = self.layout_of(width, height)
        self.query_one(LineTable).columns = run_columns(width)
        self.query_one("#charts").styles.width = width // 3 * 3
        if layout == self._layout:
            return
        self._layout = layout
        for chart in self.query(BlockChart):
            chart.rows = layout.chart_rows or 4
        for wanted, names in (
            (bool(layout.chart_rows), "#charts"),
            (layout.spaced, ".gap"),
            (layout.sparks, "#sparks"),
            (layout.headline, "#second"),
            (bool(layout.pane_lines), "#rule, #pane"),
        ):
            self.query(names).set(display=wanted)
        self.query_one("#pane").styles.height = max(1, layout.pane_lines)
        self._fleet = None
        self._watch()

    def layout_of(self, width: int, height: int) -> HomeLayout:
        """Return what there is room for."""
        return home_layout(width, height)

    def watched(self) -> Watch:
        """Return what is asked for: as much as is on screen."""
        app = self.dashboard
        columns = self._layout.chart_columns if self._layout else 0
        return Watch(
            limit=app.poller.watch.limit,
            window=app.window,
            columns=columns,
            endpoints=bool(self.filter.endpoints),
            moment=app.moment,
        )

    def _watch(self) -> None:
        self.dashboard.poller.watch = self.watched()

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw a snapshot: every part of the screen from the same one; not one that was read for another list."""
        if snapshot.job != self.job:
            return
        rows = build_rows(snapshot, kept=self._rows)
        self._all = rows if self.job is None else tuple(row for row in rows if row.run.job == self.job)
        by_need = sort_rows(self._all, Order())
        width = self.size.width
        pen = self.pen
        outage = snapshot.outage
        self._headline = (
            outage_line(outage, now=snapshot.at, zone=pen.zone)
            if outage is not None
            else headline(by_need, now=snapshot.at, zone=pen.zone, width=width, glyphs=pen.glyphs)
        )
        self._counts = count_states(self._all, now=snapshot.at, window_s=self.dashboard.window.seconds)
        self._draw_table(snapshot)
        self._draw_charts(snapshot.fleet)
        self._draw_pane()

    def _takes(self, row: RunRow, snapshot: Snapshot) -> bool:
        asked = snapshot.endpoints.get(row.run.run_id)
        return self.filter.matches(row.run, now=snapshot.at, state=row.verdict.state, endpoints=asked)

    def _draw_table(self, snapshot: Snapshot) -> None:
        taken = [row for row in self._all if self._takes(row, snapshot)]
        ordered = sort_rows(taken, self.order)
        self._rows = {row.run.run_id: row for row in self._all}
        self._shown = len(ordered)
        pen = self.pen
        hour = snapshot.at.replace(minute=0, second=0, microsecond=0)
        watching = self.dashboard.watching
        rows = [
            Row(
                key=row.run.run_id,
                cells=partial(run_cells, row, pen),
                role=row_role(row),
                version=(row, hour),
                badge=pen.glyphs.bell if row.run.run_id in watching else "",
            )
            for row in ordered
        ]
        table = self.query_one(LineTable)
        table.set_empty(f"no run fits {safe(self.filter.text)}; esc shows all" if self._all else NO_RUNS)
        table.update_rows(rows, sort=(self.order.column, self.order.descending))

    def _draw_charts(self, fleet: FleetSeries) -> None:
        """Draw the charts when their series is another one: a bucket has closed, or the window changed."""
        if fleet is self._fleet or self._layout is None:
            return
        self._fleet = fleet
        zone = self.dashboard.settings.zone
        if self._layout.chart_rows:
            charts = fleet_charts(fleet, zone, width=max(1, self.size.width // 3 - 3))
            self.query_one("#throughput", BlockChart).show(charts.throughput)
            self.query_one("#latency", BlockChart).show(charts.latency)
            self.query_one("#not-ok", BlockChart).show(charts.not_ok)
        elif self._layout.sparks:
            self.query_one(SparkLines).show(fleet_sparks(fleet, zone))

    def _draw_pane(self) -> None:
        row = self.selected
        pen = self.pen
        self.query_one(Rule).show(pane_title(row, pen, width=self.size.width) if row else ())
        room = self._layout.pane_lines if self._layout else 2
        self.query_one("#pane", SpanLines).update(pane_lines(row, pen)[:room] if row else ())

    @property
    def selected(self) -> RunRow | None:
        """The run under the cursor."""
        key = self.query_one(LineTable).cursor_key
        return self._rows.get(key) if isinstance(key, int) else None

    @property
    def run_in_hand(self) -> RunRow | None:
        """The run under the cursor."""
        return self.selected

    def left_parts(self) -> list[Part]:
        """Return the filter if there is one, and the counts of states."""
        brief = self._layout.brief if self._layout else True
        if self.dashboard.shown is None:
            return []
        parts = state_parts(self._counts, brief=brief)
        if not brief and parts and self.size.width >= 150:
            parts[0] = Part(parts[0].spans, parts[0].priority, 3)
        if self.filter:
            text = f"/{safe(self.filter.text)}"
            numbers = f"  {count(self._shown)} of {count(len(self._all))}"
            parts.insert(0, Part(((text, "blue"), (numbers, "dim")), 0, 2))
        return parts

    def second_lines(self) -> Sequence[Spans]:
        """Return what to look at first."""
        if self.dashboard.shown is None:
            return [((" connecting…", "dim"),)]
        return [self._headline]

    def footer_words(self) -> dict[str, str]:
        """Name the present window."""
        return {"home.window": self.dashboard.window.name}

    def copy_text(self) -> str:
        """Return the selected run's id."""
        return self.selected.run.id if self.selected else ""

    def command_words(self) -> Sequence[str]:
        """Return the command that lists these runs."""
        return ["runs", *([self.filter.text] if self.filter else [])]

    # -- commands

    @on(LineTable.RowHighlighted)
    def _row_highlighted(self) -> None:
        self._draw_pane()
        self._ask_for_more()

    def _ask_for_more(self) -> None:
        """List more runs when the cursor comes to the end of those that are listed."""
        shown, poller, table = self.dashboard.shown, self.dashboard.poller, self.query_one(LineTable)
        if shown is None or shown.complete or shown.job != self.job or table.cursor_index < len(table.rows) - 1:
            return
        limit = poller.watch.limit
        if limit >= MOST_LISTED:
            self.dashboard.say(f"the newest {count(limit)} runs are listed; `etlwatch runs` finds older ones")
        elif len(shown.runs) >= limit:
            poller.watch = replace(poller.watch, limit=min(limit + OLDER_PAGE, MOST_LISTED))

    @on(LineTable.RowOpened)
    def _row_opened(self, message: LineTable.RowOpened) -> None:
        if isinstance(message.key, int):
            self._open(message.key)

    @on(LineTable.SortRequested)
    def _sort_requested(self, message: LineTable.SortRequested) -> None:
        if message.column == self.order.column:
            self.action_invert()
        elif message.column in {column.key for column in self.query_one(LineTable).columns}:
            self._reorder(Order(message.column))

    def action_open(self) -> None:
        """Open the run under the cursor."""
        if self.selected is not None:
            self._open(self.selected.run.run_id)

    def action_errors(self) -> None:
        """Open the errors of the run under the cursor."""
        if self.selected is not None:
            self._open(self.selected.run.run_id, "errors")

    def _open(self, run_id: int, tab: str = "overview") -> None:
        from etlwatch.screens.run import RunScreen

        row = self._rows.get(run_id)
        if row is not None:
            self.app.push_screen(RunScreen(row, tab))

    def action_zoom(self) -> None:
        """Show the charts at full size."""
        from etlwatch.screens.zoom import ZoomScreen

        self.app.push_screen(ZoomScreen())

    def action_sort(self, step: int) -> None:
        """Sort by the next column."""
        visible = [column.key for column in self.query_one(LineTable).columns]
        self._reorder(next_order(self.order, step, visible))

    def action_invert(self) -> None:
        """Turn the order round."""
        self._reorder(Order(self.order.column, not self.order.inverted))

    def _reorder(self, order: Order) -> None:
        self.order = order
        self.dashboard.keep(sort=order.column, inverted=order.inverted)
        if self.dashboard.shown is not None:
            self._draw_table(self.dashboard.shown)

    def action_mark(self) -> None:
        """Mark the run under the cursor, or unmark it."""
        self.query_one(LineTable).action_mark()

    def action_compare(self) -> None:
        """Compare two marked runs, a marked one and that under the cursor, or this one with its last success."""
        from etlwatch.screens.compare import CompareScreen

        marked = [key for key in self.query_one(LineTable).marked if isinstance(key, int)]
        chosen = self.selected.run.run_id if self.selected else None
        if len(marked) == 1 and chosen is not None and chosen not in marked:
            marked.append(chosen)
        if len(marked) == 2:
            # Ids sort by time: the later run is held against the earlier one.
            before, after = sorted(marked)
            self.app.push_screen(CompareScreen(after, before))
        elif len(marked) > 2:
            self.dashboard.say(f"{len(marked)} runs are marked; two can be compared", severity="warning")
        elif marked or chosen is not None:
            self.app.push_screen(CompareScreen(marked[0] if marked else chosen or 0))

    def action_window(self) -> None:
        """Look back further, or from the longest window to the shortest."""
        app = self.dashboard
        app.window = WINDOWS[(WINDOWS.index(app.window) + 1) % len(WINDOWS)]
        app.keep(window=app.window.name)
        self._watch()
        self.redraw()

    # -- the filter

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether an action may run now: in the prompt its own key is a letter."""
        return not self.filtering if action == "filter" else super().check_action(action, parameters)

    def action_filter(self) -> None:
        """Open the prompt on the present filter."""
        self._filter_before = self.filter.text
        self.query_one("#footer").display = False
        self.query_one(Prompt).ask(self.filter.text)
        self._apply_filter(self.filter.text)

    @property
    def filtering(self) -> bool:
        """Whether the prompt is open."""
        return self.query_one(Prompt).asking

    def action_clear_filter(self) -> None:
        """Leave the prompt, or show all runs."""
        if self.filtering:
            self._close_prompt(self._filter_before)
        elif self.filter:
            self._apply_filter("")

    @on(Prompt.Typed)
    def _typed(self, message: Prompt.Typed) -> None:
        if self.filtering and not isinstance(message, Prompt.Entered):
            self._apply_filter(message.text)

    @on(Prompt.Entered)
    def _entered(self, message: Prompt.Entered) -> None:
        self._close_prompt(message.text)

    def _close_prompt(self, text: str) -> None:
        self.query_one(Prompt).leave()
        self.query_one("#footer").display = True
        self.set_focus(self.query_one(LineTable))
        self._apply_filter(text)

    def _apply_filter(self, text: str) -> None:
        """Filter by `text`, or say what is wrong with it and keep the last one that was understood."""
        says: Spans = ()
        try:
            self.filter = parse_filter(text, self.dashboard.settings.zone)
        except FilterError as error:
            says = ((safe(error), "amber"),)
            if not self.filtering:
                self.dashboard.say(str(error), severity="warning")
        if bool(self.filter.endpoints) != self.dashboard.poller.watch.endpoints:
            self._watch()
        if self.dashboard.shown is not None:
            self._draw_table(self.dashboard.shown)
            self._draw_pane()
        self.query_one(Prompt).says(says or ((f"{count(self._shown)} of {count(len(self._all))}", "dim"),))
        self.refresh_frame()
