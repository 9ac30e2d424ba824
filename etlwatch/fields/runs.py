"""The fields of a run: one declaration each for the runs table, its orders and filters, `etlwatch runs`, JSON and CSV.

A row is a RunRow; a command that reads nothing but runs makes one with `row_of`.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from etlwatch.analysis.filter import parse_duration, parse_number
from etlwatch.analysis.forecast import eta_words
from etlwatch.analysis.run_rows import RunRow, Verdict
from etlwatch.analysis.states import BEHIND, RANKS, STATES
from etlwatch.fields.field import Field, FieldList, InCommand, data_field, data_fields, exact_number, text
from etlwatch.text.blocks import duration_bar, progress_bar
from etlwatch.text.display import UNICODE, DisplayContext, Glyphs, state_text, state_tone
from etlwatch.text.numbers import (
    UNKNOWN,
    count,
    dated,
    duration,
    duration_ms,
    local_time,
    moment,
    percent,
    rate,
    ratio,
    started,
)  # fmt: skip
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Collection

    from etlwatch.analysis.filter import Filter
    from tracking_core.records import Run

LEAST_NOTE: Final = 16
"""Cells that a note needs to be useful."""


@cache
def _verdict(state: str) -> Verdict:
    return Verdict(state=state, tone="plain", rank=RANKS.get(state, RANKS["running"]))


def row_of(run: Run) -> RunRow:
    """Return the row of a run of which nothing else was read."""
    return RunRow(run=run, verdict=_verdict(run.state))


def run_data(run: Run) -> dict[str, object]:
    """Return a run as JSON has it."""
    return RUNS.data(row_of(run))


def run_passes(
    wanted: Filter[RunRow],
    row: RunRow,
    now: datetime,
    endpoints: Collection[str] | None = None,
    *,
    perhaps_fewer: bool = False,
) -> bool:
    """Return whether a run passes a filter; see `Filter.matches`. A run without requests has no endpoints."""
    requested = endpoints if row.run.requests else ()
    return wanted.matches(row, now, endpoints=requested, perhaps_fewer=perhaps_fewer)


def row_role(row: RunRow) -> str:
    """Return what `plain` means in a row: dim for what is over and well, or was made good."""
    return "dim" if row.verdict.tone == "dim" else "plain"


def state_spans(row: RunRow, glyphs: Glyphs = UNICODE) -> Spans:
    """Return glyph and word of a run's state in its tone."""
    state = row.verdict.state
    role = f"{row.verdict.tone} strong" if row.verdict.needs_you else row.verdict.tone
    return ((f"{glyphs.state(state)} {safe(state)}", role),)


def notes_of(run: Run) -> str:
    """Return what proves a derived state, then the notes."""
    return " · ".join(part for part in (run.evidence, (run.notes or "").strip()) if part)


def _bar(row: RunRow, context: DisplayContext) -> Spans:
    usual = row.usual_duration
    return duration_bar(row.run.duration_s, usual.p95, runs=usual.runs, glyphs=context.glyphs)


def _phase(row: RunRow, _context: DisplayContext) -> Spans:
    phase = row.phase
    if phase is None:
        return ()
    return text(f"{phase.position}/{phase.count} {safe(phase.name)}".rstrip(), "plain" if row.live else "dim")


def _progress(row: RunRow, context: DisplayContext) -> Spans:
    if row.phase is None or not row.live:
        return ()
    return progress_bar(row.phase.share, glyphs=context.glyphs)


def _done(row: RunRow, _context: DisplayContext) -> Spans:
    if row.phase is None or row.phase.share is None:
        return ()
    # A column of four cells: a job that does ten times what it expected is shown as a multiple.
    write = percent if row.phase.share < 9.995 else ratio
    return text(write(row.phase.share), "plain" if row.live else "dim")


def _rate(row: RunRow, context: DisplayContext) -> Spans:
    if not row.live or not row.run.requests:
        return ()
    if row.rates is None or row.verdict.state == "lost":
        return text(context.glyphs.text(UNKNOWN))
    return text(rate(row.rates.requests), "amber" if row.verdict.state in BEHIND else "plain")


