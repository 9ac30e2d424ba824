"""The options that commands share, and what these, the environment and the files make of one call.

An option that may stand before and after the command counts where it is nearest the end. Files are read when a command
first asks; the rules are `etlwatch.config`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli import faults
from etlwatch.cli.terminal import report
from etlwatch.config.options import (
    ASCII,
    DSN,
    INTERVAL,
    LOW_BANDWIDTH,
    MOUSE,
    TARGET,
    THEME,
    WRITE,
    Choice,
    Number,
    Option,
    boolean,
)
from etlwatch.text.moments import parse_span
from tracking_core.errors import ConfigurationError

if TYPE_CHECKING:
    from etlwatch.analysis.filter import Filter
    from etlwatch.config.settings import Effective, Keymap
    from etlwatch.fields.field import FieldList

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Row = TypeVar("Row")
Value = TypeVar("Value")

_FLAGS = "etlwatch.flags"
_CONFIGURED = "etlwatch.configured"
_NOTICES = "etlwatch.notices"


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def parsed(name: str, parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a type of options whose text `parse` reads; its ValueError becomes wrong usage."""

    def convert(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    # Help shows it in capitals.
    convert.__name__ = name
    return convert


SPAN = parsed("span", parse_span)


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and parameter.name is not None:
        flags(context)[parameter.name] = value


def flags(context: click.Context | None = None) -> dict[str, Any]:
    """Return what was given so far of the options that may stand before and after a command, by name."""
    given: dict[str, Any] = (context or click.get_current_context()).meta.setdefault(_FLAGS, {})
    return given


def declared_option(option: Option[Any], *names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Let a command take an option of the configuration, by its flags unless `names` are given."""
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
    return click.option(*(names or option.flags), expose_value=False, callback=_keep, default=None, **attributes)


def _options(*options: Callable[[Any], Any]) -> Callable[[Decorated], Decorated]:
    def decorate(command: Decorated) -> Decorated:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _targets(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the targets whose names begin so, for a shell; none where the configuration cannot be read."""
    from etlwatch.config.files import load
    from etlwatch.config.options import ConfigError

    try:
        return sorted({name for values in load(os.environ) for name in values.targets if name.startswith(begun)})
    except ConfigError:
        return []


dsn_option = declared_option(DSN)
store_option = _options(dsn_option, declared_option(TARGET, shell_complete=_targets))
write_option = declared_option(WRITE)
"""`--write` and `--read-only`, which precede the `write` of a target."""

looks_options = _options(*(declared_option(option) for option in (THEME, ASCII, MOUSE, LOW_BANDWIDTH)))
dashboard_options = _options(write_option, looks_options, declared_option(INTERVAL))


def _as_format(context: click.Context, _parameter: click.Parameter, word: str | None) -> Format:
    if word is not None:
        return Format(word)
    # `etlwatch tracking --format json status` gives it before the command's last word.
    before: Format | None = context.parent.params.get("form") if context.parent is not None else None
    return before or Format.TABLE


format_option = click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Format]),
    metavar="FORMAT",
    default=None,
    callback=_as_format,
    help="table, json, jsonl or csv; times are local in a table, UTC elsewhere.",
)
"""It arrives as a Format named `form`."""

at_option = click.option(
    "--at", metavar="MOMENT", help="As it stood then: 02:41, yesterday 03:00, -1h30m, 2026-10-24 03:12."
)
"""It arrives as text, since what it means depends on the store's clock."""


def follow_option(what: str) -> Callable[[Decorated], Decorated]:
    """Let a command take `--follow` and how often it looks."""
    return _options(
        click.option("--follow", "-f", is_flag=True, help=f"Go on until ctrl-c, with {what}."),
        declared_option(INTERVAL, help="With --follow, how often it reads the store."),
    )


def check_follow(form: Format, at: str | None) -> None:
    """Raise UsageError for `--follow` with a past moment, or with JSON, which is one list with an end."""
    if at is not None:
        raise click.UsageError("--follow tells what is new, and the past has nothing new: give it or --at, not both")
    if form is Format.JSON:
        raise click.UsageError("--follow writes as it comes, and a JSON list would never end: --format jsonl")


def limit_option(default: int, what: str) -> Callable[[Decorated], Decorated]:
    """Let a command take `--limit`, a number from 1."""
    return click.option(
        "--limit", "-n", type=click.IntRange(min=1), default=default, metavar="N", help=f"{what}  [default: {default}]"
    )


def jobs_option(what: str) -> Callable[[Decorated], Decorated]:
    """Let a command take `--job` more than once; the names and patterns arrive as `jobs`."""
    return click.option(
        "--job", "-j", "jobs", multiple=True, metavar="JOB", help=f"Only {what}; sync* works, repeatable."
    )


def configured() -> Effective:
    """Return what holds for this call; what is wrong with it is wrong usage, in one line."""
    context = click.get_current_context()
    known: Effective | None = context.meta.get(_CONFIGURED)
    if known is not None:
        return known
    # Imported late: help, version and a mistyped command need none of it.
    from etlwatch.config.files import load
    from etlwatch.config.options import ConfigError
    from etlwatch.config.settings import effective, hidden_file

    try:
        files = load(os.environ)
        found = effective(flags(context), os.environ, files)
    except ConfigError as error:
        raise click.UsageError(error.summary) from None
    except ConfigurationError as error:
        raise faults.bad_configuration(error) from None
    mend = "chmod 600 it, or keep the password in ~/.pgpass or a service file"
    shared = [values.path for values in files if values.shares_password]
    found_notices = [f"{path} holds a password and others may read it: {mend}" for path in shared]
    hidden = hidden_file(found, os.environ, now_s=time.time())
    if hidden is not None:
        meant = f"default_target is {found.target.value}"
        found_notices.append(
            f"{meant}, while jobs on this host record into {hidden}: --dsn sqlite:///{hidden} shows those"
        )
    context.meta[_NOTICES] = tuple(found_notices)
    for notice in found_notices:
        report(f"note: {notice}")
    context.meta[_CONFIGURED] = found
    return found


def notices() -> tuple[str, ...]:
    """Return what the user should be told about the configuration; a dashboard hides what stands on stderr."""
    found: tuple[str, ...] = click.get_current_context().meta.get(_NOTICES, ())
    return found


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
    from etlwatch.commands import keymap_of
    from etlwatch.config.options import ConfigError

    try:
        return keymap_of(config.keys)
    except ConfigError as error:
        raise click.UsageError(error.summary) from None


def require_permission() -> None:
    """Raise Unsuccessful where a flag or the target forbids changes of the store that is meant."""
    refusal = configured().refusal
    if refusal:
        raise faults.Unsuccessful(f"{refusal}; nothing was changed")


def read_filter(fields: FieldList[Row], words: Sequence[str]) -> Filter[Row]:
    """Return the filter that the words of a command line form; a wrong one is wrong usage."""
    from etlwatch.analysis.filter import FilterError

    try:
        return fields.filter(" ".join(words), configured_zone())
    except FilterError as error:
        raise click.BadParameter(str(error), param_hint="'FILTER'") from None
