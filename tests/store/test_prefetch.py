"""What a view will ask is guessed from the last two, and asked with its first question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etlwatch.reading.gatherer import Gatherer, Watch
from tests.store.stocking import Stock
from tracking_core.store.postgres.reader import QUICK_S, PostgresReader, Query, QueryPrefetch

NOW = datetime.now(UTC).replace(microsecond=0)


def ask(prefetch: QueryPrefetch, *blocks: str, seconds: float = 0.001) -> list[str]:
    """Go through one view; return what was foreseen of it."""
    foreseen = prefetch.new_view()
    for block in blocks:
        prefetch.sent(Query.of(block, {"limit": 2}), seconds)
    return [question.block for question in foreseen]


def test_what_two_views_both_asked_is_foreseen_for_the_third_in_its_order() -> None:
    prefetch = QueryPrefetch()
    assert ask(prefetch, "now", "recent_runs", "throughput") == []
    assert ask(prefetch, "now", "switches", "recent_runs") == []
    assert ask(prefetch, "now") == ["now", "recent_runs"]
    assert ask(prefetch) == ["now"]
    assert ask(prefetch) == []


def test_the_same_question_about_other_runs_is_another_one() -> None:
    prefetch = QueryPrefetch()
    for run_ids in ([1, 2], [1, 3], [1, 3]):
        foreseen = prefetch.new_view()
        prefetch.sent(Query.of("phases", {"run_ids": run_ids}), 0.001)
    assert foreseen == []
    (question,) = prefetch.new_view()
    assert question.parameters == {"run_ids": [1, 3]}


def test_what_takes_long_is_never_asked_ahead() -> None:
    prefetch = QueryPrefetch()
    for _ in range(3):
        assert ask(prefetch, "throughput", seconds=QUICK_S) == []


@pytest.fixture
def watched(
    postgres_store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Stock, PostgresReader, list[str]]]:
    """Yield a stock, its reader and a list that grows by one with each exchange."""
    stock = Stock(postgres_store_dsn)
    exchanges: list[str] = []
    with stock.store.reader(5.0) as reader:
        assert isinstance(reader, PostgresReader)
        operation = reader.operation

        @contextmanager
        def counted(*given: Any) -> Iterator[Any]:
            exchanges.append("exchange")
            with operation(*given) as raw:
                yield raw

        monkeypatch.setattr(reader, "operation", counted)
        yield stock, reader, exchanges
    stock.close()


def test_a_poll_like_the_last_ones_waits_for_the_server_twice(
    watched: tuple[Stock, PostgresReader, list[str]],
) -> None:
    stock, reader, exchanges = watched
    for number in range(3):
        stock.requests(stock.start(NOW - timedelta(minutes=5 + number)), [(NOW, "/items", 200, 10, 100)])
    gatherer, watch = Gatherer(), Watch(columns=0)
    # What they did lately is asked for from another minute on when a minute passes.
    reader.at = NOW
    for _ in range(3):
        gatherer.read(reader, watch)
    exchanges.clear()
    snapshot = gatherer.read(reader, watch)
    assert len(snapshot.runs) == len(snapshot.rates) == 3
    assert len(exchanges) == 2, "all questions with the beginning, and the end"


def test_what_was_asked_ahead_is_of_this_views_moment(watched: tuple[Stock, PostgresReader, list[str]]) -> None:
    stock, reader, _ = watched
    for number in range(1, 6):
        stock.start(NOW - timedelta(minutes=number), job=f"job{number}")
        with reader.one_view():
            assert len(reader.live_runs()) == number
            assert len(reader.job_names()) == number
            assert len(reader.recent_runs(10)) == number


def test_a_view_after_one_that_failed_answers(watched: tuple[Stock, PostgresReader, list[str]]) -> None:
    stock, reader, _ = watched
    stock.start(NOW)
    for _ in range(4):
        with pytest.raises(ZeroDivisionError), reader.one_view():
            len(reader.job_names()) / 0
    with reader.one_view():
        assert reader.job_names() == ["inventory"]
