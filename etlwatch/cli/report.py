"""`etlwatch report RUN [FILE]`: one run as an incident in Markdown, from what is stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etlwatch.analysis.compare import Comparison, compare_runs
from etlwatch.analysis.run_rows import build_rows
from etlwatch.analysis.snapshot import Snapshot
from etlwatch.cli import connect, output, terminal
from etlwatch.cli.connect import RUN_FORMS, find_run
from etlwatch.cli.errors import TRACEBACK_LINES, traceback_lines
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.options import configured, shown_zone, store_option
from etlwatch.cli.terminal import Look
from etlwatch.fields.differences import DIFFERENCES
from etlwatch.fields.errors import known_text, success_text
from etlwatch.reading.bundle import is_about
from etlwatch.reading.details import RunDetailsCache
from etlwatch.reading.health import read_baseline, read_health_of_run
from etlwatch.rendering.compare import conclusion, run_text
from etlwatch.rendering.operations import audit_text
from etlwatch.rendering.run.errors import groups_of
from etlwatch.rendering.run.tabs import events_of
from etlwatch.rendering.run.view import RunView, view_of
from etlwatch.text.display import state_text
from etlwatch.text.numbers import duration, exact, local_time, number_of, stamp, zone_names
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import AuditEntry, Run, RunStatus

if TYPE_CHECKING:
    from tracking_core.store.queries import Reader

AUDIT_READ = 1_000
"""Changes by people among which those that concern the run are looked for, the newest."""

KINDS_SHOWN = 10
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")
_BLOCK = re.compile(r"^(\s*[0-9]*)([-+=.)])")
"""What begins a list or a rule at the beginning of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """All that is stored of a run and of what followed it."""

    view: RunView
    at: datetime
    """The store's clock."""

    comparison: Comparison | None
    """With the last success of its job before it; None without one."""

    audit: Sequence[AuditEntry]
    """What people changed that concerns it, the oldest first."""

    success: Run | None
    """The newest success of its job that began after it."""


def read_incident(reader: Reader, word: str) -> Incident:
    """Return the incident of the run that a word names; raises StoreError."""
    with reader.one_view():
        now, run = reader.now(), find_run(reader, word)
        health = read_health_of_run(reader, run, now=now, thresholds=configured().thresholds)
        run = health.runs[0]
        baseline = health.baselines.get(run.job) or read_baseline(reader, run.job, before=run.started_at)
        details = RunDetailsCache().read(reader, run.run_id, now.timestamp())
        if details is None or details.run is None:
            raise Unsuccessful(f"the run {run.id} was removed a moment ago")
        details = replace(details, run=run)
        snapshot = Snapshot(
            at=now,
            read_at=0.0,
            poll_ms=0.0,
            runs=(run,),
            findings=health.findings,
            baselines={run.job: baseline},
            details=details,
        )
        before = details.reference
        completed = reader.runs_of_job(run.job, 1, completed=True)
        return Incident(
            view=view_of(build_rows(snapshot)[0], snapshot),
            at=now,
            comparison=None if before is None or before.run is None else compare_runs(details, before, now=now),
            audit=[entry for entry in reversed(reader.audit(AUDIT_READ)) if is_about(entry, run)],
            success=next((each for each in completed if each.started_at > run.started_at), None),
        )


def incident_lines(incident: Incident, look: Look) -> Iterator[str]:
    """Yield the incident as Markdown; text from the store is made safe and means nothing there."""
    view, run, zone = incident.view, incident.view.run, look.zone
    context = look.context(incident.at)
    yield f"# {_plain(run.job, look)} {run.id}: {_plain(state_text(run.state, context.glyphs, piped=True), look)}"
    yield ""
    yield from (f"- {name}: {_plain(text, look)}" for name, text in _head(incident, look) if text)
    findings = [
        f"- **{_plain(each.kind, look)}** since {stamp(each.since, zone)}: {_plain(each.evidence, look)}"
        for each in view.row.findings
    ]
    because = view.row.verdict.because
    yield from _section("Findings", findings or ([_item(because, look)] if because else []))
    began = run.started_at
    events = (
        (local_time(each.at, zone), duration(max((each.at - began).total_seconds(), 0)), each.word, each.text)
        for each in events_of(view, context)
    )
    headings = (f"when ({zone_names([began, incident.at], zone)})", "after", "what", "")
    yield from _section("Timeline", _table(headings, events, look))
    yield from _section("Compared with the last success", _comparison_lines(incident, look))
    yield from _section("Errors", _error_lines(incident, look))
    changes = (
        f"- {stamp(each.at, zone)} {_plain(f'{each.actor}: {audit_text(each)}', look)}" for each in incident.audit
    )
    yield from _section("Who did what", changes)
    yield from _section("Open", (_item(each, look) for each in _open(incident, look)))
    yield from ("", f"As stored at {stamp(incident.at, zone)}.")


def _plain(text: object, look: Look) -> str:
    """Return text on one line without a meaning in Markdown."""
    return _SPECIAL.sub(r"\\\1", look.shown(text))


def _item(text: object, look: Look) -> str:
    """Return a line of a list with such a text, which begins no other list."""
    return "- " + _BLOCK.sub(r"\1\\\2", _plain(text, look))


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", f"## {heading}", "")
    yield from list(lines) or ["None."]


