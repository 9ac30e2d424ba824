"""The box that closes a run: lost ones after a second key, living ones only with their id typed, ended ones never."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from etlwatch.config.settings import READ_ONLY
from etlwatch.tui.dialogs.closing import ClosingBox
from etlwatch.tui.operations import actor
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.run import RunScreen
from tests.etlwatch.control_store import ControlStore, control_night
from tests.etlwatch.dashboard import Dashboard, dashboard
from tracking_core.errors import StoreUnavailable


@pytest.fixture
def store() -> ControlStore:
    return control_night()


def chosen(opened: Dashboard) -> int:
    screen = opened.app.screen
    assert isinstance(screen, HomeScreen)
    assert screen.selected is not None
    return screen.selected.run.run_id


async def select(opened: Dashboard, state: str) -> int:
    await opened.press("slash", *f"state:{state}", "enter", "g")
    return chosen(opened)


async def test_a_lost_run_is_closed_with_a_reason(store: ControlStore) -> None:
    async with dashboard(store, size=(120, 40), may_write=True) as opened:
        run_id = await select(opened, "lost")
        await opened.press("C")
        text = opened.text
        assert "no heartbeat for 840 s" in text
        assert f"{actor()}, written to the audit" in text
        assert "▸ [ Cancel ]" in text
        await opened.press("up", *"host is gone", "enter", "enter")
        await opened.until(lambda: store.operations)
        assert store.operations == [("close", run_id, "host is gone")]
        await opened.until(lambda: f"is abandoned now, closed by {actor()}" in opened.toasts)
        assert isinstance(opened.app.screen, HomeScreen)


async def test_cancel_has_the_keys(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await select(opened, "lost")
        await opened.press("C", "enter")
        assert isinstance(opened.app.screen, HomeScreen)
        assert store.operations == []


async def test_a_run_that_lives_is_closed_only_with_its_id_typed(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        run_id = await select(opened, "running")
        await opened.press("C")
        assert re.search(r"It is \w+, not lost\.", opened.text)
        found = re.search(r"Type (\w{4}) to confirm", opened.text)
        assert found is not None
        await opened.press("down", "enter", "down", "down", "down", "enter")
        assert store.operations == []
        assert isinstance(opened.app.screen, ClosingBox)
        await opened.press("escape", "C", "up", *found.group(1).lower(), "enter", "enter")
        await opened.until(lambda: store.operations)
        assert store.operations == [("close", run_id, "")]


async def test_a_run_that_has_ended_has_nothing_to_close(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await select(opened, "completed")
        await opened.press("C")
        assert isinstance(opened.app.screen, HomeScreen)
        assert "is already completed; there is nothing to close" in opened.toasts


async def test_a_run_that_beats_again_meanwhile_is_left_alone(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        run_id = await select(opened, "lost")
        await opened.press("C")
        store.runs = [replace(run, state="running") if run.run_id == run_id else run for run in store.runs]
        await opened.press("tab", "enter")
        await opened.until(lambda: "it is running again, not lost; nothing was changed" in opened.text)
        assert store.operations == []


async def test_a_run_that_ends_in_the_same_moment_is_left_as_it_ended(store: ControlStore) -> None:
    store.closable = False
    async with dashboard(store, may_write=True) as opened:
        await select(opened, "lost")
        await opened.press("C", "tab", "enter")
        await opened.until(lambda: "it ended a moment ago; nothing was changed" in opened.text)
        assert isinstance(opened.app.screen, ClosingBox)


async def test_a_store_that_does_not_answer_is_said_in_the_box_and_can_be_asked_again(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await select(opened, "lost")
        await opened.press("C")
        store.fault = StoreUnavailable("connection refused")
        await opened.press("tab", "enter")
        await opened.until(lambda: "! no connection: connection refused; nothing was changed" in opened.text)
        store.fault = None
        await opened.press("tab", "enter")
        await opened.until(lambda: store.operations)


async def test_it_works_from_the_screen_of_a_run_too(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        run_id = await select(opened, "lost")
        await opened.press("enter")
        assert isinstance(opened.app.screen, RunScreen)
        await opened.press("C", "tab", "enter")
        await opened.until(lambda: store.operations)
        assert store.operations == [("close", run_id, "")]
        await opened.until(lambda: isinstance(opened.app.screen, RunScreen))


async def test_without_permission_it_says_why_not(store: ControlStore) -> None:
    async with dashboard(store) as opened:
        await select(opened, "lost")
        await opened.press("C")
        assert f"! {READ_ONLY}" in opened.text
        await opened.press("tab", "enter")
        assert store.operations == []


async def test_the_command_can_be_copied(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        run_id = await select(opened, "lost")
        run = next(run for run in store.runs if run.run_id == run_id)
        await opened.press("C", "Y")
        assert opened.app.clipboard == f"etlwatch close {run.id}"


async def test_hostile_text_is_shown_and_not_obeyed(store: ControlStore) -> None:
    evil = "[@click=app.quit]x[/] \x1b]0;owned\x07" * 9
    store.runs = [
        replace(run, job=evil, host=evil, evidence=evil) if run.state == "lost" else run for run in store.runs
    ]
    for size in ((80, 24), (20, 5), (160, 40)):
        async with dashboard(store, size=size, may_write=True) as opened:
            await select(opened, "lost")
            await opened.press("C")
            assert isinstance(opened.app.screen, ClosingBox)
            assert "\x1b" not in opened.text
            assert all(len(line) <= size[0] for line in opened.lines())
