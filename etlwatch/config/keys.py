"""The names of keys: as a person writes them, as Textual names them, and as they are shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from etlwatch.config.errors import InvalidValue, nearest

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
