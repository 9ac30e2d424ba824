"""Since when something is unusual: the last stretch of a series in which it was.

Owns what interrupts a stretch. Refuses to own what is unusual about a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tracking_core.records import SeriesCell

__all__ = ["CALM_S", "last_stretch"]

CALM_S: Final = 120
"""Cells that together cover this many seconds as usual part two stretches: a single calm one may be chance."""


def last_stretch(
    cells: Sequence[SeriesCell], unusual: Callable[[SeriesCell], bool | None], *, calm_after_s: int = CALM_S
) -> tuple[int, int] | None:
    """Return where the last stretch of unusual cells begins and ends, seconds since 1970-01-01Z; None without any.

    `cells` ascend; of one that says nothing, `unusual` is None. Cells that are as usual for `calm_after_s` after the
    stretch mean that there is none.
    """
    begin, end, calm = 0, None, 0
    for cell in reversed(cells):
        said = unusual(cell)
        if said:
            begin, calm = cell.bucket, 0
            end = end if end is not None else cell.bucket + cell.width
        elif said is not None:
            calm += cell.width
            if calm >= (calm_after_s if end is None else CALM_S):
                break
    return None if end is None else (begin, end)
