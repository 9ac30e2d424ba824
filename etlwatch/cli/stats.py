"""`etlwatch stats`: what was done in a stretch of time, by interval and by job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial

import click

from etlwatch.analysis.series import Column as Traffic
from etlwatch.analysis.stats import INTERVALS_S, JobStats, Stats, interval_of
from etlwatch.cli import connect, output, shapes
from etlwatch.cli.options import format_option
from etlwatch.cli.output import Format
from etlwatch.cli.runs import matches_job
from etlwatch.cli.selectors import parsed_by
from etlwatch.cli.table import Column, table
from etlwatch.cli.terminal import Look
from etlwatch.cli.words import local_time, zone_of
from etlwatch.reading.stats import read_stats
from etlwatch.text.moments import parse_span
from etlwatch.text.numbers import UNKNOWN, clock, count, duration_ms, rate, span

WINDOW = timedelta(hours=24)
TRAFFIC_FIELDS = (
    "requests", "items", "failed", "throttled", "server_errors", "requests_per_s", "items_per_s", "p50_ms", "p95_ms",
    "p99_ms",
)  # fmt: skip
INTERVAL_FIELDS = ("begin", "seconds", *TRAFFIC_FIELDS)
JOB_FIELDS = (
    "job", "began", "completed", "runs_failed", "terminated", "living", "lost", "median_s", *TRAFFIC_FIELDS,
)  # fmt: skip


def traffic_shape(traffic: Traffic) -> dict[str, object]:
    """Return requests as data, its keys TRAFFIC_FIELDS; parts of a cell that lies across an edge are rounded."""
    latency = traffic.percentiles
    return {
        "requests": round(traffic.requests),
        "items": round(traffic.items),
        "failed": round(traffic.failed),
        "throttled": round(traffic.throttled),
        "server_errors": round(traffic.server_errors),
        "requests_per_s": None if traffic.rate is None else round(traffic.rate, 3),
        "items_per_s": None if traffic.item_rate is None else round(traffic.item_rate, 3),
        "p50_ms": round(latency.p50, 1) if latency else None,
        "p95_ms": round(latency.p95, 1) if latency else None,
        "p99_ms": round(latency.p99, 1) if latency else None,
    }


def interval_shape(interval: Traffic) -> dict[str, object]:
    """Return an interval as data, its keys INTERVAL_FIELDS."""
    begin = shapes.moment(datetime.fromtimestamp(interval.begin, UTC))
    return {"begin": begin, "seconds": round(interval.seconds, 3), **traffic_shape(interval)}


def job_shape(job: JobStats) -> dict[str, object]:
    """Return a job as data, its keys JOB_FIELDS."""
    return {
        "job": job.job,
        "began": job.began,
        "completed": job.completed,
        "runs_failed": job.failed,
        "terminated": job.terminated,
        "living": job.living,
        "lost": job.lost,
        "median_s": job.median_s,
        **traffic_shape(job.traffic),
    }


def stats_shape(stats: Stats) -> dict[str, object]:
    """Return all statistics as one object."""
    return {
        "since": shapes.moment(stats.since),
        "until": shapes.moment(stats.until),
        "interval_s": stats.step_s,
        "total": traffic_shape(stats.total),
        "intervals": [interval_shape(interval) for interval in stats.intervals],
        "jobs": [job_shape(job) for job in stats.jobs],
    }


def _traffic_columns() -> list[Column[Traffic]]:
    def latency(traffic: Traffic, name: str) -> str:
        known = traffic.percentiles
        return duration_ms(getattr(known, name)) if known else UNKNOWN

    def number(heading: str, name: str, leaves: int = 0, *, bad: str = "") -> Column[Traffic]:
        return Column(
            heading=heading,
            full=lambda traffic: f"{round(getattr(traffic, name)):,}",
            brief=lambda traffic: count(getattr(traffic, name)),
            right=True,
            tone=lambda traffic: "red" if bad == "red" and getattr(traffic, name) >= 0.5
            else "amber" if bad and getattr(traffic, name) >= 0.5 else "",
            leaves=leaves,
        )  # fmt: skip

    return [
        number("req", "requests"),
        number("items", "items"),
        number("failed", "failed", bad="red"),
        number("429", "throttled", bad="amber"),
        Column(heading="req/s", full=lambda traffic: rate(traffic.rate or 0.0), right=True, leaves=1),
        Column(heading="items/s", full=lambda traffic: rate(traffic.item_rate or 0.0), right=True, leaves=4),
        Column(heading="p50", full=lambda traffic: latency(traffic, "p50"), right=True, leaves=3),
        Column(heading="p95", full=lambda traffic: latency(traffic, "p95"), right=True),
        Column(heading="p99", full=lambda traffic: latency(traffic, "p99"), right=True, leaves=2),
    ]


def stats_lines(stats: Stats, look: Look) -> Iterator[str]:
    """Yield the statistics for a person: in all, by job, by interval."""
    window = _whole_span((stats.until - stats.since).total_seconds())
    yield look.paint(f"{window} until {local_time(stats.until, look.zone)} {zone_of([stats.until], look.zone)}", "bold")
    if not stats.total.requests:
        yield "no requests"
    yield from table(_traffic_columns(), [stats.total] if stats.total.requests else [], look)
    if stats.jobs:
        yield ""
        yield look.paint("by job", "bold")
        yield from table(_job_columns(), stats.jobs, look)
    if stats.total.requests:
        yield ""
        yield look.paint(f"by {_whole_span(stats.step_s)}", "bold")
        begins = [datetime.fromtimestamp(each.begin, UTC) for each in stats.intervals]
        heading = f"begin {zone_of(begins, look.zone)}"
        long = stats.until - stats.since > timedelta(days=1)
        begin = partial(_begin, zone=look.zone, long=long)
        yield from table([Column(heading=heading, full=begin), *_traffic_columns()], stats.intervals, look)


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


def _job_columns() -> list[Column[JobStats]]:
    def runs(heading: str, name: str, leaves: int = 0, *, bad: bool = False) -> Column[JobStats]:
        return Column(
            heading=heading,
            full=lambda job: f"{getattr(job, name):,}",
            brief=lambda job: count(getattr(job, name), blank_zero=True),
            right=True,
            tone=lambda job: "red" if bad and getattr(job, name) else "",
            leaves=leaves,
        )

    def of_traffic(column: Column[Traffic]) -> Column[JobStats]:
        brief = column.brief
        return Column(
            heading=column.heading,
            full=lambda job: column.full(job.traffic),
            brief=None if brief is None else lambda job: brief(job.traffic),
            right=column.right,
            tone=lambda job: column.tone(job.traffic),
            leaves=column.leaves,
        )

    return [
        Column(heading="job", full=lambda job: job.job, shrinks_to=16),
        runs("runs", "began"),
        runs("ok", "completed"),
        runs("bad", "failed", bad=True),
        runs("lost", "lost", 5, bad=True),
        Column(heading="median", full=lambda job: span(job.median_s), right=True, leaves=1),
        *map(of_traffic, _traffic_columns()),
    ]


@click.command()
@connect.store_option
@click.option("--job", "-j", "jobs", multiple=True, metavar="JOB", help="Only this job; sync* works, repeatable.")
@click.option(
    "--window",
    "-w",
    metavar="SPAN",
    default="24h",
    show_default=True,
    callback=parsed_by(parse_span),
    help="How far back: 90m, 24h, 7d.",
)
@click.option(
    "--interval",
    metavar="SPAN",
    callback=parsed_by(parse_span),
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
    takes = partial(_takes, jobs) if jobs else None
    with connect.reader() as reader:
        found = read_stats(reader, window, step, takes)
    if form is Format.TABLE:
        output.write_table(lambda look: stats_lines(found, look))
    elif form is Format.JSON:
        output.write_object(form, stats_shape(found))
    elif by == "job":
        output.write_rows(form, map(job_shape, found.jobs), fields=JOB_FIELDS)
    else:
        output.write_rows(form, map(interval_shape, found.intervals), fields=INTERVAL_FIELDS)


def _takes(patterns: tuple[str, ...], job: str) -> bool:
    return matches_job(job, patterns)
