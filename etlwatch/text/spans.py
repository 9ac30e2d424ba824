"""Styled text as spans: text with a role instead of a colour, and arithmetic on runs of spans.

A span is `(text, role)`. A role is `COLOUR [bold] [on GROUND]`: `"dim"`, `"amber bold"`, `"chart-p50 on chart-p95"`.
Colours: `plain` (the row's own), text, dim, faint, blue, amber, red, amber-fill, chart-p99, chart-p95, chart-p50.
Grounds: background, bar, selected, and every colour that fills an area.
"""

from collections.abc import Iterable
from typing import TypeAlias

from etlwatch.text.glyphs import Glyphs
from etlwatch.text.safe import ELLIPSIS, Align, cell_width, clip

Span: TypeAlias = tuple[str, str]
Spans: TypeAlias = tuple[Span, ...]


def plain_text(spans: Iterable[Span]) -> str:
    """Return the characters of `spans` without their roles."""
    return "".join(text for text, _ in spans)


def spans_width(spans: Iterable[Span]) -> int:
    """Return the cells that `spans` take."""
    return sum(cell_width(text) for text, _ in spans)


def merge(spans: Iterable[Span]) -> Spans:
    """Return `spans` with neighbours of one role joined and empty ones left out."""
    out: list[Span] = []
    for text, role in spans:
        if not text:
            continue
        if out and out[-1][1] == role:
            out[-1] = (out[-1][0] + text, role)
        else:
            out.append((text, role))
    return tuple(out)


def join(parts: Iterable[Spans], separator: str = "  ") -> Spans:
    """Return the non-empty parts one after the other with plain `separator` between them."""
    out: list[Span] = []
    for part in parts:
        if not part:
            continue
        if out:
            out.append((separator, "plain"))
        out.extend(part)
    return tuple(out)


def fit(spans: Iterable[Span], width: int, align: Align = "left", *, ellipsis: str = ELLIPSIS) -> Spans:
    """Return `spans` in exactly `width` cells, clipped with `ellipsis` or filled with plain spaces."""
    given = tuple(spans)
    room = width - spans_width(given)
    if room < 0:
        return _clipped(given, width, ellipsis)
    if room == 0:
        return given
    if align == "right":
        return ((" " * room, "plain"), *given)
    if align == "center":
        return ((" " * (room // 2), "plain"), *given, (" " * (room - room // 2), "plain"))
    return (*given, (" " * room, "plain"))


def _clipped(spans: Spans, width: int, ellipsis: str) -> Spans:
    """Cut `spans`, known to be too wide, to exactly `width` cells; a cut wide character leaves a space."""
    out: list[Span] = []
    left = width
    for index, (text, role) in enumerate(spans):
        cells = cell_width(text)
        if cells < left or (cells == left and index == len(spans) - 1):
            out.append((text, role))
            left -= cells
            continue
        # One blank more than the room makes `clip` add the ellipsis.
        cut = clip(text + " " * (left + 1), left, ellipsis=ellipsis) if left else ""
        out.append((cut, role))
        left -= cell_width(cut)
        break
    if left > 0:
        out.append((" " * left, "plain"))
    return tuple(out)


def in_glyphs(spans: Iterable[Span], glyphs: Glyphs) -> Spans:
    """Return spans in a set of glyphs: unchanged, or in ASCII, names from the store included."""
    return tuple((glyphs.text(text), role) for text, role in spans)
