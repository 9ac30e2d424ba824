"""The screen of one run: its state, tabs, and the content of the open tab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.widgets import ContentSwitcher

from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.series import Column
from etlwatch.analysis.snapshot import RunDetails, Snapshot
from etlwatch.commands import GROUPS, bindings_of
from etlwatch.fields.endpoints import BUSIEST, ENDPOINTS
from etlwatch.fields.field import Order
from etlwatch.reading.gatherer import Watch
from etlwatch.rendering.lines import Part
from etlwatch.rendering.request_charts import ZOOMED, Zoom, moment_spans, run_columns_over_time
from etlwatch.rendering.run.overview import overview_lines
from etlwatch.rendering.run.phases import phases_lines
from etlwatch.rendering.run.tabs import delivery_lines, source_lines, timeline_lines
from etlwatch.rendering.run.view import TABS, RunView, tab_at, tab_line, title_parts, verdict_lines, view_of
from etlwatch.text.spans import Spans, plain_text
from etlwatch.tui.screens.base import DashboardScreen
from etlwatch.tui.screens.errors_tab import ErrorsTab
from etlwatch.tui.screens.requests_tab import RequestsTab
from etlwatch.tui.widgets.inputs import Prompt
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.plot import PlotChart
from etlwatch.tui.widgets.scroll_lines import ScrollLines
from etlwatch.tui.widgets.span_lines import Rule, SpanLines
from tracking_core.dataclass import replace

ON_THE_AXIS: Final = ("overview", "phases")
"""The tabs on which phases are drawn over time."""

LAST_LINES: Final = 20
"""Lines of a traceback that are copied from its end."""

AXIS_CELLS: Final = 52
"""Cells beside that axis."""


class TabLine(SpanLines):
    """The names of the tabs; a click opens one."""

    DEFAULT_CSS = "TabLine { height: 1; }"

    def on_click(self, event: events.Click) -> None:
        """Open the tab that was clicked."""
        screen = self.screen
        if isinstance(screen, RunScreen):
            tab = tab_at(screen.view, screen.tab, int(event.x))
            if tab is not None:
                screen.action_show_tab(tab)


class RunScreen(DashboardScreen):
    """Everything about one run."""

    commands = GROUPS["run"]
    BINDINGS = bindings_of(GROUPS["run"])
    in_footer: ClassVar[Mapping[str, tuple[str, str, int] | None]] = {
        "app.copy": ("y", "copy", 2),
        "app.pause": ("p", "pause", 4),
    }

    DEFAULT_CSS = """
    RunScreen {
        #tabs-rule { height: 1; }
        ContentSwitcher { height: 1fr; }
    }
    """

    copies_end = True
    """A traceback too long for the clipboard is copied from its end."""

    def __init__(self, row: RunRow, tab: str = TABS[0]) -> None:
        super().__init__()
        self.view = RunView(row=row, details=RunDetails(run=row.run, run_id=row.run.run_id))
        self.tab = tab
        self._verdict_rows = 0

    def body(self) -> ComposeResult:
        """Yield the line of tabs and their contents."""
        yield TabLine(id="tabs")
        yield Rule(id="tabs-rule")
        with ContentSwitcher(initial=self.tab):
            yield ScrollLines(self._overview, id="overview")
            yield ScrollLines(self._phases, id="phases")
            yield RequestsTab(id="requests")
            yield ErrorsTab(id="errors")
            yield ScrollLines(self._source, id="source")
            yield ScrollLines(self._delivery, id="delivery")
            yield ScrollLines(self._timeline, id="timeline")
        yield Prompt("/", id="prompt")

    # -- drawing

    def on_mount(self) -> None:
        """Order the endpoints as they were last, and focus the open tab."""
        self.choose_layout()
        self.query_one(RequestsTab).sort(self.dashboard.orders.get("endpoints", BUSIEST))
        self._focus_tab()

    def watched(self) -> Watch:
        """Return a question for the run's details."""
        return replace(super().watched(), open_run=self.view.run.run_id)

    def choose_layout(self) -> None:
        """Choose the layout for the terminal's size."""
        width, height = self.app.size
        self._set_verdict_lines()
        self.query_one("#tabs-rule").display = width >= 110 and height >= 34
        self.query_one(ErrorsTab).lay_out(width)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw the open tab and the lines above it."""
        self.view = view_of(self.view.row, snapshot)
        self._set_verdict_lines()
        self._draw_tab()

    def _draw_tab(self) -> None:
        self.query_one(TabLine).update([tab_line(self.view, self.tab)])
        if self.tab == "requests":
            self.query_one(RequestsTab).show(self.view, self.context, self.dashboard.cursor_s)
        elif self.tab == "errors":
            self.query_one(ErrorsTab).show(self.view, self.context)
        else:
            self.query_one(f"#{self.tab}", ScrollLines).renew()

    def _overview(self, width: int, height: int) -> Sequence[Spans]:
        return overview_lines(self.view, self.context, width=width, height=height, cursor_s=self.dashboard.cursor_s)

    def _phases(self, width: int, _height: int) -> Sequence[Spans]:
        return phases_lines(self.view, self.context, width=width, cursor_s=self.dashboard.cursor_s)

    def _source(self, width: int, _height: int) -> Sequence[Spans]:
        return source_lines(self.view, self.context, width=width)

    def _delivery(self, _width: int, _height: int) -> Sequence[Spans]:
        return delivery_lines(self.view, self.context)

    def _timeline(self, width: int, _height: int) -> Sequence[Spans]:
        return timeline_lines(self.view, self.context, width=width)

    # -- the time cursor

    def time_columns(self) -> Sequence[Column]:
        """Return the columns of the tab's charts; where phases are drawn over time, those of their axis."""
        if self.tab == "requests":
            return self.query_one(RequestsTab).time_columns
        if self.tab not in ON_THE_AXIS:
            return ()
        until = self.view.until_s(self.context)
        return run_columns_over_time(self.view, self.context, max(10, self.size.width - AXIS_CELLS), axis_end=until)

    def action_move_cursor(self, by: int) -> None:
        """Move the time cursor where something is drawn over time."""
        if self.tab == "requests" or self.tab in ON_THE_AXIS:
            super().action_move_cursor(by)

    @property
    def current_run(self) -> RunRow | None:
        """The run that the screen is about."""
        return self.view.row

    def left_parts(self) -> list[Part]:
        """Return where esc leads, which run this is, whether its next change rings, and a chosen order."""
        parts = title_parts(self.view, self.context, brief=self.brief)
        if self.view.run.run_id in self.dashboard.watching:
            parts.insert(2, Part(((self.context.glyphs.bell, "blue"),), 1, 1))
        order = self.query_one(RequestsTab).order
        if self.tab == "requests" and order != BUSIEST:
            parts.append(Part(((ENDPOINTS.order_text(order, self.context.glyphs), "blue"),)))
        return parts

    def _set_verdict_lines(self) -> None:
        """Set the lines of the verdict: as many as it needs, at most three where there is room for them."""
        width, height = self.app.size
        narrow = width < 110
        # In a narrow terminal nothing below moves for a short verdict.
        least = 2 if narrow and height >= 12 else 1
        most = 3 if height >= (24 if narrow else 34) else least
        lines = max(least, len(verdict_lines(self.view, self.context, width=width, lines=most)))
        if lines != self._verdict_rows:
            self._verdict_rows = lines
            self.query_one("#second").styles.height = lines

    def second_lines(self) -> Sequence[Spans]:
        """Return the verdict, or the figures under the time cursor; both if there are two lines."""
        lines = max(1, self._verdict_rows)
        verdict = verdict_lines(self.view, self.context, width=self.size.width, lines=lines)
        cursor_s = self.dashboard.cursor_s
        if cursor_s is None or self.tab not in ON_THE_AXIS:
            return verdict
        zoom = Zoom(tuple(self.time_columns()), self.view.began_s, self.view.until_s(self.context))
        return [*verdict[: lines - 1], moment_spans(zoom, self.context, cursor_s=cursor_s)]

    # -- tabs

    def action_tab(self, step: int) -> None:
        """Open the next tab, round the end."""
        self.action_show_tab(TABS[(TABS.index(self.tab) + step) % len(TABS)])

    def action_open_tab(self, place: int) -> None:
        """Open the tab at a place, from 0."""
        self.action_show_tab(TABS[place])

    def action_end_of_errors(self) -> None:
        """Show the end of the newest error."""
        self.query_one(ErrorsTab).end_wanted = True
        self.action_show_tab("errors")
        self.set_focus(self.query_one("#traceback"))

    def action_show_tab(self, tab: str) -> None:
        """Open a tab by name."""
        self.tab = tab
        self.query_one(ContentSwitcher).current = tab
        self._focus_tab()
        self._draw_tab()
        # A tab that is laid out for the first time has its size with the next frame.
        self.call_after_refresh(self._draw_tab)

    def _focus_tab(self) -> None:
        """Focus the main widget of the open tab."""
        target = {"requests": "endpoints", "errors": "error-list"}.get(self.tab, self.tab)
        # At once: a field that is opened now must keep the focus.
        self.set_focus(self.query_one(f"#{target}"))

    # -- the order of the endpoints

    def action_sort(self, step: int) -> None:
        """Sort the endpoints by the next column."""
        if self.tab == "requests":
            tab = self.query_one(RequestsTab)
            self._reorder(ENDPOINTS.next(tab.order, step, tab.column_keys))

    def action_invert(self) -> None:
        """Invert the order of the endpoints."""
        if self.tab == "requests":
            order = self.query_one(RequestsTab).order
            self._reorder(Order(order.column, not order.inverted))

    @on(LineTable.SortRequested, "#endpoints")
    def _sort_requested(self, message: LineTable.SortRequested) -> None:
        order = self.query_one(RequestsTab).order
        if message.column == order.column:
            self.action_invert()
        elif message.column in ENDPOINTS.orders:
            self._reorder(Order(message.column))

    def _reorder(self, order: Order) -> None:
        self.query_one(RequestsTab).sort(order)
        self.dashboard.orders["endpoints"] = order
        self.refresh_frame()

    def action_compare(self) -> None:
        """Compare the run with the last success of its job."""
        self.dashboard.open_screen("compare", self.view.run.run_id)

    def action_bundle(self) -> None:
        """Copy the run into a file of the directory that the dashboard was started in."""
        self.dashboard.bundle_run(self.view.row)

    def action_back(self) -> None:
        """Back one step: search, traceback, time cursor, order of the endpoints, screen."""
        errors = self.query_one(ErrorsTab)
        if self.prompting:
            self._close_prompt()
            errors.search("")
        elif self.tab == "errors" and errors.words:
            errors.search("")
        elif self.focused is not None and self.focused.id == "traceback":
            self._focus_tab()
        elif self.drop_cursor():
            return
        elif self.tab == "requests" and self.query_one(RequestsTab).order != BUSIEST:
            self._reorder(BUSIEST)
        else:
            self.leave()

    def action_zoom(self) -> None:
        """Show the run's requests at full size."""
        self.dashboard.open_screen("zoom", self.view.row)

    @on(events.Click, "PlotChart")
    def _chart_clicked(self, event: events.Click) -> None:
        """Show the chart that was clicked at full size."""
        for chart, name in zip(self.query(PlotChart), ZOOMED, strict=True):
            if chart is event.widget:
                self.dashboard.open_screen("zoom", self.view.row, name)

    # -- searching the errors

    def action_search(self) -> None:
        """Open the prompt on the errors."""
        if self.tab != "errors":
            self.action_show_tab("errors")
        self.open_prompt(self.query_one(ErrorsTab).words)

    def action_next_hit(self, step: int) -> None:
        """Go to the next place of what is searched for."""
        errors = self.query_one(ErrorsTab)
        if self.tab == "errors" and errors.words:
            errors.step(step)
            self.dashboard.show_message(plain_text(errors.search_status()))

    def _close_prompt(self) -> None:
        self.close_prompt()
        self._focus_tab()

    @on(Prompt.Typed)
    def _typed(self, message: Prompt.Typed) -> None:
        if not self.prompting or isinstance(message, Prompt.Entered):
            return
        errors = self.query_one(ErrorsTab)
        errors.search(message.text)
        self.query_one(Prompt).show_answer(errors.search_status())

    @on(Prompt.Entered)
    def _entered(self) -> None:
        self._close_prompt()
        if self.query_one(ErrorsTab).words:
            self.query_one("#traceback").focus()

    # -- copying

    def copy_text(self) -> str:
        """Return the error under the cursor with its traceback, else the run's id and verdict."""
        error = self.query_one(ErrorsTab).copy_text() if self.tab == "errors" else ""
        if error:
            return error
        verdict = " ".join(plain_text(line).strip() for line in self.second_lines())
        return f"{self.view.run.id} {self.view.run.job}: {verdict}"

    def action_copy_end(self) -> None:
        """Copy the last lines of the error under the cursor, which name the cause."""
        text = self.query_one(ErrorsTab).copy_text() if self.tab == "errors" else ""
        self.dashboard.copy("\n".join(text.splitlines()[-LAST_LINES:]))

    def command_arguments(self) -> Sequence[str]:
        """Return the command that shows this run, or its errors."""
        return ["errors" if self.tab == "errors" else "show", self.view.run.id]


SCREEN = RunScreen
