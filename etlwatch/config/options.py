"""Every option, declared once: its key, check, default, environment variable, flags and help.

A check takes a value as TOML has it and returns it, or raises InvalidValue with what is accepted. A problem of a
configuration is where, which key, what was given, what is accepted, and what was probably meant; a value that may hold
a password is never repeated.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import tzinfo
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from etlwatch.analysis.states import DEFAULT_THRESHOLDS
from etlwatch.text.numbers import number_of
from tracking_core import conninfo
from tracking_core.config import StoreLocation, resolve
from tracking_core.dataclass import dataclass
from tracking_core.errors import ConfigurationError
from tracking_core.redaction import without_secrets

T = TypeVar("T")
Check = Callable[[object], T]

LONGEST_SHOWN = 60
_BARE_KEY = r"[A-Za-z0-9_.-]+"
LOCAL: Final = "local"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_DSN_FORMS: Final = (
    "postgresql://user@host/dbname, 'host=… dbname=…', 'service=NAME', sqlite:////absolute.db, sqlite:///~/home.db"
)

ACCEPTED_KEYS: Final = 'a character ("f", "F", "?"), or a name ("enter", "f5"), with ctrl+, alt+ or shift+ before it'

_MODIFIERS: Final = ("ctrl", "alt", "shift")
_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {"esc": "escape", "return": "enter", "pgup": "pageup", "page_up": "pageup", "pgdn": "pagedown",
     "page_down": "pagedown", "del": "delete", "ins": "insert", "bs": "backspace", "spacebar": "space",
     "control": "ctrl", "meta": "alt", "option": "alt"}
)  # fmt: skip
_SHOWN: Final[Mapping[str, str]] = MappingProxyType(
    {"escape": "esc", "pageup": "pgup", "pagedown": "pgdn", "delete": "del", "insert": "ins", "up": "↑", "down": "↓",
     "left": "←", "right": "→"}
)  # fmt: skip
_NAMED: Final = frozenset(
    """escape enter tab space backspace delete insert home end pageup pagedown up down left right
    f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12""".split()  # noqa: SIM905 - a table of words reads better than one a line
)

# Characters whose Textual name differs from the Unicode name.
_SHORTENED: Final[Mapping[str, str]] = MappingProxyType(
    {"solidus": "slash", "reverse_solidus": "backslash", "commercial_at": "at", "hyphen_minus": "minus",
     "plus_sign": "plus", "low_line": "underscore"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem."""

    where: str
    """A file, an environment variable, a flag."""

    key: str = ""
    """The dotted key; '' for the file as a whole."""

    what: str
    """What is wrong, as the rest of a sentence: `is "drak"`."""

    accepted: str = ""
    meant: str = ""
    """The nearest accepted value, as it would be written."""

    def __str__(self) -> str:
        """Return the problem as one line."""
        line = f"{self.where}: {self.key} {self.what}" if self.key else f"{self.where} {self.what}"
        if self.accepted:
            line += f"; accepted: {self.accepted}"
        return f"{line}; did you mean {self.meant}?" if self.meant else line


class ConfigError(Exception):
    """A configuration has one problem or more."""

    def __init__(self, problems: Iterable[Problem], *, valid: object = None) -> None:
        self.problems = tuple(problems)
        self.valid = valid
        """The valid part, so that the rest can be checked too; None when nothing could be read."""

        super().__init__("; ".join(map(str, self.problems)))

    @property
    def summary(self) -> str:
        """The first problem, and the number of the others."""
        first, more = self.problems[0], len(self.problems) - 1
        if not more:
            return str(first)
        return f"{first} (and {number_of(more, 'more problem')}: etlwatch config validate lists them)"


class InvalidValue(Exception):
    """A value is not accepted; `accepted` describes what is."""

    def __init__(self, accepted: str, *, meant: str = "", why: str = "") -> None:
        self.accepted = accepted
        self.meant = meant
        self.why = why
        """Shown in place of the value, where that may hold a password."""

        super().__init__(accepted)

    def problem(self, given: object, *, where: str, key: str = "") -> Problem:
        """Return the problem of a place that holds this value."""
        what = f"cannot be used: {self.why}" if self.why else f"is {shown_value(given)}"
        return Problem(where=where, key=key, what=what, accepted=self.accepted, meant=self.meant)


