"""The last line of every screen: the keys that matter here, as many as fit.

Owns the look of a key and its word, and which go first when the line is too short. Refuses to own the commands.
"""

from collections.abc import Sequence

from etlwatch.model.parts import Part, lay_out
from etlwatch.model.spans import Spans
from etlwatch.text import ELLIPSIS
from tracking_core.dataclass import dataclass

__all__ = ["Key", "footer_line"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key and what it does."""

    key: str
    word: str
    priority: int = 1
    """The highest number is dropped first; 0 is never."""


def footer_line(keys: Sequence[Key], width: int, *, ellipsis: str = ELLIPSIS) -> Spans:
    """Return the keys that fit, in their order: keys in blue, their words dim."""
    parts = [Part(((key.key, "blue"), (f" {key.word}", "dim")), key.priority) for key in keys]
    return lay_out(parts, (), width, ellipsis=ellipsis)
