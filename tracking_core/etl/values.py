"""Values of a context: copies of statistics, and times from which a naive local time can be subtracted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from numbers import Integral, Real
from typing import Any

from tracking_core.clock import from_microseconds
from tracking_core.process.interrupts import suppress_faults

_DEEPEST = 100
"""Levels of nesting kept by `json_ready`; a structure that holds itself ends there."""


def copy_containers(value: Any) -> Any:
    """Return a copy with containers of its own; everything else is shared.

    Results of a phase may hold connections, locks or large frames: those cannot or should not be copied.
    """
    return _copy(value, {})


def _copy(value: Any, copied: dict[int, Any]) -> Any:
    # Containers that hold each other in a circle are copied into such a circle.
    if id(value) in copied:
        return copied[id(value)]
    if isinstance(value, dict):
        mapping: dict[Any, Any] = {}
        copied[id(value)] = mapping
        mapping.update((key, _copy(item, copied)) for key, item in value.items())
        return mapping
    if isinstance(value, list):
        items: list[Any] = []
        copied[id(value)] = items
        items.extend(_copy(item, copied) for item in value)
        return items
    if type(value) is tuple:
        return tuple(_copy(item, copied) for item in value)
    if isinstance(value, (set, bytearray)):
        return value.copy()
    return value


def json_ready(value: Any) -> Any:
    """Return a copy made of dicts with string keys, lists, strings, numbers, booleans and None.

    Times are ISO 8601 text, durations seconds, numbers that are not finite None, and what JSON has no form for is
    its text.
    """
    return _plain(value, _DEEPEST)


def _plain(value: Any, levels: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        if levels == 0:
            return "..."
        if isinstance(value, Mapping):
            return {_text(key): _plain(item, levels - 1) for key, item in value.items()}
        return [_plain(item, levels - 1) for item in value]
    return _text(value)


def _text(value: Any) -> str:
    # A broken `__str__` may raise anything; the rest of the copy is worth having.
    with suppress_faults():
        return str(value)
    return f"<unprintable {type(value).__name__}>"


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
