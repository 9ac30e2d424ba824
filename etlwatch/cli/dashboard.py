"""The ways from the command line into the dashboard, so that nothing else comes near Textual.

A plain call is recognised and draws its first frame before the command line is parsed, since loading what parses it
takes longer: only `open_dashboard` needs click.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from etlwatch.config.settings import Flags, Settings
    from tracking_core.config import StoreLocation
    from tracking_core.records import Bundle

STILL_S = 60.0
"""How often a bundle is read, which never changes."""


class Dashboard(Protocol):
    """The dashboard as a command opens it; `etlwatch.__main__` provides it."""

    def open_early(self, settings: Settings, location: StoreLocation) -> AbstractContextManager[object]:
        """Draw the first frame; leaving the context gives the terminal back, unless `run` was called."""

    def run(self, settings: Settings, location: StoreLocation) -> int:
        """Show the dashboard until it is left, and return the exit status."""


def flags_of(argv: Sequence[str]) -> Flags | None:
    """Return the flags of a command line that has only options of the dashboard; None for any other."""
    from etlwatch.config.options import DSN, TARGET, InvalidValue, boolean, from_text, options_with_flags

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
    from etlwatch.cli.terminal import has_screen, is_terminal, is_unicode

    if not (has_screen() and is_terminal(sys.stderr)):
        return None
    flags = flags_of(argv)
    if flags is None:
        return None
    from etlwatch.commands import keymap_of
    from etlwatch.config.files import load
    from etlwatch.config.options import ConfigError
    from etlwatch.config.settings import effective, hidden_file, settings_of
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


def open_dashboard(bundle: Bundle | None = None, *, demo: bool = False) -> int:
    """Open the dashboard on the store that is meant and return its exit status once it is left.

    On a bundle it begins with the bundle's run.
    """
    import click

    from etlwatch.cli.options import checked_keymap, configured, notices
    from etlwatch.cli.terminal import is_unicode
    from etlwatch.config.settings import settings_of
    from tracking_core.dataclass import replace

    config = configured()
    ascii_only = not is_unicode(sys.stdout)
    settings = settings_of(config, checked_keymap(config), ascii_only=ascii_only, notices=notices())
    settings = replace(settings, demo=demo)
    if bundle is not None:
        settings = replace(
            settings,
            interval=STILL_S,
            as_of=bundle.made_at,
            first_run=bundle.run_id,
            may_write=False,
            write_reason="a bundle is only looked at",
        )
    dashboard: Dashboard = click.get_current_context().find_root().obj
    return dashboard.run(settings, config.location.value)
