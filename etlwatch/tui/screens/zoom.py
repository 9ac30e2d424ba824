"""One chart at full size, with the time cursor that all charts share and the values under it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.series import WINDOWS, Column, Window
from etlwatch.analysis.snapshot import RunDetails, Snapshot
from etlwatch.commands import GROUPS, bindings_of
from etlwatch.reading.gatherer import Watch
from etlwatch.rendering.lines import Part
from etlwatch.rendering.request_charts import ZOOMED, Zoom, fleet_zoom, moment_spans, run_zoom, usual_levels, zoom_plot
from etlwatch.rendering.run.view import RunView, title_parts, view_of
from etlwatch.text.spans import Spans
from etlwatch.tui.screens.base import DashboardScreen
from etlwatch.tui.widgets.plot import PlotChart
from tracking_core.dataclass import replace

AXIS_CELLS = 6


class ZoomScreen(DashboardScreen):
    """A chart of all runs, or of one."""

    commands = GROUPS["zoom"]
    BINDINGS = bindings_of(GROUPS["zoom"])

    def __init__(self, row: RunRow | None = None, chart: str = ZOOMED[0]) -> None:
        """Prepare; `row` is the run whose requests are shown, None for all runs."""
        super().__init__()
        self.chart = chart
        self._view = RunView(row=row, details=RunDetails(run=row.run, run_id=row.run.run_id)) if row else None
        self._zoom = Zoom((), 0.0, 0.0)
        self._window: Window | None = None
        """How much of a run is shown; None for all of it."""

    def body(self) -> ComposeResult:
        """Yield the chart."""
        yield PlotChart(id="zoomed")

    def choose_layout(self) -> None:
        """Read as many columns as there are cells, unless another screen is in front."""
        if self.app.screen is self:
            self.watch_store()

    def watched(self) -> Watch:
        """Return a question for the columns of all runs, or for one run's details."""
        if self._view is not None:
            return replace(super().watched(), open_run=self._view.run.run_id)
        return replace(super().watched(), columns=max(10, self.app.size.width - AXIS_CELLS))

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw the chart."""
        if self._view is None:
            self._zoom = fleet_zoom(snapshot.fleet)
        else:
            self._view = view_of(self._view.row, snapshot)
            seconds = self._window.seconds if self._window else None
            columns = max(10, self.size.width - AXIS_CELLS)
            self._zoom = run_zoom(self._view, self.context, columns, window_s=seconds)
        self._draw_chart()

    def _draw_chart(self) -> None:
        usual = usual_levels(self._view) if self._view else None
        plot = zoom_plot(self.chart, self._zoom, self.context, cursor_s=self.dashboard.cursor_s, usual=usual)
        self.query_one(PlotChart).show(plot)

    def time_columns(self) -> Sequence[Column]:
        """Return the columns of the chart."""
        return self._zoom.columns

    def left_parts(self) -> list[Part]:
        """Return where esc leads."""
        if self._view is not None:
            return title_parts(self._view, self.context, brief=self.brief)
        return [Part(((f"{self.context.glyphs.back} runs", "dim"),), 1, 2), Part((("all runs", "text bold"),), 0, 2)]

    def second_lines(self) -> Sequence[Spans]:
        """Return what is under the cursor."""
        return [moment_spans(self._zoom, self.context, cursor_s=self.dashboard.cursor_s)]

    def command_arguments(self) -> Sequence[str]:
        """Return the command that shows the same run, or the same window."""
        if self._view is not None:
            return ["show", self._view.run.id]
        return ["stats", "--window", self.dashboard.window.name]

    def copy_text(self) -> str:
        """Return what is under the cursor."""
        return "".join(text for text, _ in self.second_lines()[0]).strip()

    def action_next_chart(self, step: int) -> None:
        """Show the next chart, round the end, with the cursor where it is."""
        self.chart = ZOOMED[(ZOOMED.index(self.chart) + step) % len(ZOOMED)]
        self.redraw()

    def footer_texts(self) -> dict[str, str]:
        """Name the present window."""
        whole = "whole run" if self._window is None else self._window.name
        return {"zoom.window": f"window {self.dashboard.window.name if self._view is None else whole}"}

    def action_window(self) -> None:
        """Choose the next longer window, after the longest the shortest; a run is shown whole or its last part."""
        if self._view is None:
            self.dashboard.next_window()
            self.watch_store()
        else:
            choices = [None, *(window for window in WINDOWS if window.seconds < self._lasted_s())]
            place = choices.index(self._window) if self._window in choices else 0
            self._window = choices[(place + 1) % len(choices)]
        self.redraw()

    def _lasted_s(self) -> float:
        """Return how long the run has gone on, seconds."""
        return self._view.end_s(self.context) - self._view.began_s if self._view else 0.0


SCREEN = ZoomScreen
