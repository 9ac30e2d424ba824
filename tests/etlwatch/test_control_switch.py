"""The boxes of the tracking switch: how it stands, whom turning it touches, and that it takes two steps."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from etlwatch.config.settings import READ_ONLY
from etlwatch.tui.dialogs.tracking import TrackingBox, TurningBox
from etlwatch.tui.operations import actor
from etlwatch.tui.widgets.line_table import LineTable
from tests.etlwatch.control_store import DAY, ControlStore, control_night
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import NOW, make_run
from tracking_core.errors import StoreUnavailable
from tracking_core.records import Switch


@pytest.fixture
def store() -> ControlStore:
    return control_night()


async def listed(opened: Dashboard) -> TrackingBox:
    await opened.press("T")
    screen = opened.app.screen
    assert isinstance(screen, TrackingBox)
    await opened.until(lambda: screen.query_one(LineTable).rows)
    await opened.pilot.pause()
    return screen


async def turning(opened: Dashboard, *keys: str) -> TurningBox:
    await listed(opened)
    await opened.press(*keys, "enter")
    screen = opened.app.screen
    assert isinstance(screen, TurningBox)
    await opened.until(lambda: actor() in opened.text)
    return screen


async def test_it_says_how_tracking_stands_by_whom_and_why(store: ControlStore) -> None:
    async with dashboard(store, size=(160, 40), may_write=True) as opened:
        await listed(opened)
        text = opened.text
        for words in (
            "all jobs",
            "off",
            "Fri 04:12",
            "ana@bastion",
            "API being migrated",
            "on; it was never turned",
            "tracking off for invoices_export: API being migrated",
            "cleanup of 1,204 runs older than 90 days",
            "close run 06ABCDEFGH7KQ of warehouse_orders",
        ):
            assert words in text, words


async def test_all_jobs_stand_first_then_the_chosen_one_then_those_switched_off(store: ControlStore) -> None:
    store.runs.append(make_run("quiet job", minutes_ago=500, lasted_s=5))
    async with dashboard(store, may_write=True) as opened:
        box = await listed(opened)
        keys = [row.key for row in box.query_one(LineTable).rows]
        assert keys[:3] == [("all",), "crm_contacts_sync", "invoices_export"]
        assert keys[-1] == "quiet job"


async def test_it_names_the_live_runs_that_turning_touches(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await turning(opened)
        text = opened.text
        assert "Turn tracking off for all jobs" in text
        assert "7 live runs can only end once it is off:" in text
        assert text.count("crm_contacts_sync 2BA3") == 1
        assert "? crm_contacts_sync" in text
        assert f"{actor()}, written to the audit" in text


async def test_more_live_runs_than_fit_are_counted(store: ControlStore) -> None:
    store.runs += [make_run(f"job number {index}", minutes_ago=1, number=index) for index in range(200)]
    async with dashboard(store, may_write=True) as opened:
        await turning(opened)
        assert "207 live runs can only end" in opened.text
        assert "more  " in opened.text


async def test_thousands_of_jobs_are_listed_and_the_last_one_can_be_turned(store: ControlStore) -> None:
    store.runs += [make_run(f"z{index:04}", minutes_ago=9_000, lasted_s=1, number=index) for index in range(5_000)]
    async with dashboard(store, may_write=True) as opened:
        await listed(opened)
        await opened.press("G", "enter", "tab", "enter")
        await opened.until(lambda: store.operations)
        assert store.operations[0][:2] == ("turn", False)
        assert str(store.operations[0][2]).startswith("z4")


async def test_cancel_has_the_keys_and_nothing_is_turned(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await turning(opened)
        assert "▸ [ Cancel ]" in opened.text
        await opened.press("enter")
        assert isinstance(opened.app.screen, TrackingBox)
        await opened.press("escape")
        assert not isinstance(opened.app.screen, TrackingBox)
        assert store.operations == []


async def test_turning_all_jobs_off_with_a_reason(store: ControlStore) -> None:
    async with dashboard(store, size=(120, 40), may_write=True) as opened:
        await turning(opened)
        await opened.press("up", *"disk full", "enter", "enter")
        await opened.until(lambda: store.operations)
        assert store.operations == [("turn", False, None, "disk full")]
        await opened.until(lambda: isinstance(opened.app.screen, TrackingBox))
        await opened.until(lambda: "tracking is off for all jobs; 7 live runs can only end now" in opened.toasts)
        await opened.until(lambda: f"off since 03:12 by {actor()}: disk full" in opened.text)
        await opened.press("escape")
        await opened.until(lambda: "tracking off by" in opened.lines()[0])
        assert store.open_administrations == 0


async def test_turning_one_job_on_again(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await turning(opened, "j", "j")
        assert "Turn tracking on for invoices_export" in opened.text
        assert "this job records again within seconds" in opened.text
        await opened.press("tab", "enter")
        await opened.until(lambda: store.operations)
        assert store.operations == [("turn", True, "invoices_export", "")]


async def test_a_job_that_stays_off_with_all_jobs_is_said_to(store: ControlStore) -> None:
    store.switch_list.append(
        Switch(scope="global", job="", enabled=False, changed_at=NOW - DAY, changed_by="ana@bastion", reason="")
    )
    async with dashboard(store, may_write=True) as opened:
        await listed(opened)
        assert "off (all)" in opened.text
        await opened.press("j", "j")
        assert "this job stays off as long as tracking is off for all jobs" in " ".join(
            line.strip("│ ▌") for line in opened.text.replace("│", " ").split()
        )


async def test_a_store_that_does_not_answer_changes_nothing_and_says_so(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        box = await turning(opened)
        store.fault = StoreUnavailable("no answer within the deadline")
        await opened.press("tab", "enter")
        await opened.until(lambda: "! no connection: no answer within the deadline; nothing was changed" in opened.text)
        assert opened.app.screen is box
        assert store.operations == []
        store.fault = None
        await opened.press("tab", "enter")
        await opened.until(lambda: store.operations)


async def test_the_list_says_when_it_cannot_be_read(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        store.break_down("server closed it (57P01)")
        await opened.press("T")
        await opened.until(lambda: "no connection: server closed it (57P01)" in opened.text)
        store.heal()
        await opened.press("r")
        await opened.until(lambda: "all jobs" in opened.text)


async def test_a_box_closed_before_the_answer_tells_it_in_a_toast(store: ControlStore) -> None:
    async with dashboard(store, size=(120, 40), may_write=True) as opened:
        await turning(opened)
        store.gate = threading.Event()
        await opened.press("tab", "enter")
        assert "turning…" in opened.text
        await opened.press("escape", "escape")
        store.gate.set()
        await opened.until(lambda: "tracking is off for all jobs" in opened.toasts)


async def test_without_permission_it_is_shown_and_cannot_be_turned(store: ControlStore) -> None:
    async with dashboard(store) as opened:
        box = await listed(opened)
        assert f"! {READ_ONLY}" in opened.text
        await opened.press("enter")
        assert opened.app.screen is box
        assert store.operations == []


async def test_the_commands_can_be_copied(store: ControlStore) -> None:
    async with dashboard(store, may_write=True) as opened:
        await turning(opened)
        await opened.press("Y")
        assert opened.app.clipboard == "etlwatch tracking off --all"
        await opened.press("up", *"it's full", "down", "Y")
        assert opened.app.clipboard == "etlwatch tracking off --all --reason 'it'\"'\"'s full'"


async def test_hostile_names_and_reasons_are_shown_and_not_obeyed(store: ControlStore) -> None:
    evil = "[@click=app.quit]x[/] \x1b]0;owned\x07"
    store.runs.append(make_run(evil, minutes_ago=1))
    store.switch_list = [
        replace(store.switch_list[0], job=evil, reason=evil * 9, changed_by=evil),
        Switch(scope="global", job="", enabled=False, changed_at=NOW, changed_by=evil, reason=evil),
    ]
    async with dashboard(store, size=(120, 40), may_write=True) as opened:
        await listed(opened)
        assert "[@click=app.quit]x[/] ␛]0;owned␇" in opened.text
        await opened.press("j", "j", "enter")
        assert isinstance(opened.app.screen, TurningBox)
        assert "\x1b" not in opened.text


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (160, 40)])
async def test_both_boxes_fit_any_terminal(store: ControlStore, size: tuple[int, int]) -> None:
    async with dashboard(store, size=size, may_write=True) as opened:
        await listed(opened)
        await opened.press("enter")
        assert all(len(line) <= size[0] for line in opened.lines())
        assert "Cancel" in opened.text
        assert "Turn" in opened.text
