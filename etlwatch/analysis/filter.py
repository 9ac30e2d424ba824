"""The filter language of every list and command: one line of text becomes one predicate.

    state:failed,lost job:sync* since:24h dur>10m endpoint:/contacts !demo "exact words"

Terms are joined by *and*, values of one term by comma and *or*; `!` (or `-`) before a term negates it; `*` and `?` are
wildcards; case does not matter. Fields that hold text take `:`, those that hold numbers also `>`, `<`, `>=`, `<=` and
`=`. Which fields a list has, and where words without a field are looked for, is declared in `etlwatch.fields`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from fnmatch import fnmatchcase
from functools import partial
from operator import ge, gt, le, lt
from typing import Any, Final, Generic, TypeAlias, TypeVar

from etlwatch.text.moments import MomentError, parse_moment, parse_seconds
from tracking_core.dataclass import dataclass

Row = TypeVar("Row")

Predicate: TypeAlias = Callable[[Row, datetime], bool]
"""Takes a row and the store's clock."""

EndpointTerm: TypeAlias = Callable[[Collection[str]], bool]
"""Takes the endpoints of a run."""

_TERM: Final = (
    r"""(?P<not>[!-]?)(?:(?P<field>[A-Za-z_]+)(?P<op>:|>=|<=|>|<|=)(?P<value>(?:"[^"]*"?|[^\s"])*)"""
    r"""|"(?P<quoted>[^"]*)"?|(?P<word>[^\s"]+))"""
)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": gt, "<": lt, ">=": ge, "<=": le, "=": float.__eq__, ":": float.__eq__,
}  # fmt: skip


class FilterError(ValueError):
    """A filter that cannot be understood; the message names the part and the correction."""


