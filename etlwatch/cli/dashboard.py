"""The one way from a command into the dashboard, so that nothing else comes near Textual; and its options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli.configuration import checked_keymap, configured, declared_option, notices, write_option
from etlwatch.cli.early import Dashboard
from etlwatch.cli.terminal import is_unicode
from etlwatch.config.options import ASCII, INTERVAL, MOUSE, THEME
from tracking_core.dataclass import replace

if TYPE_CHECKING:
    from tracking_core.records import Bundle

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

STILL_S = 60.0
"""How often a bundle is read, which never changes."""


def dashboard_options(command: Decorated) -> Decorated:
    """Let a command that opens the dashboard take how it looks, how often it reads, whether it may change things."""
    return write_option(looks_options(declared_option(INTERVAL)(command)))


def looks_options(command: Decorated) -> Decorated:
    """Let a command that opens the dashboard take how it looks."""
    for option in (MOUSE, ASCII, THEME):
        command = declared_option(option)(command)
    return command


def open_dashboard(bundle: Bundle | None = None, *, demo: bool = False) -> int:
    """Open the dashboard on the store that is meant and return its exit status once it is left.

    On a bundle it begins with the bundle's run.
    """
    from etlwatch.config.settings import settings_of

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
