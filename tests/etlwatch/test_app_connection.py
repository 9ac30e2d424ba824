"""While the store is away: a banner with cause and countdown, the last data dimmed, and healing by itself."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from etlwatch.analysis.snapshot import Snapshot, changes_since
from etlwatch.reading.poller import Backoff
from etlwatch.tui.app import STORE_STATUS
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.run import RunScreen
from etlwatch.tui.widgets.line_table import LineTable
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import NOW, FakeStore, make_run
from tests.etlwatch.night import night
from tracking_core.errors import SchemaMissing, SchemaNewer, StoreRefused, StoreUnavailable


async def lose(opened: Dashboard, store: FakeStore) -> None:
    store.break_down("server closed it (57P01)")
    opened.app.poller._backoff = Backoff(least=1_000, most=1_000, draw=lambda: 1.0)
    opened.app.poller.refresh()
    await opened.until(lambda: opened.app.lost is not None)
    await opened.pilot.pause()


async def test_a_lost_connection_is_a_banner_and_the_data_stays() -> None:
    store = night()
    async with dashboard(store) as opened:
        before = opened.lines()[5:20]
        await lose(opened, store)
        # The second attempt, where a poll was under way when the store went.
        banner = r" ! no connection: server closed it \(57P01\)\. Retry [12] in \d+s; r retries now\."
        assert re.fullmatch(banner, opened.lines()[1])
        assert " old  as of 03:12:44 CET" in opened.lines()[0]
        assert opened.lines()[5:20] == before
        assert opened.app.screen.query_one(LineTable).muted


async def test_it_heals_by_itself_and_everything_comes_back() -> None:
    store = night()
    async with dashboard(store) as opened:
        before = opened.lines()[1:]
        await lose(opened, store)
        store.heal()
        await opened.press("r")
        await opened.until(lambda: opened.app.lost is None)
        await opened.pilot.pause()
        assert "nothing changed meanwhile" in opened.toasts
        opened.app.clear_notifications()
        await opened.until(lambda: opened.lines()[1:] == before)
        assert not opened.app.screen.query_one(LineTable).muted


async def test_what_changed_meanwhile_is_said_when_the_store_is_back() -> None:
    store = night()
    async with dashboard(store) as opened:
        await lose(opened, store)
        first, second, third, *_ = [run for run in store.runs if run.state == "running"]
        store.runs = [replace(run, state="lost") if run is first else run for run in store.runs]
        ended = {"status": "completed", "state": "completed", "ended_at": store.clock}
        store.runs = [replace(run, **ended) if run in (second, third) else run for run in store.runs]
        store.runs.insert(0, make_run("late_comer", minutes_ago=0.1, number=99))
        store.heal()
        await opened.press("r")
        await opened.until(lambda: "connected again after" in opened.toasts)
        # One of the two is incomplete, which this poll or a later one finds.
        assert re.search(rf"{first.job} lost, (\w+ incomplete, 1|2) completed, 1 began", opened.toasts)


def test_what_changed_is_named_where_it_is_grave_and_counted_where_it_is_many() -> None:
    runs = [make_run(f"job{n}", number=n) for n in range(5)]
    before = Snapshot(at=NOW, read_at=10.0, poll_ms=0.0, runs=tuple(runs))
    failed = [replace(run, state="failed", status="failed") for run in runs[:4]]
    older = make_run("older", minutes_ago=9_000, lasted_s=5)
    after = replace(before, read_at=44.0, runs=(*failed, replace(runs[4], state="slow"), older))
    said = changes_since(before, after)
    assert said.words == "connected again after 34s: job0 failed, job1 failed, 2 more failed, job4 slow"
    assert said.severity == "error"
    assert changes_since(before, before).severity == "information"


async def test_every_key_works_while_the_store_is_away() -> None:
    store = night()
    async with dashboard(store) as opened:
        await lose(opened, store)
        await opened.press("j", "slash", *"lost", "enter", "greater_than_sign", "enter")
        assert isinstance(opened.app.screen, RunScreen)
        assert opened.lines()[1].startswith(" ! no connection")
        await opened.press("e", "right_square_bracket", "question_mark", "escape", "escape", "w", "p", "p")
        assert isinstance(opened.app.screen, HomeScreen)
        await opened.press("q")
    assert opened.app.return_value == 0


async def test_a_store_that_is_not_there_yet_is_waited_for() -> None:
    store = FakeStore(failure=StoreUnavailable("connection refused"))
    async with dashboard(store, wait=False) as opened:
        await opened.until(lambda: opened.app.lost is not None)
        await opened.until(lambda: "no connection: connection refused" in opened.text)
        store.runs = night().runs
        store.heal()
        await opened.press("r")
        await opened.until(lambda: "crm_contacts_sync" in opened.text)


@pytest.mark.parametrize(
    "failure",
    [
        StoreRefused("password authentication failed for user etl"),
        SchemaMissing("no tables here; `etlwatch init` makes them"),
        SchemaNewer("schema 9 is newer than this program knows"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_what_waiting_will_not_mend_ends_it_with_a_reason_at_the_start(failure: Exception) -> None:
    async with dashboard(FakeStore(failure=failure), wait=False) as opened:
        for _ in range(500):
            if opened.app.failure:
                break
            await opened.pilot.pause(0.01)
    assert str(failure) in opened.app.failure
    assert opened.app.return_value == STORE_STATUS


async def test_the_same_refusal_later_is_a_banner() -> None:
    store = night()
    async with dashboard(store, size=(120, 30)) as opened:
        store.failure = StoreRefused("permission denied for schema tracking")
        opened.app.poller.refresh()
        await opened.until(lambda: "refused: permission denied for schema tracking" in opened.text)
        assert not opened.app.failure


async def test_an_error_of_our_own_in_the_poll_never_ends_the_program() -> None:
    store = night()
    async with dashboard(store, size=(120, 30)) as opened:
        store.failure = ZeroDivisionError("of our own making")
        opened.app.poller.refresh()
        await opened.until(lambda: "the dashboard failed: ZeroDivisionError" in opened.text)
        store.heal()
        await opened.press("r")
        await opened.until(lambda: opened.app.lost is None)


async def test_the_cause_is_cleaned_before_it_is_shown() -> None:
    store = night()
    async with dashboard(store, size=(160, 40)) as opened:
        store.break_down("\x1b]0;owned\x07[@click=app.quit]gone[/]")
        opened.app.poller.refresh()
        await opened.until(lambda: "no connection" in opened.text)
        assert "\x1b" not in opened.text
        assert "[@click=app.quit]gone[/]" in opened.text
