"""The filter of the jobs screen: words that names must fit, and states.

Owns its small grammar. Refuses to own the filter of runs (`etlwatch.model.filter`), whose habits it follows: terms are
joined by *and*, values by comma and *or*, `!` turns a term round, `*` and `?` are wildcards, case does not matter.

    sync* !demo state:overdue,failed
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from etlwatch.model.filter import FilterError
from etlwatch.model.jobs import JobRow

__all__ = ["JobFilter", "parse_job_filter"]

STATES: Final = ("overdue", "lost", "failed", "stalled", "throttled", "slow", "running", "ok", "over")

_Term = Callable[[JobRow], bool]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """A parsed filter; the empty one takes every job."""

    text: str = ""
    terms: tuple[_Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def matches(self, row: JobRow) -> bool:
        """Return whether a job passes."""
        return all(term(row) for term in self.terms)


def parse_job_filter(text: str) -> JobFilter:
    """Return the filter that a line means; FilterError names what it does not understand, and the mend."""
    return JobFilter(text.strip(), tuple(_term(word) for word in text.split()))


def _term(word: str) -> _Term:
    turned = word[0] in "!-" and len(word) > 1
    body = word[1:] if turned else word
    field, colon, value = body.partition(":")
    if colon and field.lower() == "state":
        wanted = _states(value)
        return lambda row: bool(wanted & _states_of(row)) != turned
    if colon and field.lower() != "job":
        raise FilterError(f"{field!r} is no field of a job; write words of its name, job:NAME or state:overdue")
    patterns = [part.casefold() for part in (value if colon else body).split(",") if part]
    return lambda row: any(_fits(row.job.casefold(), pattern, whole=bool(colon)) for pattern in patterns) != turned


def _fits(job: str, pattern: str, *, whole: bool) -> bool:
    if "*" in pattern or "?" in pattern:
        return fnmatchcase(job, pattern)
    return job == pattern if whole else pattern in job


def _states(value: str) -> frozenset[str]:
    words = frozenset(word.lower() for word in value.split(",") if word)
    unknown = sorted(words - set(STATES))
    if unknown:
        nearest = difflib.get_close_matches(unknown[0], STATES, n=1)
        meant = f"; did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(STATES)}"
        raise FilterError(f"{unknown[0]!r} is no state of a job{meant}")
    return words


def _states_of(row: JobRow) -> frozenset[str]:
    """Return all that a job may be looked for by: its trouble, its living run's state, or that all is well."""
    states = {row.trouble or ("over" if row.given_up_since else "ok")}
    if row.live is not None:
        states.add(row.live.state)
    return frozenset(states)
