"""Widgets of the compact charts: they draw a `Chart` again only when it has changed.

chart = BlockChart(rows=6)          chart.show(Chart(…))
sparks = SparkLines()               sparks.show([Spark(…), …])
"""

from collections.abc import Sequence

from etlwatch.rendering.charts import Chart, Spark, chart_lines, spark_lines
from etlwatch.text.columns import SPARK_LINES
from etlwatch.text.spans import Spans
from etlwatch.tui.widgets.span_lines import ValueLines

class BlockChart(ValueLines[Chart | None]):
    """One compact chart: a title, `rows` of plot and a line of times."""

    def __init__(self, chart: Chart | None = None, *, rows: int = 6, id: str | None = None) -> None:  # noqa: A002
        super().__init__(chart, id=id)
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

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the chart in `width` cells; empty lines while there is none, so that nothing moves later."""
        if self.value is None:
            return [()] * (self._rows + 2)
        return chart_lines(self.value, width=width, rows=self._rows, glyphs=self.glyphs, shades=self.shades)


class SparkLines(ValueLines[Sequence[Spark]]):
    """The three one-line charts of the smallest layout."""

    def __init__(self, sparks: Sequence[Spark] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(sparks, id=id)

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the sparks in `width` cells; empty lines while there are none, so that nothing moves later."""
        if not self.value:
            return [()] * SPARK_LINES
        return spark_lines(self.value, width=width, glyphs=self.glyphs)
