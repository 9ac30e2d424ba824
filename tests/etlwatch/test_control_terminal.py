"""Switch and clean-up in a real terminal: from --write to the store, and back to the shell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.etlwatch.cli_program import MAIN, PROJECT
from tests.store.stocking import Stock
from tests.support.terminal import Terminal

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@contextmanager
def opened(*arguments: str, **environment: str) -> Iterator[Terminal]:
    with Terminal(
        [sys.executable, "-c", MAIN, *arguments],
        columns=80,
        lines=24,
        environment={"PYTHONPATH": str(PROJECT), **environment},
    ) as terminal:
        yield terminal


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    stock = Stock(store_dsn)
    for days in (40, 50, 60):
        stock.finished(NOW - days * DAY, NOW - days * DAY, job="nightly")
    stock.finished(NOW - DAY, NOW, job="nightly")
    yield stock
    stock.close()


@pytest.mark.parametrize(
    ("store_dsn", "environment"), [("sqlite", {}), ("postgres", {"NO_COLOR": "1"})], indirect=["store_dsn"]
)
def test_a_clean_up_typed_at_a_terminal(stock: Stock, store_dsn: str, environment: dict[str, str]) -> None:
    with opened("--dsn", store_dsn, "--write", **environment) as terminal:
        terminal.wait_for("completed  nightly")
        terminal.press("X")
        terminal.wait_for("Type 3 to confirm")
        terminal.wait_for("▸ [ Cancel ]")
        terminal.press("3", "enter")
        terminal.wait_for("▸ [ Remove 3 runs ]")
        terminal.press("enter")
        terminal.wait_for("Removed 3 runs")
        terminal.press("enter")
        terminal.wait_for_no("Clean up")
        terminal.press("q")
        assert terminal.wait_for_exit() == 0
    with stock.store.reader(5.0) as reader:
        assert len(reader.recent_runs(10)) == 1


@pytest.mark.parametrize("store_dsn", ["postgres"], indirect=True)
def test_the_switch_turned_at_a_terminal(stock: Stock, store_dsn: str) -> None:
    with opened("--dsn", store_dsn, "--write", "--ascii") as terminal:
        terminal.wait_for("completed  nightly")
        terminal.press("T")
        terminal.wait_for("all jobs")
        terminal.press("enter")
        terminal.wait_for("Turn tracking off for all jobs")
        terminal.wait_for("[ Cancel ]    [ Turn off ]")
        terminal.press("tab", "enter")
        terminal.wait_for("off since")
        terminal.press("q")
        terminal.wait_for("tracking off")
        assert all(line.isascii() for line in terminal.lines)
        terminal.press("q")
        assert terminal.wait_for_exit() == 0
    with stock.store.reader(5.0) as reader:
        assert [switch.enabled for switch in reader.switches()] == [False]


@pytest.mark.parametrize("store_dsn", ["sqlite"], indirect=True)
def test_without_the_flag_nothing_can_be_removed(stock: Stock, store_dsn: str) -> None:
    with opened("--dsn", store_dsn) as terminal:
        terminal.wait_for("completed  nightly")
        terminal.press("X")
        terminal.wait_for("! read-only")
        terminal.press("3", "enter")
        terminal.wait_for_no("Clean up")
        terminal.press("q")
        assert terminal.wait_for_exit() == 0
    with stock.store.reader(5.0) as reader:
        assert len(reader.recent_runs(10)) == 4
