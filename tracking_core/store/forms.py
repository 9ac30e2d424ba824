"""What a value looks like as each dialect's driver hands it out, and how it becomes Python's own.

Stored values that make no sense (a time beyond the calendar, JSON that somebody edited) become the nearest thing that
does: one bad row never hides the others.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tracking_core.clock import from_microseconds, to_microseconds

LATEST = datetime.max.replace(tzinfo=UTC)
"""What is shown for a stored time that no calendar holds."""

POSTGRES_EPOCH_US = to_microseconds(datetime(2000, 1, 1, tzinfo=UTC))
"""Where the integers begin that carry times to PostgreSQL and from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """How one dialect hands out the values that Python's drivers do not agree on."""

    moment: Callable[[Any], datetime]
    document: Callable[[Any], dict[str, Any]]
    packed: Callable[[Any], tuple[int, ...]]
    joined: Callable[[list[Any]], tuple[int, ...]]
    """Several histograms as one packed list, which may then repeat a bucket."""


def _moment_of_microseconds(value: int) -> datetime:
    try:
        return from_microseconds(value)
    except OverflowError:
        return LATEST


def _document_of_text(value: str) -> dict[str, Any]:
    if value == "{}":
        return {}
    try:
        document = json.loads(value)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


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
    moment=lambda value: _moment_of_microseconds(value + POSTGRES_EPOCH_US),
    document=_document_of_text,
    packed=tuple,
    joined=_joined_lists,
)
"""Integer microseconds since 2000 (how the protocol carries a timestamptz), JSON text, lists."""
