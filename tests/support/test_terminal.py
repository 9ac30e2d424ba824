"""The terminal drives real programs, and its screen shows what a person would see."""

import re
import sys

import pytest

from tests.support.screen import EmulatedScreen
from tests.support.terminal import Terminal
from tests.support.unprivileged import alive


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_typed_text_comes_back_on_the_screen() -> None:
    with Terminal(["cat"]) as terminal:
        terminal.send("héllo 世界")
        terminal.press("enter")
        terminal.wait_for(re.compile("héllo 世界\nhéllo 世界"))
        terminal.press("ctrl+d")
        assert terminal.wait_for_exit() == 0


def test_program_sees_a_terminal_of_the_given_size_and_its_changes() -> None:
    code = """
import os, signal
show = lambda *_: print(os.get_terminal_size(), os.isatty(0), flush=True)
signal.signal(signal.SIGWINCH, show)
show()
while True: signal.pause()
"""
    with Terminal(python(code), columns=100, lines=30) as terminal:
        terminal.wait_for("columns=100, lines=30) True")
        terminal.resize(120, 10)
        terminal.wait_for("columns=120, lines=10) True")
        assert len(terminal.lines) == 10


def test_exit_status_and_last_words_are_kept() -> None:
    with Terminal(python("import sys; print('last words'); sys.exit(7)")) as terminal:
        assert terminal.wait_for_exit() == 7
        assert terminal.lines[0] == "last words"


def test_ctrl_c_reaches_the_program_through_its_terminal() -> None:
    code = """
import time
try:
    print("ready", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    raise SystemExit(42)
"""
    with Terminal(python(code)) as terminal:
        terminal.wait_for("ready")
        terminal.press("ctrl+c")
        assert terminal.wait_for_exit() == 42


def test_hang_up_ends_the_program_with_sighup() -> None:
    with Terminal(python("import time; print('ready', flush=True); time.sleep(600)")) as terminal:
        terminal.wait_for("ready")
        terminal.hang_up()
        assert terminal.wait_for_exit() == -1


def test_waiting_for_what_never_comes_shows_the_screen() -> None:
    with Terminal(["cat"]) as terminal:
        terminal.send("what is there")
        terminal.wait_for("what is there")
        with pytest.raises(TimeoutError, match="what is there"):
            terminal.wait_for("what is not", timeout=0.1)


def test_waiting_ends_with_the_program() -> None:
    with Terminal(["echo", "bye"]) as terminal, pytest.raises(TimeoutError, match=r"(?s)the program ended.*bye"):
        terminal.wait_for("never")


def test_raw_bytes_are_kept_beside_the_screen() -> None:
    with Terminal(python(r"print('\x1b[1;31mred\x1b[0m \x1b[>1u\x1b[?2026$pplain')")) as terminal:
        terminal.wait_for_exit()
        assert b"\x1b[1;31mred" in terminal.output
        assert terminal.lines[0] == "red plain"
        cell = terminal.screen.cell(*terminal.screen.find("red"))
        assert (cell.fg, cell.bold) == ("red", True)


def test_closing_ends_a_program_that_will_not_leave() -> None:
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    with Terminal(python(code)) as terminal:
        terminal.wait_for("up")
        pid = terminal.pid
    assert not alive(pid)


def test_size_and_colour_of_the_surrounding_terminal_are_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("NO_COLOR", "1")
    with Terminal(["env"], environment={"GIVEN": "yes", "HOME": None}, lines=100) as terminal:
        terminal.wait_for_exit()
        names = {line.split("=")[0] for line in terminal.lines}
    assert "GIVEN" in names
    assert not names & {"COLUMNS", "NO_COLOR", "HOME"}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_sequences_split_anywhere_are_understood(size: int) -> None:
    data = "a\x1b[?1049h\x1b[2J\x1b[Hb\x1b[>4;1m\x1bP+q544e\x1b\\\x1b[<u\x1b]22;text\x07c\x1b]2;title\x07世x".encode()
    screen = EmulatedScreen(20, 3)
    for start in range(0, len(data), size):
        screen.feed(data[start : start + size])
    assert screen.lines == ["bc世x", "", ""]
    assert screen.find("x") == (4, 0)
    assert screen.title == "title"
    assert not screen.cell(0, 0).underscore


def test_leaving_the_alternate_screen_brings_the_first_one_back() -> None:
    screen = EmulatedScreen(20, 2)
    screen.feed(b"$ program\r\n\x1b[?1049h\x1b[Hfull screen")
    assert (screen.alternate, screen.lines) == (True, ["full screen", ""])
    screen.feed(b"\x1b[?1049l")
    assert (screen.alternate, screen.lines, screen.cursor) == (False, ["$ program", ""], (0, 1))


def test_terminal_answers_where_its_cursor_is() -> None:
    replies: list[bytes] = []
    screen = EmulatedScreen(20, 2, replies.append)
    screen.feed(b"abc\x1b[6n")
    assert replies == [b"\x1b[1;4R"]
