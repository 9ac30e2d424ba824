"""A first frame before the command line is parsed: loading what parses it takes longer than drawing.

Contains the recognition of a plain call of the dashboard. Loads nothing of click.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from etlwatch.config.effective import Flags
    from etlwatch.config.settings import Settings
    from tracking_core.config import StoreLocation


class Dashboard(Protocol):
    """The dashboard as a command opens it; `etlwatch.__main__` provides it."""

    def open_early(self, settings: Settings, location: StoreLocation) -> AbstractContextManager[object]:
        """Draw the first frame; leaving the context gives the terminal back, unless `run` was called."""

    def run(self, settings: Settings, location: StoreLocation) -> int:
        """Show the dashboard until it is left, and return the exit status."""


def flags_of(argv: Sequence[str]) -> Flags | None:
    """Return the flags of a command line that has only options of the dashboard; None for any other."""
    from etlwatch.config.errors import InvalidValue
    from etlwatch.config.options import DSN, TARGET, boolean, from_text, options_with_flags

    options = {flag: option for option in options_with_flags() for names in option.flags for flag in names.split("/")}
    given: Flags = {}
    words = iter(argv)
    for word in words:
        name, separator, value = word.partition("=")
        option = options.get(name)
        if option is None or (separator and (len(name) == 2 or option.check is boolean)):
            return None
        if option.check is boolean:
            given[option.name] = word == option.flag_for(value=True)
            continue
        text = value if separator else next(words, None)
        if text is None or option.name in given:
            return None
        try:
            given[option.name] = text if option in (DSN, TARGET) else from_text(text, option.check)
        except InvalidValue:
            return None
    return given


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
    from etlwatch.commands.keymap import keymap_of
    from etlwatch.config.effective import effective, hidden_file
    from etlwatch.config.errors import ConfigError
    from etlwatch.config.files import load
    from etlwatch.config.settings import settings_of
    from tracking_core.errors import ConfigurationError

    try:
        files = load(os.environ)
        config = effective(flags, os.environ, files)
        settings = settings_of(config, keymap_of(config.keys), ascii_only=not is_unicode(sys.stdout))
    except (ConfigError, ConfigurationError, ValueError):
        return None
    if any(values.shares_password for values in files) or hidden_file(config, os.environ, now_s=time.time()):
        return None
    return dashboard.open_early(settings, config.location.value)
