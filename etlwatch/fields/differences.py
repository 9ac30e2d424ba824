"""The fields of a difference between two runs: one declaration each for the compare screen, `compare`, JSON and CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from etlwatch.analysis.compare import Difference
from etlwatch.fields.field import Field, FieldList, InCommand, data_fields, text
from etlwatch.text.blocks import progress_bar
from etlwatch.text.display import DisplayContext, Tone
from etlwatch.text.numbers import (
    UNKNOWN,
    bytes_,
    change,
    count,
    duration,
    duration_ms,
    percent,
    rate,
    share,
    signed,
    span,
)  # fmt: skip
from etlwatch.text.safe import safe
from etlwatch.text.spans import Spans

MEGABYTE: Final = 1_048_576
_FINE_S: Final = 600.0
"""Differences below this are written to the second."""

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


def is_worse(each: Difference) -> bool:
    """Say whether a change is one for the worse: slower, more errors; a rate that fell; another code is neither."""
    difference = each.difference or 0.0
    if each.unit == "rate":
        return difference < 0
    if each.unit in ("s", "ms", "share", "mb") or each.kind == "error" or each.measure in ("failed", "errors"):
        return difference > 0
    return each.measure == "failed requests" and difference > 0


def _exact(value: float | str | None) -> float | str | None:
    return round(value, 4) if isinstance(value, int | float) else value


def _role(each: Difference) -> str:
    return "text" if each.remarkable else "dim"


def _worse(each: Difference) -> bool:
    return each.remarkable and is_worse(each)


def _tone(each: Difference) -> Tone:
    return "amber" if _worse(each) else "" if each.remarkable else "dim"


def _name(each: Difference, _context: DisplayContext) -> Spans:
    indent = "  " if each.measure not in ("time", "errors", "") and each.kind == "endpoint" else ""
    return text(indent + name_text(each), _role(each))


def _share(each: Difference, context: DisplayContext) -> Spans:
    if each.share is None:
        return text(context.glyphs.text(UNKNOWN), "faint")
    return text(context.glyphs.text(percent(each.share)), _role(each))


def _bar(each: Difference, context: DisplayContext) -> Spans:
    if each.share is None or not each.remarkable:
        return ()
    role = "amber" if is_worse(each) else "dim"
    drawn = progress_bar(min(abs(each.share), 1.0), cells=_BAR_CELLS, glyphs=context.glyphs)
    return tuple((cells, given.replace("plain", role)) for cells, given in drawn)


DIFFERENCES: Final[FieldList[Difference]] = FieldList(
    [
        Field(
            key="kind", data="kind", data_value=lambda each: each.kind,
            command=InCommand(heading="what", text=lambda each, _: each.kind, leaves=3),
        ),
        Field(
            key="what", heading="what", width=(30, 28, 30), grow=(1, 2), cell=_name,
            data="what", data_value=lambda each: each.what,
            command=InCommand(heading="", text=lambda each, _: name_text(each), shrinks_to=16),
        ),
        Field(key="measure", data="measure", data_value=lambda each: each.measure or None),
        *data_fields("unit"),
        Field(
            key="before", heading="before", width=(9, 12, 16), align="right",
            cell=lambda each, context: text(context.glyphs.text(value_text(each, each.before)), "dim"),
            data="before", data_value=lambda each: _exact(each.before), command=InCommand(shrinks_to=9),
        ),
        Field(
            key="after", heading="after", width=(9, 12, 16), align="right",
            cell=lambda each, context: text(context.glyphs.text(value_text(each, each.after)), _role(each)),
            data="after", data_value=lambda each: _exact(each.after), command=InCommand(shrinks_to=9),
        ),
        Field(
            key="difference", heading="difference", width=10, align="right",
            cell=lambda each, context: text(
                context.glyphs.text(difference_text(each)), "amber bold" if _worse(each) else _role(each),
            ),
            data="difference", data_value=lambda each: _exact(each.difference), command=InCommand(tone=_tone),
        ),
        Field(key="relative", data="relative", data_value=lambda each: _exact(each.relative)),
        Field(
            key="share", heading="share", width=(6, 5), gap=1, align="right", cell=_share,
            data="share", data_value=lambda each: _exact(each.share), command=InCommand(),
        ),
        Field(key="changed", data="changed", data_value=lambda each: each.remarkable),
        Field(
            key="note", heading="why", width=(0, 26, 50), grow=1,
            cell=lambda each, context: text(context.glyphs.text(safe(each.note)), "dim"),
            data="note", data_value=lambda each: each.note,
            command=InCommand(text=lambda each, _: each.note, shrinks_to=12, leaves=1),
        ),
        Field(key="bar", width=(0, _BAR_CELLS), gap=1, cell=_bar),
    ],
    screen="what before after difference share bar note",
    command="kind what before after difference share note",
    margin=(1, 0),
)  # fmt: skip
"""Values are in `unit`, shares 1.0 for all."""
