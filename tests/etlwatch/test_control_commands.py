"""Keys, palette and help of what changes the store: offered where it is allowed, greyed with the reason where not."""

from __future__ import annotations

import pytest

from etlwatch.commands import APP_COMMANDS, GROUPS
from etlwatch.config.settings import READ_ONLY
from etlwatch.text.spans import plain_text
from etlwatch.tui.dialogs.commands import help_lines
from etlwatch.tui.dialogs.tracking import TrackingBox
from tests.etlwatch.control_store import control_night
from tests.etlwatch.dashboard import dashboard

CHANGING = {"app.tracking", "app.cleanup", "home.close", "run.close"}


def test_it_is_declared_which_commands_change_the_store() -> None:
    declared = (*APP_COMMANDS, *GROUPS["home"], *GROUPS["run"])
    assert {command.name for command in declared if command.changes} == CHANGING


@pytest.mark.parametrize("refused", ["", READ_ONLY])
def test_help_greys_what_may_not_be_done_and_says_why(refused: str) -> None:
    lines = help_lines(GROUPS["home"], refused=refused)
    for key in ("T", "X", "C"):
        (line,) = [line for line in lines if plain_text(line).startswith(f"{key:<13}")]
        assert [role for _, role in line] == (["dim", "dim"] if refused else ["blue", "text"])
    assert sum(READ_ONLY in plain_text(line) for line in lines) == bool(refused)


async def test_the_palette_greys_what_may_not_be_done_and_says_why() -> None:
    async with dashboard(control_night(), size=(120, 50)) as opened:
        await opened.press("colon")
        await opened.until(lambda: "Clean up old runs" in opened.text)
        for title in ("Clean up old runs", "Tracking: show it", "Close a lost run"):
            (line,) = [line for line in opened.lines() if title in line]
            assert "read-only" in line
        (line,) = [line for line in opened.lines() if "Invert the order" in line]
        assert "read-only" not in line


async def test_the_palette_offers_it_where_it_is_allowed() -> None:
    async with dashboard(control_night(), size=(120, 50), may_write=True) as opened:
        await opened.press("colon")
        await opened.until(lambda: "Clean up old runs" in opened.text)
        assert "read-only" not in opened.text
        await opened.press(*"tracking")
        await opened.until(lambda: "Clean up old runs" not in opened.text)
        await opened.press("enter")
        await opened.until(lambda: isinstance(opened.app.screen, TrackingBox))


async def test_polls_go_on_below_the_boxes() -> None:
    store = control_night()
    async with dashboard(store, may_write=True) as opened:
        for key in ("T", "X", "C"):
            await opened.press(key)
            await opened.poll()
            assert opened.lines()[0]
            await opened.press("escape")


async def test_a_lost_connection_below_a_box_changes_no_box() -> None:
    store = control_night()
    async with dashboard(store, may_write=True) as opened:
        await opened.press("C")
        store.break_down()
        opened.app.poller.refresh()
        await opened.until(lambda: opened.app.lost is not None)
        assert "Close a run of prod" in opened.text
        await opened.press("escape", "q")
    assert opened.app.return_value == 0
