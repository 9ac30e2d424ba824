"""The phases tab: the gantt with everything that is known of each phase below its bar.

Owns the lines below the bars: when, how long usually, when it ends, every unit, memory against its limit. Refuses to
own the bars (`etlwatch.model.run_phases`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from etlwatch.model.bars import progress_bar
from etlwatch.model.eta import Eta, eta_words, rest_of_phase
from etlwatch.model.numbers import bytes_, clock, percent, rate, span
from etlwatch.model.run_cells import Pen
from etlwatch.model.run_phases import MEGABYTE, WIDE, gantt_lines, phase_legend, phase_time_s
from etlwatch.model.run_view import RunView
from etlwatch.model.spans import Span, Spans, fit
from etlwatch.text import safe
from tracking_core.records import Phase

__all__ = ["phases_lines"]

MUCH: Final = 0.8
"""Share of its memory limit from which on a phase is marked: what comes next is being killed."""

BAR_CELLS: Final = 12


def phases_lines(view: RunView, pen: Pen, *, width: int, cursor_s: float | None = None) -> list[Spans]:
    """Return the phases of a run over time, each with what is known of it."""
    if not view.phases:
        return [(), ((" no phases were recorded", "dim"),)]

    def below(phase: Phase) -> list[Spans]:
        lines = (_times(view, phase, pen), _units(view, phase, pen), _memory(view, phase, pen))
        indent = "     " if width >= WIDE else "   "
        return [fit(((indent, "plain"), *line), width, ellipsis=pen.glyphs.ellipsis) for line in lines if line]

    legend = phase_legend(view, pen)[1:]
    return [legend, *gantt_lines(view, pen, width=width, cursor_s=cursor_s, below=below)]


def _times(view: RunView, phase: Phase, pen: Pen) -> Spans:
    """Say when a phase began, what is usual for it, and when it is expected to end or ended."""
    facts = []
    if phase.started_at is not None:
        facts.append(f"began {clock(phase.started_at, pen.zone, seconds=True)}")
    if phase.ended_at is not None:
        facts.append(f"{safe(phase.status)} {clock(phase.ended_at, pen.zone, seconds=True)}")
    known = view.row.past.phase(phase.phase)
    if known is not None and known.duration_s.usual is not None:
        facts.append(f"usually {span(known.duration_s.usual)}, p95 {span(known.duration_s.p95)}")
    rest = rest_of_phase(phase, view.row.past, now=pen.now) if view.row.live else None
    if rest is not None:
        low, high = (pen.now + timedelta(seconds=seconds) for seconds in rest)
        facts.append(f"ends {eta_words(Eta(low=low, high=high), pen.now, pen.zone)}")
    return ((pen.glyphs.text("   ".join(facts)), "dim"),) if facts else ()


def _units(view: RunView, phase: Phase, pen: Pen) -> Spans:
    """Say of each unit what was done, of how much, its share and its rate."""
    seconds = phase_time_s(phase, view.end_s(pen))
    words = []
    for unit, counters in phase.counters.items():
        total, processed = counters.get("total") or 0, counters.get("processed") or 0
        of = f" of {total:,} {percent(processed / total)}" if total else ""
        speed = f", {rate(processed / seconds)}/s" if processed and seconds else ""
        words.append(f"{safe(unit)} {processed:,}{of}{speed}")
    return ((pen.glyphs.text("   ".join(words)), "dim"),) if words else ()


def _memory(view: RunView, phase: Phase, pen: Pen) -> Spans:
    """Say what a phase holds, now while it runs, else at its peak, as a bar of its limit where there is one."""
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
        bar = progress_bar(part, cells=BAR_CELLS, glyphs=pen.glyphs)
        out += [(text, role if ink == "plain" else ink) for text, ink in bar]
        out.append((f" {bytes_(held * MEGABYTE)} of {bytes_(limit * MEGABYTE)} {percent(part)}", role))
    else:
        out.append((bytes_(held * MEGABYTE), "dim"))
    if live and peak is not None and peak > held:
        out.append((f", peak {bytes_(peak * MEGABYTE)}", "amber" if limit and peak / limit >= MUCH else "dim"))
    elif not live and peak is not None:
        out.append((" at its peak", "dim"))
    usual = view.row.past.memory_mb.usual
    if usual is not None:
        out.append((f"   the job usually {bytes_(usual * MEGABYTE)}", "dim"))
    return tuple((pen.glyphs.text(text), role) for text, role in out)
