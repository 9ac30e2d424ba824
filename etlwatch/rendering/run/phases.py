"""A run's phases: the gantt chart of the overview, and the phases tab with time, rate and progress of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from etlwatch.analysis.forecast import Eta, eta_words, rest_of_phase, share_done
from etlwatch.rendering.charts import TimeScale, time_ticks, with_line
from etlwatch.rendering.run.view import RunView
from etlwatch.text.blocks import progress_bar
from etlwatch.text.display import UNICODE, DisplayContext, Glyphs, role_of
from etlwatch.text.numbers import bytes_, clock, count, duration, per_second, percent, ratio, span
from etlwatch.text.safe import cell_width, pad, safe
from etlwatch.text.spans import Span, Spans, fit, in_glyphs, merge
from tracking_core.events import SUCCESSFUL_PHASES
from tracking_core.records import Phase, PhaseStatus

WIDE = 110
"""Cells from which on the gantt has columns for rate and progress before it."""

NAME_CELLS: Final = (12, 9)
"""Cells of a phase's number and name in a wide layout, of its name in a narrow one, with the blank before them."""


def megabytes(value: float | None) -> str:
    """Write megabytes in the unit that fits."""
    return bytes_(None if value is None else value * 1_048_576)


def phase_time_s(phase: Phase, now_s: float) -> float | None:
    """Return how long a phase has taken, or takes so far; None when it has not begun."""
    if phase.started_at is None:
        return None
    end = phase.ended_at.timestamp() if phase.ended_at else now_s
    return max(0.0, end - phase.started_at.timestamp())


def main_unit(phase: Phase) -> tuple[str, Mapping[str, int]] | None:
    """Return the unit of a phase with the most to do, else the most done, and its counters."""
    if not phase.counters:
        return None
    return max(phase.counters.items(), key=lambda item: (item[1].get("total") or 0, item[1].get("processed") or 0))


def phase_rate(phase: Phase, now_s: float) -> float | None:
    """Return what a phase does a second, in its main unit; None where that cannot be said."""
    unit, seconds = main_unit(phase), phase_time_s(phase, now_s)
    processed = (unit[1].get("processed") or 0) if unit else 0
    return processed / seconds if processed and seconds else None


def phase_legend(view: RunView, context: DisplayContext) -> Spans:
    """Return the title of the phases' rule: what the glyphs of the gantt mean, as far as they are drawn."""
    glyphs = context.glyphs
    legend: list[Span] = [("phases", "text bold"), (f"  {glyphs.done} ", "text"), ("done", "dim")]
    if any(known.duration_s.usual is not None for known in view.row.baseline.phases):
        legend += [(f"  {glyphs.usual} ", "faint"), ("usual", "dim"), (f"  {glyphs.line} ", "faint"), ("p95", "dim")]
        if view.row.live:
            legend += [(f"  {glyphs.expected} ", "faint"), ("expected end", "dim")]
    return tuple(legend)


def phases_to_show(view: RunView) -> list[Phase]:
    """Return a run's phases and, of a living one, those that its job usually has after them."""
    phases = list(view.phases)
    if not view.row.live or not phases:
        return phases
    recorded = {phase.phase for phase in phases}
    last = max(phase.position for phase in phases)
    coming = [known for known in view.row.baseline.phases if known.phase not in recorded and known.position > last]
    return phases + [
        Phase(
            run_id=view.run.run_id,
            phase=known.phase,
            position=last + index,
            status=PhaseStatus.PENDING,
            started_at=None,
            ended_at=None,
            counters={},
        )
        for index, known in enumerate(coming, start=1)
    ]


