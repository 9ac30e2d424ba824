"""The table: drawn as in the pictures, its cursor on its thing, only what changed drawn again."""

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region

from etlwatch.fields.runs import RUNS
from etlwatch.rendering.lines import Row
from etlwatch.text.display import ASCII, UNICODE
from etlwatch.text.safe import cell_width
from etlwatch.text.spans import Column, placed
from etlwatch.tui.colours import role_style
from etlwatch.tui.theme import THEMES
from etlwatch.tui.widgets.line_table import LineTable
from tests.etlwatch.drawn import SLOW, drawn_rows, picture

STATE = Column(key="state", header="state", width=6)
NAME = Column(key="name", header="name", width=8, grow=1)
COUNT = Column(key="count", header="count", width=5, align="right")
COLUMNS = (STATE, NAME, COUNT)


def row(key, name=None, count=0, role="plain"):
    cells = {"state": (("●", "plain"),), "name": ((name or f"run {key}", "plain"),), "count": ((str(count), "plain"),)}
    return Row(key=key, cells=cells, role=role)


def rows(*keys):
    return [row(key) for key in keys]


class TableApp(App[None]):
    """A screen with nothing but a table."""

    def __init__(self, columns=COLUMNS, glyphs=UNICODE, theme="etlwatch-dark", **options):
        super().__init__()
        self.glyphs = glyphs
        self.wanted = theme
        self.table = LineTable(columns, **options)
        self.heard = []

    def compose(self) -> ComposeResult:
        yield self.table

    def on_mount(self):
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = self.wanted
        self.table.focus()

    def on_line_table_row_highlighted(self, event):
        self.heard.append(("highlighted", event.key))

    def on_line_table_row_opened(self, event):
        self.heard.append(("opened", event.key))

    def on_line_table_row_marked(self, event):
        self.heard.append(("marked", event.key))

    def on_line_table_sort_requested(self, event):
        self.heard.append(("sort", event.column))


def shown(table):
    return [table.render_line(y).text.rstrip() for y in range(table.size.height)]


def style_at(table, y, x):
    """Return the style of one cell."""
    for segment in table.render_line(y):
        x -= cell_width(segment.text)
        if x < 0:
            return segment.style
    raise AssertionError("beyond the line")


@pytest.mark.parametrize(
    ("name", "size", "first", "glyphs"),
    [
        ("home160", (160, 16), 12, UNICODE),
        ("home120", (120, 16), 10, UNICODE),
        ("home80", (80, 16), 5, UNICODE),
        ("home80_ascii", (80, 16), 5, ASCII),
    ],
)
async def test_the_pictures_are_drawn_to_the_cell(name, size, first, glyphs):
    app = TableApp(RUNS.layout(size[0]), glyphs)
    async with app.run_test(size=size):
        app.table.update_rows(drawn_rows(glyphs), sort=("state", True))
        app.table.move_cursor(SLOW)
        assert shown(app.table)[:15] == picture(name)[first : first + 15]


async def test_growing_columns_take_what_is_left_over():
    for width in (80, 120, 160):
        layout = RUNS.layout(width)
        natural = {at.column.key: at.width for at in placed(layout, width)}
        assert natural["job"] == 18
        assert {at.column.key: at.width for at in placed(layout, width + 7)}["job"] == {80: 25, 120: 21, 160: 20}[width]
        assert sum(at.width for at in placed(layout, width + 31)) - sum(natural.values()) == 31


def test_between_the_drawn_layouts_the_note_is_kept_longer_than_the_rate():
    shown = {width: {at.column.key for at in placed(RUNS.layout(width), width)} for width in (119, 120, 129, 130, 160)}
    assert [("note" in shown[width], "rate" in shown[width]) for width in shown] == [
        (False, False), (True, False), (True, False), (True, False), (True, True),
    ]  # fmt: skip


def test_a_narrow_terminal_cuts_columns_at_its_edge():
    assert [(at.column.key, at.width) for at in placed(COLUMNS, 14)] == [("state", 6), ("name", 4)]
    assert placed(COLUMNS, 2) == ()


async def test_the_cursor_stays_on_its_key_when_rows_are_sorted_again():
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.update_rows(rows("a", "b", "c", "d"))
        await pilot.press("j")
        app.table.update_rows(rows("d", "c", "b", "a"))
        assert app.table.cursor_key == "b"
        assert app.table.cursor_index == 2
        await pilot.pause()
        assert app.heard == [("highlighted", "a"), ("highlighted", "b")]


