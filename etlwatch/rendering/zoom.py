"""A chart of requests over time at full size: its plot, and the values under the time cursor.

Used by the zoom screen and by the requests tab of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from etlwatch.analysis.series import Column, columns_of
from etlwatch.analysis.snapshot import FleetSeries
from etlwatch.rendering.charts import count_label, millis_label, place_of, share_label, top_over
from etlwatch.rendering.run.charts import time_ticks
from etlwatch.rendering.run.view import RunView
from etlwatch.text.blocks import Value
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import UNKNOWN, clock, duration_ms, moment, rate, share
from etlwatch.text.spans import Span, Spans
from tracking_core.dataclass import dataclass, replace

ZOOMED: Final = ("throughput", "latency", "not 2xx")
"""The charts, in the order in which they follow each other."""

DAY_S: Final = 86_400
LEAST_MS: Final = 100.0
LEAST_SHARE: Final = 0.1


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
    return Zoom(columns_of(cells, began, (end - began) / number, number, end) if cells else (), began, end)


def zoom_plot(
    name: str, zoom: Zoom, context: DisplayContext, *, cursor_s: float | None, usual: Mapping[str, float] | None = None
) -> Plot:
    """Return one of ZOOMED with the time cursor, without one at the newest; `usual` are levels by name."""
    column = zoom.at(cursor_s)
    plot = _PLOTS[name](zoom.columns)
    level = (usual or {}).get(name)
    return replace(
        plot,
        title=plot.title if level is None else (*plot.title, (f"  usual {_usually(name, level)}", "dim")),
        start=zoom.start,
        end=zoom.end,
        times=time_ticks(zoom.start, zoom.end, context) if zoom.end > zoom.start else (),
        cursor=None if column is None else column.begin + column.seconds / 2,
        usual=level,
    )


def _usually(name: str, level: float) -> str:
    return f"p95 {duration_ms(level)}" if name == "latency" else f"{rate(level)}/s"


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


def _plot(title: Spans, top: float, label: Callable[[float], str], series: tuple[Series, ...]) -> Plot:
    return Plot(title=title, start=0.0, end=0.0, top=top, label=label, series=series)


def _throughput(columns: Sequence[Column]) -> Plot:
    rates = [column.rate for column in columns]
    # A line along the bottom would be amber where all is well.
    bad = [column.not_ok / column.seconds if column.seconds and column.not_ok else None for column in columns]
    series = [Series(name="all", role="chart-p95", points=_points(columns, rates), kind="area")]
    if any(bad):
        series.append(Series(name="not 2xx", role="amber", points=_points(columns, bad)))
    top = top_over(rates)
    return _plot(((" throughput", "text bold"), ("  requests/s", "dim")), top, count_label, tuple(series))


def _latency(columns: Sequence[Column]) -> Plot:
    found = [column.percentiles for column in columns]
    top = top_over([each.p99 for each in found if each], least=LEAST_MS)
    series = tuple(
        Series(name=name, role=role, points=_points(columns, [getattr(each, name) if each else None for each in found]))
        for name, role in (("p99", "chart-p95"), ("p95", "text"), ("p50", "chart-p50"))
    )
    return _plot(((" latency", "text bold"),), top, millis_label, series)


def _not_ok(columns: Sequence[Column]) -> Plot:
    kinds = (
        ("all", "chart-p95", "area", [column.share(column.not_ok) for column in columns]),
        ("429", "amber", "line", [column.share(column.throttled) or None for column in columns]),
        ("4xx", "chart-p50", "line", [column.share(column.client_errors) or None for column in columns]),
        ("5xx", "red", "line", [column.share(column.server_errors) or None for column in columns]),
    )
    top = top_over(kinds[0][3], least=LEAST_SHARE, most=1.0)
    series = tuple(
        Series(name=name, role=role, points=_points(columns, values), kind="area" if kind == "area" else "line")
        for name, role, kind, values in kinds
        if name == "all" or any(values)
    )
    return _plot(((" not 2xx", "text bold"), ("  share of answers", "dim")), top, share_label, series)


_PLOTS: Final[dict[str, Callable[[Sequence[Column]], Plot]]] = {
    "throughput": _throughput,
    "latency": _latency,
    "not 2xx": _not_ok,
}


def moment_spans(zoom: Zoom, context: DisplayContext, *, cursor_s: float | None) -> Spans:
    """Return all that is known of the moment under the cursor: `02:41:10  12.4/s  p50 180ms  p95 2.9s  429 6.2%`."""
    column = zoom.at(cursor_s)
    last = datetime.fromtimestamp(zoom.end, UTC)
    if column is None and cursor_s is not None and zoom.columns:
        at = datetime.fromtimestamp(cursor_s, UTC)
        return (
            (f" {moment(at, last, context.zone)}", "blue bold"),
            ("  the time cursor is outside of this chart", "dim"),
        )
    if column is None:
        return ((" nothing was recorded in this time", "dim"),)
    at = datetime.fromtimestamp(column.begin, UTC)
    long = zoom.end - zoom.start > DAY_S
    when = moment(at, last, context.zone) if long else clock(at, context.zone, seconds=True)
    found = column.percentiles
    out: list[Span] = [(f" {when}", "blue bold")]
    facts: list[tuple[str, str, str]] = [("", f"{rate(column.rate)}/s" if column.rate is not None else UNKNOWN, "text")]
    facts += [(name, duration_ms(getattr(found, name)) if found else UNKNOWN, "text") for name in ("p50", "p95", "p99")]
    for name, part, role in (
        ("429", column.throttled, "amber"),
        ("5xx", column.server_errors, "red"),
        ("4xx", column.client_errors, "text"),
    ):
        part_of_all = column.share(part)
        words = share(part_of_all) if part_of_all is not None else UNKNOWN
        facts.append((name, words, role if part_of_all else "text"))
    for label, value, role in facts:
        out += [("  ", "plain"), (f"{label} " if label else "", "dim"), (value, role)]
    return tuple((context.glyphs.text(text), role) for text, role in out if text)


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
    """Drawn in this order: the last one on top."""
    times: tuple[tuple[float, str], ...] = ()
    """Ticks of the x axis."""
    usual: float | None = None
    """A level drawn across."""
    cursor: float | None = None
    """The time cursor, in seconds."""


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
    """Return the names of the series, each after the sample of its line in its colour; nothing for a single one."""
    if len(plot.series) < 2:
        return ()
    out: list[Span] = []
    for series, sample in zip(plot.series, samples, strict=True):
        out += [("  " if out else "", "plain"), (sample * 2, series.role), (f" {series.name}", "dim")]
    return tuple(out)
