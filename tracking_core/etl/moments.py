"""Times of a context: aware, and yet a naive local time can be subtracted from them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tracking_core.clock import from_microseconds


class Moment(datetime):
    """An aware datetime which takes a naive one in a subtraction as local time, whichever stands first.

    So `datetime.now() - context.statistics["total"]["start_time"]` is a duration. In all else it is a datetime.
    """

    __slots__ = ()

    def __sub__(self, other: Any) -> Any:
        return super().__sub__(self._comparable(other))

    def __rsub__(self, other: Any) -> Any:
        if not isinstance(other, datetime):
            return NotImplemented
        # As a plain datetime: the subtraction of a subclass would come back here.
        return self._comparable(other) - self._plain()

    def __repr__(self) -> str:
        return repr(self._plain())

    def __conform__(self, protocol: object) -> str:
        """Return the text that sqlite3 stores for a datetime; it adapts no subclass by itself."""
        return self.isoformat(" ")

    def _comparable(self, other: Any) -> Any:
        if self.tzinfo is not None and isinstance(other, datetime) and other.tzinfo is None:
            return other.astimezone()
        return other

    def _plain(self) -> datetime:
        return datetime.combine(self.date(), self.timetz())


def moment_of(microseconds: int) -> Moment:
    """Return the moment, in UTC, of microseconds since 1970-01-01Z."""
    at = from_microseconds(microseconds)
    return Moment.combine(at.date(), at.timetz())


def now() -> Moment:
    """Return the present moment, in UTC."""
    return Moment.now(UTC)
