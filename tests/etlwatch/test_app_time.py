"""Looking at a past moment: `t`, the arrows, and `esc` back to now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from textual.widgets import Input

from etlwatch.tui.dialogs.moment import TimePrompt
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.widgets.inputs import TextInput
from tests.etlwatch.dashboard import dashboard
from tests.store.stocking import Stock

NOW = datetime.now(UTC).replace(microsecond=0)
THEN = NOW - timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    stock = Stock(store_dsn)
    stock.finished(THEN - 90 * MINUTE, THEN - 80 * MINUTE, job="over", requests=3)
    run_id = stock.start(THEN - 30 * MINUTE, job="alive-then")
    stock.requests(run_id, [(THEN - 20 * MINUTE, "/a", 200, 1, 5), (THEN + 20 * MINUTE, "/a", 200, 1, 5)])
    stock.end(run_id, NOW - MINUTE)
    stock.finished(THEN + 10 * MINUTE, THEN + 20 * MINUTE, job="later")
    yield stock
    stock.close()


def typed(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_typed_moment_shows_the_store_as_it_stood_and_esc_comes_back(stock: Stock) -> None:
    async with dashboard(stock.store, size=(120, 30)) as opened:
        assert "later" in opened.text
        await opened.press("t")
        assert isinstance(opened.app.screen, TimePrompt)
        opened.app.screen.query_one(Input).value = typed(THEN)
        await opened.press("enter")
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        await opened.pilot.pause()
        assert "later" not in opened.text
        assert [line for line in opened.lines() if "alive-then" in line and "stalled" in line]
        assert "as of " in opened.lines()[0]
        assert opened.lines()[-1].startswith(" esc now  ← → scrub")
        await opened.press("escape")
        await opened.until(lambda: opened.app.shown is not None and not opened.app.shown.looking_back)
        await opened.pilot.pause()
        assert "later" in opened.text
        assert "as of " not in opened.lines()[0]


async def test_a_filter_by_endpoint_says_of_which_runs_it_cannot_tell(stock: Stock) -> None:
    async with dashboard(stock.store, size=(120, 30)) as opened:
        opened.app.show_moment(THEN)
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        await opened.press("slash", *"endpoint:/items", "enter")
        await opened.until(lambda: opened.app.shown is not None and bool(opened.app.shown.endpoints))
        await opened.pilot.pause()
        listed = "\n".join(opened.lines()[3:])
        assert "over" in listed
        assert "alive-then" not in listed, "it has never asked that, so it had not then"
        assert "perhaps" not in opened.lines()[0]
        await opened.press("slash", "ctrl+u", *"endpoint:/a", "enter")
        await opened.until(lambda: "alive-then" in "\n".join(opened.lines()[3:]))
        assert "1 perhaps only later" in opened.lines()[0]


async def test_what_is_kept_of_whole_runs_only_is_said_to_be_unknown(stock: Stock) -> None:
    async with dashboard(stock.store, size=(160, 40)) as opened:
        opened.app.show_moment(THEN)
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        await opened.press("enter")
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.details is not None)
        await opened.pilot.pause()
        assert "the ledger is kept for whole runs only" in opened.text
        assert "pages unknown" in opened.text
        await opened.press("right_square_bracket", "right_square_bracket")
        await opened.pilot.pause()
        assert "not known for then: requests by endpoint are kept for whole runs only" in opened.text


async def test_a_run_that_had_not_begun_is_said_to_be_none(stock: Stock) -> None:
    async with dashboard(stock.store, size=(120, 30)) as opened:
        await opened.press("enter")
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.details is not None)
        opened.app.show_moment(THEN - timedelta(days=1))
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        await opened.pilot.pause()
        assert "This run had not begun by then" in opened.text


async def test_the_arrows_scrub_and_never_go_beyond_now(stock: Stock) -> None:
    async with dashboard(stock.store) as opened:
        await opened.press("left")
        assert opened.app.moment is None
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        opened.app.show_moment(minute - timedelta(seconds=100))
        await opened.press("left")
        assert opened.app.moment == minute - 2 * MINUTE, "where cells close more is known"
        await opened.press("left")
        assert opened.app.moment == minute - 3 * MINUTE
        await opened.press("right", "right")
        assert opened.app.moment == minute - MINUTE
        await opened.press("right", "right", "right", "right")
        assert opened.app.moment is None


@pytest.mark.parametrize("opening", [(), ("enter", "4"), ("z",), ("J",), ("E",)])
async def test_the_arrows_scrub_wherever_the_footer_offers_it(stock: Stock, opening: tuple[str, ...]) -> None:
    async with dashboard(stock.store) as opened:
        await opened.press(*opening)
        screen = opened.app.screen
        opened.app.show_moment(THEN)
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        assert "esc now  ← → scrub" in opened.lines()[-1]
        assert opened.lines()[-1].count("← →") == 1
        await opened.press("left")
        assert opened.app.moment is not None
        assert opened.app.moment < THEN
        await opened.press("right", "right")
        assert opened.app.moment > THEN
        assert opened.app.cursor_s is None
        await opened.press("escape")
        assert opened.app.moment is None
        assert opened.app.screen is screen


async def test_esc_leaves_the_prompt_then_the_past_then_the_filter(stock: Stock) -> None:
    async with dashboard(stock.store) as opened:
        await opened.press("slash", *"job:alive", "enter")
        opened.app.show_moment(THEN)
        home = opened.app.screen
        assert isinstance(home, HomeScreen)
        await opened.press("slash", "x", "left", "escape")
        assert not home.prompting
        assert (opened.app.moment, home.filter.text) == (THEN, "job:alive")
        await opened.press("escape")
        assert (opened.app.moment, home.filter.text) == (None, "job:alive")
        await opened.press("escape")
        assert home.filter.text == ""


async def test_t_starts_empty_and_takes_the_moment_of_the_time_cursor_on_enter(stock: Stock) -> None:
    async with dashboard(stock.store) as opened:
        opened.app.show_moment(THEN)
        await opened.press("t")
        assert isinstance(opened.app.screen, TimePrompt)
        assert opened.app.screen.query_one(TextInput).value == ""
        await opened.press("enter")
        assert opened.app.moment == THEN
        opened.app.cursor_s = (THEN - MINUTE).timestamp()
        await opened.press("t")
        assert "enter: " in opened.lines()[-1]
        await opened.press("enter")
        assert opened.app.moment == THEN - MINUTE


async def test_the_open_run_is_shown_as_of_then_too(stock: Stock) -> None:
    async with dashboard(stock.store, size=(120, 30)) as opened:
        opened.app.show_moment(THEN)
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        await opened.press("enter")
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.details is not None)
        await opened.pilot.pause()
        assert "alive-then" in opened.text
        assert "stalled since" in opened.lines()[1]
        details = opened.app.shown.details if opened.app.shown else None
        assert details is not None
        assert details.run is not None
        assert details.run.requests == 1


async def test_what_is_no_moment_is_said_and_nothing_changes(stock: Stock) -> None:
    async with dashboard(stock.store, size=(120, 30)) as opened:
        await opened.press("t", *"banana", "enter")
        assert "is no moment" in opened.text
        await opened.press("escape")
        assert opened.app.moment is None
