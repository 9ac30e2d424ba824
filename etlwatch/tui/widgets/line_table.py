"""A table drawn line by line, with a cursor and marks that stay with their keys.

No markup is parsed; cells are spans. Only rows that changed are drawn again.

    table = LineTable(columns, empty="no runs yet")
    table.columns = RUNS.layout(160)            layouts are data (`etlwatch.text.spans`)
    table.update_rows(rows, sort=("state", True))  draws only the rows that changed
    Row(key=run_id, cells={"job": (("crm", "plain"),)}, role="dim")

Messages: `RowHighlighted(key)` when the cursor moves to another key, `RowOpened(key)`, `RowMarked(key, marked)`,
`SortRequested(key)` for a click on a header. Keys: those of `ScrollWidget`, enter, space.

It is a plain widget with a scroll offset of its own rather than a `ScrollView`: rows that come and go then cost no
layout, nothing is animated over a slow link, and all 160 cells are the table's.
"""

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from etlwatch.rendering.lines import Row, cursor_spans, header_spans, row_spans
from etlwatch.text.display import UNICODE
from etlwatch.text.spans import Column, Placed, Spans, fit, placed
from etlwatch.tui.colours import palette
from etlwatch.tui.widgets.scroll_lines import ScrollWidget
from etlwatch.tui.widgets.span_lines import glyphs_of, strip_of


class _TableMessage(Message):
    """Something about a table."""

    def __init__(self, table: Widget) -> None:
        super().__init__()
        self._table = table

    @property
    def control(self) -> Widget:
        """The table, for `@on` selectors."""
        return self._table


class RowMessage(_TableMessage):
    """Something about one row."""

    def __init__(self, table: Widget, key: Hashable) -> None:
        super().__init__(table)
        self.key = key


class ColumnMessage(_TableMessage):
    """Something about one column."""

    def __init__(self, table: Widget, column: str) -> None:
        super().__init__(table)
        self.column = column


