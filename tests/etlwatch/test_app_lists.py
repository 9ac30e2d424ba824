"""What every list does alike: filter, order, marks and what acts on them, and the steps that esc goes back."""

from __future__ import annotations

from typing import cast

import pytest

from etlwatch.fields.field import Order
from etlwatch.reading import gatherer
from etlwatch.reading import jobs as gather_jobs
from etlwatch.reading import listing as gather_listing
from etlwatch.tui.screens.errors import ErrorsScreen
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.jobs import JobsScreen
from etlwatch.tui.screens.listing import ListScreen
from etlwatch.tui.widgets.inputs import Prompt
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import FakeStore, make_error, make_run
from tests.etlwatch.job_night import night_runs
from tests.etlwatch.night import night

OPENED_BY = {HomeScreen: (), JobsScreen: ("J",), ErrorsScreen: ("E",)}


def store() -> FakeStore:
    runs = [run for runs in night_runs().values() for run in runs]
    kinds = [("ReadTimeout", "crm took too long"), ("ValueError", "bad date"), ("KeyError", "'id'")]
    errors = [
        make_error(run, error_type=kind, message=message, fingerprint=kind)
        for run, (kind, message) in zip(runs[-3:], kinds, strict=True)
    ]
    return FakeStore(runs=runs, error_list=errors)


async def list_of(opened: Dashboard, kind: type[ListScreen]) -> ListScreen:
    await opened.press(*OPENED_BY[kind])
    screen = opened.app.screen
    assert isinstance(screen, kind)
    if kind is ErrorsScreen:
        await opened.press("w", "w")
    await opened.until(lambda: len(screen.table.rows) >= 3)
    await opened.pilot.pause()
    return screen


@pytest.mark.parametrize("kind", OPENED_BY)
async def test_escape_goes_one_step_back_prompt_filter_marks_order_screen(kind: type[ListScreen]) -> None:
    async with dashboard(store(), size=(160, 40)) as opened:
        screen = await list_of(opened, kind)
        there_are = len(screen.table.rows)
        await opened.press("greater_than_sign", "I", "space", "j", "space")
        assert "2 marked" in opened.lines()[0]
        await opened.press("slash", *"zzz")
        assert screen.table.rows == ()
        assert "zzz; esc shows all" in opened.text
        await opened.press("enter", "slash", "escape")
        assert f"/zzz  0 of {there_are}" in opened.lines()[0]
        await opened.press("escape")
        assert len(screen.table.rows) == there_are
        assert "2 marked" in opened.lines()[0]
        await opened.press("escape")
        assert "marked" not in opened.lines()[0]
        assert screen.order != Order()
        await opened.press("escape")
        assert screen.order == Order()
        assert opened.app.screen is screen
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)


@pytest.mark.parametrize(
    ("kind", "word", "text", "found"),
    [
        (HomeScreen, "failed", "state:failed", 4),
        (HomeScreen, "running", "state:running !state:stalled,throttled,slow", 4),
        (JobsScreen, "overdue", "state:overdue", 1),
        (ErrorsScreen, "new", "state:new !state:mended", 2),
    ],
)
async def test_a_click_on_a_count_filters_by_its_state(
    kind: type[ListScreen], word: str, text: str, found: int
) -> None:
    async with dashboard(store(), size=(160, 40)) as opened:
        screen = await list_of(opened, kind)
        there_are = len(screen.table.rows)
        for clicked, matching, filtered in ((f" {word}", found, text), (" /state:", there_are, "")):
            place = opened.lines()[0].index(clicked) + 1
            await opened.pilot.click("#health", offset=(place, 0))
            await opened.pilot.pause()
            assert screen.filter.text == filtered
            assert len(screen.table.rows) == matching
        await opened.pilot.click("#health", offset=(1, 0))
        assert screen.filter.text == ""


@pytest.mark.parametrize("kind", OPENED_BY)
async def test_an_unfinished_filter_is_told_in_the_prompt_and_keeps_the_last_one(kind: type[ListScreen]) -> None:
    async with dashboard(store(), size=(160, 40)) as opened:
        screen = await list_of(opened, kind)
        before = len(screen.table.rows)
        await opened.press("slash", *"state:")
        assert "state has no value" in opened.lines()[-1]
        await opened.press("backspace", *":nonsense")
        assert "nonsense" in opened.lines()[-1]
        await opened.press("home", *"a ")
        assert "nonsense" in opened.lines()[-1]
        await opened.press("escape")
        assert len(screen.table.rows) == before


@pytest.mark.parametrize("kind", OPENED_BY)
async def test_a_rejected_filter_stays_in_the_prompt_until_esc_clears_it(kind: type[ListScreen]) -> None:
    async with dashboard(store(), size=(160, 40)) as opened:
        screen = await list_of(opened, kind)
        before = len(screen.table.rows)
        await opened.press("slash", *"stat:nonsense", "enter")
        assert screen.prompting
        assert screen.query_one(Prompt).text == "stat:nonsense"
        assert "stat" in opened.lines()[-1]
        await opened.press("escape")
        assert not screen.prompting
        assert len(screen.table.rows) == before
        assert screen.filter.text == ""
        assert opened.app.screen is screen


