"""The dashboard on a real PostgreSQL that is stopped, cut off, and falls silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from etlwatch.reading.poller import Backoff
from etlwatch.tui.screens.run import RunScreen
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.test_app_terminal import stock
from tests.support.postgres import OwnPostgres
from tests.support.proxy import PostgresProxy
from tracking_core.store import open_store

Proxies = Callable[[str], PostgresProxy]


def hurry(opened: Dashboard, *, deadline: float = 5.0) -> None:
    """Let the poller try again soon, and give up waiting for an answer after `deadline` seconds."""
    opened.app.poller._backoff = Backoff(least=0.05, most=0.2)
    opened.app.poller._deadline = deadline


async def test_a_server_that_is_stopped_and_started_is_a_banner_meanwhile(
    private_postgres: Callable[[], OwnPostgres],
) -> None:
    server = private_postgres()
    dsn = server.dsn("postgres")
    open_store(dsn).initialize()
    stock(dsn)
    async with dashboard(open_store(dsn), interval=0.1, size=(120, 30)) as opened:
        hurry(opened)
        await opened.until(lambda: "× failed     ads_metrics_pull" in opened.text)
        await asyncio.to_thread(server.stop)
        await opened.until(lambda: " ! no connection: " in opened.lines()[1])
        assert "ads_metrics_pull" in opened.text, "the last data stays"
        await opened.press("j", "enter")
        assert isinstance(opened.app.screen, RunScreen)
        await asyncio.to_thread(server.start)
        await opened.until(lambda: opened.app.lost is None)
        await opened.until(lambda: "[overview]" in opened.text and "no connection" not in opened.text)


async def test_a_cut_connection_heals_before_anybody_looks_twice(
    postgres_store_dsn: str, postgres_proxy: Proxies
) -> None:
    stock(postgres_store_dsn)
    proxy = postgres_proxy(postgres_store_dsn)
    async with dashboard(open_store(proxy.dsn), interval=0.1) as opened:
        hurry(opened)
        before = proxy.connections
        proxy.cut()
        await opened.until(lambda: proxy.connections > before and opened.app.lost is None)
        assert "ads_metrics_pull" in opened.text


@pytest.mark.parametrize("fault", ["silence", "freeze"])
async def test_a_link_that_falls_silent_blocks_no_key_and_heals(
    postgres_store_dsn: str, postgres_proxy: Proxies, fault: str
) -> None:
    stock(postgres_store_dsn)
    proxy = postgres_proxy(postgres_store_dsn)
    async with dashboard(open_store(proxy.dsn), wait=False, interval=0.1) as opened:
        hurry(opened, deadline=0.5)
        await opened.until(lambda: opened.app.shown is not None)
        getattr(proxy, fault)()
        if fault == "silence":
            proxy.cut()  # what was connected goes on otherwise; it is the next connection that gets no answer
        opened.app.poller.refresh()
        await opened.press("j", "enter")
        assert isinstance(opened.app.screen, RunScreen)
        await opened.until(lambda: " ! no connection: " in opened.lines()[1])
        proxy.resume()
        await opened.until(lambda: opened.app.lost is None)


async def test_leaving_waits_for_no_answer(postgres_store_dsn: str, postgres_proxy: Proxies) -> None:
    stock(postgres_store_dsn)
    proxy = postgres_proxy(postgres_store_dsn)
    async with dashboard(open_store(proxy.dsn), interval=0.1) as opened:
        opened.app.poller._deadline = 3_600.0
        proxy.freeze()
        opened.app.poller.refresh()
        await opened.press("q")
    assert opened.app.return_value == 0
    proxy.resume()


async def test_a_database_without_the_tables_ends_it_with_the_mend(postgres_dsn: str) -> None:
    async with dashboard(open_store(postgres_dsn), wait=False) as opened:
        for _ in range(2_000):
            if opened.app.failure:
                break
            await opened.pilot.pause(0.01)
    assert "init" in opened.app.failure
