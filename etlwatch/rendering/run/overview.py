"""The overview of a run on one screen: figures, requests over time, phases, errors, completeness."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from etlwatch.analysis.baseline import Usual
from etlwatch.analysis.compare import compare_runs
from etlwatch.analysis.run_rows import last_line
from etlwatch.rendering.charts import chart_lines
from etlwatch.rendering.compare import brief_lines, success_words
from etlwatch.rendering.lines import labelled, rule_line
from etlwatch.rendering.request_charts import run_charts
from etlwatch.rendering.run.errors import errors_block, groups_of, groups_text
from etlwatch.rendering.run.phases import WIDE, gantt_lines, megabytes, phase_legend
from etlwatch.rendering.run.tabs import delivery_spans, pages_spans, source_spans
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import UNKNOWN, count, duration, duration_ms, moment, rate, ratio, share, span
from etlwatch.text.safe import safe
from etlwatch.text.spans import Span, Spans, fit, in_glyphs
from tracking_core.dataclass import dataclass, replace

FACTS_CELLS = 45
MUCH_LESS = 0.7
"""Below this share of its usual rate a living run is marked."""

CHART_ROWS = 3
WIDE_GROUPS, BRIEF_GROUPS = 4, 2
"""Groups of errors that the overview shows; their tab has all."""

BESIDE = 140
"""Cells from which the last success is beside the completeness."""

CHANGES = 3
"""Changes since the last success that are named there; the comparison has all."""

LOWEST_WIDE = 23
"""Lines below which charts beside the figures would push everything else out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One figure of a run: now, usually, at the job's p95, and what is remarkable about it."""

    label: str
    now: str
    usual: str = ""
    p95: str = ""
    remark: str = ""
    role: str = "text"


def run_facts(view: RunView) -> dict[str, Fact]:
    """Return the figures of a run by short name; what is usual only where there is enough history."""
    run, row, baseline = view.run, view.row, view.row.baseline
    speed = (
        row.rates.requests if row.rates else run.requests / run.duration_s if run.duration_s and run.requests else None
    )
    latency = row.percentiles
    throttled = run.throttled_requests / run.requests if run.requests else None
    errors = _compared("errors", run.errors, baseline.errors, count)
    facts = (
        _compared("time", run.duration_s, row.usual_duration, duration, usually=span),
        _compared("req", run.requests, baseline.requests, count, marked=False),
        _slower("req/s", speed, baseline.request_rate, rate, live=row.live),
        _compared("items", run.items, baseline.items, count, marked=False),
        _compared("latency p50", latency.p50 if latency else None, baseline.latency_p50_ms, duration_ms),
        _compared("latency p95", latency.p95 if latency else None, baseline.latency_p95_ms, duration_ms),
        Fact(label="latency p99", now=duration_ms(latency.p99) if latency else UNKNOWN),
        _compared("429", throttled, baseline.throttled_share, share),
        Fact(label="failed", now=count(run.failed_requests), role="red" if run.failed_requests else "text"),
        replace(errors, role="red") if run.errors and errors.role == "text" else errors,
        _memory(view),
    )
    return {fact.label: fact for fact in facts}


def _compared(
    label: str,
    value: float | None,
    usual: Usual,
    write: Callable[[float | None], str],
    *,
    usually: Callable[[float | None], str] | None = None,
    marked: bool = True,
) -> Fact:
    """Return a figure beside its job's usual and p95, marked where it is beyond the latter."""
    over = ratio(usual.ratio(value), only_above=True) if marked else ""
    then = ["" if known is None else (usually or write)(known) for known in (usual.usual, usual.p95)]
    return Fact(
        label=label, now=write(value), usual=then[0], p95=then[1], remark=over, role="amber bold" if over else "text"
    )


def _slower(label: str, value: float | None, usual: Usual, write: Callable[[float | None], str], *, live: bool) -> Fact:
    """Return a rate beside its usual one, marked where a living run makes much less of it."""
    fact = _compared(label, value, usual, write, marked=False)
    if not live or value is None or not usual.usual or value > MUCH_LESS * usual.usual:
        return fact
    return replace(fact, remark=ratio(value / usual.usual), role="amber bold")


def _memory(view: RunView) -> Fact:
    """Return the memory of the phase that holds most of it: now while it runs, else at its peak."""
    held = [phase.memory_mb if view.row.live else phase.peak_memory_mb for phase in view.phases]
    most = max((value for value in held if value is not None), default=None)
    limit = max((phase.memory_limit_mb for phase in view.phases if phase.memory_limit_mb), default=None)
    fact = _compared("memory", most, view.row.baseline.memory_mb, megabytes, marked=False)
    return replace(fact, remark=f"of {megabytes(limit)}" if limit else "")


_FACT_HEAD: Span = (f"{'now':>9}{'usual':>8}{'p95':>8}", "dim")


def _fact_spans(fact: Fact, label_cells: int) -> Spans:
    remark_role = fact.role if fact.role != "text" else "dim"
    return (
        (f" {fact.label:<{label_cells}}", "dim"),
        (f"{fact.now:>9}", fact.role),
        (f"{fact.usual:>8}{fact.p95:>8}", "dim"),
        (f"  {fact.remark}" if label_cells > 8 else f" {fact.remark}", remark_role),
    )


