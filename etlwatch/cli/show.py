"""`etlwatch show RUN`: everything about one run, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.as_of import unknown_of
from etlwatch.analysis.baseline import JobPast
from etlwatch.analysis.forecast import estimate
from etlwatch.analysis.health import Finding
from etlwatch.cli import connect, output, shapes
from etlwatch.cli.configuration import configured, configured_zone
from etlwatch.cli.errors import TRACEBACK_LINES, Found, error_columns, traceback_lines
from etlwatch.cli.options import at_option, format_option
from etlwatch.cli.output import Format
from etlwatch.cli.selectors import RUN_FORMS, find_run
from etlwatch.cli.shapes import percentile_of
from etlwatch.cli.table import Column, table
from etlwatch.cli.terminal import Look, say
from etlwatch.cli.words import exact, local_time, state_tone, state_word, zone_of
from etlwatch.reading.health import Judge, read_past
from etlwatch.text.numbers import UNKNOWN, duration, duration_ms, percent, span, stamp
from tracking_core.dataclass import dataclass
from tracking_core.histogram import percentile
from tracking_core.records import EndpointTotals, ErrorRecord, Phase, Run, RunStatus, SourceCount, WriterLedger

if TYPE_CHECKING:
    from tracking_core.store.base import Reader

ERRORS_READ = 200
ERRORS_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """One run with all that belongs to it, read in one view of the store."""

    run: Run
    """Judged by its job's past while it lives."""

    findings: Sequence[Finding]
    """All that proves it behind, gravest first."""

    past: JobPast
    """Its job's runs that were completed before it began."""

    now: datetime
    histogram: Mapping[int, int]
    phases: Sequence[Phase]
    endpoints: Sequence[EndpointTotals]
    source_counts: Sequence[SourceCount]
    errors: Sequence[ErrorRecord]
    """The newest, at most ERRORS_READ; the run says how many there are."""

    ledger: Sequence[WriterLedger]


def read_detail(reader: Reader, word: str) -> RunDetail:
    """Return the run that a word names with all that belongs to it."""
    with reader.one_view():
        run = find_run(reader, word)
        now = reader.now()
        phases = reader.phases([run.run_id])
        judgement = Judge(thresholds=configured().thresholds).judge(
            reader, _with_living(reader, run), now=now, jobs={run.job}
        )
        return RunDetail(
            run=judgement.runs[0],
            findings=judgement.findings.get(run.run_id, ()),
            past=judgement.pasts.get(run.job) or read_past(reader, run.job, before=run.started_at, in_full=False),
            now=now,
            histogram=reader.latencies([run.run_id]).get(run.run_id, {}),
            phases=phases,
            endpoints=reader.endpoints(run.run_id),
            source_counts=reader.source_counts(run.run_id),
            errors=reader.errors(run.run_id, ERRORS_READ),
            ledger=reader.ledger(run.run_id),
        )


def _with_living(reader: Reader, run: Run) -> list[Run]:
    """Return the run, and behind it those whose life or death says something of its own."""
    if run.status != RunStatus.RUNNING:
        return [run]
    return [run, *(other for other in reader.live_runs() if other.run_id != run.run_id)]


def detail_lines(detail: RunDetail, look: Look) -> Iterator[str]:
    """Yield everything about a run for a person."""
    run = detail.run
    yield look.paint(state_word(run.state, look), state_tone(run.state)) + f"  {look.shown(run.job)}  {run.id}"
    for name, text in _facts(detail, look.zone):
        lines = look.shown(text, newline=True).split("\n")
        yield f"  {look.paint(f'{name:<9}', 'dim')} {lines[0]}"
        yield from (" " * 12 + line for line in lines[1:])
    yield from _section("phases", table(_phase_columns(detail, look), detail.phases, look, indent="  "), look)
    yield from _section("requests by endpoint", table(_ENDPOINTS, detail.endpoints, look, indent="  "), look)
    yield from _section("source counts", table(_SOURCES, detail.source_counts, look, indent="  "), look)
    yield from _section("delivery", _delivery_lines(detail.ledger, look), look)
    yield from _error_lines(detail, look)


