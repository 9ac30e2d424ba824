"""The one way from a command into the dashboard, so that nothing else comes near Textual; and its options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli.configuration import checked_keymap, configured, notices, remembered_option, write_option
from etlwatch.cli.connect import given_dsn
from etlwatch.cli.options import LONGEST_S, SHORTEST_S
from etlwatch.cli.terminal import is_unicode
from tracking_core.conninfo import SECRET_KEYWORDS, write_pairs

if TYPE_CHECKING:
    from etlwatch.config.effective import Effective
    from etlwatch.settings import Settings
    from tracking_core.records import Bundle

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

THEMES = ("auto", "dark", "light", "ansi", "mono")
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


def open_dashboard(bundle: Bundle | None = None) -> int:
    """Open the dashboard on the store that is meant and return its exit status once it is left.

    On a bundle it begins with the bundle's run.
    """
    config = configured()
    settings = settings_of(config, ascii_only=not is_unicode(sys.stdout))
    if bundle is not None:
        settings = replace(
            settings,
            interval=STILL_S,
            as_of=bundle.made_at,
            first_run=bundle.run_id,
            may_write=False,
            write_reason="a bundle is only looked at",
        )
    from etlwatch.start import run_dashboard

    return run_dashboard(config.location.value, settings)


def settings_of(config: Effective, *, ascii_only: bool = False) -> Settings:
    """Return the dashboard's settings; `ascii_only` where the terminal takes nothing else, whatever is configured.

    Raises UsageError for keys that cannot be given as they are configured.
    """
    from etlwatch.config.values import zone_called
    from etlwatch.settings import Settings

    return Settings(
        interval=config.interval.value,
        theme=config.theme.value,
        ascii_only=config.ascii.value or ascii_only,
        mouse=config.mouse.value,
        label=config.target.value or "",
        store_option=store_words(config),
        colour=config.colour.value,
        window=config.window.value,
        zone=zone_called(config.zone.value),
        thresholds=config.limits,
        keymap=checked_keymap(config),
        notices=notices(),
        may_write=config.write.value,
        write_reason=config.write_reason,
    )


def store_words(config: Effective) -> tuple[str, ...]:
    """Return how a command line names the store that is meant, for somebody to paste; never with a password."""
    if config.target.value is not None:
        return ("--target", config.target.value)
    if given_dsn() is None:
        return ()
    place = config.location.value
    if place.path is not None:
        return ("--dsn", place.dsn)
    said = {keyword: value for keyword, value in place.keywords.items() if keyword not in SECRET_KEYWORDS}
    return ("--dsn", write_pairs(said) or "postgresql://")
