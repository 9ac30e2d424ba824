"""The four formats: table, json, jsonl, csv. All output to stdout is written here.

Tables are for people. json and jsonl are exact: every character that a terminal could act on stands as a `\\u` escape,
which a JSON reader turns back. csv makes such characters visible, as tables do. Nothing raw reaches a terminal.

A table has columns with headings, fitted to a width or as wide as they need. One that does not fit is written with the
brief texts of its columns, then its elastic columns shrink, then columns leave by their own order.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from etlwatch.cli.faults import OutputFailed, OutputGone
from etlwatch.cli.options import Format, shown_zone
from etlwatch.cli.terminal import Look, is_unicode, look_of, report
from etlwatch.text.display import Tone
from etlwatch.text.safe import Align, cell_width, clip, pad, safe
from etlwatch.text.spans import KEEP, TextColumn
from tracking_core.dataclass import dataclass, replace

if TYPE_CHECKING:
    from etlwatch.fields.field import FieldList

Row = TypeVar("Row")
Command = TypeVar("Command", bound=Callable[..., Any])
Lines = Callable[[Look], Iterable[str]]
Data = Mapping[str, object]
"""A row as JSON has it, by key."""

GAP = "  "
ALIGNED_UP_TO = 80
"""Where nothing is cut, a cell wider than this pushes its line aside instead of padding every other line."""

_CHARACTERS_A_CELL = 8
"""At most: a letter with its marks. What lies beyond the line's width anyway is not looked at."""


def write_lines(lines: Iterable[str]) -> None:
    """Write lines that are safe already."""
    stream = _stdout()
    for line in lines:
        _write(stream, line + "\n")
    _write(stream, "", flush=True)


def _write(stream: TextIO, text: str, *, flush: bool = False) -> None:
    try:
        stream.write(text)
        if flush:
            stream.flush()
    except BrokenPipeError:
        raise OutputGone from None
    except (OSError, ValueError) as error:
        raise OutputFailed(f"cannot write to stdout: {error}") from None


def version_option(text: str, *names: str) -> Callable[[Command], Command]:
    """Let a command print its version and end."""

    def print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            write_lines([text])
            context.exit()

    return click.option(
        *names,
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=print_version,
        help="Show the version and exit.",
    )


def write_table(lines: Lines) -> None:
    """Write lines made for what stdout can show, times in the configured zone."""
    write_lines(lines(replace(look_of(_stdout()), zone=shown_zone())))


def write_rows(form: Format, rows: Iterable[Data], *, fields: Sequence[str]) -> None:
    """Write rows as a JSON list, one JSON object a line, or CSV with a heading; each as soon as it is there."""
    if form is Format.JSON:
        write_lines(_json_list(rows))
    elif form is Format.JSONL:
        write_lines(json_text(row) for row in rows)
    else:
        write_csv(rows, fields=fields)


def write_list(
    form: Format,
    fields: FieldList[Row],
    rows: Sequence[Row],
    now: datetime,
    *,
    without: str = "",
    lines: Callable[[Sequence[Row], Look], Iterable[str]] | None = None,
) -> None:
    """Write rows in a format by their fields; `now` is the store's clock.

    A table leaves out the fields `without`; `lines` make another one.
    """
    if form is not Format.TABLE:
        write_rows(form, map(fields.data, rows), fields=fields.keys)
    elif lines is None:
        write_table(lambda look: table(fields.columns(rows, look.context(now), without=without), rows, look))
    else:
        write_table(lambda look: lines(rows, look))


def report_cut(listed: int, there_are: int, *, all_counted: bool = True) -> None:
    """Tell on stderr how many rows there are, where that is more than are listed."""
    if listed < there_are:
        least = "" if all_counted else "at least "
        report(f"the newest {listed:,} of {least}{there_are:,} are listed; --limit lists more")


def write_csv(rows: Iterable[Data], *, fields: Sequence[str], heading: bool = True) -> None:
    """Write rows as CSV, below a heading unless that stands there already."""
    write_lines(_csv_lines(rows, fields, heading=heading))


def write_object(form: Format, data: Data) -> None:
    """Write data as a JSON object: indented, or as one line for jsonl."""
    write_lines([json_text(data, indent=2 if form is Format.JSON else None)])


def _stdout() -> TextIO:
    if sys.stdout is None:
        raise OutputFailed("stdout is closed")
    return sys.stdout


_SUSPECT = r"[^\x20-\x7e\n]"


