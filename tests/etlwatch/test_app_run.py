"""The run screen: every tab, for runs of every kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.widgets import ContentSwitcher

from etlwatch.analysis.run_rows import RunRow, verdict_of
from etlwatch.analysis.snapshot import RunDetails, Snapshot
from etlwatch.fields.endpoints import BUSIEST
from etlwatch.fields.field import Order
from etlwatch.rendering.run.phases import phases_lines
from etlwatch.rendering.run.view import TABS, view_of
from etlwatch.text.display import DisplayContext
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.requests_tab import RequestsTab
from etlwatch.tui.screens.run import RunScreen
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.scroll_lines import ScrollLines
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import NOW, FakeStore, make_error, make_phase, make_run
from tests.etlwatch.night import night
from tracking_core.records import EndpointTotals, Phase, Run, SourceCount

SIZES = [(80, 24), (120, 30), (160, 40), (200, 50)]


def snapshot_of(run: Run, *phases: Phase) -> Snapshot:
    details = RunDetails(run=run, run_id=run.run_id, phases=phases)
    return Snapshot(at=NOW, read_at=0.0, poll_ms=0.0, runs=(run,), phases={run.run_id: phases}, details=details)


async def open_slow(opened: Dashboard) -> RunScreen:
    """Open the slow run of the night and wait for its details."""
    await opened.press("j", "j", "j", "j", "enter")
    await opened.until(lambda: opened.app.shown is not None and opened.app.shown.details is not None)
    await opened.pilot.pause()
    screen = opened.app.screen
    assert isinstance(screen, RunScreen)
    return screen


async def test_at_eighty_cells_the_overview_is_the_drawn_screen() -> None:
    async with dashboard(night()) as opened:
        await open_slow(opened)
        lines = opened.lines()
    assert lines[0].startswith(" prod ‹ crm_contacts_sync 0007  01:30 etl-03")
    assert lines[1] == " ▲ slow since 02:40. Running 1h 42m, 1.8× its p95 of 56m. Phase load is 46m"
    assert lines[2] == " over its usual: since then /contacts answers in 3.0s at p95, usually 800ms."
    assert lines[3] == " [overview]  phases  requests  errors 16  source  delivery  timeline"
    assert lines[5].startswith(" time      1h 42m     51m     56m 1.8×   lat p95     3.0s")
    assert lines[9].startswith("─ phases  ━ done  ─ usual  │ p95  ░ expected end ─")
    assert lines[10].startswith(" ✓ step1     1m 00s        ━")
    assert lines[15].rstrip().endswith("now")
    assert lines[16].startswith("─ errors  16 in 2 groups ─")
    assert lines[17].startswith("    14× ReadTimeout   load     no answer within 10s")
    assert lines[20] == " source   774,000 of 1,048,210 fetched 74%"
    assert lines[21] == " delivery 104,409 of 104,412 stored; 3 on their way; 0 dropped"
    assert lines[22] == " success  00:30 took 49m; load +1h 13m alone is more than the difference"
    assert lines[23].startswith(" [ ] tabs  e errors  = compare  / search")


async def test_at_a_hundred_and_sixty_cells_the_last_success_stands_beside_the_completeness() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await open_slow(opened)
        lines = opened.lines()
    head = next(place for place, line in enumerate(lines) if "against its last success" in line)
    assert lines[head].startswith("─ completeness ─")
    assert "against its last success  00:30, 49m ──" in lines[head]
    assert lines[head + 1].startswith(" source   774,000 of 1,048,210 fetched 74%")
    assert lines[head + 1].split()[-6:] == ["load", "+1h", "13m", "136%", "so", "far"]
    assert "ReadTimeout in load      +14" in lines[head + 2]


async def test_the_last_success_is_read_once_for_each_run_that_is_opened() -> None:
    store = night()
    async with dashboard(store) as opened:
        await open_slow(opened)
        store.asked.clear()
        opened.app.poller.interval = 0.1
        await opened.until(lambda: store.asked["run"] >= 3)
        assert store.asked["runs_of_job"] == 0, "what was a success then is one now"
        assert "success  00:30 took 49m" in opened.text


async def test_a_run_without_a_success_before_it_says_so_in_the_overview() -> None:
    async with dashboard(FakeStore(runs=[make_run("crm", minutes_ago=5)])) as opened:
        await opened.press("enter")
        await opened.until(lambda: "success  no run of crm completed before this one" in opened.text)


@pytest.mark.parametrize("size", SIZES)
async def test_brackets_go_round_the_tabs_and_escape_goes_back(size: tuple[int, int]) -> None:
    async with dashboard(night(), size=size) as opened:
        screen = await open_slow(opened)
        seen = []
        for _ in TABS:
            seen.append(screen.query_one(ContentSwitcher).current)
            assert f"[{screen.tab}" in opened.text
            await opened.press("right_square_bracket")
        assert tuple(seen) == TABS
        assert screen.tab == TABS[0]
        await opened.press("left_square_bracket")
        assert screen.tab == TABS[-1]
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)


async def test_a_click_opens_a_tab() -> None:
    async with dashboard(night()) as opened:
        screen = await open_slow(opened)
        at = opened.lines()[3].index("source")
        await opened.pilot.click("#tabs", offset=(at + 2, 0))
        await opened.pilot.pause()
        assert screen.tab == "source"


async def test_phases_show_every_unit_and_memory() -> None:
    run = make_run("import", minutes_ago=5)

    phase = replace(
        make_phase(run, "load", 1, "running", rows=40, of_rows=100, files=7),
        memory_mb=412.0, peak_memory_mb=450.0, memory_limit_mb=2048.0,
    )  # fmt: skip
    async with dashboard(FakeStore(runs=[run], phase_list=[phase])) as opened:
        await opened.press("enter", "right_square_bracket")
        await opened.until(lambda: "rows 40 of 100 40%, 0.1/s   files 7" in opened.text)
        assert "memory ━━────────── 412M of 2G 20%, peak 450M" in opened.text
        assert "   began 03:" in opened.text
        assert "   ends 03:" in opened.text


async def test_a_phase_whose_name_is_cut_has_it_in_full_below() -> None:
    run = make_run("import", minutes_ago=5)
    phases = [make_phase(run, "load_conversations", 1), make_phase(run, "publish", 2, "running")]
    for width, cut in ((80, " ✓ load_co…"), (120, " ✓ 1 load_con…")):
        async with dashboard(FakeStore(runs=[run], phase_list=phases), size=(width, 24)) as opened:
            await opened.press("enter", "right_square_bracket")
            await opened.until(lambda cut=cut: any(line.startswith(cut) for line in opened.lines()))
            assert [line.strip() for line in opened.lines()].count("load_conversations") == 1
            assert "publish" not in [line.strip() for line in opened.lines()]


async def test_a_phase_close_to_its_memory_limit_is_marked() -> None:
    run = make_run("import", minutes_ago=5)
    phase = replace(make_phase(run, "load", 1, "running"), memory_mb=1_900.0, memory_limit_mb=2_048.0)
    view = view_of(RunRow(run=run, verdict=verdict_of(run, now=NOW)), snapshot_of(run, phase))
    said = [span for line in phases_lines(view, DisplayContext(NOW), width=120) for span in line]
    assert (" 1.9G of 2G 93%", "amber") in said


async def test_requests_show_a_chart_and_the_endpoints_busiest_first() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        screen = await open_slow(opened)
        await opened.press("right_square_bracket", "right_square_bracket")
        await opened.until(lambda: "throughput  requests/s" in opened.text and "█" in opened.text)
        assert [row.key for row in screen.query_one("#endpoints", LineTable).rows] == ["/contacts", "/companies"]
        row = next(line for line in opened.lines() if "/contacts" in line and "61.0k" in line)
        assert row.split() == ["▌", "/contacts", "61.0k", "67%", "14", "180", "6", "14", "0.3%", "825ms", "3.0s",
                               "3.0s", "10.0s", "900ms", "700k", "11"]  # fmt: skip
        assert "01:30" in opened.text


async def test_endpoints_are_sorted_by_a_click() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        screen = await open_slow(opened)
        await opened.press("right_square_bracket", "right_square_bracket")
        endpoints = screen.query_one("#endpoints", LineTable)
        await opened.pilot.click("#endpoints", offset=(4, 0))
        await opened.pilot.pause()
        assert [row.key for row in endpoints.rows] == ["/companies", "/contacts"]
        await opened.press("greater_than_sign", "greater_than_sign")
        assert "↓share" in opened.text
        await opened.press("I")
        assert [row.key for row in endpoints.rows] == ["/companies", "/contacts"]
        assert "by share ↑" in opened.lines()[0]
        await opened.press("q", "enter", "3")
        tab = opened.app.screen.query_one(RequestsTab)
        assert tab.order == Order("share", inverted=True), "until the program ends"
        await opened.press("escape")
        assert tab.order == BUSIEST
        assert "by share" not in opened.text
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)


async def test_errors_are_grouped_and_the_traceback_follows_the_cursor() -> None:
    async with dashboard(night()) as opened:
        await open_slow(opened)
        await opened.press("e")
        assert "ReadTimeout  2026-10-26 03:02:44 CET in load; 14 alike since" in opened.text
        await opened.press("j")
        assert 'File "load.py", line 88, in load' in opened.text
        assert "time data '0000-00-00' does not match '%Y-%m-%d'" in opened.text


async def test_a_traceback_of_ten_thousand_lines_scrolls_to_its_end() -> None:
    run = make_run("deep", minutes_ago=5, lasted_s=60, status="failed", errors=1)
    lines = [f'  File "deep.py", line {number}, in recurse' for number in range(10_000)]
    error = make_error(run, traceback="\n".join(["Traceback:", *lines, "RecursionError: too deep"]))
    async with dashboard(FakeStore(runs=[run], error_list=[error])) as opened:
        await opened.press("enter", "e")
        await opened.until(lambda: "line 3, in recurse" in opened.text)
        await opened.press("enter", "G")
        assert "RecursionError: too deep" in opened.text
        assert "line 9999, in recurse" in opened.text
        await opened.press("g")
        assert "line 3, in recurse" in opened.text
        await opened.press("escape")
        assert isinstance(opened.app.screen, RunScreen), "the first escape leaves the traceback"
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)


async def test_long_lines_of_a_traceback_scroll_sideways() -> None:
    run = make_run("wide", minutes_ago=5, lasted_s=60, status="failed", errors=1)
    error = make_error(run, traceback="start " + "x" * 100 + " the end")
    async with dashboard(FakeStore(runs=[run], error_list=[error])) as opened:
        await opened.press("enter", "e", "enter")
        assert "the end" not in opened.text
        await opened.hold("right_parenthesis", 8)
        assert "the end" in opened.text
        await opened.hold("shift+left", 8)
        assert " start xxx" in opened.text


async def test_digits_and_arrows_switch_tabs_and_d_opens_a_run() -> None:
    async with dashboard(night()) as opened:
        await opened.press("d")
        screen = opened.app.screen
        assert isinstance(screen, RunScreen)
        for place, tab in enumerate(TABS, start=1):
            await opened.press(str(place))
            assert screen.tab == tab
            assert screen.query_one(ContentSwitcher).current == tab
        await opened.press("right")
        assert screen.tab == TABS[0]
        await opened.press("left", "left")
        assert screen.tab == TABS[-2]
        await opened.press("slash", "1")
        assert screen.tab == "errors", "in the prompt a digit is text"


async def test_l_shows_the_end_of_the_errors() -> None:
    run = make_run("long", minutes_ago=5, lasted_s=60, status="failed", errors=1)
    trace = "\n".join(
        ["Traceback (most recent call last):", *(f"  line {n}" for n in range(90)), "KeyError: 'the end'"]
    )
    async with dashboard(FakeStore(runs=[run], error_list=[make_error(run, traceback=trace)])) as opened:
        # Before the errors were read, and from another tab after.
        await opened.press("enter", "l")
        await opened.until(lambda: "KeyError: 'the end'" in opened.text)
        await opened.press("g", "1", "l")
        await opened.until(lambda: "KeyError: 'the end'" in opened.text)
        assert opened.app.focused is not None
        assert opened.app.focused.id == "traceback"


async def test_sources_are_counted_against_what_was_fetched_and_loaded() -> None:
    run = make_run("sync", minutes_ago=60, lasted_s=600, items=900)
    store = FakeStore(
        runs=[run],
        source_list=[SourceCount(run_id=run.run_id, entity="contacts", items=1_000, at=run.started_at)],
        endpoint_list=[EndpointTotals(run_id=run.run_id, endpoint="/v2/contacts?page=", requests=9, items=900)],
        phase_list=[
            make_phase(run, "extract", 1, contacts=900),
            make_phase(run, "load", 2, contacts=890),
            make_phase(run, "report", 3, mails=3),
        ],
    )
    async with dashboard(store) as opened:
        await opened.press("enter")
        await opened.until(lambda: "900 of 1,000 fetched 90%" in opened.text)
        await opened.hold("left_square_bracket", 3)
        row = next(line for line in opened.lines() if line.startswith(" contacts"))
        assert row.split() == ["contacts", "1,000", "900", "90%", "890"]
        assert "else what a phase that reads counted" in " ".join(opened.text.split())
        assert not any(line.startswith(" mails") for line in opened.lines()), "a report neither reads nor writes"


async def test_a_run_without_anything_says_so_on_every_tab() -> None:
    async with dashboard(FakeStore(runs=[make_run("bare")])) as opened:
        await opened.press("enter")
        await opened.until(lambda: "no phases were recorded" in opened.text)
        assert "errors  none recorded" in opened.text
        for words in ("no phases were recorded", "no requests were recorded", "no errors were recorded",
                      "the source was not counted, and no phase", "no ledger was recorded",
                      "begin       bare on etl-03"):  # fmt: skip
            await opened.press("right_square_bracket")
            assert words in opened.text


async def test_a_moving_run_is_drawn_anew_with_every_poll() -> None:
    store = night()
    async with dashboard(store) as opened:
        await open_slow(opened)

        place = next(index for index, run in enumerate(store.runs) if run.requests == 91_200)
        store.clock += timedelta(seconds=61)
        store.runs[place] = replace(store.runs[place], requests=95_000, duration_s=6_211.0)
        await opened.poll()
        await opened.until(lambda: "95.0k" in opened.text)
        assert "1h 43m" in opened.text


async def test_a_run_that_was_removed_meanwhile_is_said_to_be_gone_and_stays_readable() -> None:
    store = night()
    async with dashboard(store) as opened:
        screen = await open_slow(opened)
        store.runs = [run for run in store.runs if run.run_id != screen.view.run.run_id]
        await opened.poll()
        await opened.until(lambda: "has been removed from the store" in opened.text)
        assert "crm_contacts_sync" in opened.lines()[0]


async def test_the_overview_scrolls_where_it_is_longer_than_the_screen() -> None:
    run = make_run("long", minutes_ago=5)
    phases = [make_phase(run, f"phase{number}", number) for number in range(1, 30)]
    async with dashboard(FakeStore(runs=[run], phase_list=phases)) as opened:
        await opened.press("enter")
        await opened.until(lambda: "more" in opened.text)
        assert "completeness" in opened.text
        await opened.press("right_square_bracket", "G")
        view = opened.app.screen.query_one("#phases", ScrollLines)
        assert view.top > 0
        assert "now" in opened.text


@pytest.mark.parametrize("status", ["completed", "failed", "terminated", "abandoned"])
async def test_every_ending_has_its_words(status: str) -> None:
    run = make_run("ended", minutes_ago=60, lasted_s=600, status=status, ended_by="signal SIGTERM")
    async with dashboard(FakeStore(runs=[run])) as opened:
        await opened.press("enter")
        assert f"{status} at 02:22, 50m ago, after 10m 00s" in opened.lines()[1]


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_with_much_of_everything_fits_the_screen_and_shows_what_runs(size: tuple[int, int]) -> None:
    run = make_run("会話インポート🚀" + "x" * 200, minutes_ago=5, requests=4_000, errors=200, notes="n" * 500)
    store = FakeStore(
        runs=[run],
        phase_list=[
            make_phase(run, f"phase {number}", number, "running" if number == 27 else "completed", rows=9, of_rows=20)
            for number in range(1, 41)
        ],
        error_list=[make_error(run, number, fingerprint=f"f{number % 37}", message="m" * 300) for number in range(200)],
        endpoint_list=[
            EndpointTotals(run_id=run.run_id, endpoint=f"/endpoint/{number}" + "z" * 200, requests=100 - number)
            for number in range(40)
        ],
    )
    async with dashboard(store, size=size) as opened:
        await opened.press("enter")
        await opened.until(lambda: "200 in 37 groups" in opened.text)
        lines = opened.lines()
        assert run.id[-4:] in lines[0]
        assert "03:12" in lines[0]
        assert any("phase 27" in line or "27 phase 2…" in line for line in lines if "●" in line)
        assert any(line.startswith(" delivery") for line in lines), "nothing below was pushed out"
        await opened.press("right_square_bracket", "right_square_bracket", "G")
        assert "/endpoint/39" in opened.text
        await opened.press("right_square_bracket", "G")
        assert "m" * 10 in opened.text


def known_night() -> FakeStore:
    """Return the night with the run's timeouts known from eight earlier runs of its job."""
    store = night()
    earlier = [run for run in store.runs if run.job == "crm_contacts_sync" and run.status == "completed"][:8]
    for run in earlier:
        error = make_error(run, 900, error_type="ReadTimeout", message="no answer within 10s", fingerprint="f2")
        store.error_list.append(error)
    return store


