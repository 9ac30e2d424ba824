"""Commands of a chart at full size."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import Command
from etlwatch.commands.shared import time_cursor

__all__ = ["ZOOM_COMMANDS"]

ZOOM_COMMANDS: Final = (
    Command(
        name="zoom.next",
        keys="z,right_square_bracket,tab,j,down",
        shown="z ] tab j ↓",
        action="next_chart(1)",
        title="Next chart",
        help="throughput, latency, what is not 2xx",
        footer=("z", "next chart", 0),
    ),
    Command(
        name="zoom.previous",
        keys="Z,left_square_bracket,shift+tab,k,up",
        shown="Z [ shift+tab k ↑",
        action="next_chart(-1)",
        title="Previous chart",
        help="the chart before",
    ),
    *time_cursor("zoom", earlier="left,h,comma", later="right,l,full_stop", shown=("← h ,", "→ l ."), priority=0),
    Command(
        name="zoom.page_earlier",
        keys="pageup,H",
        shown="pgup H",
        action="move_cursor(-10)",
        title="",
        help="the time cursor ten columns earlier",
    ),
    Command(
        name="zoom.page_later",
        keys="pagedown,L",
        shown="pgdn L",
        action="move_cursor(10)",
        title="",
        help="the time cursor ten columns later",
    ),
    Command(
        name="zoom.window",
        keys="w",
        shown="w",
        action="window",
        title="Change the window of the chart",
        help="5 minutes, 1 hour, 24 hours, 7 days, a whole run",
        footer=("w", "window", 0),
    ),
    Command(
        name="zoom.back",
        keys="escape,backspace",
        shown="esc",
        action="back",
        title="Back",
        help="back to where the chart was opened",
        footer=("esc", "back", 0),
    ),
)
"""What works on a chart at full size."""
