"""How a dialect writes down what it is given and hands out what it holds: the part that reading and keeping share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from tracking_core.store.forms import Forms


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
