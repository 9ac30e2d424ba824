"""What is stored between starts: how lists are sorted, and the window of the charts.

A small file, `$XDG_STATE_HOME/etlwatch/dashboard.json`. If it cannot be read, the defaults apply; if it cannot be
written, nothing happens.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from etlwatch.analysis.series import WINDOWS, Window, window_called
from etlwatch.config.settings import Settings
from etlwatch.fields.field import Order
from tracking_core.config import home_directory, make_private_directory
from tracking_core.dataclass import dataclass, field

MOST_BYTES: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewState:
    """What is stored; the fields are the keys of the file."""

    orders: Mapping[str, Order] = field(default_factory=dict)
    """By the name of a list, which checks that it has the column."""

    window: str = ""
    """'' where none was ever chosen."""

    def order_of(self, name: str) -> Order:
        """Return the order of a list; its default where none was ever chosen."""
        return self.orders.get(name, Order())

    def first_window(self, settings: Settings) -> Window:
        """Return the stored window, else the configured one; the shortest in a demo."""
        if settings.demo:
            return WINDOWS[0]
        return next((window for window in WINDOWS if window.name == self.window), window_called(settings.window))


def state_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the file."""
    given = environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else home_directory(environ) / ".local" / "state"
    return base / "etlwatch" / "dashboard.json"


def load_view_state(path: Path) -> ViewState:
    """Return the valid contents of the file, with defaults for the rest."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return ViewState()
    if not isinstance(found, dict):
        return ViewState()
    orders, window = found.get("orders"), found.get("window")
    return ViewState(
        orders={name: Order(*order) for name, order in orders.items() if _is_order(order)}
        if isinstance(orders, dict)
        else {},
        window=window if isinstance(window, str) and any(window == each.name for each in WINDOWS) else "",
    )


def _is_order(value: object) -> bool:
    """Return whether this is a column and a direction."""
    return isinstance(value, list) and [type(each) for each in value] == [str, bool]


def save_view_state(path: Path, what: ViewState) -> None:
    """Write the file, readable by its owner only, in one step: a reader sees the old or the new one."""
    with contextlib.suppress(OSError):
        make_private_directory(path.parent)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                orders = {name: [order.column, order.inverted] for name, order in what.orders.items()}
                json.dump({"orders": orders, "window": what.window}, file)
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
