"""The configuration files: where they are, and their contents as checked values."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from etlwatch.config.options import (
    Check,
    ConfigError,
    InvalidValue,
    Problem,
    keys,
    nearest,
    options_of,
    text,
    written_key,
)
from tracking_core.config import home_directory
from tracking_core.conninfo import SECRET_KEYWORDS
from tracking_core.dataclass import dataclass, field
from tracking_core.redaction import without_secrets

T = TypeVar("T")

SYSTEM_FILE: Final = Path("/etc/etlwatch/config.toml")
USER_VARIABLE: Final = "ETLWATCH_CONFIG"
SYSTEM_VARIABLE: Final = "ETLWATCH_SYSTEM_CONFIG"

_POSITION: Final = r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$"
_TABLES: Final = ("default_target", "target", "display", "thresholds", "keys")


class Layer(StrEnum):
    """Where a value may be set, highest precedence first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    TARGET = "target"
    USER = "user"
    SYSTEM = "system"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A file as read, not checked."""

    path: Path
    layer: Layer
    table: Mapping[str, Any]
    mode: int
    """Its permission bits."""

    @property
    def others_may_read(self) -> bool:
        """Whether users other than the owner may read it."""
        return bool(self.mode & (stat.S_IRGRP | stat.S_IROTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileValues:
    """The checked values of one file."""

    path: Path
    layer: Layer
    default_target: str | None = None
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By a target's name, the options that it sets; `location` for `dsn` or `service`."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Those of [display] and [thresholds], by name."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Textual's names of keys by command; empty for no key."""

    shares_password: bool = False
    """Whether it holds a password and users other than the owner may read it."""


def config_paths(environ: Mapping[str, str]) -> dict[Layer, tuple[Path, bool]]:
    """Return the paths of the user's file and the system's, and whether each must exist.

    $ETLWATCH_CONFIG and $ETLWATCH_SYSTEM_CONFIG replace them by files that must exist.
    """
    given = environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification ignores relative paths.
    home = Path(given) if given.startswith("/") else home_directory(environ) / ".config"
    standard = {
        Layer.USER: (USER_VARIABLE, home / "etlwatch" / "config.toml"),
        Layer.SYSTEM: (SYSTEM_VARIABLE, SYSTEM_FILE),
    }
    named = {layer: environ.get(variable, "") for layer, (variable, _) in standard.items()}
    return {
        layer: (Path.cwd() / named[layer], True) if named[layer] else (path, False)
        for layer, (_, path) in standard.items()
    }


def load(environ: Mapping[str, str]) -> tuple[FileValues, ...]:
    """Read the existing files, the user's first; ConfigError holds every problem of both."""
    found: list[FileValues] = []
    problems: list[Problem] = []
    for layer, (path, must_exist) in config_paths(environ).items():
        try:
            values = read_file(path, layer, must_exist=must_exist)
        except ConfigError as error:
            problems.extend(error.problems)
        else:
            found += [values] if values else []
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def read_file(path: Path, layer: Layer, *, must_exist: bool = False) -> FileValues | None:
    """Return the values of a file; None when it does not exist. Raises ConfigError with every problem in it."""
    raw = read_raw(path, layer, must_exist=must_exist)
    return None if raw is None else read_values(raw)


