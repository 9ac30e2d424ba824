"""Widgets of the compact charts: they draw a `Chart` again only when it has changed.

An equal chart costs one comparison; of a new one only the cells that differ are sent.

    chart = BlockChart(rows=6)          chart.show(Chart(…))
    sparks = SparkLines()               sparks.show([Spark(…), …])

The owner hands over a chart when a bucket closes and as often as it likes: an equal one costs a comparison, and of a
new one only the cells that differ are sent.
"""

from collections.abc import Sequence

from etlwatch.rendering.charts import Chart, Spark, chart_lines, spark_lines
from etlwatch.text.columns import SPARK_LINES
from etlwatch.text.spans import Spans
from etlwatch.tui.widgets.span_lines import SpanLines

__all__ = ["BlockChart", "SparkLines"]


class BlockChart(SpanLines):
    """One compact chart: a title, `rows` of plot and a line of times."""

    def __init__(self, chart: Chart | None = None, *, rows: int = 6, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._chart = chart
        self._rows = rows

    @property
    def rows(self) -> int:
        """Lines of plot, without title and times."""
        return self._rows

    @rows.setter
    def rows(self, rows: int) -> None:
        if rows != self._rows:
            self._rows = rows
            self.renew()

    def show(self, chart: Chart) -> None:
        """Draw another chart; an equal one costs nothing."""
        if chart != self._chart:
            self._chart = chart
            self.renew()

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the chart in `width` cells; empty lines while there is none, so that nothing jumps later."""
        if self._chart is None:
            return [()] * (self._rows + 2)
        return chart_lines(self._chart, width=width, rows=self._rows, glyphs=self.glyphs, shades=self.shades)


class SparkLines(SpanLines):
    """The three one-line charts of the smallest layout."""

    def __init__(self, sparks: Sequence[Spark] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._sparks = tuple(sparks)

    def show(self, sparks: Sequence[Spark]) -> None:
        """Draw other sparks; equal ones cost nothing."""
        if tuple(sparks) != self._sparks:
            self._sparks = tuple(sparks)
            self.renew()

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the sparks in `width` cells; empty lines while there are none, so that nothing jumps later."""
        if not self._sparks:
            return [()] * SPARK_LINES
        return spark_lines(self._sparks, width=width, glyphs=self.glyphs)
