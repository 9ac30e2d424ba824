"""Reads the SQL of the package: files of named blocks under tracking_core/sql, and the migrations.

A block begins with `-- name: WORD` and runs to the next; the comment lines after the name say what it is for. The same
names stand in the files of both dialects (a test holds them together), what differs is said in the SQL.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files

from tracking_core.dataclass import dataclass

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_MIGRATION = re.compile(r"^(\d{3})_(\w+)\.sql$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered step of the schema."""

    version: int
    """From 1, without gaps."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """What tells an edited migration from the one that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()[:16]

    def as_row(self) -> dict[str, int | str]:
        """Return the parameters that record it as applied."""
        return {"version": self.version, "name": self.name, "checksum": self.checksum}


@cache
def blocks(dialect: str, name: str) -> dict[str, str]:
    """Return the named blocks of sql/<dialect>/<name>.sql."""
    text = files("tracking_core").joinpath("sql", dialect, f"{name}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """Return the migrations of a dialect by version."""
    found = []
    for entry in files("tracking_core").joinpath("sql", dialect, "migrations").iterdir():
        match = _MIGRATION.match(entry.name)
        if match:
            sql = entry.read_text(encoding="utf-8")
            found.append(Migration(version=int(match[1]), name=match[2], sql=sql))
    return tuple(sorted(found, key=lambda migration: migration.version))


def statements(script_text: str) -> list[str]:
    """Return the statements of a script that holds no semicolon but between them."""
    without_comments = re.sub(r"^\s*--.*$", "", script_text, flags=re.MULTILINE)
    return [statement.strip() for statement in without_comments.split(";") if statement.strip()]


def script(dialect: str, name: str) -> str:
    """Return a script that stands beside the migrations and runs at every initialisation."""
    return files("tracking_core").joinpath("sql", dialect, "migrations", f"{name}.sql").read_text(encoding="utf-8")


def whole_schema(dialect: str, *scripts: str) -> str:
    """Return one text that does on an empty database what an initialisation does there."""
    parts = ["BEGIN;"]
    for migration in migrations(dialect):
        parts.append(f"-- {migration.version:03d}_{migration.name}")
        parts.append(migration.sql)
        parts.append(blocks(dialect, "schema")["record_version_script"].format(**migration.as_row()))
    parts.extend(script(dialect, name) for name in scripts)
    parts.append("COMMIT;")
    return "\n".join(parts) + "\n"
