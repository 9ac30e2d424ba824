"""Problems of a configuration: where, which key, what was given, what is accepted, what was probably meant.

A value that may hold a password is never repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from etlwatch.text.numbers import number_of
from tracking_core.dataclass import dataclass
from tracking_core.redaction import without_secrets

LONGEST_SHOWN = 60
_BARE_KEY = r"[A-Za-z0-9_.-]+"


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
