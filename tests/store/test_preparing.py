"""Statements are prepared where the server itself answers, and never in a session that a pooler shares out (P5)."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from tests.store.stocking import Stock
from tests.support.peek import peek
from tracking_core.clock import to_microseconds
from tracking_core.errors import StoreUnavailable
from tracking_core.events import Batch
from tracking_core.requests import RequestRow, tally
from tracking_core.store.base import Writer
from tracking_core.store.postgres.writer import PREPARE_FROM

NOW = datetime.now(UTC).replace(microsecond=0)
PREPARED = "SELECT count(*) FROM pg_prepared_statements"
WRITER_ID = 4096


class Batches:
    """Batches of one writer of one run, sixty requests each."""

    def __init__(self, run_id: int) -> None:
        self._run_id = run_id
        self._numbers = itertools.count(1)

    def write(self, writer: Writer, count: int) -> None:
        for number in itertools.islice(self._numbers, count):
            rows = tuple(self._row(60 * number + seq) for seq in range(60))
            writer.write(Batch(writer_id=WRITER_ID, batch_seq=number, requests=rows, cells=tally(rows)))

    def _row(self, seq: int) -> RequestRow:
        return RequestRow(self._run_id, seq, to_microseconds(NOW), "/a", None, None, 200, 7, 35, False, None)


def prepared(writer: Writer) -> int:
    return int(writer.raw.execute(PREPARED).fetchone()[0])  # type: ignore[attr-defined]


def test_a_writer_of_many_batches_prepares_their_statements(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    batches = Batches(stock.start(NOW))
    with stock.store.writer(5.0) as writer:
        batches.write(writer, PREPARE_FROM - 1)
        assert prepared(writer) == 0
        batches.write(writer, 3)
        assert prepared(writer) > 0
    stock.close()


def test_nothing_is_prepared_behind_a_pooler(pgbouncer_store_dsn: str) -> None:
    stock = Stock(pgbouncer_store_dsn)
    batches = Batches(stock.start(NOW))
    with stock.store.writer(5.0) as writer:
        batches.write(writer, 3 * PREPARE_FROM)
        assert prepared(writer) == 0
    stock.close()


def test_what_a_session_forgot_is_an_error_that_another_connection_heals(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    batches = Batches(stock.start(NOW))
    with stock.store.writer(5.0) as writer:
        batches.write(writer, 3 * PREPARE_FROM)
        # Behind the driver's back, which keeps a list of its own.
        writer.raw.pgconn.exec_(b"DEALLOCATE ALL")
        with pytest.raises(StoreUnavailable):
            batches.write(writer, 1)
    with stock.store.writer(5.0) as writer:
        batches.write(writer, 1)
    stock.close()
    assert peek(postgres_store_dsn, "SELECT requests FROM tracking.runs") == [(60 * (3 * PREPARE_FROM + 1),)]
