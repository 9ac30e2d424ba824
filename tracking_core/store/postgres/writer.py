"""Writing batches to PostgreSQL: one transaction each, four exchanges with the server.

A single immediate request is one statement of its own. The order of the locks is described in sql/writes.sql.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import repeat
from typing import Any, TypeVar

from psycopg import Connection, RawCursor, errors

from tracking_core.clock import from_microseconds
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass, replace
from tracking_core.errors import StoreRefused
from tracking_core.events import Batch, Hello, Receipt, RunStart
from tracking_core.histogram import pack
from tracking_core.process.interrupts import from_outside, load
from tracking_core.requests import SERIES_FINE_S, RequestColumns, RequestRow, series_slot, tally
from tracking_core.store import sql_files, writing
from tracking_core.store.dialect import ATTEMPTS, COUNTED, POSTGRES_EPOCH_US
from tracking_core.store.postgres.connection import ENCODING, PostgresConnection, quiet_pipeline
from tracking_core.store.postgres.deadline import DeadlineConnection
from tracking_core.store.writing import EventWriter

T = TypeVar("T")
COPY_FROM_ROWS = 40
"""From this many rows on COPY is cheaper than arrays."""

SUM_UP_EVERY = 64
"""Of so many single requests one is stored as a batch, which sums up the latencies that the others append."""

PREPARE_FROM = 3
"""From this batch of a connection on, its statements are prepared, unless its session is shared by a pooler."""

WIDEN_AT_MOST = 400
BACKEND_PID, CLAIMED = 5, 6
"""Places in the rows of claim_batch_and_runs."""

BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
"""Whatever the role's default is: a stricter one makes writers fail where they meet."""

COPY_TYPES = ("int8", "int8", "int8", "int8", "text", "int8", "int8", "int4", "int8", "int8", "bool", "text")


def array_of(numbers: Iterable[int | str]) -> str:
    """Return numbers or array literals as an array literal, which the driver passes on as it is."""
    return "{" + ",".join(map(str, numbers)) + "}"


