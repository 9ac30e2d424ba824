"""Which store a command means, and its connections.

`--dsn` and `--target` may stand before the command and after it; the one nearest to the command's end counts. What they
leave open `etlwatch.config` decides. Errors of a store leave here as `faults.StoreCannotAnswer`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli import faults
from etlwatch.cli.configuration import configured, configured_zone, declared_option, flags
from etlwatch.config.options import DSN, TARGET
from tracking_core.config import StoreLocation
from tracking_core.errors import ConfigurationError, StoreError
from tracking_core.redaction import use_own_patterns

if TYPE_CHECKING:
    from tracking_core.store.base import Administration, Reader, Store

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

READ_SECONDS = 5.0
"""How long a store may take to connect, and for each answer."""

CHANGE_SECONDS = 60.0
"""How long one step of a change may take: a step of a clean-up removes many rows."""


def dsn_option(command: Decorated) -> Decorated:
    """Let a command or a group take `--dsn`."""
    return declared_option(DSN)(command)


def _targets(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the targets whose names begin so, for a shell; none where the configuration cannot be read."""
    from etlwatch.config.errors import ConfigError
    from etlwatch.config.files import load

    try:
        return sorted({name for values in load(os.environ) for name in values.targets if name.startswith(begun)})
    except ConfigError:
        return []


def store_option(command: Decorated) -> Decorated:
    """Let a command or a group take `--dsn` and `--target`."""
    return dsn_option(declared_option(TARGET, shell_complete=_targets)(command))


def given_dsn() -> str | None:
    """Return what `--dsn` says, or None."""
    dsn: str | None = flags().get("dsn")
    return dsn


def location() -> StoreLocation:
    """Return the place of the store that is meant; a wrong DSN or target is wrong usage, as is a $TRACKING_REDACT."""
    try:
        use_own_patterns(os.environ)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    return configured().location.value


@contextmanager
def store() -> Iterator[Store]:
    """Yield the store that is meant; nothing is connected yet."""
    place = location()
    with explained(place):
        from tracking_core.store import open_store

        yield open_store(place)


@contextmanager
def reader(*, quiet: bool = False) -> Iterator[Reader]:
    """Yield a connection for reading, closed at the end; what was judged on a standby that is behind is told then."""
    with store() as opened, opened.reader(READ_SECONDS) as connection:
        yield connection
        if quiet:
            return
        from etlwatch.cli.terminal import report
        from etlwatch.text.numbers import behind

        if late := behind(connection.behind_s):
            report(f"{opened.label}: {late}; states are those of its newest data")


@contextmanager
def administration() -> Iterator[Administration]:
    """Yield a connection for a person's changes, closed at the end."""
    with store() as opened, opened.administration(CHANGE_SECONDS) as connection:
        yield connection


def reader_at(reader: Reader, at: str | None) -> Reader:
    """Return a reader as of the moment that `--at` says, without one as it is; BadParameter where that is none."""
    if at is None:
        return reader
    from etlwatch.reading.past import reader_as_of
    from etlwatch.text.moments import MomentError, parse_moment

    try:
        return reader_as_of(reader, parse_moment(at, now=reader.now(), zone=configured_zone()))
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="'--at'") from None


@contextmanager
def explained(place: StoreLocation) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise faults.store_fault(error, place) from error