@dataclass(frozen=True, slots=True)
class Filter(Generic[Row]):
    """A parsed filter; the empty one takes every row."""

    text: str = ""
    terms: tuple[Predicate[Row], ...] = ()
    endpoints: tuple[EndpointTerm, ...] = ()
    """Conditions on the endpoints of a run, which its row does not hold."""

    jobs: tuple[str, ...] = ()
    """The names and patterns by which it asks for jobs."""

    words: tuple[str, ...] = ()
    """The words without a field that a row has to hold."""

    bounds: tuple[Callable[[datetime], datetime], ...] = ()
    """Of each `since:` that is not negated, the moment it means at a time."""

    states: frozenset[str] | None = None
    """The states that its terms let pass; None for all."""

    def oldest(self, now: datetime) -> datetime | None:
        """Return the moment before which no row that passes can have begun, so that nothing older need be read."""
        return max((bound(now) for bound in self.bounds), default=None)

    @property
    def only_words(self) -> bool:
        """Whether it asks for nothing but words."""
        return bool(self.words) and len(self.terms) == len(self.words) and not self.endpoints

    def __bool__(self) -> bool:
        return bool(self.terms or self.endpoints)

    def matches(
        self, row: Row, now: datetime, *, endpoints: Collection[str] | None = (), perhaps_fewer: bool = False
    ) -> bool:
        """Return whether a row passes; `now` is the store's clock.

        `endpoints` are those it requested, None while that is unknown: a filter that names any lets no such row pass.
        Where it may have requested fewer by then (`perhaps_fewer`), it passes if it may.
        """
        if not all(term(row, now) for term in self.terms):
            return False
        if not self.endpoints:
            return True
        if endpoints is None:
            return False
        return all(term(endpoints) or (perhaps_fewer and term(())) for term in self.endpoints)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterField(Generic[Row]):
    """A field that a filter may name."""

    names: tuple[str, ...]
    """The first is the one that messages use."""

    read: Callable[[Row], Any]
    """Its text, several texts, or its number."""

    parse: Callable[[str], float] | None = None
    """Reads a number; None for a field that holds text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar(Generic[Row]):
    """The terms that filters of one list may have."""

    fields: tuple[FilterField[Row], ...]
    searched: tuple[Callable[[Row], Any], ...]
    """The texts in which a word without a field is looked for."""

    states: tuple[str, ...] = ()
    states_of: Callable[[Row], Collection[str]] = lambda _row: ()
    begun: Callable[[Row], datetime] | None = None
    """What `since:` and `until:` compare; None for a list without them."""

    has_endpoints: bool = False
    listed: str = ""
    """The field that a word with commas names: `crm,ads*` means `job:crm,ads*`. Empty: any of the words."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every field that a filter may name."""
        times = ("since", "until") if self.begun is not None else ()
        endpoint = ("endpoint",) if self.has_endpoints else ()
        return ("state", *(field.names[0] for field in self.fields), *endpoint, *times)

    def parse(self, text: str, zone: tzinfo | None = None) -> Filter[Row]:
        """Return the filter that a line of text means; FilterError with the correction where it means none.

        Times without a zone are read in `zone` (None: the local one). A field without a value (`state:`) is an error.
        """
        terms: list[Predicate[Row]] = []
        bounds: list[Callable[[datetime], datetime]] = []
        endpoints: list[EndpointTerm] = []
        jobs: list[str] = []
        words: list[str] = []
        states: frozenset[str] | None = None
        for match in re.finditer(_TERM, text):
            negated = bool(match["not"])
            name, op, values = self._split(match)
            if not name:
                if values[0].strip("!"):
                    terms.append(_negated(self._word(values), negated=negated))
                    words += [] if negated else values
                continue
            if name == "endpoint" and self.has_endpoints:
                endpoints.append(_endpoint_term(op, values, negated=negated))
                continue
            terms.append(_negated(self._term(name, op, values, zone), negated=negated))
            if name == "since" and not negated:
                bounds.append(partial(_moment, values[0], zone=zone))
            elif name == "job" and not negated:
                jobs += values
            elif name == "state" and not negated:
                states = self._states_like(values) if states is None else states & self._states_like(values)
        return Filter(
            text=text.strip(),
            terms=tuple(terms),
            endpoints=tuple(endpoints),
            jobs=tuple(jobs),
            words=tuple(words),
            bounds=tuple(bounds),
            states=states,
        )

    def _split(self, match: re.Match[str]) -> tuple[str, str, list[str]]:
        """Return field, operator and values of a term: no field for words; FilterError without a value."""
        if match["quoted"] is not None:
            return "", "", [match["quoted"]]
        if match["field"] is None:
            values = _values(":", match["word"])
            return (self.listed if len(values) > 1 else ""), ":", values or [""]
        name = self._canonical(match["field"])
        values = _values(match["op"], match["value"])
        if not values:
            given = match["field"].lower()
            correction = f"; there are {', '.join(self.states)}" if name == "state" else f": write {given}:VALUE"
            raise FilterError(f"{given} has no value{correction}")
        return name, match["op"], values

    def _canonical(self, name: str) -> str:
        wanted = name.lower()
        found = next((field.names[0] for field in self.fields if wanted in field.names), wanted)
        if found not in self.names:
            raise FilterError(f"no field {name!r}{_nearest(found, self.names)}")
        return found

    def _word(self, values: Sequence[str]) -> Predicate[Row]:
        return lambda row, _now: any(_fits(read(row), value) for read in self.searched for value in values)

    def _term(self, name: str, op: str, values: list[str], zone: tzinfo | None) -> Predicate[Row]:
        """Return the predicate of one term, or raise FilterError naming what is wrong with it."""
        if self.begun is not None and name in ("since", "until"):
            if op != ":" or len(values) != 1:
                raise FilterError(f"{name} takes one time: {name}:24h")
            return _time_limit(self.begun, name, values[0], zone)
        field = next((field for field in self.fields if field.names[0] == name), None)
        if field is not None and field.parse is not None:
            return _number_term(field.read, op, [_parsed_number(field.parse, value) for value in values])
        if op not in (":", "="):
            raise FilterError(f"{name} holds text: write {name}:{values[0]}")
        if field is None:
            return self._state_term(values)
        read = field.read
        return lambda row, _now: any(_fits(read(row), value) for value in values)

    def _state_term(self, values: list[str]) -> Predicate[Row]:
        """Match states by their beginnings or by wildcards; a word that is a state means that one alone."""
        patterns, states_of = self._state_patterns(values), self.states_of
        return lambda row, _now: any(fnmatchcase(state, pattern) for state in states_of(row) for pattern in patterns)

    def _states_like(self, values: list[str]) -> frozenset[str]:
        patterns = self._state_patterns(values)
        return frozenset(state for state in self.states if any(fnmatchcase(state, each) for each in patterns))

    def _state_patterns(self, values: list[str]) -> list[str]:
        patterns = [value.casefold() for value in values]
        for pattern in patterns:
            if "*" not in pattern and "?" not in pattern and not any(s.startswith(pattern) for s in self.states):
                raise FilterError(f"no state {pattern!r}{_nearest(pattern, self.states)}")
        return [each if each in self.states or "*" in each or "?" in each else f"{each}*" for each in patterns]


