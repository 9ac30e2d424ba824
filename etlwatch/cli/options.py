"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from etlwatch.cli.output import Format

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _as_format(_context: click.Context, _parameter: click.Parameter, word: str) -> Format:
    return Format(word)


def format_option(command: Decorated) -> Decorated:
    """Let a command take `--format`; it arrives as a Format named `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice([form.value for form in Format]),
        metavar="FORMAT",
        default=Format.TABLE.value,
        callback=_as_format,
        help="table, json, jsonl or csv; times are local in a table, UTC elsewhere.",
    )(command)


def limit_option(default: int, what: str) -> Callable[[Decorated], Decorated]:
    """Let a command take `--limit`, a number from 1."""
    return click.option(
        "--limit", "-n", type=click.IntRange(min=1), default=default, metavar="N", help=f"{what}  [default: {default}]"
    )
