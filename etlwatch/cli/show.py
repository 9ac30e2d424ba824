"""`etlwatch show RUN`: everything about one run, as of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, TypeVar

import click

from etlwatch.analysis.baseline import JobBaseline
from etlwatch.analysis.findings import Finding
from etlwatch.analysis.forecast import estimate
from etlwatch.cli import connect, output
from etlwatch.cli.connect import RUN_FORMS, find_run
from etlwatch.cli.errors import TRACEBACK_LINES, traceback_lines
from etlwatch.cli.options import Format, at_option, configured, configured_zone, format_option, store_option
from etlwatch.cli.output import table
from etlwatch.cli.terminal import Look, report
from etlwatch.fields.endpoints import ENDPOINTS, EndpointRow
from etlwatch.fields.errors import ERRORS, ErrorRow
from etlwatch.fields.field import Field, FieldList, InCommand, data_field, data_fields, rounded
from etlwatch.fields.runs import RUNS, run_data
from etlwatch.reading.details import RunReport, read_report
from etlwatch.text.display import state_text, state_tone
from etlwatch.text.numbers import (
    UNKNOWN,
    duration,
    duration_ms,
    exact,
    local_time,
    number_of,
    percent,
    span,
    stamp,
    zone_names,
)
from tracking_core.dataclass import dataclass
from tracking_core.histogram import percentile
from tracking_core.records import Phase, Run, SourceCount, WriterLedger

if TYPE_CHECKING:
    from tracking_core.store.queries import Reader

Row = TypeVar("Row")
ERRORS_LISTED = 10


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """A phase, and the end of its run or the present."""

    phase: Phase
    until: datetime


def read_detail(reader: Reader, word: str) -> RunReport:
    """Return the run that a word names with all that belongs to it."""
    with reader.one_view():
        return read_report(reader, find_run(reader, word), thresholds=configured().thresholds)


def _phase_rows(detail: RunReport) -> list[PhaseRow]:
    """Return its phases, each with the latest moment at which it can have ended."""
    return [PhaseRow(phase, detail.run.ended_at or detail.at) for phase in detail.phases]


def _endpoint_rows(detail: RunReport) -> list[EndpointRow]:
    return [EndpointRow(totals, detail.run.requests) for totals in detail.endpoints]


def detail_lines(detail: RunReport, look: Look) -> Iterator[str]:
    """Yield everything about a run for a person."""
    run = detail.run
    yield look.paint(look.state(run.state), state_tone(run.state)) + f"  {look.shown(run.job)}  {run.id}"
    for name, text in _facts(detail, look.zone):
        lines = look.shown(text, newline=True).split("\n")
        yield f"  {look.paint(f'{name:<9}', 'dim')} {lines[0]}"
        yield from (" " * 12 + line for line in lines[1:])
    yield from _listed("phases", PHASES, _phase_rows(detail), look, detail.at)
    yield from _listed("requests by endpoint", ENDPOINTS, _endpoint_rows(detail), look, detail.at)
    yield from _listed("source counts", SOURCES, detail.source_counts, look, detail.at)
    yield from _section("delivery", _delivery_lines(detail.ledger, look, detail.at), look)
    yield from _error_lines(detail, look)


def _facts(detail: RunReport, zone: tzinfo | None) -> Iterator[tuple[str, str]]:
    run = detail.run
    zone_name = zone_names([run.started_at, run.ended_at], zone)
    for name, finding in zip(["because", *["also"] * len(detail.findings)], detail.findings, strict=False):
        phrase = finding.evidence if name == "because" else f"{finding.kind}: {finding.evidence}"
        yield name, f"{phrase} (since {local_time(finding.since, zone)})"
    if run.notes:
        yield "notes", run.notes
    yield "number", str(run.run_id)
    yield "started", f"{local_time(run.started_at, zone)} {zone_name}"
    if run.ended_at is None:
        yield "so far", f"{duration(run.duration_s)}; {_usually(detail.baseline)}"
        eta = estimate(run, detail.phases, detail.baseline, now=detail.at)
        if eta is not None:
            low, high = (local_time(when, zone) for when in (eta.low, eta.high))
            yield "ends", f"between {low} and {high} {zone_names([eta.low, eta.high], zone)}"
    else:
        by = f", by {run.ended_by}" if run.ended_by and run.ended_by != "job" else ""
        yield "ended", f"{local_time(run.ended_at, zone)} {zone_name}, after {duration(run.duration_s)}{by}"
        yield "usually", _usually(detail.baseline).removeprefix("usually ")
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


def _usually(baseline: JobBaseline) -> str:
    """Say what the job usually takes, or how little is known of that."""
    usual = baseline.duration_s
    if usual.usual is not None:
        return f"usually {span(usual.usual)}, p95 {span(usual.p95)} ({baseline.runs} runs)"
    if baseline.runs:
        return f"{number_of(baseline.runs, 'completed run')} before: too few to compare with"
    return "no completed run before to compare with"


def _requests(run: Run) -> str:
    parts = [exact(run.requests)]
    if run.failed_requests:
        parts.append(f"{exact(run.failed_requests)} failed")
    if run.throttled_requests:
        parts.append(f"{exact(run.throttled_requests)} throttled")
    return ", ".join(parts)


def _listed(title: str, fields: FieldList[Row], rows: Sequence[Row], look: Look, now: datetime) -> Iterator[str]:
    yield from _section(title, table(fields.columns(rows, look.context(now)), rows, look, indent="  "), look)


def _section(title: str, lines: Iterator[str], look: Look) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == 0:
            yield ""
            yield look.paint(title, "bold")
        yield line


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


def _took(row: PhaseRow) -> str:
    began = row.phase.started_at
    # A phase that nobody ended went on no longer than its run.
    return UNKNOWN if began is None else duration(((row.phase.ended_at or row.until) - began).total_seconds())


PHASES: FieldList[PhaseRow] = FieldList(
    [
        data_field("run_id", lambda row: str(row.phase.run_id)),
        data_field("phase", lambda row: row.phase.phase, heading="phase", command=InCommand(shrinks_to=8)),
        data_field("position", lambda row: row.phase.position, align="right", command=InCommand()),
        data_field(
            "status", lambda row: row.phase.status, heading="state",
            command=InCommand(
                text=lambda row, context: state_text(row.phase.status, context.glyphs, piped=context.piped),
                tone=lambda row: state_tone(row.phase.status),
            ),
        ),
        data_field(
            "started_at", lambda row: row.phase.started_at, heading="started",
            command=InCommand(
                zoned=True, text=lambda row, context: local_time(row.phase.started_at, context.zone), leaves=2,
            ),
        ),
        *data_fields("ended_at", "phase"),
        Field(key="time", heading="time", align="right", command=InCommand(text=lambda row, _: _took(row))),
        Field(
            key="counters", heading="done", command=InCommand(text=lambda row, _: _progress(row.phase), shrinks_to=32),
            data="counters", data_value=lambda row: {unit: dict(each) for unit, each in row.phase.counters.items()},
        ),
        *data_fields("memory_mb peak_memory_mb memory_limit_mb", "phase"),
        Field(
            key="memory", heading="memory MB", align="right",
            command=InCommand(text=lambda row, _: _memory(row.phase), leaves=1),
        ),
    ],
    command="position phase status started_at time counters memory",
)  # fmt: skip
SOURCES: FieldList[SourceCount] = FieldList([
    data_field("run_id", lambda row: str(row.run_id)),
    data_field("entity", heading="entity", command=InCommand(shrinks_to=16)),
    data_field("items", heading="counted", align="right", command=InCommand()),
    data_field("at"),
])  # fmt: skip
LEDGER: FieldList[WriterLedger] = FieldList([
    data_field("run_id", lambda row: str(row.run_id)),
    data_field("writer_id", lambda row: str(row.writer_id), heading="writer", command=InCommand(leaves=1)),
    *(data_field(name, heading=name, align="right", command=InCommand()) for name in ("emitted", "stored", "dropped")),
    data_field(
        "missing", heading="missing", align="right",
        command=InCommand(tone=lambda row: "amber" if row.missing else ""),
    ),
    data_field("overhead"),
])  # fmt: skip
FINDINGS: FieldList[Finding] = FieldList([
    data_field("state", lambda finding: finding.kind),
    data_field("since"),
    data_field("because", lambda finding: finding.evidence),
    data_field("value", lambda finding: round(finding.value, 3)),
    data_field("limit", lambda finding: round(finding.limit, 3)),
])  # fmt: skip
"""`value` and `limit` are in the same unit."""


def detail_data(detail: RunReport) -> dict[str, object]:
    """Return everything about one run as one object."""
    latencies = {f"p{share}_ms": rounded(percentile(detail.histogram, share / 100), 1) for share in (50, 95, 99)}
    return {
        "run": run_data(detail.run) | latencies,
        "findings": list(map(FINDINGS.data, detail.findings)),
        "phases": list(map(PHASES.data, _phase_rows(detail))),
        "endpoints": list(map(ENDPOINTS.data, _endpoint_rows(detail))),
        "source_counts": list(map(SOURCES.data, detail.source_counts)),
        "errors": [ERRORS.data(ErrorRow(error, detail.run.job)) for error in detail.errors],
        "ledger": list(map(LEDGER.data, detail.ledger)),
    }


def _delivery_lines(ledger: Sequence[WriterLedger], look: Look, now: datetime) -> Iterator[str]:
    if any(entry.missing or entry.dropped for entry in ledger):
        yield from table(LEDGER.columns(ledger, look.context(now)), ledger, look, indent="  ")
    elif ledger:
        writers = f", by {len(ledger):,} writers" if len(ledger) > 1 else ""
        yield f"  all of {exact(sum(entry.emitted for entry in ledger))} events stored{writers}"


def _error_lines(detail: RunReport, look: Look) -> Iterator[str]:
    listed = [ErrorRow(error, detail.run.job) for error in detail.errors[:ERRORS_LISTED]]
    total = max(detail.run.errors, len(detail.errors))
    title = "errors" if total <= len(listed) else f"errors, the newest {len(listed)} of {total:,}"
    columns = ERRORS.columns(listed, look.context(detail.at), without="id job")
    lines = table(columns, listed, look, indent="  ")
    yield from _section(title, lines, look)
    if listed and listed[0].error.traceback.strip():
        yield ""
        yield look.paint("traceback of the newest error", "bold")
        yield from traceback_lines(listed[0].error, look, indent="  ", at_most=TRACEBACK_LINES)


@click.command(epilog=f"RUN is {RUN_FORMS}.")
@store_option
@click.argument("run")
@at_option
@format_option
def show(run: str, at: str | None, form: Format) -> None:
    """Show one RUN with everything that belongs to it.

    Its figures, phases, requests by endpoint, source counts, delivery and errors, as of one moment.

    json and jsonl give one object (run, phases, endpoints, source_counts, errors, ledger), csv the run's own columns.
    """
    with connect.reader(at) as reader:
        detail = read_detail(reader, run)
    if "endpoints" in detail.unknown:
        left_out = "requests by endpoint and delivery are left out, since they are kept for whole runs only"
        report(f"as of {stamp(detail.at, configured_zone())}; {left_out}")
    if "source_counts" in detail.unknown:
        report(f"source counts {detail.unknown['source_counts']}")
    if form is Format.TABLE:
        output.write_table(lambda look: detail_lines(detail, look))
    elif form is Format.CSV:
        output.write_rows(form, [run_data(detail.run)], fields=RUNS.keys)
    else:
        output.write_object(form, detail_data(detail))
        if len(detail.errors) < detail.run.errors:
            report(f"the newest {len(detail.errors):,} of {detail.run.errors:,} errors are listed")
