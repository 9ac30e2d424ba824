"""The full-size chart over plotext 6."""

import subprocess
import sys
from dataclasses import replace

import pytest
from textual.app import App, ComposeResult

from etlwatch.rendering.charts import count_label, millis_label
from etlwatch.rendering.request_charts import Plot, Series, y_ticks
from etlwatch.text.display import ASCII, UNICODE
from etlwatch.text.safe import cell_width
from etlwatch.text.spans import plain_text
from etlwatch.tui.theme import THEMES
from etlwatch.tui.widgets.plot import PlotChart, plot_lines


def points(value, gap=()):
    return tuple((60.0 * minute, None if minute in gap else float(value)) for minute in range(61))


def plot(**changes):
    given = {
        "title": (("latency", "dim"),),
        "start": 0.0,
        "end": 3600.0,
        "top": 4000.0,
        "label": millis_label,
        "series": (
            Series(name="p99", role="chart-p99", points=points(3000), kind="area"),
            Series(name="p50", role="chart-p50", points=points(1000)),
        ),
        "times": ((0.0, "02:12"), (1800.0, "02:42"), (3600.0, "03:12")),
    }
    return Plot(**{**given, **changes})


def lines(of, **options):
    return plot_lines(of, **{"width": 80, "height": 20, "glyphs": UNICODE, **options})


def test_axes_have_our_words_and_the_legend_names_the_series():
    text = [plain_text(line) for line in lines(plot())]
    assert text[0].split() == ["latency", "━━", "p99", "━━", "p50"]
    assert [line[:5].strip() for line in text[1:19] if line[:4].strip()] == ["4s┤", "3s┤", "2s┤", "1s┤", "0┤"]
    assert text[-1].split() == ["02:12", "02:42", "03:12"]


def test_every_line_is_as_wide_as_asked_and_holds_no_escape():
    for line in lines(plot(), width=97, height=23):
        assert cell_width(plain_text(line)) == 97
        assert "\x1b" not in plain_text(line)


def test_series_come_back_in_their_roles():
    drawn = lines(plot(cursor=1800.0, usual=3500.0))
    roles = {role for line in drawn for _, role in line}
    assert {"chart-p99", "chart-p50", "faint", "dim", "blue"} <= roles
    assert all(any(role.startswith("blue") for _, role in line) for line in drawn[1:-2])


def test_what_lies_over_an_area_keeps_it_as_its_ground():
    drawn = lines(plot(cursor=1800.0, usual=2000.0))
    assert ("│", "blue") in drawn[2]
    assert ("│", "blue on chart-p99") in drawn[8]
    assert any(("·", "dim on chart-p99") in line for line in drawn)


def test_without_shades_the_usual_level_makes_no_holes_in_an_area():
    series = (Series(name="all", role="chart-p99", points=points(3000), kind="area"),)
    drawn = "".join(plain_text(line) for line in lines(plot(series=series, usual=2000.0), shades=False))
    assert "·" not in drawn
    above = "".join(plain_text(line) for line in lines(plot(series=series, usual=3900.0), shades=False))
    assert "·" in above


def test_an_unknown_stretch_is_a_gap():
    series = (Series(name="p99", role="chart-p99", points=points(3000, gap=range(20, 40)), kind="area"),)
    row = plain_text(lines(plot(series=series))[10])
    assert row[8] != " "
    assert row[40:45] == "     "
    assert row[75] != " "


@pytest.mark.parametrize(("options", "samples"), [({"shades": False}, "░█"), ({"glyphs": ASCII}, ":#")])
def test_series_that_colour_cannot_tell_apart_are_steps_with_patterns(options, samples):
    text = [plain_text(line) for line in lines(plot(), **options)]
    assert [name for name in text[0].split() if len(name) == 2] == [2 * sample for sample in samples]
    columns = ["".join(row[x] for row in text[1:18]).strip() for x in range(5, 79)]
    assert set(columns) == {9 * samples[0] + 4 * samples[1]}, "3s and 1s of 4s in 17 rows"
    assert "".join(text).isascii() == (options.get("glyphs") is ASCII)


