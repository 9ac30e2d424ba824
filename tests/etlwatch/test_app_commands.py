"""Commands: declared once, bound, shown, found in palette and help; and what those for every screen do."""

from __future__ import annotations

import base64
import re
import shlex

import pytest

from etlwatch.commands import APP_COMMANDS, GROUPS, MOVE_COMMANDS, Command, footer_of
from etlwatch.tui.app import EtlwatchApp
from etlwatch.tui.clipboard import MOST_BYTES, clipboard_part, clipboard_sequence, copied_file
from etlwatch.tui.dialogs.commands import HelpScreen, Palette, help_lines
from etlwatch.tui.screens.compare import CompareScreen
from etlwatch.tui.screens.errors import ErrorsScreen
from etlwatch.tui.screens.home import HomeScreen
from etlwatch.tui.screens.jobs import JobsScreen
from etlwatch.tui.screens.run import RunScreen
from etlwatch.tui.screens.zoom import ZoomScreen
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.fleet import FakeStore
from tests.etlwatch.night import night

SCREEN_CLASSES = {
    "home": HomeScreen, "run": RunScreen, "jobs": JobsScreen, "compare": CompareScreen, "errors": ErrorsScreen,
    "zoom": ZoomScreen,
}  # fmt: skip
ALL = tuple(command for name, group in GROUPS.items() if name != "move" for command in group)


def test_names_are_unique_and_keys_do_not_collide() -> None:
    names = [command.name for command in (*ALL, *MOVE_COMMANDS)]
    assert len(set(names)) == len(names)
    for group in (GROUPS[name] for name in SCREEN_CLASSES):
        # What moves and leaves the past stands before a screen's own keys, and only while the past is looked at.
        past = ("app.live", "app.earlier", "app.later")
        everywhere = [command for command in APP_COMMANDS if command.name not in past]
        keys = [key for command in (*group, *everywhere) for key in command.keys.split(",") if key]
        assert len(set(keys)) == len(keys)


def test_keys_that_terminals_and_shells_keep_for_themselves_are_left_alone() -> None:
    keys = {key for command in ALL for key in command.keys.split(",")}
    assert not keys & {"ctrl+s", "ctrl+q", "ctrl+d", "ctrl+h", "ctrl+j", "ctrl+m"}


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.name)
def test_every_command_has_somebody_who_does_it(command: Command) -> None:
    method = "action_" + re.sub(r"\(.*", "", command.action).removeprefix("app.")
    owner = {**SCREEN_CLASSES, "app": EtlwatchApp}[command.name.partition(".")[0]]
    assert callable(getattr(owner, method))


def test_help_names_every_command_with_its_key_once() -> None:
    lines = ["".join(text for text, _ in line) for line in help_lines(GROUPS["home"])]
    for command in (*GROUPS["home"], *APP_COMMANDS, *MOVE_COMMANDS):
        assert [line for line in lines if line.startswith(f"{command.shown:<13}") and command.help in line], (
            command.name
        )


def test_the_footer_shows_only_keys_of_commands() -> None:
    keys = footer_of((*GROUPS["home"], *APP_COMMANDS), {"home.window": "24h"})
    assert [key.word for key in keys if key.key == "w"] == ["24h"]
    assert keys[0].key == "enter"


async def test_help_opens_over_each_screen_with_its_own_keys_and_closes() -> None:
    async with dashboard(night(), size=(120, 50)) as opened:
        await opened.press("question_mark")
        assert isinstance(opened.app.screen, HelpScreen)
        assert "state:failed,lost job:sync* since:24h" in opened.text
        await opened.press("escape", "enter", "question_mark")
        assert "errors of the run and their tracebacks" in opened.text
        await opened.press("q")
        assert isinstance(opened.app.screen, RunScreen)


def test_help_names_each_command_before_its_example_and_what_the_mouse_does() -> None:
    helps = {command.name: command.help for command in ALL}
    for name in ("home.filter", "jobs.filter", "errors.filter"):
        assert helps[name].startswith("filter: ")
    assert helps["app.time"].startswith("time: ")
    assert helps["home.window"].startswith("window of the charts: ")
    lines = ["".join(text for text, _ in line) for line in help_lines(GROUPS["home"])]
    assert [line for line in lines if line.startswith("shift+drag") and "select text with the terminal" in line]


