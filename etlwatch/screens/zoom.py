"""One chart at full size, with a time cursor that stays where it is from chart to chart.

Owns which chart is shown and where the cursor is. Refuses to own the charts (`etlwatch.model.zoom`).
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from etlwatch.commands import ZOOM_COMMANDS, bindings_of
from etlwatch.gather import Watch
from etlwatch.model.parts import Part
from etlwatch.model.rows import RunRow
from etlwatch.model.run_view import RunView, title_parts, view_of
from etlwatch.model.snapshot import RunDetails, Snapshot
from etlwatch.model.spans import Spans
from etlwatch.model.zoom import ZOOMED, Zoom, fleet_zoom, moment_words, run_zoom, zoom_plot
from etlwatch.screens.base import DashboardScreen
from etlwatch.widgets.footer import Footer
from etlwatch.widgets.header import HealthLine
from etlwatch.widgets.plot import PlotChart
from etlwatch.widgets.span_lines import SpanLines

__all__ = ["ZoomScreen"]

AXIS_CELLS = 6


class ZoomScreen(DashboardScreen):
    """A chart of all runs, or of one."""

    commands = ZOOM_COMMANDS
    BINDINGS = bindings_of(ZOOM_COMMANDS)
    DEFAULT_CSS = "ZoomScreen #second { height: 1; }"

    def __init__(self, row: RunRow | None = None) -> None:
        """Prepare; `row` is the run whose requests are shown, None for all runs."""
        super().__init__()
        self.chart = ZOOMED[0]
        self._view = RunView(row=row, details=RunDetails(run=row.run, run_id=row.run.run_id)) if row else None
        self._zoom = Zoom((), 0.0, 0.0)
        self._cursor_s: float | None = None
        """The moment under the cursor; None for the newest."""

    def compose(self) -> ComposeResult:
        """Lay out the two lines, the chart, the footer."""
        yield HealthLine(id="health")
        yield SpanLines(id="second")
        yield PlotChart(id="zoomed")
        yield Footer(id="footer")

    def on_screen_resume(self) -> None:
        """Ask for what this screen shows."""
        self._watch()

    def on_resize(self) -> None:
        """Ask for as many columns as there are cells."""
        self._watch()

    def _watch(self) -> None:
        app = self.dashboard
        app.poller.watch = Watch(
            limit=app.poller.watch.limit,
            window=app.window,
            columns=max(10, self.app.size.width - AXIS_CELLS) if self._view is None else 0,
            open_run=self._view.run.run_id if self._view else None,
            moment=app.moment,
        )

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw the chart."""
        if self._view is None:
            self._zoom = fleet_zoom(snapshot.fleet)
        else:
            self._view = view_of(self._view.row, snapshot)
            self._zoom = run_zoom(self._view, self.pen, max(10, self.size.width - AXIS_CELLS))
        self._draw_chart()

    def _draw_chart(self) -> None:
        plot = zoom_plot(self.chart, self._zoom, self.pen, cursor=self._cursor)
        self.query_one(PlotChart).show(plot)

    @property
    def _cursor(self) -> int:
        """The place of the cursor among the columns: it stays on its moment while time goes on."""
        last = len(self._zoom.columns) - 1
        if self._cursor_s is None:
            return last
        begins = [column.begin for column in self._zoom.columns]
        return max((place for place, begin in enumerate(begins) if begin <= self._cursor_s), default=0)

    def left_parts(self) -> list[Part]:
        """Return where esc leads."""
        if self._view is not None:
            return title_parts(self._view, self.pen, brief=self.brief)
        return [Part(((f"{self.pen.glyphs.back} runs", "dim"),), 1, 2), Part((("all runs", "text bold"),), 0, 2)]

    def second_lines(self) -> Sequence[Spans]:
        """Return what is under the cursor."""
        return [moment_words(self._zoom, self.pen, cursor=self._cursor)]

    def command_words(self) -> Sequence[str]:
        """Return the command that tells of the same run, or of all runs."""
        return ["show", self._view.run.id] if self._view is not None else ["runs"]

    def copy_text(self) -> str:
        """Return what is under the cursor."""
        return "".join(text for text, _ in self.second_lines()[0]).strip()

    def action_next_chart(self, step: int) -> None:
        """Show the next chart, round the end, with the cursor where it is."""
        self.chart = ZOOMED[(ZOOMED.index(self.chart) + step) % len(ZOOMED)]
        self.redraw()

    def action_move_cursor(self, by: int) -> None:
        """Move the time cursor by columns; at the newest it follows the time."""
        columns = self._zoom.columns
        if not columns:
            return
        place = max(0, min(self._cursor + by, len(columns) - 1))
        self._cursor_s = None if place == len(columns) - 1 else columns[place].begin
        self.redraw()

    def action_back(self) -> None:
        """Back to where the chart was opened."""
        self.app.pop_screen()
