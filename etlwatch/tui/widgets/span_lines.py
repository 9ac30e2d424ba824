"""Lines of spans, cached and dimmed: the base of all widgets here, header, rule, footer and compact charts."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from etlwatch.rendering.charts import Chart, Spark, chart_lines, spark_lines
from etlwatch.rendering.lines import Key, Part, filter_at, footer_line, lay_out, rule_line
from etlwatch.text.display import UNICODE, Glyphs
from etlwatch.text.safe import cell_width
from etlwatch.text.spans import SPARK_LINES, Span, Spans, fit, in_glyphs
from etlwatch.tui.colours import palette, role_style

T = TypeVar("T")


class LineWidget(Widget):
    """A widget of complete lines: `line_at` returns every cell of one, in the colours of the theme."""

    _muted = False

    @property
    def muted(self) -> bool:
        """Whether everything is dimmed, because the connection is lost."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        if value != self._muted:
            self._muted = value
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line, as wide as the widget."""
        width = self.size.width
        self.prepare(width)
        return self.line_at(y, width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of a region as they are.

        A widget without border and padding gets nothing from Textual's styling of each line, which costs as much as
        drawing the line; nor from its filters, since themes with colours name every one by its RGB value and the others
        none.
        """
        size = self.size
        if size != self.outer_size:
            return super().render_lines(crop)
        self.prepare(size.width)
        strips = [self.line_at(y, size.width) for y in crop.line_range]
        first, last = crop.column_span
        if (first, last) == (0, size.width):
            return strips
        return [strip.crop(first, last) for strip in strips]

    def prepare(self, width: int) -> None:
        """Compute what lines of this width share, before any of them is asked for."""

    def line_at(self, y: int, width: int) -> Strip:
        """Return one line; subclasses draw it here."""
        raise NotImplementedError


def glyphs_of(widget: Widget) -> Glyphs:
    """Return the glyphs that the widget's app draws with."""
    glyphs = getattr(widget.app, "glyphs", UNICODE)
    return glyphs if isinstance(glyphs, Glyphs) else UNICODE


def strip_of(spans: Iterable[Span], theme: str, *, ground: str = "background", muted: bool = False) -> Strip:
    """Return spans as a strip in the styles of `theme`: segments only, no markup is ever parsed."""
    segments: list[Segment] = []
    width = 0
    for text, role in spans:
        if text:
            segments.append(Segment(text, role_style(theme, role, ground, muted=muted)))
            width += cell_width(text)
    return Strip(segments, width)


