"""What a table's messages hold; the messages themselves are the table's, as Textual names their handlers by that."""

from collections.abc import Hashable

from textual.message import Message
from textual.widget import Widget

__all__ = ["ColumnMessage", "RowMessage"]


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
