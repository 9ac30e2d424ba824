"""The three charts of the home screen: throughput, latency, and what is not 2xx; as charts or as sparks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final

from etlwatch.analysis.series import Column, columns_of, latest
from etlwatch.analysis.snapshot import FleetSeries
from etlwatch.analysis.thresholds import ALARMING_SHARE
from etlwatch.rendering.charts import Chart, Spark, count_label, millis_label, place_of, share_label, top_over
from etlwatch.text.blocks import Layer
from etlwatch.text.numbers import UNKNOWN, clock, duration_ms, moment, rate, share
from etlwatch.text.spans import Span, Spans, spans_width
from tracking_core.dataclass import dataclass

FIGURES_COVER_S: Final = 60
LEAST_MS: Final = 100.0
LEAST_SHARE: Final = 0.1
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCharts:
    """The three charts, left to right."""

    throughput: Chart
    latency: Chart
    not_ok: Chart


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The series in columns, and its present."""

    columns: tuple[Column, ...]
    now: Column
    times: tuple[str, ...]
    cursor: int | None


def _read(fleet: FleetSeries, zone: tzinfo | None, cursor_s: float | None) -> _Fleet:
    count = -(-(fleet.until - fleet.since) // fleet.step) if fleet.until > fleet.since else 0
    columns = columns_of(fleet.cells, fleet.since, fleet.step, count, fleet.until)
    times: tuple[str, ...] = ()
    if count:
        ends = [datetime.fromtimestamp(at, UTC) for at in
                (fleet.since, (fleet.since + fleet.until) // 2, fleet.until)]  # fmt: skip
        long = fleet.until - fleet.since > DAY_S
        times = tuple(moment(at, ends[-1], zone) if long else clock(at, zone) for at in ends)
    return _Fleet(columns, latest(columns, FIGURES_COVER_S), times, place_of(columns, cursor_s))


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


def _rate_now(read: _Fleet) -> str:
    return f"{rate(read.now.rate)}/s" if read.now.rate is not None else UNKNOWN


def _alarm(value: float | None) -> str:
    return "amber bold" if value is not None and value >= ALARMING_SHARE else "text"


def fleet_charts(
    fleet: FleetSeries, zone: tzinfo | None = None, *, width: int = 50, cursor_s: float | None = None
) -> FleetCharts:
    """Return the charts of the wide layouts, each `width` cells wide, with the time cursor if there is one."""
    read = _read(fleet, zone, cursor_s)
    return FleetCharts(throughput=_throughput(read), latency=_latency(read, width), not_ok=_not_ok(read, width))


def _throughput(read: _Fleet) -> Chart:
    rates = tuple(column.rate for column in read.columns)
    top = top_over(rates)
    return Chart(
        title=(("throughput", "dim"), ("  ", "plain"), (_rate_now(read), "text bold")),
        layers=(Layer(values=rates, role="chart-p99"),),
        top=top,
        top_label=count_label(top),
        times=read.times,
        cursor=read.cursor,
    )


def _latency(read: _Fleet, width: int) -> Chart:
    found = [column.percentiles for column in read.columns]
    top = top_over([each.p99 for each in found if each], least=LEAST_MS)
    now = read.now.percentiles
    figures = [(name, duration_ms(getattr(now, name)) if now else UNKNOWN, "text") for name in ("p50", "p95", "p99")]
    return Chart(
        title=_title("latency", figures, width),
        layers=tuple(
            Layer(values=tuple(getattr(each, name) if each else None for each in found), role=f"chart-{name}")
            for name in ("p99", "p95", "p50")
        ),
        top=top,
        top_label=millis_label(top),
        edge_labels=(("p99", "dim"), ("p95", "text"), ("p50", "dim")),
        times=read.times,
        cursor=read.cursor,
    )


def _not_ok(read: _Fleet, width: int) -> Chart:
    shares = tuple(column.share(column.not_ok) for column in read.columns)
    top = top_over(shares, least=LEAST_SHARE, most=1.0)
    now = read.now
    parts = (("429", now.throttled), ("5xx", now.server_errors), ("4xx", now.client_errors))
    shown = [(name, now.share(part)) for name, part in parts]
    figures = [(name, share(value) if value is not None else UNKNOWN, _alarm(value)) for name, value in shown]
    return Chart(
        title=_title("not 2xx", figures, width),
        layers=(Layer(values=shares, role="chart-p99", over=_alarming(shares)),),
        how="max",
        top=top,
        top_label=share_label(top),
        crosses=tuple(index for index, column in enumerate(read.columns) if column.server_errors >= 0.5),
        times=read.times,
        cursor=read.cursor,
    )


def _alarming(shares: tuple[float | None, ...]) -> tuple[int, ...]:
    return tuple(index for index, value in enumerate(shares) if value is not None and value >= ALARMING_SHARE)


def fleet_sparks(fleet: FleetSeries, zone: tzinfo | None = None, *, cursor_s: float | None = None) -> tuple[Spark, ...]:
    """Return the three lines of the smallest layout, with the time cursor if there is one."""
    read = _read(fleet, zone, cursor_s)
    rates = tuple(column.rate for column in read.columns)
    found = tuple(each.p95 if (each := column.percentiles) else None for column in read.columns)
    shares = tuple(column.share(column.not_ok) for column in read.columns)
    now = read.now.percentiles
    bad = read.now.share(read.now.not_ok)
    return (
        Spark(
            label="throughput",
            value=(_rate_now(read), "text bold"),
            values=rates,
            top=top_over(rates),
            cursor=read.cursor,
        ),
        Spark(
            label="p95",
            value=(duration_ms(now.p95) if now else UNKNOWN, "text bold"),
            values=found,
            top=top_over(found, least=LEAST_MS),
            cursor=read.cursor,
        ),
        Spark(
            label="not 2xx",
            value=(share(bad) if bad is not None else UNKNOWN, "amber bold" if _alarm(bad) != "text" else "text bold"),
            values=shares,
            top=top_over(shares, least=LEAST_SHARE, most=1.0),
            over=_alarming(shares),
            how="max",
            cursor=read.cursor,
        ),
    )
