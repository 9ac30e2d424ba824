"""How a single value is checked: one function a kind, the same for files and for the environment.

Each takes what TOML gives and returns the value, or raises Unusable saying what is accepted. `from_text` turns the text
of an environment variable into what TOML would have given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import tzinfo
from typing import Final, TypeVar

from etlwatch.config.errors import Unusable, nearest
from etlwatch.config.key_names import ACCEPTED_KEYS, parse_key
from tracking_core import conninfo
from tracking_core.config import StoreLocation, resolve
from tracking_core.errors import ConfigurationError

__all__ = [
    "COLOURS",
    "INTERVAL_S",
    "LOCAL",
    "THEMES",
    "WINDOWS",
    "Check",
    "boolean",
    "choice",
    "dsn",
    "from_text",
    "keys",
    "number",
    "service",
    "text",
    "zone",
    "zone_called",
]

T = TypeVar("T")
Check = Callable[[object], T]

THEMES: Final = ("auto", "dark", "light", "ansi", "mono")
COLOURS: Final = ("red", "amber", "blue", "none")
INTERVAL_S: Final = (0.1, 60.0)
"""Seconds between two polls: the shortest and the longest."""

WINDOWS: Final = ("5m", "1h", "24h", "7d")
"""The names of the chart windows; `etlwatch.analysis.series` has what they mean."""

LOCAL: Final = "local"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_DSN_FORMS: Final = (
    "postgresql://user@host/dbname, 'host=… dbname=…', 'service=NAME', sqlite:////absolute.db, sqlite:///~/home.db"
)


def choice(*words: str) -> Check[str]:
    """Return a check for one of these words."""
    accepted = f"{', '.join(words[:-1])} or {words[-1]}"

    def check(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        meant = nearest(value, words) if isinstance(value, str) else ""
        raise Unusable(accepted, meant=f'"{meant}"' if meant else "")

    return check


def boolean(value: object) -> bool:
    """Check for true or false; a word in quotes is neither."""
    if isinstance(value, bool):
        return value
    lower = value.lower() if isinstance(value, str) else ""
    raise Unusable("true or false", meant="true" if lower in _TRUE else "false" if lower in _FALSE else "")


def number(least: float, most: float = math.inf, *, unit: str = "", whole: bool = False) -> Check[float]:
    """Return a check for a number in a range; `whole` ones stay integers."""
    kind = "a whole number" if whole else "a number"
    reach = f"from {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
    accepted = f"{kind}{f' of {unit}' if unit else ''} {reach}"

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise Unusable(accepted)
        try:
            usable = math.isfinite(value) and least <= value <= most
        except OverflowError:
            usable = False
        if not usable:
            raise Unusable(accepted)
        return value if whole else float(value)

    return check


def text(value: object) -> str:
    """Check for a text that says something."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise Unusable("a name in quotes")


def zone(value: object) -> str:
    """Check for the name of a time zone, or `local`."""
    accepted = 'local, UTC, or a name such as "Europe/Berlin"'
    if not isinstance(value, str):
        raise Unusable(accepted)
    try:
        zone_called(value)
    except (KeyError, ValueError, OSError):
        from zoneinfo import available_timezones

        # A name alone may stand for a region's city: Berlin for Europe/Berlin.
        names = available_timezones()
        cities = {name.rpartition("/")[2].lower(): name for name in sorted(names, reverse=True)}
        meant = cities.get(value.lower().replace(" ", "_")) or nearest(value, names, likeness=0.8)
        raise Unusable(accepted, meant=f'"{meant}"' if meant else "") from None
    return value


def zone_called(name: str) -> tzinfo | None:
    """Return a zone by its checked name; None is the local one."""
    if name == LOCAL:
        return None
    # Imported late, like all here that costs milliseconds: this runs before the first frame.
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def dsn(value: object) -> StoreLocation:
    """Check for a DSN, and return the place it names; what was given is never repeated."""
    if not isinstance(value, str):
        raise Unusable(_DSN_FORMS, why="it is not a text in quotes")
    given = value.strip()
    if given.startswith("sqlite:///") and not given.startswith(("sqlite:////", "sqlite:///~/")):
        raise Unusable(_DSN_FORMS, why="a relative file would be another one in each directory")
    try:
        return resolve(given)
    except ConfigurationError as error:
        why = str(error).partition("; accepted: ")[0].rpartition("cannot be used: ")[2]
        raise Unusable(_DSN_FORMS, why=why) from None


def service(value: object) -> StoreLocation:
    """Check for the name of a libpq service, and return the place it names."""
    return dsn(conninfo.write_pairs({"service": text(value)}))


def keys(value: object) -> tuple[str, ...]:
    """Check for a key, a list of keys, or "" for none; return Textual's names of them."""
    if value in ("", []):
        return ()
    given = [value] if isinstance(value, str) else value
    accepted = f'{ACCEPTED_KEYS}; a list of these; "" for no key'
    if not isinstance(given, list):
        raise Unusable(accepted)
    found: list[str] = []
    for key in given:
        if not isinstance(key, str) or not key:
            raise Unusable(accepted)
        if len(key) > 1 and "," in key:
            several = ", ".join(f'"{part.strip()}"' for part in key.split(",") if part.strip())
            raise Unusable(accepted, meant=f"[{several}]")
        found.append(parse_key(key))
    return tuple(dict.fromkeys(found))


def from_text(value: str, check: Check[T]) -> T:
    """Check the text of an environment variable: numbers and truth values are read as such."""
    word = value.strip()
    for reading in _readings(word):
        with suppress(Unusable):
            return check(reading)
    return check(word)


def _readings(word: str) -> Iterable[object]:
    if word.lower() in _TRUE | _FALSE:
        yield word.lower() in _TRUE
    try:
        yield float(word)
    except ValueError:
        return
