"""Whole charts, the lines at the screen's edges, and that only what changed is drawn again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.geometry import Region

from etlwatch.rendering.charts import Chart, Spark, chart_lines, plot_columns, spark_lines
from etlwatch.rendering.lines import Key, Part, lay_out, rule_line
from etlwatch.text.blocks import Layer, columns_of, resample
from etlwatch.text.display import ASCII, UNICODE
from etlwatch.text.safe import cell_width
from etlwatch.text.spans import plain_text
from etlwatch.tui.theme import THEMES
from etlwatch.tui.widgets.span_lines import BlockChart, Footer, HealthLine, Rule, SpanLines, SparkLines
from tests.etlwatch.drawn import picture
from tests.etlwatch.test_blocks import SPARK, heights, latency_layers

TIMES = ("02:12", "02:42", "03:12")


def cut(name, first, last, x, width):
    """Return a rectangle of a drawn screen."""
    return [line.ljust(200)[x : x + width] for line in picture(name)[first:last]]


def text_of(lines):
    return [plain_text(line) for line in lines]


def throughput():
    grid = cut("home160", 4, 10, 6, 45)
    return Chart(
        title=(("throughput", "dim"), ("  ", "plain"), ("262/s", "text bold")),
        aside=(("usual 380–450", "dim"),),
        layers=(Layer(values=heights(grid), role="chart-p99"),),
        top=48,
        top_label="600",
        usual=48 * 415 / 600,
        times=TIMES,
    )


def latency():
    return Chart(
        title=(("latency  p50 178ms  p95 2.1s  p99 2.9s", "dim"),),
        layers=tuple(latency_layers()),
        how="max",
        top=48,
        top_label="4s",
        edge_labels=(("p99", "dim"), ("p95", "text"), ("p50", "dim")),
        times=TIMES,
    )


def not_2xx():
    grid = cut("home160", 4, 10, 112, 45)
    crosses = {column for line in grid for column, cell in enumerate(line) if cell == "×"}
    grid = [line.replace("×", " ") for line in grid]
    return Chart(
        title=(("not 2xx  429 6.2%  5xx 0.1%  4xx 0.2%", "dim"),),
        aside=(("usual 0.4%", "dim"),),
        layers=(Layer(values=heights(grid), role="chart-p99", over=set(range(32, 45))),),
        top=48,
        top_label="10%",
        crosses=crosses,
        times=TIMES,
    )


@pytest.mark.parametrize(("chart", "x"), [(throughput(), 1), (not_2xx(), 107)])
def test_charts_are_drawn_as_in_the_picture(chart, x):
    assert text_of(chart_lines(chart, width=50, rows=6)) == cut("home160", 3, 11, x, 50)


def test_latency_is_labelled_where_its_layers_end():
    lines = text_of(chart_lines(latency(), width=50, rows=6))
    assert lines[:7] == cut("home160", 3, 10, 54, 50)
    # The last time stands below the last column, which is now; the picture has it below the labels.
    assert lines[7] == "     " + "02:12             02:42             03:12".ljust(45)


def test_labels_of_layers_that_end_together_do_not_cover_one_another():
    flat = [Layer(values=[1.0], role="chart-p99"), Layer(values=[1.0], role="chart-p95")]
    chart = Chart(title=(), layers=tuple(flat), top=6, top_label="6", edge_labels=(("p99", "dim"), ("p95", "dim")))
    assert [line[-3:] for line in text_of(chart_lines(chart, width=20, rows=6))[1:]] == [
        "   ", "   ", "   ", "   ", "p99", "p95",
    ]  # fmt: skip


def test_an_aside_gives_way_to_the_title():
    assert text_of(chart_lines(not_2xx(), width=44, rows=4))[0] == "not 2xx  429 6.2%  5xx 0.1%  4xx 0.2%".ljust(44)


def test_sparks_are_drawn_as_in_the_picture():
    values = tuple(UNICODE.blocks.index(block) for block in SPARK)
    sparks = [
        Spark(label="throughput", value=("262/s", "text bold"), values=values, top=8, aside="usual 415/s"),
        Spark(label="p95", value=("2.1s", "amber bold"), values=values, top=8, aside="usual 0.7s", over=range(25, 46)),
    ]
    lines = text_of(spark_lines(sparks, width=80))
    assert lines[0].rstrip() == picture("home80")[2]
    assert lines[1][:20] == picture("home80")[3][:20]
    assert text_of(spark_lines(sparks, width=80, glyphs=ASCII))[0].rstrip() == picture("home80_ascii")[2]


def test_values_are_put_together_or_repeated_to_fit():
    assert resample([1, 3, 5, None], 2) == (2.0, 5.0)
    assert resample([1, 3, 5, None], 2, how="max") == (3, 5)
    assert resample([1, 2], 4) == (1, 1, 2, 2)
    assert resample([None, None], 1) == (None,)
    assert resample([], 3) == ()
    assert columns_of({3}, 4, 2) == {1}
    assert columns_of({1}, 2, 4) == {2, 3}
    assert columns_of({7}, 4, 2) == columns_of({0}, 0, 2) == frozenset()


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=20), st.integers(0, 60), st.integers(1, 6))
def test_every_line_is_as_wide_as_the_chart(values, width, rows):
    chart = Chart(
        title=(("latency 日本", "dim"),), layers=(Layer(values=values, role="chart-p99"),), top=4, top_label="4s",
        crosses={0, 3}, usual=1, edge_labels=(("p99", "dim"),), times=TIMES,
    )  # fmt: skip
    assert {cell_width(line) for line in text_of(chart_lines(chart, width=width, rows=rows))} == {width}
    assert plot_columns(chart, width) <= width


LEFT = [
    Part((("etlwatch", "text bold"), (" prod", "blue"))),
    Part((("1 lost", "red"),), 1, gap=3),
    Part((("1 failed", "red"),), 1),
    Part((("5 done", "dim"),), 4),
]
RIGHT = [
    Part((("tracking on", "dim"),), 3),
    Part((("1s · 0.4ms", "dim"),), 2, gap=3),
    Part((("03:12:44 CET", "dim"),), gap=3),
]


@pytest.mark.parametrize(
    ("width", "left", "right"),
    [
        (90, "etlwatch prod   1 lost  1 failed  5 done", "tracking on   1s · 0.4ms   03:12:44 CET"),
        (80, "etlwatch prod   1 lost  1 failed", "tracking on   1s · 0.4ms   03:12:44 CET"),
        (70, "etlwatch prod   1 lost  1 failed", "1s · 0.4ms   03:12:44 CET"),
        (50, "etlwatch prod   1 lost  1 failed", "03:12:44 CET"),
        (40, "etlwatch prod   1 lost", "03:12:44 CET"),
        (24, "etlwatc…", "03:12:44 CET"),
        (15, "", "03:12:44 CET"),
        (5, "", "03:…"),
    ],
)
def test_a_line_drops_what_matters_least_and_keeps_its_right_end(width, left, right):
    drawn = plain_text(lay_out(LEFT, RIGHT, width))
    assert cell_width(drawn) == width
    assert drawn.strip() == f"{left}{right:>{width - 2 - len(left)}}".strip()


KEYS = [
    Key("enter", "open", 0), Key("/", "filter"), Key("< >", "sort"), Key("space", "mark", 3), Key("=", "compare", 3),
    Key("w", "1h"), Key("t", "time"), Key("p", "pause"), Key("y", "copy", 3), Key("Y", "command", 3),
    Key(":", "commands"), Key("?", "help"), Key("q", "quit", 4),
]  # fmt: skip

TITLE = (("▲ slow 1.8× p95", "amber bold"), ("  ", "plain"), ("crm_contacts_sync", "text bold"), (" 7KQX", "dim"))


class LinesApp(App[None]):
    """One widget on a screen."""

    def __init__(self, widget, glyphs=UNICODE):
        super().__init__()
        self.widget = widget
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_mount(self):
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = "etlwatch-dark"


def shown(widget):
    return [widget.render_line(y).text for y in range(widget.size.height)]


@pytest.mark.parametrize("name", ["home80", "home120", "home160"])
async def test_the_footer_is_as_drawn(name):
    width = int(name.removeprefix("home"))
    app = LinesApp(Footer(KEYS))
    async with app.run_test(size=(width, 3)):
        assert shown(app.widget)[0].rstrip() == picture(name)[-1]


@pytest.mark.parametrize(("name", "glyphs"), [("home80", UNICODE), ("home160", UNICODE), ("home80_ascii", ASCII)])
async def test_the_rule_is_as_drawn(name, glyphs):
    title = tuple((glyphs.text(text), role) for text, role in TITLE)
    app = LinesApp(Rule(title), glyphs)
    lines = picture(name)
    async with app.run_test(size=(len(lines[-4 if "80" in name else -5]), 3)):
        assert shown(app.widget)[0] in lines


def test_a_rule_without_room_or_title_is_still_a_line():
    assert plain_text(rule_line((), 5)) == "─────"
    assert plain_text(rule_line((("a long title", "text bold"),), 10)) == "─ a lon… ─"


def record(monkeypatch, widget):
    regions = []
    refresh = widget.refresh
    monkeypatch.setattr(
        widget, "refresh", lambda *given, **more: (regions.extend(given or ["all"]), refresh(*given, **more))[1]
    )
    return regions


async def test_only_a_line_that_changed_is_drawn_again(monkeypatch):
    app = LinesApp(HealthLine())
    async with app.run_test(size=(80, 3)):
        app.widget.show((LEFT, RIGHT))
        regions = record(monkeypatch, app.widget)
        app.widget.show((LEFT, RIGHT))
        assert regions == []
        app.widget.show((LEFT, [*RIGHT[:-1], Part((("03:12:45 CET", "dim"),), gap=3)]))
        assert regions == [Region(0, 0, 80, 1)]
        assert "03:12:45 CET" in shown(app.widget)[0]


async def test_a_chart_is_drawn_again_only_when_its_data_changed(monkeypatch):
    app = LinesApp(BlockChart())
    async with app.run_test(size=(50, 10)):
        assert app.widget.size.height == 8
        app.widget.show(throughput())
        assert shown(app.widget) == cut("home160", 3, 11, 1, 50)
        regions = record(monkeypatch, app.widget)
        app.widget.show(throughput())
        assert regions == []
        app.widget.rows = 4
        assert regions == ["all"]


async def test_sparks_follow_the_width_of_the_terminal():
    sparks = [Spark(label="p95", value=("2.1s", "amber bold"), values=(1, 2, 3), top=4, aside="usual 0.7s")]
    app = LinesApp(SparkLines(sparks))
    async with app.run_test(size=(80, 5)) as pilot:
        await pilot.resize_terminal(100, 5)
        assert cell_width(shown(app.widget)[0]) == 100
        app.widget.show([*sparks, *sparks])
        await pilot.pause()
        assert app.widget.size.height == 2


async def test_lines_that_grow_get_room_and_a_muted_widget_recedes():
    app = LinesApp(SpanLines([(("one", "red"),)]))
    async with app.run_test(size=(20, 5)) as pilot:
        app.widget.update([(("one", "red"),), (("[/b] two", "text"),)])
        await pilot.pause()
        assert [line.rstrip() for line in shown(app.widget)] == ["one", "[/b] two"]
        before = app.widget.render_line(0)
        assert app.widget.render_line(0) is before
        app.widget.muted = True
        assert app.widget.render_line(0) != before
