"""The SQL of the package: files of named blocks under tracking_core/sql, and the migrations.

A block begins with `-- name: WORD` and ends where the next begins; the comment under its name describes it. Blocks of
sql/NAME.sql are for both dialects: parameters are written `:name` and tables `tracking.NAME`. sql/DIALECT/NAME.sql has
what differs, under the same names in both. Texts that repeat are fragments (see sql/fragments.sql).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import cache

from tracking_core.dataclass import dataclass
from tracking_core.errors import SchemaNewer, StoreRefused
from tracking_core.process.interrupts import load

# importlib.resources would load three compressors and a random generator for this.
_SQL = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sql")  # noqa: PTH100, PTH118, PTH120
_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
_FRAGMENT = re.compile(r"\{\{([^{}]*)\}\}")
_PARAMETER = re.compile(r"(?<!:):(\w+|@)")
_SINCE = re.compile(r" since (\d+)")
_MIGRATION = r"^(\d{3})_(\w+)\.sql$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered step of the schema."""

    version: int
    """From 1, without gaps."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Differs between an edited migration and the one that was applied."""
        load("hashlib")
        import hashlib

        return hashlib.sha256(self.sql.encode()).hexdigest()[:16]

    def as_row(self) -> dict[str, int | str]:
        """Return the parameters that record it as applied."""
        return {"version": self.version, "name": self.name, "checksum": self.checksum}


@cache
def blocks(dialect: str, name: str, version: int | None = None) -> dict[str, str]:
    """Return the named blocks of sql/<name>.sql and sql/<dialect>/<name>.sql, all fragments expanded.

    Columns that are newer than the schema version are left out; None keeps all.
    """
    return {title: expanded(dialect, text, version) for title, text in _named(dialect, name).items()}


def expanded(dialect: str, text: str, version: int | None = None) -> str:
    """Return a text with its fragments expanded, as those of a block are."""
    return _expanded(text, _fragments(dialect), version)


@cache
def _fragments(dialect: str) -> dict[str, str]:
    named = _named(dialect, "fragments").items()
    return {title: re.sub(r"^--.*\n?", "", text, flags=re.MULTILINE).strip() for title, text in named}


def _named(dialect: str, name: str) -> dict[str, str]:
    """Return the parts of both files of a name; those for both dialects in the notation of this one."""
    shared, own = _read_optional(f"{name}.sql"), _read_optional(dialect, f"{name}.sql")
    if not (shared or own):
        raise FileNotFoundError(f"neither sql/{name}.sql nor sql/{dialect}/{name}.sql is there")
    if dialect == "postgres":
        shared = _PARAMETER.sub(r"%(\1)s", shared.replace("%", "%%"))
    else:
        shared = shared.replace("tracking.", "")
    parts = [part for text in (shared, own) for part in _NAME.split(text)[1:]]
    return {title: body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)}


def _expanded(text: str, fragments: Mapping[str, str], version: int | None) -> str:
    def expand(match: re.Match[str]) -> str:
        call, *repeated = str(match[1]).split("|", 2)
        name, _, argument = call.partition("(")
        found: str = _expanded(fragments[name], fragments, version)
        if argument:
            return found.replace("@", argument[:-1])
        entries = [_SINCE.sub("", entry.strip()) for entry in found.split(",") if _exists(entry, version)]
        if repeated:
            template, joint = (*repeated, ", ")[:2]
            return joint.join(template.replace("@", entry) for entry in entries)
        return ", ".join(entries) if _SINCE.search(found) else found

    while _FRAGMENT.search(text):
        text = _FRAGMENT.sub(expand, text)
    return text


def _exists(column: str, version: int | None) -> bool:
    since = _SINCE.search(column)
    return since is None or version is None or int(since[1]) <= version


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """Return the migrations of a dialect by version."""
    found = []
    for name in os.listdir(os.path.join(_SQL, dialect, "migrations")):  # noqa: PTH118, PTH208
        match = re.match(_MIGRATION, name)
        if match:
            sql = _read(dialect, "migrations", name)
            found.append(Migration(version=int(match[1]), name=match[2], sql=sql))
    return tuple(sorted(found, key=lambda migration: migration.version))


def statements(script_text: str) -> list[str]:
    """Return the statements of a script that holds no semicolon but between them."""
    without_comments = re.sub(r"^\s*--.*$", "", script_text, flags=re.MULTILINE)
    return [statement.strip() for statement in without_comments.split(";") if statement.strip()]


def script(dialect: str, name: str) -> str:
    """Return a script beside the migrations, which runs at every initialisation."""
    return _read(dialect, "migrations", f"{name}.sql")


def _read(*place: str) -> str:
    with open(os.path.join(_SQL, *place), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        return file.read()


def _read_optional(*place: str) -> str:
    """Return the text of a file, '' where there is none."""
    try:
        return _read(*place)
    except FileNotFoundError:
        return ""


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


TOLERATED_VERSIONS = 2


def pending(known: tuple[Migration, ...], applied: Iterable[tuple[int, str, str]], label: str) -> tuple[Migration, ...]:
    """Return the migrations to run, given (version, name, checksum) of those that ran.

    Raises SchemaNewer when the store has versions that this program does not have, StoreRefused when a migration that
    ran differs from the one of the same number here.
    """
    done = {version: (name, checksum) for version, name, checksum in applied}
    newest_known = known[-1].version
    newest_applied = max(done, default=0)
    if newest_applied > newest_known:
        raise SchemaNewer(
            f"{label} has schema version {newest_applied}, this program has {newest_known}: upgrade etlwatch"
        )
    for migration in known:
        if migration.version in done and done[migration.version][1] != migration.checksum:
            raise StoreRefused(
                f"{label}: migration {migration.version} ({migration.name}) was applied from another text than this "
                "program's; nothing was changed"
            )
    return tuple(migration for migration in known if migration.version not in done)


def check_readable(newest_applied: int, newest_known: int, label: str) -> None:
    """Raise SchemaNewer when a schema is too new to be read: more than two versions ahead of this program."""
    if newest_applied > newest_known + TOLERATED_VERSIONS:
        raise SchemaNewer(
            f"{label} has schema version {newest_applied}, this program has {newest_known}: upgrade etlwatch"
        )
