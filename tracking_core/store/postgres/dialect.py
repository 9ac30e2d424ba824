"""How values are written for PostgreSQL and read from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

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