async def test_an_error_says_whether_it_is_new_and_when_its_phase_last_completed() -> None:
    async with dashboard(known_night(), size=(160, 40)) as opened:
        await open_slow(opened)
        block = [line for line in opened.lines() if "ValueError" in line or "ReadTimeout" in line]
        assert block[0].endswith("new in this run; first seen 03:01"), "what is new comes first"
        assert "known  22× in 9 runs since" in block[1]
        await opened.press("e")
        assert "new in this run; first seen 03:01; load last completed" in opened.text
        await opened.press("j")
        assert "known: 22× in 9 runs since" in opened.text


async def test_at_eighty_cells_known_is_said_in_a_word() -> None:
    async with dashboard(known_night()) as opened:
        await open_slow(opened)
        assert any(line.endswith("new 03:01") for line in opened.lines())
        assert any("in 9 runs" in line for line in opened.lines())
        await opened.press("e")
        assert any(line.rstrip().endswith("in 9 runs") for line in opened.lines())


async def test_what_other_runs_know_of_errors_is_not_asked_with_every_poll() -> None:
    store = known_night()
    async with dashboard(store) as opened:
        screen = await open_slow(opened)
        asked = store.asked["error_groups_named"]
        assert asked
        place = next(index for index, run in enumerate(store.runs) if run.run_id == screen.view.run.run_id)
        for number in range(3):
            store.runs[place] = replace(store.runs[place], errors=17 + number)
            opened.app.poller.watch = replace(opened.app.poller.watch, limit=201 + number)
            before = opened.app.latest
            await opened.until(lambda before=before: opened.app.latest is not before)
        assert store.asked["error_groups_named"] == asked


