"""The one way from a command into the dashboard, so that nothing else comes near Textual; and its options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli.configuration import configured, notices, remembered_option, write_option
from etlwatch.cli.early import THEMES, Dashboard
from etlwatch.cli.options import LONGEST_S, SHORTEST_S
from etlwatch.cli.terminal import is_unicode
from tracking_core.dataclass import replace

if TYPE_CHECKING:
    from tracking_core.records import Bundle

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

STILL_S = 60.0
"""How often a bundle is read, which never changes."""


def dashboard_options(command: Decorated) -> Decorated:
    """Let a command that opens the dashboard take how it looks, how often it reads, whether it may change things."""
    interval = remembered_option(
        "--interval",
        "-i",
        type=click.FloatRange(SHORTEST_S, LONGEST_S),
        metavar="SECONDS",
        help="How often the dashboard reads the store.  [default: 1]",
    )
    return write_option(looks_options(interval(command)))


def looks_options(command: Decorated) -> Decorated:
    """Let a command that opens the dashboard take how it looks."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        remembered_option("--mouse/--no-mouse", is_flag=True, help="Use the mouse, or leave it to the terminal."),
        remembered_option("--ascii/--no-ascii", is_flag=True, help="Draw with ASCII characters only."),
        remembered_option(
            "--theme",
            type=click.Choice(THEMES),
            metavar="NAME",
            help="auto, dark, light, ansi (16 colours) or mono.  [default: auto]",
        ),
    )
    for option in options:
        command = option(command)
    return command


def open_dashboard(bundle: Bundle | None = None, *, demo: bool = False) -> int:
    """Open the dashboard on the store that is meant and return its exit status once it is left.

    On a bundle it begins with the bundle's run.
    """
    from etlwatch.config.dashboard import settings_of
    from etlwatch.config.errors import ConfigError

    config = configured()
    try:
        settings = settings_of(config, ascii_only=not is_unicode(sys.stdout), notices=notices())
    except ConfigError as error:
        raise click.UsageError(error.summary) from None
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
