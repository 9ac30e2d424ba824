"""The source, delivery and timeline tabs of a run: what it fetched of what there was, what was stored, what happened.

Entities are matched to endpoints and units by name. Only what is stored is shown: what nothing was recorded about is
`–`, and the time of what a series shows is the beginning of its first cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Final

from etlwatch.analysis.completed import Reconciled, reconcile
from etlwatch.analysis.coverage import coverage_words
from etlwatch.analysis.run_rows import last_line
from etlwatch.rendering.lines import labelled, wrapped_lines
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import UNKNOWN, clock, count, duration, duration_ms, number_of, percent
from etlwatch.text.safe import pad, safe
from etlwatch.text.spans import Span, Spans, fit, in_glyphs
from tracking_core.dataclass import dataclass
from tracking_core.records import ErrorRecord, PhaseStatus, SeriesCell


def _reconciled(view: RunView) -> list[Reconciled]:
    return reconcile(view.details.source_counts, view.phases, view.details.endpoints)


def source_spans(view: RunView) -> Spans:
    """Return source counts against what was fetched in one line."""
    total = sum(source.items for source in view.details.source_counts)
    if not view.details.source_counts:
        later = view.details.unknown.get("source_counts")
        uncounted = "the source was not counted" if later is None else "what the source had then is unknown"
        return ((f"{number_of(view.run.items, 'item')} fetched; {uncounted}", "text"),)
    known = [row for row in _reconciled(view) if row.counted is not None and row.fetched is not None]
    fetched = sum(row.fetched or 0 for row in known) if known else view.run.items
    share = f" {percent(fetched / total)}" if total else ""
    short = total > fetched and not view.row.live
    return ((f"{fetched:,} of {total:,} fetched", "text"), (share, "amber bold" if short else "text bold"))


def source_lines(view: RunView, context: DisplayContext, *, width: int) -> list[Spans]:
    """Return the source tab: a line for each entity, then what the columns mean."""
    rows, later = _reconciled(view), view.details.unknown.get("source_counts")
    unknown: list[Spans] = [(), ((f" source counts {safe(later)}", "amber"),)] if later is not None else []
    if not rows:
        return unknown or [(), ((" the source was not counted, and no phase says what it read or wrote", "dim"),)]
    name = min(40, max(20, width - 52))
    lines: list[Spans] = [(), ((f" {pad('entity', name)}{'counted':>12}{'fetched':>12}{'':>6}{'loaded':>12}", "dim"),)]
    for row in rows:
        share = row.fetched / row.counted if row.counted and row.fetched is not None else None
        missing = share is not None and share < 1 and not view.row.live
        cells: list[Span] = [
            (f" {pad(safe(row.entity), name, ellipsis=context.glyphs.ellipsis)}", "text"),
            (f"{_exact(row.counted):>12}", "text"),
            (f"{_exact(row.fetched):>12}", "text"),
            (f"{percent(share) if share is not None else '':>6}", "amber bold" if missing else "dim"),
            (f"{_exact(row.loaded):>12}", "text"),
        ]
        lines.append(in_glyphs(cells, context.glyphs))
    lines += unknown
    if view.details.coverage:
        lines += [(), ((" pages", "text bold"),), *pages_lines(view, context)]
    meanings = (
        ("counted", "what the job said the source has (log_source_count)"),
        ("fetched", "items from the endpoints of that name, else what a phase that reads counted"),
        ("loaded", "what a phase that writes counted (load, write, store, publish, …)"),
    )
    wrapped = (line for label, words in meanings for line in wrapped_lines(label, words, width))
    return [*lines, (), *(tuple((words, "dim") for words, _ in line) for line in wrapped)]


def _exact(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}" if number < 10**9 else count(number)


def _no_pages(view: RunView) -> str:
    """Return why the pages of a run are not known; '' if they are."""
    cut = "too many requests to look for holes and overlaps" if view.details.coverage_cut else ""
    return view.details.unknown.get("pages", cut)


def pages_spans(view: RunView) -> Spans:
    """Return page coverage in one line; () for a run that paged nothing."""
    unknown = _no_pages(view)
    if unknown:
        return ((unknown, "dim"),) if view.run.requests else ()
    if not view.details.coverage:
        return ()
    words, whole = coverage_words(view.details.coverage)
    return ((words, "text" if whole or view.row.live else "amber"),)


def endpoint_pages(view: RunView, endpoint: str) -> Spans:
    """Return the page coverage of one endpoint in one line: how many, how far, holes and overlaps with the first."""
    unknown = _no_pages(view)
    coverage = next((each for each in view.details.coverage if each.endpoint == endpoint), None)
    if unknown or coverage is None:
        return labelled("pages", ((unknown or "none were asked for by offset", "dim"),))
    what = "" if coverage.numbered else "offsets "
    phrase: list[Span] = [(f"{coverage.pages:,}, {what}{coverage.first:,} to {coverage.last:,}", "text")]
    for name, found in (("hole", coverage.holes), ("overlap", coverage.overlaps)):
        if found:
            start, end = found[0]
            phrase.append((f"; {number_of(len(found), name)}, the first {start:,} to {end:,}", "amber"))
    if coverage.never:
        phrase.append((f"; {len(coverage.never):,} never answered, the first at {coverage.never[0]:,}", "amber"))
    if coverage.complete:
        phrase.append(("; no holes, no overlaps", "text"))
    return labelled("pages", (*phrase, (f"  of {safe(endpoint)}", "dim")))


def pages_lines(view: RunView, context: DisplayContext, *, most: int = 6) -> list[Spans]:
    """Return the holes, overlaps and unanswered pages of each endpoint, for the source tab."""
    lines: list[Spans] = []
    for coverage in view.details.coverage:
        what = "pages" if coverage.numbered else "offsets"
        covered = f"{number_of(coverage.pages, 'page')}, {what} {coverage.first:,} to {coverage.last:,}"
        head = f" {safe(coverage.endpoint)}  {covered}"
        lines.append(in_glyphs(((head, "text"), ("  whole" if coverage.complete else "", "dim")), context.glyphs))
        found = [(f"hole     {start:,} to {end:,}", "amber") for start, end in coverage.holes]
        found += [(f"overlap  {start:,} to {end:,}", "amber") for start, end in coverage.overlaps]
        found += [(f"never answered at {offset:,}", "amber") for offset in coverage.never]
        lines += [((f"   {context.glyphs.text(text)}", role),) for text, role in found[:most]]
        if len(found) > most:
            lines.append(((f"   and {len(found) - most:,} more", "dim"),))
    return lines


def delivery_spans(view: RunView) -> Spans:
    """Return the delivery ledger in one line."""
    ledger = view.details.ledger
    if not ledger:
        return ((view.details.unknown.get("delivery", "no ledger was recorded"), "dim"),)
    emitted, stored = sum(writer.emitted for writer in ledger), sum(writer.stored for writer in ledger)
    dropped, missing = sum(writer.dropped for writer in ledger), sum(writer.missing for writer in ledger)
    spans: list[Span] = [(f"{stored:,} of {emitted:,} stored", "text")]
    if missing:
        way = "on their way" if view.row.live else "missing"
        spans.append((f"; {missing:,} {way}", "text" if view.row.live else "amber"))
    spans.append((f"; {dropped:,} dropped", "amber" if dropped else "text"))
    return tuple(spans)


def delivery_lines(view: RunView, context: DisplayContext) -> list[Spans]:
    """Return the delivery tab: the sum, then each writer of the run with the CPU time that tracking cost the job."""
    ledger = view.details.ledger
    lines: list[Spans] = [(), labelled("delivery", delivery_spans(view))]
    if not ledger:
        return lines
    head = f" {'writer':<18}{'emitted':>10}{'stored':>10}{'dropped':>9}{'missing':>9}{'overhead':>10}{'worst call':>12}"
    lines += [(), ((head, "dim"),)]
    for writer in ledger:
        cost = writer.overhead
        cpu = duration_ms(cost.get("cpu_ms"))
        worst = duration_ms(cost["worst_us"] / 1000 if cost.get("worst_us") is not None else None)
        lines.append(
            (
                (f" {writer.writer_id:016x}  {writer.emitted:>10,}{writer.stored:>10,}", "text"),
                (f"{writer.dropped:>9,}", "amber" if writer.dropped else "text"),
                (f"{writer.missing:>9,}", "amber" if writer.missing and not view.row.live else "text"),
                (f"{context.glyphs.text(cpu):>10}{context.glyphs.text(worst):>12}", "dim"),
            )
        )
    return lines


# -- the timeline

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
        text = f"{name} {'fails' if failed else 'ends'} after {duration(took)}{usually}"
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
        lines.append(fit(in_glyphs(line, context.glyphs), width, ellipsis=context.glyphs.ellipsis))
    read, total = len(view.details.errors), view.run.errors
    if read < total:
        lines.append(((f" of {count(total)} errors the newest {count(read)} are here", "dim"),))
    return lines
