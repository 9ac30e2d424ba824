"""Charts at full size: which one, where the time cursor is, and what is under it."""

from __future__ import annotations

import pytest

from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.run import RunScreen
from etlwatch.tui.screens.zoom import ZoomScreen
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import FakeStore, make_run
from tests.etlwatch.night import night

SIZES = [(80, 24), (120, 30), (160, 40)]


async def zoomed(opened: Dashboard) -> ZoomScreen:
    """Open the charts of all runs and wait until they are drawn."""
    await opened.press("z")
    await opened.until(lambda: "█" in opened.text and "/s" in opened.lines()[1])
    screen = opened.app.screen
    assert isinstance(screen, ZoomScreen)
    return screen


@pytest.mark.parametrize("size", SIZES)
async def test_z_goes_from_chart_to_chart_and_escape_goes_back(size: tuple[int, int]) -> None:
    async with dashboard(night(), size=size) as opened:
        await zoomed(opened)
        titles = []
        for _ in range(4):
            titles.append(opened.lines()[2].split("  ")[0].strip())
            await opened.press("z")
        assert titles == ["throughput", "latency", "not 2xx", "throughput"]
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)


@pytest.mark.parametrize(
    ("size", "widget", "line", "title"),
    [
        ((80, 24), "#sparks", 1, "latency"),
        ((120, 35), "#not-ok", 3, "not 2xx"),
        ((160, 40), "#throughput", 0, "throughput"),
    ],
)
async def test_a_click_on_a_chart_zooms(size: tuple[int, int], widget: str, line: int, title: str) -> None:
    async with dashboard(night(), size=size) as opened:
        await opened.pilot.click(widget, offset=(20, line))
        screen = opened.app.screen
        assert isinstance(screen, ZoomScreen)
        assert screen.chart == title


async def test_a_click_on_a_chart_of_a_run_zooms() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await opened.press("j", "j", "j", "j", "enter", "3")
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.details is not None)
        await opened.pilot.click("#latency", offset=(20, 2))
        screen = opened.app.screen
        assert isinstance(screen, ZoomScreen)
        assert screen.chart == "latency"
        await opened.press("q")
        assert isinstance(opened.app.screen, RunScreen)


async def test_the_cursor_stays_on_its_moment_from_chart_to_chart_and_says_its_values() -> None:
    async with dashboard(night(), size=(120, 30)) as opened:
        await zoomed(opened)
        newest = opened.lines()[1]
        await opened.hold("left", 9)
        earlier = opened.lines()[1]
        assert earlier != newest
        assert all(word in earlier for word in ("/s", "p50", "p95", "p99", "429", "5xx"))
        await opened.press("z")
        assert opened.lines()[1] == earlier
        assert any("│" in line for line in opened.lines()[3:-2])
        await opened.hold("right", 9)
        assert opened.lines()[1] == newest


async def test_a_run_is_zoomed_into_and_left_again() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await opened.press("j", "j", "j", "j", "enter", "z")
        await opened.until(lambda: isinstance(opened.app.screen, ZoomScreen) and "█" in opened.text)
        assert "crm_contacts_sync" in opened.lines()[0]
        assert "p95" in opened.lines()[1]
        await opened.press("escape")
        assert isinstance(opened.app.screen, RunScreen)


async def test_where_nothing_was_requested_the_chart_says_so() -> None:
    async with dashboard(FakeStore(runs=[make_run("bare")])) as opened:
        await opened.press("enter", "z")
        assert "nothing was recorded in this time" in opened.text
        await opened.press("left", "z", "escape", "escape")
        assert isinstance(opened.app.screen, HomeScreen)


async def test_a_resize_leaves_what_the_screen_in_front_reads() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await zoomed(opened)
        await opened.press("J")
        await opened.until(lambda: opened.app.poller.watch.board is not None)
        await opened.pilot.resize_terminal(100, 30)
        await opened.pilot.pause()
        assert opened.app.poller.watch.board is not None
