"""In which order the rows of a list stand: by what needs somebody, or by any column.

Contains sorting and the stepping from column to column, for every list. What is unknown stands last in either
direction, and ties fall back to the order of need, so that rows do not dance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from tracking_core.dataclass import dataclass

__all__ = ["NEED", "Order", "Ordering"]

NEED: Final = "state"
"""The name of the order of need; the runs have a column of that name."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Order:
    """A column and a direction."""

    column: str = NEED
    inverted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering(Generic[Row]):
    """How rows of one kind can be ordered."""

    by_need: Callable[[Row], Any]
    """The sort key of the order of need."""

    keys: Mapping[str, tuple[Callable[[Row], float | str | None], bool]]
    """By column: its sort key, and whether the greatest comes first unless inverted."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Everything that rows can be ordered by."""
        return (NEED, *self.keys)

    def descending(self, order: Order) -> bool:
        """Say whether the arrow points down: worst first, greatest first, newest first."""
        natural = True if order.column == NEED else self.keys[order.column][1]
        return natural != order.inverted

    def arrow(self, order: Order) -> tuple[str, bool]:
        """Return what a table's header shows of an order: the column and whether the arrow points down."""
        return order.column, self.descending(order)

    def next(self, order: Order, step: int, visible: Sequence[str]) -> Order:
        """Return the order by the next visible column to the right (`step` 1) or left (-1), in its own direction."""
        columns = [column for column in visible if column in self.columns]
        if NEED not in columns:
            columns.insert(0, NEED)
        index = (columns.index(order.column) + step) % len(columns) if order.column in columns else 0
        return Order(columns[index])

    def sort(self, rows: Iterable[Row], order: Order | None = None) -> list[Row]:
        """Return the rows in this order, by default in that of need."""
        order = order or Order()
        by_need = sorted(rows, key=self.by_need)
        if order.column == NEED:
            return by_need[::-1] if order.inverted else by_need
        read, _ = self.keys[order.column]
        known = [row for row in by_need if read(row) is not None]
        unknown = [row for row in by_need if read(row) is None]
        known.sort(key=read, reverse=self.descending(order))  # type: ignore[arg-type]  # one column holds one type
        return known + unknown