class SpanLines(LineWidget):
    """Lines of spans on one background; by default as tall as its lines."""

    DEFAULT_CSS = """
    SpanLines { height: auto; width: 1fr; }
    """

    ALLOW_SELECT = False

    def __init__(
        self,
        lines: Sequence[Spans] = (),
        *,
        ground: str = "background",
        **attributes: Any,
    ) -> None:
        """Show `lines`; `attributes` are Textual's: id, classes."""
        super().__init__(markup=False, **attributes)
        self._lines: Sequence[Spans] = lines
        self._ground = ground
        self._shown: tuple[Spans, ...] = ()
        self._drawn_for: tuple[object, ...] = ()
        self._stale = True
        self._strips: dict[int, Strip] = {}

    @property
    def glyphs(self) -> Glyphs:
        """The glyphs of the app."""
        return glyphs_of(self)

    @property
    def shades(self) -> bool:
        """Whether areas differ by colour in the theme."""
        return palette(self.app.theme).shades

    def update(self, lines: Sequence[Spans]) -> None:
        """Show other lines; draws those again that differ, and nothing when none does."""
        self._lines = lines
        self.renew()

    def lines_for(self, width: int) -> Sequence[Spans]:  # noqa: ARG002 - for subclasses
        """Return what to show in `width` cells; subclasses compute it here."""
        return self._lines

    def renew(self) -> None:
        """Compute the lines again and redraw what differs; subclasses call it when what they show has changed."""
        if not self.is_mounted:
            return
        width = self.size.width
        before = self._shown
        self._stale = True
        after = self._current(width)
        if len(before) != len(after) and self.styles.is_auto_height:
            # The number of lines may be the old one again before anything is laid out.
            self._strips.clear()
            self.refresh(layout=True)
            return
        regions: list[Region] = []
        for y in range(max(len(before), len(after))):
            old, new = (lines[y] if y < len(lines) else () for lines in (before, after))
            if old != new:
                self._strips.pop(y, None)
                regions.append(Region(0, y, width, 1))
        if regions:
            self.refresh(*regions)

    def _current(self, width: int) -> tuple[Spans, ...]:
        """Return the lines for this width, theme and glyphs, computed only when one of them or the data changed."""
        context = (width, self.size.height, self.app.theme, self._muted, self.glyphs.name)
        if context != self._drawn_for:
            self._strips.clear()
            self._drawn_for = context
            self._stale = True
        if self._stale:
            self._shown = tuple(self.lines_for(width))
            self._stale = False
        return self._shown

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 - Textual's signature
        """Return the width for `auto`: all there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """Return the height for `auto`: its lines."""
        return len(self.lines_for(width))

    def prepare(self, width: int) -> None:
        """Compute the lines, unless nothing has changed."""
        self._current(width)

    def line_at(self, y: int, width: int) -> Strip:
        """Return one line, from the cache where nothing about it has changed."""
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != width:
            phrase = in_glyphs(self._shown[y] if y < len(self._shown) else (), self.glyphs)
            spans = fit(phrase, width, ellipsis=self.glyphs.ellipsis)
            strip = strip_of(spans, self.app.theme, ground=self._ground, muted=self._muted)
            self._strips[y] = strip
        return strip


class ValueLines(SpanLines, Generic[T]):
    """Lines computed from one value; `show` draws again only for a value that differs."""

    ground: ClassVar[str] = "background"
    empty: ClassVar[Any] = ()
    """The value until the first is shown."""

    def __init__(self, value: T | None = None, **attributes: Any) -> None:
        super().__init__(ground=self.ground, **attributes)
        self.value: T = self.empty if value is None else value

    def show(self, value: T) -> None:
        """Show another value; of the new lines only the cells that differ are sent."""
        if value != self.value:
            self.value = value
            self.renew()


Sides: TypeAlias = tuple[Sequence[Part], Sequence[Part]]
"""The parts at the left and at the right."""


class HealthLine(ValueLines[Sides]):
    """A line of two sides: the right one stays, the left one loses its least important parts."""

    DEFAULT_CSS = "HealthLine { height: 1; }"

    ground = "bar"
    empty = ((), ())

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the line for this width."""
        return [lay_out(*self.value, width, ellipsis=self.glyphs.ellipsis)]

    def filter_at(self, x: int) -> str:
        """Return what a click on the cell `x` filters by; '' for nothing."""
        return filter_at(*self.value, self.size.width, x)


class Rule(ValueLines[Spans]):
    """A horizontal line with a title in it."""

    DEFAULT_CSS = "Rule { height: 1; }"

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the rule for this width."""
        return [rule_line(self.value, width, line=self.glyphs.usual, ellipsis=self.glyphs.ellipsis)]


class Footer(ValueLines[Sequence[Key]]):
    """Keys in blue, their texts dim."""

    DEFAULT_CSS = "Footer { height: 1; }"

    ground = "bar"

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the keys that fit, in their order."""
        return [footer_line(self.value, width, ellipsis=self.glyphs.ellipsis)]


class BlockChart(ValueLines[Chart | None]):
    """One compact chart: a title, `rows` of plot and a line of times."""

    empty = None
    _rows = 6

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

    def lines_for(self, width: int) -> Sequence[Spans]:
        """Return the sparks in `width` cells; empty lines while there are none, so that nothing moves later."""
        if not self.value:
            return [()] * SPARK_LINES
        return spark_lines(self.value, width=width, glyphs=self.glyphs)