class PostgresWriter(PostgresConnection, EventWriter):
    """One connection that takes batches; see `tracking_core.store.base.Writer`."""

    _moment = staticmethod(from_microseconds)
    _packed = staticmethod(array_of)

    def __init__(self, location: StoreLocation, deadline: float) -> None:
        super().__init__(location, deadline)
        self._sql = statements(_older_schemas.get(self.label))
        self._found_stored = False
        self._may_copy = True
        """False where the table of requests has row security, which COPY does not pass."""

    def write(self, batch: Batch, meanwhile: Callable[[], object] | None = None) -> Receipt:
        """Store a batch in one transaction; when this returns it is committed.

        `meanwhile` is called while the server takes in the rows of a larger batch, if it is one.

        Raises a StoreError, RowRejected and RowBlocked among them; nothing of the batch is stored then.
        """
        # Events without a batch's key may be here already; where one of them was, the next are looked for first.
        copy = self._may_copy and (batch.batch_seq is not None or not self._found_stored)

        def attempt() -> Receipt:
            nonlocal copy
            if _is_one_statement(batch):
                return self._log_request(batch)
            try:
                return self._write(batch, copy=copy, meanwhile=meanwhile)
            except errors.FeatureNotSupported:
                if not copy:
                    raise
                self._may_copy = copy = False
                return self._write(batch)
            except (errors.UniqueViolation, StoreRefused):
                # Some of its rows came by another way, which COPY cannot pass over; or the switch was turned on between
                # two statements, so that a run of the batch is neither here nor refused.
                if copy and batch.batch_seq is None:
                    self._found_stored = True
                copy = False
                return self._write(batch)

        return self._repeated(attempt)

    def beat(self, run_ids: Sequence[int]) -> Receipt:
        rows = self._repeated(lambda: self._run("beat", {"run_ids": sorted(run_ids)}).fetchall())
        off = {job for _, job, switched_off, _ in rows for job in (job, "") if job in (switched_off or ())}
        alive = {row[0] for row in rows}
        return Receipt(
            refused={run_id: "ended" for run_id in run_ids if run_id not in alive},
            switched_off=frozenset(job or "*" for job in off),
            store_us=_microseconds(rows[0][-1]) if rows else 0,
        )

    def switched_off(self, job: str) -> bool:
        ((off,),) = self._repeated(lambda: self._run("switched_off", {"job": job}).fetchall())
        return bool(off)

    def hello(self) -> Hello:
        ((at, version),) = self._repeated(lambda: self._run("hello", {}).fetchall())
        known = sql_files.migrations("postgres")[-1].version
        return Hello(store_us=_microseconds(at), schema_version=version, known_version=known)

    def _repeated(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns, made again where other transactions or an older schema ended it."""

        def work(_raw: DeadlineConnection) -> T:
            for _ in range(ATTEMPTS - 1):
                try:
                    return attempt()
                except (errors.DeadlockDetected, errors.SerializationFailure):
                    if self.closed:
                        raise
                except errors.UndefinedColumn:
                    if not self._use_older_schema():
                        raise
            return attempt()

        return self.repeated(work)

    def _use_older_schema(self) -> bool:
        """Use the statements for the schema version that the store has; False if they are in use already."""
        ((_, version),) = self._run("hello", {}).fetchall()
        before, self._sql = self._sql, statements(version)
        _older_schemas[self.label] = version
        return self._sql is not before

    def _run(self, block: str, values: Mapping[str, Any]) -> RawCursor[Any]:
        return self._sql[block].run(self.raw, values)

    def _run_many(self, block: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._run(block, as_arrays(rows))

    def _add_sums(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._run(
            "add_sums",
            {f"{part}_{name}": column for part in rows for name, column in as_arrays(rows[part]).items()},
        )

    def _save_ledger_and_runs(
        self, ledger: Sequence[Mapping[str, Any]], additions: Sequence[Mapping[str, Any]]
    ) -> None:
        self._run_many("save_ledger", ledger)
        if len(additions) > 1:
            # A single one is locked by the statement that changes it.
            self._lock("lock_changed_runs", [addition["run_id"] for addition in additions])
        self._run_many("add_to_runs", additions)

    def _inserted(self, cursor: RawCursor[Any]) -> bool:
        return cursor.fetchone() is not None

    def _lock(self, block: str, run_ids: Sequence[int]) -> None:
        self._run(block, {"run_ids": run_ids})

    def _widen(self, bounds: Mapping[str, int]) -> None:
        self._run("widen_throughput", {**bounds, "most": WIDEN_AT_MOST})

    def _log_request(self, batch: Batch) -> Receipt:
        try:
            row = self._run("log_request", of_request(batch.writer_id, batch.requests[0])).fetchone()
        except (errors.UniqueViolation, errors.SerializationFailure):
            # It is here already; or the role's transactions are stricter than ours, which a batch's are not.
            return self._write(batch)
        if row is not None:
            return Receipt(store_us=_microseconds(row[0]))
        known = self._judge(self._runs_of(batch).fetchall(), batch)
        if known.taken:
            # The switch was turned on again between the two statements.
            return self._write(batch)
        return Receipt(refused=known.refused, switched_off=known.switched_off, store_us=known.store_us)

    def _runs_of(self, batch: Batch) -> RawCursor[Any]:
        run_ids = sorted(batch.run_ids())
        if batch.starts:
            self._lock("lock_runs", run_ids)
            self._carry_runs([self._spelled(start) for start in batch.starts], batch)
        if batch.batch_seq is None:
            return self._run("runs_of_batch", {"run_ids": run_ids})
        key = {"writer_id": batch.writer_id, "batch_seq": batch.batch_seq}
        return self._run("claim_batch_and_runs", {"run_ids": run_ids, **key})

    def _judge(self, rows: Sequence[tuple[Any, ...]], batch: Batch, *, again: bool = False) -> writing.Known:
        off, at = (rows[0][3] or (), _microseconds(rows[0][4])) if rows else ((), 0)
        known = writing.judge_runs((row[:3] for row in rows), off, batch, self.label, self._cutoff_us)
        known.store_us = at
        if "unknown" in known.refused.values() and not again:
            # Perhaps it was removed while the lock on it was awaited.
            return self._judge(
                self._run("runs_of_batch", {"run_ids": [row[0] for row in rows]}).fetchall(), batch, again=True
            )
        return known

    def _write(self, batch: Batch, *, copy: bool = False, meanwhile: Callable[[], object] | None = None) -> Receipt:
        raw = self.raw
        try:
            with quiet_pipeline(raw):
                raw.execute(BEGIN)
                found = self._runs_of(batch)
            rows = found.fetchall()
            known = self._judge(rows, batch)
            # What a batch repeats is prepared once the server itself is seen to be at the other end: to parse and plan
            # the statements costs more than to do them. A pooler announces a process number of its own making; in its
            # sessions, which are anybody's, nothing is ever prepared.
            direct = any(row[BACKEND_PID] == raw.pgconn.backend_pid for row in rows)
            raw.prepare_threshold = PREPARE_FROM if direct else None
            if batch.batch_seq is not None and rows and not rows[0][CLAIMED]:
                raw.execute("ROLLBACK")
                return Receipt(duplicate=True, switched_off=known.switched_off, store_us=known.store_us)
            self._spoke_in_turns = True
            ended = self._write_rows(batch, known, copy=copy, meanwhile=meanwhile)
        except BaseException:
            _roll_back(raw)
            raise
        return Receipt(refused=known.refused, ended=ended, switched_off=known.switched_off, store_us=known.store_us)

    def _spelled(self, start: RunStart) -> RunStart:
        """Return a start whose mark of omitted words, which is ours, keeps no run out of a database that lacks it."""
        if self.encoding == ENCODING:
            return start
        load("tracking_core.identity")
        from tracking_core.identity import OMITTED

        return replace(start, command=start.command.replace(OMITTED, "..."))

    def _write_rows(
        self, whole: Batch, known: writing.Known, *, copy: bool, meanwhile: Callable[[], object] | None
    ) -> frozenset[int]:
        batch = whole.without(whole.run_ids() - known.taken)
        stored_rows: Sequence[RequestRow] = batch.requests
        if copy and len(batch.requests) >= COPY_FROM_ROWS:
            with self._copying(batch):
                sums = writing.add_up(batch.cells or tally(batch.requests))
                if meanwhile is not None:
                    meanwhile()
        else:
            stored_rows = self._insert_requests(batch) if batch.requests else ()
            sums = writing.add_up(writing.cells_of(batch, stored_rows))
        with quiet_pipeline(self.raw):
            ends = self._write_events(batch, known, stored_rows, sums)
            self.raw.execute("COMMIT")
        return frozenset(run_id for run_id, cursor in ends.items() if cursor.rowcount)

    @contextmanager
    def _copying(self, batch: Batch) -> Iterator[None]:
        """Hand the rows over, and wait until the server has taken them in when the block is left."""
        writer_id = batch.writer_id
        with self.raw.cursor() as cursor:
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
                raise writing.left_out(len(batch.requests) - cursor.rowcount, self.label)

    def _insert_requests(self, batch: Batch) -> Sequence[RequestRow]:
        requests = RequestColumns.of(batch.requests)
        columns = {name: list(requests.column(place)) for place, name in enumerate(RequestRow._fields)}
        columns["at"] = list(map(from_microseconds, columns["at_us"]))
        keys = set(self._run("insert_requests", {"writer_id": batch.writer_id, **columns}).fetchall())
        if len(keys) == len(batch.requests):
            return batch.requests
        missing = [row for row in batch.requests if (row.run_id, row.seq) not in keys]
        asked = {"run_id": [row.run_id for row in missing], "seq": [row.seq for row in missing]}
        ((here,),) = self._run("requests_here", {"writer_id": batch.writer_id, **asked}).fetchall()
        if here != len(missing):
            raise writing.left_out(len(missing) - here, self.label)
        return [row for row in batch.requests if (row.run_id, row.seq) in keys]


_older_schemas: dict[str, int] = {}
"""Schema versions of stores, by label, that lack a column of this program's version."""


def _microseconds(at: int) -> int:
    return at + POSTGRES_EPOCH_US


def _is_one_statement(batch: Batch) -> bool:
    """Return whether a batch is a single request, and none of those that sum up the latencies of others."""
    others = batch.starts or batch.phases or batch.source_counts or batch.errors or batch.ends or batch.ledger
    if batch.batch_seq is not None or len(batch.requests) != 1 or others:
        return False
    # By the writer's id too, so that many writers of a few requests each do not leave a long list behind; scattered
    # (Knuth's multiplicative hash), so that endpoints called in turn all come to it.
    return (batch.writer_id + batch.requests[0].seq) * 2654435761 % 2**32 >= 2**32 // SUM_UP_EVERY


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


_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One block of SQL and the names of its parameters, in the order of their numbers."""

    text: bytes
    names: tuple[str, ...]

    def run(self, connection: Connection[Any], values: Mapping[str, Any]) -> RawCursor[Any]:
        """Run it and return its cursor, answers in binary; values that it does not name are passed over.

        Numbers go as text without a type, which the server takes for that of the column: for a number psycopg names the
        narrowest type that holds it, so that one statement would be prepared for many types, and on a fresh connection
        each type's operators and casts are looked up anew.
        """
        given = [values[name] for name in self.names]
        plain = [str(value) if type(value) is int else value for value in given]
        return RawCursor(connection).execute(self.text, plain, binary=True)


@cache
def statements(version: int | None = None) -> dict[str, Statement]:
    """Return the statements of writes.sql for a schema version, None for the newest."""
    blocks = sql_files.blocks("postgres", "writes", version)
    return {block: _statement(text) for block, text in blocks.items()}


def _statement(text: str) -> Statement:
    names: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return "%" if match[1] is None else f"${names.setdefault(match[1], len(names) + 1)}"

    plain = _SPACE.sub(" ", _COMMENT.sub("", text)).strip().rstrip(";")
    return Statement(text=_PLACEHOLDER.sub(numbered, plain).encode(), names=tuple(names))


def of_request(writer_id: int, request: RequestRow) -> dict[str, Any]:
    """Return the parameters of one immediate request: its columns, and what it adds to the counters."""
    (cell,) = tally((request,)).values()
    seconds = request.at_us // 1_000_000
    fine = seconds - seconds % SERIES_FINE_S
    bucket, width = series_slot(request.run_id, fine)
    return {
        **request._asdict(),
        **{name: getattr(cell, name) for name in COUNTED},
        "is_throttled": request.throttled,
        "writer_id": writer_id,
        "at": from_microseconds(request.at_us),
        "bucket": bucket,
        "width": width,
        "fine_bucket": fine,
        "shard": writer_id % writing.SHARDS,
        "histogram": array_of(pack(cell.histogram)),
    }


def as_arrays(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as columns: numbers as array literals, which the driver passes on as they are, others as lists."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: array_of(column) if isinstance(column[0], int) else column for name, column in columns.items()}