def _table(headings: Sequence[str], rows: Iterable[Iterable[str]], look: Look) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|" + " --- |" * len(headings)
    yield from (f"| {' | '.join(_plain(cell, look) for cell in row)} |" for row in rows)


def _comparison_lines(incident: Incident, look: Look) -> Iterator[str]:
    comparison, context = incident.comparison, look.context(incident.at)
    if comparison is None:
        return
    yield _plain(f"{run_text(comparison.before, context)}: {conclusion(comparison, context)}", look)
    columns = DIFFERENCES.columns(comparison.changes, context)
    if comparison.changes:
        rows = ([each.full(row) for each in columns] for row in comparison.changes)
        yield from ("", *_table([each.heading for each in columns], rows, look))


def _error_lines(incident: Incident, look: Look) -> Iterator[str]:
    """Yield the kinds of errors, each with its newest traceback in a fence longer than any in it."""
    context, details = look.context(incident.at), incident.view.details
    groups = groups_of(incident.view)
    for group in groups[:KINDS_SHOWN]:
        error = group.newest
        where = f" in {error.phase}" if error.phase else ""
        about = f"; {known_text(group.kind, context)}; {success_text(group.kind, context)}" if group.kind else ""
        often = f"{exact(group.group.errors)}×, the last at {stamp(error.at, look.zone)}{about}: {error.message}"
        yield f"- **{_plain(error.error_type + where, look)}** {_plain(often, look)}"
        traceback = list(traceback_lines(error, look, indent="  ", at_most=TRACEBACK_LINES))
        if traceback:
            fence = "`" * max([3, *(len(each) + 1 for each in re.findall("`+", "\n".join(traceback)))])
            yield from ("", f"  {fence}text", *traceback, f"  {fence}", "")
    if len(groups) > KINDS_SHOWN:
        yield f"- {number_of(len(groups) - KINDS_SHOWN, 'more kind')}"
    if len(details.errors) < incident.view.run.errors:
        yield f"- of {exact(incident.view.run.errors)} errors the newest {exact(len(details.errors))} were read"


def _head(incident: Incident, look: Look) -> Iterator[tuple[str, str]]:
    run = incident.view.run
    yield "evidence", incident.view.row.verdict.because
    yield "began", stamp(run.started_at, look.zone)
    if run.ended_at is not None:
        by = f", by {run.ended_by}" if run.ended_by else ""
        yield "ended", f"{stamp(run.ended_at, look.zone)}, after {duration(run.duration_s)}{by}"
    else:
        yield "so far", duration(run.duration_s)
    yield "by", f"{run.user}@{run.host}, pid {run.pid}"
    yield "command", run.command
    yield "version", run.code_version
    yield "tags", ", ".join(f"{name}={value}" for name, value in run.tags.items())
    yield "notes", run.notes or ""
    failed = f", {exact(run.failed_requests)} failed" if run.failed_requests else ""
    throttled = f", {exact(run.throttled_requests)} throttled" if run.throttled_requests else ""
    yield "requests", f"{exact(run.requests)}{failed}{throttled}; {number_of(run.items, 'item')}"


def _open(incident: Incident, look: Look) -> Iterator[str]:
    """Yield what nobody has ended or mended as far as it is stored."""
    run, success = incident.view.run, incident.success
    if run.status == RunStatus.RUNNING:
        close = f"; etlwatch close {run.id} ends it, if its job is dead" if run.state == "lost" else ""
        yield f"it has not ended: {run.state}{close}"
    elif run.status != RunStatus.COMPLETED and success is None:
        yield f"{run.job} has not completed since"
    if run.status == RunStatus.COMPLETED and incident.view.row.findings and success is None:
        yield f"no run of {run.job} has completed since: its numbers still stand"
    if success is None:
        context = look.context(incident.at)
        for group in groups_of(incident.view):
            if group.kind is not None and not group.kind.mended:
                yield f"{group.newest.error_type}: {success_text(group.kind, context)}"
    missing = sum(entry.missing for entry in incident.view.details.ledger)
    if missing and run.status != RunStatus.RUNNING:
        yield f"{number_of(missing, 'event')} of it are missing: in a spool, on their way, or lost"


@click.command(epilog=f"RUN is {RUN_FORMS}.")
@store_option
@click.argument("run")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def report(run: str, file: Path | None) -> None:
    """Write the incident of one RUN as Markdown.

    Its state with the evidence, a timeline, the comparison with the last success of its job, errors by kind with their
    newest traceback, what people changed, and what is open. It goes to stdout, or into a FILE that is not there yet.
    """
    with connect.reader() as reader:
        incident = read_incident(reader, run)
    if file is None:
        output.write_table(lambda look: incident_lines(incident, look))
        return
    text = "".join(f"{line}\n" for line in incident_lines(incident, Look(piped=True, zone=shown_zone())))
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise Unsuccessful(f"{file} is there already, nothing was written: name another file") from None
    except OSError as error:
        raise Unsuccessful(f"{file} cannot be written: {error.strerror or error}") from None
    terminal.report(f"wrote {file}")
