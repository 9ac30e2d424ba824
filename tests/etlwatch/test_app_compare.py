"""Two runs side by side on screen, and the errors of all runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from etlwatch.tui.screens.compare import CompareScreen
from etlwatch.tui.screens.errors import ErrorsScreen
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.run import RunScreen
from etlwatch.tui.widgets.line_table import LineTable
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import NOW, FakeStore, make_error, make_phase, make_run
from tests.etlwatch.night import night

SIZES = [(20, 5), (80, 24), (120, 30), (160, 40)]


def two() -> FakeStore:
    """A success of ten minutes, then one of thirty on another host."""
    first = make_run("crm", minutes_ago=300, lasted_s=600, items=1_000)
    second = make_run("crm", minutes_ago=100, lasted_s=1_800, items=1_000, host="etl-04", errors=1, number=1)
    other = make_run("ads", minutes_ago=50, lasted_s=60, number=2)
    return FakeStore(runs=[first, second, other], error_list=[make_error(second)])


async def compared(opened: Dashboard) -> CompareScreen:
    screen = opened.app.screen
    assert isinstance(screen, CompareScreen)
    await opened.until(lambda: screen.comparison is not None)
    await opened.pilot.pause()
    return screen


async def test_equals_compares_the_run_under_the_cursor_with_its_last_success() -> None:
    async with dashboard(two()) as opened:
        await opened.press("greater_than_sign", "G", "k", "equals_sign")
        screen = await compared(opened)
        lines = opened.lines()
    assert screen.comparison is not None
    assert (screen.comparison.after.host, screen.comparison.before.host) == ("etl-04", "etl-03")
    assert lines[0].startswith(" prod  ‹ back  compare  crm 0001 against 2BA3")
    assert lines[1] == " 30m 00s against 10m 00s: +20m, 3.0× as long."
    assert lines[2] == "", "room for a longer conclusion"
    assert lines[3] == " before   ✓ crm 2BA3  completed, 10m 00s, began Sun 22:12"
    assert lines[4] == " after    ✓ crm 0001  completed, 30m 00s, began 01:32"
    assert any(line.strip("▌ ").split()[:6] == ["ValueError", "in", "load", "0", "1", "+1"] for line in lines)
    assert any("host" in line and "etl-03" in line and "etl-04" in line for line in lines)
    assert "same code version, command and user" in lines[22]


async def test_two_marked_runs_are_compared_the_later_with_the_earlier() -> None:
    async with dashboard(two()) as opened:
        await opened.press("g", "space", "j", "space", "equals_sign")
        screen = await compared(opened)
        assert screen.comparison is not None
        assert screen.comparison.after.started_at > screen.comparison.before.started_at
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)
        await opened.press("G", "space", "equals_sign")
        assert "3 runs are marked; two can be compared" in opened.toasts


async def test_one_marked_run_is_compared_with_the_one_under_the_cursor() -> None:
    async with dashboard(two()) as opened:
        await opened.press("g", "space", "G", "equals_sign")
        screen = await compared(opened)
        assert screen.asked.before is not None


async def test_all_figures_and_swapped_sides() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await opened.press("j", "j", "j", "j", "equals_sign")
        screen = await compared(opened)
        changed = len(screen.query_one(LineTable).rows)
        await opened.press("a")
        assert len(screen.query_one(LineTable).rows) > changed
        assert screen.comparison is not None
        after = screen.comparison.after.run_id
        await opened.press("x")
        await opened.until(lambda: screen.comparison is not None and screen.comparison.before.run_id == after)


async def test_a_run_without_a_success_before_it_says_what_to_do() -> None:
    async with dashboard(FakeStore(runs=[make_run("crm", minutes_ago=5)])) as opened:
        await opened.press("equals_sign")
        await opened.until(lambda: "no run of crm completed before this one" in opened.text)
        assert opened.app.screen.query_one(LineTable).rows == ()


async def test_a_run_that_was_removed_meanwhile_is_said() -> None:
    store = two()
    async with dashboard(store) as opened:
        await opened.press("greater_than_sign", "G", "k", "equals_sign")
        await compared(opened)
        store.runs = store.runs[:1]
        await opened.poll()
        assert "is not in the store any more" in opened.text


async def test_the_run_screen_compares_too_and_escape_comes_back() -> None:
    async with dashboard(night()) as opened:
        await opened.press("j", "j", "j", "j", "enter", "equals_sign")
        screen = await compared(opened)
        assert screen.command_line().startswith("etlwatch compare ")
        assert len(screen.command_line().split()) == 4
        assert "so far against" in screen.copy_text()
        await opened.press("escape")
        assert isinstance(opened.app.screen, RunScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_every_size_holds_a_comparison_and_the_errors(size: tuple[int, int]) -> None:
    async with dashboard(night(), size=size) as opened:
        await opened.press("j", "j", "j", "j", "equals_sign")
        await compared(opened)
        assert len(opened.lines()) == size[1]
        await opened.press("E")
        assert isinstance(opened.app.screen, ErrorsScreen)
        await opened.until(lambda: opened.app.screen.query_one(LineTable).rows)
        assert len(opened.lines()) == size[1]


# -- errors of all runs


async def errors(opened: Dashboard) -> ErrorsScreen:
    await opened.press("E")
    screen = opened.app.screen
    assert isinstance(screen, ErrorsScreen)
    await opened.until(lambda: screen.table.rows or "no errors" in opened.text)
    await opened.pilot.pause()
    return screen


def failing() -> FakeStore:
    before = [make_run("crm", minutes_ago=24 * 60 * day, lasted_s=3_000, number=day, errors=1) for day in range(1, 12)]
    tonight = make_run("crm", minutes_ago=100, errors=2, number=50)
    timeout = {"error_type": "ReadTimeout", "message": "no answer within 10s", "fingerprint": "f2"}
    return FakeStore(
        runs=[tonight, *before],
        error_list=[
            make_error(tonight, 1, at=NOW - timedelta(minutes=11)),
            make_error(tonight, 2, at=NOW - timedelta(minutes=9), **timeout),
            *(make_error(run, 1, at=run.started_at + timedelta(minutes=40), **timeout) for run in before),
        ],
        phase_list=[make_phase(run, "load", 1) for run in before],
    )


async def test_kinds_of_errors_stand_in_the_order_in_which_they_need_somebody() -> None:
    async with dashboard(failing(), size=(160, 40)) as opened:
        await errors(opened)
        lines = opened.lines()
    assert lines[0].startswith(" etlwatch prod  errors of all runs  last 24h  1 new  2 kinds")
    assert lines[1].startswith(" 3 errors of 2 kinds; 1 new: ValueError in crm since 03:01, load last completed Sun")
    assert lines[4].split()[:6] == ["▌", "1×", "1", "03:01", "crm", "load"]
    assert "new; first seen 03:01" in lines[4]
    assert "known  12× in 12 runs since Oct" in lines[5]
    assert any(line.startswith(" known?   new in this run; first seen 03:01; load last completed") for line in lines)


async def test_the_window_widens_and_enter_opens_the_errors_of_the_newest_run() -> None:
    async with dashboard(failing()) as opened:
        screen = await errors(opened)
        await opened.press("w")
        await opened.until(lambda: any(kind.errors == 8 for kind in screen.rows.values()))
        assert "last 7d" in opened.text
        assert screen.command_line() == "etlwatch errors --group --since 7d"
        await opened.press("enter")
        run = opened.app.screen
        assert isinstance(run, RunScreen)
        assert run.tab == "errors"
        await opened.until(lambda: "ReadTimeout" in opened.text)
        await opened.press("E")
        assert opened.app.screen is screen


async def test_without_errors_the_screen_says_where_to_look() -> None:
    async with dashboard(FakeStore()) as opened:
        await errors(opened)
        assert "no errors in the last 24h; w looks further back" in opened.text


async def test_at_a_past_moment_errors_stand_as_they_stood() -> None:
    async with dashboard(failing()) as opened:
        screen = await errors(opened)
        opened.app.show_moment(NOW - timedelta(minutes=10))
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        await opened.pilot.pause()
        then = {kind.error_type: (kind.errors, kind.all_errors) for kind in screen.rows.values()}
        assert then == {"ValueError": (1, 1), "ReadTimeout": (1, 11)}, "tonight's timeout came a minute later"


async def test_an_error_of_a_removed_run_opens_nothing_and_says_why() -> None:
    store = failing()
    store.runs = []
    async with dashboard(store) as opened:
        screen = await errors(opened)
        await opened.press("enter")
        assert opened.app.screen is screen
        assert "was removed from the store" in opened.toasts


async def test_at_eighty_cells_the_whole_conclusion_is_told() -> None:
    async with dashboard(night()) as opened:
        await opened.press("j", "j", "j", "j", "equals_sign")
        await compared(opened)
        said = " ".join(line.strip() for line in opened.lines()[1:3])
    assert said == "1h 42m so far against 48m 41s: +54m, 2.1× as long; load +1h 13m alone is more than that."


async def test_beside_a_long_name_both_runs_show_state_and_duration() -> None:
    store = night()
    store.runs = [replace(run, job=f"{run.job}_of_every_tenant_and_every_region_of_the_world") for run in store.runs]
    async with dashboard(store) as opened:
        await opened.press("j", "j", "j", "j", "equals_sign")
        await compared(opened)
        lines = opened.lines()
    assert "crm_contacts_syn… 0007 against 2BA3  " in lines[0]
    assert lines[3].endswith("… 2BA3  completed, 48m 41s, began 00:30")
    assert lines[4].endswith("… 0007  slow, 1h 42m so far, began 01:30")
