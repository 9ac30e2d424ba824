"""The statements of a writer as the server reads them: placeholders numbered, comments and indentation gone.

Done once a process instead of once a statement: psycopg keeps no converted statement of more than 4 kB, and what is not
sent need not be parsed either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from psycopg import Connection, RawCursor

from tracking_core.clock import from_microseconds
from tracking_core.dataclass import dataclass
from tracking_core.requests import SERIES_FINE_S, RequestRow, Tally, series_slot
from tracking_core.histogram import pack
from tracking_core.store import parameters, sql_files

_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One block of SQL and the names of its parameters, in the order of their numbers."""

    text: bytes
    names: tuple[str, ...]

    def run(self, connection: Connection[Any], values: Mapping[str, Any]) -> RawCursor[Any]:
        """Run it and return its cursor, answers in binary; values that it does not name are passed over.

        Numbers go as text without a type, which the server takes for that of the column: for a number psycopg names the
        narrowest type that holds it, so that one statement would be prepared for many types, and on a fresh connection
        each type's operators and casts are looked up anew.
        """
        given = [values[name] for name in self.names]
        plain = [str(value) if type(value) is int else value for value in given]
        return RawCursor(connection).execute(self.text, plain, binary=True)


@cache
def statements(version: int | None = None) -> dict[str, Statement]:
    """Return the statements of writes.sql for a schema version, None for the newest."""
    blocks = sql_files.blocks("postgres", "writes", version)
    return {block: _statement(text) for block, text in blocks.items()}


def _statement(text: str) -> Statement:
    names: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return "%" if match[1] is None else f"${names.setdefault(match[1], len(names) + 1)}"

    plain = _SPACE.sub(" ", _COMMENT.sub("", text)).strip().rstrip(";")
    return Statement(text=_PLACEHOLDER.sub(numbered, plain).encode(), names=tuple(names))


def of_request(writer_id: int, request: RequestRow) -> dict[str, Any]:
    """Return the parameters of one immediate request: its columns, and what it adds to the counters."""
    cell = Tally()
    cell.add_request(request)
    seconds = request.at_us // 1_000_000
    fine = seconds - seconds % SERIES_FINE_S
    bucket, width = series_slot(request.run_id, fine)
    return {
        **request._asdict(),
        **{name: getattr(cell, name) for name in parameters.COUNTED},
        "is_throttled": request.throttled,
        "writer_id": writer_id,
        "at": from_microseconds(request.at_us),
        "bucket": bucket,
        "width": width,
        "fine_bucket": fine,
        "shard": writer_id % parameters.SHARDS,
        "histogram": array_of(pack(cell.histogram)),
    }


def array_of(numbers: Iterable[int | str]) -> str:
    """Return numbers or array literals as an array literal, which the driver passes on as it is."""
    return "{" + ",".join(map(str, numbers)) + "}"


def as_arrays(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as columns: numbers as array literals, which the driver passes on as they are, others as lists."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: array_of(column) if isinstance(column[0], int) else column for name, column in columns.items()}
