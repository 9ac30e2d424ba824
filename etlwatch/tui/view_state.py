"""What is stored between starts: the window of the charts.

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
from tracking_core.config import home_directory, make_private_directory

MOST_BYTES: Final = 4_096


def first_window(settings: Settings, stored: Window | None) -> Window:
    """Return the stored window, else the configured one; the shortest in a demo."""
    return WINDOWS[0] if settings.demo else stored or window_called(settings.window)


def state_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the file."""
    given = environ.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else home_directory(environ) / ".local" / "state"
    return base / "etlwatch" / "dashboard.json"


def load_window(path: Path) -> Window | None:
    """Return the window that the file names; None where it names none."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    name = found.get("window") if isinstance(found, dict) else None
    return next((window for window in WINDOWS if window.name == name), None)


def save_window(path: Path, window: Window) -> None:
    """Write the file, readable by its owner only, in one step: a reader sees the old or the new one."""
    with contextlib.suppress(OSError):
        make_private_directory(path.parent)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"window": window.name}, file)
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
