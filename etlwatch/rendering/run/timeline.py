"""The events of a run in order: begin, phases, throttling, silence, errors, source counts, end.

Only what is stored is shown. The time of what a series shows is the beginning of its first cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Final

from etlwatch.analysis.run_rows import last_line
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import clock, count, duration
from etlwatch.text.safe import pad, safe
from etlwatch.text.spans import Spans, fit
from tracking_core.dataclass import dataclass
from tracking_core.records import ErrorRecord, PhaseStatus, SeriesCell

QUIET_S: Final = 120.0
"""Without any request for longer, a run that made requests before and after was silent; shorter pauses are joined."""

WORD_CELLS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened."""

    at: datetime
    word: str
    """`phase`, `429`, `silence`, …"""

    text: str
    role: str = "text"
    rank: int = 5
    """Order of what happened at the same moment."""


def events_of(view: RunView, context: DisplayContext) -> list[Event]:
    """Return all that is known to have happened, the first first."""
    events = [*_life(view, context), *_phases(view), *_traffic(view), *_errors(view.details.errors)]
    events += [
        Event(at=counted.at, word="source", text=f"{count(counted.items)} {safe(counted.entity)} counted", role="dim")
        for counted in view.details.source_counts
    ]
    return sorted(events, key=lambda event: (event.at, event.rank))


def _life(view: RunView, context: DisplayContext) -> Iterator[Event]:
    """Yield the run's own beginning, its end, or what is wrong with it while it has none."""
    run, verdict = view.run, view.row.verdict
    where = f" on {safe(run.host)}, pid {run.pid}" if run.host else ""
    version = f", version {safe(run.code_version)}" if run.code_version else ""
    yield Event(at=run.started_at, word="begin", text=f"{safe(run.job)}{where}{version}", rank=0)
    if run.ended_at is not None:
        by = f", by {safe(run.ended_by)}" if run.ended_by else ""
        tone = "red bold" if run.status == "failed" else "text bold"
        text = f"after {duration(run.duration_s)}{by}"
        yield Event(at=run.ended_at, word=safe(run.status), text=text, role=tone, rank=9)
        return
    if verdict.needs_you and verdict.since is not None:
        role = f"{verdict.tone} bold" if verdict.tone in ("red", "amber") else "text bold"
        yield Event(at=verdict.since, word=safe(verdict.state), text=safe(verdict.because), role=role, rank=8)
    if run.state == "lost" and run.heartbeat_at is not None:
        yield Event(at=run.heartbeat_at, word="heartbeat", text="the last one", role="red", rank=7)
    yield Event(at=context.now, word="now", text=f"running for {duration(run.duration_s)}", role="blue", rank=9)


def _phases(view: RunView) -> Iterator[Event]:
    usual = {known.phase: known.duration_s for known in view.row.baseline.phases}
    for phase in view.phases:
        name = safe(phase.phase)
        if phase.status == PhaseStatus.SKIPPED and phase.ended_at is not None:
            yield Event(at=phase.ended_at, word="phase", text=f"{name} is skipped", rank=2)
            continue
        if phase.started_at is None:
            continue
        yield Event(at=phase.started_at, word="phase", text=f"{name} begins", rank=2)
        if phase.ended_at is None:
            continue
        took = (phase.ended_at - phase.started_at).total_seconds()
        known = usual[phase.phase].usual if phase.phase in usual else None
        usually = f"; usually {duration(known)}" if known is not None else ""
        failed = phase.status == PhaseStatus.FAILED
        word = "fails" if failed else "ends"
        text = f"{name} {word} after {duration(took)}{usually}"
        yield Event(at=phase.ended_at, word="phase", text=text, role="red" if failed else "text", rank=1)


def _traffic(view: RunView) -> Iterator[Event]:
    cells = sorted((cell for cell in view.details.series if cell.requests), key=lambda cell: cell.bucket)
    for stretch in _adjacent([cell for cell in cells if cell.throttled]):
        begin, end = stretch[0].bucket, stretch[-1].bucket + stretch[-1].width
        throttled, all_of = sum(cell.throttled for cell in stretch), sum(cell.requests for cell in stretch)
        text = f"{count(throttled)} of {count(all_of)} requests throttled within {duration(end - begin)}"
        yield Event(at=_moment(begin, view), word="429", text=text, role="amber")
    for before, after in pairwise(cells):
        silent = after.bucket - (before.bucket + before.width)
        if silent >= QUIET_S:
            at = _moment(before.bucket + before.width, view)
            yield Event(at=at, word="silence", text=f"no request for {duration(silent)}", role="amber")


def _adjacent(cells: Sequence[SeriesCell]) -> list[list[SeriesCell]]:
    """Return cells that follow each other closely, together."""
    stretches: list[list[SeriesCell]] = []
    for cell in cells:
        last = stretches[-1][-1] if stretches else None
        if last is not None and cell.bucket - (last.bucket + last.width) < QUIET_S:
            stretches[-1].append(cell)
        else:
            stretches.append([cell])
    return stretches


def _moment(second: float, view: RunView) -> datetime:
    """Return the moment of a cell's edge; at the earliest the run's beginning."""
    return max(datetime.fromtimestamp(second, UTC), view.run.started_at)


def _errors(errors: Sequence[ErrorRecord]) -> Iterator[Event]:
    """Yield errors by minute and kind."""

    def minute_and_kind(error: ErrorRecord) -> tuple[datetime, str]:
        return error.at.replace(second=0, microsecond=0), error.fingerprint

    for _, group in groupby(sorted(errors, key=minute_and_kind), key=minute_and_kind):
        alike = list(group)
        first = min(alike, key=lambda error: error.at)
        often = f"{count(len(alike))}× " if len(alike) > 1 else ""
        where = f" in {safe(first.phase)}" if first.phase else ""
        text = f"{often}{safe(first.error_type)}{where}: {safe(last_line(first.message))}"
        yield Event(at=first.at, word="error", text=text, role="red")


def timeline_lines(view: RunView, context: DisplayContext, *, width: int) -> list[Spans]:
    """Return a line for each event: when, how long after the beginning, what; and one for each day that begins."""
    lines: list[Spans] = []
    day = context.now.astimezone(context.zone).date()
    for event in events_of(view, context):
        local = event.at.astimezone(context.zone)
        if local.date() != day:
            lines.append(((f" {local:%a %d %b %Y}", "dim"),))
            day = local.date()
        after = duration(max((event.at - view.run.started_at) / timedelta(seconds=1), 0.0))
        loud = event.role not in ("text", "dim")
        line = (
            (f" {clock(event.at, context.zone, seconds=True)}  ", "text"),
            (f"{'+' + after:>9}  ", "dim"),
            (pad(event.word, WORD_CELLS) + "  ", event.role if loud else "dim"),
            (event.text, "text" if loud else event.role),
        )
        lines.append(
            fit(((context.glyphs.text(text), role) for text, role in line), width, ellipsis=context.glyphs.ellipsis)
        )
    read, total = len(view.details.errors), view.run.errors
    if read < total:
        lines.append(((f" of {count(total)} errors the newest {count(read)} are here", "dim"),))
    return lines
