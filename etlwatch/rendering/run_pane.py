"""The pane of the run under the cursor: its title, and two or three lines chosen by its state."""

from __future__ import annotations

from collections.abc import Sequence

from etlwatch.analysis.baseline import MINIMUM_RUNS
from etlwatch.analysis.forecast import eta_words
from etlwatch.analysis.run_rows import RunRow
from etlwatch.analysis.verdict import last_line
from etlwatch.fields.runs import state_spans
from etlwatch.rendering.lines import labelled
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import ago, count, duration, moment, percent, rate, ratio, short_id, span
from etlwatch.text.safe import clip, safe
from etlwatch.text.spans import Span, Spans, merge

def state_span(row: RunRow, context: DisplayContext, after: str = "") -> Span:
    """Return a run's glyph and state in bold, with a text after them."""
    (words, role), *_ = state_spans(row, context.glyphs)
    colour = "text" if role in ("plain", "dim") else role.removesuffix(" strong")
    return (words + after, f"{colour} bold")


def pane_title(row: RunRow, context: DisplayContext, *, width: int = 80) -> Spans:
    """Return state, excess, job and short id, for the rule above the pane; a long name leaves room for the rest."""
    over = ratio(row.ratio, only_above=True) if row.live else ""
    return (
        state_span(row, context, f" {context.glyphs.text(over)} p95" if over else ""),
        ("  ", "plain"),
        (clip(safe(row.run.job), max(8, width - 36), ellipsis=context.glyphs.ellipsis), "text bold"),
        (f" {short_id(row.run.id)}", "dim"),
    )


def usual_text(row: RunRow) -> str:
    """Return the job's usual duration, or that too few runs are known."""
    usual = row.usual_duration
    if usual.runs >= MINIMUM_RUNS:
        return f"usually {span(usual.usual)}, p95 {span(usual.p95)} ({usual.runs} runs)"
    if usual.runs:
        return f"{usual.runs} other completed run{'s' if usual.runs > 1 else ''}: too few to compare with"
    return "no completed run to compare with"


def pane_lines(row: RunRow, context: DisplayContext, errors: Spans = ()) -> list[Spans]:
    """Return the lines of the pane, most important first; `errors` are its errors by kind, if known."""
    state = row.verdict.state
    if row.live:
        lines = _of_living(row, context)
    else:
        ended = row.run.ended_at
        when = (
            f"{moment(ended, context.now, context.zone)}, {ago((context.now - ended).total_seconds())}" if ended else ""
        )
        compared = f"; {usual_text(row)}" if row.usual_duration.runs else ""
        lines = [labelled("ended", f"{when}, after {duration(row.run.duration_s)}{compared}")]
        if state != "completed" and row.verdict.because:
            lines.append(labelled("because", safe(row.verdict.because)))
    trouble = trouble_spans(row, errors)
    if trouble:
        lines.append(labelled("errors", trouble))
    lines.append(labelled("run", origin_text(row)))
    notes = last_line(row.run.notes)
    if notes and notes != row.verdict.because:
        lines.insert(1 if state == "completed" else len(lines) - 1, labelled("notes", safe(notes)))
    return lines


def _of_living(row: RunRow, context: DisplayContext) -> list[Spans]:
    known = row.usual_duration.runs >= MINIMUM_RUNS
    so_far = f"{duration(row.run.duration_s)} so far{',' if known else ';'} {usual_text(row)}"
    if row.verdict.needs_you:
        since = row.verdict.since
        when = (
            f"{moment(since, context.now, context.zone)}, {ago((context.now - since).total_seconds())}" if since else ""
        )
        ends = ends_text(row, context)
        lines = [labelled("since", f"{when}; {so_far}{'; ' if ends else ''}{ends}")]
        if row.verdict.because:
            lines.append(labelled("because", safe(row.verdict.because)))
        return lines
    lines = [labelled("normal" if known and (row.ratio or 0) <= 1 else "time", so_far)]
    if row.verdict.because:
        lines.append(labelled("unknown", safe(row.verdict.because)))
    ends = ends_text(row, context).removeprefix("ends ")
    if ends:
        lines.append(labelled("ends", ends))
    doing = doing_text(row)
    if doing:
        lines.append(labelled("doing", doing))
    return lines


def ends_text(row: RunRow, context: DisplayContext) -> str:
    """Return when a run is expected to end, and why: `ends 03:40–03:55 at this rate`; '' if unknown."""
    words = context.glyphs.text(eta_words(row.eta, context.now, context.zone))
    by_rate = row.phase is not None and row.phase.share is not None
    return f"ends {words}{' at this rate' if by_rate else ', by its past'}" if words else ""


def doing_text(row: RunRow) -> str:
    """Return where a run is and how fast it goes: `2/4 fetch 38%, 11.9 requests/s, 81.2 items/s`."""
    facts: list[str] = []
    if row.phase is not None and row.phase.name:
        share = f" {percent(row.phase.share)}" if row.phase.share is not None else ""
        facts.append(f"{row.phase.position}/{row.phase.count} {safe(row.phase.name)}{share}")
    if row.rates is not None and row.run.requests:
        facts.append(f"{rate(row.rates.requests)} requests/s")
        if row.run.items:
            facts.append(f"{rate(row.rates.items)} items/s")
    return ", ".join(facts)


def trouble_spans(row: RunRow, by_kind: Spans) -> Spans:
    """Return what went wrong: the errors, by kind if known, and the failed requests."""
    other = trouble_text(row, errors=not by_kind)
    return merge([*by_kind, ("; " if by_kind and other else "", "text"), (other, "text")]) if by_kind or other else ()


def trouble_text(row: RunRow, *, errors: bool = True) -> str:
    """Return what went wrong in numbers: errors recorded, requests failed, requests throttled."""
    facts: list[str] = []
    if row.run.errors and errors:
        last = f", last {safe(row.last_error.error_type)}" if row.last_error else ""
        facts.append(f"{count(row.run.errors)} recorded{last}")
    if row.run.failed_requests:
        facts.append(f"{count(row.run.failed_requests)} of {count(row.run.requests)} requests failed")
    if row.run.throttled_requests:
        facts.append(f"{count(row.run.throttled_requests)} throttled")
    return "; ".join(facts)


def origin_text(row: RunRow) -> str:
    """Return where a run comes from: `etl@etl-03, pid 4121, code 7f3a…, python sync.py`."""
    run = row.run
    facts: Sequence[str] = (
        f"{run.id} by {run.user}@{run.host}" if run.host else run.id,
        f"pid {run.pid}" if run.pid else "",
        f"code {run.code_version}" if run.code_version else "",
        run.command,
    )
    return safe(", ".join(fact for fact in facts if fact))
