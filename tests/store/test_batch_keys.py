"""Keys of batches: kept as long as a spool may send one again, and forgotten by the writers themselves after that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.store.stocking import Stock
from tests.store.test_administration import literal, query
from tracking_core.events import Batch
from tracking_core.store.writing import FORGET_AT_MOST, FORGET_EVERY, forgets_batches

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
ELSEWHERE = 99


def keep_keys(dsn: str, age: timedelta, numbers: range) -> None:
    at = literal(dsn, NOW - age)
    rows = ", ".join(f"({ELSEWHERE}, {number}, {at})" for number in numbers)
    query(dsn, f"INSERT INTO {{}}batches (writer_id, batch_seq, at) VALUES {rows}")


def kept(dsn: str) -> list[int]:
    found = query(dsn, f"SELECT batch_seq FROM {{}}batches WHERE writer_id = {ELSEWHERE} ORDER BY batch_seq")
    return [number for (number,) in found]


@pytest.fixture
def stock(store_dsn: str) -> Stock:
    # Its first batch is one of those that forget.
    return Stock(store_dsn, writer_id=FORGET_EVERY + 1)


def test_a_store_that_nobody_cleans_up_forgets_the_keys_that_no_spool_can_hold(stock: Stock, store_dsn: str) -> None:
    keep_keys(store_dsn, 36 * DAY, range(3))
    keep_keys(store_dsn, 34 * DAY, range(3, 5))
    stock.start(NOW)
    stock.close()
    assert kept(store_dsn) == [3, 4]


def test_a_batch_forgets_only_a_few_and_the_oldest_first(stock: Stock, store_dsn: str) -> None:
    keep_keys(store_dsn, 36 * DAY, range(10))
    keep_keys(store_dsn, 40 * DAY, range(10, 10 + FORGET_AT_MOST))
    stock.start(NOW)
    stock.close()
    assert kept(store_dsn) == list(range(10))


def test_most_batches_leave_the_keys_alone(store_dsn: str) -> None:
    keep_keys(store_dsn, 36 * DAY, range(3))
    stock = Stock(store_dsn, writer_id=FORGET_EVERY)
    for _ in range(5):
        stock.start(NOW)
    stock.close()
    assert kept(store_dsn) == [0, 1, 2]


def test_one_batch_in_so_many_forgets_more_keys_than_came_since_also_where_writers_are_short_lived() -> None:
    one_writer = [Batch(writer_id=7_000_000_007, batch_seq=number) for number in range(1, 10 * FORGET_EVERY + 1)]
    short_jobs = [Batch(writer_id=writer, batch_seq=1) for writer in range(10 * FORGET_EVERY)]
    for batches in (one_writer, short_jobs):
        assert sum(map(forgets_batches, batches)) == 10
    assert FORGET_AT_MOST > FORGET_EVERY
    assert not forgets_batches(Batch(writer_id=1, batch_seq=None))
