"""What is remembered between starts, and that nothing in its file can hurt."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import cast

import pytest

from etlwatch.analysis.series import WINDOWS, window_called
from etlwatch.fields.field import Order
from etlwatch.tui.screens.errors import ErrorsScreen
from etlwatch.tui.screens.jobs import JobsScreen
from etlwatch.tui.view_state import load_window, save_window, state_file
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.night import night


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "etlwatch" / "dashboard.json"
    save_window(path, window_called("24h"))
    assert load_window(path) == window_called("24h")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["dashboard.json"]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[1, 2]", b'"sort"', b"\xff\xfe\x00", b"[" * 4_000, b"{" * 100_000,
        b'{"window": ["1h"]}', b'{"window": "99y"}', b'{"window": {}}',
    ],
)  # fmt: skip
def test_garbage_means_the_defaults(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "dashboard.json"
    path.write_bytes(text)
    assert load_window(path) is None


def test_a_file_of_another_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    path.write_text('{"orders": {"runs": ["items", true]}, "window": "7d", "added later": true}')
    assert load_window(path) == window_called("7d")


def test_a_place_that_cannot_be_written_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "etlwatch").write_text("a file where a directory should be")
    save_window(tmp_path / "etlwatch" / "dashboard.json", WINDOWS[0])
    assert load_window(tmp_path / "etlwatch" / "dashboard.json") is None
    assert load_window(tmp_path) is None


def test_it_is_kept_where_the_xdg_specification_says() -> None:
    assert state_file({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/etlwatch/dashboard.json")
    assert state_file({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/etlwatch/dashboard.json")


async def test_the_window_comes_back_with_the_next_start_and_every_list_starts_with_the_worst() -> None:
    async with dashboard(night()) as opened:
        await opened.press("greater_than_sign", "I", "w")
        assert "job ↓" in opened.lines()[5]
        assert "by job ↓" in opened.lines()[0], "a chosen order is named"
    assert state_file(os.environ).exists()
    async with dashboard(night()) as again:
        assert "state ↓" in again.lines()[5]
        assert "by job" not in again.text
        assert again.app.window.name == "24h"


async def test_each_list_keeps_its_own_order_until_the_program_ends() -> None:
    async with dashboard(night()) as opened:
        await opened.press("J", "greater_than_sign", "E", "greater_than_sign", "I", "q", "q")
        assert "state ↓" in opened.lines()[5]
        await opened.press("J")
        assert cast(JobsScreen, opened.app.screen).order == Order("job")
        await opened.press("E")
        assert cast(ErrorsScreen, opened.app.screen).order == Order("count", inverted=True)
