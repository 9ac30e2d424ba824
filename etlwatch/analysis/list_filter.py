"""The filter of the boards: words that a row must fit, fields that name where, and states.

Contains the grammar and its words for errors. What there is to look for is declared beside the rows: `JOB_WORDS` in
`etlwatch.fields.jobs`, `KIND_WORDS` in `etlwatch.fields.errors`.

    sync* !demo state:overdue,failed
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from etlwatch.analysis.filter import FilterError
from tracking_core.dataclass import dataclass

__all__ = ["ListFilter", "Vocabulary"]

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class ListFilter(Generic[Row]):
    """A parsed filter; the empty one takes every row."""

    text: str = ""
    terms: tuple[Callable[[Row], bool], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def matches(self, row: Row) -> bool:
        """Return whether a row passes."""
        return all(term(row) for term in self.terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary(Generic[Row]):
    """What rows of one kind can be looked for by."""

    thing: str
    """What a row is, for messages: `a job`."""

    words: Callable[[Row], Iterable[str]]
    """The texts in which a word without a field is looked for."""

    fields: Mapping[str, Callable[[Row], str]]
    """By field: the text that a value must fit as a whole."""

    states: tuple[str, ...]
    states_of: Callable[[Row], Collection[str]]

    def parse(self, text: str) -> ListFilter[Row]:
        """Return the filter that a line means; FilterError names what it does not understand, and the mend."""
        return ListFilter(text.strip(), tuple(self._term(word) for word in text.split()))

    def _term(self, word: str) -> Callable[[Row], bool]:
        turned = word[0] in "!-" and len(word) > 1
        body = word[1:] if turned else word
        field, colon, value = body.partition(":")
        name = field.lower()
        if colon and name == "state":
            wanted = self._states(value)
            return lambda row: wanted.isdisjoint(self.states_of(row)) == turned
        if colon and name not in self.fields:
            known = ", ".join(f"{each}:…" for each in (*self.fields, "state"))
            raise FilterError(f"{field!r} is no field of {self.thing}; write words, {known}")
        patterns = [part.casefold() for part in (value if colon else body).split(",") if part]
        if colon and not patterns:
            raise FilterError(f"{field} has no value: write {field}:VALUE")
        texts = (lambda row: (self.fields[name](row),)) if colon else self.words
        return lambda row: _any_fits(texts(row), patterns, whole=bool(colon)) != turned

    def _states(self, value: str) -> frozenset[str]:
        words = frozenset(word.lower() for word in value.split(",") if word)
        if not words:
            raise FilterError(f"state has no value; there are {', '.join(self.states)}")
        unknown = sorted(words - set(self.states))
        if unknown:
            nearest = difflib.get_close_matches(unknown[0], self.states, n=1)
            meant = f"; did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(self.states)}"
            raise FilterError(f"{unknown[0]!r} is no state of {self.thing}{meant}")
        return words


def _any_fits(texts: Iterable[str], patterns: Iterable[str], *, whole: bool) -> bool:
    folded = [text.casefold() for text in texts]
    return any(_fits(text, pattern, whole=whole) for text in folded for pattern in patterns)


def _fits(text: str, pattern: str, *, whole: bool) -> bool:
    if "*" in pattern or "?" in pattern:
        return fnmatchcase(text, pattern)
    return text == pattern if whole else pattern in text
