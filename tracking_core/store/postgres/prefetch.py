"""What the next view of a store will ask: whatever the last two views have both asked, in the same words.

A poll asks nearly the same each time. What can be foreseen is sent together with a view's first question, so that a
poll waits for a distant or busy server twice or three times, not ten times. Owns the guess alone; that the questions of
one view see the same moment, sent early or not, is the transaction's doing (`reader`).
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
        """Return the question; lists become tuples."""
        pairs = parameters.items()
        return cls(block, tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in pairs))

    @property
    def parameters(self) -> dict[str, Any]:
        """Return them as the driver takes them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.given}


QUICK_S = 0.5
"""What takes longer is not asked ahead: all that is asked together has the one deadline."""


class QueryPrefetch:
    """Remembers the questions of the last two views."""

    def __init__(self) -> None:
        self._before: dict[Query, None] = {}
        self._last: dict[Query, None] = {}

    def new_view(self) -> list[Query]:
        """Begin a view; return what it will probably ask, in the order of the last one."""
        foreseen = [question for question in self._last if question in self._before]
        self._before, self._last = self._last, {}
        return foreseen

    def asked(self, question: Query, seconds: float) -> None:
        """Remember a question of the present view that was answered within so many seconds."""
        if seconds < QUICK_S:
            self._last[question] = None