@pytest.mark.parametrize(
    ("left", "lands_on"), [("acd", "c"), ("ad", "d"), ("a", "a"), ("dca", "c"), ("xyz", "y"), ("x", "x"), ("", None)]
)
async def test_the_cursor_goes_to_the_neighbour_of_a_row_that_is_gone(left, lands_on):
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.update_rows(rows(*"abcd"))
        app.table.move_cursor("b")
        app.table.update_rows(rows(*left))
        assert app.table.cursor_key == lands_on
        await pilot.pause()
        assert app.heard[-1] == ("highlighted", lands_on)


async def test_vi_and_arrow_keys_move_within_the_table():
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.update_rows(rows(*range(20)))
        seen = []
        for key in ("j", "down", "k", "up", "up", "G", "j", "g", "end", "home", "pagedown", "pagedown", "pageup"):
            await pilot.press(key)
            seen.append(app.table.cursor_key)
            assert app.table.cursor_index in app.table.visible_range
        assert seen == [1, 2, 1, 0, 0, 19, 19, 0, 19, 0, 4, 8, 4]


async def test_enter_opens_and_space_marks_and_stays():
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.update_rows(rows("a", "b", "c"))
        await pilot.press("space", "enter")
        assert app.table.marked == {"a"}
        assert [line[:2] for line in shown(app.table)[1:3]] == ["▌▸", "  "]
        await pilot.press("space")
        assert app.table.marked == frozenset()
        assert [word for word in app.heard if word[0] != "highlighted"] == [
            ("marked", "a"), ("opened", "a"), ("marked", "a"),
        ]  # fmt: skip
        app.table.action_mark()
        app.table.update_rows(rows("b", "c"))
        assert app.table.marked == frozenset()


async def test_a_click_selects_and_a_second_one_opens():
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.update_rows(rows("a", "b", "c"))
        await pilot.click(LineTable, offset=(5, 2))
        assert app.table.cursor_key == "b"
        assert ("opened", "b") not in app.heard
        await pilot.click(LineTable, offset=(5, 2))
        assert ("opened", "b") in app.heard
        await pilot.click(LineTable, offset=(11, 0))
        assert app.heard[-1] == ("sort", "name")
        await pilot.click(LineTable, offset=(5, 5))
        assert app.table.cursor_key == "b"


async def test_the_wheel_moves_the_view_and_not_the_cursor():
    app = TableApp()
    async with app.run_test(size=(40, 6)) as pilot:
        app.table.update_rows(rows(*range(20)))
        await pilot._post_mouse_events([events.MouseScrollDown], LineTable)
        assert app.table.visible_range == range(3, 8)
        assert app.table.cursor_key == 0
        await pilot.press("j")
        assert app.table.cursor_index in app.table.visible_range


async def test_a_shrinking_terminal_keeps_the_cursor_in_view():
    app = TableApp()
    async with app.run_test(size=(40, 20)) as pilot:
        app.table.update_rows(rows(*range(50)))
        app.table.move_cursor(17)
        await pilot.resize_terminal(30, 5)
        assert app.table.cursor_index in app.table.visible_range
        assert "▌" in shown(app.table)[app.table.cursor_index - app.table.visible_range.start + 1]


async def test_rows_given_before_the_first_layout_begin_at_the_top():
    app = TableApp()
    app.table.update_rows(rows(*range(5)))
    app.table.move_cursor(3)
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.pause()
        assert app.table.visible_range == range(5)
        assert shown(app.table)[1].split() == ["●", "run", "0", "0"]
        for lines, visible in ((4, range(1, 4)), (8, range(5))):
            await pilot.resize_terminal(40, lines)
            # A busy machine lays out later; what is never laid out so runs into the test's time limit.
            while app.table.visible_range != visible:
                await pilot.pause()


async def test_an_empty_table_says_so_and_keeps_its_header():
    app = TableApp(empty="No runs yet.")
    async with app.run_test(size=(40, 4)) as pilot:
        assert shown(app.table)[:2] == ["  state   name".ljust(35) + "count", "  No runs yet."]
        await pilot.press("j", "enter", "space", "G")
        app.table.set_empty("Nothing matches.")
        assert shown(app.table)[1] == "  Nothing matches."
        assert app.heard == []


HOSTILE = ["[/foo]", "[@click=app.quit]x[/]", "日本語の長いジョブ名", "👩‍👩‍👧 x", "x" * 200]


async def test_no_cell_is_parsed_and_every_line_is_as_wide_as_the_table():
    app = TableApp()
    async with app.run_test(size=(40, 8)):
        app.table.update_rows([row(place, name) for place, name in enumerate(HOSTILE)])
        for y in range(8):
            assert app.table.render_line(y).cell_length == 40
            assert cell_width(app.table.render_line(y).text) == 40
        lines = shown(app.table)
        assert "[/foo]" in lines[1]
        assert "[@click=app.quit]x[/]" in lines[2]
        assert "日本語の長いジョブ名" in lines[3]
        assert "…" in lines[5]


