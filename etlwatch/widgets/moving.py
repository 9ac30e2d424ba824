"""What tables and texts have in common: lines that keys and the wheel move through.

Owns the first line in view and the keys (declared in `etlwatch.commands`). Refuses
to own the lines, and what moving to one means: a table moves its cursor, a text its view.
"""

from typing import ClassVar

from textual import events
from textual.binding import BindingType

from etlwatch.commands import MOVE_COMMANDS, bindings_of
from etlwatch.widgets.receding import Receding

__all__ = ["Moving"]

WHEEL_LINES = 3


class Moving(Receding, can_focus=True):
    """A widget of lines, of which some are in view."""

    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(MOVE_COMMANDS)

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's own names
        super().__init__(name=name, id=id, classes=classes, markup=False)
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

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll the view."""
        event.stop()
        self.view_from(self._top + WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll the view."""
        event.stop()
        self.view_from(self._top - WHEEL_LINES)
