"""Writing batches to PostgreSQL: one transaction each, four exchanges with the server, short locks in one order.

The order is: batch key, carried runs, requests, endpoints, series, all runs together, errors, phases, source counts,
ledgers, and last the runs' own counters and ends. A single immediate request is one statement of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any

from psycopg import Cursor, errors

from tracking_core.clock import from_microseconds
from tracking_core.config import StoreLocation
from tracking_core.dataclass import replace
from tracking_core.events import Batch, Hello, RaisedError, Receipt, RequestColumns, RequestRow, RunStart, tally
from tracking_core.process.interrupts import from_outside
from tracking_core.process.loading import load
from tracking_core.store import parameters, sql_files
from tracking_core.store.dialect import POSTGRES_EPOCH_US
from tracking_core.store.postgres import statements as values
from tracking_core.store.postgres.connection import ENCODING, PostgresConnection
from tracking_core.store.postgres.deadline import DeadlineConnection
from tracking_core.store.postgres.pipeline import quiet_pipeline
from tracking_core.store.postgres.statements import statements
from tracking_core.store.retention import forgotten_before

COPY_FROM_ROWS = 40
"""From this many rows on COPY is cheaper than arrays."""

SUM_UP_EVERY = 64
"""Of so many single requests one goes the way of a batch, which sums up the latencies that the others append."""

PREPARE_FROM = 3
"""Batches of one connection from which on their statements are prepared, where nobody shares its session."""

WIDEN_EVERY_S = 60.0
WIDEN_AT_MOST = 400
BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
"""Whatever the role's default is: a stricter one makes writers fail where they meet."""

COPY_TYPES = ("int8", "int8", "int8", "int8", "text", "int8", "int8", "int4", "int8", "int8", "bool", "text")


