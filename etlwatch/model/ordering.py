"""In which order the runs stand: by what needs somebody, or by any column.

Owns the sort keys and the stepping from column to column. Refuses to own the table. What is unknown stands last in
either direction, and ties fall back to the default order, so that rows do not dance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from etlwatch.model.rows import RunRow

__all__ = ["SORTABLE", "Order", "next_order", "sort_rows"]

_Key = Callable[[RunRow], "float | str | None"]

_KEYS: Final[dict[str, tuple[_Key, bool]]] = {
    # column: (key, whether the greatest comes first unless inverted)
    "job": (lambda row: row.run.job.casefold(), False),
    "start": (lambda row: row.run.started_at.timestamp(), True),
    "time": (lambda row: row.run.duration_s, True),
    "ratio": (lambda row: row.ratio, True),
    "phase": (lambda row: row.phase.name.casefold() if row.phase else None, False),
    "done": (lambda row: row.phase.share if row.phase else None, True),
    "req": (lambda row: row.run.requests, True),
    "rate": (lambda row: row.rates.requests if row.rates else None, True),
    "items": (lambda row: row.run.items, True),
    "err": (lambda row: row.trouble, True),
    "p95": (lambda row: row.percentiles.p95 if row.percentiles else None, True),
}

SORTABLE: Final = ("state", *_KEYS)
"""Columns that can be sorted by; `state` is the default order."""


@dataclass(frozen=True, slots=True)
class Order:
    """A column and a direction."""

    column: str = "state"
    inverted: bool = False

    @property
    def descending(self) -> bool:
        """Whether the arrow points down: worst first, greatest first, newest first."""
        natural = True if self.column == "state" else _KEYS[self.column][1]
        return natural != self.inverted


def next_order(order: Order, step: int, visible: Sequence[str]) -> Order:
    """Return the order by the next visible column to the right (`step` 1) or left (-1), in its own direction."""
    columns = [column for column in visible if column in SORTABLE] or ["state"]
    index = (columns.index(order.column) + step) % len(columns) if order.column in columns else 0
    return Order(columns[index])


def _by_need(row: RunRow) -> tuple[int, int, float, int]:
    """Rank first; among the living the longest running first, among the ended the last ended first."""
    if row.run.ended_at is None:
        return (row.verdict.rank, 0, row.run.started_at.timestamp(), row.run.run_id)
    return (row.verdict.rank, 1, -row.run.ended_at.timestamp(), -row.run.run_id)


def sort_rows(rows: Iterable[RunRow], order: Order) -> list[RunRow]:
    """Return the rows in this order."""
    by_need = sorted(rows, key=_by_need)
    if order.column == "state":
        return by_need[::-1] if order.inverted else by_need
    read, _ = _KEYS[order.column]
    known = [row for row in by_need if read(row) is not None]
    unknown = [row for row in by_need if read(row) is None]
    known.sort(key=read, reverse=order.descending)  # type: ignore[arg-type]  # one column holds one type
    return known + unknown