class LineTable(ScrollWidget):
    """A keyed table on the line API; see the module."""

    DEFAULT_CSS = """
    LineTable { height: 1fr; width: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", show=False, id="table.open"),
        Binding("space", "mark", "mark", show=False, id="table.mark"),
    ]

    class RowHighlighted(RowMessage):
        """The cursor is on another key; None when the table has become empty."""

    class RowOpened(RowMessage):
        """Enter, or a click on the row under the cursor."""

    class RowMarked(RowMessage):
        """A row was marked or unmarked; `marked` of the table holds all of them."""

    class SortRequested(ColumnMessage):
        """A header was clicked."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str | Spans = "",
        header: bool = True,
        reversed_columns: int = 2,
        markable: bool = True,
        ground: str = "background",
        **attributes: Any,
    ) -> None:
        """Make an empty table.

        `empty` is the text without rows; in themes without a background for the cursor, the first `reversed_columns`
        columns of its row are reversed.
        """
        super().__init__(**attributes)
        self._columns = tuple(columns)
        self._empty: Spans = ((empty, "dim"),) if isinstance(empty, str) else empty
        self._header_lines = 1 if header else 0
        self._reversed_columns = reversed_columns
        self._ground = ground
        self._rows: tuple[Row, ...] = ()
        self._index: dict[Hashable, int] = {}
        self._cursor = -1
        self._markable = markable
        self._marked: set[Hashable] = set()
        self._sort: tuple[str, bool] | None = None
        self._glyphs = UNICODE
        self._theme = ""
        self._drawn_for: tuple[object, ...] = ()
        self._placed: tuple[Placed, ...] = ()
        self._strips: dict[Hashable, tuple[Row, Strip]] = {}

    # -- for its screen

    @property
    def columns(self) -> tuple[Column, ...]:
        """The layout."""
        return self._columns

    @columns.setter
    def columns(self, columns: Sequence[Column]) -> None:
        if tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self.refresh()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows in their order."""
        return self._rows

    @property
    def cursor_key(self) -> Hashable | None:
        """The key under the cursor; None in an empty table."""
        return self._rows[self._cursor].key if self._rows else None

    @property
    def cursor_index(self) -> int:
        """The place of the cursor; -1 in an empty table."""
        return self._cursor

    @property
    def marked(self) -> frozenset[Hashable]:
        """The keys marked with space, of rows that are still there."""
        return frozenset(key for key in self._marked if key in self._index)

    def unmark(self) -> None:
        """Forget all marks."""
        self._marked.clear()
        self.refresh()

    @property
    def visible_range(self) -> range:
        """The places of the rows on screen."""
        return range(self._top, min(len(self._rows), self._top + self.page))

    def set_empty(self, empty: str | Spans) -> None:
        """Set the text shown without rows."""
        spans: Spans = ((empty, "dim"),) if isinstance(empty, str) else empty
        if spans != self._empty:
            self._empty = spans
            if not self._rows:
                self.refresh()

    def update_rows(self, rows: Sequence[Row], *, sort: tuple[str, bool] | None = None) -> None:
        """Show `rows` in this order; `sort` is the column key and whether descending, for the header's arrow.

        The cursor stays on its key. When that is gone it goes to the nearest row that followed it and is still there,
        else to the nearest before it; in a table that was empty, to the first. Only cells that differ are drawn.
        """
        before, cursor_before, top_before = self._rows, self._cursor, self._top
        key_before = self.cursor_key
        was_visible = self._cursor in self.visible_range
        self._rows = tuple(rows)
        self._index = {row.key: place for place, row in enumerate(self._rows)}
        self._cursor = self._anchor(before, cursor_before)
        if len(self._strips) > 2 * max(200, len(self._rows)):
            self._strips = {key: kept for key, kept in self._strips.items() if key in self._index}
        self._top = self._top_for(self._cursor) if was_visible or not before else self._clamped(self._top)
        if sort != self._sort:
            self._sort = sort
            self._refresh_line(0 if self._header_lines else -1)
        if self._top != top_before or not before or not self._rows:
            self.refresh()
        else:
            self._refresh_changes(before, cursor_before)
        if self.cursor_key != key_before:
            self.post_message(self.RowHighlighted(self, self.cursor_key))

    def move_cursor(self, key: Hashable) -> bool:
        """Put the cursor on `key` and bring it into view; False when no row has it."""
        place = self._index.get(key)
        if place is None:
            return False
        self.move_to(place)
        return True

    # -- cursor and scrolling

    @property
    def page(self) -> int:
        """Rows that fit on screen."""
        return max(1, self.size.height - self._header_lines)

    @property
    def line_count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    @property
    def place(self) -> int:
        """Where the cursor is."""
        return self._cursor

    def _anchor(self, before: tuple[Row, ...], cursor: int) -> int:
        """Return where the cursor of `before` goes among the rows there are now."""
        if not self._rows:
            return -1
        if not before or cursor < 0:
            return 0
        for row in (*before[cursor:], *reversed(before[:cursor])):
            if row.key in self._index:
                return self._index[row.key]
        return min(cursor, len(self._rows) - 1)

    def _top_for(self, place: int) -> int:
        """Return the offset nearest to the present one that shows `place`."""
        if not self.size.height:
            return 0  # not laid out yet; the first resize comes here again
        top = self._clamped(self._top)
        return max(0, min(max(top, place - self.page + 1), max(place, 0)))

    def move_to(self, place: int) -> None:
        """Put the cursor on a row, or as far as there are any, and bring it into view."""
        if not self._rows:
            return
        place = max(0, min(place, len(self._rows) - 1))
        moved, old = place != self._cursor, self._cursor
        self._cursor = place
        top = self._top_for(place)
        if top != self._top:
            self._top = top
            self.refresh()
        elif moved:
            self._refresh_row(old)
            self._refresh_row(place)
        if moved:
            self.post_message(self.RowHighlighted(self, self.cursor_key))

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self._rows:
            self.post_message(self.RowOpened(self, self.cursor_key))

    def action_mark(self) -> None:
        """Mark or unmark the row under the cursor."""
        key = self.cursor_key
        if key is None or not self._markable:
            return
        self._marked ^= {key}
        self._refresh_row(self._cursor)
        self.post_message(self.RowMarked(self, key))

    def on_click(self, event: events.Click) -> None:
        """Select a row, open the one already selected, or ask for a sort."""
        event.stop()
        line = int(event.y) - self._header_lines
        if line < 0:
            self._click_header(int(event.x))
            return
        place = self._top + line
        if place >= len(self._rows):
            return
        if place == self._cursor:
            self.action_open()
        else:
            self.move_to(place)

    def _click_header(self, x: int) -> None:
        for at in reversed(self._placed):
            if x >= at.x:
                if at.column.sortable:
                    self.post_message(self.SortRequested(self, at.column.key))
                return

    def on_resize(self) -> None:
        """Keep the cursor in view when the terminal shrinks, and use the room when it grows."""
        top = self._top_for(self._cursor)
        if top != self._top:
            self._top = top
            # Lines may have been drawn between the layout and this message.
            self.refresh()

    # -- which rows to draw again

    def _refresh_line(self, y: int) -> None:
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _refresh_row(self, place: int) -> None:
        if place in self.visible_range:
            self._refresh_line(place - self._top + self._header_lines)

    def _refresh_changes(self, before: tuple[Row, ...], cursor_before: int) -> None:
        """Draw the rows again that differ between `before` and now; the view has not moved.

        Whole rows: which of their cells differ is found when they are sent.
        """
        regions: list[Region] = []
        if cursor_before != self._cursor:
            self._refresh_row(self._cursor)
            if cursor_before in range(self._top, self._top + self.page):
                self._refresh_line(cursor_before - self._top + self._header_lines)
        for place in range(self._top, min(self._top + self.page, max(len(before), len(self._rows)))):
            old = before[place] if place < len(before) else None
            new = self._rows[place] if place < len(self._rows) else None
            if (
                old is None
                or new is None
                or not old.same_as(new)
                or (old.key in self._marked) != (new.key in self._marked)
            ):
                regions.append(Region(0, place - self._top + self._header_lines, self.size.width, 1))
        if regions:
            self.refresh(*regions)

    # -- drawing

    def prepare(self, width: int) -> None:
        """Place the columns, unless nothing has changed."""
        self._glyphs = glyphs_of(self)
        self._theme = self.app.theme
        context = (width, self._theme, self._glyphs.name, self._muted, self._columns)
        if context != self._drawn_for:
            self._drawn_for = context
            self._placed = placed(self._columns, width)
            self._strips.clear()

    def line_at(self, y: int, width: int) -> Strip:
        """Return one line of the screen: the header, a row, the text without rows, or nothing."""
        if y < self._header_lines:
            return self._strip(header_spans(self._placed, width, self._glyphs, self._sort), width)
        place = self._top + y - self._header_lines
        if place < len(self._rows):
            return self._row_strip(place, width)
        if not self._rows and y == self._header_lines:
            return self._strip((("  ", "plain"), *self._empty), width)
        return self._strip((), width)

    def _strip(self, spans: Spans, width: int, *, ground: str = "") -> Strip:
        return strip_of(fit(spans, width), self._theme, ground=ground or self._ground, muted=self._muted)

    def _row_strip(self, place: int, width: int) -> Strip:
        """Return a row's strip; the cursor's is drawn anew each time, the others are kept while they are the same."""
        row = self._rows[place]
        marked = row.key in self._marked
        if place == self._cursor:
            shades = palette(self._theme).shades
            spans = cursor_spans(
                row, self._placed, self._glyphs, marked=marked, shades=shades, reversed_columns=self._reversed_columns
            )
            return self._strip(spans, width, ground="selected" if shades else "")
        kept = self._strips.get(row.key)
        if kept is not None and kept[0].same_as(row) and not marked:
            return kept[1]
        strip = self._strip(row_spans(row, self._placed, self._glyphs, marked=marked), width)
        if not marked:
            self._strips[row.key] = (row, strip)
        return strip

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 - Textual's signature
        """Return the width for `auto`: all there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """Return the height for `auto`: the header and a line for each row."""
        return self._header_lines + max(1, len(self._rows))
