"""Rows of the phases' gantt chart and the ticks below it, over a `TimeScale` (docs/screens.md).

phase_row(scale, start=…, end=…, now=…, usual=…, p95=…, expected=(…, …))
tick_row(scale, moments, now=…)      × for each error
with_now(spans, scale, now)          the blue now line laid over any row as wide as the scale
"""

from collections.abc import Iterable

from etlwatch.rendering.charts import TimeScale, with_line
from etlwatch.text.glyphs import UNICODE, Glyphs
from etlwatch.text.spans import Span, Spans, merge


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
    if start is not None and scale.cells > 0:
        limit = None if p95 is None else start + p95
        if start > now and end is None:
            _draw_coming(cells, scale, start, usual, glyphs)
        else:
            last = _draw_done(cells, scale, start, now if end is None else end, limit, role, glyphs)
            if end is None and expected is not None:
                _fill(cells, last + 1, scale.column(expected[0]), (glyphs.usual, "faint"))
                _fill(cells, max(last + 1, scale.column(expected[0])), scale.column(expected[1]) + 1,
                      (glyphs.expected, "faint"))  # fmt: skip
            elif limit is not None and limit > (now if end is None else end):
                mark = max(last + 1, scale.column(limit))
                _fill(cells, last + 1, mark, (glyphs.usual, "faint"))
                _fill(cells, mark, mark + 1, (glyphs.line, "faint"))
    return with_now(merge(cells), scale, now, glyphs=glyphs) if now_line else merge(cells)


def _fill(cells: list[Span], first: int, stop: int, cell: Span) -> None:
    for index in range(max(0, first), min(stop, len(cells))):
        cells[index] = cell


def _draw_coming(cells: list[Span], scale: TimeScale, start: float, usual: float | None, glyphs: Glyphs) -> None:
    """Draw a phase that has not begun: its usual length, closed by the mark."""
    if usual is None:
        return
    first = scale.column(start)
    mark = max(first + 1, scale.column(start + usual))
    _fill(cells, first, mark, (glyphs.usual, "faint"))
    _fill(cells, mark, mark + 1, (glyphs.line, "faint"))


def _draw_done(
    cells: list[Span], scale: TimeScale, start: float, end: float, limit: float | None, role: str, glyphs: Glyphs
) -> int:
    """Draw what is done up to `end`, amber from `limit` on; return the last cell drawn."""
    first = scale.column(start)
    last = max(first, scale.column(end) - 1)
    _fill(cells, first, last + 1, (glyphs.done, role))
    if limit is not None and limit < end:
        mark = max(first, min(last, scale.column(limit)))
        _fill(cells, mark, mark + 1, (glyphs.passed, "amber"))
        _fill(cells, mark + 1, last + 1, (glyphs.done, "amber"))
    return last


def tick_row(
    scale: TimeScale, moments: Iterable[float], *, now: float | None = None, role: str = "red", glyphs: Glyphs = UNICODE
) -> Spans:
    """Return a × in the cell of each moment that lies on the scale, and the now line."""
    cells: list[Span] = [(" ", "plain")] * scale.cells
    for moment in moments:
        if scale.start <= moment <= scale.end and scale.cells > 0:
            cells[scale.column(moment)] = (glyphs.cross, role)
    line = merge(cells)
    return line if now is None else with_now(line, scale, now, glyphs=glyphs)


def with_now(spans: Iterable[Span], scale: TimeScale, now: float, *, glyphs: Glyphs = UNICODE) -> Spans:
    """Lay the blue now line over a row of single-cell characters; unchanged when now is off the scale.

    A row shorter than the scale is filled up to the line first.
    """
    if not scale.start <= now <= scale.end or scale.cells <= 0:
        return merge(spans)
    return with_line(spans, scale.column(now), glyphs=glyphs)
