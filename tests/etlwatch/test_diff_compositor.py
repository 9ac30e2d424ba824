"""Sending only changed cells leaves the terminal showing exactly what Textual's own full update would."""

import asyncio
import gc
import random
import weakref

import pyte
import pytest
from rich.segment import Segment
from rich.style import Style
from textual._styles_cache import StylesCache
from textual.app import ComposeResult
from textual.color import Color
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input, Static

from etlwatch.fields.runs import RUNS
from etlwatch.rendering.lines import Row
from etlwatch.tui.terminal.cells import Shadow
from etlwatch.tui.terminal.compositor import CellDiffing
from etlwatch.tui.theme import THEMES
from etlwatch.tui.widgets.line_table import LineTable
from etlwatch.tui.widgets.span_lines import SpanLines
from tests.etlwatch.drawn import drawn_rows
from tests.etlwatch.terminal import EmulatedDriver, looks, plain_path

WIDE = ["日本語のジョブ", "クロ crm 同期", "e\u0301tude cafe\u0301", "🎉 done 🎉", "ascii only", "混ab合"]


class Question(ModalScreen[None]):
    """A box over the screen, with wide letters at its edges."""

    CSS = (
        "Question { align: center middle; background: black 60%; } Static { width: 30; height: 5; border: solid red; }"
    )

    def compose(self) -> ComposeResult:
        yield Static("削除しますか\n[yes] 日本", markup=False)


class DiffApp(CellDiffing):
    """A table, a line, a scroll and an input."""

    CSS = "LineTable { height: 10; } VerticalScroll { height: 6; } Input { height: 3; }"

    def __init__(self, theme="etlwatch-dark"):
        super().__init__(driver_class=EmulatedDriver)
        self.wanted = theme
        self.table = LineTable(RUNS.layout(80))
        self.line = SpanLines([((WIDE[0], "blue"), (" clock 1", "dim"))])

    def compose(self) -> ComposeResult:
        yield self.line
        yield self.table
        with VerticalScroll():
            for number in range(20):
                yield Static(f"{number} {WIDE[number % len(WIDE)]}", markup=False)
        yield Input()

    def on_mount(self):
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.wanted
        self.table.update_rows(drawn_rows())
        self.table.focus()

    @property
    def terminal(self):
        return self._driver.screen

    async def settled(self, pilot):
        """Wait until all messages are handled and the frame that follows from them is on the terminal."""
        calm = 0
        for _ in range(200):
            await pilot.pause()
            pumps = (self.screen, *self.screen.walk_children())
            busy = self.message_queue_size or any(
                pump.message_queue_size or pump._repaint_required or pump._layout_required for pump in pumps
            )
            frame = self.screen._dirty_widgets or self.screen._compositor._dirty_regions
            calm = 0 if busy or frame else calm + 1
            if calm == 2:
                return
            await asyncio.sleep(0.002)
        raise AssertionError("the screen never came to rest")


async def play(app, script, size=(80, 24)):
    """Run `script(pilot)` in the app on an emulated terminal; its failures are ours."""
    failure = []

    async def pilot_script(pilot):
        try:
            await app.settled(pilot)
            await script(pilot)
        except BaseException as error:
            failure.append(error)
            raise
        finally:
            app.exit()

    await app.run_async(headless=False, size=size, auto_pilot=pilot_script)
    if failure:
        raise failure[0]


def assert_shown(app):
    """The terminal shows what the plain path would."""
    shown, wanted = looks(app.terminal), plain_path(app)
    for y, (line, expected) in enumerate(zip(shown, wanted, strict=True)):
        assert line == expected, f"line {y}: {''.join(cell for cell, _ in line)!r}"


