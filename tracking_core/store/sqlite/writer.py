"""Writing batches to the SQLite file: one transaction each, under the write lock from its first statement."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice, repeat
from typing import Any

from tracking_core.config import StoreLocation
from tracking_core.events import Batch, Hello, Receipt
from tracking_core.requests import RequestColumns, RequestRow
from tracking_core.store import sql_files, writing
from tracking_core.store.sqlite.connection import SqliteConnection, pack_blob
from tracking_core.store.writing import EventWriter

ROWS_AT_A_TIME = 80
"""Requests that one statement inserts: a third faster than one each, and 960 values, which every SQLite takes."""


class _SomeNotInserted(Exception):
    """Some requests of a batch are here already, or are left out: one by one it shows which."""


class SqliteWriter(SqliteConnection, EventWriter):
    """One connection that takes batches; see `tracking_core.store.base.Writer`."""

    _packed = staticmethod(pack_blob)

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._sql = sql_files.blocks("sqlite", "writes")
        self._now_us = 0

    def write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:  # noqa: ARG002 - no wait
        """Store a batch in one transaction; when this returns it is committed. Nothing is done meanwhile.

        Raises a StoreError, RowRejected and RowBlocked among them; nothing of the batch is stored then.
        """
        with self.operation() as raw:
            try:
                return self._write(raw, batch, at_once=batch.batch_seq is not None)
            except _SomeNotInserted:
                raw.rollback()
            except sqlite3.OperationalError as error:
                if "no column named" not in str(error):
                    raise
                # The tables are older than this program.
                raw.rollback()
                self._sql = sql_files.blocks("sqlite", "writes", self._run("hello", {}).fetchone()[1])
            return self._write(raw, batch, at_once=False)

    def _write(self, raw: sqlite3.Connection, batch: Batch, *, at_once: bool) -> Receipt:
        self._begin()
        key = {"writer_id": batch.writer_id, "batch_seq": batch.batch_seq}
        if batch.batch_seq is not None and not self._run("claim_batch", key).rowcount:
            raw.rollback()
            return Receipt(duplicate=True, store_us=self._now_us)
        self._carry_runs(batch.starts, batch)
        known = self._judge(batch.run_ids(), batch)
        taken = batch.without(batch.run_ids() - known.taken)
        stored_rows = self._insert_requests(taken, at_once=at_once)
        ends = self._write_events(taken, known, stored_rows, writing.add_up(writing.cells_of(taken, stored_rows)))
        raw.commit()
        return Receipt(
            refused=known.refused,
            ended=frozenset(run_id for run_id, cursor in ends.items() if cursor.rowcount),
            switched_off=known.switched_off,
            store_us=self._now_us,
        )

    def beat(self, run_ids: Sequence[int]) -> Receipt:
        """Record that these runs live, in one transaction."""
        with self.operation() as raw:
            self._begin()
            alive = {run_id for run_id in run_ids if self._run("beat", {"run_id": run_id}).rowcount}
            known = self._judge(alive, Batch(writer_id=0, batch_seq=None))
            raw.commit()
        return Receipt(
            refused={run_id: "ended" for run_id in run_ids if run_id not in alive},
            switched_off=known.switched_off,
            store_us=self._now_us,
        )

    def switched_off(self, job: str) -> bool:
        with self.operation():
            return bool(self._run("switched_off", {"job": job}).fetchone()[0])

    def hello(self) -> Hello:
        with self.operation():
            self._now_us = self.forms.present()
            store_us, version = self._run("hello", {}).fetchone()
        return Hello(
            store_us=store_us, schema_version=version, known_version=sql_files.migrations("sqlite")[-1].version
        )

    def _begin(self) -> None:
        self.patiently(lambda: self.raw.execute(self._sql["begin"]))
        self._now_us = self.forms.present()

    def _run(self, block: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        return self.raw.execute(self._sql[block], {**values, "now": self._now_us})

    def _run_many(self, block: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.raw.executemany(self._sql[block], rows)

    def _add_sums(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._run_many("add_endpoints", rows["endpoint"])
        self._run_many("add_series", rows["series"])
        self._run_many("add_throughput", rows["all"])

    def _save_ledger_and_runs(
        self, ledger: Sequence[Mapping[str, Any]], additions: Sequence[Mapping[str, Any]]
    ) -> None:
        self._run_many("save_ledger", ledger)
        self._run_many("add_to_runs", [{**addition, "now": self._now_us} for addition in additions])

    def _inserted(self, cursor: sqlite3.Cursor) -> bool:
        return bool(cursor.rowcount)

    def _lock(self, block: str, run_ids: Sequence[int]) -> None:
        """The transaction has the one write lock."""

    @staticmethod
    def _moment(microseconds: int, /) -> int:
        return microseconds

    def _widen(self, bounds: Mapping[str, int]) -> None:
        self._run("widen_throughput", bounds)
        self._run("drop_widened", bounds)

    def _judge(self, run_ids: Iterable[int], batch: Batch) -> writing.Known:
        rows = self._run("runs_of_batch", {"run_ids": json.dumps(sorted(run_ids))}).fetchall()
        off = json.loads(rows[0][3]) if rows else ()
        known = writing.judge_runs((row[:3] for row in rows), off, batch, self.label, self._cutoff_us)
        known.store_us = self._now_us
        return known

    def _insert_requests(self, batch: Batch, *, at_once: bool) -> Sequence[RequestRow]:
        if not batch.requests:
            return ()
        insert = self._sql["insert_requests"]
        rows = _with_writer(batch)
        if not at_once:
            stored = [self.raw.execute(insert, row).rowcount for row in rows]
            missing = [row for row, is_stored in zip(batch.requests, stored, strict=True) if not is_stored]
            keys = [{"run_id": row.run_id, "writer_id": batch.writer_id, "seq": row.seq} for row in missing]
            here = sum(self.raw.execute(self._sql["requests_here"], key).fetchone()[0] for key in keys)
            if here != len(missing):
                raise writing.left_out(len(missing) - here, self.label)
            return [row for row, is_stored in zip(batch.requests, stored, strict=True) if is_stored]
        before = self.raw.total_changes
        insert_many = _of_many_rows(insert)
        count = len(batch.requests)
        for _ in range(count // ROWS_AT_A_TIME):
            self.raw.execute(insert_many, list(chain.from_iterable(islice(rows, ROWS_AT_A_TIME))))
        self.raw.executemany(insert, rows)
        if self.raw.total_changes - before != count:
            raise _SomeNotInserted
        return batch.requests


def _with_writer(batch: Batch) -> Iterator[tuple[Any, ...]]:
    for run_ids, *columns in RequestColumns.of(batch.requests).blocks:
        yield from zip(run_ids, repeat(batch.writer_id), *columns, strict=False)


@cache
def _of_many_rows(insert: str) -> str:
    """Return an INSERT of one row of placeholders as one of many rows."""
    head, values, rest = insert.rpartition("VALUES ")
    row, line_end, clause = rest.partition("\n")
    return head + values + ", ".join([row] * ROWS_AT_A_TIME) + line_end + clause
