"""The requests tab of a run: three charts with one time cursor, the endpoints, the pages of the chosen endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical

from etlwatch.analysis.series import Column
from etlwatch.fields.endpoints import BUSIEST, ENDPOINTS, EndpointRow
from etlwatch.fields.field import Order
from etlwatch.rendering.lines import Row
from etlwatch.rendering.request_charts import ZOOMED, Zoom, moment_spans, run_zoom, usual_levels, zoom_plot
from etlwatch.rendering.run.tabs import endpoint_pages
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.plot import PlotChart
from etlwatch.tui.widgets.span_lines import SpanLines
from tracking_core.dataclass import replace

NO_REQUESTS: Final = "no requests were recorded"
AXIS_CELLS: Final = 6
LEAST_CHART: Final = 4
"""The least lines of a chart: its title and three of plot."""

AXIS_LINES: Final = 2
"""Lines of the times below the last chart, which are those of all of them."""


class RequestsTab(Vertical):
    """A run's requests."""

    DEFAULT_CSS = """
    RequestsTab {
        #at-cursor, #pages { height: 1; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._view: RunView | None = None
        self._display_context: DisplayContext | None = None
        self._cursor_s: float | None = None
        self._zoom = Zoom((), 0.0, 0.0)
        self._drawn: object = None
        self.order = BUSIEST

    def compose(self) -> ComposeResult:
        """Lay out the moment, the charts, the table and the pages."""
        yield SpanLines(id="at-cursor")
        for name in ZOOMED:
            yield PlotChart(id=name.replace(" ", "-"))
        columns = ENDPOINTS.layout(80)
        yield LineTable(columns, empty=NO_REQUESTS, reversed_columns=1, markable=False, id="endpoints")
        yield SpanLines(id="pages")

    @property
    def time_columns(self) -> Sequence[Column]:
        """The columns of the charts."""
        return self._zoom.columns

    def show(self, view: RunView, context: DisplayContext, cursor_s: float | None) -> None:
        """Draw a run's requests."""
        self._view, self._display_context, self._cursor_s = view, context, cursor_s
        self._draw_table(view, context)
        self._share_out()
        self._draw_charts(view, context)
        self._draw_pages()

    def on_resize(self, _event: events.Resize) -> None:
        """Share the room out again."""
        self.query_one(LineTable).columns = ENDPOINTS.layout(self.app.size.width)
        if self._view is not None and self._display_context is not None:
            self._share_out()
            self._draw_charts(self._view, self._display_context)

    def _share_out(self) -> None:
        """Give the endpoints up to a third of the room, less where all charts need it, and the rest to the charts."""
        height = self.size.height
        if not height:
            return
        table = self.query_one(LineTable)
        listed = max(1, len(table.rows))
        room = height - 2
        for_all_charts = len(ZOOMED) * LEAST_CHART + AXIS_LINES
        for_table = min(1 + listed, max(3, min(room // 3, room - for_all_charts)))
        charts = max(0, min(len(ZOOMED), (room - for_table - AXIS_LINES) // LEAST_CHART))
        each, over = divmod(room - for_table - AXIS_LINES, charts) if charts else (0, 0)
        table.styles.height = for_table if charts else room
        for place, chart in enumerate(self.query(PlotChart)):
            chart.display = place < charts
            last = place == charts - 1
            chart.styles.height = each + (over + AXIS_LINES if last else 0)

    def _draw_table(self, view: RunView, context: DisplayContext) -> None:
        endpoints = view.details.endpoints
        total = sum(totals.requests for totals in endpoints)
        table = self.query_one(LineTable)
        table.set_empty(view.details.unknown.get("endpoints", NO_REQUESTS))
        table.update_rows(
            [
                Row(key=row.totals.endpoint, cells=partial(ENDPOINTS.cells, row, context), version=row)
                for row in ENDPOINTS.sort((EndpointRow(totals, total) for totals in endpoints), self.order)
            ],
            sort=ENDPOINTS.arrow(self.order),
        )

    def _draw_charts(self, view: RunView, context: DisplayContext) -> None:
        """Draw the charts when the series is another one, the cursor has moved, or there is another room for them."""
        shown = [chart for chart in self.query(PlotChart) if chart.display]
        wanted = (view.details.series, view.details.series_until, self.size, len(shown), self._cursor_s)
        if wanted == self._drawn:
            return
        self._drawn = wanted
        self._zoom = run_zoom(view, context, max(10, self.size.width - AXIS_CELLS))
        self.query_one("#at-cursor", SpanLines).update([moment_spans(self._zoom, context, cursor_s=self._cursor_s)])
        for name, chart in zip(ZOOMED, shown, strict=False):
            plot = zoom_plot(name, self._zoom, context, cursor_s=self._cursor_s, usual=usual_levels(view))
            # One axis for all: the times are below the last chart only.
            chart.show(plot if chart is shown[-1] else replace(plot, times=()))

    def _draw_pages(self) -> None:
        key = self.query_one(LineTable).cursor_key
        view = self._view
        if view is not None:
            phrase = endpoint_pages(view, key if isinstance(key, str) else "")
            self.query_one("#pages", SpanLines).update([phrase])

    @on(LineTable.RowHighlighted, "#endpoints")
    def _highlighted(self) -> None:
        self._draw_pages()

    def sort(self, order: Order) -> None:
        """Order the endpoints."""
        self.order = order
        if self._view is not None and self._display_context is not None:
            self._draw_table(self._view, self._display_context)

    @property
    def column_keys(self) -> list[str]:
        """The columns on screen."""
        return [column.key for column in self.query_one(LineTable).columns]
