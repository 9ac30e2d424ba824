"""What the dashboard remembers between starts: how the runs are sorted, and the window of the charts.

Owns a tiny file of one's own, `$XDG_STATE_HOME/etlwatch/dashboard.json`. Whatever is wrong with it, the dashboard opens
with its own defaults; whatever keeps it from being written is passed over: nobody's night depends on it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from etlwatch.model.ordering import SORTABLE, Order
from etlwatch.model.series import WINDOWS, Window
from tracking_core.config import home_directory, make_private_directory

__all__ = ["Remembered", "recall", "remember", "state_file"]

MOST_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What is remembered; the fields are the keys of the file."""

    sort: str = Order().column
    inverted: bool = False
    window: str = ""
    """'' where none was ever chosen."""

    @property
    def order(self) -> Order:
        """The order of the runs."""
        return Order(self.sort, self.inverted)

    def window_or(self, default: Window) -> Window:
        """Return the remembered window, or the default."""
        return next((window for window in WINDOWS if window.name == self.window), default)


def state_file(environ: Mapping[str, str]) -> Path:
    """Return where it is kept."""
    given = environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else home_directory(environ) / ".local" / "state"
    return base / "etlwatch" / "dashboard.json"


def recall(path: Path) -> Remembered:
    """Return what the file says, as far as it makes sense; defaults for the rest."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return Remembered()
    if not isinstance(found, dict):
        return Remembered()
    sort, inverted, window = found.get("sort"), found.get("inverted"), found.get("window")
    return Remembered(
        sort=sort if isinstance(sort, str) and sort in SORTABLE else Order().column,
        inverted=inverted is True,
        window=window if isinstance(window, str) and any(window == each.name for each in WINDOWS) else "",
    )


def remember(path: Path, what: Remembered) -> None:
    """Write it, readable by its owner alone, in one step: a reader sees the old file or the new one."""
    with contextlib.suppress(OSError):
        make_private_directory(path.parent)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(what), file)
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
