"""What a configuration file may hold: its keys, their checks, and the record they fill.

Owns the list of keys. Every problem of a file is found in one go; a key that is left out is None here, so that a weaker
place may say it (`etlwatch.config.effective`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from etlwatch.config.errors import ConfigError, Problem, Unusable, nearest, written_key
from etlwatch.config.files import Layer, RawFile
from etlwatch.config.values import (
    COLOURS,
    INTERVAL_S,
    THEMES,
    WINDOWS,
    Check,
    boolean,
    choice,
    dsn,
    keys,
    number,
    service,
    text,
    zone,
)
from tracking_core.config import StoreLocation
from tracking_core.conninfo import SECRET_KEYWORDS
from tracking_core.dataclass import dataclass, field

__all__ = ["DISPLAY", "THRESHOLDS", "Display", "FileValues", "TargetValues", "read_values"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """How the dashboard looks and polls, as far as one place says; None where it says nothing."""

    theme: str | None = None
    ascii: bool | None = None
    mouse: bool | None = None
    interval: float | None = None
    window: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetValues:
    """What one file says of one target."""

    location: StoreLocation | None = None
    """From `dsn` or `service`."""

    write: bool | None = None
    colour: str | None = None
    theme: str | None = None
    interval: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileValues:
    """What one file says."""

    path: Path
    layer: Layer
    default_target: str | None = None
    targets: Mapping[str, TargetValues] = field(default_factory=dict)
    display: Display = field(default_factory=Display)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Textual's names of keys by command; empty for no key."""

    shares_password: bool = False
    """Whether it holds a password and others than its owner may read it."""


DISPLAY: Final[Mapping[str, Check[Any]]] = {
    "theme": choice(*THEMES),
    "ascii": boolean,
    "mouse": boolean,
    "interval": number(*INTERVAL_S, unit="seconds"),
    "window": choice(*WINDOWS),
    "zone": zone,
}
_TARGET: Final[Mapping[str, Check[Any]]] = {
    "dsn": dsn,
    "service": service,
    "write": boolean,
    "colour": choice(*COLOURS),
    "theme": DISPLAY["theme"],
    "interval": DISPLAY["interval"],
}
THRESHOLDS: Final[Mapping[str, Check[Any]]] = {
    "stalled_after_s": number(1, unit="seconds"),
    "stalled_times_usual": number(1),
    "stalled_without_past_s": number(1, unit="seconds"),
    "throttled_share": number(0, 1),
    "throttled_times_usual": number(1),
    "throttled_requests": number(1, whole=True),
    "slow_times_p95": number(0.1),
}
_TOP: Final = ("default_target", "target", "display", "thresholds", "keys")


def read_values(raw: RawFile) -> FileValues:
    """Return what a file says; ConfigError holds every problem in it."""
    reading = _Reading(str(raw.path))
    reading.unknown(raw.table, _TOP, "")
    targets = {
        name: reading.target(name, table)
        for name, table in reading.table(raw.table, "target").items()
        if reading.is_table(table, f"target.{written_key(name)}", "a table: [target.NAME]")
    }
    display = reading.section(raw.table, "display", DISPLAY)
    values = FileValues(
        path=raw.path,
        layer=raw.layer,
        default_target=reading.value(raw.table, "default_target", text),
        targets=targets,
        display=Display(**display),
        thresholds=reading.section(raw.table, "thresholds", THRESHOLDS),
        keys=dict(reading.keys(reading.table(raw.table, "keys"))),
        shares_password=raw.others_may_read and any(map(_holds_password, targets.values())),
    )
    if reading.problems:
        raise ConfigError(reading.problems, usable=values)
    return values


def _holds_password(target: TargetValues) -> bool:
    return target.location is not None and not SECRET_KEYWORDS.isdisjoint(target.location.keywords)


class _Reading:
    """One pass over one file's table, collecting problems."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def complain(self, key: str, what: str, accepted: str = "", meant: str = "") -> None:
        self.problems.append(Problem(where=self.where, key=key, what=what, accepted=accepted, meant=meant))

    def unknown(self, table: Mapping[str, Any], known: Mapping[str, Any] | tuple[str, ...], prefix: str) -> None:
        """Complain about keys that mean nothing; their values are not repeated, one may be a password."""
        for key in table:
            if key in known:
                continue
            if key in ("password", "passwd", "sslpassword"):
                mend = "leave it out, and put it in ~/.pgpass or a service file"
                self.complain(prefix + written_key(key), f"is no key; {mend}")
                continue
            self.complain(prefix + written_key(key), "is no key", ", ".join(known), nearest(key, known))

    def is_table(self, value: object, key: str, accepted: str) -> bool:
        if isinstance(value, dict):
            return True
        self.problems.append(Unusable(accepted).problem(value, where=self.where, key=key))
        return False

    def table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return a table inside another one, empty where there is none."""
        forms = {"target": "tables: [target.NAME]"}
        found = table.get(key, {})
        return found if self.is_table(found, key, forms.get(key, f"a table: [{key}]")) else {}

    def value(self, table: Mapping[str, Any], key: str, check: Check[T], prefix: str = "") -> T | None:
        """Return a checked value, None where there is none or a wrong one."""
        if key not in table:
            return None
        try:
            return check(table[key])
        except Unusable as error:
            self.problems.append(error.problem(table[key], where=self.where, key=prefix + written_key(key)))
            return None

    def section(self, table: Mapping[str, Any], name: str, checks: Mapping[str, Check[Any]]) -> dict[str, Any]:
        """Return the checked values of a table of plain keys."""
        return self.checked(self.table(table, name), checks, f"{name}.")

    def checked(self, table: Mapping[str, Any], checks: Mapping[str, Check[Any]], prefix: str) -> dict[str, Any]:
        self.unknown(table, checks, prefix)
        found = {key: self.value(table, key, check, prefix) for key, check in checks.items()}
        return {key: value for key, value in found.items() if value is not None}

    def target(self, name: str, table: Mapping[str, Any]) -> TargetValues:
        prefix = f"target.{written_key(name)}."
        found = self.checked(table, _TARGET, prefix)
        locations = [found.pop(key) for key in ("dsn", "service") if key in found]
        if len(locations) > 1:
            self.complain(prefix + "service", "and dsn both name the store", "one of the two")
        return TargetValues(location=locations[0] if locations else None, **found)

    def keys(self, table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield commands and their keys; `home.filter` may be written with quotes, without, or below [keys.home]."""
        for name, value in table.items():
            if isinstance(value, dict):
                yield from self.keys(value, f"{prefix}{name}.")
                continue
            command = prefix + name
            found = self.value({command: value}, command, keys, "keys.")
            if found is not None:
                yield command, found
