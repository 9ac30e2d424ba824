"""A line across the screen with a title set into it: `─ ▲ slow 1.8× p95  crm_contacts_sync 7KQX ─────`.

Owns the line. Refuses to own the title's words and roles.
"""

from etlwatch.model.spans import Spans, fit, spans_width
from etlwatch.text import ELLIPSIS

__all__ = ["rule_line"]


def rule_line(title: Spans, width: int, *, line: str = "─", ellipsis: str = ELLIPSIS) -> Spans:
    """Return `─ title ────` in exactly `width` cells, the title clipped if it must be; without one a bare line."""
    if not title:
        return ((line * max(0, width), "faint"),)
    room = max(0, width - 4)
    shown = fit(title, room, ellipsis=ellipsis) if spans_width(title) > room else title
    rest = max(0, width - 3 - spans_width(shown))
    return fit(((f"{line} ", "faint"), *shown, (" ", "plain"), (line * rest, "faint")), width)