def _facts(detail: RunDetail, zone: tzinfo | None) -> Iterator[tuple[str, str]]:
    run = detail.run
    zone_name = zone_of([run.started_at, run.ended_at], zone)
    for name, finding in zip(["because", *["also"] * len(detail.findings)], detail.findings, strict=False):
        said = finding.because if name == "because" else f"{finding.state}: {finding.because}"
        yield name, f"{said} (since {local_time(finding.since, zone)})"
    if run.notes:
        yield "notes", run.notes
    yield "number", str(run.run_id)
    yield "started", f"{local_time(run.started_at, zone)} {zone_name}"
    if run.ended_at is None:
        yield "so far", f"{duration(run.duration_s)}; {_usually(detail.past)}"
        eta = estimate(run, detail.phases, detail.past, now=detail.now)
        if eta is not None:
            low, high = (local_time(when, zone) for when in (eta.low, eta.high))
            yield "ends", f"between {low} and {high} {zone_of([eta.low, eta.high], zone)}"
    else:
        by = f", by {run.ended_by}" if run.ended_by and run.ended_by != "job" else ""
        yield "ended", f"{local_time(run.ended_at, zone)} {zone_name}, after {duration(run.duration_s)}{by}"
        yield "usually", _usually(detail.past).removeprefix("usually ")
    yield "by", f"{run.user}@{run.host}, pid {run.pid}"
    if run.command:
        yield "command", run.command
    if run.code_version:
        yield "version", run.code_version
    if run.tags:
        yield "tags", ", ".join(f"{name}={value}" for name, value in run.tags.items())
    yield "requests", _requests(run)
    if run.requests:
        shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
        yield (
            "latency",
            "  ".join(f"{name} {duration_ms(percentile(detail.histogram, s))}" for name, s in shares.items()),
        )
    if run.requests or run.items:
        yield "items", exact(run.items)
    if run.errors:
        yield "errors", exact(run.errors)


def _usually(past: JobPast) -> str:
    """Say what the job usually takes, or how little is known of that."""
    usual = past.duration_s
    if usual.usual is not None:
        return f"usually {span(usual.usual)}, p95 {span(usual.p95)} ({past.runs} runs)"
    if past.runs:
        return f"{past.runs} completed run{'s' if past.runs > 1 else ''} before: too few to compare with"
    return "no completed run before to compare with"


def _requests(run: Run) -> str:
    parts = [exact(run.requests)]
    if run.failed_requests:
        parts.append(f"{exact(run.failed_requests)} failed")
    if run.throttled_requests:
        parts.append(f"{exact(run.throttled_requests)} throttled")
    return ", ".join(parts)


def _section(title: str, lines: Iterator[str], look: Look) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == 0:
            yield ""
            yield look.paint(title, "bold")
        yield line


def _phase_columns(detail: RunDetail, look: Look) -> list[Column[Phase]]:
    def took(phase: Phase) -> str:
        if phase.started_at is None:
            return UNKNOWN
        # A phase that nobody ended went on no longer than its run.
        until = phase.ended_at or detail.run.ended_at or detail.now
        return duration((until - phase.started_at).total_seconds())

    zone = zone_of((phase.started_at for phase in detail.phases), look.zone)
    return [
        Column(heading="", full=lambda phase: str(phase.position), right=True),
        Column(heading="phase", full=lambda phase: phase.phase, shrinks_to=8),
        Column(
            heading="state",
            full=lambda phase: state_word(phase.status, look),
            tone=lambda phase: state_tone(phase.status),
        ),
        Column(heading=f"started {zone}", full=lambda phase: local_time(phase.started_at, look.zone), leaves=2),
        Column(heading="time", full=took, right=True),
        Column(heading="done", full=_progress, shrinks_to=32),
        Column(heading="memory MB", full=_memory, right=True, leaves=1),
    ]


def _progress(phase: Phase) -> str:
    parts = []
    for unit, counter in phase.counters.items():
        total, processed = counter.get("total", 0), counter.get("processed", 0)
        if total:
            parts.append(f"{exact(processed)} of {exact(total)} {unit} {percent(processed / total)}")
        elif processed:
            parts.append(f"{exact(processed)} {unit}")
    return ", ".join(parts)


def _memory(phase: Phase) -> str:
    peak = phase.peak_memory_mb if phase.peak_memory_mb is not None else phase.memory_mb
    if peak is None:
        return ""
    limit = f" of {phase.memory_limit_mb:,.0f}" if phase.memory_limit_mb is not None else ""
    return f"{peak:,.0f}{limit}"


