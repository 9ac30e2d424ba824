"""A first frame before the command line is parsed: loading what parses it takes longer than drawing.

Contains the recognition of a plain call of the dashboard. Loads nothing of click.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from etlwatch.config.effective import Flags
    from etlwatch.config.settings import Settings
    from tracking_core.config import StoreLocation

__all__ = ["SWITCHES", "THEMES", "VALUES", "Dashboard", "flags_of", "opened_early"]

THEMES: Final = ("auto", "dark", "light", "ansi", "mono")


class Dashboard(Protocol):
    """The dashboard as a command opens it; `etlwatch.__main__` provides it."""

    def open_early(self, settings: Settings, location: StoreLocation) -> AbstractContextManager[object]:
        """Draw the first frame; leaving the context gives the terminal back, unless `run` was called."""

    def run(self, settings: Settings, location: StoreLocation) -> int:
        """Show the dashboard until it is left, and return the exit status."""


VALUES: Final[Mapping[str, str]] = {
    "--dsn": "dsn", "--target": "target", "-t": "target", "--theme": "theme", "--interval": "interval",
    "-i": "interval",
}  # fmt: skip
"""Options of the dashboard that take a value, and the flag that each is."""

SWITCHES: Final[Mapping[str, tuple[str, bool]]] = {
    "--write": ("write", True), "--read-only": ("write", False), "--mouse": ("mouse", True),
    "--no-mouse": ("mouse", False), "--ascii": ("ascii", True), "--no-ascii": ("ascii", False),
}  # fmt: skip
"""Options of the dashboard that take none, with the flag and what it becomes."""


def flags_of(argv: Sequence[str]) -> Flags | None:
    """Return what a command line says that is made of the dashboard's options and nothing else; None for any other."""
    from etlwatch.config.effective import Flags

    given: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        name, separator, value = word.partition("=")
        if word in SWITCHES:
            flag, given[flag] = SWITCHES[word][0], SWITCHES[word][1]
        elif name in VALUES and not (separator and len(name) == 2):
            said = value if separator else next(words, None)
            if said is None or VALUES[name] in given:
                return None
            given[VALUES[name]] = said
        else:
            return None
    if given.get("theme", THEMES[0]) not in THEMES:
        return None
    if "interval" in given:
        try:
            given["interval"] = float(given["interval"])
        except ValueError:
            return None
    return Flags(**given)


@contextmanager
def opened_early(argv: Sequence[str], dashboard: Dashboard) -> Iterator[AbstractContextManager[object] | None]:
    """Draw the first frame if these words open the dashboard on a terminal; leave it at the end, unless handed over."""
    opening = _plain(argv, dashboard)
    if opening is None:
        yield None
        return
    with opening:
        yield opening


def _plain(argv: Sequence[str], dashboard: Dashboard) -> AbstractContextManager[object] | None:
    """Return a terminal with a first frame; None where there is none, or something has to be said on it first."""
    from etlwatch.cli.terminal import is_terminal, is_unicode

    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout) and is_terminal(sys.stderr)):
        return None
    flags = flags_of(argv)
    if flags is None:
        return None
    from etlwatch.config.dashboard import settings_of
    from etlwatch.config.effective import effective, hidden_file, load
    from etlwatch.config.errors import ConfigError
    from tracking_core.errors import ConfigurationError

    try:
        files = load(os.environ)
        config = effective(flags, os.environ, files)
        settings = settings_of(config, ascii_only=not is_unicode(sys.stdout))
    except (ConfigError, ConfigurationError, ValueError):
        return None
    if any(values.shares_password for values in files) or hidden_file(config, os.environ, now_s=time.time()):
        return None
    return dashboard.open_early(settings, config.location.value)
