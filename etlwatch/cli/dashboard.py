"""The one way from a command into the dashboard, so that nothing else comes near Textual."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracking_core.config import StoreLocation


def open_dashboard(place: StoreLocation) -> int:
    """Open the dashboard on a store and return its exit status once it is left."""
    status: int = importlib.import_module("etlwatch.app").run_dashboard(place)
    return status
