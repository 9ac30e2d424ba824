"""Which store a command means, and its connections.

`--dsn` may stand before the command and after it; the one nearest to the command's end counts. Without one it is
$TRACKING_DSN, else the embedded file. Errors of a store leave here as `faults.StoreCannotAnswer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etlwatch.cli import faults
from tracking_core.config import StoreLocation, resolve
from tracking_core.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from tracking_core.store.base import Keeper, Reader, Store

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

READ_SECONDS = 5.0
"""How long a store may take to connect, and for each answer."""

CHANGE_SECONDS = 60.0
"""How long one step of a change may take: a step of a clean-up removes many rows."""

DSN = "etlwatch.dsn"


def _remember(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta[DSN] = value


def store_option(command: Decorated) -> Decorated:
    """Let a command or a group take `--dsn`."""
    return click.option(
        "--dsn",
        metavar="DSN",
        expose_value=False,
        callback=_remember,
        help="Which store, instead of $TRACKING_DSN or your own file.",
    )(command)


def given_dsn() -> str | None:
    """Return what `--dsn` says, or None."""
    dsn: str | None = click.get_current_context().meta.get(DSN)
    return dsn


def location() -> StoreLocation:
    """Return the place of the store that is meant; a wrong DSN is wrong usage."""
    try:
        return resolve(given_dsn())
    except ConfigurationError as error:
        raise faults.bad_configuration(error) from None


@contextmanager
def store() -> Iterator[Store]:
    """Yield the store that is meant; nothing is connected yet."""
    place = location()
    with explained(place):
        from tracking_core.store import open_store

        yield open_store(place)


@contextmanager
def reader() -> Iterator[Reader]:
    """Yield a connection for reading, closed at the end."""
    with store() as opened, opened.reader(READ_SECONDS) as connection:
        yield connection


@contextmanager
def keeper() -> Iterator[Keeper]:
    """Yield a connection for a person's changes, closed at the end."""
    with store() as opened, opened.keeper(CHANGE_SECONDS) as connection:
        yield connection


@contextmanager
def explained(place: StoreLocation) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise faults.store_fault(error, place) from error
