"""What is remembered between starts, and that nothing in its file can hurt."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from etlwatch.remembered import Remembered, recall, remember, state_file
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.night import night


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "etlwatch" / "dashboard.json"
    remember(path, Remembered(sort="err", inverted=True, window="24h"))
    assert recall(path) == Remembered(sort="err", inverted=True, window="24h")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["dashboard.json"]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[1, 2]", b'"sort"', b"\xff\xfe\x00", b"[" * 4_000, b"{" * 100_000,
        b'{"sort": 3, "inverted": "yes", "window": ["1h"]}', b'{"sort": "password", "window": "99y"}',
    ],
)  # fmt: skip
def test_garbage_means_the_defaults(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "dashboard.json"
    path.write_bytes(text)
    assert recall(path) == Remembered()


def test_what_makes_sense_is_taken_from_a_file_that_is_half_wrong(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.json"
    path.write_text('{"sort": "items", "inverted": 1, "window": "7d", "added later": true}')
    assert recall(path) == Remembered(sort="items", window="7d")


def test_a_place_that_cannot_be_written_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "etlwatch").write_text("a file where a directory should be")
    remember(tmp_path / "etlwatch" / "dashboard.json", Remembered(sort="err"))
    assert recall(tmp_path / "etlwatch" / "dashboard.json") == Remembered()
    assert recall(tmp_path) == Remembered()


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
    remember(state_file(os.environ), Remembered(sort="items"))
    async with dashboard(night(), size=(80, 24)) as opened:
        assert "state ↓" in opened.lines()[5]
    async with dashboard(night(), size=(160, 40)) as opened:
        assert "↓" in opened.text
        assert "state ↓" not in opened.text