@pytest.mark.parametrize("theme", ["etlwatch-dark", "etlwatch-ansi"])
async def test_keys_updates_and_scrolling_show_what_the_plain_path_shows(theme):
    app = DiffApp(theme)
    chosen = random.Random(7)

    async def script(pilot):
        assert_shown(app)
        for key in (
            "j",
            "j",
            "G",
            "g",
            "pagedown",
            "space",
            "tab",
            "down",
            "down",
            "pagedown",
            "tab",
            "a",
            "b",
            "left",
        ):
            await pilot.press(key)
            await app.settled(pilot)
            assert_shown(app)
        for step in range(10):
            rows = [
                Row(
                    key=row.key,
                    cells={**row.cells, "job": ((chosen.choice(WIDE), "plain"),), "err": ((str(step), "red"),)},
                    role=row.role,
                )
                if chosen.random() < 0.4
                else row
                for row in drawn_rows()
            ]
            chosen.shuffle(rows)
            app.table.update_rows(rows)
            app.line.update([((chosen.choice(WIDE), "amber"), (f" clock {step}", "dim"))])
            await app.settled(pilot)
            assert_shown(app)

    await play(app, script)


async def test_a_modal_comes_and_goes_without_a_trace():
    app = DiffApp()

    async def script(pilot):
        app.push_screen(Question())
        await app.settled(pilot)
        assert_shown(app)
        assert "削" in "".join(app.terminal.display)
        app.line.update([(("behind the box", "red"),)])
        await app.settled(pilot)
        assert_shown(app)
        app.pop_screen()
        await app.settled(pilot)
        assert_shown(app)
        app.action_command_palette()
        await app.settled(pilot)
        await pilot.press("q", "escape")
        await app.settled(pilot)
        assert_shown(app)

    await play(app, script)


async def test_a_resized_terminal_is_drawn_whole():
    app = DiffApp()

    async def script(pilot):
        for size in [(100, 30), (40, 12), (40, 12), (20, 5), (160, 40), (80, 24)]:
            app._driver.resize(*size)
            await pilot.pause(0.2)
            await app.settled(pilot)
            assert app.size == size
            assert_shown(app)

    await play(app, script)


async def test_coming_back_from_another_program_draws_everything():
    app = DiffApp()

    async def script(pilot):
        with app.suspend():
            assert "#" * 80 in app.terminal.display
        await app.settled(pilot)
        assert_shown(app)
        app._driver.deface()
        app.repaint()
        await app.settled(pilot)
        assert_shown(app)

    await play(app, script)


async def test_a_change_of_theme_is_drawn():
    app = DiffApp()

    async def script(pilot):
        for theme in ("etlwatch-light", "etlwatch-ansi", "etlwatch-mono", "etlwatch-dark"):
            app.theme = theme
            await app.settled(pilot)
            assert_shown(app)

    await play(app, script)


class Noise(SpanLines):
    """Lines of any segments at all, as a widget of Textual's may draw them."""

    LETTERS = ("a", " ", "日", "e\u0301", "█", "🎉", "x", "  ")
    STYLES = (
        Style(),
        Style(color="red"),
        Style(color="#123456", bgcolor="#fedcba"),
        Style(bold=True, underline=True),
        Style(reverse=True, color="blue"),
        Style(strike=True, italic=True),
        Style(color="default", bgcolor="default"),
    )

    def __init__(self, seed):
        super().__init__()
        self.chosen = random.Random(seed)
        self.strips = {}

    def shake(self):
        for y in range(self.size.height):
            if self.chosen.random() < 0.5:
                segments = [
                    Segment(
                        self.chosen.choice(self.LETTERS) * self.chosen.randint(1, 4), self.chosen.choice(self.STYLES)
                    )
                    for _ in range(30)
                ]
                # The emulator wraps a mark that belongs to the last column; terminals do not.
                strip = Strip(segments).adjust_cell_length(self.size.width - 1, Style())
                self.strips[y] = Strip.join([strip, Strip([Segment("|")])])
        self.refresh()

    def render_line(self, y):
        return self.strips.get(y, Strip.blank(self.size.width))


@pytest.mark.parametrize("seed", range(3))
async def test_any_sequence_of_frames_ends_in_the_right_cells(seed):
    class NoiseApp(DiffApp):
        CSS = "Noise { height: 1fr; }"

        def compose(self) -> ComposeResult:
            yield Noise(seed)

        def on_mount(self):
            self.noise = self.query_one(Noise)

    app = NoiseApp()

    async def script(pilot):
        for _ in range(20):
            app.noise.shake()
            await app.settled(pilot)
            assert_shown(app)

    await play(app, script, size=(37, 9))


