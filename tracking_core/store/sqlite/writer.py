"""Writing batches to the SQLite file: one transaction each, under the write lock from its first statement."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice, repeat
from typing import Any

from tracking_core.clock import from_microseconds, to_microseconds
from tracking_core.config import StoreLocation
from tracking_core.events import (
    SERIES_FINE_S,
    Batch,
    Hello,
    RaisedError,
    Receipt,
    RequestColumns,
    RequestRow,
    RunEnd,
    RunStart,
    Tally,
)
from tracking_core.store import parameters, sql_files
from tracking_core.store.retention import forgotten_before
from tracking_core.store.sqlite.connection import SqliteConnection, pack_blob

WIDEN_EVERY_S = 60.0
ROWS_AT_A_TIME = 80
"""Requests that one statement inserts: a third faster than one each, and 960 values, which every SQLite takes."""


class _SomeNotInserted(Exception):
    """Some requests of a batch are here already, or are left out: one by one it shows which."""


class SqliteWriter(SqliteConnection):
    """One connection that takes batches; see `tracking_core.store.base.Writer`."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._sql = sql_files.blocks("sqlite", "writes")
        self._widened_at: float | None = None

    def write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:  # noqa: ARG002 - no wait
        """Store a batch in one transaction; when this returns it is committed. Nothing is done meanwhile.

        Raises a StoreError, RowRejected and RowBlocked among them; nothing of the batch is stored then.
        """
        with self.operation() as raw:
            try:
                return self._write(raw, batch, at_once=batch.batch_seq is not None)
            except _SomeNotInserted:
                raw.rollback()
                return self._write(raw, batch, at_once=False)

    def _write(self, raw: sqlite3.Connection, batch: Batch, *, at_once: bool) -> Receipt:
        self.patiently(lambda: raw.execute(self._sql["begin"]))
        now_us = self.now_us()
        if batch.batch_seq is not None and not self._claim(batch, now_us):
            raw.rollback()
            return Receipt(duplicate=True, store_us=now_us)
        for start in batch.starts:
            raw.execute(self._sql["carry_run"], {**_start_parameters(start, batch.ends), "now": now_us})
        known = self._judge(sorted(batch.run_ids()), now_us, batch)
        ended = self._write_rows(batch, known, now_us, at_once=at_once)
        if parameters.forgets_batches(batch):
            before = to_microseconds(forgotten_before(from_microseconds(now_us)))
            raw.execute(self._sql["forget_batches"], {"before": before, "most": parameters.FORGET_AT_MOST})
        raw.commit()
        return Receipt(refused=known.refused, ended=ended, switched_off=known.switched_off, store_us=now_us)

    def beat(self, run_ids: Sequence[int]) -> Receipt:
        """Say that these runs live, in one transaction."""
        with self.operation() as raw:
            self.patiently(lambda: raw.execute(self._sql["begin"]))
            now_us = self.now_us()
            alive = {
                run_id
                for run_id in sorted(run_ids)
                if raw.execute(self._sql["beat"], {"run_id": run_id, "now": now_us}).rowcount
            }
            known = self._judge(sorted(alive), now_us, Batch(writer_id=0, batch_seq=None))
            raw.commit()
        return Receipt(
            refused={run_id: "ended" for run_id in run_ids if run_id not in alive},
            switched_off=known.switched_off,
            store_us=now_us,
        )

    def switched_off(self, job: str) -> bool:
        """Return whether the shared switch, global or of this job, is off."""
        with self.operation() as raw:
            row = raw.execute(self._sql["switched_off"], {"job": job, "now": self.now_us()}).fetchone()
        return bool(row and row[0])

    def hello(self) -> Hello:
        """Return the store's clock and the version of its tables."""
        with self.operation() as raw:
            store_us, version = raw.execute(self._sql["hello"], {"now": self.now_us()}).fetchone()
        return Hello(
            store_us=store_us, schema_version=version, known_version=sql_files.migrations("sqlite")[-1].version
        )

    def _claim(self, batch: Batch, now_us: int) -> bool:
        key = {"writer_id": batch.writer_id, "batch_seq": batch.batch_seq, "now": now_us}
        return bool(self.raw.execute(self._sql["claim_batch"], key).rowcount)

    def _judge(self, run_ids: Sequence[int], now_us: int, batch: Batch) -> parameters.Known:
        ask = self._sql["runs_of_batch"]
        jobs = {start.run_id: start.job for start in batch.starts}
        rows = [
            self.raw.execute(ask, {"run_id": run_id, "job": jobs.get(run_id), "now": now_us}).fetchone()
            for run_id in run_ids
        ]
        return parameters.judge_runs(rows, batch, self.label)

    def _write_rows(self, whole: Batch, known: parameters.Known, now_us: int, *, at_once: bool) -> frozenset[int]:
        batch = parameters.only(whole, known.taken)
        stored_rows = self._insert_requests(batch, at_once=at_once)
        sums = parameters.add_up(parameters.cells_of(batch, stored_rows))
        self._add_sums(batch.writer_id, sums, now_us)
        stored_errors = self._insert_errors(batch)
        for entry in parameters.ledger_of(batch, stored_rows, stored_errors):
            self.raw.execute(self._sql["save_ledger"], entry)
        self._save_phases(batch)
        self._add_to_runs(batch, sums.runs, stored_errors)
        return self._end_runs(whole.ends, known.here, now_us)

    def _insert_requests(self, batch: Batch, *, at_once: bool) -> Sequence[RequestRow]:
        if not batch.requests:
            return ()
        insert = self._sql["insert_requests"]
        rows = _with_writer(batch)
        if not at_once:
            stored = [self.raw.execute(insert, row).rowcount for row in rows]
            missing = [row for row, is_stored in zip(batch.requests, stored, strict=True) if not is_stored]
            self._check_here(batch.writer_id, missing)
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

    def _check_here(self, writer_id: int, rows: Sequence[RequestRow]) -> None:
        ask = self._sql["requests_here"]
        keys = [{"run_id": row.run_id, "writer_id": writer_id, "seq": row.seq} for row in rows]
        here = sum(self.raw.execute(ask, key).fetchone()[0] for key in keys)
        if here != len(rows):
            raise parameters.left_out(len(rows) - here, self.label)

    def _add_sums(self, writer_id: int, sums: parameters.Sums, now_us: int) -> None:
        if not sums.runs:
            return
        self.raw.executemany(
            self._sql["add_endpoints"],
            [
                {"run_id": run_id, "endpoint": endpoint, "max_ms": cell.max_ms, **_counted(cell)}
                for (run_id, endpoint), cell in sums.endpoints
            ],
        )
        self.raw.executemany(
            self._sql["add_series"],
            [
                {"run_id": run_id, "bucket": bucket, "width": width, **_counted(cell)}
                for (run_id, bucket, width), cell in sums.series
            ],
        )
        shard = writer_id % parameters.SHARDS
        self.raw.executemany(
            self._sql["add_throughput"],
            [
                {"width": SERIES_FINE_S, "bucket": bucket, "shard": shard, **_counted(cell)}
                for bucket, cell in sums.throughput
            ],
        )
        now = time.monotonic()
        if self._widened_at is None or now - self._widened_at >= WIDEN_EVERY_S:
            self._widened_at = now
            self._widen(now_us // 1_000_000)

    def _widen(self, now_s: int) -> None:
        for width, wider, age in parameters.WIDENINGS:
            before = now_s - age
            bounds = {"width": width, "wider": wider, "before": before - before % wider}
            self.raw.execute(self._sql["widen_throughput"], bounds)
            del bounds["wider"]
            self.raw.execute(self._sql["drop_widened"], bounds)

    def _insert_errors(self, batch: Batch) -> list[RaisedError]:
        stored = []
        for error in batch.errors:
            row = {
                "run_id": error.run_id,
                "writer_id": batch.writer_id,
                "seq": error.seq,
                "at": error.at_us,
                "phase": error.phase,
                "error_type": error.error_type,
                "message": error.message,
                "traceback": error.traceback,
                "fingerprint": error.fingerprint,
            }
            if self.raw.execute(self._sql["insert_error"], row).rowcount:
                stored.append(error)
        return stored

    def _save_phases(self, batch: Batch) -> None:
        for change in batch.phases:
            self.raw.execute(
                self._sql["save_phase"],
                {
                    "run_id": change.run_id,
                    "phase": change.phase,
                    "position": change.position,
                    "status": change.status,
                    "started_at": change.started_us,
                    "ended_at": change.ended_us,
                    "changed_at": change.at_us,
                    "counters": parameters.to_json(change.counters),
                    "memory_mb": change.memory_mb,
                    "peak_memory_mb": change.peak_memory_mb,
                    "memory_limit_mb": change.memory_limit_mb,
                },
            )
            processed = parameters.processed(change)
            if processed or change.memory_mb is not None:
                self.raw.execute(
                    self._sql["sample_phase"],
                    {
                        "run_id": change.run_id,
                        "phase": change.phase,
                        "bucket": parameters.phase_bucket(change),
                        "at": change.at_us,
                        "processed": parameters.to_json(processed),
                        "memory_mb": change.memory_mb,
                    },
                )
        for count in batch.source_counts:
            self.raw.execute(
                self._sql["save_source_count"],
                {"run_id": count.run_id, "entity": count.entity, "items": count.items, "at": count.at_us},
            )

    def _add_to_runs(
        self,
        batch: Batch,
        by_run: Mapping[int, Tally],
        stored_errors: Sequence[RaisedError],
    ) -> None:
        for addition in parameters.additions_to_runs(batch, by_run, stored_errors):
            addition.update(progress_at=addition.pop("progress_us"), writer_id=batch.writer_id)
            self.raw.execute(self._sql["add_to_run"], addition)

    def _end_runs(self, ends: Sequence[RunEnd], here: set[int], now_us: int) -> frozenset[int]:
        ended = set()
        for end in ends:
            if end.run_id not in here:
                continue
            self.raw.execute(self._sql["audit_end"], {"run_id": end.run_id, "status": end.status, "now": now_us})
            row = {
                "run_id": end.run_id,
                "status": end.status,
                "ended_at": end.ended_us,
                "duration_ms": end.duration_ms,
                "notes": end.notes,
                "ended_by": end.ended_by,
            }
            if self.raw.execute(self._sql["end_run"], row).rowcount:
                ended.add(end.run_id)
        return frozenset(ended)


def _with_writer(batch: Batch) -> Iterator[tuple[Any, ...]]:
    for run_ids, *columns in RequestColumns.of(batch.requests).blocks:
        yield from zip(run_ids, repeat(batch.writer_id), *columns, strict=False)


@cache
def _of_many_rows(insert: str) -> str:
    """Return an INSERT of one row of placeholders as one of many rows."""
    head, values, rest = insert.rpartition("VALUES ")
    row, line_end, clause = rest.partition("\n")
    return head + values + ", ".join([row] * ROWS_AT_A_TIME) + line_end + clause


def _start_parameters(start: RunStart, ends: Sequence[RunEnd]) -> dict[str, Any]:
    return {
        "run_id": start.run_id,
        "job": start.job,
        "notes": start.notes,
        "tags": parameters.to_json(start.tags),
        "started_at": start.started_us,
        "ended_at": next((end.ended_us for end in ends if end.run_id == start.run_id), None),
        "heartbeat_interval_s": start.heartbeat_interval_s,
        "host": start.host,
        "pid": start.pid,
        "boot_id": start.boot_id,
        "username": start.username,
        "command": start.command,
        "code_version": start.code_version,
        "tracker_version": start.tracker_version,
        "parent_run_id": start.parent_run_id,
        "clock_offset_ms": start.clock_offset_ms,
    }


def _counted(cell: Tally) -> dict[str, Any]:
    columns: dict[str, Any] = {name: getattr(cell, name) for name in parameters.COUNTED}
    columns["histogram"] = pack_blob(parameters.packed(cell))
    return columns