def overview_lines(
    view: RunView, context: DisplayContext, *, width: int, height: int, cursor_s: float | None = None
) -> list[Spans]:
    """Return the overview; it may be longer than `height`, and then scrolls."""
    wide = width >= WIDE and height >= LOWEST_WIDE
    lines = _wide_top(view, context, width, cursor_s) if wide else _brief_top(view, width)
    rule = context.glyphs.usual
    gap: list[Spans] = [()] if wide and height >= 34 else []
    title: Spans = (("errors", "text bold"), (f"  {groups_text(view)}", "dim"))
    tail = [*gap, rule_line(title, width, line=rule)]
    # Where lines are few, the headers take the line of one group.
    groups = BRIEF_GROUPS if not wide else WIDE_GROUPS if gap else WIDE_GROUPS - 1
    tail += errors_block(groups_of(view)[:groups], context, width, headed=wide)
    tail += [*gap, *_completeness(view, context, width)]
    # What is below the phases is worth more than the tenth phase: the phases tab has them all.
    frame = len(lines) + len(gap) + (4 if wide else 2) + len(tail)
    room = max(3, height - frame)
    lines = [
        *lines,
        *gap,
        rule_line(phase_legend(view, context), width, line=rule),
        *gantt_lines(view, context, width=width, most=room, brief=not wide, cursor_s=cursor_s),
        *tail,
    ]
    return [fit(in_glyphs(line, context.glyphs), width, ellipsis=context.glyphs.ellipsis) for line in lines]


def _completeness(view: RunView, context: DisplayContext, width: int) -> list[Spans]:
    """Return whether the run is complete, and the differences to its job's last success, side by side if wide."""
    rule = context.glyphs.usual
    pages = pages_spans(view)
    notes = last_line(view.run.notes)
    source = (*source_spans(view), (";  pages ", "dim"), *pages) if pages else source_spans(view)
    whole = [labelled("source", source), labelled("delivery", delivery_spans(view))]
    whole += [labelled("notes", safe(notes))] if notes else []
    title: Spans = (("completeness", "text bold"),)
    reference = view.details.reference
    compared = reference is not None and reference.run is not None and view.details.run is not None
    comparison = compare_runs(view.details, reference, now=context.now) if reference is not None and compared else None
    if width < BESIDE:
        phrase = success_words(comparison, context) if comparison else no_success_text(view) if reference else ""
        return [rule_line(title, width, line=rule), *whole, *([labelled("success", phrase)] if phrase else [])]
    left = width // 2 + 2
    right = width - left
    heading: Spans = (("against its last success", "text bold"),)
    if comparison is None:
        lines: list[Spans] = [((f" {no_success_text(view)}" if reference else "", "dim"),)]
    else:
        before = comparison.before
        when = f"  {moment(before.started_at, context.now, context.zone)}, {span(before.duration_s)}"
        heading = (*heading, (when, "dim"))
        lines = brief_lines(comparison, context, width=right, most=CHANGES) or [((" nothing differs much", "dim"),)]
    return [
        (*fit(rule_line(title, left - 2, line=rule), left), *rule_line(heading, right, line=rule)),
        *(
            (*fit(one, left, ellipsis=context.glyphs.ellipsis), *other)
            for one, other in zip_longest(whole, lines, fillvalue=())
        ),
    ]


def no_success_text(view: RunView) -> str:
    """Return that there is no run to compare with."""
    return f"no run of {safe(view.run.job)} completed before this one"


def _wide_top(view: RunView, context: DisplayContext, width: int, cursor_s: float | None) -> list[Spans]:
    """Return figures at the left, throughput and latency at the right, all on the phases' axis."""
    facts = run_facts(view)
    names = ("time", "req", "req/s", "items", "latency p50", "latency p95", "429", "errors", "memory")
    left: list[Spans] = [((" " * 12, "plain"), _FACT_HEAD)]
    left += [_fact_spans(facts[name], 11) for name in names]
    room = width - FACTS_CELLS - 1
    columns = max(1, room - 5)
    throughput, latency = (
        chart_lines(chart, width=room, rows=CHART_ROWS, glyphs=context.glyphs)
        for chart in run_charts(view, context, columns, cursor_s=cursor_s)
    )
    right: list[Spans] = [*throughput, (), *latency]
    return [(*fit(one, FACTS_CELLS), *other) for one, other in zip_longest(left, right, fillvalue=())]


def _brief_top(view: RunView, width: int) -> list[Spans]:
    """Return the figures in two blocks beside each other."""
    facts = run_facts(view)
    half = width // 2
    pairs = (("time", "latency p95"), ("req/s", "429"), ("items", "memory"), ("req", "errors"))
    lines: list[Spans] = [(*fit(((" " * 8, "plain"), _FACT_HEAD), half), (" " * 8, "plain"), _FACT_HEAD)]
    facts["latency p95"] = replace(facts["latency p95"], label="lat p95")
    for one, other in pairs:
        lines.append((*fit(_fact_spans(facts[one], 7), half), *_fact_spans(facts[other], 7)))
    return lines