@pytest.mark.parametrize("opening", ["enter", "J", "E", "J enter", "z", "enter z", "X", "T"])
async def test_q_goes_one_step_back_and_quits_from_the_runs(opening: str) -> None:
    async with dashboard(night()) as opened:
        await opened.press(*opening.split())
        depth = len(opened.app.screen_stack)
        if opening == "T":
            # Its text field takes letters.
            opened.app.screen.set_focus(None)
        await opened.press("q")
        assert len(opened.app.screen_stack) == depth - 1
        assert opened.app.return_value is None
        for _ in range(depth - 1):
            assert opened.app.return_value is None
            await opened.press("q")
    assert opened.app.return_value == 0


@pytest.mark.parametrize("opening", [(), ("enter",), ("J", "enter"), ("z",), ("question_mark",), ("X",)])
async def test_capital_q_quits_from_anywhere_but_a_text_field(opening: tuple[str, ...]) -> None:
    async with dashboard(night()) as opened:
        await opened.press("slash", "Q")
        assert opened.app.return_value is None
        await opened.press("escape", *opening, "Q")
    assert opened.app.return_value == 0


async def test_a_keymap_gives_q_its_old_meaning() -> None:
    async with dashboard(night(), keymap={"app.leave": (), "app.quit": ("q",)}) as opened:
        await opened.press("enter", "question_mark", "q")
        assert isinstance(opened.app.screen, RunScreen)
        assert "q quit" not in opened.lines()[-1]
        await opened.press("q")
    assert opened.app.return_value == 0


async def test_a_message_covers_neither_the_pane_nor_the_next_screen() -> None:
    for size in ((80, 24), (120, 35)):
        async with dashboard(night(), size=size) as opened:
            pane = opened.lines()[-5:]
            await opened.press("y")
            await opened.until(lambda: "sent to terminal: " in opened.text)
            assert opened.lines()[-5:-1] == pane[:-1]
            assert "sent to terminal" not in "".join(opened.lines()[:2])
            await opened.press("enter")
            assert opened.toasts == ""
            await opened.press("y", "q")
            assert opened.toasts == ""


async def test_polls_go_on_under_the_help() -> None:
    store = night()
    async with dashboard(store) as opened:
        await opened.press("question_mark")
        await opened.poll()
        assert isinstance(opened.app.screen, HelpScreen)


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_the_palette_finds_and_runs_a_command_of_the_screen_below(key: str) -> None:
    async with dashboard(night(), size=(120, 40)) as opened:
        await opened.press(key)
        assert isinstance(opened.app.screen, Palette)
        await opened.until(lambda: "Invert the order" in opened.text)
        await opened.press(*"invert")
        await opened.until(lambda: "Pause the display" not in opened.text)
        await opened.press("enter")
        await opened.until(lambda: "state ↑" in opened.text)


async def test_the_palette_holds_no_command_of_textuals_own() -> None:
    async with dashboard(night(), size=(120, 60)) as opened:
        await opened.press("colon")
        await opened.until(lambda: "Quit" in opened.text)
        assert "Theme" not in opened.text
        assert "Screenshot" not in opened.text


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_quitting_leaves_with_status_nought(key: str) -> None:
    async with dashboard(night()) as opened:
        await opened.press(key)
    assert opened.app.return_value == 0


async def test_ctrl_c_leaves_from_the_prompt_and_from_help_too() -> None:
    for keys in (("slash", "ctrl+c"), ("question_mark", "ctrl+c"), ("colon", "ctrl+c")):
        async with dashboard(night()) as opened:
            await opened.press(*keys)
        assert opened.app.return_value == 0


async def test_pausing_stops_the_display_and_collecting_goes_on() -> None:
    store = night()
    async with dashboard(store) as opened:
        await opened.press("p")
        assert "paused  as of 03:12:44 CET" in opened.lines()[0]
        store.runs = store.runs[5:]
        before = opened.lines()[5:20]
        await opened.poll()
        assert opened.lines()[5:20] == before
        assert opened.app.latest is not opened.app.shown
        await opened.press("p")
        assert opened.lines()[5:20] != before
        assert "paused" not in opened.lines()[0]


