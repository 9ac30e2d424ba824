"""The statements of a writer as the server reads them: placeholders numbered, comments and indentation gone.

Done once a process instead of once a statement: psycopg keeps no converted statement of more than 4 kB, and what is not
sent need not be parsed either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from psycopg import Connection, RawCursor

from tracking_core.dataclass import dataclass
from tracking_core.store import queries

_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One block of SQL and the names of its parameters, in the order of their numbers."""

    text: bytes
    names: tuple[str, ...]

    def run(self, connection: Connection[Any], values: Mapping[str, Any]) -> RawCursor[Any]:
        """Run it and return its cursor, answers in binary; values that it does not name are passed over."""
        return RawCursor(connection).execute(self.text, [values[name] for name in self.names], binary=True)


@cache
def statements(name: str) -> dict[str, Statement]:
    """Return the blocks of sql/postgres/<name>.sql."""
    return {block: _statement(text) for block, text in queries.blocks("postgres", name).items()}


def _statement(text: str) -> Statement:
    names: dict[str, int] = {}

    def numbered(match: re.Match[str]) -> str:
        return "%" if match[1] is None else f"${names.setdefault(match[1], len(names) + 1)}"

    plain = _SPACE.sub(" ", _COMMENT.sub("", text)).strip().rstrip(";")
    return Statement(text=_PLACEHOLDER.sub(numbered, plain).encode(), names=tuple(names))