def deep_failure() -> FakeStore:
    """Return a failed run with an error of 10,000 lines and another one."""
    run = make_run("deep", minutes_ago=5, lasted_s=60, status="failed", errors=2)
    frames = [f'  File "deep.py", line {number}, in recurse\n    step({number})' for number in range(5_000)]
    text = "\n".join(["Traceback (most recent call last):", *frames, "RecursionError: too deep"])
    errors = [
        make_error(run, 2, traceback=text, fingerprint="deep", error_type="RecursionError", message="too deep"),
        make_error(run, 1, message="no step(7) here"),
    ]
    return FakeStore(runs=[run], error_list=errors)


async def test_a_search_goes_to_each_place_in_every_error_with_the_lines_before_it() -> None:
    async with dashboard(deep_failure()) as opened:
        await opened.press("e")
        await opened.until(lambda: "line 3, in recurse" in opened.text)
        await opened.press("slash", *"STEP(7", "right_parenthesis")
        assert "1 of 2 in 2 kinds of error" in opened.text
        await opened.press("enter")
        assert "step(7)" in opened.text
        assert "line 6, in recurse" in opened.text, "with its context"
        await opened.press("n")
        assert "no step(7) here" in opened.text
        await opened.press("N")
        assert "step(7)" in opened.text
        assert "no step(7) here" not in "\n".join(opened.lines()[8:])
        await opened.press("escape", "escape")
        assert isinstance(opened.app.screen, RunScreen), "the search, then the traceback are left first"
        await opened.press("escape")
        assert isinstance(opened.app.screen, HomeScreen)