async def test_plus_and_minus_step_through_the_intervals() -> None:
    async with dashboard(night(), interval=1.0) as opened:
        await opened.press("plus")
        assert opened.app.poller.interval == 2.0
        await opened.press("minus", "minus")
        assert opened.app.poller.interval == 0.5
        await opened.press("minus")
        assert opened.app.poller.interval == 0.5


async def test_copying_says_that_it_was_sent_and_to_whom() -> None:
    async with dashboard(night(), size=(120, 40)) as opened:
        await opened.press("y")
        home = opened.app.screen
        assert isinstance(home, HomeScreen)
        assert home.selected is not None
        assert opened.app.clipboard == home.selected.run.id
        await opened.until(lambda: "sent to terminal: " in opened.text)


async def test_the_command_line_of_each_screen_can_be_copied() -> None:
    async with dashboard(night()) as opened:
        await opened.press("Y")
        assert opened.app.clipboard == "etlwatch runs"
        await opened.press("slash", *"state:lost", "enter", "Y")
        assert opened.app.clipboard == "etlwatch runs state:lost"
        await opened.press("enter", "Y")
        screen = opened.app.screen
        assert isinstance(screen, RunScreen)
        assert opened.app.clipboard == f"etlwatch show {screen.view.run.id}"
        await opened.press("e", "Y")
        assert opened.app.clipboard == f"etlwatch errors {screen.view.run.id}"


async def test_the_command_line_names_the_store_that_is_looked_at() -> None:
    async with dashboard(night(), store_option=("--dsn", "host=db dbname='two words'")) as opened:
        await opened.press("Y")
        assert shlex.split(opened.app.clipboard) == ["etlwatch", "runs", "--dsn", "host=db dbname='two words'"]


async def test_with_nothing_to_copy_it_says_so() -> None:
    async with dashboard(FakeStore()) as opened:
        await opened.press("y")
        await opened.until(lambda: "nothing to copy here" in opened.text)


async def test_what_no_clipboard_takes_is_kept_in_a_file_for_its_owner_alone() -> None:
    async with dashboard(night(), size=(160, 40)) as opened:
        opened.app.copy("line\n" * MOST_BYTES)
        await opened.until(lambda: "too long: its beginning was sent to terminal; all of it is in" in opened.text)
    assert copied_file().read_text() == "line\n" * MOST_BYTES
    assert copied_file().stat().st_mode & 0o777 == 0o600


def test_the_clipboard_sequence_holds_nothing_but_base64_of_the_text() -> None:
    text = "\x1b]0;owned\x07 ü"
    plain = clipboard_sequence(text, {})
    payload = plain.removeprefix("\x1b]52;c;").removesuffix("\x07")
    assert base64.b64decode(payload).decode() == text
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", payload)


def test_multiplexers_get_the_sequence_wrapped() -> None:
    assert clipboard_sequence("x", {"TMUX": "/tmp/tmux"}).startswith("\x1b]52;c;eA==\x07\x1bPtmux;\x1b\x1b]52;c;")
    assert clipboard_sequence("x", {"STY": "1.pts"}).startswith("\x1bP\x1b]52;c;")
    long = clipboard_sequence("x" * 3_000, {"STY": "1.pts"})
    assert all(len(piece) <= 710 for piece in long.split("\x1b\\"))


def test_what_is_too_long_for_the_clipboard_is_cut_between_characters() -> None:
    text, cut = clipboard_part("ü" * MOST_BYTES)
    assert cut
    assert len(text.encode()) <= MOST_BYTES
    assert set(text) == {"ü"}
    assert clipboard_part("short") == ("short", False)


def test_help_is_short_enough_for_its_box() -> None:
    for command in (*ALL, *MOVE_COMMANDS):
        assert len(command.help) <= 53, command.name


async def test_in_tmux_copying_names_the_setting_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    async with dashboard(night(), size=(120, 40)) as opened:
        await opened.press("y")
        await opened.until(lambda: "set -g set-clipboard on" in opened.toasts)
