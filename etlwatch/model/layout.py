"""Which of the layouts a terminal gets: three widths, and what is given up when it is low.

Owns the thresholds. Refuses to own the columns of the table (`etlwatch.model.run_columns`) and the drawing.
"""

from __future__ import annotations

from typing import Final

from tracking_core.dataclass import dataclass

__all__ = ["SPARK_LINES", "HomeLayout", "home_layout"]

SPARK_LINES: Final = 3
"""Lines of the charts in the smallest layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeLayout:
    """What the home screen shows at a size."""

    chart_rows: int
    """Lines of plot of each chart; 0 for none."""

    chart_columns: int
    """Buckets that the charts or sparks have room for; 0 when nothing is charted."""

    sparks: bool
    spaced: bool
    """Whether empty lines set the charts apart."""

    pane_lines: int
    """Lines of the pane below its rule; 0 for no pane."""

    headline: bool
    brief: bool
    """Whether line 1 says behind and ok instead of each state."""


def home_layout(width: int, height: int) -> HomeLayout:
    """Return the layout for a terminal of this size; 80 × 24 is whole, below that the least important goes first."""
    charts = width >= 110 and height >= 28
    rows = 6 if width >= 150 and height >= 36 else 4
    sparks = not charts and height >= 18
    columns = max(1, width // 3 - 8) if charts else max(1, width - 34) if sparks else 0
    return HomeLayout(
        chart_rows=rows if charts else 0,
        chart_columns=columns,
        sparks=sparks,
        spaced=charts,
        pane_lines=0 if height < 13 else 3 if width >= 150 and height >= 36 else 2,
        headline=height >= 8,
        brief=width < 110,
    )