async def test_a_search_for_what_is_nowhere_says_so_and_escape_ends_it() -> None:
    async with dashboard(deep_failure()) as opened:
        await opened.press("enter", "slash", *"zebra")
        assert "found nowhere" in opened.text
        assert isinstance(opened.app.screen, RunScreen)
        assert opened.app.screen.tab == "errors"
        await opened.press("escape")
        assert "found nowhere" not in opened.text
        assert isinstance(opened.app.screen, RunScreen)


async def test_of_a_traceback_too_long_for_a_clipboard_its_last_lines_are_copied() -> None:
    async with dashboard(deep_failure(), size=(120, 30)) as opened:
        await opened.press("e")
        await opened.until(lambda: "line 3, in recurse" in opened.text)
        await opened.press("y")
        assert opened.app.clipboard.endswith("RecursionError: too deep")
        assert opened.app.clipboard.startswith(("  File", "    step"))
        assert "too long: its last" in opened.text


async def test_the_list_of_runs_opens_the_errors_of_a_run() -> None:
    async with dashboard(deep_failure()) as opened:
        await opened.press("e")
        assert isinstance(opened.app.screen, RunScreen)
        assert "[errors 2]" in opened.text


async def test_the_timeline_tells_what_happened_in_order() -> None:
    store = known_night()
    async with dashboard(store, size=(120, 40)) as opened:
        await open_slow(opened)
        await opened.press("left_square_bracket")
        lines = opened.lines()
        assert "[timeline]" in opened.text
        assert any(
            line.startswith(" 01:30:14        +0s  begin       crm_contacts_sync on etl-03, pid 4121") for line in lines
        )
        assert any("source      950k contacts counted" in line for line in lines)
        assert any(
            "error       2× ValueError in load" in line or "error       ValueError in load" in line for line in lines
        )
        assert "running for 1h 42m" in next(line for line in reversed(lines) if "now" in line)
        times = [line[1:9] for line in lines if line[3:4] == ":" and line[6:7] == ":"]
        assert times == sorted(times)


