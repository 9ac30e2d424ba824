"""Watched runs: a glyph where they are, a toast and a bell when they change state, once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from etlwatch.analysis.snapshot import Watching
from etlwatch.tui.screens.home import HomeScreen
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import FakeStore, make_run
from tests.etlwatch.night import night


def change(store: FakeStore, run_id: int, **fields: object) -> None:
    store.runs = [replace(run, **fields) if run.run_id == run_id else run for run in store.runs]  # type: ignore[arg-type]


async def watch_first(opened: Dashboard, state: str = "running") -> int:
    await opened.press("slash", *f"state:{state}", "enter", "G", "b")
    home = opened.app.screen
    assert isinstance(home, HomeScreen)
    assert home.selected is not None
    return home.selected.run.run_id


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr("etlwatch.tui.app.EtlwatchApp.bell", lambda _self: rung.append("ring"))
    return rung


async def test_a_watched_run_is_marked_and_rings_when_it_changes(rings: list[str]) -> None:
    store = night()
    async with dashboard(store, size=(120, 40)) as opened:
        run_id = await watch_first(opened)
        assert any("♪" in line for line in opened.lines())
        await opened.poll()
        assert rings == []
        change(store, run_id, state="lost", evidence="no heartbeat for 31 s")
        await opened.poll()
        assert rings == ["ring"]
        assert "is lost, was running: no heartbeat for 31 s" in opened.toasts


async def test_an_end_is_told_once_and_then_the_run_is_no_longer_watched(rings: list[str]) -> None:
    store = night()
    async with dashboard(store, size=(120, 40)) as opened:
        run_id = await watch_first(opened)
        change(store, run_id, status="completed", state="completed", duration_s=62.0, ended_at=store.clock)
        await opened.poll()
        await opened.poll()
        assert rings == ["ring"]
        assert "is completed after 1m 02s, was running" in opened.toasts
        assert run_id not in opened.app.watching


async def test_the_same_key_takes_the_bell_away(rings: list[str]) -> None:
    store = night()
    async with dashboard(store) as opened:
        run_id = await watch_first(opened)
        await opened.press("b")
        assert not any("♪" in line for line in opened.lines()[5:20])
        change(store, run_id, state="lost")
        await opened.poll()
        assert rings == []


async def test_it_rings_while_the_display_is_paused_and_from_the_screen_of_the_run(rings: list[str]) -> None:
    store = night()
    async with dashboard(store) as opened:
        await opened.press("slash", *"state:running", "enter", "enter", "b")
        assert "♪" in opened.lines()[0]
        (run_id,) = [run.run_id for run in store.runs if run.run_id in opened.app.watching]
        await opened.press("p")
        change(store, run_id, state="lost")
        await opened.poll()
        assert rings == ["ring"]


async def test_a_run_that_has_ended_cannot_be_watched(rings: list[str]) -> None:
    async with dashboard(night()) as opened:
        await watch_first(opened, "completed")
        assert "its state will not change" in opened.toasts


async def test_in_ascii_the_mark_is_a_letter() -> None:
    async with dashboard(night(), ascii_only=True) as opened:
        await watch_first(opened)
        assert any(line[1:2] == "b" for line in opened.lines()[5:20])


def test_a_change_back_is_told_as_well() -> None:
    run = make_run(state="slow")
    watching = Watching()
    assert watching.toggle(run)
    assert watching.changes([replace(run, state="running")])[0].severity == "information"
    assert watching.changes([replace(run, state="stalled")])[0].severity == "warning"
    assert watching.changes([replace(run, state="stalled")]) == []
    assert watching.changes([]) == []
    assert run.run_id in watching


def test_hostile_names_are_made_safe() -> None:
    run = make_run("\x1b[2J[/x]", state="running")
    watching = Watching()
    watching.toggle(run)
    (told,) = watching.changes([replace(run, state="lost", evidence="\x1b]0;x\x07")])
    assert "\x1b" not in told.words