def parse_duration(text: str) -> float:
    """Return the seconds of a span of time; a bare number is seconds. FilterError otherwise."""
    try:
        return parse_seconds(f"{text}s" if text.strip().isdigit() else text)
    except ValueError:
        raise FilterError(f"{text!r} is no duration; write 90s, 10m, 1h30m or 2d") from None


def parse_number(text: str) -> float:
    """Read `10k` and `1.5M` as the tables write them."""
    factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:].lower(), 1.0)
    return float(text[:-1] if factor != 1.0 else text) * factor


def _moment(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the moment that a text means, `24h` that long ago; FilterError for anything else."""
    try:
        return parse_moment(f"{text}s" if text.strip().isdigit() else text, now=now, zone=zone, coming=True)
    except MomentError:
        raise FilterError(f"{text!r} is no time; write 24h, 02:10, today or 2026-10-24T02:10") from None


def like(text: str | None, pattern: str) -> bool:
    """Match without regard to case: the whole text where the pattern has wildcards, a part of it otherwise."""
    wanted, given = pattern.casefold(), (text or "").casefold()
    if "*" in wanted or "?" in wanted:
        return fnmatchcase(given, wanted.replace("[", "[[]"))
    return wanted in given


def matches_job(job: str, patterns: Iterable[str]) -> bool:
    """Return whether a job has one of these names or fits one of these patterns; any job without patterns."""
    patterns = tuple(patterns)
    # The name itself first: a job may be called [/foo], which is a pattern as well.
    return not patterns or any(job == pattern or fnmatchcase(job, pattern) for pattern in patterns)


def fits_job(job: str, pattern: str) -> bool:
    """Return whether a job has this name or fits this pattern."""
    return matches_job(job, (pattern,))


def _fits(text: str | Iterable[str] | None, pattern: str) -> bool:
    if text is None or isinstance(text, str):
        return like(text, pattern)
    return any(like(each, pattern) for each in text)


def _nearest(word: str, choices: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(choices)}"


def _negated(predicate: Predicate[Row], *, negated: bool) -> Predicate[Row]:
    return (lambda row, now: not predicate(row, now)) if negated else predicate


def _parsed_number(parse: Callable[[str], float], value: str) -> float:
    try:
        return float(parse(value.replace(",", "")))
    except FilterError:
        raise
    except ValueError as error:
        raise FilterError(f"{value!r} is no number") from error


def _number_term(read: Callable[[Row], float | None], op: str, limits: Sequence[float]) -> Predicate[Row]:
    compare = _COMPARE[op]

    def term(row: Row, _now: datetime) -> bool:
        number = read(row)
        return number is not None and any(compare(float(number), limit) for limit in limits)

    return term


def _endpoint_term(op: str, values: list[str], *, negated: bool) -> EndpointTerm:
    if op not in (":", "="):
        raise FilterError(f"endpoint holds text: write endpoint:{values[0]}")
    return lambda requested: any(like(each, value) for value in values for each in requested) != negated


def _time_limit(begun: Callable[[Row], datetime], name: str, value: str, zone: tzinfo | None) -> Predicate[Row]:
    """Compare a row's begin with a moment that is resolved anew each time, so that `since:1h` moves with the clock."""
    _moment(value, datetime.now(UTC), zone)  # reports nonsense now, not at the first row
    if name == "since":
        return lambda row, now: begun(row) >= _moment(value, now, zone)
    return lambda row, now: begun(row) < _moment(value, now, zone)


def _values(op: str, text: str) -> list[str]:
    """Split the values of a term at its commas: not inside quotes, and not the thousands of a compared number."""
    parts = [text] if op != ":" else re.findall(r'(?:"[^"]*"?|[^",])+', text)
    return [part.replace('"', "") for part in parts if part.replace('"', "")]
