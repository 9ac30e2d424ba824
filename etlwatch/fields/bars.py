"""Bars made of line characters: a duration against its job's own p95, and progress.

Contains the two bars of the runs table (docs/screens.md).

    duration_bar(seconds, p95, runs=30)  ━━━━╋━━━   nine cells, the mark always in the fifth
    progress_bar(share)                  ━━━───     six cells
    runs_so_far(3)                       3 runs     instead of a bar where there is too little history

Roles: `plain` up to the mark (the row's own colour), `amber` for the mark and what is past it, `faint` for the mark
alone and for what remains, `dim` for the words.
"""

from typing import Final

from etlwatch.analysis.baseline import MINIMUM_RUNS
from etlwatch.text.glyphs import UNICODE, Glyphs
from etlwatch.text.numbers import Number, count, number_of
from etlwatch.text.spans import Spans, merge

BAR_CELLS: Final = 9
MARK_CELL: Final = 4
PROGRESS_CELLS: Final = 6


def is_over(seconds: Number, p95: Number) -> bool:
    """Say whether a duration is beyond its p95 by as much as is printed: from `1.1×` on."""
    ratio = _ratio(seconds, p95)
    return ratio is not None and round(ratio, 1) > 1.0


def _ratio(seconds: Number, p95: Number) -> float | None:
    """Return seconds ÷ p95, or None where either is missing or makes no sense (NaN included)."""
    if seconds is None or p95 is None:
        return None
    try:
        part, whole = float(seconds), float(p95)
    except (TypeError, ValueError, OverflowError):
        return None
    return part / whole if whole > 0 and part >= 0 and part / whole == part / whole else None


def runs_so_far(runs: int | None) -> Spans:
    """Return what stands in place of a bar: `3 runs`, `1 run`, `no runs`."""
    if not runs or runs < 0:
        return (("no runs", "dim"),)
    return ((number_of(runs, "run", count(runs)), "dim"),)


def duration_bar(seconds: Number, p95: Number, *, runs: int | None, glyphs: Glyphs = UNICODE) -> Spans:
    """Return nine cells of a duration against its job's p95 (both in seconds), over `runs` completed past runs.

    The middle of the fifth cell is the p95, so that full width is twice that; half cells are rounded down, at
    least one half is drawn, and `»` ends a bar that leaves. Fewer than five runs: `runs_so_far`. A duration that
    is not known leaves the mark alone.
    """
    if runs is None or runs < MINIMUM_RUNS or p95 is None:
        return runs_so_far(runs)
    ratio = _ratio(seconds, p95)
    if ratio is None:
        return ((" " * MARK_CELL, "plain"), (glyphs.line, "faint"), (" " * (BAR_CELLS - MARK_CELL - 1), "plain"))
    over = is_over(seconds, p95)
    halves = max(1, int(min(ratio, 9.0) * BAR_CELLS))  # a half cell is a ninth of the p95
    before = min(halves, 2 * MARK_CELL)
    after = max(0, halves - 2 * (MARK_CELL + 1)) if over else 0
    room = 2 * (BAR_CELLS - MARK_CELL - 1)
    left = glyphs.done * (before // 2) + glyphs.half * (before % 2)
    right = glyphs.done * (min(after, room) // 2) + glyphs.half * (min(after, room) % 2)
    if after > room:
        right = right[:-1] + glyphs.beyond
    return merge(
        [
            (left.ljust(MARK_CELL), "plain"),
            (glyphs.passed, "amber") if over else (glyphs.line, "faint"),
            (right, "amber"),
            (" " * (BAR_CELLS - MARK_CELL - 1 - len(right)), "plain"),
        ]
    )


def progress_bar(share: Number, *, cells: int = PROGRESS_CELLS, glyphs: Glyphs = UNICODE) -> Spans:
    """Return `cells` cells of progress, `share` of 1.0 done, rounded down: full only when it is. Unknown: nothing."""
    if share is None:
        return ()
    try:
        done = float(share)
    except (TypeError, ValueError, OverflowError):
        return ()
    if done != done:
        return ()
    full = int(min(max(done, 0.0), 1.0) * cells)
    return merge([(glyphs.done * full, "plain"), (glyphs.usual * (cells - full), "faint")])
