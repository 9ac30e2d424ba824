"""A table drawn line by line, whose selection stays on its thing.

Owns cursor, marks, scrolling and drawing of keyed rows. Refuses to own sorting, filtering, formatting and where rows
come from: its owner hands over rows in order and is told what was done. No markup is parsed anywhere; cells are spans.

    table = LineTable(columns, empty="no runs yet")
    table.columns = columns_for_160             layouts are data (`etlwatch.model.columns`)
    table.update_rows(rows, sort=("state", True))  draws only the cells that changed
    Row(key=run_id, cells={"job": (("crm", "plain"),)}, role="dim")

Messages: `RowHighlighted(key)` when the cursor moves to another key, `RowOpened(key)`, `RowMarked(key, marked)`,
`SortRequested(key)` for a click on a header. Keys: j k ↑ ↓ g G home end page up and down, enter, space.

A row's cells may be a function, called only when the row is drawn; then its `version` says whether it has changed.
It is a plain widget with a scroll offset of its own rather than a `ScrollView`: rows that come and go then cost no
layout, nothing is animated over a slow link, and all 160 cells are the table's.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from etlwatch.model.columns import GUTTER, Column, Placed, placed
from etlwatch.model.glyphs import Glyphs
from etlwatch.model.spans import Span, Spans, fit
from etlwatch.text import cell_width, clip
from etlwatch.theme import palette
from etlwatch.widgets.span_lines import glyphs_of, in_glyphs, strip_of

__all__ = ["LineTable", "Row"]

Cells: TypeAlias = Mapping[str, Spans]

WHEEL_LINES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: who it is, what its columns show, and its own colour."""

    key: Hashable
    """What the selection stays on; unique in the table."""
    cells: Cells | Callable[[], Cells] = field(compare=False)
    """Spans by column key; a missing key is an empty cell."""
    role: str = "plain"
    """What `plain` means in its cells: `dim` for what needs nobody."""
    version: object = None
    """With `cells` a function: equal means that nothing has changed."""
    badge: str = ""
    """One cell that stands in the gutter where the row is not marked."""

    def drawn(self) -> Cells:
        """Return the cells, computed now if they are a function."""
        return self.cells() if callable(self.cells) else self.cells

    def same_as(self, other: "Row") -> bool:
        """Say whether both draw the same, without computing a cell."""
        if self is other:
            return True
        if self != other:
            return False
        # Two functions are compared by the version alone, which `==` has just done.
        return (callable(self.cells) and callable(other.cells)) or self.cells == other.cells


