"""Writers, a clean-up and people who all change the same rows, in opposite orders, and what is left afterwards."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from unittest import mock

from tests.store.stocking import Stock
from tracking_core.clock import to_microseconds
from tracking_core.errors import StoreConflict, StoreError, StoreRefused
from tracking_core.events import Batch, CountedSource, PhaseChange, RaisedError, RunEnd, RunStart
from tracking_core.requests import RequestRow, tally
from tracking_core.store import open_store
from tracking_core.store.base import Writer
from tracking_core.store.postgres.administration import PostgresInspection

RUNS, ENDPOINTS, PHASES = 8, ("/a", "/b", "/c"), ("extract", "transform", "load")
DEADLINE_S = 30.0


@dataclass(slots=True)
class Outcome:
    """What a hunt did and found."""

    batches: int = 0
    requests: int = 0
    beats: int = 0
    closed: int = 0
    removed: int = 0
    conflicts: list[str] = field(default_factory=list)
    """Deadlocks and serialization failures."""

    faults: list[str] = field(default_factory=list)
    """Other errors, and totals that differ."""


@dataclass(slots=True)
class Hunt:
    """One hunt on an initialised PostgreSQL store; the same seed makes the same batches."""

    dsn: str
    seed: int
    writers: int
    rounds: int
    """Batches of each writer."""

    until: float | None = None
    """On the monotonic clock: as many batches as there is time for."""

    outcome: Outcome = field(default_factory=Outcome)
    _runs: list[int] = field(default_factory=list)
    _made: dict[int, RunStart] = field(default_factory=dict)
    _expected: Counter[int] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writing: int = 0
    """Writers that have not finished."""

    def run(self) -> Outcome:
        """Let everybody loose at once; return what came of it. No attempt is made twice."""
        stock = Stock(self.dsn)
        now = datetime.now(UTC)
        self._runs = [stock.start(now - timedelta(hours=2), job=f"job {number % 3}") for number in range(RUNS)]
        stock.close()
        self._writing = self.writers
        works: list[Callable[[], None]] = [lambda number=number: self._write(number) for number in range(self.writers)]  # type: ignore[misc]
        works += [self._beat, self._close_and_switch, self._clean_up]
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
        with (
            mock.patch("tracking_core.store.postgres.writer.ATTEMPTS", 1),
            mock.patch("tracking_core.store.dialect.ATTEMPTS", 1),
        ):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self._compare()
        return self.outcome

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except StoreConflict as error:
            self.outcome.conflicts.append(str(error))
        except Exception as error:
            self.outcome.faults.append(f"{type(error).__name__}: {error}")

    def _write(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        writer_id, seq, done = 5000 + number, 0, 0
        try:
            with open_store(self.dsn).writer(DEADLINE_S) as writer:
                while time.monotonic() < self.until if self.until is not None else done < self.rounds:
                    done += 1
                    batch, seq = self._batch(chance, writer_id, done, seq)
                    # Every batch widens cells that are due, as each writer does once a minute.
                    writer._widened_at = None  # type: ignore[attr-defined]
                    try:
                        self._send(writer, batch)
                    except StoreConflict as error:
                        self.outcome.conflicts.append(str(error))
        finally:
            with self._lock:
                self._writing -= 1

    def _batch(self, chance: random.Random, writer_id: int, number: int, seq: int) -> tuple[Batch, int]:
        now_us = to_microseconds(datetime.now(UTC))
        with self._lock:
            if chance.random() < 0.1:
                start = self._start(chance)
                self._made[start.run_id] = start
                self._runs.append(start.run_id)
            chosen = chance.sample(self._runs, k=min(len(self._runs), chance.randint(1, 4)))
        single = chance.random() < 0.2
        if single:
            chosen = chosen[:1]
        rows = []
        for _ in range(1 if single else chance.choice((3, 12, 60))):
            seq += 1
            # As far back as cells are widened.
            at_us = now_us - chance.choice((0, 20, 1200, 7000)) * 1_000_000
            run_id, endpoint = chance.choice(chosen), chance.choice(ENDPOINTS)
            rows.append(RequestRow(run_id, seq, at_us, endpoint, None, None, 200, 2, 30, False, None))
        if single:
            return Batch(writer_id=writer_id, batch_seq=None, requests=tuple(rows), cells=tally(rows)), seq
        phases = tuple(
            PhaseChange(
                run_id=run_id,
                phase=phase,
                position=chance.choice((None, 1)),
                status="running",
                at_us=now_us,
                started_us=now_us,
                ended_us=None,
                counters={"rows": {"processed": number}},
            )
            for run_id in chosen
            for phase in chance.sample(PHASES, k=2)
        )
        counts = tuple(
            CountedSource(run_id=run_id, entity=name, items=3, at_us=now_us)
            for run_id in chosen
            for name in chance.sample(ENDPOINTS, k=2)
        )
        errors = []
        if chance.random() < 0.3:
            seq += 1
            where = {"run_id": chosen[0], "seq": seq, "at_us": now_us}
            texts = {"phase": None, "error_type": "E", "message": "m", "traceback": "", "fingerprint": "f"}
            errors.append(RaisedError(**where, **texts))
        ended = chance.sample(chosen, k=1) if chance.random() < 0.2 else []
        ends = tuple(RunEnd(run_id=run_id, status="completed", ended_us=now_us, duration_ms=5) for run_id in ended)
        return (
            Batch(
                writer_id=writer_id,
                batch_seq=number,
                starts=tuple(self._made[run_id] for run_id in chosen if run_id in self._made),
                requests=tuple(rows),
                cells=tally(rows),
                phases=phases,
                source_counts=counts,
                errors=tuple(errors),
                ends=ends,
            ),
            seq,
        )

    def _start(self, chance: random.Random) -> RunStart:
        stock_us = to_microseconds(datetime.now(UTC) - timedelta(hours=2))
        return RunStart(
            run_id=max(self._runs) + chance.randint(1, 1000),
            job=f"job {chance.randint(0, 2)}",
            notes=None,
            tags={},
            started_us=stock_us,
            host="h",
            pid=1,
            boot_id="b",
            username="u",
            command="c",
            code_version="",
            tracker_version="",
        )

    def _send(self, writer: Writer, batch: Batch) -> None:
        receipt = writer.write(batch)
        with self._lock:
            self.outcome.batches += 1
            for row in batch.requests:
                if row.run_id not in receipt.refused:
                    self.outcome.requests += 1
                    self._expected[row.run_id] += 1

    def _beat(self) -> None:
        chance = random.Random(self.seed)
        with open_store(self.dsn).writer(DEADLINE_S) as writer:
            while self._writing:
                with self._lock:
                    run_ids = chance.sample(self._runs, k=len(self._runs))
                writer.beat(run_ids)
                self.outcome.beats += 1

    def _close_and_switch(self) -> None:
        chance = random.Random(self.seed)
        with open_store(self.dsn).administration(DEADLINE_S) as admin:
            while self._writing:
                self.outcome.closed += admin.close_run(chance.choice(self._runs), actor="ana", reason="hunt")
                admin.set_switch(
                    enabled=chance.random() < 0.7, job=f"job {chance.randint(0, 2)}", actor="ana", reason=""
                )
                time.sleep(0.005)

    def _clean_up(self) -> None:
        with open_store(self.dsn).administration(DEADLINE_S) as admin:
            while self._writing:
                try:
                    self.outcome.removed += sum(admin.cleanup(0, actor="ben"))
                except StoreRefused as error:
                    self.outcome.faults.append(str(error))
                time.sleep(0.02)

    def _compare(self) -> None:
        with open_store(self.dsn).reader(DEADLINE_S) as reader:
            here = {run.run_id for run in reader.recent_runs(1_000_000)}
        with PostgresInspection(open_store(self.dsn).location, DEADLINE_S) as inspection:  # type: ignore[attr-defined]
            for run_id in self._runs:
                try:
                    found = inspection.figures(run_id)
                except StoreError as error:
                    self.outcome.faults.append(str(error))
                    continue
                figures = {found.raw, found.distinct, found.by_endpoint, found.over_time, found.on_run}
                expected = self._expected[run_id] if run_id in here else 0
                if figures != {expected}:
                    self.outcome.faults.append(f"run {run_id}: {expected} requests expected, found {found}")