def read_raw(path: Path, layer: Layer, *, must_exist: bool = False) -> RawFile | None:
    """Read a file; None when it does not exist and need not. Raises ConfigError when it cannot be read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        if not must_exist:
            return None
        raise _unreadable(path, "does not exist") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror or type(error).__name__}") from None
    return RawFile(path=path, layer=layer, table=parse(data, path), mode=mode)


def parse(data: bytes, path: Path) -> Mapping[str, Any]:
    """Return the contents of a file; ConfigError names the line that is not TOML."""
    try:
        # Some editors write a byte order mark, which is not valid TOML.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, f"line {line} is not UTF-8", accepted="a TOML file in UTF-8") from None
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _unreadable(path, "is not TOML: it is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(path, _not_toml(str(error), text)) from None


def _not_toml(message: str, text: str) -> str:
    message = without_secrets(message)
    position = re.search(_POSITION, message)
    if position is None:
        return f"is not TOML: {message}"
    line = position[1] or str(len(text.splitlines()) or 1)
    column = f", column {position[2]}" if position[2] else ""
    reason = message[: position.start()]
    return f"line {line}{column} is not TOML: {reason[:1].lower()}{reason[1:]}"


def _unreadable(path: Path, what: str, *, accepted: str = "") -> ConfigError:
    return ConfigError([Problem(where=str(path), what=what, accepted=accepted)])


def read_values(raw: RawFile) -> FileValues:
    """Return the checked values of a file; ConfigError holds every problem in it, and the valid values."""
    checker = _Checker(str(raw.path))
    checker.check_keys(raw.table, _TABLES, "")
    targets = {
        name: checker.target(name, table)
        for name, table in checker.table(raw.table, "target").items()
        if checker.is_table(table, f"target.{written_key(name)}", "a table: [target.NAME]")
    }
    values = FileValues(
        path=raw.path,
        layer=raw.layer,
        default_target=checker.value(raw.table, "default_target", text),
        targets=targets,
        options={
            name: value
            for table in ("display", "thresholds")
            for name, value in checker.options(checker.table(raw.table, table), table, f"{table}.").items()
        },
        keys=dict(checker.commands(checker.table(raw.table, "keys"))),
        shares_password=raw.others_may_read and any(map(_holds_password, targets.values())),
    )
    if checker.problems:
        raise ConfigError(checker.problems, valid=values)
    return values


def _holds_password(target: Mapping[str, Any]) -> bool:
    return "location" in target and not SECRET_KEYWORDS.isdisjoint(target["location"].keywords)


class _Checker:
    """Checks the tables of one file and collects their problems."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def check_keys(self, table: Mapping[str, Any], known: Collection[str], prefix: str) -> None:
        """Report unknown keys; their values are not repeated, one may be a password."""
        for key in (each for each in table if each not in known):
            what, accepted, meant = "is no key", ", ".join(known), nearest(key, known)
            if key in ("password", "passwd", "sslpassword"):
                what, accepted, meant = f"{what}; omit it, and put it in ~/.pgpass or a service file", "", ""
            self._report(prefix + written_key(key), what, accepted, meant)

    def _report(self, key: str, what: str, accepted: str, meant: str = "") -> None:
        self.problems.append(Problem(where=self.where, key=key, what=what, accepted=accepted, meant=meant))

    def is_table(self, value: object, key: str, accepted: str) -> bool:
        """Return whether a value is a table; report one that is not."""
        if isinstance(value, dict):
            return True
        self.problems.append(InvalidValue(accepted).problem(value, where=self.where, key=key))
        return False

    def table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return a table inside another one, empty where there is none."""
        accepted = "tables: [target.NAME]" if key == "target" else f"a table: [{key}]"
        found = table.get(key, {})
        return found if self.is_table(found, key, accepted) else {}

    def value(self, table: Mapping[str, Any], key: str, check: Check[T], prefix: str = "") -> T | None:
        """Return a checked value, None where there is none or an invalid one."""
        if key not in table:
            return None
        try:
            return check(table[key])
        except InvalidValue as error:
            self.problems.append(error.problem(table[key], where=self.where, key=prefix + written_key(key)))
            return None

    def options(self, table: Mapping[str, Any], kind: str, prefix: str) -> dict[str, Any]:
        """Return the checked options of a table, by name."""
        known = options_of(kind)
        self.check_keys(table, known, prefix)
        found = {name: self.value(table, name, option.check, prefix) for name, option in known.items()}
        return {name: value for name, value in found.items() if value is not None}

    def target(self, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return the checked options of a target; `location` for its `dsn` or `service`."""
        prefix = f"target.{written_key(name)}."
        found = self.options(table, "target", prefix)
        locations = [found.pop(key) for key in ("dsn", "service") if key in found]
        if len(locations) > 1:
            self._report(f"{prefix}service", "and dsn both name the store", "one of the two")
        return {"location": locations[0], **found} if locations else found

    def commands(self, table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield commands and their keys; `home.filter` may be one quoted key, dotted, or in [keys.home]."""
        for name, value in table.items():
            if isinstance(value, dict):
                yield from self.commands(value, f"{prefix}{name}.")
                continue
            command = prefix + name
            found = self.value({command: value}, command, keys, "keys.")
            if found is not None:
                yield command, found
