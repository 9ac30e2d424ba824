"""How far back the charts look: four windows, each with the cells that the store has of that age."""

from typing import Final

from tracking_core.dataclass import dataclass

__all__ = ["WINDOWS", "Window", "window_called"]


@dataclass(frozen=True, slots=True)
class Window:
    """How far back the charts of the home screen look."""

    name: str
    seconds: int
    base: int
    """Seconds of the store's cells at that age: a column is a multiple of it."""

    closes: int
    """Seconds between two redraws: how often a bucket closes that is worth asking for."""


WINDOWS: Final = (
    Window("5m", 300, 10, 10),
    Window("1h", 3_600, 10, 10),
    Window("24h", 86_400, 60, 60),
    Window("7d", 604_800, 600, 60),
)


def window_called(name: str) -> Window:
    """Return a window by its name; KeyError for a name that is none's."""
    return {window.name: window for window in WINDOWS}[name]