async def test_a_resize_leaves_the_run_that_is_read() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        await open_slow(opened)
        reading = opened.app.poller.watch
        await opened.pilot.resize_terminal(80, 24)
        await opened.pilot.pause()
        assert opened.app.poller.watch == reading


async def test_the_last_lines_of_a_traceback_are_copied() -> None:
    run = make_run("deep", minutes_ago=5, errors=1)
    error = make_error(run, traceback="\n".join(f"line {n}" for n in range(10_000)))
    async with dashboard(FakeStore(runs=[run], error_list=[error])) as opened:
        await opened.press("enter", "L")
        assert "nothing to copy here" in opened.toasts
        await opened.press("e")
        await opened.until(lambda: "line 1" in opened.text)
        await opened.press("L")
        assert opened.app.clipboard.splitlines() == [f"line {n}" for n in range(9_980, 10_000)]
        assert "sent to terminal: line 9980 and 19 more lines" in opened.toasts


async def test_a_word_that_stands_everywhere_is_found_often_enough() -> None:
    run = make_run("deep", minutes_ago=5, errors=1)
    error = make_error(run, traceback="\n".join(f"line {n}" for n in range(5_000)))
    async with dashboard(FakeStore(runs=[run], error_list=[error])) as opened:
        await opened.press("enter", "e", "slash", *"line")
        assert "1 of 1,000+" in opened.lines()[-1]


