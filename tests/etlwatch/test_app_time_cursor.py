"""The one time cursor through all charts: set on one, it stands at the same moment on every other."""

from __future__ import annotations

import pytest

from etlwatch.analysis.series import Column
from etlwatch.rendering.charts import moved, place_of, with_line
from etlwatch.text.spans import plain_text
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.requests_tab import RequestsTab
from etlwatch.tui.screens.run import RunScreen
from etlwatch.tui.screens.zoom import ZoomScreen
from etlwatch.tui.widgets.plot import PlotChart
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import FakeStore, make_cell, make_run
from tests.etlwatch.night import night
from tracking_core.records import Page

COLUMNS = tuple(Column(begin=100.0 + 10 * place, seconds=10.0) for place in range(5))


def test_a_moment_is_in_the_column_that_holds_it() -> None:
    assert [place_of(COLUMNS, at) for at in (99.9, 100.0, 119.9, 149.9, 150.0, None)] == [None, 0, 1, 4, None, None]
    assert place_of((), 100.0) is None


def test_the_cursor_comes_from_the_newest_and_is_gone_beyond_it() -> None:
    assert moved(COLUMNS, None, -1) == 135.0
    assert moved(COLUMNS, 135.0, 1) is None
    assert moved(COLUMNS, 105.0, -1) == 105.0
    assert moved(COLUMNS, 20.0, 1) == 115.0, "from outside it comes to the nearest column first"
    assert moved((), 20.0, 1) == 20.0


def test_the_line_keeps_an_area_behind_it_and_fills_a_short_row() -> None:
    assert with_line([("██", "chart-p99")], 1) == (("█", "chart-p99"), ("│", "blue on chart-p99"))
    assert with_line([("█", "chart-p99")], 0, shades=False) == (("│", "blue"),)
    assert with_line([("ab", "dim")], 4) == (("ab", "dim"), ("  ", "plain"), ("│", "blue"))


async def open_slow(opened: Dashboard) -> RunScreen:
    await opened.press("j", "j", "j", "j", "enter")
    await opened.until(lambda: opened.app.shown is not None and opened.app.shown.details is not None)
    await opened.pilot.pause()
    screen = opened.app.screen
    assert isinstance(screen, RunScreen)
    return screen


@pytest.mark.parametrize("size", [(80, 24), (160, 40)])
async def test_on_the_first_screen_it_goes_through_all_charts_and_says_its_moment(size: tuple[int, int]) -> None:
    async with dashboard(night(), size=size) as opened:
        headline = opened.lines()[1]
        charts = slice(2, 5) if size[0] < 110 else slice(4, 10)
        before = sum(line.count("│") for line in opened.lines()[charts])
        await opened.hold("comma", 9)
        lines = opened.lines()
        assert all(word in lines[1] for word in ("/s", "p50", "p95", "429"))
        drawn = sum(line.count("│") for line in lines[charts]) - before
        assert drawn == (3 if size[0] < 110 else 18), "a line through each row of each of the three charts"
        await opened.press("escape")
        assert opened.lines()[1] == headline
        assert sum(line.count("│") for line in opened.lines()[charts]) == before


async def test_it_is_the_same_on_the_screen_below_a_zoomed_chart() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await opened.press("z")
        await opened.until(lambda: isinstance(opened.app.screen, ZoomScreen) and "█" in opened.text)
        await opened.press("left", "left", "left")
        at = opened.app.cursor_s
        assert at is not None
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)
        assert opened.app.cursor_s == at
        await opened.until(lambda: " p50 " in opened.lines()[1])
        await opened.press("full_stop", "full_stop", "full_stop", "full_stop", "full_stop")
        assert opened.app.cursor_s is None
        assert opened.lines()[1].startswith(" Look first")


async def test_on_a_run_it_goes_through_charts_phases_and_ticks() -> None:
    async with dashboard(night(), size=(140, 40)) as opened:
        await open_slow(opened)
        verdict = opened.lines()[1]
        await opened.hold("comma", 30)
        lines = opened.lines()
        assert lines[1] == verdict
        assert " p50 " in lines[2]
        column = lines[6].rindex("│")
        assert all(lines[row][column] == "│" for row in (6, 7, 8, 11, 12, 13))
        gantt = next(row for row, line in enumerate(lines) if "phases" in line and "done" in line)
        assert all(lines[row][column] == "│" for row in range(gantt + 2, gantt + 8))
        await opened.press("escape")
        assert opened.lines()[1] == verdict
        assert isinstance(opened.app.screen, RunScreen)


async def test_at_eighty_cells_the_verdict_stays_beside_the_moment() -> None:
    async with dashboard(night()) as opened:
        await open_slow(opened)
        first = opened.lines()[1]
        await opened.press("comma")
        assert opened.lines()[1] == first
        assert " p50 " in opened.lines()[2]


