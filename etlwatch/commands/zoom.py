"""What works on a chart at full size."""

from __future__ import annotations

from typing import Final

from etlwatch.commands.command import Command

__all__ = ["ZOOM_COMMANDS"]

ZOOM_COMMANDS: Final = (
    Command(
        name="zoom.next",
        keys="z,right_square_bracket,j,down",
        shown="z ] j ↓",
        action="next_chart(1)",
        title="Next chart",
        help="throughput, latency, what is not 2xx",
        footer=("z", "next chart", 0),
    ),
    Command(
        name="zoom.previous",
        keys="Z,left_square_bracket,k,up",
        shown="Z [ k ↑",
        action="next_chart(-1)",
        title="Previous chart",
        help="the chart before",
    ),
    Command(
        name="zoom.earlier",
        keys="left,h",
        shown="← h",
        action="move_cursor(-1)",
        title="",
        help="the time cursor a column earlier",
        footer=("← →", "cursor", 0),
    ),
    Command(
        name="zoom.later",
        keys="right,l",
        shown="→ l",
        action="move_cursor(1)",
        title="",
        help="the time cursor a column later",
    ),
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
