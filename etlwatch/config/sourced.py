"""A value and where it was said, and the choice among several places.

Owns the record that carries a source along. Refuses to own which places there are and in which order they count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from etlwatch.config.files import Layer
from tracking_core.dataclass import dataclass

__all__ = ["Sourced", "first", "said_by"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Sourced(Generic[T_co]):
    """A value and where it was said."""

    value: T_co
    layer: Layer
    place: str
    """A flag, `$VARIABLE`, a file (with `[target.NAME]` where it stands there), or `default`."""


def said_by(layer: Layer, place: str, value: T | None) -> Sourced[T] | None:
    """Return what a place says; None where it says nothing."""
    return None if value is None else Sourced(value, layer, place)


def first(said: Iterable[Sourced[T] | None], *, default: T) -> Sourced[T]:
    """Return the first that says anything, the strongest place standing first."""
    found = next((sourced for sourced in said if sourced is not None), None)
    return found if found is not None else Sourced(default, Layer.DEFAULT, "default")