def json_text(value: object, *, indent: int | None = None) -> str:
    """Return JSON without a character that a terminal could act on, in ASCII where stdout needs that."""
    text = json.dumps(value, ensure_ascii=not is_unicode(_stdout()), indent=indent)
    return re.sub(_SUSPECT, _escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    # json.dumps escapes what ASCII has of these; C1, bidi, zero-width and lone surrogates are left to us.
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _json_list(rows: Iterable[Data]) -> Iterable[str]:
    held: str | None = None
    for row in rows:
        yield "[" if held is None else held + ","
        held = "\n".join("  " + line for line in json_text(row, indent=2).split("\n"))
    if held is None:
        yield "[]"
    else:
        yield held
        yield "]"


def _csv_lines(rows: Iterable[Data], fields: Sequence[str], *, heading: bool) -> Iterable[str]:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")

    def line(values: Iterable[object]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([_csv_value(value) for value in values])
        return buffer.getvalue().removesuffix("\n")

    if heading:
        yield line(fields)
    for row in rows:
        yield line(row[field] for field in fields)


def _csv_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping | list):
        return json_text(value)
    return safe(value, newline=True)


class Stream:
    """Rows as they come, one line each: jsonl, or csv below one heading."""

    def __init__(self, form: Format, fields: Sequence[str]) -> None:
        self._form = form
        self._fields = fields
        self._begun = False

    def write(self, rows: Sequence[Data]) -> None:
        """Write rows now."""
        if self._form is Format.CSV:
            write_csv(rows, fields=self._fields, heading=not self._begun)
        elif rows:
            write_rows(Format.JSONL, rows, fields=self._fields)
        self._begun = True


@dataclass(slots=True)
class _Laid:
    heading: str
    cells: list[str]
    right: bool
    tones: list[Tone]
    width: int
    shrinks_to: int | None
    leaves: int


def table(columns: Sequence[TextColumn[Row]], rows: Sequence[Row], look: Look, *, indent: str = "") -> Iterator[str]:
    """Yield the lines of a table, its headings first, last the columns without room; nothing without rows."""
    if not rows:
        return
    laid = _lay(columns, rows, look, brief=False)
    omitted: list[str] = []
    if look.width is not None:
        room = look.width - len(indent)
        if _total(laid) > room:
            brief = _lay(columns, rows, look, brief=True)
            laid = _fit(brief, room)
            omitted = [column.heading for column in brief if column not in laid]
    ellipsis = look.glyphs.ellipsis
    yield _line(laid, None, look, indent, ellipsis)
    for index in range(len(rows)):
        yield _line(laid, index, look, indent, ellipsis)
    if omitted and look.width is not None:
        line = f"{indent}no room for: {', '.join(omitted)}"
        yield look.paint(clip(line, look.width, ellipsis=ellipsis), "dim")


def _lay(columns: Sequence[TextColumn[Row]], rows: Sequence[Row], look: Look, *, brief: bool) -> list[_Laid]:
    laid = []
    for column in columns:
        write = column.brief if brief and column.brief is not None else column.full
        looked_at = None if look.width is None else look.width * _CHARACTERS_A_CELL
        cells = [look.shown(write(row)[:looked_at]) for row in rows]
        if not any(cells):
            continue
        heading = look.shown(column.heading)
        laid.append(
            _Laid(
                heading=heading,
                cells=cells,
                right=column.right,
                tones=[column.tone(row) for row in rows],
                width=max(cell_width(heading), *map(cell_width, cells)),
                shrinks_to=column.shrinks_to,
                leaves=column.leaves,
            )
        )
    return laid


def _total(laid: Sequence[_Laid]) -> int:
    return sum(column.width for column in laid) + len(GAP) * (len(laid) - 1)


def _fit(laid: list[_Laid], room: int) -> list[_Laid]:
    """Drop columns until the rest fits with its elastic ones at their least, then give those what is left."""
    while True:
        least = sum(column.width - _slack(column) for column in laid) + len(GAP) * (len(laid) - 1)
        leaving = max(laid, key=lambda column: column.leaves)
        if least <= room or leaving.leaves == KEEP:
            break
        laid = [column for column in laid if column is not leaving]
    excess = _total(laid) - room
    # The widest gives first, so that one long note does not squeeze the job's name.
    for column in sorted(laid, key=_slack, reverse=True):
        given = min(max(excess, 0), _slack(column))
        column.width -= given
        excess -= given
    return laid


def _slack(column: _Laid) -> int:
    return 0 if column.shrinks_to is None else max(column.width - max(column.shrinks_to, cell_width(column.heading)), 0)


def _line(laid: Sequence[_Laid], index: int | None, look: Look, indent: str, ellipsis: str) -> str:
    parts = []
    used = len(indent)
    for position, column in enumerate(laid):
        text = column.heading if index is None else column.cells[index]
        tone: Tone = "dim" if index is None else column.tones[index]
        # Trailing blanks would wrap a line that is exactly as wide as the terminal.
        last = position == len(laid) - 1 and not column.right
        width = column.width
        if look.width is None:
            width = max(min(width, ALIGNED_UP_TO), cell_width(text))
        else:
            width = max(min(width, look.width - used), 0)
        used += width + len(GAP)
        align: Align = "right" if column.right else "left"
        written = clip(text, width, ellipsis=ellipsis) if last else pad(text, width, align, ellipsis=ellipsis)
        parts.append(look.paint(written, tone))
    return (indent + GAP.join(parts)).rstrip()