def _latency(share: float, endpoint: EndpointTotals) -> str:
    return duration_ms(percentile_of(endpoint, share))


_ENDPOINTS: list[Column[EndpointTotals]] = [
    Column(heading="endpoint", full=lambda row: row.endpoint, shrinks_to=16),
    Column(heading="req", full=lambda row: exact(row.requests), right=True),
    Column(heading="items", full=lambda row: exact(row.items), right=True),
    Column(
        heading="failed",
        full=lambda row: exact(row.failed),
        right=True,
        tone=lambda row: "red" if row.failed else "",
    ),
    Column(
        heading="429",
        full=lambda row: exact(row.throttled),
        right=True,
        tone=lambda row: "amber" if row.throttled else "",
    ),
    Column(heading="p50", full=lambda row: _latency(0.50, row), right=True),
    Column(heading="p95", full=lambda row: _latency(0.95, row), right=True),
    Column(heading="p99", full=lambda row: _latency(0.99, row), right=True, leaves=2),
    Column(heading="max", full=lambda row: duration_ms(row.max_ms), right=True, leaves=1),
]
_SOURCES: list[Column[SourceCount]] = [
    Column(heading="entity", full=lambda row: row.entity, shrinks_to=16),
    Column(heading="counted", full=lambda row: exact(row.items), right=True),
]
_LEDGER: list[Column[WriterLedger]] = [
    Column(heading="writer", full=lambda row: str(row.writer_id), leaves=1),
    Column(heading="emitted", full=lambda row: exact(row.emitted), right=True),
    Column(heading="stored", full=lambda row: exact(row.stored), right=True),
    Column(heading="dropped", full=lambda row: exact(row.dropped), right=True),
    Column(
        heading="missing",
        full=lambda row: exact(row.missing),
        right=True,
        tone=lambda row: "amber" if row.missing else "",
    ),
]


def _delivery_lines(ledger: Sequence[WriterLedger], look: Look) -> Iterator[str]:
    if any(entry.missing or entry.dropped for entry in ledger):
        yield from table(_LEDGER, ledger, look, indent="  ")
    elif ledger:
        writers = f", by {len(ledger):,} writers" if len(ledger) > 1 else ""
        yield f"  all of {exact(sum(entry.emitted for entry in ledger))} events stored{writers}"


def _error_lines(detail: RunDetail, look: Look) -> Iterator[str]:
    listed = [Found(error=error, job=detail.run.job) for error in detail.errors[:ERRORS_LISTED]]
    total = max(detail.run.errors, len(detail.errors))
    title = "errors" if total <= len(listed) else f"errors, the newest {len(listed)} of {total:,}"
    lines = table(error_columns(listed, look, detail.now, one_run=True), listed, look, indent="  ")
    yield from _section(title, lines, look)
    if listed and listed[0].error.traceback.strip():
        yield ""
        yield look.paint("traceback of the newest error", "bold")
        yield from traceback_lines(listed[0].error, look, indent="  ", at_most=TRACEBACK_LINES)


@click.command(epilog=f"RUN is {RUN_FORMS}.")
@connect.store_option
@click.argument("run")
@at_option
@format_option
def show(run: str, at: str | None, form: Format) -> None:
    """Show one RUN with everything that belongs to it.

    Its figures, phases, requests by endpoint, source counts, delivery and errors, as of one moment.

    json and jsonl give one object (run, phases, endpoints, source_counts, errors, ledger), csv the run's own columns.
    """
    with connect.reader() as reader:
        detail = read_detail(connect.reader_at(reader, at), run)
    if unknown_of(detail.run):
        left_out = "requests by endpoint and delivery are left out, since they are kept for whole runs only"
        say(f"as of {stamp(detail.now, configured_zone())}; {left_out}")
    if form is Format.TABLE:
        output.write_table(lambda look: detail_lines(detail, look))
    elif form is Format.CSV:
        output.write_rows(form, [shapes.run_shape(detail.run)], fields=shapes.RUN_FIELDS)
    else:
        output.write_object(
            form,
            shapes.run_detail_shape(
                detail.run,
                findings=detail.findings,
                histogram=detail.histogram,
                phases=detail.phases,
                endpoints=detail.endpoints,
                source_counts=detail.source_counts,
                errors=detail.errors,
                ledger=detail.ledger,
            ),
        )