def nearest(word: str, choices: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return the choice most similar to a word, ignoring case; the first of equals, '' when none is similar.

    `likeness` from 0 to 1 is the least similarity: the more choices, the higher it should be.
    """
    # Imported late: most configurations have no problem.
    import difflib

    by_lower = {choice.lower(): choice for choice in choices}
    like = {each: difflib.SequenceMatcher(None, each, word.lower()).ratio() for each in by_lower}
    best = max(like, key=lambda each: like[each], default="")
    return by_lower[best] if best and like[best] >= likeness else ""


def shown_value(value: object) -> str:
    """Return a TOML value for a message: short, without passwords."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        masked = without_secrets(value)
        short = masked if len(masked) <= LONGEST_SHOWN else masked[: LONGEST_SHOWN - 1] + "…"
        return json.dumps(short, ensure_ascii=False)
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "a date or time"


def written_key(name: str) -> str:
    """Return a key as TOML has it, on one line: quoted unless it is a bare key."""
    return name if re.fullmatch(_BARE_KEY, name) else shown_value(name)


@dataclass(frozen=True, slots=True)
class Choice:
    """A check for one of several words."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """Return the word, or raise InvalidValue."""
        if isinstance(value, str) and value in self.words:
            return value
        meant = nearest(value, self.words) if isinstance(value, str) else ""
        accepted = f"{', '.join(self.words[:-1])} or {self.words[-1]}"
        raise InvalidValue(accepted, meant=f'"{meant}"' if meant else "")


@dataclass(frozen=True, slots=True)
class Number:
    """A check for a number in a range; `whole` ones stay integers."""

    least: float
    most: float = math.inf
    unit: str = ""
    whole: bool = False

    def __call__(self, value: object) -> float:
        """Return the number, or raise InvalidValue."""
        if not isinstance(value, bool) and isinstance(value, int if self.whole else int | float):
            # An integer may be too large for a float.
            with suppress(OverflowError):
                if math.isfinite(value) and self.least <= value <= self.most:
                    return value if self.whole else float(value)
        kind = "a whole number" if self.whole else "a number"
        reach = f"from {self.least:g}" if self.most == math.inf else f"from {self.least:g} to {self.most:g}"
        raise InvalidValue(f"{kind}{f' of {self.unit}' if self.unit else ''} {reach}")


def boolean(value: object) -> bool:
    """Check for true or false; a word in quotes is neither."""
    if isinstance(value, bool):
        return value
    lower = value.lower() if isinstance(value, str) else ""
    raise InvalidValue("true or false", meant="true" if lower in _TRUE else "false" if lower in _FALSE else "")


def text(value: object) -> str:
    """Check for a text that is not blank."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise InvalidValue("a name in quotes")


def zone(value: object) -> str:
    """Check for the name of a time zone, or `local`."""
    accepted = 'local, UTC, or a name such as "Europe/Berlin"'
    if not isinstance(value, str):
        raise InvalidValue(accepted)
    try:
        zone_called(value)
    except (KeyError, ValueError, OSError):
        from zoneinfo import available_timezones

        # The name of a city stands for its zone: Berlin for Europe/Berlin.
        names = available_timezones()
        cities = {name.rpartition("/")[2].lower(): name for name in sorted(names, reverse=True)}
        meant = cities.get(value.lower().replace(" ", "_")) or nearest(value, names, likeness=0.8)
        raise InvalidValue(accepted, meant=f'"{meant}"' if meant else "") from None
    return value


def zone_called(name: str) -> tzinfo | None:
    """Return a zone by its checked name; None is the local one."""
    if name == LOCAL:
        return None
    # Imported late, for a fast first frame.
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def dsn(value: object) -> StoreLocation:
    """Check for a DSN and return its location; an error never repeats the value."""
    if not isinstance(value, str):
        raise InvalidValue(_DSN_FORMS, why="it is not a text in quotes")
    given = value.strip()
    if given.startswith("sqlite:///") and not given.startswith(("sqlite:////", "sqlite:///~/")):
        raise InvalidValue(_DSN_FORMS, why="a relative path would name another file in each directory")
    try:
        return resolve(given)
    except ConfigurationError as error:
        why = str(error).partition("; accepted: ")[0].rpartition("cannot be used: ")[2]
        raise InvalidValue(_DSN_FORMS, why=why) from None


def service(value: object) -> StoreLocation:
    """Check for the name of a libpq service and return its location."""
    return dsn(conninfo.write_pairs({"service": text(value)}))


def parse_key(text: str) -> str:
    """Return Textual's name of a key; raise InvalidValue, with the nearest name, for an unknown one.

    `F` and `shift+f` are one key; with ctrl, terminals do not distinguish capitals.
    """
    *before, last = _parts(text)
    modifiers = {_ALIASES.get(word.lower(), word.lower()) for word in before}
    if modifiers - set(_MODIFIERS):
        raise _unknown_key(text)
    if len(last) == 1 and "shift" in modifiers and last.isalpha():
        modifiers.remove("shift")
        last = last.upper()
    key = _character(last.lower() if "ctrl" in modifiers else last) if len(last) == 1 else _name(last, text)
    return "+".join([*(word for word in _MODIFIERS if word in modifiers), key])


def _parts(text: str) -> list[str]:
    """Split at plus signs; the last one may be the key itself."""
    if text == "+" or text.endswith("++"):
        return [*filter(None, text[:-1].split("+")), "+"]
    return text.split("+")


def _character(character: str) -> str:
    if character == " ":
        return "space"
    if character.isalnum():
        return character
    if not character.isprintable():
        raise InvalidValue(ACCEPTED_KEYS)
    name = unicodedata.name(character, "").lower().replace("-", "_").replace(" ", "_")
    return _SHORTENED.get(name, name)


def _name(word: str, text: str) -> str:
    name = _ALIASES.get(word.lower(), word.lower())
    if name in _NAMED or name in _PUNCTUATION:
        return name
    raise _unknown_key(text)


def _unknown_key(text: str) -> InvalidValue:
    *before, last = text.split("+")
    words = [nearest(word, _MODIFIERS) for word in before]
    found = last if len(last) == 1 else nearest(last, [*_NAMED, *_PUNCTUATION, *_ALIASES])
    if not found or "" in words:
        return InvalidValue(ACCEPTED_KEYS)
    return InvalidValue(ACCEPTED_KEYS, meant=f'"{"+".join([*words, _ALIASES.get(found, found)])}"')


_PUNCTUATION: Final[Mapping[str, str]] = MappingProxyType(
    {_character(chr(code)): chr(code) for code in range(33, 127) if not chr(code).isalnum()}
)
"""ASCII characters other than letters and digits, by Textual's names."""


def shown_key(key: str) -> str:
    """Return a key with Textual's name as it is shown: `?`, `esc`, `ctrl+p`, `↑`."""
    *modifiers, last = key.split("+")
    return "+".join([*modifiers, _SHOWN.get(last) or _PUNCTUATION.get(last) or last])


def keys(value: object) -> tuple[str, ...]:
    """Check for a key, a list of keys, or "" for none; return Textual's names of them."""
    if value in ("", []):
        return ()
    given = [value] if isinstance(value, str) else value
    accepted = f'{ACCEPTED_KEYS}; a list of these; "" for no key'
    if not isinstance(given, list):
        raise InvalidValue(accepted)
    found: list[str] = []
    for key in given:
        if not isinstance(key, str) or not key:
            raise InvalidValue(accepted)
        if len(key) > 1 and "," in key:
            several = ", ".join(f'"{part.strip()}"' for part in key.split(",") if part.strip())
            raise InvalidValue(accepted, meant=f"[{several}]")
        found.append(parse_key(key))
    return tuple(dict.fromkeys(found))


def from_text(value: str, check: Check[T]) -> T:
    """Check a text from the environment or a flag, which may stand for a number or a truth value."""
    word = value.strip()
    for reading in _readings(word):
        with suppress(InvalidValue):
            return check(reading)
    return check(word)


def _readings(word: str) -> Iterable[object]:
    if word.lower() in _TRUE | _FALSE:
        yield word.lower() in _TRUE
    try:
        yield float(word)
    except ValueError:
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class Option(Generic[T]):
    """One option and every place where it may be set."""

    name: str
    check: Check[T]
    default: T
    tables: tuple[str, ...] = ()
    """Tables of a file that may hold it under its name: `target` (for [target.NAME]), `display`, `thresholds`."""

    variable: str = ""
    """Its environment variable; '' for none."""

    flags: tuple[str, ...] = ()
    """Its names on the command line, `--on/--off` for a truth value."""

    metavar: str | None = None
    help: str = ""

    @property
    def key(self) -> str:
        """Its name among all options: `write`, `display.theme`, `thresholds.slow_times_p95`."""
        table = self.tables[-1]
        return self.name if table == "target" else f"{table}.{self.name}"

    def flag_for(self, value: object) -> str:
        """Return the flag that sets a value: `--interval`, `--no-mouse`."""
        return self.flags[0].split("/")[1 if value is False else 0]


def _threshold(name: str, check: Check[float]) -> Option[float]:
    return Option(name=name, check=check, default=getattr(DEFAULT_THRESHOLDS, name), tables=("thresholds",))


DSN: Final[Option[StoreLocation | None]] = Option(
    name="dsn",
    check=dsn,
    default=None,
    tables=("target",),
    variable="TRACKING_DSN",
    flags=("--dsn",),
    metavar="DSN",
    help="Which store, instead of $TRACKING_DSN, a target or your own file.",
)
SERVICE: Final[Option[StoreLocation | None]] = Option(name="service", check=service, default=None, tables=("target",))
TARGET: Final[Option[str | None]] = Option(
    name="target",
    check=text,
    default=None,
    variable="ETLWATCH_TARGET",
    flags=("--target", "-t"),
    metavar="NAME",
    help="Which store, by its name in the configuration.",
)
WRITE: Final = Option(
    name="write",
    check=boolean,
    default=False,
    tables=("target",),
    flags=("--write/--read-only",),
    help="Allow or forbid turning tracking on and off, clean-up and closing runs.",
)
COLOUR: Final = Option(
    name="colour", check=Choice(("red", "amber", "blue", "none")), default="none", tables=("target",)
)
THEME: Final = Option(
    name="theme",
    check=Choice(("auto", "dark", "light", "ansi", "mono")),
    default="auto",
    tables=("target", "display"),
    variable="ETLWATCH_THEME",
    flags=("--theme",),
    metavar="NAME",
    help="auto, dark, light, ansi (16 colours) or mono.",
)
ASCII: Final = Option(
    name="ascii",
    check=boolean,
    default=False,
    tables=("display",),
    variable="ETLWATCH_ASCII",
    flags=("--ascii/--no-ascii",),
    help="Draw with ASCII characters only.",
)
MOUSE: Final = Option(
    name="mouse",
    check=boolean,
    default=True,
    tables=("display",),
    variable="ETLWATCH_MOUSE",
    flags=("--mouse/--no-mouse",),
    help="Use the mouse, or leave it to the terminal.",
)
INTERVAL: Final = Option(
    name="interval",
    check=Number(0.1, 60.0, unit="seconds"),
    default=1.0,
    tables=("target", "display"),
    variable="ETLWATCH_INTERVAL",
    flags=("--interval", "-i"),
    metavar="SECONDS",
    help="How often the dashboard reads the store.",
)
LOW_BANDWIDTH: Final = Option(
    name="low_bandwidth",
    check=boolean,
    default=False,
    tables=("target", "display"),
    variable="ETLWATCH_LOW_BANDWIDTH",
    flags=("--low-bandwidth/--no-low-bandwidth",),
    help="For a slow link: charts only on z, and 5 seconds between polls unless an interval is set.",
)
LOW_BANDWIDTH_INTERVAL_S: Final = 5.0
WINDOW: Final = Option(
    name="window",
    check=Choice(("5m", "1h", "24h", "7d")),
    default="1h",
    tables=("display",),
    variable="ETLWATCH_WINDOW",
)
ZONE: Final = Option(name="zone", check=zone, default=LOCAL, tables=("display",), variable="ETLWATCH_ZONE")

STORE_OPTIONS: Final = (DSN, SERVICE, TARGET)
OPTIONS: Final[tuple[Option[Any], ...]] = (
    WRITE,
    COLOUR,
    THEME,
    ASCII,
    MOUSE,
    INTERVAL,
    LOW_BANDWIDTH,
    WINDOW,
    ZONE,
    _threshold("stalled_after_s", Number(1, unit="seconds")),
    _threshold("stalled_times_usual", Number(1)),
    _threshold("stalled_without_past_s", Number(1, unit="seconds")),
    _threshold("throttled_share", Number(0, 1)),
    _threshold("throttled_times_usual", Number(1)),
    _threshold("throttled_requests", Number(1, whole=True)),
    _threshold("slow_times_p95", Number(0.1)),
)
"""Those with a value in every call, beside the store's."""


def options_of(table: str) -> Mapping[str, Option[Any]]:
    """Return the options that a table of a file may hold, by name."""
    return {option.name: option for option in (DSN, SERVICE, *OPTIONS) if table in option.tables}


def options_with_flags() -> tuple[Option[Any], ...]:
    """Return the options that the dashboard's command line takes."""
    options: tuple[Option[Any], ...] = (*STORE_OPTIONS, *OPTIONS)
    return tuple(option for option in options if option.flags)
