"""A person's changes on the SQLite file: the write lock for a few milliseconds a step, and space given back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar

from tracking_core.config import StoreLocation
from tracking_core.errors import StoreError
from tracking_core.store import sql_files
from tracking_core.store.administration import SUMMARIES_OF_A_RUN, StoreAdministration
from tracking_core.store.retention import Candidate, StepLimits
from tracking_core.store.sql_files import check_readable
from tracking_core.store.sqlite.connection import DIALECT, SqliteTransactions


class SqliteAdministration(SqliteTransactions, StoreAdministration):
    """One connection that changes what people ask for; see `tracking_core.store.base.Administration`."""

    removed_with_a_run: ClassVar[tuple[str, ...]] = ("remove_requests", *SUMMARIES_OF_A_RUN)
    limits = StepLimits(runs=50, weight=5_000, purge=2_000)

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._sql = sql_files.blocks(DIALECT, "administration")
        try:
            with self._look():
                (version,) = self.raw.execute(sql_files.blocks(DIALECT, "reads")["newest_version"]).fetchone()
            check_readable(version, sql_files.migrations(DIALECT)[-1].version, self.label)
        except StoreError:
            self.close()
            raise

    def _record(self, **parameters: object) -> int:
        return int(self.raw.execute(self._sql["record_action"], parameters).lastrowid or 0)

    def _lighten(self, run: Candidate, cutoff: datetime, /) -> Iterator[int]:
        while True:
            with self._look():
                bound = self._read("bound_of_requests", run_id=run.run_id, most=self.limits.weight).by_name()
            if not bound:
                return
            given = {"run_id": run.run_id, "cutoff": self._moment(cutoff), **bound[0]}
            with self._change():
                trimmed = self._do("trim_requests", **given)
            if not trimmed:
                return
            yield 0

    def _tidy(self) -> Iterator[int]:
        before, free = 0, self._free_pages()
        # A file that was made without auto_vacuum keeps its free pages, to be filled again.
        while free and free != before:
            with self.operation() as raw:
                # This pragma frees pages only as long as it is stepped, which execute() does once.
                self.patiently(lambda: raw.executescript(self._sql["give_back"]))
            yield 0
            before, free = free, self._free_pages()
        with self.operation() as raw:
            raw.execute(self._sql["checkpoint"]).fetchall()

    def _free_pages(self) -> int:
        with self.operation() as raw:
            return int(raw.execute(self._sql["free_pages"]).fetchone()[0])
