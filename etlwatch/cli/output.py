"""The four formats: table, json, jsonl, csv. All output to stdout is written here.

Tables are for people. json and jsonl are exact: every character that a terminal could act on stands as a `\\u` escape,
which a JSON reader turns back. csv makes such characters visible, as tables do. Nothing raw reaches a terminal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO, TypeVar

from etlwatch.cli.configuration import shown_zone
from etlwatch.cli.table import table
from etlwatch.cli.terminal import Look, is_unicode, look_of, report
from etlwatch.text.safe import safe
from tracking_core.dataclass import replace

if TYPE_CHECKING:
    from etlwatch.fields.field import FieldList

Row = TypeVar("Row")
Lines = Callable[[Look], Iterable[str]]
Data = Mapping[str, object]
"""A row as JSON has it, by key."""


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class OutputGone(Exception):
    """Nobody reads stdout any more: a closed pipe. Not an error of ours."""


class OutputFailed(Exception):
    """Stdout takes no more: a full disk, a closed descriptor."""


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
