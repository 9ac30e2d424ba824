"""How values are written for PostgreSQL and read from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from psycopg import Connection
from psycopg.types.numeric import Int8BinaryLoader

from tracking_core.store.dialect import Dialect
from tracking_core.store.forms import POSTGRES, Forms

DIALECT = "postgres"


class PostgresDialect(Dialect):
    """The driver's own types; the database's clock is the one that counts."""

    forms: ClassVar[Forms] = POSTGRES

    def _now(self) -> object:
        return self.at

    def _moment(self, moment: datetime) -> object:
        return moment

    def _list(self, values: Sequence[int] | Sequence[str]) -> object:
        return list(values)


def take_times_as_integers(raw: Connection[Any]) -> None:
    """Let a connection hand out binary timestamptz as the integer it is on the wire.

    It needs no session time zone then, and a third of the time.
    """
    raw.adapters.register_loader("timestamptz", Int8BinaryLoader)