async def test_a_verdict_that_a_line_does_not_hold_has_two_also_in_a_wide_terminal() -> None:
    async with dashboard(night(), size=(120, 40)) as opened:
        await open_slow(opened)
        await opened.poll()
        lines = opened.lines()
    assert lines[1].startswith(" ▲ slow since")
    assert "…" not in lines[1] + lines[2]
    assert "usually" in lines[2]
    assert lines[3].startswith(" [overview]")


async def test_at_eighty_cells_a_long_verdict_has_a_third_line() -> None:
    store = night()
    store.phase_list = [replace(each, phase=f"{each.phase}_into_the_warehouse") for each in store.phase_list]
    async with dashboard(store) as opened:
        await open_slow(opened)
        lines = opened.lines()
    assert " ".join(line.strip() for line in lines[2:4]).endswith("/contacts answers in 3.0s at p95, usually 800ms.")
    assert lines[4].startswith(" [overview]")


async def test_at_eighty_cells_endpoints_that_begin_alike_are_told_apart() -> None:
    store = night()
    store.endpoint_list = [replace(each, endpoint=f"/api/v2/organisations/{{id}}{each.endpoint}")
                           for each in store.endpoint_list]  # fmt: skip
    async with dashboard(store) as opened:
        await open_slow(opened)
        await opened.press("right_square_bracket", "right_square_bracket")
        await opened.until(lambda: "pages" in opened.lines()[-2])
        assert any(line.startswith("▌ /api/v2/orga…id}/contacts") for line in opened.lines()), opened.text
        assert "…d}/companies" in opened.text
