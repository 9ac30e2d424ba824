"""Connections to PostgreSQL, and the one place where psycopg's errors become ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import psycopg
from psycopg import errors

from tracking_core import errors as our
from tracking_core.config import StoreLocation
from tracking_core.redaction import without_secrets
from tracking_core.store.postgres.deadline import DeadlineConnection, DeadlineExceeded

APPLICATION = "etlwatch"


def translate(error: psycopg.Error, label: str) -> our.StoreError:
    """Return the error of ours that a driver's error means; the message names the store and holds no password."""
    text = without_secrets(" ".join(str(error).split())) or type(error).__name__
    where = f"{label}: {text}"
    if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName | errors.InvalidCatalogName):
        if isinstance(error, errors.InvalidCatalogName):
            return our.StoreRefused(where)
        return our.SchemaMissing(f"{label} holds no tables of etlwatch: make them with `etlwatch init`")
    if isinstance(
        error,
        errors.InsufficientPrivilege
        | errors.InvalidAuthorizationSpecification
        | errors.InvalidPassword
        | errors.ReadOnlySqlTransaction,
    ):
        return our.StoreRefused(where)
    if isinstance(error, DeadlineExceeded):
        return our.StoreUnavailable(f"{label}: no answer within the deadline")
    if isinstance(error, errors.InvalidSqlStatementName):
        # The session forgot what it had prepared: another connection begins anew.
        return our.StoreUnavailable(where)
    if isinstance(error, errors.UndefinedColumn):
        return our.SchemaMissing(f"{label} has tables of another version: run `etlwatch init`")
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return our.RowRejected(where)
    if "password authentication failed" in text or "no password supplied" in text or "does not exist" in text:
        return our.StoreRefused(where)
    return our.StoreUnavailable(where)


class PostgresConnection:
    """One connection with a deadline for each operation; the base of writer, reader and keeper."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        self.label = location.label
        self.deadline = deadline
        try:
            self.raw = DeadlineConnection.open({"application_name": APPLICATION, **location.keywords}, deadline)
        except psycopg.Error as error:
            raise translate(error, self.label) from None

    @contextmanager
    def operation(self, seconds: float | None = None) -> Iterator[DeadlineConnection]:
        """Bound everything inside the block by one deadline and translate what goes wrong."""
        self.raw.due = time.monotonic() + (self.deadline if seconds is None else seconds)
        try:
            yield self.raw
        except psycopg.Error as error:
            raise translate(error, self.label) from error
        except UnicodeError as error:
            raise our.RowRejected(f"{self.label}: {error}") from error
        except OSError as error:
            raise our.StoreUnavailable(f"{self.label}: {error}") from error

    @property
    def closed(self) -> bool:
        """Whether the connection is of no more use."""
        return self.raw.closed or self.raw.broken

    def close(self) -> None:
        """Close it; closing twice is fine."""
        self.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