@pytest.mark.parametrize(("size", "charts"), [((80, 24), 3), ((160, 40), 3), ((80, 16), 1), ((40, 9), 0)])
async def test_the_requests_tab_shows_as_many_charts_as_there_is_room_for(size: tuple[int, int], charts: int) -> None:
    async with dashboard(night(), size=size) as opened:
        screen = await open_slow(opened)
        await opened.press("right_square_bracket", "right_square_bracket")
        tab = screen.query_one(RequestsTab)
        await opened.until(lambda: sum(bool(chart.display) for chart in tab.query(PlotChart)) == charts)
        assert "/contacts" in opened.text
        assert len(opened.lines()) == size[1]


async def test_the_requests_tab_says_what_is_known_of_the_moment_under_the_cursor() -> None:
    async with dashboard(night(), size=(120, 30)) as opened:
        screen = await open_slow(opened)
        await opened.press("right_square_bracket", "right_square_bracket")
        tab = screen.query_one(RequestsTab)
        await opened.until(lambda: tab.time_columns)
        newest = opened.lines()[3]
        await opened.hold("comma", 9)
        earlier = opened.lines()[3]
        assert earlier != newest
        assert "p95 3.0s" in earlier
        assert opened.lines()[1].startswith(" ▲ slow"), "the verdict stays: the tab has a line of its own"
        lines = [line for line in opened.lines() if line.count("│") >= 2 or ("┤" in line and "│" in line)]
        assert len({line.rindex("│") for line in lines}) == 1, "one line through all three charts"


async def test_the_pages_of_the_chosen_endpoint_are_told_with_holes_and_overlaps() -> None:
    store = night()
    pages = [Page(endpoint="/contacts", page_offset=at, page_limit=100, whole=True, items=100)
             for at in (0, 100, 300, 350)]  # fmt: skip
    store.page_lists = {run.run_id: pages for run in store.runs}
    async with dashboard(store, size=(120, 30)) as opened:
        await open_slow(opened)
        await opened.press("right_square_bracket", "right_square_bracket")
        await opened.until(lambda: "4, offsets 0 to 450; 1 hole, the first 200 to 300; 1 overlap" in opened.text)
        await opened.press("j")
        assert "none were asked for by offset" in opened.text


async def test_w_changes_the_window_of_a_zoomed_chart_of_all_runs_and_of_one() -> None:
    async with dashboard(night(), size=(120, 30)) as opened:
        await opened.press("z")
        await opened.until(lambda: "█" in opened.text)
        assert "w 1h" in opened.lines()[-1]
        await opened.press("w")
        assert opened.app.window.name == "24h"
        assert "w 24h" in opened.lines()[-1]
        await opened.press("escape")
        await open_slow(opened)
        await opened.press("z")
        await opened.until(lambda: "w whole run" in opened.lines()[-1] and "█" in opened.text)
        screen = opened.app.screen
        assert isinstance(screen, ZoomScreen)
        whole = screen._zoom
        await opened.press("w")
        assert "w 5m" in opened.lines()[-1]
        assert screen._zoom.end - screen._zoom.start == 300
        await opened.press("w", "w")
        assert screen._zoom.start == whole.start, "after an hour comes the whole run: a day is longer than it"


async def test_a_moment_outside_of_a_chart_is_said_to_be_so() -> None:
    async with dashboard(night(), size=(120, 30)) as opened:
        opened.app.cursor_s = 1_000_000.0
        opened.app.screen.redraw()  # type: ignore[attr-defined]
        await opened.pilot.pause()
        assert "the time cursor is outside of this chart" in opened.lines()[1]
        await opened.press("comma")
        assert " p50 " in opened.lines()[1]


async def test_without_requests_there_is_nothing_to_move_through() -> None:
    async with dashboard(FakeStore(runs=[make_run("bare")]), size=(120, 30)) as opened:
        await opened.press("enter", "comma", "right_square_bracket", "right_square_bracket", "comma", "escape")
        assert isinstance(opened.app.screen, RunScreen | HomeScreen)


def test_a_line_in_ascii_is_one_cell() -> None:
    from etlwatch.text.display import ASCII

    assert plain_text(with_line([("##", "chart-p99")], 1, glyphs=ASCII)) == "#|"


async def test_a_run_of_a_few_seconds_is_seen_on_its_charts() -> None:
    run = make_run("brief", minutes_ago=2, lasted_s=11, requests=80)
    cell = make_cell(int(run.started_at.timestamp()) // 10 * 10, requests=80, ms=60)
    async with dashboard(FakeStore(runs=[run], run_cells=[cell]), size=(120, 30)) as opened:
        await opened.press("enter", "z")
        await opened.until(lambda: "██████████" in opened.text)
