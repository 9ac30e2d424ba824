"""The home screen: what is on it at each size, and what its keys do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest
from textual.widgets import Input

from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.run import RunScreen
from etlwatch.tui.widgets.line_table import LineTable
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import FakeStore, make_run
from tests.etlwatch.night import night
from tracking_core.records import EndpointTotals, Switch

SIZES = [(80, 24), (120, 30), (160, 40), (200, 50)]


def table(opened: Dashboard) -> LineTable:
    return opened.app.screen.query_one("#runs", LineTable)


def jobs(opened: Dashboard) -> list[str]:
    assert opened.app.shown is not None
    names = {run.run_id: run.job for run in opened.app.shown.runs}
    return [names[cast(int, row.key)] for row in table(opened).rows]


# -- what is drawn


async def test_at_eighty_cells_it_is_the_drawn_screen() -> None:
    async with dashboard(night()) as opened:
        lines = opened.lines()
    assert len(lines) == 24
    assert lines[0].startswith(" prod  1 lost  1 failed  3 behind  3 ok  ")
    assert lines[0].endswith("03:12 CET")
    assert lines[1] == " crm_contacts_sync silent 14m · ads_metrics_pull failed 02:35, new · 3 behind"
    assert [line.split()[0] for line in lines[2:5]] == ["throughput", "lat", "not"]
    assert lines[5] == "  state ↓      job                   time vs p95         phase      done  err"
    assert lines[6] == "▌ ? lost       crm_contacts_sync  58m 12s ━━━━│          3/5 load    41%    3"
    assert lines[19].startswith("─ ? lost  crm_contacts_sync ")
    assert lines[20].startswith(" since    02:58, 14m ago; 58m 12s so far, usually 51m")
    reason = " ".join(line.removeprefix(" because").strip() for line in lines[21:23])
    assert reason == "no heartbeat for 840 s; it beats every 10 s; etl-03 is up: another run there beats", "uncut"
    assert lines[23].startswith(" enter open  / filter  < > sort  w window 1h  p pause")


async def test_at_a_hundred_and_sixty_cells_it_is_the_drawn_screen() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        lines = opened.lines()
    assert lines[0].startswith(" etlwatch prod   1 lost  1 failed  1 stalled  1 throttled  1 slow  3 running  1 done")
    assert lines[1].startswith(" Look first: crm_contacts_sync went silent 14m ago; ads_metrics_pull failed at 02:35")
    assert lines[2] == ""
    assert lines[3].startswith(" throughput  ")
    assert lines[3][54:62] == "latency "
    assert lines[3][107:115] == "not 2xx "
    assert lines[12] == (
        "  state ↓      job                 start     time vs p95          phase             done  eta            req"
        "  req/s  items   err    p95  note"
    )
    assert lines[17] == (
        "  ▲ slow       crm_contacts_sync   01:30   1h 42m ━━━━╋━━━  1.8×  3/5 load   ━━━━──  74%               91.2k"
        "   12.4   774k    16   3.0s  load +46m, /contacts"
    )
    assert lines[39].endswith("q quit")


@pytest.mark.parametrize("size", [*SIZES, (300, 80), (100, 20), (60, 15), (20, 5), (10, 3), (1, 1)])
async def test_every_size_shows_whole_lines_and_nothing_breaks(size: tuple[int, int]) -> None:
    async with dashboard(night(), size=size) as opened:
        assert len(opened.lines()) == size[1]
        await opened.press("j", "enter")
        assert len(opened.lines()) == size[1]
        await opened.press("question_mark")


async def test_a_window_shrunk_to_almost_nothing_and_back_shows_the_same() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await opened.poll()
        before = opened.lines()[1:]
        for size in ((20, 5), (80, 24), (3, 2), (160, 40)):
            await opened.pilot.resize_terminal(*size)
            await opened.pilot.pause()
        await opened.poll()
        assert opened.lines()[1:] == before


@pytest.mark.parametrize(
    "keys",
    [["j"], ["J", "enter"], ["E"], ["e"], ["equals_sign"], ["z"], ["question_mark"], ["colon"]],
    ids="-".join,
)
async def test_resized_screens_and_dialogs_show_what_fresh_ones_show(keys: list[str]) -> None:
    shown = []
    for sizes in ([(130, 40)], [(20, 5), (130, 40), (81, 23), (130, 40)]):
        async with dashboard(night(), size=sizes[0]) as opened:
            await opened.press(*keys)
            for size in sizes[1:]:
                await opened.pilot.resize_terminal(*size)
                await opened.pilot.pause()
            await opened.poll()
            await opened.pilot.pause()
            # Ages and the duration of the poll change.
            shown.append(opened.lines()[2:])
    assert shown[0] == shown[1]


async def test_an_empty_store_says_what_would_fill_it() -> None:
    async with dashboard(FakeStore()) as opened:
        assert "No runs yet." in opened.text
        assert "no runs yet: jobs that import tracking_core appear here; try `etlwatch demo`" in opened.text
        for key in ("j", "enter", "greater_than_sign", "I", "w", "y", "space", "g", "G"):
            await opened.press(key)
        assert isinstance(opened.app.screen, HomeScreen)


async def test_one_run_is_shown_and_opened() -> None:
    async with dashboard(FakeStore(runs=[make_run("only")])) as opened:
        assert "● running    only" in opened.text
        await opened.press("enter")
        assert isinstance(opened.app.screen, RunScreen)


async def test_of_a_thousand_runs_the_newest_are_listed_and_the_rest_is_not_asked_for() -> None:
    store = FakeStore(runs=[make_run(f"job{n}", minutes_ago=n, lasted_s=30, number=n) for n in range(1, 1_001)])
    async with dashboard(store) as opened:
        assert len(table(opened).rows) == 200
        assert store.asked["runs read"] == 200
        await opened.press("G")
        assert "job200" in opened.text


async def test_at_the_end_of_the_list_more_runs_are_listed_until_there_are_no_more() -> None:
    store = FakeStore(runs=[make_run(f"job{n}", minutes_ago=n, lasted_s=30, number=n) for n in range(1, 1_001)])
    async with dashboard(store) as opened:
        for listed in (700, 1_000):
            await opened.press("G")
            await opened.until(lambda listed=listed: len(table(opened).rows) == listed)
        assert table(opened).cursor_index == 699, "the cursor stays on its run"
        await opened.press("G")
        assert "job1000" in opened.text
        asked = opened.app.poller.watch
        await opened.press("k", "G")
        assert opened.app.poller.watch == asked


@pytest.mark.parametrize("size", SIZES)
async def test_wide_characters_keep_the_columns(size: tuple[int, int]) -> None:
    names = ["会話インポート夜間バッチ処理", "emoji 🚀🚀🚀 job", "ñandú-sync", "한국어", "a" * 200]
    store = FakeStore(runs=[make_run(name, minutes_ago=3, number=place) for place, name in enumerate(names)])
    async with dashboard(store, size=size) as opened:
        from rich.cells import cell_len

        head = next(line for line in opened.lines() if "state ↓" in line)
        rows = [line for line in opened.lines() if "● running " in line and "3m 00s" in line]
        assert len(rows) == len(names)
        edge = head.index("time") + len("time")
        assert {cell_len(line[: line.index("3m 00s") + 6]) for line in rows} == {edge}


# -- the lines above


async def test_tracking_that_is_off_is_said_with_its_name() -> None:
    store = night()
    store.switch_list = [
        Switch(scope="global", job="", enabled=False, changed_at=store.clock, changed_by="ana@bastion", reason="")
    ]
    async with dashboard(store, size=(160, 40)) as opened:
        assert "tracking off by ana@bastion" in opened.lines()[0]


# -- moving, sorting, window


async def test_the_selection_stays_on_its_run_while_rows_move() -> None:
    store = night()
    async with dashboard(store) as opened:
        await opened.press("j", "j", "j", "j")
        chosen = table(opened).cursor_key
        store.runs.append(make_run("new_failure", minutes_ago=1, lasted_s=10, status="failed", errors=1))
        await opened.poll()
        assert table(opened).cursor_key == chosen
        assert table(opened).cursor_index == 5


async def test_the_pane_follows_the_cursor() -> None:
    async with dashboard(night()) as opened:
        await opened.press("j")
        assert opened.lines()[19].startswith("─ × failed  ads_metrics_pull ")
        assert "because  UniqueViolation in load: duplicate key value" in opened.text


async def test_sorting_steps_through_the_visible_columns_and_shows_an_arrow() -> None:
    async with dashboard(night()) as opened:
        await opened.press("greater_than_sign")
        assert "job ↑" in opened.lines()[5]
        assert jobs(opened) == sorted(jobs(opened))
        await opened.press("I")
        assert "job ↓" in opened.lines()[5]
        assert jobs(opened) == sorted(jobs(opened), reverse=True)
        await opened.press("less_than_sign")
        assert "state ↓" in opened.lines()[5]


async def test_a_click_on_a_header_sorts_and_a_second_one_inverts() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await opened.pilot.click("#runs", offset=(16, 0))
        await opened.pilot.pause()
        assert "job ↑" in opened.text
        await opened.pilot.click("#runs", offset=(16, 0))
        await opened.pilot.pause()
        assert "job ↓" in opened.text


async def test_the_window_goes_round_and_is_named_in_the_footer() -> None:
    store = night()
    async with dashboard(store) as opened:
        words = []
        for _ in range(4):
            footer = opened.lines()[23]
            words.append(footer.split("  w window ")[1].split("  ")[0])
            before = store.asked["throughput"]
            await opened.press("w")
            await opened.until(lambda asked=before: store.asked["throughput"] > asked)
        assert words == ["1h", "24h", "7d", "5m"]


async def test_charts_are_drawn_again_only_when_a_bucket_has_closed() -> None:
    store = night()
    async with dashboard(store, size=(160, 40)) as opened:
        fleet = opened.app.shown.fleet if opened.app.shown else None
        asked = store.asked["throughput"]
        opened.app.poller.watch = replace(opened.app.poller.watch, limit=199)
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.fleet is fleet)
        assert store.asked["throughput"] == asked
        store.clock += timedelta(seconds=10)
        await opened.poll()
        assert store.asked["throughput"] == asked + 1


# -- filter


async def type_filter(opened: Dashboard, text: str) -> None:
    await opened.press("slash")
    opened.app.screen.query_one("#prompt Input", Input).value = text
    await opened.pilot.pause()


async def test_the_filter_applies_while_it_is_typed_and_enter_keeps_it() -> None:
    async with dashboard(night()) as opened:
        await opened.press("slash", *"lost")
        assert "? lost" in opened.text
        assert len(table(opened).rows) == 1
        assert opened.lines()[23].startswith(" /")
        assert "1 of 126" in opened.lines()[23]
        await opened.press("enter")
        assert opened.lines()[0].startswith(" prod  /lost  1 of 126")
        assert opened.lines()[23].startswith(" enter open")


async def test_escape_in_the_prompt_brings_the_last_filter_back_and_then_all_runs() -> None:
    async with dashboard(night()) as opened:
        await type_filter(opened, "state:failed")
        await opened.press("enter")
        await type_filter(opened, "state:lost")
        await opened.press("escape")
        assert jobs(opened) == ["ads_metrics_pull"]
        await opened.press("escape")
        assert len(jobs(opened)) == 126


async def test_a_filter_that_is_not_understood_says_so_and_filters_nothing_more() -> None:
    async with dashboard(night()) as opened:
        await type_filter(opened, "stat:lost")
        assert "did you mean state?" in opened.lines()[23]
        assert len(jobs(opened)) == 126
        await type_filter(opened, "job:nothing-like-it")
        assert "no run fits job:nothing-like-it; esc shows all" in opened.text


async def test_letters_in_the_prompt_are_text_and_no_commands() -> None:
    async with dashboard(night()) as opened:
        await opened.press("slash", *"pqrwy?:")
        assert opened.app.screen.query_one("#prompt Input", Input).value == "pqrwy?:"
        assert not opened.app.paused
        assert isinstance(opened.app.screen, HomeScreen)


async def test_filter_order_and_cursor_are_there_again_after_a_run_was_open() -> None:
    async with dashboard(night()) as opened:
        await type_filter(opened, "job:crm*")
        await opened.press("enter", "greater_than_sign", "j", "j")
        before = (opened.lines()[:-1], table(opened).cursor_key)
        await opened.press("enter")
        assert isinstance(opened.app.screen, RunScreen)
        await opened.press("escape")
        await opened.pilot.pause()
        assert (opened.lines()[:-1], table(opened).cursor_key) == before


async def test_a_poll_does_not_touch_filter_window_or_order() -> None:
    store = night()
    async with dashboard(store) as opened:
        await type_filter(opened, "job:crm*")
        await opened.press("enter", "greater_than_sign", "w")
        store.clock += timedelta(seconds=20)
        await opened.poll()
        assert opened.lines()[0].startswith(" prod  /job:crm*  ")
        assert "job ↑" in opened.text
        assert " w window 24h" in opened.lines()[23]


async def test_runs_are_filtered_by_endpoint_which_is_asked_once_and_only_then() -> None:
    runs = [make_run(f"job{n}", minutes_ago=n, lasted_s=30, number=n, requests=5) for n in range(1, 4)]
    store = FakeStore(
        runs=runs,
        endpoint_list=[
            EndpointTotals(run_id=run.run_id, endpoint=name, requests=5)
            for run, name in zip(runs, ("/contacts", "/orders", "/contacts"), strict=True)
        ],
    )
    async with dashboard(store) as opened:
        before = store.asked["endpoint_names"]
        await opened.press("slash", *"endpoint:/con", "enter")
        await opened.until(lambda: [row.key for row in table(opened).rows] == [runs[0].run_id, runs[2].run_id])
        asked = store.asked["endpoint_names"]
        assert asked > before
        opened.app.poller.watch = replace(opened.app.poller.watch, limit=300)
        latest = opened.app.latest
        await opened.until(lambda: opened.app.latest is not latest)
        assert store.asked["endpoint_names"] == asked
        await opened.press("escape")
        assert len(table(opened).rows) == 3
        assert not opened.app.poller.watch.endpoints


@pytest.mark.parametrize(("size", "whole"), [((80, 24), 20), ((120, 30), 20), ((160, 40), 24)])
async def test_a_name_that_is_a_little_too_long_takes_what_margin_and_note_can_spare(
    size: tuple[int, int], whole: int
) -> None:
    async with dashboard(FakeStore(runs=[make_run("j" * whole)]), size=size) as opened:
        assert f" {'j' * whole} " in opened.text
    runs = [make_run("short"), make_run("x" * 200, number=1)]
    async with dashboard(FakeStore(runs=runs), size=size) as opened:
        assert f" {'x' * (whole - 1)}… " in opened.text
        assert all(len(line) <= size[0] for line in opened.lines())


@pytest.mark.parametrize("size", [(80, 24), (160, 40)])
async def test_line_two_says_what_happened_whatever_a_job_is_called(size: tuple[int, int]) -> None:
    runs = [make_run("x" * 200, state="lost"), make_run("長い" * 50, number=1, state="stalled", minutes_ago=90)]
    async with dashboard(FakeStore(runs=runs), size=size) as opened:
        assert "x… " in opened.lines()[1]
        assert "silent" in opened.lines()[1]
        await opened.press("J")
        await opened.until(lambda: "lost" in opened.lines()[1])
        assert "stalled" in opened.lines()[1]


async def test_the_demo_begins_with_its_shortest_window_and_sends_nobody_to_the_demo() -> None:
    async with dashboard(FakeStore(), size=(120, 30), demo=True) as opened:
        assert opened.app.window.name == "5m"
        assert "the demo's first jobs begin in a moment" in opened.text
        assert "etlwatch demo" not in opened.text
    async with dashboard(FakeStore(), size=(120, 30)) as opened:
        assert opened.app.window.name == "1h"
        assert "try `etlwatch demo`" in opened.text


async def test_at_eighty_cells_the_pane_tells_when_a_run_will_end() -> None:
    async with dashboard(night()) as opened:
        await opened.press("j", "j", "j")
        assert opened.lines()[20] == " since    02:58, 14m ago; 32m 43s so far, usually 34m; ends 03:14–03:17"
