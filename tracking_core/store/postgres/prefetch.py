"""The queries that the next view of a store is expected to send: those that the last two views have both sent.

A poll sends nearly the same queries each time. The expected ones are sent together with a view's first query, so that a
poll waits for a distant or busy server two or three times, not ten times.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracking_core.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """One block of SQL with its parameters, as a key."""

    block: str
    given: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, block: str, parameters: Mapping[str, Any]) -> Query:
        """Return the query; lists become tuples."""
        pairs = parameters.items()
        return cls(block, tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in pairs))

    @property
    def parameters(self) -> dict[str, Any]:
        """Return them as the driver takes them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.given}


QUICK_S = 0.5
"""A query that takes longer is not sent ahead: all that are sent together have one deadline."""


class QueryPrefetch:
    """Stores the queries of the last two views."""

    def __init__(self) -> None:
        self._before: dict[Query, None] = {}
        self._last: dict[Query, None] = {}

    def new_view(self) -> list[Query]:
        """Begin a view; return the queries that are expected, in the order of the last one."""
        expected = [query for query in self._last if query in self._before]
        self._before, self._last = self._last, {}
        return expected

    def sent(self, query: Query, seconds: float) -> None:
        """Store a query of the present view that was answered within so many seconds."""
        if seconds < QUICK_S:
            self._last[query] = None
