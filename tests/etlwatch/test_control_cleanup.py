"""The box of the clean-up: nothing goes without its count typed, and what it says is what happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from etlwatch.config.settings import READ_ONLY
from etlwatch.tui.dialogs.cleanup import CleanupBox, Stage
from etlwatch.tui.widgets.inputs import Choice
from tests.etlwatch.control_store import WEEKS_PLAN, ControlStore, control_night, make_plan
from tests.etlwatch.dashboard import Dashboard, dashboard
from tracking_core.errors import StoreRefused, StoreUnavailable


@pytest.fixture
def store() -> Iterator[ControlStore]:
    store = control_night()
    yield store
    if store.gate is not None:
        store.gate.set()


def box(opened: Dashboard) -> CleanupBox:
    screen = opened.app.screen
    assert isinstance(screen, CleanupBox)
    return screen


async def planned(opened: Dashboard) -> CleanupBox:
    await opened.press("X")
    await opened.until(lambda: box(opened).stage is Stage.PLANNED)
    await opened.pilot.pause()
    return box(opened)


async def removed(opened: Dashboard) -> None:
    await opened.press(*"1287", "enter", "enter")
    await opened.until(lambda: box(opened).stage is Stage.OVER)
    await opened.pilot.pause()


def changes(store: ControlStore) -> list[tuple[object, ...]]:
    return [operation for operation in store.operations if operation[0] in ("cleanup", "step")]


# -- the plan


async def test_it_shows_the_plan_as_it_is_drawn(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        text = opened.text
        for words in (
            "─ Clean up prod ─",
            "Runs that ended before  2026-09-26 04:12:44 CEST  30 days ago",
            "                        2026-09-26 02:12:44 UTC",
            "crm_contacts_sync                 412    8,201,884    1,204   Feb 02",
            "all                             1,287   11,482,019    4,310",
            "Kept    3 running: a run that has not ended is never removed",
            "no undo",
            "written to the audit",
            "Type 1287 to confirm  [          ]  removal unlocks when it matches",
            "▸ [ Cancel ]    [ Remove 1,287 runs ]",
        ):
            assert words in text, words


async def test_cancel_has_the_keys_and_enter_changes_nothing(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        await opened.press("enter")
        assert not isinstance(opened.app.screen, CleanupBox)
        assert not changes(store)
        assert store.open_administrations == 0


async def test_keys_typed_ahead_close_one_box_and_nothing_below_it(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        cleanup.action_cancel()
        cleanup.action_cancel()
        await opened.pilot.pause()
        assert len(opened.app.screen_stack) == 1
        assert not isinstance(opened.app.screen, CleanupBox)


@pytest.mark.parametrize("typed", ["1286", "12", "", "12870", "0"])
async def test_only_the_very_count_unlocks_the_removal(store: ControlStore, typed: str) -> None:
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        await opened.press(*typed)
        assert not cleanup.unlocked
        assert cleanup.query_one("#act", Choice).locked
        await opened.press("enter", "tab", "tab", "enter")
        assert not changes(store)


async def test_the_count_may_be_typed_with_commas_and_takes_two_more_keys(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        await opened.press(*"1,287")
        assert cleanup.unlocked
        assert "it matches: enter goes on" in opened.text
        await opened.press("enter")
        assert not changes(store)
        assert isinstance(cleanup.focused, Choice)
        assert cleanup.focused.id == "act"


async def test_many_jobs_are_folded_into_the_sum_of_the_rest(store: ControlStore) -> None:
    store.plan = make_plan(*((f"job_{index:04}", 1_000 - index, 10, 1, 40 + index) for index in range(1_000)))
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        (rest,) = [line for line in opened.lines() if "995 more jobs" in line]
        assert "495,510" in rest
        assert "Type 500500 to confirm" in opened.text
        assert opened.lines()[-2].count("[ Remove 500,500 runs ]") == 1


async def test_hostile_job_names_are_shown_and_not_obeyed(store: ControlStore) -> None:
    names = ("[@click=app.quit]gone[/]", "\x1b]0;owned\x07\u202eevil", "名前" * 60, "x" * 200)
    store.plan = make_plan(*((name, 1, 1, 1, 60) for name in names))
    async with dashboard(store, size=(120, 40), may_write=True) as opened:
        await planned(opened)
        text = opened.text
        assert "[@click=app.quit]gone[/]" in text
        assert "␛]0;owned␇‹U+202E›evil" in text
        assert "\x1b" not in text
        assert all("│" in line for line in opened.lines() if "名前" in line or "xxx" in line)


async def test_a_store_with_nothing_old_says_so(store: ControlStore) -> None:
    store.plan = make_plan()
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        assert "Nothing to remove: no finished run ended before then." in opened.text
        await opened.press("0", "enter")
        assert not changes(store)


async def test_an_empty_store_is_not_asked_for_a_plan(store: ControlStore) -> None:
    store.runs = []
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        assert "The store holds no runs." in opened.text
        assert "2026-09-26 04:12:44 CEST  30 days ago" in opened.text
        assert store.administrations == 0


async def test_other_days_are_one_key_away_or_typed(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        await opened.press("1", "d")
        await opened.until(lambda: cleanup.stage is Stage.PLANNED)
        await opened.pilot.pause()
        assert cleanup.days == 90
        assert "[90 days]" in opened.text
        assert "Type 1287 to confirm  [          ]" in opened.text, "what was typed for other days is gone"
        await opened.press("o", *"14", "enter")
        await opened.until(lambda: cleanup.stage is Stage.PLANNED)
        await opened.pilot.pause()
        assert cleanup.days == 14
        assert "14 days ago" in opened.text
        await opened.press("o", "0", "enter")
        await opened.until(lambda: cleanup.stage is Stage.PLANNED)
        await opened.pilot.pause()
        assert "CET  every finished run" in opened.text


async def test_the_command_that_does_the_same_can_be_copied_also_while_the_count_is_typed(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        await opened.press("1", "Y")
        assert opened.app.clipboard == "etlwatch cleanup --older-than 30d --yes"


async def test_weeks_that_are_dropped_and_what_waits_for_its_own_are_named(store: ControlStore) -> None:
    store.plan = WEEKS_PLAN
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        for words in (
            "Kept    3 running   s keeps the last success of each job (5)",
            "How     drops 21 weeks of requests, cuts 1; 2.1G back; no undo;",
            "        38,120 requests stay hidden until their week is over",
            "Type 1287 to confirm",
        ):
            assert words in opened.text, words


async def test_a_plan_that_only_cuts_weeks_says_so(store: ControlStore) -> None:
    store.plan = replace(WEEKS_PLAN, dropped_weeks=0, dropped_bytes=0, waiting_requests=0)
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        assert "How     deletes from 1 week of requests; no undo" in opened.text


async def test_requests_removed_before_are_said_to_wait_for_a_clean_up_where_no_run_goes(store: ControlStore) -> None:
    store.plan = replace(make_plan(), dropped_weeks=2, dropped_bytes=2 << 20)
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        assert "Nothing to remove: no finished run ended before then." in opened.text
        assert "Drops   2 weeks of requests, 2M, of runs removed before: Y is" in opened.text


async def test_one_key_keeps_the_last_success_of_each_job_and_counts_again(store: ControlStore) -> None:
    store.plan = WEEKS_PLAN
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        await opened.press("1", "s")
        await opened.until(lambda: cleanup.stage is Stage.PLANNED)
        await opened.pilot.pause()
        assert "Kept    3 running, the last success of each job (5)   s lets it go" in opened.text
        assert "Type 1287 to confirm  [          ]" in opened.text, "what was typed for the other plan is gone"
        await opened.press("Y")
        assert opened.app.clipboard == "etlwatch cleanup --older-than 30d --keep-last-success --yes"
        await removed(opened)
        assert changes(store)[0] == ("cleanup", 30, WEEKS_PLAN.cutoff, "keep last success")


async def test_the_last_success_is_let_go_again_by_the_same_key(store: ControlStore) -> None:
    store.plan = WEEKS_PLAN
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        for _ in range(2):
            await opened.press("s")
            await opened.until(lambda: cleanup.stage is Stage.PLANNED)
        await opened.pilot.pause()
        assert "s keeps the last success of each job (5)" in opened.text


async def test_weeks_that_somebody_was_using_are_told_at_the_end(store: ControlStore) -> None:
    store.plan = WEEKS_PLAN
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        await removed(opened)
        assert "21 weeks of requests are in use: the next clean-up drops them." in opened.text


async def test_a_store_that_does_not_answer_is_said_in_the_box(store: ControlStore) -> None:
    store.fault = StoreUnavailable("server closed the connection [57P01]")
    async with dashboard(store, may_write=True) as opened:
        await opened.press("X")
        await opened.until(lambda: box(opened).stage is Stage.OVER)
        await opened.pilot.pause()
        assert "! no connection: server closed the connection [57P01]." in opened.text
        assert "Nothing was changed." in opened.text
        store.fault = None
        await opened.press("tab", "enter")
        await opened.until(lambda: box(opened).stage is Stage.PLANNED)


# -- without permission


async def test_without_permission_the_plan_is_shown_and_cannot_be_carried_out(store: ControlStore) -> None:
    async with dashboard(store) as opened:
        cleanup = await planned(opened)
        assert f"! {READ_ONLY}" in opened.text
        assert "to confirm" not in opened.text
        await opened.press(*"1287", "enter")
        assert not cleanup.unlocked
        assert not changes(store)


async def test_the_past_cannot_be_cleaned_up(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        opened.app.moment = opened.app.clock_now()
        await opened.press("X")
        assert not isinstance(opened.app.screen, CleanupBox)
        assert "a past moment cannot be changed" in opened.toasts


# -- the removal


async def test_what_was_planned_is_removed_at_the_planned_cutoff(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        look = cleanup._preview
        assert look is not None
        await removed(opened)
        assert changes(store) == [("cleanup", 30, look.plan.cutoff), ("step", 1_287)]
        assert "Removed 1,287 runs" in opened.text
        assert "With them 11,482,019 requests and 4,310 errors." in opened.text
        assert store.open_administrations == 0


async def test_progress_is_shown_and_stopping_takes_effect_between_two_steps(store: ControlStore) -> None:
    store.steps = [400, 400, 487]
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        store.gate = threading.Event()
        await opened.press(*"1287", "enter", "enter")
        assert cleanup.stage is Stage.REMOVING
        assert "▸ [ Stop ]" in opened.text
        await opened.press("enter")
        assert "stopping after this step" in opened.text
        store.gate.set()
        await opened.until(lambda: cleanup.stage is Stage.OVER)
        await opened.pilot.pause()
        done = sum(int(str(operation[1])) for operation in changes(store)[1:])
        assert done in (0, 400)
        assert f"Stopped: {done:,} runs removed" in opened.text
        assert f"{1_287 - done:,} of the plan stay." in opened.text


async def test_numbers_move_with_the_steps(store: ControlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etlwatch.tui.operations.REPORT_EVERY_S", 0.0)
    store.steps = [400, 887]
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        gate = store.gate = threading.Event()
        await opened.press(*"1287", "enter", "enter")
        real = store.wait
        reached = threading.Event()

        def one_step_then_wait() -> None:
            if ("step", 400) in store.operations:
                reached.set()
                gate.clear()
            real()

        store.wait = one_step_then_wait  # type: ignore[method-assign]
        gate.set()
        await opened.until(lambda: "400 of 1,287 runs removed" in opened.text)
        assert "31%" in opened.text
        store.wait = real  # type: ignore[method-assign]
        gate.set()
        await opened.until(lambda: cleanup.stage is Stage.OVER)


async def test_runs_that_changed_between_plan_and_removal_stop_it_before_it_begins(store: ControlStore) -> None:
    store.later_plans = [make_plan(("crm_contacts_sync", 500, 1, 1, 70), ("ads_metrics_pull", 900, 1, 1, 70))]
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        await opened.press(*"1287", "enter", "enter")
        await opened.until(lambda: "nothing was removed: 113 runs more would go now than planned" in opened.text)
        await opened.until(lambda: cleanup.stage is Stage.PLANNED)
        await opened.pilot.pause()
        assert not changes(store)
        assert "Type 1400 to confirm  [          ]" in opened.text
        assert not cleanup.unlocked


async def test_the_same_number_of_other_runs_is_a_change_too(store: ControlStore) -> None:
    store.later_plans = [make_plan(("crm_contacts_sync", 1_287, 1, 1, 70))]
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        await opened.press(*"1287", "enter", "enter")
        await opened.until(lambda: "nothing was removed: other runs would go now than planned" in opened.text)
        assert not changes(store)


async def test_a_connection_lost_in_the_middle_says_how_far_it_came(store: ControlStore) -> None:
    store.steps = [400, StoreUnavailable("server closed the connection (57P01)")]
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        await removed(opened)
        assert "! no connection: server closed the connection (57P01)." in opened.text
        assert "400 of 1,287 runs are known to be removed" in opened.text
        assert "[ Count again ]" in opened.text
        assert store.open_administrations == 0


async def test_somebody_elses_removal_meanwhile_is_said(store: ControlStore) -> None:
    store.steps = [1_280]
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        await removed(opened)
        assert "Removed 1,280 runs" in opened.text
        assert "7 of the plan were removed by another clean-up" in opened.text


async def test_a_role_that_may_not_delete_is_told_so(store: ControlStore) -> None:
    store.steps = [StoreRefused("permission denied for table runs")]
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        await removed(opened)
        assert "! refused: permission denied for table runs." in opened.text


async def test_a_box_that_is_left_while_it_removes_tells_the_end_in_a_toast(store: ControlStore) -> None:
    store.steps = [1_287]
    async with dashboard(store, size=(120, 40), may_write=True) as opened:
        await planned(opened)
        gate = store.gate = threading.Event()
        await opened.press(*"1287", "enter", "enter", "escape", "escape")
        assert not isinstance(opened.app.screen, CleanupBox)
        gate.set()
        await opened.until(lambda: "clean-up stopped: " in opened.toasts)


async def test_leaving_the_program_does_not_wait_for_a_removal(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await planned(opened)
        store.gate = threading.Event()
        await opened.press(*"1287", "enter", "enter", "ctrl+c")
    assert opened.app.return_value == 0
    store.gate.set()


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (80, 24), (160, 40)])
async def test_it_fits_any_terminal_and_survives_resizing(store: ControlStore, size: tuple[int, int]) -> None:
    store.plan = WEEKS_PLAN
    async with dashboard(store, may_write=True) as opened:
        cleanup = await planned(opened)
        await opened.pilot.resize_terminal(*size)
        await opened.pilot.pause()
        assert all(len(line) <= size[0] for line in opened.lines())
        assert "Cancel" in opened.text
        await opened.pilot.resize_terminal(80, 24)
        await opened.pilot.pause()
        assert "▸ [ Cancel ]" in opened.text
        assert cleanup.stage is Stage.PLANNED
