"""What goes over the wire to a pooler in transaction mode: it counts answers, so every last message must have one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.store.stocking import Stock
from tracking_core.store import open_store
from tracking_core.store.postgres.connection import PostgresConnection

NOW = datetime.now(UTC).replace(microsecond=0)
ANSWERED = {"Sync", "Query", "CopyDone"}
"""What the server says "ready" after."""


@contextmanager
def what_is_sent(connection: object, path: Path) -> Iterator[list[str]]:
    """Gather the names of the messages that a connection sends, from libpq's own trace."""
    assert isinstance(connection, PostgresConnection)
    sent: list[str] = []
    with path.open("wb") as trace:
        connection.raw.pgconn.trace(trace.fileno())
        yield sent
        connection.raw.pgconn.untrace()
    fields = [line.split("\t") for line in path.read_text(errors="replace").splitlines()]
    sent.extend(parts[3].strip() for parts in fields if len(parts) > 3 and parts[1] == "F")


def sent_after_a_sync(sent: list[str]) -> set[str]:
    return {after for message, after in itertools.pairwise(sent) if message == "Sync"}


@pytest.mark.parametrize("requests", [1, 3, 100])
def test_the_last_message_of_a_batch_is_one_with_an_answer(
    postgres_store_dsn: str, tmp_path: Path, requests: int
) -> None:
    stock = Stock(postgres_store_dsn)
    try:
        run_id = stock.start(NOW)
        with what_is_sent(stock._writer, tmp_path / "trace") as sent:
            stock.requests(run_id, [(NOW, "/items", 200, 7, 35)] * requests)
    finally:
        stock.close()
    assert sent[-1] in ANSWERED
    assert "Flush" not in sent_after_a_sync(sent)


def test_the_last_message_of_a_question_is_one_with_an_answer(postgres_store_dsn: str, tmp_path: Path) -> None:
    with open_store(postgres_store_dsn).reader(5.0) as reader, what_is_sent(reader, tmp_path / "trace") as sent:
        reader.recent_runs(5)
    assert sent[-1] == "Sync"
    assert "Flush" not in sent
