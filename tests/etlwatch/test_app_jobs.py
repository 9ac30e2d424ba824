"""The screen of all jobs, and the runs of one: as drawn, filtered, sorted, opened, and at a past moment."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest

from etlwatch.fields.field import Order
from etlwatch.reading import listing as gather_listing
from etlwatch.tui.screens import home
from etlwatch.tui.screens.home import HomeScreen, JobRunsScreen
from etlwatch.tui.screens.jobs import JobsScreen
from etlwatch.tui.widgets.line_table import LineTable
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import FakeStore, make_run
from tests.etlwatch.job_night import ended_runs, night_runs
from tests.etlwatch.night import night

SIZES = [(20, 5), (80, 24), (120, 30), (160, 40), (240, 60)]


def store() -> FakeStore:
    return FakeStore(runs=[run for runs in night_runs().values() for run in runs])


async def open_jobs(opened: Dashboard) -> JobsScreen:
    await opened.press("J")
    screen = opened.app.screen
    assert isinstance(screen, JobsScreen)
    await opened.until(lambda: screen.table.rows or "no jobs yet" in opened.text)
    await opened.pilot.pause()
    return screen


def keys(screen: JobsScreen | HomeScreen) -> list[object]:
    return [row.key for row in screen.query_one(LineTable).rows]


async def test_at_a_hundred_and_sixty_cells_it_is_the_drawn_screen() -> None:
    async with dashboard(store(), size=(160, 40)) as opened:
        await open_jobs(opened)
        lines = opened.lines()
    assert lines[0].startswith(" etlwatch prod  jobs  1 overdue  3 with trouble  2 ok ")
    assert lines[1] == (
        " nightly_ledger has not begun: expected at 02:00 CET (28 of 30 nights within 3m), now 1h 12m overdue."
    )
    assert lines[3] == (
        "  job                 last 30 runs (half = p95)            success    usual      p95   trend"
        "    last began    next"
    )
    assert lines[4] == (
        "▌ nightly_ledger      ▃▃▃▃▃▃▃▄▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▄▃▃▃▃▃!    30/30 100%      12m      14m      0%"
        "    Sun 02:00     overdue 1h 12m (02:00)"
    )
    assert lines[9].startswith("  product_catalog                                ▄■●      1/2    –   3 runs")
    assert lines[35].startswith("─ ! overdue 1h 12m  nightly_ledger ─")
    assert lines[36] == " expected 02:00 CET: 28 of its last 30 began within 3m of it"
    assert lines[37] == " last     Sun 02:00, completed in 12m (usual 12m), from etl-02"
    assert lines[39].startswith(" enter runs of job  / filter  < > sort  esc runs")
    assert "T tracking" in lines[39]


async def test_at_eighty_cells_it_is_the_drawn_screen() -> None:
    async with dashboard(store()) as opened:
        await open_jobs(opened)
        lines = opened.lines()
    assert lines[0].startswith(" prod  jobs  1 overdue  3 with trouble  2 ok ")
    assert lines[1] == " nightly_ledger has not begun: due 02:00, 1h 12m overdue."
    assert lines[2] == "  job               last 20 (half=p95)     success   usual  next"
    assert lines[3] == "▌ nightly_ledger    ▃▃▃▃▃▃▃▃▃▃▃▃▃▄▃▃▃▃▃!     30/30     12m  overdue 1h 12m"
    assert lines[5].endswith("now ▲ 2.0×")
    assert lines[17].startswith("─ ! overdue 1h 12m  nightly_ledger ─")


@pytest.mark.parametrize("size", SIZES)
async def test_every_size_holds_the_jobs(size: tuple[int, int]) -> None:
    async with dashboard(store(), size=size) as opened:
        screen = await open_jobs(opened)
        assert len(opened.lines()) == size[1]
        assert len(keys(screen)) == 6
        await opened.pilot.resize_terminal(100, 20)
        await opened.pilot.pause()
        assert "nightly_ledger" in opened.text


async def test_an_empty_store_says_so() -> None:
    async with dashboard(FakeStore()) as opened:
        await open_jobs(opened)
        assert opened.lines()[1] == " No jobs yet."
        assert "no jobs yet" in opened.text


async def test_long_wide_and_hostile_names_keep_the_columns() -> None:
    names = ["x" * 200, "日本語の長い名前のジョブ" * 5, "🚀 deploy", "[/red] \x1b[31mevil", "a\u202eb"]
    runs = [run for n, name in enumerate(names) for run in ended_runs(name, 10 + n, count=6, since=60)]
    async with dashboard(FakeStore(runs=runs), size=(120, 30)) as opened:
        await open_jobs(opened)
        lines = [line for line in opened.lines() if "6/6" in line]
        assert len(lines) == 5
        assert "\x1b" not in opened.text
        assert "\u202e" not in opened.text
        assert "[/red]" in opened.text


async def test_enter_opens_the_runs_of_the_job_and_escape_comes_back_to_it() -> None:
    night = store()
    async with dashboard(night) as opened:
        jobs = await open_jobs(opened)
        await opened.press("j", "j", "enter")
        screen = opened.app.screen
        assert isinstance(screen, JobRunsScreen)
        await opened.until(lambda: len(keys(screen)) == 32)
        assert {run.job for run in night.runs if run.run_id in keys(screen)} == {"crm_contacts_sync"}
        assert "‹ jobs  crm_contacts_sync" in opened.lines()[0]
        await opened.press("escape")
        assert opened.app.screen is jobs
        assert jobs.selected is not None
        assert jobs.selected.job == "crm_contacts_sync"
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)
        await opened.until(lambda: len(keys(opened.app.screen)) > 100)


async def test_the_end_of_a_jobs_runs_that_are_listed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather_listing, "MOST_OF_JOB", 250)
    monkeypatch.setattr(home, "MOST_OF_JOB", 250)
    runs = ended_runs("crm", 10, count=300, since=60)
    async with dashboard(FakeStore(runs=runs)) as opened:
        await open_jobs(opened)
        await opened.press("enter")
        screen = opened.app.screen
        assert isinstance(screen, JobRunsScreen)
        await opened.until(lambda: len(keys(screen)) == 200)
        await opened.press("G")
        await opened.until(lambda: len(keys(screen)) == 250)
        assert "older ones" not in opened.text
        await opened.press("G")
        await opened.until(lambda: "the newest 250 of 300 runs are listed" in opened.text)


async def test_a_filter_of_a_jobs_runs_is_left_before_the_screen() -> None:
    async with dashboard(store()) as opened:
        await open_jobs(opened)
        await opened.press("j", "j", "enter")
        screen = opened.app.screen
        assert isinstance(screen, JobRunsScreen)
        await opened.until(lambda: len(keys(screen)) == 32)
        await opened.press("slash", *"state:lost", "enter")
        assert len(keys(screen)) == 1
        assert screen.command_line() == "etlwatch runs --job crm_contacts_sync state:lost"
        await opened.press("escape")
        assert (opened.app.screen, len(keys(screen))) == (screen, 32)


async def test_the_list_of_all_runs_never_shows_those_of_one_job_alone() -> None:
    async with dashboard(store()) as opened:
        home = opened.app.screen
        assert isinstance(home, HomeScreen)
        before = keys(home)
        await open_jobs(opened)
        await opened.press("j", "j", "enter")
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.job == "crm_contacts_sync")
        await opened.press("escape", "escape")
        assert keys(home) == before, "until the next poll the last list stays"


async def test_a_filter_takes_words_and_states_and_escape_leaves_it_first() -> None:
    async with dashboard(store()) as opened:
        screen = await open_jobs(opened)
        await opened.press("slash", *"_e !catalog", "enter")
        assert keys(screen) == ["invoices_export"]
        assert "/_e !catalog" in opened.lines()[0]
        await opened.press("slash")
        for _ in range(20):
            await opened.press("backspace")
        await opened.press(*"state:overdue,stalled", "enter")
        assert keys(screen) == ["nightly_ledger", "warehouse_orders"]
        await opened.press("escape")
        assert (len(keys(screen)), opened.app.screen) == (6, screen)
        await opened.press("slash", *"state:late")
        assert "no state 'late'" in opened.text


async def test_jobs_are_sorted_by_keys_and_by_a_click() -> None:
    async with dashboard(store(), size=(160, 40)) as opened:
        screen = await open_jobs(opened)
        await opened.press("greater_than_sign")
        assert screen.order == Order("job")
        assert keys(screen)[0] == "ads_metrics_pull"
        await opened.press("I")
        assert keys(screen)[0] == "warehouse_orders"
        await opened.press("less_than_sign")
        assert screen.order == Order()
        await opened.pilot.click("#jobs", offset=(72, 0))
        await opened.pilot.pause()
        assert screen.order == Order("usual")
        assert keys(screen)[0] == "warehouse_orders"


async def test_jobs_are_asked_for_only_while_they_are_in_front_and_when_they_changed() -> None:
    night = store()
    async with dashboard(night) as opened:
        await opened.poll()
        night.asked = Counter()
        await opened.poll()
        assert night.asked["job_names"] == 0
        await open_jobs(opened)
        assert night.asked["job_names"] == 1
        night.asked = Counter()
        night.runs.append(make_run("invoices_export", minutes_ago=0.5, number=77))
        opened.app.poller.interval = 0.2
        await opened.until(lambda: night.asked["runs of jobs"] > 0)
        opened.app.poller.interval = 3_600
        assert night.asked["runs of jobs"] <= 3, "only the job of the new run"
        await opened.press("escape")
        await opened.poll()
        night.asked = Counter()
        await opened.poll()
        assert night.asked["job_names"] == 0


async def test_at_a_past_moment_jobs_stand_as_they_stood() -> None:
    night = store()
    async with dashboard(night, size=(160, 40)) as opened:
        screen = await open_jobs(opened)
        opened.app.show_moment(night.clock - timedelta(hours=2))
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        await opened.pilot.pause()
        row = next(row for row in screen.rows.values() if row.job == "nightly_ledger")
        assert row.overdue_s is None, "at 01:12 it was not due"
        assert "as of" in opened.lines()[0] or "01:12" in opened.lines()[0]


async def test_a_second_press_goes_back_to_the_jobs_that_are_open() -> None:
    async with dashboard(store()) as opened:
        jobs = await open_jobs(opened)
        await opened.press("enter")
        assert isinstance(opened.app.screen, JobRunsScreen)
        await opened.press("J")
        assert opened.app.screen is jobs


async def test_copying_and_the_command_line_of_the_jobs() -> None:
    async with dashboard(store()) as opened:
        screen = await open_jobs(opened)
        assert screen.copy_text().splitlines()[0] == "nightly_ledger"
        assert "28 of its last 30" in screen.copy_text()
        assert screen.command_line() == "etlwatch jobs"


@pytest.mark.parametrize("width", [80, 120, 160])
async def test_the_runs_of_one_job_have_date_and_weekday_in_the_place_of_its_name(width: int) -> None:
    async with dashboard(store(), size=(width, 40)) as opened:
        await open_jobs(opened)
        await opened.press("enter")
        await opened.until(lambda: "began" in opened.text)
        lines = opened.lines()
    head = next(place for place, line in enumerate(lines) if " began " in line)
    assert re.search(r"[A-Z][a-z]{2} \d{2} [A-Z][a-z]{2} \d{2}:\d{2} ", lines[head + 1])
    assert "start" not in lines[head].split()
    assert "nightly_ledger" not in lines[head + 1]


async def test_at_eighty_cells_a_jobs_reasons_are_told_in_full() -> None:
    async with dashboard(night()) as opened:
        await open_jobs(opened)
        lines = opened.lines()
    assert lines[18:20] == [
        " because  throttled since 02:58: 32% of its requests in the last 5m were",
        "          answered 429, usually 0%",
    ]
