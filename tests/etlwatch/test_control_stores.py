"""What a person changes from the dashboard, on real stores of both kinds, and with the line cut in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from etlwatch.rendering.operations import NotClosed, PlanChanged, Removed
from etlwatch.tui import operations
from etlwatch.tui.dialogs.cleanup import CleanupBox, Stage
from etlwatch.tui.dialogs.tracking import TrackingBox
from etlwatch.tui.operations import actor
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.widgets.line_table import LineTable
from tests.etlwatch.dashboard import dashboard
from tests.store.stocking import Stock
from tests.support.proxy import PostgresProxy
from tracking_core.records import Run
from tracking_core.store import open_store
from tracking_core.store.postgres.administration import PostgresAdministration
from tracking_core.store.retention import StepLimits
from tracking_core.store.sqlite.administration import SqliteAdministration

NOW = datetime.now(UTC).replace(microsecond=0)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
HOSTILE = "[@click=app.quit]x[/] \x1b]0;owned\x07 名前"
Proxies = Callable[[str], PostgresProxy]


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    stock = Stock(store_dsn)
    yield stock
    stock.close()


@pytest.fixture
def one_run_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (PostgresAdministration, SqliteAdministration):
        monkeypatch.setattr(kind, "limits", StepLimits(runs=1, weight=50_000, purge=1_000))
    monkeypatch.setattr(operations, "REPORT_EVERY_S", 0.0)


def old_runs(stock: Stock, number: int, *, job: str = "sync") -> None:
    for index in range(number):
        ended = NOW - 40 * DAY - index * HOUR
        stock.finished(ended - MINUTE, ended, job=job, requests=2)


def ids(stock: Stock) -> set[int]:
    with stock.store.reader(5.0) as reader:
        return {run.run_id for run in reader.recent_runs(100)}


def audit(stock: Stock) -> list[tuple[str, str]]:
    with stock.store.reader(5.0) as reader:
        return [(entry.actor, entry.action) for entry in reader.audit(10)]


async def test_a_clean_up_from_plan_to_audit(stock: Stock, store_dsn: str) -> None:
    old_runs(stock, 3)
    old_runs(stock, 2, job=HOSTILE)
    recent = stock.finished(NOW - HOUR, NOW)
    running = stock.start(NOW - 50 * DAY, job="never ended", heartbeat_interval_s=0.001)
    async with dashboard(open_store(store_dsn), may_write=True, size=(120, 40)) as opened:
        await opened.press("X")
        box = opened.app.screen
        assert isinstance(box, CleanupBox)
        await opened.until(lambda: box.stage is Stage.PLANNED)
        await opened.pilot.pause()
        assert "[@click=app.quit]x[/] ␛]0;owned␇ 名前" in opened.text
        assert "1 lost   s keeps the last success of each job (2)" in opened.text
        await opened.press("5", "enter", "enter")
        await opened.until(lambda: box.stage is Stage.OVER)
        await opened.pilot.pause()
        assert "Removed 5 runs" in opened.text
        assert "With them 10 requests and 0 errors." in opened.text
        await opened.press("enter")
        assert isinstance(opened.app.screen, HomeScreen)
        await opened.until(lambda: opened.app.latest is not None and len(opened.app.latest.runs) == 2)
    assert ids(stock) == {recent, running}
    assert audit(stock) == [(actor(), "cleanup")]


async def test_the_switch_reaches_the_jobs_and_the_list(stock: Stock, store_dsn: str) -> None:
    stock.start(NOW - MINUTE, job=HOSTILE, heartbeat_interval_s=10.0)
    async with dashboard(open_store(store_dsn), may_write=True, size=(120, 40)) as opened:
        await opened.press("T")
        box = opened.app.screen
        assert isinstance(box, TrackingBox)
        await opened.until(lambda: box.query_one(LineTable).rows)
        await opened.press("j", "enter", "up", *"why not", "enter", "enter")
        await opened.until(lambda: opened.app.screen is box and "off since" in opened.text)
        assert "why not" in opened.text
    with stock.store.writer(5.0) as writer:
        assert writer.switched_off(HOSTILE) or writer.switched_off(HOSTILE.replace("\x1b", "�"))
        assert not writer.switched_off("another")
    assert audit(stock) == [(actor(), "tracking off")]


def test_a_lost_run_is_closed_and_one_that_is_not_is_left(stock: Stock) -> None:
    lost = stock.start(NOW - HOUR, heartbeat_interval_s=0.000_001)
    alive = stock.start(NOW, heartbeat_interval_s=3_600.0)
    stock.beat(alive)
    ended = stock.finished(NOW - HOUR, NOW)
    closed = operations.close_run(stock.store, lost, reason="host is gone", anyway=False)
    assert isinstance(closed, Run)
    with stock.store.reader(5.0) as reader:
        run = reader.run(lost)
    assert run is not None
    assert (run.status, run.ended_by, run.notes) == ("abandoned", f"person {actor()}", "host is gone")
    for run_id, why in (
        (alive, "it is running again, not lost"),
        (ended, "it is already completed"),
        (lost, "it is already abandoned"),
        (42, "no longer holds"),
    ):
        left = operations.close_run(stock.store, run_id, reason="", anyway=False)
        assert isinstance(left, NotClosed)
        assert why in left.why
    assert isinstance(operations.close_run(stock.store, alive, reason="", anyway=True), Run)


def test_what_came_in_since_the_plan_stops_the_removal(stock: Stock) -> None:
    old_runs(stock, 2)
    plan = operations.read_cleanup(stock.store, 30).plan
    old_runs(stock, 1, job="came in late")
    result = operations.remove(stock.store, plan, stopping=threading.Event(), report=lambda _: None)
    assert isinstance(result, PlanChanged)
    assert (plan.runs, result.plan.runs, len(ids(stock))) == (2, 3, 3)
    assert audit(stock) == []


def test_a_run_that_ends_between_plan_and_removal_is_not_among_them(stock: Stock) -> None:
    old_runs(stock, 2)
    running = stock.start(NOW - 50 * DAY)
    plan = operations.read_cleanup(stock.store, 30).plan
    stock.end(running, NOW)
    result = operations.remove(stock.store, plan, stopping=threading.Event(), report=lambda _: None)
    assert isinstance(result, Removed)
    assert not result.stopped
    assert result.failed is None
    assert ids(stock) == {running}


@pytest.mark.usefixtures("one_run_a_step")
def test_stopping_keeps_what_is_not_yet_removed(stock: Stock) -> None:
    old_runs(stock, 5)
    plan = operations.read_cleanup(stock.store, 30).plan
    stopping = threading.Event()

    def stop_after_two(done: Removed) -> None:
        if done.runs == 2:
            stopping.set()

    result = operations.remove(stock.store, plan, stopping=stopping, report=stop_after_two)
    assert isinstance(result, Removed)
    assert (result.stopped, result.failed, result.runs) == (True, None, 3)
    assert len(ids(stock)) == 2
    with stock.store.reader(5.0) as reader:
        detail = reader.audit(1)[0].detail
    assert (detail["runs"], detail["finished"]) == (3, False)
    never = operations.remove(
        stock.store, operations.read_cleanup(stock.store, 30).plan, stopping=stopping, report=lambda _: None
    )
    assert isinstance(never, Removed)
    assert (never.stopped, never.runs) == (True, 0)


@pytest.mark.usefixtures("one_run_a_step")
def test_two_people_who_clean_up_at_once_do_not_meet(stock: Stock) -> None:
    old_runs(stock, 5)
    plan = operations.read_cleanup(stock.store, 30).plan
    others: list[Removed | PlanChanged] = []

    def let_another_try(done: Removed) -> None:
        if done.runs == 2 and not others:
            rest = operations.read_cleanup(stock.store, 30).plan
            others.append(operations.remove(stock.store, rest, stopping=threading.Event(), report=lambda _: None))

    result = operations.remove(stock.store, plan, stopping=threading.Event(), report=let_another_try)
    assert isinstance(result, Removed)
    (other,) = others
    assert isinstance(other, Removed)
    assert not result.stopped
    assert result.failed is None
    assert other.failed is not None
    assert "is under way, 2 runs so far; begin again when it has ended" in other.failed.cause
    assert (result.runs, other.runs) == (5, 0)
    assert ids(stock) == set()


@pytest.mark.usefixtures("one_run_a_step")
def test_a_line_that_is_cut_in_the_middle_leaves_every_run_whole_or_gone(
    postgres_store_dsn: str, postgres_proxy: Proxies
) -> None:
    stock = Stock(postgres_store_dsn)
    old_runs(stock, 5)
    proxy = postgres_proxy(postgres_store_dsn)
    store = open_store(proxy.dsn)
    plan = operations.read_cleanup(store, 30).plan
    result = operations.remove(
        store, plan, stopping=threading.Event(), report=lambda done: proxy.cut() if done.runs == 2 else None
    )
    assert isinstance(result, Removed)
    assert result.failed is not None
    assert result.failed.what == "no connection"
    left = ids(stock)
    assert result.runs <= 5 - len(left) <= result.runs + 1
    with stock.store.reader(5.0) as reader:
        assert set(reader.latencies(list(left))) == left, "the summaries of those that are left are there"
    again = operations.read_cleanup(store, 30).plan
    done = operations.remove(store, again, stopping=threading.Event(), report=lambda _: None)
    assert isinstance(done, Removed)
    assert not done.stopped
    assert ids(stock) == set()
    stock.close()


async def test_a_silent_line_keeps_no_key_waiting(
    postgres_store_dsn: str, postgres_proxy: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "OPERATION_S", 1.0)
    stock = Stock(postgres_store_dsn)
    old_runs(stock, 1)
    stock.close()
    proxy = postgres_proxy(postgres_store_dsn)
    async with dashboard(open_store(proxy.dsn), may_write=True) as opened:
        proxy.silence()
        await opened.press("X")
        box = opened.app.screen
        assert isinstance(box, CleanupBox)
        await opened.press("escape", "T")
        assert isinstance(opened.app.screen, TrackingBox)
        await opened.until(lambda: "no connection" in opened.text)
        proxy.resume()
        await opened.press("r")
        await opened.until(lambda: "all jobs" in opened.text)


async def test_an_unborn_file_is_not_made_by_looking_at_a_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracking_core.config import resolve

    location = resolve(None)
    assert location.path is not None
    assert not location.path.exists()
    async with dashboard(open_store(None)) as opened:
        await opened.press("X")
        await opened.until(lambda: "The store holds no runs." in opened.text)
    assert not location.path.exists()
