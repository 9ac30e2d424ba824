"""The comparison of two runs as text: values, differences, shares, the conclusion, the cells of its table.

Used by the dashboard and by `etlwatch compare`. Every text from the store passes `safe` here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from etlwatch.analysis.compare import Comparison
from etlwatch.analysis.differences import Difference
from etlwatch.fields.bars import progress_bar
from etlwatch.text.columns import Column
from etlwatch.text.display import DisplayContext
from etlwatch.text.numbers import (
    UNKNOWN,
    bytes_,
    change,
    count,
    duration,
    duration_ms,
    moment,
    percent,
    rate,
    ratio,
    share,
    short_id,
    signed,
    span,
)
from etlwatch.text.safe import pad, safe
from etlwatch.text.spans import Spans, fit
from tracking_core.records import Run, RunStatus

__all__ = [
    "COMPARE_80", "COMPARE_120", "COMPARE_160", "brief_lines", "compare_cells", "compare_columns", "conclusion",
    "difference_text", "is_worse", "name_text", "run_text", "same_text", "success_words", "value_text",
]  # fmt: skip

MEGABYTE: Final = 1_048_576
_FINE_S: Final = 600.0
"""Differences below this are told to the second."""

_BAR_CELLS: Final = 12

_WRITTEN: Final[Mapping[str, Callable[[float], str]]] = {
    "s": duration,
    "ms": duration_ms,
    "count": count,
    "rate": rate,
    "share": share,
    "mb": lambda megabytes: bytes_(megabytes * MEGABYTE),
}


def value_text(each: Difference, value: float | str | None) -> str:
    """Write one value of a difference."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return safe(value) or UNKNOWN
    return _WRITTEN[each.unit](value)


def difference_text(each: Difference) -> str:
    """Write by how much a figure changed: `+46m`, `+1m 40s`, `+2.1s`, `+3%`, `+6.0pt`; '' for a text."""
    change_of = each.difference
    if each.unit == "text":
        return ""
    if change_of is None:
        return UNKNOWN
    size = abs(change_of)
    if each.unit == "s":
        return signed(change_of, duration(size) if size < _FINE_S else span(size))
    if each.unit == "ms":
        return signed(change_of, duration_ms(size))
    if each.unit == "share":
        return signed(change_of, share(size).replace("%", "pt"))
    if each.unit == "mb":
        return signed(change_of, bytes_(size * MEGABYTE))
    if each.relative is not None and each.kind != "error" and abs(each.relative) < 10:
        return change(each.relative)
    return signed(change_of, rate(size) if each.unit == "rate" else count(size))


def name_text(each: Difference) -> str:
    """Write what a difference is about: `load`, `/contacts p95`, `items`."""
    name = safe(each.what)
    return f"{name} {each.measure}" if each.kind == "endpoint" else f"{name} counted" if each.kind == "source" else name


def _times(difference_s: float, comparison: Comparison) -> str:
    base = comparison.before.duration_s
    times = ratio(comparison.after.duration_s / base) if base > 0 else ""
    return f", {times} as long" if times and difference_s > 0 and comparison.after.duration_s >= 1.05 * base else ""


def conclusion(comparison: Comparison, context: DisplayContext) -> str:
    """Say in one sentence how much longer a run took, and what most of it is."""
    after, before = comparison.after, comparison.before
    so_far = " so far" if comparison.so_far else ""
    said = f"{duration(after.duration_s)}{so_far} against {duration(before.duration_s)}"
    difference_s = comparison.difference_s
    if abs(difference_s) < max(1.0, 0.02 * before.duration_s):
        said += ": as long as before"
    elif difference_s < 0 and comparison.so_far:
        return context.glyphs.text(f"{said}: it is not over yet.")
    else:
        said += f": {signed(difference_s, span(abs(difference_s)))}{_times(difference_s, comparison)}"
    first = _greatest(comparison)
    return context.glyphs.text(f"{said}{f'; {first}' if first else ''}.")


def _greatest(comparison: Comparison, whole: str = "it") -> str:
    """Say which phase is most of the difference: `load +46m is 90% of it`; '' where none tells."""
    first = next((each for each in comparison.changes if each.share is not None and each.kind != "endpoint"), None)
    if first is None or first.share is None:
        return ""
    what = f"{name_text(first)} {difference_text(first)}"
    # What others made good again is more than all of it.
    if first.share > 1:
        return f"{what} alone is more than {'that' if whole == 'it' else whole}"
    return f"{what} is {percent(first.share)} of {whole}"