def phase_row(
    scale: TimeScale,
    *,
    start: float | None,
    end: float | None,
    now: float,
    usual: float | None = None,
    p95: float | None = None,
    expected: tuple[float, float] | None = None,
    role: str = "plain",
    now_line: bool = True,
    glyphs: Glyphs = UNICODE,
) -> Spans:
    """Return the cells of one phase; moments in the scale's seconds, `usual` and `p95` as durations in seconds.

    `start` is when it began, or for a phase to come is expected to begin (then `end` is None and `start` lies after
    `now`). A running one has no `end` and may have `expected`, the range in which it will end.
    """
    cells: list[Span] = [(" ", "plain")] * scale.cells

    def fill(first: int, stop: int, glyph: str, colour: str) -> None:
        for index in range(max(0, first), min(stop, len(cells))):
            cells[index] = (glyph, colour)

    if start is not None and scale.cells > 0:
        until = now if end is None else end
        coming = start > now and end is None
        length = usual if coming else p95
        limit = None if length is None else start + length
        first = scale.column(start)
        last = first - 1 if coming else max(first, scale.column(until) - 1)
        fill(first, last + 1, glyphs.done, role)
        if limit is not None and limit < until:
            mark = max(first, min(last, scale.column(limit)))
            fill(mark, mark + 1, glyphs.passed, "amber")
            fill(mark + 1, last + 1, glyphs.done, "amber")
        if end is None and expected is not None and not coming:
            low = max(last + 1, scale.column(expected[0]))
            fill(last + 1, low, glyphs.usual, "faint")
            fill(low, scale.column(expected[1]) + 1, glyphs.expected, "faint")
        elif limit is not None and limit > until:
            mark = max(last + 1 + coming, scale.column(limit))
            fill(last + 1, mark, glyphs.usual, "faint")
            fill(mark, mark + 1, glyphs.line, "faint")
    return with_now(cells, scale, now if now_line else None, glyphs=glyphs)


def tick_row(
    scale: TimeScale, moments: Iterable[float], *, now: float | None = None, glyphs: Glyphs = UNICODE
) -> Spans:
    """Return a red × in the cell of each moment that lies on the scale, and the now line."""
    cells: list[Span] = [(" ", "plain")] * scale.cells
    for moment in moments:
        if scale.start <= moment <= scale.end and scale.cells > 0:
            cells[scale.column(moment)] = (glyphs.cross, "red")
    return with_now(cells, scale, now, glyphs=glyphs)


def with_now(spans: Iterable[Span], scale: TimeScale, now: float | None, *, glyphs: Glyphs = UNICODE) -> Spans:
    """Lay the blue line of now or of the time cursor over a row of single-cell characters; none if it is off the scale.

    A row shorter than the scale is filled up to the line first.
    """
    if now is None or not scale.start <= now <= scale.end or scale.cells <= 0:
        return merge(spans)
    return with_line(spans, scale.column(now), glyphs=glyphs)


def _bar(
    view: RunView, phase: Phase, context: DisplayContext, scale: TimeScale, now: float, begins: float | None
) -> tuple[Spans, float | None]:
    """Return the cells of one phase over the scale, and when the next one is expected to begin, if that is known.

    `begins` is when this one is, seconds since 1970-01-01Z.
    """
    live, glyphs = view.row.live, context.glyphs
    known = view.row.baseline.phase(phase.phase)
    usual = known.duration_s.usual if known is not None else None
    if phase.started_at is None:
        begins = begins if live and usual is not None else None
        row = phase_row(scale, start=begins, end=None, now=now, usual=usual, now_line=live, glyphs=glyphs)
        return row, None if begins is None or usual is None else begins + usual
    ended = phase.ended_at.timestamp() if phase.ended_at else None
    rest = rest_of_phase(phase, view.row.baseline, now=context.now) if live and ended is None else None
    expected = (now + rest[0], now + rest[1]) if rest is not None else None
    done = phase.status in SUCCESSFUL_PHASES
    row = phase_row(
        scale,
        start=phase.started_at.timestamp(),
        end=ended if ended is not None or live else now,
        now=now,
        p95=known.duration_s.p95 if known is not None else None,
        expected=expected,
        role="dim" if done else "red" if phase.status == PhaseStatus.FAILED else "text",
        now_line=live,
        glyphs=glyphs,
    )
    return row, expected[0] if expected is not None else None if ended is None else max(ended, now)


def _label(phase: Phase, context: DisplayContext, name_cells: int, *, numbered: bool, over: bool = False) -> list[Span]:
    tone = role_of(phase.status).replace("plain", "text")
    late = over and phase.status == PhaseStatus.RUNNING
    glyph_tone = f"{tone} strong" if tone == "red" else "amber strong" if late else tone
    number = f"{phase.position} " if numbered else ""
    return [
        (" ", "plain"),
        (context.glyphs.state("slow" if late else phase.status), glyph_tone),
        (pad(f" {number}{safe(phase.phase)}", name_cells), tone if tone != "red" else "text"),
    ]


