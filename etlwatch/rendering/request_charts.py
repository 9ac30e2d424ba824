"""Requests over time, of all runs and of one: compact charts, sparks, full-size plots, and the values at one moment.

All of them show throughput, latency and what was not answered 2xx, from the same columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final, Literal

from etlwatch.analysis.series import Column, columns_of, latest
from etlwatch.analysis.snapshot import FleetSeries, Percentiles
from etlwatch.analysis.states import ALARMING_SHARE
from etlwatch.rendering.charts import (
    DAY_S,
    Chart,
    Spark,
    count_label,
    millis_label,
    place_of,
    share_label,
    time_ticks,
    top_over,
)
from etlwatch.rendering.run.view import RunView
from etlwatch.text.blocks import Layer, Value
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import UNKNOWN, clock, duration_ms, moment, per_second, share
from etlwatch.text.spans import Span, Spans, spans_width
from tracking_core.dataclass import dataclass, replace

ZOOMED: Final = ("throughput", "latency", "not 2xx")
"""The charts, in the order in which they follow each other."""

FIGURES_COVER_S: Final = 60
"""Seconds that the figures beside a title are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """The y axis of one of the charts."""

    label: Callable[[float], str]
    least: float = 1.0
    most: float = math.inf

    def top(self, values: Sequence[Value]) -> float:
        return top_over(values, least=self.least, most=self.most)


_AXES: Final = {
    "throughput": _Axis(label=count_label),
    "latency": _Axis(label=millis_label, least=100.0),
    "not 2xx": _Axis(label=share_label, least=0.1, most=1.0),
}


@dataclass(frozen=True, slots=True)
class Zoom:
    """Requests in columns of time: what all charts are drawn from."""

    columns: tuple[Column, ...]
    start: float
    end: float

    def at(self, cursor_s: float | None) -> Column | None:
        """Return the column under the time cursor, without one the newest; None outside of what there is."""
        place = place_of(self.columns, cursor_s)
        if place is None:
            place = len(self.columns) - 1 if cursor_s is None else -1
        return self.columns[place] if place >= 0 else None