class LineTable(Widget, can_focus=True):
    """A keyed table on the line API; see the module."""

    DEFAULT_CSS = """
    LineTable { height: 1fr; width: 1fr; }
    """

    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down", show=False, id="move.down"),
        Binding("k,up", "move(-1)", "up", show=False, id="move.up"),
        Binding("g,home", "to_end(-1)", "first", show=False, id="move.first"),
        Binding("G,end", "to_end(1)", "last", show=False, id="move.last"),
        Binding("pagedown,ctrl+f", "page(1)", "page down", show=False, id="move.page_down"),
        Binding("pageup,ctrl+b", "page(-1)", "page up", show=False, id="move.page_up"),
        Binding("enter", "open", "open", show=False, id="table.open"),
        Binding("space", "mark", "mark", show=False, id="table.mark"),
    ]

    class RowMessage(Message):
        """Something about one row."""

        def __init__(self, table: "LineTable", key: Hashable) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> "LineTable":
            """The table, for `@on` selectors."""
            return self.table

    class RowHighlighted(RowMessage):
        """The cursor is on another key; None when the table has become empty."""

    class RowOpened(RowMessage):
        """Enter, or a click on the row under the cursor."""

    class RowMarked(RowMessage):
        """A row was marked or unmarked; `marked` of the table holds all of them."""

    class SortRequested(Message):
        """A header was clicked."""

        def __init__(self, table: "LineTable", column: str) -> None:
            super().__init__()
            self.table = table
            self.column = column

        @property
        def control(self) -> "LineTable":
            """The table, for `@on` selectors."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str | Spans = "",
        header: bool = True,
        reversed_columns: int = 2,
        markable: bool = True,
        ground: str = "background",
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's own name
        classes: str | None = None,
    ) -> None:
        """Make an empty table.

        `empty` stands below the header when there are no rows; `reversed_columns` leading columns are reversed for
        the cursor in themes without a ground for it. Rows can be marked where somebody asks for `marked`.
        """
        super().__init__(name=name, id=id, classes=classes, markup=False)
        self._columns = tuple(columns)
        self._empty: Spans = ((empty, "dim"),) if isinstance(empty, str) else empty
        self._header_lines = 1 if header else 0
        self._reversed_columns = reversed_columns
        self._ground = ground
        self._rows: tuple[Row, ...] = ()
        self._index: dict[Hashable, int] = {}
        self._cursor = -1
        self._top = 0
        self._markable = markable
        self._marked: set[Hashable] = set()
        self._sort: tuple[str, bool] | None = None
        self._muted = False
        self._drawn_for: tuple[object, ...] = ()
        self._placed: tuple[Placed, ...] = ()
        self._strips: dict[Hashable, tuple[Row, Strip]] = {}

    # -- what the owner sees

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
        return range(self._top, min(len(self._rows), self._top + self._page))

    @property
    def muted(self) -> bool:
        """Whether everything recedes, because it is no longer true (a lost connection)."""
        return self._muted

    @muted.setter
    def muted(self, value: bool) -> None:
        if value != self._muted:
            self._muted = value
            self.refresh()

    def set_empty(self, empty: str | Spans) -> None:
        """Say something else where there are no rows."""
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
        self._move_to(place)
        return True

    # -- cursor and scrolling

    @property
    def _page(self) -> int:
        """Rows that fit on screen."""
        return max(1, self.size.height - self._header_lines)

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

    def _clamped(self, top: int) -> int:
        return max(0, min(top, len(self._rows) - self._page))

    def _top_for(self, place: int) -> int:
        """Return the offset nearest to the present one that shows `place`."""
        if not self.size.height:
            return 0  # not laid out yet; the first resize comes here again
        top = self._clamped(self._top)
        return max(0, min(max(top, place - self._page + 1), max(place, 0)))

    def _move_to(self, place: int) -> None:
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

    def _scroll_by(self, lines: int) -> None:
        """Move the view and not the cursor, as a wheel does."""
        top = self._clamped(self._top + lines)
        if top != self._top:
            self._top = top
            self.refresh()

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._move_to(self._cursor + by)

    def action_page(self, direction: int) -> None:
        """Move the cursor by a screenful."""
        self._move_to(self._cursor + direction * max(1, self._page - 1))

    def action_to_end(self, direction: int) -> None:
        """Move the cursor to the first or the last row."""
        self._move_to(0 if direction < 0 else len(self._rows) - 1)

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self._rows:
            self.post_message(self.RowOpened(self, self.cursor_key))

    def action_mark(self) -> None:
        """Mark or unmark the row under the cursor and go on to the next."""
        key = self.cursor_key
        if key is None or not self._markable:
            return
        self._marked ^= {key}
        self._refresh_row(self._cursor)
        self.post_message(self.RowMarked(self, key))
        self._move_to(self._cursor + 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll the view."""
        event.stop()
        self._scroll_by(WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll the view."""
        event.stop()
        self._scroll_by(-WHEEL_LINES)

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
            self._move_to(place)

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

    # -- which cells to draw again

    def _refresh_line(self, y: int) -> None:
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _refresh_row(self, place: int) -> None:
        if place in self.visible_range:
            self._refresh_line(place - self._top + self._header_lines)

    def _refresh_changes(self, before: tuple[Row, ...], cursor_before: int) -> None:
        """Mark the cells that differ between `before` and now; the view has not moved."""
        regions: list[Region] = []
        if cursor_before != self._cursor:
            self._refresh_row(self._cursor)
            if cursor_before in range(self._top, self._top + self._page):
                self._refresh_line(cursor_before - self._top + self._header_lines)
        for place in range(self._top, min(self._top + self._page, max(len(before), len(self._rows)))):
            old = before[place] if place < len(before) else None
            new = self._rows[place] if place < len(self._rows) else None
            y = place - self._top + self._header_lines
            if (
                old is None
                or new is None
                or old.role != new.role
                or old.badge != new.badge
                or (old.key in self._marked) != (new.key in self._marked)
            ):
                regions.append(Region(0, y, self.size.width, 1))
            elif not old.same_as(new):
                old_cells, new_cells = old.drawn(), new.drawn()
                regions.extend(
                    Region(at.x, y, at.width, 1)
                    for at in self._placed
                    if old_cells.get(at.column.key, ()) != new_cells.get(at.column.key, ())
                )
        if regions:
            self.refresh(*regions)

    # -- drawing

    def render_line(self, y: int) -> Strip:
        """Return one line of the screen: the header, a row, the word for emptiness, or nothing."""
        theme = self.app.theme
        glyphs = glyphs_of(self)
        width = self.size.width
        context = (width, theme, glyphs.name, self._muted, self._columns)
        if context != self._drawn_for:
            self._drawn_for = context
            self._placed = placed(self._columns, width)
            self._strips.clear()
        if y < self._header_lines:
            return self._strip(self._header_spans(glyphs), theme, width)
        place = self._top + y - self._header_lines
        if place < len(self._rows):
            return self._row_strip(place, theme, glyphs, width)
        if not self._rows and y == self._header_lines:
            return self._strip((("  ", "plain"), *self._empty), theme, width)
        return self._strip((), theme, width)

    def _strip(self, spans: Spans, theme: str, width: int, *, ground: str = "") -> Strip:
        return strip_of(fit(spans, width), theme, ground=ground or self._ground, muted=self._muted)

    def _row_strip(self, place: int, theme: str, glyphs: Glyphs, width: int) -> Strip:
        """Return a row's strip; the cursor's is drawn anew each time, the others are kept while they are the same."""
        row = self._rows[place]
        if place == self._cursor:
            return self._cursor_strip(row, theme, glyphs, width)
        kept = self._strips.get(row.key)
        if kept is not None and kept[0].same_as(row) and row.key not in self._marked:
            return kept[1]
        spans = self._row_spans(row, glyphs, gutter=(" ", "plain"))
        strip = self._strip(spans, theme, width)
        if row.key not in self._marked:
            self._strips[row.key] = (row, strip)
        return strip

    def _cursor_strip(self, row: Row, theme: str, glyphs: Glyphs, width: int) -> Strip:
        """Return the cursor's row: on its ground, or with its first columns reversed where there is none."""
        spans = self._row_spans(row, glyphs, gutter=(glyphs.cursor, "blue"))
        if palette(theme).shades:
            return self._strip(spans, theme, width, ground="selected")
        last = self._placed[min(self._reversed_columns, len(self._placed)) - 1] if self._placed else None
        stop = last.x + last.width + 1 if last is not None and self._reversed_columns else 0
        return self._strip(_reversed(spans, 1, stop), theme, width)

    def _row_spans(self, row: Row, glyphs: Glyphs, *, gutter: Span) -> Spans:
        """Return a row as spans from the gutter to its last column, `plain` resolved to the row's own role."""
        cells = row.drawn()
        out: list[Span] = [gutter, (glyphs.mark if row.key in self._marked else row.badge or " ", "blue")]
        x = GUTTER
        own = row.role
        for at in self._placed:
            if at.x > x:
                out.append((" " * (at.x - x), "plain"))
            said = in_glyphs(cells.get(at.column.key, ()), glyphs)
            for text, role in fit(said, at.width, at.column.align, ellipsis=glyphs.ellipsis):
                out.append((text, own if role == "plain" else role))
            x = at.x + at.width
        return tuple(out)

    def _header_spans(self, glyphs: Glyphs) -> Spans:
        """Return the header; the arrow stands after its word, or in the gap before one that fills its column."""
        line = [" "] * self.size.width
        for at in self._placed:
            header, x = clip(at.column.header, at.width, ellipsis=glyphs.ellipsis), at.x
            room = at.width - cell_width(header)
            if self._sort is not None and self._sort[0] == at.column.key:
                arrow = glyphs.descending if self._sort[1] else glyphs.ascending
                if room >= 2:
                    header, room = f"{header} {arrow}", room - 2
                else:
                    line[x - 1] = arrow
            if at.column.align == "right":
                x += room
            line[x : x + len(header)] = header
        return (("".join(line), "dim"),)

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002 - Textual's signature
        """Return the width it asks for: all there is."""
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """Return the height it asks for where CSS says auto: the header, and a line for each row."""
        return self._header_lines + max(1, len(self._rows))


def _reversed(spans: Spans, start: int, stop: int) -> Spans:
    """Return spans with the cells from `start` to `stop` reversed and bold."""
    out: list[Span] = []
    x = 0
    for text, role in spans:
        end = x + cell_width(text)
        if end <= start or x >= stop:
            out.append((text, role))
        elif x >= start and end <= stop:
            out.append((text, "text bold reverse"))
        else:
            # Only padding crosses an edge, so that cells are characters here.
            out.extend(
                (character, "text bold reverse" if start <= x + offset < stop else role)
                for offset, character in enumerate(text)
            )
        x = end
    return tuple(out)