class PostgresWriter(PostgresConnection):
    """One connection that takes batches; see `tracking_core.store.base.Writer`."""

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._sql = statements("writes")
        self._widened_at: float | None = None

    def write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        """Store a batch in one transaction; when this returns it is committed.

        `meanwhile` is called while the server takes in the rows of a larger batch, if it is one.

        Raises a StoreError, RowRejected and RowBlocked among them; nothing of the batch is stored then.
        """

        def write(raw: DeadlineConnection) -> Receipt:
            if _is_one_request(batch) and not _sums_up_latencies(batch):
                return self._log_request(raw, batch)
            try:
                return self._write(raw, batch, copy=batch.batch_seq is not None, meanwhile=meanwhile)
            except (errors.UniqueViolation, errors.DivisionByZero):
                # Some of its rows came by another way, which COPY cannot pass over; or a clean-up removed one of its
                # runs meanwhile, which is refused now.
                return self._write(raw, batch)

        return self.repeated(write)

    def beat(self, run_ids: Sequence[int]) -> Receipt:
        """Say that these runs live, in one statement."""
        rows = self.repeated(lambda raw: self._sql["beat"].run(raw, {"run_ids": sorted(run_ids)}).fetchall())
        off = {job for _, job, _, job_off, _ in rows if job_off} | {"*" for _, _, all_off, _, _ in rows if all_off}
        alive = {row[0] for row in rows}
        return Receipt(
            refused={run_id: "ended" for run_id in run_ids if run_id not in alive},
            switched_off=frozenset(off),
            store_us=_microseconds(rows[0][4]) if rows else 0,
        )

    def switched_off(self, job: str) -> bool:
        """Return whether the shared switch, global or of this job, is off."""
        rows = self.repeated(lambda raw: self._sql["switched_off"].run(raw, {"job": job}).fetchall())
        return bool(rows and rows[0][0])

    def hello(self) -> Hello:
        """Return the store's clock and the version of its tables."""
        (row,) = self.repeated(lambda raw: self._sql["hello"].run(raw, {}).fetchall())
        known = sql_files.migrations("postgres")[-1].version
        return Hello(store_us=_microseconds(row[0]), schema_version=row[1], known_version=known)

    def _log_request(self, raw: DeadlineConnection, batch: Batch) -> Receipt:
        request = batch.requests[0]
        try:
            row = self._sql["log_request"].run(raw, values.of_request(batch.writer_id, request)).fetchone()
        except (errors.UniqueViolation, errors.SerializationFailure):
            # It is here already; or the role's transactions are stricter than ours, which a batch's are not.
            return self._write(raw, batch)
        if row is not None:
            return Receipt(store_us=_microseconds(row[0]))
        known = self._judge(self._runs_of(raw, batch).fetchall(), batch)
        if known.taken:
            # The switch was turned on again between the two questions.
            return self._write(raw, batch)
        return Receipt(refused=known.refused, switched_off=known.switched_off, store_us=known.store_us)

    def _runs_of(self, raw: DeadlineConnection, batch: Batch) -> Cursor[Any]:
        return self._sql["runs_of_batch"].run(raw, {"run_ids": sorted(batch.run_ids())})

    def _judge(self, rows: Sequence[tuple[Any, ...]], batch: Batch) -> parameters.Known:
        jobs = {start.run_id: start.job for start in batch.starts}
        found = [
            (run_id, job, removed, "" in (off or ()), (job or jobs.get(run_id)) in (off or ()), _microseconds(at))
            for run_id, job, removed, off, at, _ in rows
        ]
        return parameters.judge_runs(found, batch, self.label)

    def _write(
        self,
        raw: DeadlineConnection,
        batch: Batch,
        *,
        copy: bool = False,
        meanwhile: Callable[[], object] | None = None,
    ) -> Receipt:
        try:
            with quiet_pipeline(raw):
                raw.execute(BEGIN)
                claimed = self._claim(raw, batch)
                for start in batch.starts:
                    self._sql["carry_run"].run(raw, values.of_start(self._spelled(start), batch.ends))
                found = self._runs_of(raw, batch)
            rows = found.fetchall()
            known = self._judge(rows, batch)
            _prepare_where_nobody_stands_between(raw, rows)
            if claimed is not None and claimed.fetchone() is None:
                raw.execute("ROLLBACK")
                return Receipt(duplicate=True, switched_off=known.switched_off, store_us=known.store_us)
            self._spoke_in_turns = True
            ended = self._write_rows(raw, batch, known, copy=copy, meanwhile=meanwhile)
        except BaseException:
            _roll_back(raw)
            raise
        return Receipt(refused=known.refused, ended=ended, switched_off=known.switched_off, store_us=known.store_us)

    def _spelled(self, start: RunStart) -> RunStart:
        """Return a start whose mark of omitted words, which is ours, keeps no run out of a database that lacks it."""
        if self.encoding == ENCODING:
            return start
        load("tracking_core.command_line")
        from tracking_core.command_line import OMITTED

        return replace(start, command=start.command.replace(OMITTED, "..."))

    def _claim(self, raw: DeadlineConnection, batch: Batch) -> Any:
        if batch.batch_seq is None:
            return None
        return self._sql["claim_batch"].run(raw, {"writer_id": batch.writer_id, "batch_seq": batch.batch_seq})

    def _write_rows(
        self,
        raw: DeadlineConnection,
        whole: Batch,
        known: parameters.Known,
        *,
        copy: bool,
        meanwhile: Callable[[], object] | None,
    ) -> frozenset[int]:
        batch = parameters.only(whole, known.taken)
        stored_rows: Sequence[RequestRow] = batch.requests
        if copy and len(batch.requests) >= COPY_FROM_ROWS:
            with self._copying(raw, batch):
                sums = parameters.add_up(batch.cells or tally(batch.requests))
                added = values.of_sums(batch.writer_id, sums)
                if meanwhile is not None:
                    meanwhile()
        else:
            stored_rows = self._insert_requests(raw, batch) if batch.requests else ()
            sums = parameters.add_up(parameters.cells_of(batch, stored_rows))
            added = values.of_sums(batch.writer_id, sums)
        with quiet_pipeline(raw):
            if sums.runs:
                self._sql["add_sums"].run(raw, added)
                self._widen_when_due(raw, known.store_us // 1_000_000)
            stored_errors = self._insert_errors(raw, batch)
            self._save_phases(raw, batch)
            ledger = parameters.ledger_of(batch, stored_rows, stored_errors)
            additions = parameters.additions_to_runs(batch, sums.runs, stored_errors)
            self._sql["add_to_runs"].run(raw, values.of_progress(batch.writer_id, ledger, additions))
            ends = [
                (end.run_id, self._sql["end_run"].run(raw, values.of_end(end)))
                for end in whole.ends
                if end.run_id in known.here
            ]
            if parameters.forgets_batches(whole):
                before = forgotten_before(from_microseconds(known.store_us))
                self._sql["forget_batches"].run(raw, {"before": before, "most": parameters.FORGET_AT_MOST})
            raw.execute("COMMIT")
        return frozenset(run_id for run_id, ended in ends if ended.fetchone() is not None)

    @contextmanager
    def _copying(self, raw: DeadlineConnection, batch: Batch) -> Iterator[None]:
        """Hand the rows over, and wait until the server has taken them in when the block is left."""
        writer_id = batch.writer_id
        with raw.cursor() as cursor:
            with cursor.copy(self._sql["copy_requests"].text) as copy:
                # A timestamptz is, on the wire, an integer of microseconds since 2000: no datetime is made on the way.
                copy.set_types(COPY_TYPES)
                write_row = copy.write_row
                for run_ids, seqs, times, *rest in RequestColumns.of(batch.requests).blocks:
                    moments = [at_us - POSTGRES_EPOCH_US for at_us in times]
                    for row in zip(run_ids, repeat(writer_id), seqs, moments, *rest, strict=False):
                        write_row(row)
                yield
            if cursor.rowcount != len(batch.requests):
                raise parameters.left_out(len(batch.requests) - cursor.rowcount, self.label)

    def _insert_requests(self, raw: DeadlineConnection, batch: Batch) -> Sequence[RequestRow]:
        columns = parameters.request_columns(batch.requests)
        columns["at"] = [from_microseconds(row.at_us) for row in batch.requests]
        keys = set(self._sql["insert_requests"].run(raw, {"writer_id": batch.writer_id, **columns}).fetchall())
        if len(keys) == len(batch.requests):
            return batch.requests
        missing = [row for row in batch.requests if (row.run_id, row.seq) not in keys]
        asked = {"run_id": [row.run_id for row in missing], "seq": [row.seq for row in missing]}
        (here,) = self._sql["requests_here"].run(raw, {"writer_id": batch.writer_id, **asked}).fetchone() or (0,)
        if here != len(missing):
            raise parameters.left_out(len(missing) - here, self.label)
        return [row for row in batch.requests if (row.run_id, row.seq) in keys]

    def _widen_when_due(self, raw: DeadlineConnection, now_s: int) -> None:
        now = time.monotonic()
        if self._widened_at is not None and now - self._widened_at < WIDEN_EVERY_S:
            return
        self._widened_at = now
        for width, wider, age in parameters.WIDENINGS:
            before = now_s - age
            self._sql["widen_throughput"].run(
                raw,
                {"width": width, "wider": wider, "before": before - before % wider, "most": WIDEN_AT_MOST},
            )

    def _insert_errors(self, raw: DeadlineConnection, batch: Batch) -> list[RaisedError]:
        cursors = [
            (
                error,
                self._sql["insert_error"].run(
                    raw,
                    {
                        "run_id": error.run_id,
                        "writer_id": batch.writer_id,
                        "seq": error.seq,
                        "at": from_microseconds(error.at_us),
                        "phase": error.phase,
                        "error_type": error.error_type,
                        "message": error.message,
                        "traceback": error.traceback,
                        "fingerprint": error.fingerprint,
                    },
                ),
            )
            for error in batch.errors
        ]
        return [error for error, cursor in cursors if cursor.fetchone() is not None]

    def _save_phases(self, raw: DeadlineConnection, batch: Batch) -> None:
        for change in batch.phases:
            self._sql["save_phase"].run(
                raw,
                {
                    "run_id": change.run_id,
                    "phase": change.phase,
                    "position": change.position,
                    "status": change.status,
                    "started_at": values.moment(change.started_us),
                    "ended_at": values.moment(change.ended_us),
                    "changed_at": from_microseconds(change.at_us),
                    "counters": parameters.to_json(change.counters),
                    "memory_mb": change.memory_mb,
                    "peak_memory_mb": change.peak_memory_mb,
                    "memory_limit_mb": change.memory_limit_mb,
                },
            )
            processed = parameters.processed(change)
            if processed or change.memory_mb is not None:
                self._sql["sample_phase"].run(
                    raw,
                    {
                        "run_id": change.run_id,
                        "phase": change.phase,
                        "bucket": parameters.phase_bucket(change),
                        "at": from_microseconds(change.at_us),
                        "processed": parameters.to_json(processed),
                        "memory_mb": change.memory_mb,
                    },
                )
        for count in batch.source_counts:
            self._sql["save_source_count"].run(
                raw,
                {
                    "run_id": count.run_id,
                    "entity": count.entity,
                    "items": count.items,
                    "at": from_microseconds(count.at_us),
                },
            )


def _microseconds(at: int) -> int:
    return at + POSTGRES_EPOCH_US


def _is_one_request(batch: Batch) -> bool:
    return (
        batch.batch_seq is None
        and len(batch.requests) == 1
        and not (batch.starts or batch.phases or batch.source_counts or batch.errors or batch.ends or batch.ledger)
    )


def _sums_up_latencies(batch: Batch) -> bool:
    # By the writer's id too, so that many writers of a few requests each do not leave a long list behind; scattered
    # (Knuth's multiplicative hash), so that endpoints called in turn all come to it.
    return (batch.writer_id + batch.requests[0].seq) * 2654435761 % 2**32 < 2**32 // SUM_UP_EVERY


def _prepare_where_nobody_stands_between(raw: DeadlineConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Let the driver prepare what a batch repeats, once the server itself is seen to be at the other end.

    To parse and plan a batch's statements costs more than to do them. A pooler announces a process number of its own
    making; in its sessions, which are anybody's, nothing is ever prepared.
    """
    direct = any(row[-1] == raw.pgconn.backend_pid for row in rows)
    raw.prepare_threshold = PREPARE_FROM if direct else None


def _roll_back(raw: DeadlineConnection) -> None:
    if raw.closed:
        return
    try:
        raw.execute("ROLLBACK")
    except Exception as error:
        raw.close()
        # Otherwise the error that led here is the one to report.
        if from_outside(error):
            raise