def gantt_lines(
    view: RunView,
    context: DisplayContext,
    *,
    width: int,
    most: int | None = None,
    brief: bool = False,
    cursor_s: float | None = None,
    below: Callable[[Phase], list[Spans]] | None = None,
) -> list[Spans]:
    """Return a line for each phase, the errors' ticks and the times below: at most `most` phases, the rest counted.

    `brief` is the layout of a narrow screen at any width; the time cursor is laid over bars and ticks; `below` gives
    lines that stand below a phase.
    """
    phases = phases_to_show(view)
    if not phases:
        return [((" no phases were recorded", "dim"),)]
    wide = width >= WIDE and not brief
    left = 50 if wide else 27
    now = view.end_s(context)
    scale = TimeScale(view.began_s, view.until_s(context), max(1, width - left - 1))
    shown = _shown(phases, most)
    head = f"{'time':>22}{'usual':>12}{'rate':>9}{'done':>5}"
    lines: list[Spans] = [fit(((head, "dim"),), width)] if wide else []

    def line(head: Sequence[Span], bar: Spans) -> Spans:
        return (*fit(head, left), *with_now(bar, scale, cursor_s, glyphs=context.glyphs))

    begins: float | None = None
    for phase in phases[shown.start : shown.stop]:
        bar, begins = _bar(view, phase, context, scale, now, begins)
        lines.append(line((_wide_head if wide else _brief_head)(view, phase, context, now), bar))
        lines.extend(below(phase) if below is not None else ())
    if len(shown) < len(phases):
        before, after = shown.start, len(phases) - shown.stop
        words = [f"{before} before" if before else "", f"{after} more" if after else ""]
        lines.append(((f"   {', '.join(filter(None, words))}", "dim"),))
    live_now = now if view.row.live else None
    if wide and view.details.errors:
        ticks = tick_row(
            scale, [error.at.timestamp() for error in view.details.errors], now=live_now, glyphs=context.glyphs
        )
        lines.append(line(((f"   {'errors':<11}", "dim"), (f"{count(view.run.errors):>8}", "text")), ticks))
    times = time_ticks(scale.start, scale.end, context, most=max(2, scale.cells // 16))
    return [*lines, ((" " * left, "plain"), *scale.ticks(times, now=live_now))]


def _shown(phases: Sequence[Phase], most: int | None) -> range:
    """Return which phases there is room for: the first ones, or as many as lead up to the one that runs."""
    if most is None or len(phases) <= most:
        return range(len(phases))
    room = max(1, most - 1)  # a line says how many are not shown
    current = next((place for place, phase in enumerate(phases) if phase.status == PhaseStatus.RUNNING), 0)
    first = max(0, current - room + 1)
    return range(first, first + room)


def _beyond(view: RunView, phase: Phase, seconds: float | None) -> str:
    """Return how many times its usual p95 a phase has taken; '' up to once."""
    known = view.row.baseline.phase(phase.phase)
    return ratio(known.duration_s.ratio(seconds), only_above=True) if known is not None else ""


def _usually(view: RunView, phase: Phase) -> str:
    known = view.row.baseline.phase(phase.phase)
    return span(known.duration_s.usual) if known is not None and known.duration_s.usual is not None else ""


def _wide_head(view: RunView, phase: Phase, context: DisplayContext, now_s: float) -> list[Span]:
    """Return glyph, number, name, time, excess, usual time, rate and progress of a phase: 48 cells."""
    seconds, speed, share = phase_time_s(phase, now_s), phase_rate(phase, now_s), share_done(phase)
    over = _beyond(view, phase, seconds)
    role = "dim" if phase.status in SUCCESSFUL_PHASES else "text"
    return [
        # A name that is cut must not touch the time behind it.
        *_label(phase, context, NAME_CELLS[0], numbered=True, over=bool(over)),
        (f" {duration(seconds) if seconds is not None else '':>7}", role),
        (f" {over:<5}", "amber bold"),
        (f"{_usually(view, phase):>6}", "dim"),
        (f"{per_second(speed) if speed is not None else '':>9}", role),
        (f"{percent(share) if share is not None and phase.status not in SUCCESSFUL_PHASES else '':>5}", role),
    ]


def _brief_head(view: RunView, phase: Phase, context: DisplayContext, now_s: float) -> list[Span]:
    """Return glyph, name, time and excess, else progress, of a phase: 25 cells; `~5m` is what one to come takes."""
    seconds, share = phase_time_s(phase, now_s), share_done(phase)
    over = _beyond(view, phase, seconds)
    role = "dim" if phase.status in SUCCESSFUL_PHASES else "text"
    usual = _usually(view, phase)
    time = duration(seconds) if seconds is not None else f"~{usual}" if usual else ""
    unfinished = share is not None and phase.status not in SUCCESSFUL_PHASES
    last = over or (percent(share) if unfinished else "")
    return [
        *_label(phase, context, NAME_CELLS[1], numbered=False, over=bool(over)),
        (f"{time:>8}", role if seconds is not None else "dim"),
        (f" {last:<5}", "amber bold" if over else role),
    ]


MUCH: Final = 0.8
"""Share of its memory limit from which on a phase is marked: what comes next is being killed."""

BAR_CELLS: Final = 12


def phases_lines(view: RunView, context: DisplayContext, *, width: int, cursor_s: float | None = None) -> list[Spans]:
    """Return the phases of a run over time, each with what is known of it."""
    if not view.phases:
        return [(), ((" no phases were recorded", "dim"),)]

    def below(phase: Phase) -> list[Spans]:
        name, cells = safe(phase.phase), NAME_CELLS[0 if width >= WIDE else 1] - 1
        name_cut = cell_width(name) > cells - (len(f"{phase.position} ") if width >= WIDE else 0)
        lines = (
            ((context.glyphs.text(name), "text"),) if name_cut else (),
            _times(view, phase, context),
            _units(view, phase, context),
            _memory(view, phase, context),
        )
        indent = "     " if width >= WIDE else "   "
        return [fit(((indent, "plain"), *line), width, ellipsis=context.glyphs.ellipsis) for line in lines if line]

    legend = phase_legend(view, context)[1:]
    return [legend, *gantt_lines(view, context, width=width, cursor_s=cursor_s, below=below)]


def _times(view: RunView, phase: Phase, context: DisplayContext) -> Spans:
    """Return when a phase began, what is usual for it, and when it is expected to end or ended."""
    facts = []
    if phase.started_at is not None:
        facts.append(f"began {clock(phase.started_at, context.zone, seconds=True)}")
    if phase.ended_at is not None:
        facts.append(f"{safe(phase.status)} {clock(phase.ended_at, context.zone, seconds=True)}")
    known = view.row.baseline.phase(phase.phase)
    if known is not None and known.duration_s.usual is not None:
        facts.append(f"usually {span(known.duration_s.usual)}, p95 {span(known.duration_s.p95)}")
    rest = rest_of_phase(phase, view.row.baseline, now=context.now) if view.row.live else None
    if rest is not None:
        low, high = (context.now + timedelta(seconds=seconds) for seconds in rest)
        facts.append(f"ends {eta_words(Eta(low=low, high=high), context.now, context.zone)}")
    return ((context.glyphs.text("   ".join(facts)), "dim"),) if facts else ()


def _units(view: RunView, phase: Phase, context: DisplayContext) -> Spans:
    """Return for each unit what was done, of how much, its share and its rate."""
    seconds = phase_time_s(phase, view.end_s(context))
    words = []
    for unit, counters in phase.counters.items():
        total, processed = counters.get("total") or 0, counters.get("processed") or 0
        of = f" of {total:,} {percent(processed / total)}" if total else ""
        speed = f", {per_second(processed / seconds)}" if processed and seconds else ""
        words.append(f"{safe(unit)} {processed:,}{of}{speed}")
    return ((context.glyphs.text("   ".join(words)), "dim"),) if words else ()


def _memory(view: RunView, phase: Phase, context: DisplayContext) -> Spans:
    """Return what a phase holds, now while it runs, else at its peak, as a bar of its limit where there is one."""
    peak = phase.peak_memory_mb
    live = view.row.live and phase.ended_at is None
    held = phase.memory_mb if live and phase.memory_mb is not None else peak if peak is not None else phase.memory_mb
    if held is None:
        return ()
    limit = phase.memory_limit_mb
    out: list[Span] = [("memory ", "dim")]
    if limit:
        part = held / limit
        role = "amber" if part >= MUCH else "dim"
        bar = progress_bar(part, cells=BAR_CELLS, glyphs=context.glyphs)
        out += [(text, role if colour == "plain" else colour) for text, colour in bar]
        out.append((f" {megabytes(held)} of {megabytes(limit)} {percent(part)}", role))
    else:
        out.append((megabytes(held), "dim"))
    if live and peak is not None and peak > held:
        out.append((f", peak {megabytes(peak)}", "amber" if limit and peak / limit >= MUCH else "dim"))
    elif not live and peak is not None:
        out.append((" at its peak", "dim"))
    usual = view.row.baseline.memory_mb.usual
    if usual is not None:
        out.append((f"   the job usually {megabytes(usual)}", "dim"))
    return in_glyphs(out, context.glyphs)
