"""Lists of runs, those that need attention first: the first screen, with charts of all runs, and the runs of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.containers import Horizontal
from textual.events import Click
from textual.timer import Timer
from textual.widget import Widget

from etlwatch.analysis.as_of import RunAsOf
from etlwatch.analysis.run_rows import RunRow, build_rows
from etlwatch.analysis.series import Column as TimeColumn
from etlwatch.analysis.snapshot import FleetSeries, Snapshot
from etlwatch.commands import GROUPS, Command, bindings_of
from etlwatch.fields.field import Order
from etlwatch.fields.runs import RUNS, row_role, run_passes
from etlwatch.reading.gatherer import Watch
from etlwatch.reading.listing import MOST_LISTED, MOST_OF_JOB, OLDER_PAGE
from etlwatch.rendering.header import count_states, cut_parts, fleet_line, no_runs_text, state_parts
from etlwatch.rendering.lines import Part, Row
from etlwatch.rendering.panes import kinds_spans, pane_lines, pane_title
from etlwatch.rendering.request_charts import ZOOMED, fleet_charts, fleet_sparks, fleet_zoom, moment_spans
from etlwatch.text.numbers import count
from etlwatch.text.safe import safe
from etlwatch.text.spans import Column, HomeLayout, Spans, home_layout
from etlwatch.tui.screens.listing import ListScreen
from etlwatch.tui.widgets.span_lines import BlockChart, SpanLines, SparkLines
from tracking_core.dataclass import replace

REST_S = 0.15
"""Seconds that the cursor rests on a run before more is read about it, so that a held key reads nothing."""


class HomeScreen(ListScreen[RunRow]):
    """The list of runs."""

    commands: ClassVar[tuple[Command, ...]] = GROUPS["home"]
    BINDINGS = bindings_of(GROUPS["home"])

    rows_id = "runs"
    fields = RUNS
    empty = "connecting…"
    reversed_columns = 2

    DEFAULT_CSS = """
    HomeScreen {
        #charts { height: auto; padding: 0 0 0 1; }
        #charts BlockChart { margin: 0 3 0 0; }
        #charts #not-ok { margin: 0 2 0 0; }
    }
    """

    job: str | None = None
    """The only job whose runs are listed; None for all."""

    def __init__(self) -> None:
        super().__init__()
        self._by_need: list[RunRow] = []
        self._drawn: dict[int, Row] = {}
        self._headline: Spans = ()
        self._counts: Counter[str] = Counter()
        self._cursor_drawn: float | None = None
        self._asking: Timer | None = None
        self._unsure = 0
        """Listed runs that may have requested an endpoint of the filter only after the past moment."""

        self._fleet: FleetSeries | None = None
        self._layout: HomeLayout | None = None

    def above_the_table(self) -> Iterable[Widget]:
        """Lay out the charts; which of them are shown follows from the size."""
        charts = Horizontal(BlockChart(id="throughput"), BlockChart(id="latency"), BlockChart(id="not-ok"), id="charts")
        return SpanLines([()], classes="gap"), charts, SpanLines([()], classes="gap"), SparkLines(id="sparks")

    # -- drawing

    def lay_out(self, width: int, height: int) -> None:
        """Show what there is room for."""
        layout = self.layout_of(width, height)
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
        ):
            self.query(names).set(display=wanted)
        self.set_pane_lines(layout.pane_lines)
        self._fleet = None
        # Screens below are resized too; only the one in front, or behind a dialog, reads.
        if self.is_in_front:
            self.watch_store()

    def layout_of(self, width: int, height: int) -> HomeLayout:
        """Return what there is room for."""
        return home_layout(width, height, low_bandwidth=self.dashboard.settings.low_bandwidth)

    def watched(self) -> Watch:
        """Return a question for as much as is on screen."""
        return replace(
            super().watched(),
            columns=self._layout.chart_columns if self._layout else 0,
            endpoints=bool(self.filter.endpoints),
            run_of_kinds=self.dashboard.poller.watch.run_of_kinds,
        )

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw a snapshot: every part of the screen from the same one; not one that was read for another list."""
        if snapshot.job != self.job:
            return
        rows = build_rows(snapshot, kept=self.rows)
        self.rows = {row.run.run_id: row for row in rows if self.job in (None, row.run.job)}
        self.fit_job_column({row.run.job for row in self.rows.values()})
        self._by_need = by_need = RUNS.sort(self.rows.values())
        context = self.context
        self._headline = fleet_line(by_need, snapshot, zone=context.zone, width=self.size.width, glyphs=context.glyphs)
        self._counts = count_states(by_need, now=snapshot.at, window_s=self.dashboard.window.seconds)
        self.draw_table()
        self._draw_charts(snapshot.fleet)
        self.draw_pane()

    def _matches(self, row: RunRow, snapshot: Snapshot) -> bool:
        endpoints, unsure = snapshot.endpoints.get(row.run.run_id), isinstance(row.run, RunAsOf)
        return run_passes(self.filter, row, snapshot.at, endpoints, perhaps_fewer=unsure)

    def draw_table(self) -> None:
        """Draw the runs that pass the filter."""
        snapshot = self.dashboard.shown
        if snapshot is None:
            return
        # With thousands of rows each check would delay keys.
        matching = [row for row in self._by_need if self._matches(row, snapshot)] if self.filter else self._by_need
        ordered = matching if self.order == Order() else RUNS.sort(matching, self.order)
        self.matching = len(ordered)
        self._unsure = sum(isinstance(row.run, RunAsOf) for row in ordered) if self.filter.endpoints else 0
        context = self.context
        hour = snapshot.at.replace(minute=0, second=0, microsecond=0)
        watching = self.dashboard.watching
        drawn = {}
        for row in ordered:
            key = row.run.run_id
            badge = context.glyphs.bell if key in watching else ""
            kept = self._drawn.get(key)
            if kept is None or row.live or kept.version != (row, hour) or kept.badge != badge:
                cells = partial(RUNS.cells, row, context)
                kept = Row(key=key, cells=cells, role=row_role(row), version=(row, hour), badge=badge)
            drawn[key] = kept
        self._drawn = drawn
        rows = list(drawn.values())
        nothing = no_runs_text(demo=self.dashboard.settings.demo)
        self.table.set_empty(f"no run fits {safe(self.filter.text)}; esc shows all" if self.rows else nothing)
        self.table.update_rows(rows, sort=RUNS.arrow(self.order))

    def _draw_charts(self, fleet: FleetSeries) -> None:
        """Draw the charts when their series is another one: a bucket has closed, or the window changed."""
        cursor_s = self.dashboard.cursor_s
        if (fleet is self._fleet and cursor_s == self._cursor_drawn) or self._layout is None:
            return
        self._fleet, self._cursor_drawn = fleet, cursor_s
        zone = self.dashboard.settings.zone
        if self._layout.chart_rows:
            charts = fleet_charts(fleet, zone, width=max(1, self.size.width // 3 - 3), cursor_s=cursor_s)
            for name, chart in zip(("#throughput", "#latency", "#not-ok"), charts, strict=True):
                self.query_one(name, BlockChart).show(chart)
        elif self._layout.sparks:
            self.query_one(SparkLines).show(fleet_sparks(fleet, cursor_s=cursor_s))

    def title_of_selected(self) -> Spans:
        """Return the run's verdict, job and id."""
        row = self.selected
        return pane_title(row, self.context, width=self.size.width) if row else ()

    def pane_of_selected(self) -> Sequence[Spans]:
        """Return since when, why, and its errors."""
        row, shown = self.selected, self.dashboard.shown
        if row is None or shown is None:
            return ()
        kinds = shown.kinds.get(row.run.run_id, ())
        return pane_lines(row, self.context, kinds_spans(kinds, row.run.errors, self.context), width=self.size.width)

    @property
    def current_run(self) -> RunRow | None:
        """The run under the cursor."""
        return self.selected

    def left_parts(self) -> list[Part]:
        """Return the filter if there is one, and the counts of states."""
        brief = self._layout.brief if self._layout else True
        if self.dashboard.shown is None:
            return []
        parts = state_parts(self._counts, brief=brief, width=self.size.width, window=self.dashboard.window.name)
        # Endpoints are stored per run: for a run that went on it is unknown when it requested one.
        unsure = [Part(((f"{count(self._unsure)} perhaps only later", "amber"),), 0, 2)] if self._unsure else []
        return [*self.filter_parts(), *unsure, *cut_parts(self.dashboard.shown), *parts]

    def second_lines(self) -> Sequence[Spans]:
        """Return what to look at first."""
        shown, cursor_s = self.dashboard.shown, self.dashboard.cursor_s
        if shown is None:
            return [((" connecting…", "dim"),)]
        if cursor_s is not None and self._charted:
            return [moment_spans(fleet_zoom(shown.fleet), self.context, cursor_s=cursor_s)]
        return [self._headline]

    # -- the time cursor

    @property
    def _charted(self) -> bool:
        return bool(self._layout and self._layout.chart_columns)

    def time_columns(self) -> Sequence[TimeColumn]:
        """Return the columns of the charts."""
        shown = self.dashboard.shown
        return fleet_zoom(shown.fleet).columns if shown is not None and self._charted else ()

    def draw_cursor(self) -> None:
        """Draw the charts and line 2 alone: thousands of rows have not changed."""
        shown = self.dashboard.shown
        if shown is not None:
            self._draw_charts(shown.fleet)
        self.refresh_frame()

    def action_back(self) -> None:
        """Back one step: prompt, time cursor, filter, marks, order."""
        if self.prompting or not self._charted or not self.drop_cursor():
            super().action_back()

    def footer_texts(self) -> dict[str, str]:
        """Name the present window."""
        return {"home.window": f"window {self.dashboard.window.name}"}

    def copied(self, key: Hashable | None) -> str:
        """Return a run's id."""
        row = self.rows.get(key)
        return row.run.id if row else ""

    def command_arguments(self) -> Sequence[str]:
        """Return the command that lists these runs."""
        return ["runs", *([self.filter.text] if self.filter else [])]

    # -- commands

    def draw_pane(self) -> None:
        """Draw the pane of the run under the cursor, and list older runs when it is the last."""
        super().draw_pane()
        self._ask_for_more()
        if self._kinds_run != self.dashboard.poller.watch.run_of_kinds and self._asking is None:
            self._asking = self.set_timer(REST_S, self._ask_for_kinds)

    @property
    def _kinds_run(self) -> int | None:
        """The run whose errors are checked for new kinds."""
        row = self.selected
        return row.run.run_id if row is not None and row.run.errors else None

    def _ask_for_kinds(self) -> None:
        self._asking = None
        poller = self.dashboard.poller
        if self.app.screen is self and poller.watch.run_of_kinds != self._kinds_run:
            poller.watch = replace(poller.watch, run_of_kinds=self._kinds_run)

    def _ask_for_more(self) -> None:
        """List more runs when the cursor reaches the last one."""
        shown, poller, table = self.dashboard.shown, self.dashboard.poller, self.table
        if shown is None or shown.complete or shown.job != self.job or table.cursor_index < len(table.rows) - 1:
            return
        limit = poller.watch.limit
        most = MOST_LISTED if self.job is None else MOST_OF_JOB
        if limit >= most:
            listed = f"the newest {limit:,} of {shown.there_are or limit:,} runs are listed"
            self.dashboard.show_message(f"{listed}; `etlwatch runs` finds older ones")
        elif len(shown.runs) >= limit:
            poller.watch = replace(poller.watch, limit=min(limit + OLDER_PAGE, most))

    def action_open(self, tab: str = "overview") -> None:
        """Open the run under the cursor."""
        if self.selected is not None:
            self.dashboard.open_screen("run", self.selected, tab)

    def open_run(self, run_id: int) -> None:
        """Open a run with the cursor on it; one that is not listed is ignored."""
        row = self.rows.get(run_id)
        if row is not None:
            self.table.move_cursor(run_id)
            self.dashboard.open_screen("run", row)

    def action_errors(self) -> None:
        """Open the errors of the run under the cursor."""
        self.action_open("errors")

    def action_zoom(self) -> None:
        """Show the charts at full size."""
        self.dashboard.open_screen("zoom")

    @on(Click, "BlockChart")
    @on(Click, "SparkLines")
    def _chart_clicked(self, event: Click) -> None:
        """Show the chart that was clicked at full size."""
        charts = list(self.query(BlockChart))
        place = charts.index(event.widget) if isinstance(event.widget, BlockChart) else min(event.y, len(ZOOMED) - 1)
        self.dashboard.open_screen("zoom", None, ZOOMED[place])

    def leave(self) -> None:
        """Stay: this is the first screen."""

    def action_bell(self) -> None:
        """Turn the bell of the marked runs, or of the one under the cursor, on or off."""
        marked = [self.rows[key] for key in self.table.marked if key in self.rows]
        if marked:
            self.dashboard.toggle_bells(marked)
            self.redraw()
        else:
            super().action_bell()

    def action_compare(self) -> None:
        """Compare two marked runs, a marked one and that under the cursor, or this one with its last success."""
        marked = [key for key in self.table.marked if isinstance(key, int)]
        chosen = self.selected.run.run_id if self.selected else None
        if len(marked) == 1 and chosen is not None and chosen not in marked:
            marked.append(chosen)
        if len(marked) == 2:
            # Ids sort by time: the later run is compared with the earlier one.
            before, after = sorted(marked)
            self.dashboard.open_screen("compare", after, before)
        elif len(marked) > 2:
            self.dashboard.show_message(f"{len(marked)} runs are marked; two can be compared", severity="warning")
        elif marked or chosen is not None:
            self.dashboard.open_screen("compare", marked[0] if marked else chosen or 0)

    def action_window(self) -> None:
        """Choose the next longer window; after the longest the shortest."""
        self.dashboard.next_window()
        self.watch_store()
        self.redraw()

    def apply_filter(self, text: str) -> None:
        """Filter by `text`; where it names endpoints, ask for those of the runs."""
        super().apply_filter(text)
        if bool(self.filter.endpoints) != self.dashboard.poller.watch.endpoints:
            self.watch_store()


_OF_A_JOB = tuple(
    replace(
        command, title="Back to the jobs", help="clear filter, marks and order, then back", footer=("esc", "back", 0)
    )
    if command.name == "home.back"
    else command
    for command in GROUPS["home"]
    if command.name not in ("home.window", "home.zoom", "home.earlier", "home.later")
)


class JobRunsScreen(HomeScreen, inherit_bindings=False):
    """The list of runs of one job."""

    commands = _OF_A_JOB
    BINDINGS = bindings_of(_OF_A_JOB)

    job: str

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job

    def layout_of(self, width: int, height: int) -> HomeLayout:
        """Return the layout without charts: they would be of all jobs."""
        layout = super().layout_of(width, height)
        return replace(layout, chart_rows=0, chart_columns=0, sparks=False, spaced=False)

    def watched(self) -> Watch:
        """Return what is asked for: the newest runs of the job."""
        return replace(super().watched(), job=self.job)

    def columns_at(self, width: int) -> tuple[Column, ...]:
        """Return the columns with date and weekday in the place of the job, which all rows share."""
        return tuple(
            replace(column, key="began", header="began", sortable=False) if column.key == "job" else column
            for column in super().columns_at(width)
            if column.key != "start"
        )

    @property
    def current_job(self) -> str | None:
        """The job whose runs these are."""
        return self.job

    def left_parts(self) -> list[Part]:
        """Return where esc leads, the job, and the counts of its runs."""
        back = f"{self.context.glyphs.back} jobs"
        return [
            Part(((back, "dim"),), 2, 2),
            Part(((safe(self.job), "text bold"),), 0, 2),
            *super().left_parts(),
        ]

    def command_arguments(self) -> Sequence[str]:
        """Return the command that lists these runs."""
        return ["runs", "--job", self.job, *([self.filter.text] if self.filter else [])]

    def leave(self) -> None:
        """Back to the jobs."""
        self.app.pop_screen()
