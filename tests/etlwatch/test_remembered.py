"""What is remembered between starts, and that nothing in its file can hurt."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import cast

import pytest

from etlwatch.fields.field import Order
from etlwatch.tui.screens.errors import ErrorsScreen
from etlwatch.tui.screens.jobs import JobsScreen
from etlwatch.tui.view_state import ViewState, load_view_state, save_view_state, state_file
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.night import night


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "etlwatch" / "dashboard.json"
    save_view_state(path, ViewState(orders={"runs": Order("err", inverted=True), "jobs": Order()}, window="24h"))
    assert load_view_state(path) == ViewState(
        orders={"runs": Order("err", inverted=True), "jobs": Order()}, window="24h"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["dashboard.json"]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[1, 2]", b'"sort"', b"\xff\xfe\x00", b"[" * 4_000, b"{" * 100_000,
        b'{"orders": 3, "window": ["1h"]}', b'{"orders": {"runs": "err", "jobs": [1, 2]}, "window": "99y"}',
        b'{"orders": {"runs": ["err", 1], "jobs": ["job"], "kinds": []}}',
    ],
)  # fmt: skip
def test_garbage_means_the_defaults(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "dashboard.json"
    path.write_bytes(text)
    assert load_view_state(path) == ViewState()


def test_what_makes_sense_is_taken_from_a_file_that_is_half_wrong(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    path.write_text('{"orders": {"runs": ["items", true], "jobs": 1}, "window": "7d", "added later": true}')
    assert load_view_state(path) == ViewState(orders={"runs": Order("items", inverted=True)}, window="7d")


def test_a_place_that_cannot_be_written_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "etlwatch").write_text("a file where a directory should be")
    save_view_state(tmp_path / "etlwatch" / "dashboard.json", ViewState(orders={"runs": Order("err")}))
    assert load_view_state(tmp_path / "etlwatch" / "dashboard.json") == ViewState()
    assert load_view_state(tmp_path) == ViewState()


def test_it_is_kept_where_the_xdg_specification_says() -> None:
    assert state_file({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/etlwatch/dashboard.json")
    assert state_file({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/etlwatch/dashboard.json")


async def test_sort_and_window_come_back_with_the_next_start() -> None:
    async with dashboard(night()) as opened:
        await opened.press("greater_than_sign", "I", "w")
        assert "job ↓" in opened.lines()[5]
    assert state_file(os.environ).exists()
    async with dashboard(night()) as again:
        assert "job ↓" in again.lines()[5]
        assert again.app.window.name == "24h"


async def test_a_column_that_has_no_room_is_not_sorted_by() -> None:
    save_view_state(state_file(os.environ), ViewState(orders={"runs": Order("items")}))
    async with dashboard(night(), size=(80, 24)) as opened:
        assert "state ↓" in opened.lines()[5]
    async with dashboard(night(), size=(160, 40)) as opened:
        assert "↓" in opened.text
        assert "state ↓" not in opened.text


async def test_each_list_remembers_its_own_order() -> None:
    async with dashboard(night()) as opened:
        await opened.press("J", "greater_than_sign", "E", "greater_than_sign", "I")
    async with dashboard(night()) as again:
        assert "state ↓" in again.lines()[5]
        await again.press("J")
        assert cast(JobsScreen, again.app.screen).order == Order("job")
        await again.press("E")
        assert cast(ErrorsScreen, again.app.screen).order == Order("count", inverted=True)


async def test_a_column_that_no_list_has_is_not_sorted_by() -> None:
    save_view_state(state_file(os.environ), ViewState(orders={"runs": Order("password"), "jobs": Order("err")}))
    async with dashboard(night()) as opened:
        assert "state ↓" in opened.lines()[5]
        await opened.press("J")
        assert cast(JobsScreen, opened.app.screen).order == Order()
