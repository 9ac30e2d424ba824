"""What the widgets of this package have in common: how their lines are drawn, and that they can be muted."""

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

__all__ = ["Receding"]


class Receding(Widget):
    """A widget of complete lines: `line_at` returns every cell of one, in the colours of the theme."""

    _muted = False

    @property
    def muted(self) -> bool:
        """Whether everything recedes, because it is no longer true (a lost connection)."""
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
