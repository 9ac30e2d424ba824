"""Whether a run is complete: source counts beside what was fetched and loaded, and the delivery ledger.

Entities are matched to endpoints and units by name. What nothing was recorded about is shown as `–`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etlwatch.analysis.coverage import coverage_words
from etlwatch.rendering.lines import labelled
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import UNKNOWN, count, duration_ms, number_of, percent
from etlwatch.text.safe import pad, safe
from etlwatch.text.spans import Span, Spans
from tracking_core.dataclass import dataclass
from tracking_core.records import EndpointTotals, Phase, WriterLedger

READING: Final = ("extract", "fetch", "read", "list", "download", "pull", "get", "collect", "scan", "crawl", "import")
WRITING: Final = ("load", "write", "store", "save", "insert", "publish", "upload", "push", "export")
"""Names, or beginnings of names, of phases that read and write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What is known of one entity along its way."""

    entity: str
    counted: int | None
    """What the source said it has."""

    fetched: int | None
    """Items that the entity's endpoints returned, else what the phase that reads it processed."""

    loaded: int | None
    """What the phase that writes it processed."""


def reconcile(view: RunView) -> list[Reconciled]:
    """Return each entity that the source counted, and each unit that was read or written, along its way."""
    counted = {source.entity: source.items for source in view.details.source_counts}
    units = list(dict.fromkeys(unit for phase in view.phases for unit in phase.counters))
    made = []
    for entity in (*counted, *(unit for unit in units if unit not in counted)):
        answered = _fetched_from(entity, view.details.endpoints)
        fetched = answered if answered is not None else _processed_in(READING, entity, view.phases)
        loaded = _processed_in(WRITING, entity, view.phases)
        if entity in counted or fetched is not None or loaded is not None:
            made.append(Reconciled(entity=entity, counted=counted.get(entity), fetched=fetched, loaded=loaded))
    return made


def _processed_in(names: tuple[str, ...], unit: str, phases: Sequence[Phase]) -> int | None:
    """Return what the phases of such a name processed of a unit; None when none of them counts it."""
    found = [
        phase.counters[unit].get("processed") or 0
        for phase in phases
        if unit in phase.counters and phase.phase.casefold().startswith(names)
    ]
    return sum(found) if found else None


def _fetched_from(entity: str, endpoints: Sequence[EndpointTotals]) -> int | None:
    """Return the items of the endpoints that bear the entity's name as a part of their path; None without any."""
    name = entity.casefold()
    matching = [totals.items for totals in endpoints if name in totals.endpoint.casefold().partition("?")[0].split("/")]
    return sum(matching) if matching else None


def source_spans(view: RunView) -> Spans:
    """Return source counts against what was fetched in one line."""
    counted = sum(source.items for source in view.details.source_counts)
    if not view.details.source_counts:
        later = view.details.unknown.get("source_counts")
        uncounted = "the source was not counted" if later is None else "what the source had then is unknown"
        return ((f"{number_of(view.run.items, 'item')} fetched; {uncounted}", "text"),)
    known = [row for row in reconcile(view) if row.counted is not None and row.fetched is not None]
    fetched = sum(row.fetched or 0 for row in known) if known else view.run.items
    share = f" {percent(fetched / counted)}" if counted else ""
    short = counted > fetched and not view.row.live
    return (
        (f"{fetched:,} of {counted:,} fetched", "text"),
        (share, "amber bold" if short else "text bold"),
    )


def source_lines(view: RunView, context: DisplayContext, *, width: int) -> list[Spans]:
    """Return the source tab: a line for each entity, then what the columns mean."""
    rows, later = reconcile(view), view.details.unknown.get("source_counts")
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
        lines.append(tuple((context.glyphs.text(text), role) for text, role in cells))
    lines.extend(unknown)
    if view.details.coverage:
        lines.extend([(), ((" pages", "text bold"),), *pages_lines(view, context)])
    lines.extend(
        [
            (),
            ((" counted  what the job said the source has (log_source_count)", "dim"),),
            ((" fetched  items from the endpoints of that name, else what a phase that reads counted", "dim"),),
            ((" loaded   what a phase that writes counted (load, write, store, publish, …)", "dim"),),
        ]
    )
    return lines


def _exact(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}" if number < 10**9 else count(number)


def pages_spans(view: RunView) -> Spans:
    """Return page coverage in one line; () for a run that paged nothing."""
    if view.details.coverage_cut:
        return (("too many requests to look for holes and overlaps", "dim"),)
    if "pages" in view.details.unknown:
        return ((view.details.unknown["pages"], "dim"),) if view.run.requests else ()
    if not view.details.coverage:
        return ()
    words, whole = coverage_words(view.details.coverage)
    return ((words, "text" if whole or view.row.live else "amber"),)


def endpoint_pages(view: RunView, endpoint: str) -> Spans:
    """Return the page coverage of one endpoint in one line: how many, how far, holes and overlaps with the first."""
    if "pages" in view.details.unknown:
        return labelled("pages", ((view.details.unknown["pages"], "dim"),))
    if view.details.coverage_cut:
        return labelled("pages", (("too many requests to look for holes and overlaps", "dim"),))
    coverage = next((each for each in view.details.coverage if each.endpoint == endpoint), None)
    if coverage is None:
        return labelled("pages", (("none were asked for by offset", "dim"),))
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
    return labelled("pages", tuple(phrase))


def pages_lines(view: RunView, context: DisplayContext, *, most: int = 6) -> list[Spans]:
    """Return the holes, overlaps and unanswered pages of each endpoint, for the source tab."""
    lines: list[Spans] = []
    for coverage in view.details.coverage:
        what = "pages" if coverage.numbered else "offsets"
        covered = f"{number_of(coverage.pages, 'page')}, {what} {coverage.first:,} to {coverage.last:,}"
        head = f" {safe(coverage.endpoint)}  {covered}"
        lines.append(((context.glyphs.text(head), "text"), ("  whole" if coverage.complete else "", "dim")))
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
    emitted, stored, dropped, missing = _sums(ledger)
    spans: list[Span] = [(f"{stored:,} of {emitted:,} stored", "text")]
    if missing:
        way = "on their way" if view.row.live else "missing"
        spans.append((f"; {missing:,} {way}", "text" if view.row.live else "amber"))
    spans.append((f"; {dropped:,} dropped", "amber" if dropped else "text"))
    return tuple(spans)


def _sums(ledger: Sequence[WriterLedger]) -> tuple[int, int, int, int]:
    return (
        sum(writer.emitted for writer in ledger),
        sum(writer.stored for writer in ledger),
        sum(writer.dropped for writer in ledger),
        sum(writer.missing for writer in ledger),
    )


def delivery_lines(view: RunView, context: DisplayContext) -> list[Spans]:
    """Return the delivery tab: the sum, then each writer of the run with the CPU time that tracking cost the job."""
    ledger = view.details.ledger
    lines: list[Spans] = [(), labelled("delivery", delivery_spans(view))]
    if not ledger:
        return lines
    heads = (
        f" {'writer':<18}{'emitted':>10}{'stored':>10}{'dropped':>9}{'missing':>9}{'overhead':>10}{'worst call':>12}"
    )
    lines += [(), ((heads, "dim"),)]
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
