"""`etlwatch stats`: what was done in a stretch of time, by interval and by job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import TypeVar

import click

from etlwatch.analysis.filter import fits_job, matches_job
from etlwatch.analysis.series import INTERVALS_S, JobStats, Stats, interval_of
from etlwatch.analysis.series import Column as Traffic
from etlwatch.cli import connect, output
from etlwatch.cli.connect import no_such_job
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import SPAN, Format, format_option, jobs_option, store_option
from etlwatch.cli.output import table
from etlwatch.cli.terminal import Look
from etlwatch.fields.field import Field, FieldList, InCommand, data_field, data_fields, exact_number, iso_time, rounded
from etlwatch.reading.jobs import read_stats
from etlwatch.text.display import Tone
from etlwatch.text.numbers import clock, count, duration_ms, local_time, rate, span, zone_names
from etlwatch.text.spans import TextColumn

Row = TypeVar("Row")


def traffic_fields(read: Callable[[Row], Traffic]) -> list[Field[Row]]:
    """Return the fields of requests; parts of a cell that lies across an edge are rounded."""

    def number(key: str, heading: str, name: str, *, tone: Tone = "") -> Field[Row]:
        def value(row: Row) -> float:
            return float(getattr(read(row), name))

        return data_field(
            key, lambda row: round(value(row)), heading=heading, align="right",
            command=InCommand(
                brief=lambda row, _: count(value(row)), tone=lambda row: tone if value(row) >= 0.5 else "",
            ),
        )  # fmt: skip

    def per_second(key: str, heading: str, value: Callable[[Traffic], float | None], leaves: int) -> Field[Row]:
        return data_field(
            key, lambda row: rounded(value(read(row)), 3), heading=heading, align="right",
            command=InCommand(text=lambda row, _: rate(value(read(row)) or 0.0), leaves=leaves),
        )  # fmt: skip

    def latency(name: str, leaves: int) -> Field[Row]:
        def value(row: Row) -> float | None:
            known = read(row).percentiles
            return float(getattr(known, name)) if known else None

        return data_field(
            f"{name}_ms", lambda row: rounded(value(row), 1), heading=name, align="right",
            command=InCommand(text=lambda row, _: duration_ms(value(row)), leaves=leaves),
        )  # fmt: skip

    return [
        number("requests", "req", "requests"),
        number("items", "items", "items"),
        number("failed", "failed", "failed", tone="red"),
        number("throttled", "429", "throttled", tone="amber"),
        data_field("server_errors", lambda row: round(read(row).server_errors)),
        per_second("requests_per_s", "req/s", lambda traffic: traffic.rate, 1),
        per_second("items_per_s", "items/s", lambda traffic: traffic.item_rate, 4),
        latency("p50", 3),
        latency("p95", 0),
        latency("p99", 2),
    ]


def _runs(key: str, heading: str, name: str, *, leaves: int = 0, tone: Tone = "") -> Field[JobStats]:
    def value(job: JobStats) -> int:
        return int(getattr(job, name))

    return data_field(
        key, value, heading=heading, align="right",
        command=exact_number(
            value, tone=lambda job: tone if value(job) else "", leaves=leaves, blank_zero=True,
        ),
    )  # fmt: skip


TRAFFIC: FieldList[Traffic] = FieldList(traffic_fields(lambda traffic: traffic))
INTERVALS: FieldList[Traffic] = FieldList([
    data_field("begin", lambda interval: datetime.fromtimestamp(interval.begin, UTC)),
    data_field("seconds", lambda interval: round(interval.seconds, 3)),
    *TRAFFIC.fields,
])  # fmt: skip
JOBS: FieldList[JobStats] = FieldList(
    [
        data_field("job", heading="job", command=InCommand(shrinks_to=16)),
        _runs("began", "runs", "began"),
        _runs("completed", "ok", "completed"),
        _runs("runs_failed", "bad", "failed", tone="red"),
        *data_fields("terminated living"),
        _runs("lost", "lost", "lost", leaves=5, tone="red"),
        data_field(
            "median_s", heading="median", align="right",
            command=InCommand(text=lambda job, _: span(job.median_s), leaves=1),
        ),
        *traffic_fields(lambda job: job.traffic),
    ]
)  # fmt: skip


def stats_data(stats: Stats) -> dict[str, object]:
    """Return all statistics as one object."""
    return {
        "since": iso_time(stats.since),
        "until": iso_time(stats.until),
        "interval_s": stats.step_s,
        "total": TRAFFIC.data(stats.total),
        "intervals": list(map(INTERVALS.data, stats.intervals)),
        "jobs": list(map(JOBS.data, stats.jobs)),
    }


def stats_lines(stats: Stats, look: Look) -> Iterator[str]:
    """Yield the statistics for a person: in all, by job, by interval."""
    window = _whole_span((stats.until - stats.since).total_seconds())
    yield look.paint(
        f"{window} until {local_time(stats.until, look.zone)} {zone_names([stats.until], look.zone)}", "bold"
    )
    if not stats.total.requests:
        yield "no requests"
    context = look.context(stats.until)
    total = [stats.total] if stats.total.requests else []
    yield from table(TRAFFIC.columns(total, context), total, look)
    if stats.jobs:
        yield ""
        yield look.paint("by job", "bold")
        yield from table(JOBS.columns(stats.jobs, context), stats.jobs, look)
    if stats.total.requests:
        yield ""
        yield look.paint(f"by {_whole_span(stats.step_s)}", "bold")
        begins = [datetime.fromtimestamp(each.begin, UTC) for each in stats.intervals]
        heading = f"begin {zone_names(begins, look.zone)}"
        long = stats.until - stats.since > timedelta(days=1)
        begin = partial(_begin, zone=look.zone, long=long)
        columns = [TextColumn(heading=heading, full=begin), *TRAFFIC.columns(stats.intervals, context)]
        yield from table(columns, stats.intervals, look)


def _whole_span(seconds: float) -> str:
    """Write a span as one would type it: 24h, 7d, 5m."""
    whole = round(seconds)
    for unit, name in ((172_800, "d"), (3_600, "h"), (60, "m")):
        length = min(unit, 86_400)
        if whole >= unit and whole % length == 0:
            return f"{whole // length}{name}"
    return f"{whole}s"


def _begin(interval: Traffic, *, zone: tzinfo | None, long: bool) -> str:
    when = datetime.fromtimestamp(interval.begin, UTC)
    return f"{when.astimezone(zone):%Y-%m-%d %H:%M}" if long else clock(when, zone, seconds=interval.begin % 60 != 0)


@click.command()
@store_option
@jobs_option("this job")
@click.option(
    "--window",
    "-w",
    type=SPAN,
    default="24h",
    show_default=True,
    help="How far back: 90m, 24h, 7d.",
)
@click.option(
    "--interval",
    type=SPAN,
    help="Length of an interval: a multiple of 10s.  [default: a 24th of the window or so]",
)
@click.option("--by", type=click.Choice(["interval", "job"]), default="interval", help="The rows of jsonl and csv.")
@format_option
def stats(jobs: tuple[str, ...], window: timedelta, interval: timedelta | None, by: str, form: Format) -> None:
    """Add up what was done in a window, by interval and by job.

    Requests, items, failures, 429s, rates and latencies (p50, p95, p99 within 5 %), of all runs or of some jobs. json
    has all of it in one object; an interval's own figures stand beside those of the whole window.
    """
    step = interval_of(window) if interval is None else int(interval.total_seconds())
    if not window:
        raise click.BadParameter("a window is longer than nothing", param_hint="'--window'")
    if step < INTERVALS_S[0] or step % INTERVALS_S[0] or window.total_seconds() > 10_000 * step:
        raise click.BadParameter(
            "an interval is a multiple of 10s, and a window has at most 10,000 of them", param_hint="'--interval'"
        )
    takes = partial(_matches, jobs) if jobs else None
    with connect.reader() as reader:
        found = read_stats(reader, window, step, takes)
        mistake = no_such_job(reader, jobs, {job.job for job in found.jobs}, fits_job)
    if form is Format.TABLE:
        output.write_table(lambda look: stats_lines(found, look))
    elif form is Format.JSON:
        output.write_object(form, stats_data(found))
    elif by == "job":
        output.write_list(form, JOBS, found.jobs, found.until)
    else:
        output.write_list(form, INTERVALS, found.intervals, found.until)
    if mistake:
        raise Unsuccessful(mistake)


def _matches(patterns: tuple[str, ...], job: str) -> bool:
    return matches_job(job, patterns)
