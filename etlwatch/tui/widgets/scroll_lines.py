"""Lines that keys and the wheel scroll through: the base of tables, and a widget of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.strip import Strip

from etlwatch.commands import MOVE_COMMANDS, bindings_of
from etlwatch.text.spans import Spans, in_glyphs, spans_width
from etlwatch.tui.widgets.span_lines import LineWidget, glyphs_of, strip_of

WHEEL_LINES = 3


class ScrollWidget(LineWidget, can_focus=True):
    """A widget of lines, of which some are in view."""

    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(MOVE_COMMANDS)

    def __init__(self, **attributes: Any) -> None:
        super().__init__(markup=False, **attributes)
        self._top = 0

    @property
    def top(self) -> int:
        """The first line in view."""
        return self._top

    @property
    def page(self) -> int:
        """Lines that fit into view; at least 1."""
        return max(1, self.size.height)

    @property
    def line_count(self) -> int:
        """How many lines there are, those out of view included."""
        raise NotImplementedError

    @property
    def place(self) -> int:
        """The line that moves are counted from."""
        return self._top

    def move_to(self, place: int) -> None:
        """Go to a line, or as far as there are any."""
        self.view_from(place)

    def view_from(self, top: int) -> None:
        """Move the view alone, as a wheel does."""
        top = self._clamped(top)
        if top != self._top:
            self._top = top
            self.refresh()

    def _clamped(self, top: int) -> int:
        return max(0, min(top, self.line_count - self.page))

    def action_move(self, by: int) -> None:
        """Move by lines."""
        self.move_to(self.place + by)

    def action_page(self, direction: int) -> None:
        """Move by a screenful, one line kept."""
        self.move_to(self.place + direction * max(1, self.page - 1))

    def action_to_end(self, direction: int) -> None:
        """Move to the first or the last line."""
        self.move_to(0 if direction < 0 else self.line_count - 1)

    def action_scroll_side(self, direction: int) -> None:
        """Scroll sideways, where lines may be wider than the view."""

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll the view."""
        event.stop()
        self.view_from(self._top + WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll the view."""
        event.stop()
        self.view_from(self._top - WHEEL_LINES)


SIDE_STEP = 8

LinesFor = Callable[[int, int], Sequence[Spans]]
"""Takes width and height in cells."""


class ScrollLines(ScrollWidget):
    """A scrolling text; see the module."""

    DEFAULT_CSS = """
    ScrollLines { height: 1fr; width: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "page(1)", "page down", show=False),
    ]

    def __init__(
        self,
        lines_for: LinesFor | None = None,
        *,
        ground: str = "background",
        **attributes: Any,
    ) -> None:
        super().__init__(**attributes)
        self._lines_for: LinesFor = lines_for or (lambda _width, _height: ())
        self._lines: Sequence[Spans] = ()
        self._ground = ground
        self._made_for: tuple[int, int] | None = None
        self._left = 0

    @property
    def lines(self) -> Sequence[Spans]:
        """All lines, those out of view included."""
        return self._current()

    @property
    def line_count(self) -> int:
        """How many lines there are, those out of view included."""
        return len(self._current())

    def show(self, lines_for: LinesFor, *, from_top: bool = False) -> None:
        """Show other lines; `from_top` forgets where the view was."""
        self._lines_for = lines_for
        if from_top:
            self._top = self._left = 0
        self.renew()

    def renew(self) -> None:
        """Compute the lines again and draw those in view that differ."""
        if not self.is_mounted:
            return
        before, top_before, left_before = self._lines, self._top, self._left
        self._made_for = None
        after = self._current()
        self._top = self._clamped(self._top)
        if self._top != top_before or self._left != left_before:
            self.refresh()
            return
        width, height = self.size
        changed = [
            Region(0, place - self._top, width, 1)
            for place in range(self._top, self._top + height)
            if _at(before, place) != _at(after, place)
        ]
        if changed:
            self.refresh(*changed)

    def _current(self) -> Sequence[Spans]:
        wanted = (self.size.width, self.size.height)
        if self._made_for != wanted:
            self._lines = self._lines_for(*wanted)
            self._made_for = wanted
        return self._lines

    def bring(self, line: int, column: int = 0, cells: int = 1) -> None:
        """Bring a place into view, with the lines before it as context."""
        width, height = self.size
        if not self._top <= line < self._top + height - 1:
            self.view_from(line - height // 3)
        left = self._left if self._left <= column <= self._left + width - cells else max(0, column + cells - width // 2)
        if left != self._left:
            self._left = left
            self.refresh()

    def action_scroll_side(self, direction: int) -> None:
        """Scroll sideways, as far as the widest line in view."""
        view = self._current()[self._top : self._top + self.size.height]
        widest = max((spans_width(line) for line in view), default=0)
        left = max(0, min(self._left + direction * SIDE_STEP, widest - self.size.width))
        if left != self._left:
            self._left = left
            self.refresh()

    def on_resize(self) -> None:
        """Keep the view on the lines there are."""
        self._top = self._clamped(self._top)

    def line_at(self, y: int, width: int) -> Strip:
        """Return one line of the view."""
        line = in_glyphs(_at(self._current(), self._top + y), glyphs_of(self))
        strip = strip_of((*line, (" " * (width + self._left), "plain")), self.app.theme, ground=self._ground,
                         muted=self._muted)  # fmt: skip
        return strip.crop(self._left, self._left + width)


def _at(lines: Sequence[Spans], place: int) -> Spans:
    return lines[place] if 0 <= place < len(lines) else ()
