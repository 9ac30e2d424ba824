"""The forms of values in both dialects: as parameters of statements, and in the rows that the drivers return.

Stored values that make no sense (a time beyond the calendar, JSON that was edited) become the nearest valid value:
one bad row never hides the others.
"""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from tracking_core.clock import EPOCH, to_microseconds
from tracking_core.dataclass import dataclass
from tracking_core.events import ORDER_OF_TAGS, PLACE


class Dialect(ABC):
    """The forms of values in statements and rows."""

    forms: ClassVar[Forms]

    at: datetime | None = None
    """The moment that counts as now; None: the store's clock. For tests and for looking back."""

    @abstractmethod
    def _now(self) -> object:
        """Return the parameter `now`."""

    @abstractmethod
    def _moment(self, moment: datetime) -> object:
        """Return a time as a parameter."""

    @abstractmethod
    def _list(self, values: Sequence[int] | Sequence[str]) -> object:
        """Return several values as one parameter."""


T = TypeVar("T")

LATEST = datetime.max.replace(tzinfo=UTC)
"""What is shown for a stored time that no calendar holds."""

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

ATTEMPTS = 4
"""How often a transaction is tried that the server ends because of others, within one deadline."""

POSTGRES_EPOCH_US = to_microseconds(_POSTGRES_EPOCH)
"""Where the integers begin that carry times to PostgreSQL and from it."""

DOCUMENTS_KEPT = 2_000
"""Documents (tags, counters) that need not be parsed again: a poll reads most of them again as they were."""

LONGEST_KEPT = 500
"""Characters of a document that is kept."""

_GREATEST = 2**63
"""What a stored number can be; a NaN is not less than it either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """How one dialect returns the values that the two drivers return differently."""

    moment: Callable[[Any], datetime]
    document: Callable[[Any], dict[str, Any]]
    """Shared between records, so it must not be changed."""

    packed: Callable[[Any], tuple[int, ...]]
    joined: Callable[[list[Any]], tuple[int, ...]]
    """Several histograms as one packed list, which may then repeat a bucket."""


def _moment_of_microseconds(value: int) -> datetime:
    try:
        return EPOCH + timedelta(0, 0, value)
    except OverflowError:
        return LATEST


def _moment_of_postgres(value: int) -> datetime:
    try:
        return _POSTGRES_EPOCH + timedelta(0, 0, value)
    except OverflowError:
        return LATEST


def _parsed(value: str) -> dict[str, Any]:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _figures(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: number
        for name, number in document.items()
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= _GREATEST
    }


def _kept(convert: Callable[[str], T]) -> Callable[[str], T]:
    """Return a conversion that caches the results for short texts."""
    cached = lru_cache(maxsize=DOCUMENTS_KEPT)(convert)
    return lambda value: cached(value) if len(value) <= LONGEST_KEPT else convert(value)


_document_of_text = _kept(_parsed)


def _tags(value: str) -> dict[str, str]:
    found = _parsed(value)
    order = found.get(ORDER_OF_TAGS)
    names = [name for name in order if isinstance(name, str)] if isinstance(order, list) else []
    return {name: found[name] for name in [*names, *found] if isinstance(found.get(name), str)}


tags_of: Callable[[str], dict[str, str]] = _kept(_tags)
"""Returns the texts of a document by name, in the order in which they were given."""

figures_of: Callable[[str], dict[str, Any]] = _kept(lambda value: _figures(_parsed(value)))
"""Returns the numbers of a document by name."""


def _units(value: str) -> dict[str, dict[str, Any]]:
    found = {unit: _figures(counts) for unit, counts in _parsed(value).items() if isinstance(counts, dict)}
    places = {unit: counts.pop(PLACE, len(found)) for unit, counts in found.items()}
    return {unit: found[unit] for unit in sorted(found, key=places.__getitem__)}


counters_of: Callable[[str], dict[str, dict[str, Any]]] = _kept(_units)
"""Returns the numbers of a document by unit, in the order in which these were declared, and kind."""


def _packed_of_blob(value: bytes) -> tuple[int, ...]:
    numbers = array("q")
    numbers.frombytes(value[: len(value) - len(value) % 8])
    if sys.byteorder == "big":
        numbers.byteswap()
    return tuple(numbers)


def _joined_lists(values: list[list[int]]) -> tuple[int, ...]:
    return tuple([entry for value in values for entry in value])


SQLITE = Forms(
    moment=_moment_of_microseconds,
    document=_document_of_text,
    packed=_packed_of_blob,
    joined=lambda values: _packed_of_blob(b"".join(values)),
)
"""Integer microseconds, JSON text, blobs of little-endian 64-bit integers."""

POSTGRES = Forms(
    moment=_moment_of_postgres,
    document=_document_of_text,
    packed=tuple,
    joined=_joined_lists,
)
"""Integer microseconds since 2000 (how the protocol carries a timestamptz), JSON text, lists."""