def fleet_zoom(fleet: FleetSeries) -> Zoom:
    """Return the requests of all runs."""
    number = -(-(fleet.until - fleet.since) // fleet.step) if fleet.until > fleet.since else 0
    made = columns_of(fleet.cells, fleet.since, fleet.step, number, fleet.until)
    return Zoom(made, fleet.since, fleet.until)


def run_zoom(view: RunView, context: DisplayContext, columns: int, *, window_s: float | None = None) -> Zoom:
    """Return the requests of one run in at most `columns` columns, none finer than a cell of its series.

    Of its last `window_s` seconds where these are given, else of all of it.
    """
    began, end = view.began_s, view.end_s(context)
    if window_s is not None:
        began = max(began, end - window_s)
    finest = min((cell.width for cell in view.details.series if cell.bucket + cell.width > began), default=10)
    number = max(1, min(columns, int((end - began) // finest) or 1))
    cells = view.details.series
    longest_ms = view.details.longest_ms
    made = columns_of(cells, began, (end - began) / number, number, end, longest_ms=longest_ms) if cells else ()
    return Zoom(made, began, end)


def run_columns_over_time(
    view: RunView, context: DisplayContext, columns: int, *, axis_end: float | None = None
) -> tuple[Column, ...]:
    """Return the run's requests in `columns` columns from its beginning to `axis_end`, else to its end or now."""
    since, until = view.began_s, view.end_s(context)
    step = (max(until, axis_end or 0.0) - since) / max(1, columns)
    known = view.details.series_until
    # A cell begins before the run does: what is in it happened since the beginning all the same.
    until = until if known is None else min(until, known)
    longest_ms = view.details.longest_ms
    return columns_of(view.details.series, since, step, max(1, columns), until, longest_ms=longest_ms)


# -- what the charts take from the columns


def _rates(columns: Sequence[Column]) -> tuple[Value, ...]:
    return tuple(column.rate for column in columns)


def _latencies(columns: Sequence[Column]) -> dict[str, tuple[Value, ...]]:
    found = [column.percentiles for column in columns]
    return {name: tuple(getattr(each, name) if each else None for each in found) for name in ("p99", "p95", "p50")}


def _shares(columns: Sequence[Column]) -> tuple[Value, ...]:
    return tuple(column.share(column.not_ok) for column in columns)


def _millis(name: str, known: Percentiles | None) -> str:
    return duration_ms(getattr(known, name)) if known else UNKNOWN


def _share_text(value: float | None) -> str:
    return UNKNOWN if value is None else share(value)


def _alarming(value: Value) -> bool:
    return value is not None and value >= ALARMING_SHARE


def _refused(column: Column) -> tuple[tuple[str, float, str], ...]:
    """Return what was not answered 2xx by kind: name, requests, and its colour where it is more than nothing."""
    return (
        ("429", column.throttled, "amber"),
        ("5xx", column.server_errors, "red"),
        ("4xx", column.client_errors, "text"),
    )


# -- compact charts


def _compact(
    name: str, title: Spans, layers: tuple[Layer, ...], columns: Sequence[Column], cursor_s: float | None
) -> Chart:
    axis = _AXES[name]
    top = axis.top(layers[0].values)
    return Chart(title=title, layers=layers, top=top, top_label=axis.label(top), cursor=place_of(columns, cursor_s))


def fleet_charts(
    fleet: FleetSeries, zone: tzinfo | None = None, *, width: int = 50, cursor_s: float | None = None
) -> tuple[Chart, Chart, Chart]:
    """Return throughput, latency and what is not 2xx of all runs, for charts of `width` cells."""
    zoom = fleet_zoom(fleet)
    columns = zoom.columns
    now = latest(columns, FIGURES_COVER_S)
    latencies, shares = _latencies(columns), _shares(columns)
    over = tuple(place for place, value in enumerate(shares) if _alarming(value))
    parts = [(name, now.share(part)) for name, part, _ in _refused(now)]
    title: Spans = (("throughput", "dim"), ("  ", "plain"), (per_second(now.rate), "text bold"))
    throughput = _compact("throughput", title, (Layer(values=_rates(columns), role="chart-p99"),), columns, cursor_s)
    title = _title("latency", [(name, _millis(name, now.percentiles), "text") for name in reversed(latencies)], width)
    layers = tuple(Layer(values=values, role=f"chart-{name}") for name, values in latencies.items())
    latency = _compact("latency", title, layers, columns, cursor_s)
    title = _title("not 2xx", [(name, _share_text(part), _tone(part)) for name, part in parts], width)
    not_ok = _compact("not 2xx", title, (Layer(values=shares, role="chart-p99", over=over),), columns, cursor_s)
    times = _times(zoom, zone)
    return (
        replace(throughput, times=times),
        replace(latency, times=times, edge_labels=(("p99", "dim"), ("p95", "text"), ("p50", "dim"))),
        replace(
            not_ok,
            times=times,
            how="max",
            crosses=tuple(place for place, column in enumerate(columns) if column.server_errors >= 0.5),
        ),
    )


def _tone(part: float | None) -> str:
    return "amber bold" if _alarming(part) else "text"


def _times(zoom: Zoom, zone: tzinfo | None) -> tuple[str, ...]:
    if not zoom.columns:
        return ()
    start, end = int(zoom.start), int(zoom.end)
    marks = [datetime.fromtimestamp(at, UTC) for at in (start, (start + end) // 2, end)]
    return tuple(moment(at, marks[-1], zone) if end - start > DAY_S else clock(at, zone) for at in marks)


def _title(name: str, figures: Sequence[tuple[str, str, str]], width: int) -> Spans:
    """Return a title with its figures (label, value, role): closer where it is tight, without the first where it must.

    A figure is never cut: half a number is another number.
    """
    for shown, gap in ((figures, "  "), (figures, " "), (figures[1:], "  "), (figures[1:], " "), (figures[2:], " ")):
        title: list[Span] = [(name, "dim")]
        for label, value, role in shown:
            title += [(gap, "plain"), (label, "dim"), (" ", "plain"), (value, role)]
        if spans_width(title) <= width:
            break
    return tuple(title)


def fleet_sparks(fleet: FleetSeries, *, cursor_s: float | None = None) -> tuple[Spark, ...]:
    """Return the three lines of the smallest layout, with the time cursor if there is one."""
    charts = fleet_charts(fleet, cursor_s=cursor_s)
    now = latest(fleet_zoom(fleet).columns, FIGURES_COVER_S)
    bad = now.share(now.not_ok)
    values = (per_second(now.rate), _millis("p95", now.percentiles), _share_text(bad))
    return tuple(
        Spark(
            label=label,
            value=(value, "amber bold" if chart.how == "max" and _alarming(bad) else "text bold"),
            values=tuple(layer.values),
            top=_AXES[name].top(layer.values),
            over=layer.over,
            how=chart.how,
            cursor=chart.cursor,
        )
        for name, label, value, chart, layer in zip(
            ZOOMED,
            ("throughput", "lat p95", "not 2xx"),
            values,
            charts,
            (charts[0].layers[0], charts[1].layers[1], charts[2].layers[0]),
            strict=True,
        )
    )


def run_charts(
    view: RunView, context: DisplayContext, columns: int, *, cursor_s: float | None = None
) -> tuple[Chart, Chart]:
    """Return requests a second and the 95th percentile of the latency for the overview, on the axis of the phases."""
    row, run, levels = view.row, view.run, usual_levels(view)
    made = run_columns_over_time(view, context, columns, axis_end=view.until_s(context))
    now = row.rates.requests if row.rates else run.requests / max(run.duration_s, 1.0)

    def chart(name: str, title: str, figure: str, values: tuple[Value, ...]) -> Chart:
        usual = f"  usual {_level_text(name, levels[name])}" if name in levels and row.live else ""
        # A title begins at the left edge of its plot.
        spans = (("     ", "plain"), (title, "dim"), ("  ", "plain"), (figure, "text bold"), (usual, "dim"))
        return replace(_compact(name, spans, (Layer(values=values, role="chart-p99"),), made, cursor_s), framed=True)

    p95 = duration_ms(row.percentiles.p95) if row.percentiles else ""
    return (
        chart("throughput", "throughput", per_second(now), _rates(made)),
        chart("latency", "latency p95", p95, _latencies(made)["p95"]),
    )


# -- full-size plots


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line or area."""

    name: str
    """What the legend calls it: `p95`."""
    role: str
    """Its colour."""
    points: tuple[tuple[float, Value], ...]
    """(seconds, value), in order of time; a value of None breaks the line."""
    kind: Literal["line", "area"] = "line"
    in_front: bool = False
    """Whether no other series covers its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Everything a full-size chart shows; equal plots look the same."""

    title: Spans
    start: float
    """Seconds (any epoch) at the left edge."""
    end: float
    """Seconds at the right edge; after `start`."""
    top: float
    """Value of the upper edge, above 0; the lower one is 0."""
    label: Callable[[float], str]
    """Writes a value of the y axis; one of the labels of `etlwatch.rendering.charts`."""
    series: tuple[Series, ...]
    """Drawn in this order, the one with the highest values first."""
    times: tuple[tuple[float, str], ...] = ()
    """Ticks of the x axis."""
    usual: float | None = None
    """A level drawn across."""
    cursor: float | None = None
    """The time cursor, in seconds."""


_UNITS: Final = {"throughput": "  requests/s", "not 2xx": "  share of answers"}


def zoom_plot(
    name: str, zoom: Zoom, context: DisplayContext, *, cursor_s: float | None, usual: Mapping[str, float] | None = None
) -> Plot:
    """Return one of ZOOMED with the time cursor, without one at the newest; `usual` are levels by name."""
    column = zoom.at(cursor_s)
    level = (usual or {}).get(name)
    series = _series_of(name, zoom.columns)
    return Plot(
        title=(
            (f" {name}", "text bold"),
            (_UNITS.get(name, ""), "dim"),
            ("" if level is None else f"  usual {'p95 ' * (name == 'latency')}{_level_text(name, level)}", "dim"),
        ),
        start=zoom.start,
        end=zoom.end,
        top=_AXES[name].top([value for _, value in series[0].points]),
        label=_AXES[name].label,
        series=series,
        times=time_ticks(zoom.start, zoom.end, context) if zoom.end > zoom.start else (),
        cursor=None if column is None else column.begin + column.seconds / 2,
        usual=level,
    )


def _level_text(name: str, level: float) -> str:
    return duration_ms(level) if name == "latency" else per_second(level)


def usual_levels(view: RunView) -> dict[str, float]:
    """Return what is usual for the run's job, by chart: requests a second, and the 95th percentile."""
    baseline = view.row.baseline
    levels = {"throughput": baseline.request_rate.usual, "latency": baseline.latency_p95_ms.usual}
    return {name: level for name, level in levels.items() if level is not None}


def _points(columns: Sequence[Column], values: Sequence[Value]) -> tuple[tuple[float, Value], ...]:
    """Return each value from the beginning of its column to its end: a run of ten seconds has one, and it is seen."""
    return tuple(
        (at, value)
        for column, value in zip(columns, values, strict=True)
        for at in (column.begin, column.begin + column.seconds)
    )


def _series_of(name: str, columns: Sequence[Column]) -> tuple[Series, ...]:
    """Return what a chart draws, the series with the highest values first."""
    if name == "latency":
        # The innermost area's colour is too near that of text for two lines.
        roles = {"p99": "chart-p99", "p95": "text", "p50": "chart-p95"}
        return tuple(
            Series(name=each, role=roles[each], points=_points(columns, values), in_front=each == "p95")
            for each, values in _latencies(columns).items()
        )
    if name == "throughput":
        # A line along the bottom would be amber where all is well.
        bad = [column.not_ok / column.seconds if column.seconds and column.not_ok else None for column in columns]
        whole = Series(name="all", role="chart-p99", points=_points(columns, _rates(columns)), kind="area")
        part = Series(name="not 2xx", role="amber", points=_points(columns, bad))
        return (whole, part) if any(bad) else (whole,)
    # Stacked: each area holds its own kind and those below it.
    roles = {"5xx": "red", "429": "amber-fill", "4xx": "chart-p50", "other": "chart-p99"}
    kinds = [{name: part for name, part, _ in _refused(column)} for column in columns]
    below = [0.0] * len(columns)
    drawn: list[Series] = []
    for name, role in roles.items():
        parts = [
            max(0.0, column.not_ok - held) if name == "other" else kind[name]
            for column, kind, held in zip(columns, kinds, below, strict=True)
        ]
        below = [min(held + part, column.not_ok) for column, held, part in zip(columns, below, parts, strict=True)]
        if any(part >= LEAST_REQUESTS for part in parts) or (name == "other" and not drawn):
            # Nothing is drawn for none: a strip along the bottom would be an alarm where all is well.
            values = [column.share(held) or None for column, held in zip(columns, below, strict=True)]
            drawn.insert(0, Series(name=name, role=role, points=_points(columns, values), kind="area"))
    return tuple(drawn)


LEAST_REQUESTS: Final = 0.01
"""Less of a request than this in every column is what rounding left."""

_ROUND_PARTS: Final = {1: 5, 2: 4, 4: 4, 6: 3}
"""Into how many parts a top divides by its first digit so that each can be written: 0.2, 0.5, 1 and 2 of its power."""


def y_ticks(plot: Plot, rows: int) -> tuple[tuple[float, str], ...]:
    """Return the ticks of the y axis for a canvas of `rows` lines: ends only, halves, or round parts of its top."""
    leading = int(f"{plot.top:e}"[0])
    steps = _ROUND_PARTS.get(leading, 4) if rows >= 12 else 2 if rows >= 6 else 1
    return tuple(
        (plot.top * step / steps, plot.label(plot.top * step / steps) if step else "0") for step in range(steps + 1)
    )


def legend(plot: Plot, samples: Sequence[str]) -> Spans:
    """Return the names of the series, each after the sample of its line in its colour; nothing where one is all."""
    if [series.name for series in plot.series] in (["all"], ["other"]):
        return ()
    out: list[Span] = []
    for series, sample in zip(plot.series, samples, strict=True):
        out += [("  " if out else "", "plain"), (sample * 2, series.role), (f" {series.name}", "dim")]
    return tuple(out)


# -- one moment


def moment_spans(zoom: Zoom, context: DisplayContext, *, cursor_s: float | None) -> Spans:
    """Return all that is known of the moment under the cursor: `02:41:10  12.4/s  p50 180ms  p95 2.9s  429 6.2%`."""
    column = zoom.at(cursor_s)
    last = datetime.fromtimestamp(zoom.end, UTC)
    if column is None and cursor_s is not None and zoom.columns:
        at = moment(datetime.fromtimestamp(cursor_s, UTC), last, context.zone)
        return ((f" {at}", "blue bold"), ("  the time cursor is outside of this chart", "dim"))
    if column is None:
        return ((" nothing was recorded in this time", "dim"),)
    begin = datetime.fromtimestamp(column.begin, UTC)
    long = zoom.end - zoom.start > DAY_S
    when = moment(begin, last, context.zone) if long else clock(begin, context.zone, seconds=True)
    facts = [("", per_second(column.rate), "text")]
    facts += [(name, _millis(name, column.percentiles), "text") for name in ("p50", "p95", "p99")]
    for name, part, role in _refused(column):
        facts.append((name, _share_text(column.share(part)), role if part else "text"))
    out: list[Span] = [(f" {when}", "blue bold")]
    for label, value, role in facts:
        out += [("  ", "plain"), (f"{label} " if label else "", "dim"), (value, role)]
    return tuple((context.glyphs.text(text), role) for text, role in out if text)