def record(monkeypatch, table):
    """Collect the regions that the table asks to have drawn again."""
    regions = []
    refresh = table.refresh

    def listen(*given, **options):
        regions.extend(given or [Region(0, 0, *table.size)])
        return refresh(*given, **options)

    monkeypatch.setattr(table, "refresh", listen)
    return regions


async def test_only_changed_rows_are_drawn_again(monkeypatch):
    app = TableApp()
    async with app.run_test(size=(40, 6)):
        app.table.update_rows(rows(*"abcdefgh"))
        regions = record(monkeypatch, app.table)
        app.table.update_rows(rows(*"abcdefgh"))
        assert regions == []
        changed = rows(*"abcdefgh")
        changed[2] = row("c", count=7)
        changed[7] = row("h", count=9)
        app.table.update_rows(changed)
        assert regions == [Region(0, 3, 40, 1)]
        assert shown(app.table)[3].endswith(" 7")
        regions.clear()
        changed[1] = row("b", role="dim")
        app.table.update_rows(changed)
        assert regions == [Region(0, 2, 40, 1)]


async def test_a_moving_cursor_draws_two_lines_and_a_removed_row_the_rest(monkeypatch):
    app = TableApp()
    async with app.run_test(size=(40, 6)):
        app.table.update_rows(rows(*"abc"))
        regions = record(monkeypatch, app.table)
        app.table.action_move(1)
        assert regions == [Region(0, 1, 40, 1), Region(0, 2, 40, 1)]
        regions.clear()
        app.table.update_rows(rows(*"ab"))
        assert regions == [Region(0, 3, 40, 1)]


async def test_only_visible_rows_are_computed():
    app = TableApp()
    computed = []

    def lazy(key):
        def cells():
            computed.append(key)
            return {"name": ((str(key), "plain"),)}

        return Row(key=key, cells=cells, version=1)

    async with app.run_test(size=(40, 11)) as pilot:
        app.table.update_rows([lazy(key) for key in range(5_000)])
        await pilot.pause()
        assert set(computed) == set(range(10))
        computed.clear()
        app.table.update_rows([lazy(key) for key in range(5_000)])
        await pilot.pause()
        assert computed == []
        await pilot.press("G")
        assert min(computed) == 4_990


async def test_rows_that_did_not_change_keep_their_strips():
    app = TableApp()
    async with app.run_test(size=(40, 6)):
        app.table.update_rows(rows(*"abc"))
        before = app.table.render_line(3)
        app.table.update_rows(rows(*"cab"))
        assert app.table.render_line(1) is before


async def test_the_selected_row_has_its_ground_and_dim_becomes_text():
    app = TableApp(RUNS.layout(160))
    async with app.run_test(size=(160, 16)):
        app.table.update_rows(drawn_rows())
        app.table.move_cursor(SLOW)
        assert style_at(app.table, 5, 0) == role_style("etlwatch-dark", "blue", "selected")
        assert style_at(app.table, 5, 36) == role_style("etlwatch-dark", "text", "selected")
        assert style_at(app.table, 4, 36) == role_style("etlwatch-dark", "dim")
        assert style_at(app.table, 10, 16) == role_style("etlwatch-dark", "dim")


@pytest.mark.parametrize("theme", ["etlwatch-ansi", "etlwatch-mono"])
async def test_without_shades_the_cursor_is_reversed_cells(theme):
    app = TableApp(RUNS.layout(160), theme=theme)
    async with app.run_test(size=(160, 16)):
        app.table.update_rows(drawn_rows())
        app.table.move_cursor(SLOW)
        line = [style_at(app.table, 5, x) for x in range(160)]
        assert [style.reverse is True for style in line] == [1 <= x < 34 for x in range(160)]
        assert style_at(app.table, 1, 4).bold


async def test_a_muted_table_recedes_whole():
    app = TableApp(RUNS.layout(160))
    async with app.run_test(size=(160, 16)):
        app.table.update_rows(drawn_rows())
        app.table.move_cursor(SLOW)
        app.table.muted = True
        greys = {role_style("etlwatch-dark", role).color for role in ("dim", "faint")}
        for y in range(15):
            for segment in app.table.render_line(y):
                assert segment.style.color in greys


async def test_the_arrow_of_the_sorted_column_never_moves_its_word():
    app = TableApp()
    async with app.run_test(size=(40, 4)):
        app.table.update_rows(rows("a"), sort=("count", True))
        assert shown(app.table)[0] == "  state   name".ljust(34) + "↓count"
        app.table.update_rows(rows("a"), sort=("name", False))
        assert shown(app.table)[0] == "  state   name ↑".ljust(35) + "count"