def _p95(row: RunRow, context: DisplayContext) -> Spans:
    if row.percentiles is None:
        return text(context.glyphs.text(UNKNOWN)) if row.run.requests else ()
    return text(duration_ms(row.percentiles.p95))


def _by_need(row: RunRow) -> tuple[int, int, float, int]:
    """Rank first; among the living the longest running first, among the ended the last ended first."""
    if row.run.ended_at is None:
        return (row.verdict.rank, 0, row.run.started_at.timestamp(), row.run.run_id)
    return (row.verdict.rank, 1, -row.run.ended_at.timestamp(), -row.run.run_id)


def _states(row: RunRow) -> tuple[str, ...]:
    """Return the states that a filter finds a run by: one that is behind is running all the same, a lost one is not."""
    shown = row.verdict.state
    return (shown, row.run.status) if shown in BEHIND else (shown,)


RUNS: Final[FieldList[RunRow]] = FieldList(
    [
        data_field("run_id", lambda row: str(row.run.run_id)),
        Field(
            key="id", value=lambda row: row.run.id, searched=True, data="id",
            filter="id", filtered=lambda row: f"{row.run.id} {row.run.run_id}",
            command=InCommand(heading="run", brief=lambda row, _: row.run.id[-6:]),
        ),
        Field(
            key="job", heading="job", width=18, gap=1, grow=1, ascending=True,
            value=lambda row: row.run.job, cell=lambda row, _: text(safe(row.run.job)),
            filter="job", searched=True, data="job",
            command=InCommand(text=lambda row, _: row.run.job, shrinks_to=18),
        ),
        data_field("notes", lambda row: row.run.notes, filter="notes note", searched=True),
        data_field("status", lambda row: row.run.status, filter="status"),
        Field(
            key="state", heading="state", width=12, value=lambda row: row.run.state, searched=True, data="state",
            cell=lambda row, context: state_spans(row, context.glyphs),
            command=InCommand(
                text=lambda row, context: state_text(row.run.state, context.glyphs, piped=context.piped),
                tone=lambda row: state_tone(row.run.state),
            ),
        ),
        # In the list of one job's runs in the place of the job.
        Field(
            key="began", width=0,
            cell=lambda row, context: text(dated(row.run.started_at, context.zone)),
        ),
        Field(
            key="start", heading="start", width=(0, 5), gap=(1, 1, 1, 2), data="started_at",
            value=lambda row: row.run.started_at,
            cell=lambda row, context: text(started(row.run.started_at, context.now, context.zone), "dim"),
            command=InCommand(
                heading="started", zoned=True, leaves=1,
                text=lambda row, context: local_time(row.run.started_at, context.zone),
                brief=lambda row, context: moment(row.run.started_at, context.now, context.zone),
            ),
        ),
        data_field("ended_at", lambda row: row.run.ended_at),
        Field(
            key="time", heading="time", width=7, gap=(1, 2), align="right",
            value=lambda row: row.run.duration_s, cell=lambda row, _: text(duration(row.run.duration_s)),
            filter="dur duration time", parse=parse_duration,
            data="duration_s", data_value=lambda row: round(row.run.duration_s, 3), command=InCommand(),
        ),
        Field(
            key="req", heading="req", width=(0, 0, 0, 5), align="right",
            value=lambda row: row.run.requests, cell=lambda row, _: text(count(row.run.requests, blank_zero=True)),
            filter="req requests", parse=parse_number, data="requests",
            command=exact_number(lambda row: row.run.requests, leaves=4),
        ),
        Field(
            key="items", heading="items", width=(0, 5), align="right",
            value=lambda row: row.run.items, cell=lambda row, _: text(count(row.run.items, blank_zero=True)),
            filter="items", parse=parse_number, data="items",
            command=exact_number(lambda row: row.run.items, leaves=3),
        ),
        Field(
            key="failed", heading="failed", align="right",
            value=lambda row: row.run.failed_requests, data="failed_requests",
            command=exact_number(lambda row: row.run.failed_requests, leaves=5, blank_zero=True),
        ),
        Field(
            key="throttled", heading="429", align="right",
            value=lambda row: row.run.throttled_requests, data="throttled_requests",
            filter="throttled", parse=parse_number,
            command=exact_number(lambda row: row.run.throttled_requests, leaves=6, blank_zero=True),
        ),
        Field(
            key="errors", heading="errors", align="right", value=lambda row: row.run.errors, data="errors",
            command=exact_number(
                lambda row: row.run.errors, blank_zero=True, tone=lambda row: "red" if row.run.errors else "",
            ),
        ),
        *data_fields("state_since evidence", "run"),
        # Empty while a run goes on; duration_s then reaches to the moment of reading.
        data_field(
            "duration_ms", lambda row: None if row.run.ended_at is None else round(row.run.duration_s * 1000),
        ),
        *data_fields("heartbeat_at heartbeat_interval_s progress_at emitted dropped", "run"),
        data_field("host", lambda row: row.run.host, filter="host", searched=True),
        *data_fields("pid boot_id", "run"),
        data_field("username", lambda row: row.run.user, filter="user"),
        data_field("command", lambda row: row.run.command),
        data_field("code_version", lambda row: row.run.code_version, filter="version"),
        data_field("tracker_version", lambda row: row.run.tracker_version),
        data_field("parent_run_id", lambda row: None if row.run.parent_run_id is None else str(row.run.parent_run_id)),
        *data_fields("ended_by clock_offset_ms", "run"),
        Field(
            key="tags", value=lambda row: [f"{key}={value}" for key, value in row.run.tags.items()],
            filter="tag tags", searched=True, data="tags", data_value=lambda row: dict(row.run.tags),
        ),
        Field(key="bar", heading="vs p95", width=9, gap=1, cell=_bar),
        Field(
            key="ratio", width=4, gap=1, align="right", value=lambda row: row.ratio,
            cell=lambda row, context: text(context.glyphs.text(ratio(row.ratio, only_above=True)), "amber"),
        ),
        Field(
            key="phase", heading="phase", width=10, gap=(1, 1, 1, 2), ascending=True, cell=_phase,
            value=lambda row: row.phase.name if row.phase else None,
        ),
        Field(key="progress", width=(0, 0, 0, 6), gap=1, cell=_progress),
        Field(
            key="done", heading="done", width=4, gap=1, align="right", cell=_done,
            value=lambda row: row.phase.share if row.phase else None,
        ),
        Field(
            key="eta", heading="eta", width=(0, 11), ascending=True,
            value=lambda row: row.eta.low if row.eta else None,
            cell=lambda row, context: text(context.glyphs.text(eta_words(row.eta, context.now, context.zone))),
        ),
        Field(
            key="rate", heading="req/s", width=(0, 0, 0, 5), align="right", cell=_rate,
            value=lambda row: row.rates.requests if row.rates else None,
        ),
        Field(
            key="err", heading="err", width=4, gap=(1, 1, 1, 2), align="right", value=lambda row: row.trouble,
            cell=lambda row, _: text(
                count(row.trouble, blank_zero=True), "red" if row.verdict.state == "failed" else "plain",
            ),
            filter="err", parse=parse_number,
        ),
        Field(
            key="p95", heading="p95", width=(0, 0, 5), align="right", cell=_p95,
            value=lambda row: row.percentiles.p95 if row.percentiles else None,
        ),
        Field(
            key="note", heading="note", width=(0, 14, LEAST_NOTE, 22), gap=(2, 1, 2), grow=(0, 1, 1, 2), ascending=True,
            least=(0, 12, LEAST_NOTE),
            value=lambda row: row.verdict.note or None,
            cell=lambda row, _: text(safe(row.verdict.note), row.verdict.tone if row.verdict.needs_you else "dim"),
            command=InCommand(text=lambda row, _: notes_of(row.run), shrinks_to=16, leaves=2),
        ),
    ],
    screen="state job began start time bar ratio phase progress done eta req rate items err p95 note",
    command="id state job start time req items failed throttled errors note",
    margin=(3, 1),
    layouts=(0, 120, 130, 160),
    need=_by_need,
    states=STATES,
    states_of=_states,
    begun=lambda row: row.run.started_at,
    has_endpoints=True,
    listed="job",
)  # fmt: skip