async def sent_for(app, change):
    """Return the bytes that one change costs."""
    cost = []

    async def script(pilot):
        before = len(app._driver.written)
        change(app)
        await app.settled(pilot)
        cost.append(len("".join(app._driver.written[before:]).encode()))
        assert_shown(app)

    await play(app, script)
    return cost[0]


def tick(app):
    app.line.update([((WIDE[0], "blue"), (" clock 2", "dim"))])


async def test_one_changed_cell_costs_a_few_bytes_and_nothing_costs_none():
    assert await sent_for(DiffApp(), tick) <= 40
    assert await sent_for(DiffApp(), lambda app: app.table.refresh()) == 0


RED, BLUE = Style(color="#ff0000", bgcolor="#101010"), Style(color="#0000ff", bgcolor="#101010")


def sent_after(first, *then):
    """Return what is sent for the segments `then` on a line that shows `first`."""
    shadow = Shadow()
    shadow.difference([(0, 0, [(text, style, None) for text, style in first])], "truecolor", (80, 24))
    return shadow.difference([(0, x, [(text, style, None)]) for x, text, style in then], "truecolor", (80, 24))


def test_blanks_between_words_cost_one_byte_each():
    words = [("one", RED), (" ", RED), ("two", RED), ("  ", BLUE), ("three", RED)]
    shadow = Shadow()
    sent = shadow.difference([(0, 0, [(text, style, None) for text, style in words])], "truecolor", (80, 24))
    assert sent.endswith("one two  three")


def test_an_attribute_is_turned_off_without_sending_the_colours_again():
    bold = RED + Style(bold=True)
    assert sent_after([("ab", bold)], (0, "x", bold), (1, "y", RED)).endswith("x\x1b[22my")


def test_neighbouring_pieces_are_sent_without_moving_the_cursor():
    assert sent_after([("│a", RED)], (0, "┃", RED), (1, "b", RED)) == "\r┃b"
    assert sent_after([("日本a", RED)], (0, "語", RED), (4, "b", RED)) == "\r語\x1b[5Gb", "a wide letter may be wider"


def test_a_few_equal_cells_are_sent_again_and_many_are_jumped_over():
    assert sent_after([("abcdefghijkl", RED)], (0, "Abc", RED), (3, "D", RED)) == "\rAbcD"
    assert sent_after([("abcdefghijkl", RED)], (0, "A", RED), (9, "J", RED)) == "\rA\x1b[8CJ"


def test_letters_of_one_colour_are_sent_together_where_that_is_shorter():
    shadow = Shadow()
    lines = [(y, 0, [("key  ", RED, None), ("help", BLUE, None)]) for y in range(5)]
    sent = shadow.difference(lines, "truecolor", (80, 24))
    assert sent.count("38;2;255;0;0") == sent.count("38;2;0;0;255") == 1
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(sent)
    assert screen.display[:5] == [f"{'key  help':<80}"] * 5
    assert {screen.buffer[y][5].fg for y in range(5)} == {"0000ff"}


async def test_switched_off_the_updates_are_textuals_own():
    app = DiffApp()
    app.cell_diffing = False
    assert await sent_for(app, lambda app: app.table.refresh()) > 1_000


async def test_the_cursor_of_an_input_is_followed_when_no_cell_changes():
    app = DiffApp()

    async def script(pilot):
        app.query_one(Input).focus()
        await app.settled(pilot)
        await pilot.press("a")
        await app.settled(pilot)
        assert (app.terminal.cursor.x, app.terminal.cursor.y) == tuple(app.cursor_position)

    await play(app, script)


def test_lines_of_widgets_that_are_gone_are_let_go():
    kept = [StylesCache() for _ in range(150)]
    for cache in kept:
        cache.get_inner_outer(Color(0, 0, 0), Color(1, 1, 1))
    gone = [weakref.ref(cache) for cache in kept]
    del kept, cache
    CellDiffing.clear_style_cache()
    gc.collect()
    assert not any(each() for each in gone)
