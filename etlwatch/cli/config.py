"""`etlwatch config`: what is configured and where it was said, and whether files are right."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etlwatch.cli import output
from etlwatch.cli.faults import Exit
from etlwatch.cli.options import Format, checked_keymap, configured, dashboard_options, format_option, store_option
from etlwatch.cli.output import Data, table
from etlwatch.cli.terminal import report
from etlwatch.config.options import OPTIONS
from etlwatch.text.spans import TextColumn

if TYPE_CHECKING:
    from etlwatch.config.settings import Effective, Sourced

FIELDS = ("key", "value", "layer", "place")


@click.group(invoke_without_command=True)
@store_option
@dashboard_options
@format_option
@click.pass_context
def config(context: click.Context, form: Format) -> None:
    """Show what is configured and where it was said, or check files.

    A flag counts before the environment, then come the target, your own file and the system's:
    $XDG_CONFIG_HOME/etlwatch/config.toml and /etc/etlwatch/config.toml. $ETLWATCH_CONFIG and $ETLWATCH_SYSTEM_CONFIG
    name other files in their places. Alone it shows every value.
    """
    if context.invoked_subcommand is None:
        context.invoke(show, form=form)


@config.command()
@store_option
@dashboard_options
@format_option
def show(form: Format) -> None:
    """Show every value that holds, and where it was said.

    Passwords are left out. With --target, or any other flag, it shows what would hold then.
    """
    found = configured()
    checked_keymap(found)
    rows = list(_rows(found))
    if form is not Format.TABLE:
        output.write_rows(form, rows, fields=FIELDS)
        return
    columns: list[TextColumn[Data]] = [
        TextColumn(heading="key", full=lambda row: str(row["key"])),
        TextColumn(heading="value", full=lambda row: _written(row["value"]), shrinks_to=12),
        TextColumn(heading="said by", full=lambda row: str(row["place"]), shrinks_to=12),
    ]
    output.write_table(lambda look: table(columns, rows, look))


def _rows(found: Effective) -> Iterator[Data]:
    yield _row("target", found.target)
    yield _row("store", found.location)
    for option in OPTIONS:
        yield _row(option.key, found[option])
    for name, keys in found.keys.items():
        yield _row(f"keys.{name}", keys)
    for name, target in found.targets.items():
        for field, sourced in target.items():
            yield _row(f"target.{name}.{'store' if field == 'location' else field}", sourced)


def _row(key: str, sourced: Sourced[object]) -> Data:
    return {"key": key, "value": _value(sourced.value), "layer": str(sourced.layer), "place": sourced.place}


def _value(value: object) -> object:
    """Return a value as data: a store by its label, which holds no password."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        from etlwatch.config.options import shown_key

        return [shown_key(key) for key in value]
    return str(value)


def _written(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "no key"
    return f"{value:g}" if isinstance(value, float) else str(value)


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def validate(file: Path | None) -> int:
    """Check the configuration, and name everything that is wrong with it.

    With FILE it is checked in the place of your own file. The exit status is 0 where nothing is wrong, 2 otherwise.
    """
    from etlwatch.commands import keymap_of
    from etlwatch.config.files import FileValues, Layer, config_paths, read_file
    from etlwatch.config.options import ConfigError, Problem
    from etlwatch.config.settings import chosen_keys, problems_of

    paths = config_paths(os.environ)
    if file is not None:
        paths[Layer.USER] = (file, True)
    problems: list[Problem] = []
    reported: list[str] = []
    read: list[FileValues] = []
    unread = False
    for layer, (path, must_exist) in paths.items():
        try:
            values = read_file(path, layer, must_exist=must_exist)
        except ConfigError as error:
            problems += error.problems
            unread = unread or error.valid is None
            read += [error.valid] if isinstance(error.valid, FileValues) else []
            continue
        reported.append(f"{path}: {'nothing wrong' if values else 'not there'}")
        read += [values] if values else []
    if not unread:
        # What a file that is no TOML would have said, nobody can tell: what refers to it is not judged.
        problems += problems_of(os.environ, read, problems)
    try:
        keymap_of(chosen_keys(read))
    except ConfigError as error:
        problems += error.problems
    if not problems:
        output.write_lines(reported)
        return Exit.DONE
    for problem in problems:
        report(str(problem))
    return Exit.USAGE
