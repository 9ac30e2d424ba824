"""A person's changes on PostgreSQL: one short transaction a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from tracking_core.config import StoreLocation
from tracking_core.errors import StoreError
from tracking_core.store import queries
from tracking_core.store.migrate import check_readable
from tracking_core.store.postgres.dialect import DIALECT
from tracking_core.store.postgres.weeks import RequestWeeks
from tracking_core.store.retention import Pace
from tracking_core.store.rows import Row


class PostgresKeeper(RequestWeeks):
    """One connection that changes what people ask for; see `tracking_core.store.base.Keeper`."""

    pace = Pace(runs=400, weight=100_000, purge=20_000, requests=False)
    writers_overlap: ClassVar[bool] = True

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._sql = queries.blocks(DIALECT, "keeping")
        try:
            with self._look():
                found = self.raw.execute(queries.blocks(DIALECT, "reads")["newest_version"]).fetchone()
            check_readable(found[0] if found else 0, queries.migrations(DIALECT)[-1].version, self.label)
        except StoreError:
            self.close()
            raise

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self.operation() as raw, raw.transaction():
            yield

    @contextmanager
    def _look(self) -> Iterator[None]:
        reads = queries.blocks(DIALECT, "reads")
        with self.operation() as raw:
            raw.execute(reads["begin_view"])
            try:
                yield
            finally:
                if not self.closed:
                    raw.execute(reads["end_view"])

    def _read(self, block: str, **parameters: object) -> list[Row]:
        return self.raw.cursor(binary=True).execute(self._sql[block], parameters).fetchall()

    def _do(self, block: str, **parameters: object) -> int:
        return self.raw.execute(self._sql[block], parameters).rowcount

    def _record(self, **parameters: object) -> int:
        return int(self._read("record_deed", **parameters)[0][0])
