"""The comparison of two runs as text: the conclusion, and what is said of both runs.

Used by the dashboard and by `etlwatch compare`. Every text from the store passes `safe` here.
"""

from __future__ import annotations

from etlwatch.analysis.compare import Comparison
from etlwatch.fields.differences import difference_text, is_worse, name_text, value_text
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import duration, moment, percent, ratio, short_id, signed, span
from etlwatch.text.safe import pad, safe
from etlwatch.text.spans import Spans, fit
from tracking_core.records import Run, RunStatus


def _times(difference_s: float, comparison: Comparison) -> str:
    base = comparison.before.duration_s
    times = ratio(comparison.after.duration_s / base) if base > 0 else ""
    return f", {times} as long" if times and difference_s > 0 and comparison.after.duration_s >= 1.05 * base else ""


def conclusion(comparison: Comparison, context: DisplayContext) -> str:
    """Return in one sentence how much longer a run took, and what most of it is."""
    after, before = comparison.after, comparison.before
    so_far = " so far" if comparison.so_far else ""
    phrase = f"{duration(after.duration_s)}{so_far} against {duration(before.duration_s)}"
    difference_s = comparison.difference_s
    if abs(difference_s) < max(1.0, 0.02 * before.duration_s):
        phrase += ": as long as before"
    elif difference_s < 0 and comparison.so_far:
        return context.glyphs.text(f"{phrase}: it is not over yet.")
    else:
        phrase += f": {signed(difference_s, span(abs(difference_s)))}{_times(difference_s, comparison)}"
    first = _greatest(comparison)
    return context.glyphs.text(f"{phrase}{f'; {first}' if first else ''}.")


def _greatest(comparison: Comparison, whole: str = "it") -> str:
    """Return which phase is most of the difference: `load +46m is 90% of it`; '' if none is."""
    first = next((each for each in comparison.changes if each.share is not None and each.kind != "endpoint"), None)
    if first is None or first.share is None:
        return ""
    what = f"{name_text(first)} {difference_text(first)}"
    # Savings elsewhere can make it more than all of it.
    if first.share > 1:
        return f"{what} alone is more than {'that' if whole == 'it' else whole}"
    return f"{what} is {percent(first.share)} of {whole}"


def success_words(comparison: Comparison, context: DisplayContext) -> str:
    """Return the earlier run's duration and the main difference: `Sun 22:00 took 51m; load +46m is 90% …`.

    A run that goes on and is not over yet differs in what it has reached.
    """
    before = comparison.before
    phrase = f"{moment(before.started_at, context.now, context.zone)} took {span(before.duration_s)}"
    first = _greatest(comparison, "the difference")
    if not first and comparison.changes:
        change_of = comparison.changes[0]
        values = f"{value_text(change_of, change_of.before)} → {value_text(change_of, change_of.after)}"
        first = f"{name_text(change_of)} {difference_text(change_of) or values}"
    first = first or "nothing differs much"
    return context.glyphs.text(f"{phrase}; {first}")


def run_text(run: Run, context: DisplayContext, *, brief: bool = False) -> str:
    """Return a run in a few words: `7KQX  slow, 1h 42m so far, began 01:30 on etl-03`; in brief without the host."""
    lasted = f"{duration(run.duration_s)} so far" if run.status == RunStatus.RUNNING else duration(run.duration_s)
    where = f" on {safe(run.host)}" if run.host and not brief else ""
    began = moment(run.started_at, context.now, context.zone)
    return f"{short_id(run.id)}  {safe(run.state)}, {lasted}, began {began}{where}"


def same_text(comparison: Comparison) -> str:
    """Return which origins both runs share: `same code version, command and host`, and what could not be compared."""
    alike = [each.what for each in comparison.differences if each.kind == "origin" and not each.remarkable]
    same = " and ".join(filter(None, (", ".join(alike[:-1]), *alike[-1:])))
    unknown = f"endpoints: {comparison.unknown}" if comparison.unknown else ""
    return "; ".join(filter(None, (f"same {same}" if same else "", unknown)))


def brief_lines(comparison: Comparison, context: DisplayContext, *, width: int, most: int) -> list[Spans]:
    """Return the greatest changes in few lines for the run screen: `load +46m 90% /contacts 0.8s → 2.9s at p95`."""
    changes = [
        each for each in comparison.changes if each.kind in ("phase", "run", "error") and each.difference is not None
    ]
    lines: list[Spans] = []
    name_cells = 20 if width >= 70 else 14
    for each in changes[:most]:
        values = f"{value_text(each, each.before)} → {value_text(each, each.after)}"
        note = safe(each.note) if each.share is not None else values
        line: Spans = (
            (f" {pad(name_text(each), name_cells, ellipsis=context.glyphs.ellipsis)}", "dim"),
            (f"{context.glyphs.text(difference_text(each)):>8}", "amber bold" if is_worse(each) else "text"),
            (f"{context.glyphs.text(percent(each.share)):>6}", "text" if each.share is not None else "dim"),
            (f"   {context.glyphs.text(note)}", "text"),
        )
        lines.append(fit(line, width, ellipsis=context.glyphs.ellipsis))
    return lines
