"""A chart of requests over time at full size, with the time cursor and what it says, for all runs and for one.

Owns which charts there are, and the words of a moment. Refuses to own the cells (`etlwatch.model.series`), the drawing
(`etlwatch.widgets.plot`) and where the cursor is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from etlwatch.model.axes import count_label, millis_label, nice_top, share_label
from etlwatch.model.blocks import Value
from etlwatch.model.numbers import UNKNOWN, clock, duration_ms, moment, rate, share
from etlwatch.model.plots import Plot, Series
from etlwatch.model.run_cells import Pen
from etlwatch.model.run_charts import run_columns_over_time, time_ticks
from etlwatch.model.run_view import RunView
from etlwatch.model.series import Column, columns_of
from etlwatch.model.snapshot import FleetSeries
from etlwatch.model.spans import Span, Spans

__all__ = ["ZOOMED", "Zoom", "fleet_zoom", "moment_words", "run_zoom", "zoom_plot"]

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

    def column_at(self, place: int) -> Column | None:
        """Return the column under a cursor; None outside of what there is."""
        return self.columns[place] if 0 <= place < len(self.columns) else None


def fleet_zoom(fleet: FleetSeries) -> Zoom:
    """Return the requests of all runs."""
    number = -(-(fleet.until - fleet.since) // fleet.step) if fleet.until > fleet.since else 0
    made = columns_of(fleet.cells, fleet.since, fleet.step, number, fleet.until)
    return Zoom(made, fleet.since, fleet.until)


def run_zoom(view: RunView, pen: Pen, columns: int) -> Zoom:
    """Return the requests of one run in at most `columns` columns, none finer than a cell of its series."""
    lasted = view.end_s(pen) - view.began_s
    finest = min((cell.width for cell in view.details.series), default=10)
    made = run_columns_over_time(view, pen, max(1, min(columns, int(lasted // finest) or 1)))
    return Zoom(made if view.details.series else (), view.began_s, view.end_s(pen))


def zoom_plot(name: str, zoom: Zoom, pen: Pen, *, cursor: int | None) -> Plot:
    """Return one of ZOOMED; `cursor` is the place of a column."""
    column = zoom.column_at(cursor) if cursor is not None else None
    plot = _PLOTS[name](zoom.columns)
    return replace(
        plot,
        start=zoom.start,
        end=zoom.end,
        times=time_ticks(zoom.start, zoom.end, pen) if zoom.end > zoom.start else (),
        cursor=None if column is None else column.begin + column.seconds / 2,
    )


def _points(columns: Sequence[Column], values: Sequence[Value]) -> tuple[tuple[float, Value], ...]:
    return tuple((column.begin + column.seconds / 2, value) for column, value in zip(columns, values, strict=True))


def _plot(title: Spans, top: float, label: Callable[[float], str], series: tuple[Series, ...]) -> Plot:
    return Plot(title=title, start=0.0, end=0.0, top=top, label=label, series=series)


def _throughput(columns: Sequence[Column]) -> Plot:
    rates = [column.rate for column in columns]
    # A line along the bottom would be amber where all is well.
    bad = [column.not_ok / column.seconds if column.seconds and column.not_ok else None for column in columns]
    series = [Series(name="all", role="chart-p95", points=_points(columns, rates), kind="area")]
    if any(bad):
        series.append(Series(name="not 2xx", role="amber", points=_points(columns, bad)))
    top = nice_top(max((value for value in rates if value is not None), default=None))
    return _plot(((" throughput", "text bold"), ("  requests/s", "dim")), top, count_label, tuple(series))


def _latency(columns: Sequence[Column]) -> Plot:
    found = [column.percentiles for column in columns]
    top = nice_top(max((each.p99 for each in found if each), default=None), least=LEAST_MS)
    series = tuple(
        Series(name=name, role=role, points=_points(columns, [getattr(each, name) if each else None for each in found]))
        for name, role in (("p99", "chart-p95"), ("p95", "text"), ("p50", "chart-p50"))
    )
    return _plot(((" latency", "text bold"),), top, millis_label, series)


def _not_ok(columns: Sequence[Column]) -> Plot:
    kinds = (
        ("all", "chart-p95", "area", [column.share(column.not_ok) for column in columns]),
        ("429", "amber", "line", [column.share(column.throttled) or None for column in columns]),
        ("5xx", "red", "line", [column.share(column.server_errors) or None for column in columns]),
    )
    top = nice_top(max((each for each in kinds[0][3] if each is not None), default=None), least=LEAST_SHARE, most=1.0)
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


def moment_words(zoom: Zoom, pen: Pen, *, cursor: int) -> Spans:
    """Return all that is known of the moment under the cursor: `02:41:10  12.4/s  p50 180ms  p95 2.9s  429 6.2%`."""
    column = zoom.column_at(cursor)
    if column is None:
        return ((" nothing was recorded in this time", "dim"),)
    at = datetime.fromtimestamp(column.begin, UTC)
    last = datetime.fromtimestamp(zoom.end, UTC)
    long = zoom.end - zoom.start > DAY_S
    when = moment(at, last, pen.zone) if long else clock(at, pen.zone, seconds=True)
    found = column.percentiles
    out: list[Span] = [(f" {when}", "blue bold")]
    said: list[tuple[str, str, str]] = [("", f"{rate(column.rate)}/s" if column.rate is not None else UNKNOWN, "text")]
    said += [(name, duration_ms(getattr(found, name)) if found else UNKNOWN, "text") for name in ("p50", "p95", "p99")]
    for name, part, role in (
        ("429", column.throttled, "amber"),
        ("5xx", column.server_errors, "red"),
        ("4xx", column.client_errors, "text"),
    ):
        part_of_all = column.share(part)
        words = share(part_of_all) if part_of_all is not None else UNKNOWN
        said.append((name, words, role if part_of_all else "text"))
    for label, value, role in said:
        out += [("  ", "plain"), (f"{label} " if label else "", "dim"), (value, role)]
    return tuple((pen.glyphs.text(text), role) for text, role in out if text)
