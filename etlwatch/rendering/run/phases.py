"""A run's phases: the gantt chart of the overview, and the phases tab with time, rate and progress of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from etlwatch.analysis.forecast import Eta, eta_words, rest_of_phase
from etlwatch.analysis.run_rows import share_done
from etlwatch.fields.bars import progress_bar
from etlwatch.rendering.charts import TimeScale
from etlwatch.rendering.gantt import phase_row, tick_row, with_now
from etlwatch.rendering.run.charts import time_ticks
from etlwatch.rendering.run.view import RunView
from etlwatch.text.display import DisplayContext, role_of
from etlwatch.text.numbers import bytes_, clock, count, duration, percent, rate, ratio, span
from etlwatch.text.safe import pad, safe
from etlwatch.text.spans import Span, Spans, fit
from tracking_core.dataclass import dataclass
from tracking_core.records import Phase, PhaseStatus
from tracking_core.states import SUCCESSFUL_PHASES

MEGABYTE = 1_048_576
WIDE = 110
"""Cells from which on the gantt has columns for rate and progress before it."""


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


@dataclass(slots=True)
class _Ahead:
    """When the next phase to come is expected to begin, seconds since 1970-01-01Z; None where nothing is known."""

    at: float | None = None


def _bar(view: RunView, phase: Phase, context: DisplayContext, scale: TimeScale, now: float, ahead: _Ahead) -> Spans:
    """Return the cells of one phase over the scale: done, usual, p95, expected end."""
    live = view.row.live
    known = view.row.baseline.phase(phase.phase)
    usual = known.duration_s.usual if known is not None else None
    p95 = known.duration_s.p95 if known is not None else None
    begun = phase.started_at.timestamp() if phase.started_at else None
    ended = phase.ended_at.timestamp() if phase.ended_at else None
    if begun is None:
        if not live or ahead.at is None or usual is None:
            ahead.at = None
            return with_now((), scale, now, glyphs=context.glyphs) if live else ()
        start, ahead.at = ahead.at, ahead.at + usual
        return phase_row(scale, start=start, end=None, now=now, usual=usual, now_line=live, glyphs=context.glyphs)
    rest = rest_of_phase(phase, view.row.baseline, now=context.now) if live and ended is None else None
    expected = (now + rest[0], now + rest[1]) if rest is not None else None
    ahead.at = expected[0] if expected is not None else max(ended or now, now) if ended is not None else None
    done = phase.status in SUCCESSFUL_PHASES
    role = "dim" if done else "red" if phase.status == PhaseStatus.FAILED else "text"
    end = ended if ended is not None else None if live else now
    return phase_row(
        scale, start=begun, end=end, now=now, usual=usual, p95=p95, expected=expected, role=role,
        now_line=live, glyphs=context.glyphs,
    )  # fmt: skip


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
    end = view.end_s(context)
    scale = TimeScale(view.began_s, view.until_s(context), max(1, width - left - 1))
    shown = _shown(phases, most)
    lines: list[Spans] = [_gantt_head(width)] if wide else []
    ahead = _Ahead()
    for phase in phases[shown.start : shown.stop]:
        head = _wide_head(view, phase, context, end) if wide else _brief_head(view, phase, context, end)
        bar = _bar(view, phase, context, scale, end, ahead)
        lines.append((*fit(head, left), *_with_cursor(bar, scale, cursor_s, context)))
        lines.extend(below(phase) if below is not None else ())
    if len(shown) < len(phases):
        before, after = shown.start, len(phases) - shown.stop
        words = [f"{before} before" if before else "", f"{after} more" if after else ""]
        lines.append(((f"   {', '.join(word for word in words if word)}", "dim"),))
    lines.extend(_below(view, context, scale, left, end, cursor_s, wide=wide))
    return lines


def _with_cursor(bar: Spans, scale: TimeScale, cursor_s: float | None, context: DisplayContext) -> Spans:
    return bar if cursor_s is None else with_now(bar, scale, cursor_s, glyphs=context.glyphs)


def _shown(phases: Sequence[Phase], most: int | None) -> range:
    """Return which phases there is room for: the first ones, or as many as lead up to the one that runs."""
    if most is None or len(phases) <= most:
        return range(len(phases))
    room = max(1, most - 1)  # a line says how many are not shown
    current = next((place for place, phase in enumerate(phases) if phase.status == PhaseStatus.RUNNING), 0)
    first = max(0, current - room + 1)
    return range(first, first + room)


def _below(
    view: RunView,
    context: DisplayContext,
    scale: TimeScale,
    left: int,
    now: float,
    cursor_s: float | None,
    *,
    wide: bool,
) -> list[Spans]:
    """Return the ticks of the errors, where there are any and room, and the times."""
    lines: list[Spans] = []
    if wide and view.details.errors:
        moments = [error.at.timestamp() for error in view.details.errors]
        head = ((f"   {'errors':<11}", "dim"), (f"{count(view.run.errors):>8}", "text"))
        ticked = tick_row(scale, moments, now=now if view.row.live else None, glyphs=context.glyphs)
        lines.append((*fit(head, left), *_with_cursor(ticked, scale, cursor_s, context)))
    ticks = scale.ticks(time_ticks(scale.start, scale.end, context, most=max(2, scale.cells // 16)),
                        now=now if view.row.live else None)  # fmt: skip
    lines.append(((" " * left, "plain"), *ticks))
    return lines


def _gantt_head(width: int) -> Spans:
    return fit(((f"{'time':>22}{'usual':>12}{'rate':>9}{'done':>5}", "dim"),), width)


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
        *_label(phase, context, 12, numbered=True, over=bool(over)),
        (f" {duration(seconds) if seconds is not None else '':>7}", role),
        (f" {over:<5}", "amber bold"),
        (f"{_usually(view, phase):>6}", "dim"),
        (f"{rate(speed) + '/s' if speed is not None else '':>9}", role),
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
        *_label(phase, context, 9, numbered=False, over=bool(over)),
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
        lines = (_times(view, phase, context), _units(view, phase, context), _memory(view, phase, context))
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
        speed = f", {rate(processed / seconds)}/s" if processed and seconds else ""
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
        out.append((f" {bytes_(held * MEGABYTE)} of {bytes_(limit * MEGABYTE)} {percent(part)}", role))
    else:
        out.append((bytes_(held * MEGABYTE), "dim"))
    if live and peak is not None and peak > held:
        out.append((f", peak {bytes_(peak * MEGABYTE)}", "amber" if limit and peak / limit >= MUCH else "dim"))
    elif not live and peak is not None:
        out.append((" at its peak", "dim"))
    usual = view.row.baseline.memory_mb.usual
    if usual is not None:
        out.append((f"   the job usually {bytes_(usual * MEGABYTE)}", "dim"))
    return tuple((context.glyphs.text(text), role) for text, role in out)
