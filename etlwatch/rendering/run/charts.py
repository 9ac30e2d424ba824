"""A run's requests over time: the compact charts of its overview, and the columns that all its charts share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from etlwatch.analysis.series import Column, columns_of
from etlwatch.rendering.charts import Chart, count_label, millis_label, place_of, top_over
from etlwatch.rendering.run.view import RunView
from etlwatch.text.blocks import Layer
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import clock, duration_ms, moment, rate
from etlwatch.text.spans import Spans

DAY_S = 86_400
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800)


def run_columns_over_time(
    view: RunView, context: DisplayContext, columns: int, *, axis_end: float | None = None
) -> tuple[Column, ...]:
    """Return the run's requests in `columns` columns from its beginning to `axis_end`, else to its end or now."""
    since, until = view.began_s, view.end_s(context)
    step = (max(until, axis_end or 0.0) - since) / max(1, columns)
    known = view.details.series_until
    # A cell begins before the run does: what is in it happened since the beginning all the same.
    return columns_of(view.details.series, since, step, max(1, columns), until if known is None else min(until, known))


def time_ticks(start: float, end: float, context: DisplayContext, *, most: int = 6) -> tuple[tuple[float, str], ...]:
    """Return the beginning and the round times between two moments (seconds), at most about `most` of them."""
    step = next((each for each in STEPS_S if (end - start) / each <= most), STEPS_S[-1])
    local = datetime.fromtimestamp(start, UTC).astimezone(context.zone)
    shift = local.utcoffset()
    offset = shift.total_seconds() if shift else 0.0
    first = -(-(start + offset) // step) * step - offset
    last = datetime.fromtimestamp(end, UTC)
    round_ones = (first + step * index for index in range(int((end - first) // step) + 1))

    def label(at: float) -> str:
        when = datetime.fromtimestamp(at, UTC)
        return moment(when, last, context.zone) if end - start > DAY_S else clock(when, context.zone, seconds=step < 60)

    # The beginning first: where it touches a round time, it is the one that stays.
    return tuple((at, label(at)) for at in (start, *round_ones))


def throughput_chart(view: RunView, context: DisplayContext, columns: int, *, cursor_s: float | None = None) -> Chart:
    """Return requests a second for the overview, on the axis of the phases."""
    made = run_columns_over_time(view, context, columns, axis_end=view.until_s(context))
    rates = tuple(column.rate for column in made)
    top = top_over(rates)
    now = view.row.rates.requests if view.row.rates else view.run.requests / max(view.run.duration_s, 1.0)
    return Chart(
        title=_indented(
            ("throughput", "dim"),
            ("  ", "plain"),
            (f"{rate(now)}/s", "text bold"),
            *_usually(view, view.row.baseline.request_rate.usual, lambda usual: f"{rate(usual)}/s"),
        ),
        layers=(Layer(values=rates, role="chart-p99"),),
        top=top,
        top_label=count_label(top),
        cursor=place_of(made, cursor_s),
    )


def latency_chart(view: RunView, context: DisplayContext, columns: int, *, cursor_s: float | None = None) -> Chart:
    """Return the 95th percentile of the latency for the overview, on the axis of the phases."""
    made = run_columns_over_time(view, context, columns, axis_end=view.until_s(context))
    found = tuple(each.p95 if (each := column.percentiles) else None for column in made)
    top = top_over(found, least=100.0)
    overall = view.row.percentiles
    return Chart(
        title=_indented(
            ("latency p95", "dim"),
            ("  ", "plain"),
            (duration_ms(overall.p95) if overall else "", "text bold"),
            *_usually(view, view.row.baseline.latency_p95_ms.usual, duration_ms),
        ),
        layers=(Layer(values=found, role="chart-p99"),),
        top=top,
        top_label=millis_label(top),
        cursor=place_of(made, cursor_s),
    )


def _usually(view: RunView, usual: float | None, write: Callable[[float], str]) -> Spans:
    """Return the job's usual figure for a chart, if known."""
    return ((f"  usual {write(usual)}", "dim"),) if usual is not None and view.row.live else ()


def _indented(*title: tuple[str, str]) -> Spans:
    """Indent a title to the left edge of its plot."""
    return (("     ", "plain"), *title)
