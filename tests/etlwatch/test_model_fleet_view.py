"""The fleet's charts: what they show of a series, what their titles say, and that no figure is ever cut."""

import re

import pytest

from etlwatch.analysis.snapshot import FleetSeries
from etlwatch.rendering.charts import chart_lines
from etlwatch.rendering.request_charts import fleet_charts, fleet_sparks, fleet_zoom, zoom_plot
from etlwatch.text.display import DisplayContext
from etlwatch.text.spans import home_layout, plain_text, spans_width
from tests.etlwatch.dashboard import PARIS
from tests.etlwatch.fleet import NOW, make_cell

END = int(NOW.timestamp()) // 10 * 10


def fleet(*cells: object, minutes: int = 60, step: int = 60) -> FleetSeries:
    return FleetSeries(since=END - minutes * 60, until=END, step=step, cells=cells)  # type: ignore[arg-type]


BUSY = fleet(
    *(
        make_cell(END - 60 * back, 60, requests=6_000, ms=178, status_2xx=5_500, status_4xx=440, throttled=372,
                  status_5xx=60)
        for back in range(60, 0, -1)
    )
)  # fmt: skip


def test_titles_say_the_last_minute() -> None:
    charts = fleet_charts(BUSY, PARIS)
    assert plain_text(charts[0].title) == "throughput  100/s"
    assert plain_text(charts[1].title) == "latency  p50 173ms  p95 173ms  p99 173ms"
    assert plain_text(charts[2].title) == "not 2xx  429 6.2%  5xx 1.0%  4xx 1.1%"


def test_only_an_alarming_share_is_amber() -> None:
    roles = {text: role for text, role in fleet_charts(BUSY, PARIS)[2].title if "%" in text}
    assert roles == {"6.2%": "amber bold", "1.0%": "text", "1.1%": "text"}


@pytest.mark.parametrize("width", range(8, 60))
def test_a_figure_is_shown_whole_or_not_at_all(width: int) -> None:
    charts = fleet_charts(BUSY, PARIS, width=width)
    for chart in charts[1:]:
        title = plain_text(chart.title)
        assert re.fullmatch(r"(latency|not 2xx)( {1,2}\w{3} [\d.]+(ms|%))+", title), title
        assert spans_width(chart.title) <= max(width, len("latency p99 173ms"), len("not 2xx 4xx 1.1%"))


def test_times_stand_below_and_name_days_where_hours_do_not_say_enough() -> None:
    assert fleet_charts(BUSY, PARIS)[0].times == ("02:12", "02:42", "03:12")
    week = fleet(minutes=7 * 1_440, step=13_800)
    assert fleet_charts(week, PARIS)[0].times[0] == "Mon 04:12"


def test_without_requests_there_are_no_figures_and_nothing_is_drawn() -> None:
    charts = fleet_charts(fleet(), PARIS)
    assert plain_text(charts[0].title) == "throughput  0.0/s"
    assert plain_text(charts[1].title) == "latency  p50 –  p95 –  p99 –"
    plot = "".join(plain_text(line) for line in chart_lines(charts[1], width=50, rows=4)[1:5])
    assert not set(plot) & set("▁▂▃▄▅▆▇█")


def test_before_the_first_answer_there_is_an_empty_chart() -> None:
    assert fleet_charts(FleetSeries(), PARIS)[0].times == ()
    assert len(fleet_sparks(FleetSeries())) == 3


def test_five_hundreds_are_crosses() -> None:
    charts = fleet_charts(fleet(make_cell(END - 600, 60, requests=10, status_2xx=9, status_5xx=1)), PARIS)
    assert charts[2].crosses == (50,)


def test_what_is_not_2xx_is_stacked_and_its_top_is_all_of_it() -> None:
    cell = make_cell(END - 600, 60, requests=100, status_2xx=80, status_4xx=12, throttled=9, status_5xx=5)
    zoom = fleet_zoom(fleet(cell, minutes=10))
    plot = zoom_plot("not 2xx", zoom, DisplayContext(now=NOW, zone=PARIS), cursor_s=None)
    assert [(each.name, round(each.points[0][1] or 0.0, 2)) for each in plot.series] == [
        ("other", 0.2), ("4xx", 0.17), ("429", 0.14), ("5xx", 0.05),
    ]  # fmt: skip


def test_where_nothing_went_wrong_no_area_is_drawn() -> None:
    cells = (make_cell(END - 600, 60, status_2xx=9, status_5xx=1), make_cell(END - 300, 60, status_2xx=10))
    plot = zoom_plot(
        "not 2xx", fleet_zoom(fleet(*cells, minutes=10)), DisplayContext(now=NOW, zone=PARIS), cursor_s=None
    )
    assert [each.name for each in plot.series] == ["5xx"]
    assert [value for _, value in plot.series[0].points if value is not None] == [0.1, 0.1]


def test_sparks_say_the_same() -> None:
    assert [(spark.label, spark.value[0]) for spark in fleet_sparks(BUSY)] == [
        ("throughput", "100/s"), ("lat p95", "173ms"), ("not 2xx", "8.3%"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "rows", "sparks", "pane", "headline"),
    [
        ((160, 40), 6, False, 3, True),
        ((200, 50), 6, False, 3, True),
        ((120, 30), 4, False, 2, True),
        ((80, 24), 0, True, 3, True),
        ((160, 24), 0, True, 2, True),
        ((80, 15), 0, False, 2, True),
        ((80, 10), 0, False, 0, True),
        ((20, 5), 0, False, 0, False),
    ],
)
def test_what_is_least_important_goes_first(
    size: tuple[int, int], rows: int, sparks: bool, pane: int, headline: bool
) -> None:
    layout = home_layout(*size)
    assert (layout.chart_rows, layout.sparks, layout.pane_lines, layout.headline) == (rows, sparks, pane, headline)
