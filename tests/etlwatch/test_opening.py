"""A start shows a frame before Textual is loaded; the widgets take it over unchanged, and a failure leaves no trace."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pyte
import pytest
from rich.console import Console

from etlwatch.cli.dashboard import flags_of
from etlwatch.cli.options import flags
from etlwatch.cli.root import etlwatch
from etlwatch.config.options import options_with_flags
from etlwatch.config.settings import Flags
from etlwatch.tui.colours import color_system_of, palette, role_style
from etlwatch.tui.first_frame import FirstFrame, Line
from etlwatch.tui.terminal.cells import Shadow
from tests.etlwatch.cli_program import MAIN, PROJECT
from tests.etlwatch.dashboard import Dashboard, dashboard
from tests.etlwatch.fleet import FakeStore
from tests.etlwatch.night import night
from tests.etlwatch.terminal import looks, plain_path
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until
from tracking_core import SimpleETLTracker

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
SIZES = [(160, 40), (120, 30), (110, 28), (80, 24), (40, 12), (20, 5)]

Opened = Callable[..., AbstractContextManager[Terminal]]


class Silence:
    """A store that never answers."""

    label = "silence"

    def reader(self, deadline: float) -> Any:
        threading.Event().wait()


def frame_of(opened: Dashboard, theme: str) -> FirstFrame:
    """Return the first frame of the same dashboard."""
    app = opened.app
    width, height = app.size
    return FirstFrame(
        settings=app.settings, label=app.label, theme=theme, window=app.window, width=width, height=height
    )


def shown(lines: Sequence[Line], opened: Dashboard) -> list[list[Any]]:
    """Return what an emulated terminal shows after the lines."""
    app = opened.app
    theme, size = app.theme, (app.size.width, app.size.height)
    pieces = [
        (y, 0, [(text, role_style(theme, role, ground), None) for text, role in spans])
        for y, (spans, ground) in enumerate(lines)
    ]
    screen = pyte.Screen(*size)
    pyte.Stream(screen).feed(Shadow().difference(pieces, app.console.color_system, size))
    return looks(screen)  # type: ignore[no-any-return,no-untyped-call]


def assert_same(ours: list[list[Any]], theirs: list[list[Any]], width: int) -> None:
    """Compare cell by cell, but for the clock at the end of line 1, which goes on."""
    clock = 14 if width >= 100 else 10
    for y, (mine, widgets) in enumerate(zip(ours, theirs, strict=True)):
        stop = width - clock if y == 0 else width
        text = "".join(cell for cell, _ in widgets)
        assert mine[:stop] == widgets[:stop], f"line {y}: {text!r}"


@pytest.mark.parametrize(("size", "theme"), [*product(SIZES, ["dark"]), ((160, 40), "mono"), ((80, 24), "ansi")])
async def test_the_first_rows_are_the_cells_that_the_widgets_draw(size: tuple[int, int], theme: str) -> None:
    async with dashboard(night(), size=size, theme=theme) as opened:
        snapshot = opened.app.latest
        assert snapshot is not None
        frame = frame_of(opened, opened.app.theme)
        ours = shown(frame.with_runs(snapshot), opened)
        assert_same(ours, plain_path(opened.app), size[0])  # type: ignore[no-untyped-call]


async def test_an_empty_store_says_so_from_the_first_frame_on() -> None:
    async with dashboard(FakeStore()) as opened:
        snapshot = opened.app.latest
        assert snapshot is not None
        frame = frame_of(opened, opened.app.theme)
        assert_same(shown(frame.with_runs(snapshot), opened), plain_path(opened.app), 80)  # type: ignore[no-untyped-call]
        assert "no runs yet" in opened.text


@pytest.mark.parametrize("size", SIZES)
async def test_the_frame_before_any_answer_is_what_the_widgets_draw_then(size: tuple[int, int]) -> None:
    async with dashboard(Silence(), size=size, wait=False) as opened:
        await opened.until(lambda: opened.text.strip())
        await opened.pilot.pause()
        frame = frame_of(opened, opened.app.theme)
        ours = shown(frame.connecting(datetime.now(UTC)), opened)
        assert_same(ours, plain_path(opened.app), size[0])  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "environ",
    [
        {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
        {"TERM": "xterm-256color"},
        {"TERM": "xterm-kitty"},
        {"TERM": "linux-16color"},
        {"TERM": "vt100", "COLORTERM": "24bit"},
        {"TERM": "vt100"},
        {"TERM": "dumb", "COLORTERM": "truecolor"},
        {},
    ],
)
def test_colours_are_found_as_rich_finds_them(environ: dict[str, str]) -> None:
    assert color_system_of(environ) == Console(force_terminal=True, _environ=environ).color_system


# -- before the command line is parsed


def test_the_plain_options_are_those_of_the_command() -> None:
    declared = {
        name
        for parameter in etlwatch.params
        if parameter.name not in ("version", "help")
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    assert declared == {flag for option in options_with_flags() for names in option.flags for flag in names.split("/")}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--dsn", "sqlite:///x.db"],
        ["--dsn=postgresql://db/etl?a=b", "--theme=light", "-i", "2.5", "--no-mouse"],
        ["-t", "prod", "--write", "--ascii", "--theme", "mono"],
        ["--write", "--read-only", "--interval=5", "--ascii", "--no-ascii", "--low-bandwidth"],
    ],
)
def test_plain_options_mean_what_the_command_makes_of_them(words: list[str]) -> None:
    context = etlwatch.make_context("etlwatch", list(words))
    assert flags_of(words) == Flags(**flags(context))


@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["--help"],
        ["--version"],
        ["--dsn"],
        ["--theme", "pink"],
        ["-i", "often"],
        ["-t=prod"],
        ["--dsn", "x", "y"],
    ],
)
def test_any_other_words_have_no_frame_before_they_are_parsed(words: list[str]) -> None:
    assert flags_of(words) is None


# -- in a terminal

IN_PLACE_OF_THE_APP = """
import importlib.abc, importlib.machinery, os, signal, sys, time
class Place(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "etlwatch.tui.app" else None
    def exec_module(self, module):
        {operation}
        sys.meta_path.remove(self)
        del sys.modules["etlwatch.tui.app"]
        sys.modules["etlwatch.tui.app"] = importlib.import_module("etlwatch.tui.app")
sys.meta_path.insert(0, Place())
"""


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Return an opener of the dashboard in a terminal; `operation` happens when the app would be loaded."""
    dsn = f"sqlite:///{tmp_path / 'tracking.db'}"
    tracker = SimpleETLTracker(dsn)
    tracker.end_run(tracker.start_run(job="invoices_export"), success=True)

    @contextmanager
    def open_terminal(*words: str, operation: str = "", lines: int = 24, **environment: str) -> Iterator[Terminal]:
        program = IN_PLACE_OF_THE_APP.format(operation=operation) + MAIN if operation else MAIN
        command = [sys.executable, "-c", program, "--dsn", dsn, *words]
        with Terminal(command, lines=lines, environment={"PYTHONPATH": str(PROJECT), **environment}) as terminal:
            yield terminal

    return open_terminal


def is_cooked(terminal: Terminal) -> bool:
    flags = terminal.modes
    return bool(flags & termios.ECHO and flags & termios.ICANON)


def test_the_first_rows_are_there_without_textual(opened: Opened) -> None:
    with opened(operation="time.sleep(60)") as terminal:
        terminal.wait_for("✓ completed")
        assert "enter open" in terminal.lines[-1]
        assert terminal.screen.alternate
        assert not is_cooked(terminal)


def test_rows_stay_when_the_store_is_lost_before_textual_is_there(opened: Opened, tmp_path: Path) -> None:
    aside = f"import os; os.rename({str(tmp_path / 'tracking.db')!r}, {str(tmp_path / 'aside.db')!r})"
    with opened("--interval", "0.2", operation=f"time.sleep(1); {aside}; time.sleep(1.5)") as terminal:
        terminal.wait_for("Retry ")
        assert "invoices_export" in terminal.text


def test_textual_takes_the_terminal_over_without_entering_it_again(opened: Opened) -> None:
    with opened() as terminal:
        terminal.wait_for("✓ completed")
        wait_until(lambda: b"\x1b[?1000h" in terminal.output, "Textual is there")
        terminal.press("J")
        terminal.wait_for("esc runs")
        terminal.press("Q")
        assert terminal.wait_for_exit() == 0
        assert terminal.output.count(ENTER) == terminal.output.count(LEAVE) == 1
        last_look = re.findall(rb"\x1b\[[0-9;]*m", terminal.output)[-1]
        assert last_look == b"\x1b[m", "the shell goes on in its own colours"
        assert is_cooked(terminal)
        assert not terminal.screen.alternate


def test_keys_typed_while_textual_is_loading_are_done_afterwards_and_not_echoed(opened: Opened) -> None:
    with opened(operation="time.sleep(1)") as terminal:
        terminal.wait_for("✓ completed")
        before = terminal.text
        terminal.press("J")
        time.sleep(0.2)
        assert terminal.text == before
        terminal.wait_for("esc runs")


def test_a_failure_before_textual_is_there_leaves_the_terminal_as_it_was(opened: Opened) -> None:
    with opened(operation="raise RuntimeError('the disk is gone')") as terminal:
        assert terminal.wait_for_exit() == 1
        assert "the disk is gone" in terminal.text
        assert not terminal.screen.alternate
        assert is_cooked(terminal)
        after = terminal.output.rpartition(LEAVE)[2]
        assert after.startswith(b"\x1b[?25h")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0), (signal.SIGQUIT, 131)]
)
def test_a_signal_before_textual_is_there_leaves_the_terminal_as_it_was(
    opened: Opened, number: signal.Signals, status: int
) -> None:
    with opened(operation="time.sleep(60)") as terminal:
        terminal.wait_for("✓ completed")
        os.kill(terminal.pid, number)
        assert terminal.wait_for_exit() == status
        assert not terminal.screen.alternate
        assert is_cooked(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_right_after_the_first_byte_leaves_the_terminal_as_it_was(
    opened: Opened, number: signal.Signals
) -> None:
    with opened(operation="time.sleep(60)") as terminal:
        wait_until(lambda: ENTER in terminal.output, "the first frame is there")
        os.kill(terminal.pid, number)
        terminal.wait_for_exit()
        assert not terminal.screen.alternate
        assert is_cooked(terminal)


def test_without_colour_the_first_frame_has_none(opened: Opened) -> None:
    with opened(operation="time.sleep(60)", NO_COLOR="1") as terminal:
        terminal.wait_for("✓ completed")
        assert b"38;" not in terminal.output
        assert b"48;" not in terminal.output
        assert palette("etlwatch-mono").shades is False


def test_in_ascii_the_first_frame_is(opened: Opened) -> None:
    with opened("--ascii", operation="time.sleep(60)") as terminal:
        terminal.wait_for("+ completed")
        assert terminal.output.isascii()


def test_a_dumb_terminal_has_no_first_frame(opened: Opened) -> None:
    with opened(operation="sys.exit(7)", TERM="dumb") as terminal:
        assert terminal.wait_for_exit() == 0
        assert b"\x1b" not in terminal.output


def test_the_smallest_terminal_has_a_first_frame(opened: Opened) -> None:
    with opened(operation="time.sleep(60)", lines=3) as terminal:
        terminal.wait_for("enter open")


def test_a_wrong_option_is_said_on_the_shells_screen(opened: Opened) -> None:
    with opened("--interval", "61") as terminal:
        assert terminal.wait_for_exit() == 2
        assert "61" in terminal.text
        assert not terminal.screen.alternate
        assert is_cooked(terminal)
