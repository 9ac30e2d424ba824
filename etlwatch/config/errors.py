"""What is wrong with a configuration, in the words of whoever has to mend it.

Owns the sentences: where, which key, what was given, what is accepted, what was probably meant. A value that may hold a
password is never repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from tracking_core.dataclass import dataclass
from tracking_core.redaction import without_secrets

__all__ = ["ConfigError", "Problem", "Unusable", "nearest", "shown_value", "written_key"]

LONGEST_SHOWN = 60
_BARE_KEY = r"[A-Za-z0-9_.-]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    where: str
    """A file, an environment variable, a flag."""

    key: str = ""
    """The dotted key; '' for the file as a whole."""

    what: str
    """What is wrong, as the rest of a sentence: `is "drak"`."""

    accepted: str = ""
    meant: str = ""
    """The nearest thing that would have been right, as it would be written."""

    def __str__(self) -> str:
        """Return the problem as one line."""
        said = f"{self.where}: {self.key} {self.what}" if self.key else f"{self.where} {self.what}"
        if self.accepted:
            said += f"; accepted: {self.accepted}"
        return f"{said}; did you mean {self.meant}?" if self.meant else said


class ConfigError(Exception):
    """A configuration cannot be used; it has one problem or more."""

    def __init__(self, problems: Iterable[Problem], *, usable: object = None) -> None:
        self.problems = tuple(problems)
        self.usable = usable
        """What was understood all the same, so that the rest can be checked too; None for nothing."""

        super().__init__("; ".join(map(str, self.problems)))

    @property
    def summary(self) -> str:
        """The first problem, and how many there are besides."""
        first, more = self.problems[0], len(self.problems) - 1
        if not more:
            return str(first)
        return f"{first} (and {more} more problem{'s' if more > 1 else ''}: etlwatch config validate lists them)"


class Unusable(Exception):
    """A value cannot be used: what is accepted in its place, what was probably meant."""

    def __init__(self, accepted: str, *, meant: str = "", why: str = "") -> None:
        self.accepted = accepted
        self.meant = meant
        self.why = why
        """Said in place of the value, where that may hold a password."""

        super().__init__(accepted)

    def problem(self, given: object, *, where: str, key: str = "") -> Problem:
        """Return it as the problem of a place."""
        what = f"cannot be used: {self.why}" if self.why else f"is {shown_value(given)}"
        return Problem(where=where, key=key, what=what, accepted=self.accepted, meant=self.meant)


def nearest(word: str, choices: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return the choice that a word resembles most, '' when it resembles none; of equals the first, whatever its case.

    `likeness` from 0 to 1: the more choices there are, the more like it the nearest one should be.
    """
    # Imported late: nothing is wrong most of the time.
    import difflib

    by_lower = {choice.lower(): choice for choice in choices}
    like = {each: difflib.SequenceMatcher(None, each, word.lower()).ratio() for each in by_lower}
    best = max(like, key=lambda each: like[each], default="")
    return by_lower[best] if best and like[best] >= likeness else ""


def shown_value(value: object) -> str:
    """Return a TOML value as it may be repeated in a message: short, passwords struck out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        struck = without_secrets(value)
        short = struck if len(struck) <= LONGEST_SHOWN else struck[: LONGEST_SHOWN - 1] + "…"
        return json.dumps(short, ensure_ascii=False)
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "a date or time"


def written_key(name: str) -> str:
    """Return a key as it is written in TOML: in quotes where it holds anything odd, on one line always."""
    return name if re.fullmatch(_BARE_KEY, name) else shown_value(name)
