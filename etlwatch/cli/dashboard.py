"""The one way from a command into the dashboard, so that nothing else comes near Textual; and its options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli.terminal import is_unicode

if TYPE_CHECKING:
    from tracking_core.config import StoreLocation

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

THEMES = ("auto", "dark", "light", "ansi", "mono")
SHORTEST_S, LONGEST_S = 0.1, 60.0
_GIVEN = "etlwatch.dashboard"


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value:
        context.meta.setdefault(_GIVEN, {})[parameter.name] = value


def _option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    return click.option(*names, expose_value=False, callback=_remember, **attributes)


def dashboard_options(command: Decorated) -> Decorated:
    """Let a command that opens the dashboard take how it looks and how often it reads."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        _option("--write", is_flag=True, help="Allow turning tracking on and off, clean-up and closing runs."),
        _option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal."),
        _option("--ascii", is_flag=True, help="Draw with ASCII characters only."),
        _option(
            "--theme",
            type=click.Choice(THEMES),
            metavar="NAME",
            help="auto, dark, light, ansi (16 colours) or mono.  [default: auto]",
        ),
        _option(
            "--interval",
            "-i",
            type=click.FloatRange(SHORTEST_S, LONGEST_S),
            metavar="SECONDS",
            help="How often the dashboard reads the store.  [default: 1]",
        ),
    )
    for option in options:
        command = option(command)
    return command


def open_dashboard(place: StoreLocation) -> int:
    """Open the dashboard on a store and return its exit status once it is left."""
    from etlwatch.app import run_dashboard

    given: dict[str, Any] = click.get_current_context().meta.get(_GIVEN, {})
    return run_dashboard(
        place,
        interval=given.get("interval", 1.0),
        theme=given.get("theme", "auto"),
        ascii_only="ascii" in given or not is_unicode(sys.stdout),
        mouse="no_mouse" not in given,
        may_write="write" in given,
    )
