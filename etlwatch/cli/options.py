"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from etlwatch.cli.configuration import declared_option
from etlwatch.cli.output import Format
from etlwatch.config.options import INTERVAL

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _as_format(context: click.Context, _parameter: click.Parameter, word: str | None) -> Format:
    if word is not None:
        return Format(word)
    # `etlwatch tracking --format json status` gives it before the command's last word.
    before: Format | None = context.parent.params.get("form") if context.parent is not None else None
    return before or Format.TABLE


def format_option(command: Decorated) -> Decorated:
    """Let a command take `--format`; it arrives as a Format named `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice([form.value for form in Format]),
        metavar="FORMAT",
        default=None,
        callback=_as_format,
        help="table, json, jsonl or csv; times are local in a table, UTC elsewhere.",
    )(command)


def at_option(command: Decorated) -> Decorated:
    """Let a command take `--at`; it arrives as text, since what it means depends on the store's clock."""
    return click.option(
        "--at", metavar="MOMENT", help="As it stood then: 02:41, yesterday 03:00, -1h30m, 2026-10-24 03:12."
    )(command)


def follow_option(what: str) -> Callable[[Decorated], Decorated]:
    """Let a command take `--follow` and how often it looks."""

    def decorate(command: Decorated) -> Decorated:
        interval = declared_option(INTERVAL, help="With --follow, how often it reads the store.")
        return click.option("--follow", "-f", is_flag=True, help=f"Go on until ctrl-c, with {what}.")(interval(command))

    return decorate


def limit_option(default: int, what: str) -> Callable[[Decorated], Decorated]:
    """Let a command take `--limit`, a number from 1."""
    return click.option(
        "--limit", "-n", type=click.IntRange(min=1), default=default, metavar="N", help=f"{what}  [default: {default}]"
    )