def test_steps_rise_at_the_beginning_of_their_column_and_an_unknown_one_is_a_gap():
    values = (1000.0, None, 4000.0)
    steps = tuple((600.0 * (place + end), value) for place, value in enumerate(values) for end in (0, 1))
    drawn = lines(
        plot(end=1800.0, series=(Series(name="all", role="chart-p99", points=steps),)), shades=False, width=65
    )
    rows = [plain_text(line)[5:65] for line in drawn[1:18]]
    assert rows[0] == " " * 40 + "█" * 20
    assert rows[-1] == "█" * 20 + " " * 20 + "█" * 20


@pytest.mark.parametrize("shades", [True, False])
def test_no_series_covers_the_one_in_front(shades):
    front = Series(name="p95", role="text", points=points(2000), in_front=True)
    series = (front, Series(name="p50", role="chart-p50", points=points(2000)))
    roles = {role for text, role in (span for line in lines(plot(series=series), shades=shades)[1:19] for span in line)
             if set(text) & set("▀▄█▒░")}  # fmt: skip
    assert "text" in roles


@pytest.mark.parametrize(("width", "height"), [(0, 0), (5, 5), (80, 1), (80, 3), (20, 4), (200, 60)])
def test_any_size_gives_that_many_lines(width, height):
    assert len(lines(plot(), width=width, height=height)) == height


def test_a_plot_without_data_is_its_axes():
    empty = plot(series=(Series(name="p99", role="chart-p99", points=()),))
    assert "┤" in plain_text(lines(empty)[1])


def test_ticks_follow_the_height():
    assert [len(y_ticks(plot(), rows)) for rows in (3, 6, 12)] == [2, 3, 5]


def test_plotext_is_not_imported_before_the_first_chart():
    code = "import etlwatch.tui.widgets.plot, sys; sys.exit('plotext' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_chart_loads_neither_plotexts_documentation_nor_its_tests():
    code = (
        "from etlwatch.tui.widgets.plot import _plotext; import sys; _plotext(); "
        "loaded = [name for name in sys.modules if name.startswith(('plotext._doc.', 'plotext._tests.', 'unittest'))]; "
        "sys.exit(loaded != ['plotext._doc.doc', 'plotext._tests.run'] and repr(loaded))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_widget_draws_again_only_for_another_plot_or_size(monkeypatch):
    from etlwatch.tui.widgets import plot as module

    drawn = []
    real = module.plot_lines
    monkeypatch.setattr(module, "plot_lines", lambda *given, **more: (drawn.append(1), real(*given, **more))[1])

    class PlotApp(App[None]):
        def compose(self) -> ComposeResult:
            yield PlotChart()

        def on_mount(self):
            for theme in THEMES:
                self.register_theme(theme)
            self.theme = "etlwatch-dark"

    app = PlotApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.query_one(PlotChart)
        chart.show(plot())
        await pilot.pause()
        first = len(drawn)
        chart.show(plot())
        for y in range(20):
            chart.render_line(y)
        assert len(drawn) == first
        await pilot.resize_terminal(60, 10)
        assert cell_width(chart.render_line(5).text) == 60
        assert "03:12" in chart.render_line(9).text


@pytest.mark.parametrize(
    ("top", "labels"),
    [
        (1, ["0", "0.2", "0.4", "0.6", "0.8", "1"]), (2, ["0", "0.5", "1", "1.5", "2"]), (6, ["0", "2", "4", "6"]),
        (40, ["0", "10", "20", "30", "40"]), (1_000, ["0", "200", "400", "600", "800", "1k"]),
    ],
)  # fmt: skip
def test_ticks_stand_where_they_can_be_written_exactly(top: float, labels: list[str]) -> None:
    assert [label for _, label in y_ticks(replace(plot(), top=top, label=count_label), 20)] == labels
