"""The errors tab of a run: the list of kinds, the newest error of the chosen kind in full, and search."""

from __future__ import annotations

from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from etlwatch.analysis.errors import ErrorsOfKind
from etlwatch.fields.errors import GROUPS
from etlwatch.rendering.lines import Row
from etlwatch.rendering.run.errors import MOST_HITS, Hit, error_lines, find_hits, groups_of, marked
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import count
from etlwatch.text.spans import Spans
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.scroll_lines import ScrollLines
from etlwatch.tui.widgets.span_lines import Rule


class ErrorsTab(Vertical):
    """A run's errors."""

    DEFAULT_CSS = "ErrorsTab LineTable { height: auto; max-height: 40%; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._display_context: DisplayContext | None = None
        self._groups: dict[str, ErrorsOfKind] = {}
        self._drawn: object = None
        self.words = ""
        """The searched text; '' for none."""

        self._texts_of: tuple[dict[str, ErrorsOfKind], dict[str, list[Spans]]] = ({}, {})
        self._hits: tuple[Hit, ...] = ()
        self._at = 0
        self.end_wanted = False
        """Whether the traceback is to be shown from its end, once it is there."""

    def compose(self) -> ComposeResult:
        """Lay out the list above the error."""
        yield LineTable(
            GROUPS.layout(80), empty="no errors were recorded", reversed_columns=1, markable=False, id="error-list"
        )
        yield Rule(id="error-rule")
        yield ScrollLines(id="traceback")

    @property
    def selected(self) -> ErrorsOfKind | None:
        """The kind under the cursor."""
        key = self.query_one(LineTable).cursor_key
        return self._groups.get(key) if isinstance(key, str) else None

    def lay_out(self, width: int) -> None:
        """Choose the layout for a width in cells."""
        self.query_one(LineTable).columns = GROUPS.layout(width)

    def show(self, view: RunView, context: DisplayContext) -> None:
        """Draw a run's errors."""
        self._display_context = context
        before = self._groups
        self._groups = {group.fingerprint: group for group in groups_of(view)}
        self.query_one(LineTable).update_rows(
            [
                Row(
                    key=group.fingerprint,
                    cells=partial(GROUPS.cells, group, context),
                    version=(group, context.now.date()),
                )
                for group in self._groups.values()
            ]
        )
        if self.words and self._groups != before:
            here = self._hit
            self._hits = find_hits(self._texts(), self.words)
            self._at = self._hits.index(here) if here in self._hits else 0
        self._draw()
        if self.end_wanted and self.selected is not None:
            self.end_wanted = False
            self.call_after_refresh(self.query_one(ScrollLines).action_to_end, 1)

    def _texts(self) -> dict[str, list[Spans]]:
        """Return every error in full, computed once for all searches."""
        context = self._display_context
        if context is None:
            return {}
        if self._texts_of[0] != self._groups:
            made = {name: error_lines(group, context) for name, group in self._groups.items()}
            self._texts_of = (dict(self._groups), made)
        return self._texts_of[1]

    def _draw(self) -> None:
        """Draw the error under the cursor, another one from its first line."""
        group, context = self.selected, self._display_context
        name = group.fingerprint if group is not None else ""
        here = self._hit if self._hit is not None and self._hit.text == name else None
        wanted = (group, self.words, here)
        if wanted == self._drawn:
            return
        another = not isinstance(self._drawn, tuple) or self._drawn[0] is None or self._drawn[0].fingerprint != name
        self._drawn = wanted
        lines = (
            marked(error_lines(group, context), self.words, here) if group is not None and context is not None else []
        )
        self.query_one(ScrollLines).show(lambda _width, _height: lines, from_top=another)

    @on(LineTable.RowHighlighted, "#error-list")
    def _highlighted(self) -> None:
        self._draw()

    @on(LineTable.RowOpened, "#error-list")
    def _opened(self) -> None:
        """Focus the traceback; esc focuses the list again."""
        self.query_one(ScrollLines).focus()

    # -- searching

    @property
    def _hit(self) -> Hit | None:
        return self._hits[self._at] if self._hits else None

    def search(self, words: str) -> None:
        """Look for words in every error; go to the first place from the chosen error on."""
        self.words = words
        self._hits = find_hits(self._texts(), words)
        order = list(self._groups)
        chosen = order.index(self.selected.fingerprint) if self.selected is not None else 0
        self._at = next((at for at, hit in enumerate(self._hits) if order.index(hit.text) >= chosen), 0)
        self._go()

    def step(self, by: int) -> None:
        """Go to the next place, round the end."""
        if self._hits:
            self._at = (self._at + by) % len(self._hits)
            self._go()

    def _go(self) -> None:
        hit = self._hit
        if hit is not None:
            self.query_one(LineTable).move_cursor(hit.text)
        self._draw()
        if hit is not None:
            self.query_one(ScrollLines).bring(hit.line, hit.column, len(self.words))

    def search_status(self) -> Spans:
        """Return the state of the search: `3 of 14 in 2 errors`."""
        if not self.words.strip():
            return ()
        if not self._hits:
            return (("found nowhere", "amber"),)
        errors = len({hit.text for hit in self._hits})
        more = "+" if len(self._hits) == MOST_HITS else ""
        kinds = f" in {count(errors)} kinds of error" if errors > 1 else ""
        return ((f"{count(self._at + 1)} of {count(len(self._hits))}{more}{kinds}", "dim"),)

    def copy_text(self) -> str:
        """Return the newest error of the chosen kind as it was recorded: its traceback, else type and message."""
        group = self.selected
        if group is None:
            return ""
        return group.newest.traceback or f"{group.newest.error_type}: {group.newest.message}"
