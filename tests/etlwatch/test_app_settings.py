"""What a configuration does to the open dashboard: keys, window, colour, zone, thresholds, notices."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from etlwatch.analysis.states import Thresholds
from etlwatch.tui.dialogs.commands import HelpScreen
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.run import RunScreen
from etlwatch.tui.widgets.line_table import LineTable
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.night import night


async def test_a_command_answers_to_its_new_key_and_not_to_its_old_one() -> None:
    async with dashboard(night(), keymap={"app.pause": ("f2", "P")}) as opened:
        await opened.press("p")
        assert not opened.app.paused
        await opened.press("f2")
        assert opened.app.paused
        await opened.press("P")
        assert not opened.app.paused
        assert "f2 pause" in opened.lines()[-1]


async def test_two_commands_change_places() -> None:
    async with dashboard(night(), keymap={"app.pause": ("r",), "app.refresh": ("p",)}) as opened:
        await opened.press("p")
        assert not opened.app.paused
        await opened.press("r")
        assert opened.app.paused


async def test_a_command_without_a_key_is_still_in_the_palette() -> None:
    async with dashboard(night(), size=(120, 40), keymap={"home.invert": ()}) as opened:
        await opened.press("I")
        assert "state ↑" not in opened.text
        await opened.press("colon", *"invert")
        await opened.until(lambda: "Invert the order" in opened.text)
        await opened.until(lambda: "Pause the display" not in opened.text)
        await opened.press("enter")
        await opened.until(lambda: "state ↑" in opened.text)


async def test_moving_and_opening_answer_to_new_keys() -> None:
    keymap = {"move.down": ("n",), "move.last": ("f12",), "home.open": ("o",)}
    async with dashboard(night(), keymap=keymap) as opened:
        table = opened.app.screen.query_one(LineTable)
        first = table.cursor_key
        await opened.press("j")
        assert table.cursor_key == first
        await opened.press("n")
        assert table.cursor_key != first
        await opened.press("k")
        assert table.cursor_key == first
        assert "o open" in opened.lines()[-1]
        await opened.press("o")
        assert isinstance(opened.app.screen, RunScreen)


async def test_what_is_typed_into_a_prompt_is_never_a_command() -> None:
    async with dashboard(night(), keymap={"home.filter": ("f",), "app.quit": ("x",), "home.back": ("u",)}) as opened:
        await opened.press("f", *"fxu")
        screen = opened.app.screen
        assert isinstance(screen, HomeScreen)
        assert screen.filter.text == "fxu"


async def test_help_and_palette_show_the_new_keys() -> None:
    async with dashboard(night(), size=(120, 60), keymap={"home.filter": ("f3",), "home.invert": ()}) as opened:
        await opened.press("question_mark")
        assert isinstance(opened.app.screen, HelpScreen)
        (line,) = [line for line in opened.lines() if "state:failed,lost" in line]
        assert "f3 " in line
        assert "invert the order" not in opened.text
        await opened.press("escape", "colon")
        await opened.until(lambda: "Filter the runs" in opened.text)
        (line,) = [line for line in opened.lines() if "Filter the runs" in line]
        assert "f3" in line


async def test_looking_back_shows_the_keys_it_has() -> None:
    keymap = {"app.live": ("f4",), "app.earlier": ("comma",), "app.later": ("full_stop",)}
    async with dashboard(night(), size=(120, 40), keymap=keymap) as opened:
        opened.app.show_moment(opened.app.clock_now() - timedelta(minutes=5))
        await opened.until(lambda: "f4 now" in opened.lines()[-1])
        assert ", . scrub" in opened.lines()[-1]


async def test_the_charts_begin_with_the_configured_window() -> None:
    async with dashboard(night(), size=(120, 40), window="24h") as opened:
        assert opened.app.window.name == "24h"
        assert opened.app.poller.watch.window.name == "24h"
        await opened.press("w")
        assert opened.app.window.name == "7d"


@pytest.mark.parametrize(("zone", "shown"), [("UTC", "02:12:44 UTC"), ("Asia/Tokyo", "11:12:44 JST")])
async def test_the_clock_stands_in_the_configured_zone(zone: str, shown: str) -> None:
    async with dashboard(night(), size=(160, 40), zone=ZoneInfo(zone)) as opened:
        assert opened.lines()[0].endswith(shown)


@pytest.mark.parametrize(
    ("colour", "ink", "bold"), [("red", "#ff6f91", True), ("amber", "#f0b23e", True), ("none", "#7cb7ff", False)]
)
async def test_the_store_is_named_in_its_targets_colour(colour: str, ink: str, *, bold: bool) -> None:
    async with dashboard(night(), size=(120, 40), colour=colour) as opened:
        compositor = opened.app.screen._compositor
        line = compositor.render_strips(opened.app.size)[0]
        (named,) = [segment for segment in line if segment.text.strip() == "prod"]
        assert named.style is not None
        assert named.style.color is not None
        assert named.style.color.name == ink
        assert bool(named.style.bold) is bold


async def test_thresholds_decide_what_is_slow() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        slow = [run for run in opened.app.shown.runs if run.state == "slow"] if opened.app.shown else []
        assert slow
    lenient = Thresholds(slow_times_p95=100.0)
    async with dashboard(night(), size=(160, 40), thresholds=lenient) as opened:
        assert opened.app.shown is not None
        assert not [run for run in opened.app.shown.runs if run.state == "slow"]


async def test_notices_are_said_once_the_dashboard_is_open() -> None:
    async with dashboard(night(), size=(120, 40), notices=("the file [/x] is open to all",)) as opened:
        await opened.until(lambda: "the file [/x] is open to all" in opened.text)
