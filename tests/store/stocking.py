"""Stores filled with known runs, through the writer that jobs use."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tracking_core.clock import to_microseconds
from tracking_core.events import Batch, CountedSource, LedgerEntry, PhaseChange, RaisedError, Receipt, RunEnd, RunStart
from tracking_core.identity import first_run_id_at
from tracking_core.requests import RequestRow, tally
from tracking_core.store import open_store

if TYPE_CHECKING:
    from tracking_core.store.base import Store, Writer

WRITER_ID = 7_000_000_007
SECOND = 1_000_000


class Stock:
    """Writes runs, requests and whatever else a test needs to read back; times are aware datetimes."""

    def __init__(self, dsn: str, *, writer_id: int = WRITER_ID) -> None:
        self.writer_id = writer_id
        self.store: Store = open_store(dsn)
        self._writer: Writer = self.store.writer(30.0)
        self._batches = itertools.count(1)
        self._runs = itertools.count(1)
        self._seqs: dict[int, itertools.count[int]] = {}

    def close(self) -> None:
        """Close the writer."""
        self._writer.close()

    def write(self, **parts: object) -> Receipt:
        """Write one batch."""
        return self._writer.write(Batch(writer_id=self.writer_id, batch_seq=next(self._batches), **parts))  # type: ignore[arg-type]

    def beat(self, *run_ids: int) -> None:
        """Say that runs live."""
        self._writer.beat(run_ids)

    def start(
        self,
        at: datetime,
        *,
        job: str = "inventory",
        notes: str | None = None,
        tags: Mapping[str, str] | None = None,
        heartbeat_interval_s: float | None = None,
        run_id: int | None = None,
    ) -> int:
        """Begin a run at a time; its id says the same time."""
        started_us = to_microseconds(at)
        run_id = run_id or first_run_id_at(started_us) + next(self._runs)
        start = self.run_start(
            run_id, started_us, job=job, notes=notes, tags=tags or {}, heartbeat_interval_s=heartbeat_interval_s
        )
        self.write(starts=(start,))
        return run_id

    def continue_run(self, run_id: int, seqs: itertools.count[int]) -> None:
        """Go on with a run that another writer began, from these sequence numbers on."""
        self._seqs[run_id] = seqs

    def run_start(
        self,
        run_id: int,
        started_us: int,
        *,
        job: str = "inventory",
        notes: str | None = None,
        tags: Mapping[str, str] | None = None,
        heartbeat_interval_s: float | None = None,
    ) -> RunStart:
        """Return what a job says of a run that begins."""
        return RunStart(
            run_id=run_id,
            job=job,
            notes=notes,
            tags=tags or {},
            started_us=started_us,
            host="worker-3",
            pid=4711,
            boot_id="b0",
            username="etl",
            command="python sync.py",
            code_version="abc123",
            tracker_version="0.1.0",
            heartbeat_interval_s=heartbeat_interval_s,
            clock_offset_ms=-12,
        )

    def end(
        self, run_id: int, at: datetime, *, status: str = "completed", duration_ms: int | None = None
    ) -> frozenset[int]:
        """End a run at a time; return what ended."""
        end = RunEnd(run_id=run_id, status=status, ended_us=to_microseconds(at), duration_ms=duration_ms)
        return self.write(ends=(end,)).ended

    def finished(self, started: datetime, ended: datetime, *, job: str = "inventory", requests: int = 0) -> int:
        """Record a whole run: begun, a number of equal requests in its first second, completed."""
        run_id = self.start(started, job=job)
        if requests:
            self.requests(run_id, [(started, "/items", 200, 10, 100)] * requests)
        self.end(run_id, ended)
        return run_id

    def requests(self, run_id: int, made: Iterable[tuple[datetime, str, int | None, int, int]]) -> None:
        """Record requests: (at, endpoint, status, items, milliseconds)."""
        rows = tuple(
            RequestRow(
                run_id=run_id,
                seq=self._next_seq(run_id),
                at_us=to_microseconds(at),
                endpoint=endpoint,
                page_offset=None,
                page_limit=None,
                status=status,
                items=items,
                duration_ms=duration_ms,
                throttled=status == 429,
                error=None,
            )
            for at, endpoint, status, items, duration_ms in made
        )
        self.write(requests=rows, cells=tally(rows))

    def phase(
        self,
        run_id: int,
        phase: str,
        at: datetime,
        *,
        position: int | None = None,
        status: str = "running",
        counters: Mapping[str, Mapping[str, int]] | None = None,
        memory_mb: float | None = None,
    ) -> None:
        """Record where a phase stands."""
        change = PhaseChange(
            run_id=run_id,
            phase=phase,
            position=position,
            status=status,
            at_us=to_microseconds(at),
            started_us=to_microseconds(at),
            ended_us=None,
            counters=counters or {},
            memory_mb=memory_mb,
        )
        self.write(phases=(change,))

    def source_count(self, run_id: int, entity: str, items: int, at: datetime) -> None:
        """Record what a source has."""
        self.write(source_counts=(CountedSource(run_id=run_id, entity=entity, items=items, at_us=to_microseconds(at)),))

    def error(self, run_id: int, message: str, at: datetime, *, many: int = 1) -> None:
        """Record an error, or one that stands for many."""
        error = RaisedError(
            run_id=run_id,
            seq=self._next_seq(run_id),
            at_us=to_microseconds(at),
            phase="load",
            error_type="ValueError",
            message=message,
            traceback="Traceback …",
            fingerprint="f00d",
            many=many,
        )
        self.write(errors=(error,))

    def ledger(
        self, run_id: int, *, emitted: int, dropped: int = 0, overhead: Mapping[str, float] | None = None
    ) -> None:
        """Record how far the writer has come with a run."""
        entry = LedgerEntry(run_id=run_id, emitted=emitted, dropped=dropped, overhead=overhead or {})
        self.write(ledger=(entry,))

    def _next_seq(self, run_id: int) -> int:
        return next(self._seqs.setdefault(run_id, itertools.count(1)))
