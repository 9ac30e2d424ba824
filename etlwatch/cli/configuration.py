"""What the command line makes of flags, environment and files: one answer a call, wherever its options stand.

Contains the options that more than one place may say, and the moment when files are read: when a command first asks.
The rules are `etlwatch.config`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli import faults
from etlwatch.cli.terminal import report
from etlwatch.config.options import WRITE, Choice, Number, Option, boolean
from tracking_core.errors import ConfigurationError

if TYPE_CHECKING:
    from etlwatch.config.effective import Effective
    from etlwatch.config.settings import Keymap

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_FLAGS = "etlwatch.flags"
_CONFIGURED = "etlwatch.configured"
_NOTICES = "etlwatch.notices"


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and parameter.name is not None:
        flags(context)[parameter.name] = value


def flags(context: click.Context | None = None) -> dict[str, Any]:
    """Return what was given of the remembered options so far, by name; the one nearest the command's end counts."""
    given: dict[str, Any] = (context or click.get_current_context()).meta.setdefault(_FLAGS, {})
    return given


def remembered_option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Let a command take an option that may stand before and after it."""
    return click.option(*names, expose_value=False, callback=_remember, default=None, **attributes)


def declared_option(option: Option[Any], **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Let a command take the flags of an option of the configuration."""
    attributes = {"metavar": option.metavar, "help": option.help, **attributes}
    check = option.check
    if check is boolean:
        attributes["is_flag"] = True
    elif isinstance(check, Choice):
        attributes["type"] = click.Choice(check.words)
        attributes["help"] += f"  [default: {option.default}]"
    elif isinstance(check, Number):
        attributes["type"] = click.FloatRange(check.least, check.most)
        attributes["help"] += f"  [default: {option.default:g}]"
    return remembered_option(*option.flags, **attributes)


def write_option(command: Decorated) -> Decorated:
    """Let a command that changes a store take `--write` and `--read-only`, which precede its target's `write`."""
    return declared_option(WRITE)(command)


def configured() -> Effective:
    """Return what holds for this call; what is wrong with it is wrong usage, in one line."""
    context = click.get_current_context()
    known: Effective | None = context.meta.get(_CONFIGURED)
    if known is not None:
        return known
    # Imported late: help, version and a mistyped command need none of it.
    from etlwatch.config.effective import effective, hidden_file
    from etlwatch.config.errors import ConfigError
    from etlwatch.config.files import load

    try:
        files = load(os.environ)
        found = effective(flags(context), os.environ, files)
    except ConfigError as error:
        raise click.UsageError(error.summary) from None
    except ConfigurationError as error:
        raise faults.bad_configuration(error) from None
    mend = "chmod 600 it, or keep the password in ~/.pgpass or a service file"
    shared = [values.path for values in files if values.shares_password]
    phrase = [f"{path} holds a password and others may read it: {mend}" for path in shared]
    hidden = hidden_file(found, os.environ, now_s=time.time())
    if hidden is not None:
        meant = f"default_target is {found.target.value}"
        phrase.append(f"{meant}, while jobs on this host record into {hidden}: --dsn sqlite:///{hidden} shows those")
    context.meta[_NOTICES] = tuple(phrase)
    for notice in notices():
        report(f"note: {notice}")
    context.meta[_CONFIGURED] = found
    return found


def notices() -> tuple[str, ...]:
    """Return what the user should be told about the configuration; a dashboard hides what stands on stderr."""
    phrase: tuple[str, ...] = click.get_current_context().meta.get(_NOTICES, ())
    return phrase


def configured_zone() -> tzinfo | None:
    """Return the zone in which people write and are shown times; None for the process's own."""
    from etlwatch.config.options import ZONE, zone_called

    return zone_called(configured()[ZONE].value)


def shown_zone() -> tzinfo | None:
    """Return the configured zone where a command has asked for the configuration: printing alone reads no file."""
    context = click.get_current_context(silent=True)
    return configured_zone() if context is not None and _CONFIGURED in context.meta else None


def checked_keymap(config: Effective) -> Keymap:
    """Return the keys that commands of the dashboard are given; wrong ones are wrong usage."""
    from etlwatch.commands.keymap import keymap_of
    from etlwatch.config.errors import ConfigError

    try:
        return keymap_of(config.keys)
    except ConfigError as error:
        raise click.UsageError(error.summary) from None


def require_permission() -> None:
    """Refuse to change the store that is meant, where its target or a flag says so."""
    refusal = configured().refusal
    if refusal:
        raise faults.Unsuccessful(f"{refusal}; nothing was changed")