def success_words(comparison: Comparison, context: DisplayContext) -> str:
    """Say how long the earlier run took and what most of the difference is: `Sun 22:00 took 51m; load +46m is 90% …`.

    A run that goes on and is not over yet differs in what it has reached.
    """
    before = comparison.before
    said = f"{moment(before.started_at, context.now, context.zone)} took {span(before.duration_s)}"
    first = _greatest(comparison, "the difference")
    if not first and comparison.changes:
        change_of = comparison.changes[0]
        values = f"{value_text(change_of, change_of.before)} → {value_text(change_of, change_of.after)}"
        first = f"{name_text(change_of)} {difference_text(change_of) or values}"
    first = first or "nothing differs much"
    return context.glyphs.text(f"{said}; {first}")


def run_text(run: Run, context: DisplayContext, *, brief: bool = False) -> str:
    """Say of one of the two runs what it is: `7KQX  slow, 1h 42m so far, began 01:30 on etl-03`; in brief not where."""
    lasted = f"{duration(run.duration_s)} so far" if run.status == RunStatus.RUNNING else duration(run.duration_s)
    where = f" on {safe(run.host)}" if run.host and not brief else ""
    began = moment(run.started_at, context.now, context.zone)
    return f"{short_id(run.id)}  {safe(run.state)}, {lasted}, began {began}{where}"


def same_text(comparison: Comparison) -> str:
    """Say which origins both runs share: `same code version, command and host`, and what could not be compared."""
    *most, last = [each.what for each in comparison.differences if each.kind == "origin" and not each.remarkable] or [
        ""
    ]
    same = f"same {', '.join(most)} and {last}" if most else f"same {last}" if last else ""
    unknown = f"endpoints: {comparison.unknown}" if comparison.unknown else ""
    return "; ".join(filter(None, (same, unknown)))


_WHAT: Final = Column(key="what", header="what", width=30, grow=2, sortable=False)


def _values(width: int) -> tuple[Column, ...]:
    return (
        Column(key="before", header="before", width=width, align="right", sortable=False),
        Column(key="after", header="after", width=width, align="right", sortable=False),
        Column(key="difference", header="difference", width=10, align="right", sortable=False),
        Column(key="share", header="share", width=5, align="right", gap=1, sortable=False),
    )


COMPARE_160: Final = (
    _WHAT,
    *_values(16),
    Column(key="bar", width=_BAR_CELLS, gap=1, sortable=False),
    Column(key="note", header="why", width=50, grow=1, sortable=False),
)
COMPARE_120: Final = (
    Column(key="what", header="what", width=28, grow=2, sortable=False),
    *_values(12),
    Column(key="bar", width=_BAR_CELLS, gap=1, sortable=False),
    Column(key="note", header="why", width=26, grow=1, sortable=False),
)
COMPARE_80: Final = (
    Column(key="what", header="what", width=30, grow=1, sortable=False),
    Column(key="before", header="before", width=9, align="right", sortable=False),
    Column(key="after", header="after", width=9, align="right", sortable=False),
    Column(key="difference", header="difference", width=10, align="right", sortable=False),
    Column(key="share", header="share", width=6, align="right", gap=1, sortable=False),
    Column(key="margin", width=1, gap=0, sortable=False),
)


def compare_columns(width: int) -> tuple[Column, ...]:
    """Return the layout for a terminal of `width` cells."""
    return COMPARE_160 if width >= 160 else COMPARE_120 if width >= 120 else COMPARE_80


def compare_cells(each: Difference, context: DisplayContext) -> dict[str, Spans]:
    """Return all cells of a difference by column key."""
    text = context.glyphs.text
    ink = "text" if each.remarkable else "dim"
    worse = each.remarkable and is_worse(each)
    bar: Spans = ()
    if each.share is not None and each.remarkable:
        drawn = progress_bar(min(abs(each.share), 1.0), cells=_BAR_CELLS, glyphs=context.glyphs)
        bar = tuple((cells, role.replace("plain", "amber" if worse else "dim")) for cells, role in drawn)
    return {
        "what": ((("  " if each.measure not in ("time", "errors", "") and each.kind == "endpoint" else "")
                  + name_text(each), ink),),
        "before": ((text(value_text(each, each.before)), "dim"),),
        "after": ((text(value_text(each, each.after)), ink),),
        "difference": ((text(difference_text(each)), "amber bold" if worse else ink),),
        "share": ((text(percent(each.share)), ink),) if each.share is not None else ((text(UNKNOWN), "faint"),),
        "bar": bar,
        "note": ((text(safe(each.note)), "dim"),),
    }  # fmt: skip


def is_worse(each: Difference) -> bool:
    """Say whether a change is one for the worse: slower, more errors; a rate that fell; another code is neither."""
    difference = each.difference or 0.0
    if each.unit == "rate":
        return difference < 0
    if each.unit in ("s", "ms", "share", "mb") or each.kind == "error" or each.measure in ("failed", "errors"):
        return difference > 0
    return each.measure == "failed requests" and difference > 0


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