@pytest.mark.parametrize("kind", OPENED_BY)
async def test_every_column_that_can_be_sorted_by_is_reached_and_comes_round(kind: type[ListScreen]) -> None:
    async with dashboard(store(), size=(220, 40)) as opened:
        screen = await list_of(opened, kind)
        keys = {row.key for row in screen.table.rows}
        seen = []
        for _ in screen.fields.orders:
            seen.append(screen.order.column)
            await opened.press("greater_than_sign")
            await opened.press("I")
            assert {row.key for row in screen.table.rows} == keys
        assert sorted(seen) == sorted(screen.fields.orders)
        assert screen.order.column == Order().column


async def test_what_is_marked_is_copied_in_the_order_of_the_list() -> None:
    async with dashboard(night()) as opened:
        home = cast(HomeScreen, opened.app.screen)
        assert opened.app.shown is not None
        ids = {run.run_id: run.id for run in opened.app.shown.runs}
        shown = [ids[cast(int, row.key)] for row in home.table.rows]
        await opened.press("j", "space", "g", "space", "G")
        assert home.copy_text().split() == shown[:2]
        await opened.press("escape")
        assert home.copy_text() == shown[-1]


async def test_a_bell_is_hung_on_all_marked_runs_that_live_and_taken_off_again() -> None:
    runs = [make_run(f"job{n}", number=n, minutes_ago=5) for n in range(3)]
    done = make_run("done", number=9, minutes_ago=50, lasted_s=60)
    async with dashboard(FakeStore(runs=[*runs, done])) as opened:
        await opened.press("g", "space", "j", "space", "G", "space", "b")
        assert "a bell rings when 2 runs of those marked change state" in opened.toasts
        assert sum(run.run_id in opened.app.watching for run in (*runs, done)) == 2
        await opened.press("b")
        assert "no bell for 2 runs any more" in opened.toasts
        assert not any(run.run_id in opened.app.watching for run in runs)


async def test_errors_are_looked_for_by_word_field_and_state() -> None:
    async with dashboard(store(), size=(120, 30)) as opened:
        screen = cast(ErrorsScreen, await list_of(opened, ErrorsScreen))
        for text, found in (
            ("too long", {"ReadTimeout"}),
            ("!timeout", {"ValueError", "KeyError"}),
            ("kind:*error", {"ValueError", "KeyError"}),
            ("state:new kind:keyerror", {"KeyError"}),
            ("state:known", set()),
        ):
            screen.apply_filter(text)
            assert {cast(tuple[str, str], row.key)[1] for row in screen.table.rows} == found, text
        screen.apply_filter("jop:crm")
        await opened.pilot.pause()
        assert "no field 'jop'; did you mean job?" in opened.toasts


async def test_a_table_whose_marks_nothing_acts_on_takes_none() -> None:
    async with dashboard(night()) as opened:
        await opened.press("enter", "e", "space")
        assert opened.app.screen.query_one("#error-list").marked == frozenset()  # type: ignore[attr-defined]


async def test_the_command_line_of_a_list_keeps_its_filter() -> None:
    async with dashboard(store(), size=(120, 30)) as opened:
        for kind, text, words in (
            (JobsScreen, "crm* state:lost", "etlwatch jobs 'crm* state:lost'"),
            (ErrorsScreen, "job:crm*,ads state:new", "etlwatch errors --group --since 30d '--job=crm*' '--job=*ads*'"),
        ):
            screen = await list_of(opened, kind)
            screen.apply_filter(text)
            assert screen.command_line() == words


@pytest.mark.parametrize("kind", OPENED_BY)
@pytest.mark.parametrize("size", [(80, 24), (120, 30), (160, 40)])
async def test_the_names_of_the_demo_are_whole_on_every_list(kind: type[ListScreen], size: tuple[int, int]) -> None:
    run = make_run("conversation-import", errors=1)
    async with dashboard(FakeStore(runs=[run], error_list=[make_error(run)]), size=size) as opened:
        await opened.press(*OPENED_BY[kind])
        table = opened.app.screen.query_one(f"#{kind.rows_id}")
        await opened.until(lambda: table.rows)  # type: ignore[attr-defined]
        row = opened.lines()[table.region.y + 1]
        assert " conversation-import " in row


async def test_a_list_that_is_cut_says_of_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_listing, "MOST_LIVE", 5)
    monkeypatch.setattr(gather_jobs, "MOST_JOBS", 2)
    runs = [make_run(f"done{n}", minutes_ago=1 + n / 100, lasted_s=1, number=n) for n in range(200)]
    runs += [make_run(f"live{n}", minutes_ago=30 + n, number=500 + n) for n in range(8)]
    async with dashboard(FakeStore(runs=runs), size=(160, 40)) as opened:
        await opened.poll()
        assert "5 of 8 living" in opened.lines()[0]
        await opened.press("J")
        await opened.until(lambda: "2 of 208 jobs" in opened.lines()[0])


async def test_lists_that_are_cut_name_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatherer, "MOST_KINDS", 2)
    cut = store()
    cut.runs += [make_run(f"old-{n}", minutes_ago=1_000 + n, status="completed", number=100 + n) for n in range(300)]
    async with dashboard(cut, size=(140, 40)) as opened:
        await opened.until(lambda: f"200 of {len(cut.runs)} runs" in opened.text)
        await opened.press("E", "w", "w")
        await opened.until(lambda: "2 of 3 kinds" in opened.text)
