"""A deed that the store did not do, in words."""

from __future__ import annotations

from etlwatch.text import safe
from tracking_core.dataclass import dataclass

__all__ = ["Failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Why something could not be done."""

    what: str
    """In a few words: `no connection`, `refused`, `no tables`, …"""

    cause: str
    """The store's own words, one line, without credentials; not yet safe to show."""

    @property
    def words(self) -> str:
        """What is said of it: what, then the cause, without a full stop."""
        cause = safe(self.cause).rstrip(".")
        return f"{self.what}: {cause}" if cause else self.what
