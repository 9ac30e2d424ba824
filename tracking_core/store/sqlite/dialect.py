"""How values are written for SQLite and read from it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from tracking_core.clock import to_microseconds
from tracking_core.store.dialect import Dialect
from tracking_core.store.forms import SQLITE, Forms

DIALECT = "sqlite"


class SqliteDialect(Dialect):
    """Integer microseconds; the clock that counts is this machine's, as the file's only one."""

    forms: ClassVar[Forms] = SQLITE

    def _now(self) -> object:
        return time.time_ns() // 1000 if self.at is None else to_microseconds(self.at)

    def _moment(self, moment: datetime) -> object:
        return to_microseconds(moment)

    def _list(self, values: Sequence[int] | Sequence[str]) -> object:
        return json.dumps(values)
