"""The filter language of the runs table and of `etlwatch runs`: one line of text to one predicate.

Contains its grammar, its words for errors and what each field looks at.

    state:failed,lost job:sync* since:24h dur>10m endpoint:/contacts !demo "exact words"

Terms are joined by *and*, values of one term by comma and *or*; `!` (or `-`) before a term turns it round; `*` and `?`
are wildcards; case does not matter. Fields that hold text take `:`, those that hold numbers also `>`, `<`, `>=`, `<=`
and `=`. A word without a field is looked for in job, notes, id, state, host and tags; with commas it names jobs, as
`job:` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, tzinfo
from fnmatch import fnmatchcase
from functools import partial
from operator import ge, gt, le, lt
from typing import Final

from etlwatch.text.moments import MomentError, parse_moment, parse_seconds
from tracking_core.dataclass import dataclass
from tracking_core.records import Run

__all__ = ["EVERY_RUN", "FIELDS", "Filter", "FilterError", "like", "parse_duration", "parse_filter"]

STATES: Final = (
    "lost", "failed", "stalled", "throttled", "slow", "running", "terminated", "abandoned", "completed",
)  # fmt: skip

_BEHIND: Final = ("stalled", "throttled", "slow")

Predicate = Callable[[Run, str, datetime], bool]
"""Takes a run, the state it is shown in, and now."""

EndpointTerm = Callable[[Collection[str]], bool]
"""Takes the endpoints of a run."""

_TERM: Final = (
    r"""(?P<not>[!-]?)(?:(?P<field>[A-Za-z_]+)(?P<op>:|>=|<=|>|<|=)(?P<value>(?:"[^"]*"?|[^\s"])*)"""
    r"""|"(?P<quoted>[^"]*)"?|(?P<word>[^\s"]+))"""
)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": gt, "<": lt, ">=": ge, "<=": le, "=": float.__eq__, ":": float.__eq__,
}  # fmt: skip


class FilterError(ValueError):
    """A filter that cannot be understood; the message names the part and the mend."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter; the empty one takes every run."""

    text: str = ""
    terms: tuple[Predicate, ...] = ()
    endpoints: tuple[EndpointTerm, ...] = ()
    """What it says of the endpoints of a run, which a run does not hold itself."""

    jobs: tuple[str, ...] = ()
    """The names and patterns by which it asks for jobs."""

    words: tuple[str, ...] = ()
    """The words without a field that a run has to hold."""

    bounds: tuple[Callable[[datetime], datetime], ...] = ()
    """Of each `since:` that is not turned round, the moment it means at a time."""

    def oldest(self, now: datetime) -> datetime | None:
        """Return the moment before which no run that passes can have begun, so that nothing older need be read."""
        return max((bound(now) for bound in self.bounds), default=None)

    @property
    def only_words(self) -> bool:
        """Whether it asks for nothing but words."""
        return bool(self.words) and len(self.terms) == len(self.words) and not self.endpoints

    def __bool__(self) -> bool:
        return bool(self.terms or self.endpoints)

    def matches(
        self,
        run: Run,
        *,
        now: datetime,
        state: str = "",
        endpoints: Collection[str] | None = None,
        perhaps_fewer: bool = False,
    ) -> bool:
        """Return whether a run passes; `now` is the store's clock, `state` what it is shown as if not `run.state`.

        `endpoints` are those it asked, None while that is unknown: a filter that names any lets no such run pass. Where
        it had `perhaps_fewer` asked by then, it passes if it may.
        """
        shown = state or run.state
        if not all(term(run, shown, now) for term in self.terms):
            return False
        if not self.endpoints:
            return True
        asked = () if not run.requests else endpoints
        if asked is None:
            return False
        return all(term(asked) or (perhaps_fewer and term(())) for term in self.endpoints)


EVERY_RUN: Final = Filter()
"""The filter that says nothing."""


def parse_duration(text: str) -> float:
    """Return the seconds of a span of time; a bare number is seconds. FilterError otherwise."""
    try:
        return parse_seconds(f"{text}s" if text.strip().isdigit() else text)
    except ValueError:
        raise FilterError(f"{text!r} is no duration; write 90s, 10m, 1h30m or 2d") from None


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


def _text_field(read: Callable[[Run], str | None]) -> Callable[[str], Predicate]:
    def build(value: str) -> Predicate:
        return lambda run, _state, _now: like(read(run), value)

    return build


def _number_field(
    read: Callable[[Run], float], parse: Callable[[str], float] = float
) -> Callable[[str, str], Predicate]:
    def build(op: str, value: str) -> Predicate:
        try:
            limit = float(parse(value.replace(",", "")))
        except FilterError:
            raise
        except ValueError as error:
            raise FilterError(f"{value!r} is no number") from error
        compare = _COMPARE[op]
        return lambda run, _state, _now: compare(float(read(run)), limit)

    return build


def _thousands(text: str) -> float:
    """Read `10k` and `1.5M` as the tables write them."""
    factor = {"k": 1e3, "m": 1e6, "g": 1e9}.get(text[-1:].lower(), 1.0)
    return float(text[:-1] if factor != 1.0 else text) * factor


_TEXT_FIELDS: Final[Mapping[str, Callable[[str], Predicate]]] = {
    "job": _text_field(lambda run: run.job),
    "notes": _text_field(lambda run: run.notes),
    "id": _text_field(lambda run: f"{run.id} {run.run_id}"),
    "host": _text_field(lambda run: run.host),
    "user": _text_field(lambda run: run.user),
    "version": _text_field(lambda run: run.code_version),
    "tag": _text_field(lambda run: " ".join(f"{key}={value}" for key, value in run.tags.items())),
}
_NUMBER_FIELDS: Final[Mapping[str, Callable[[str, str], Predicate]]] = {
    "dur": _number_field(lambda run: run.duration_s, parse_duration),
    "req": _number_field(lambda run: run.requests, _thousands),
    "items": _number_field(lambda run: run.items, _thousands),
    "err": _number_field(lambda run: run.errors + run.failed_requests, _thousands),
    "throttled": _number_field(lambda run: run.throttled_requests, _thousands),
}
_ALIASES: Final = {"duration": "dur", "time": "dur", "requests": "req", "errors": "err", "note": "notes", "tags": "tag"}
FIELDS: Final = ("state", *_TEXT_FIELDS, "endpoint", "since", "until", *_NUMBER_FIELDS)
"""Every field that a filter may name."""


def _state(value: str) -> Predicate:
    wanted = value.casefold()
    if "*" not in wanted and "?" not in wanted and not any(state.startswith(wanted) for state in STATES):
        raise FilterError(f"no state {value!r}{_nearest(wanted, STATES)}")
    pattern = wanted if "*" in wanted or "?" in wanted else wanted + "*"
    # A run that is behind is running all the same; one that is lost is not.
    return lambda run, state, _now: (
        fnmatchcase(state, pattern) or (state in _BEHIND and fnmatchcase(run.status, pattern))
    )


def _nearest(word: str, choices: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(choices)}"


def _any_of(predicates: list[Predicate]) -> Predicate:
    return lambda run, state, now: any(predicate(run, state, now) for predicate in predicates)


def _not(predicate: Predicate) -> Predicate:
    return lambda run, state, now: not predicate(run, state, now)


def _word(value: str) -> Predicate:
    def look(run: Run, state: str, _now: datetime) -> bool:
        tags = (f"{key}={value}" for key, value in run.tags.items())
        return any(like(text, value) for text in (run.job, run.notes, run.id, state, run.host, *tags))

    return look


def _field(name: str, op: str, values: list[str], zone: tzinfo | None) -> Predicate:
    """Return the predicate of one term, or raise FilterError naming what is wrong with it."""
    field = _ALIASES.get(name.lower(), name.lower())
    if field in ("since", "until"):
        if op != ":" or len(values) != 1:
            raise FilterError(f"{field} takes one time: {field}:24h")
        return _time_limit(field, values[0], zone)
    if field in _NUMBER_FIELDS:
        return _any_of([_NUMBER_FIELDS[field](op, value) for value in values])
    build = _state if field == "state" else _TEXT_FIELDS.get(field)
    if build is None:
        raise FilterError(f"no field {name!r}{_nearest(field, FIELDS)}")
    if op not in (":", "="):
        raise FilterError(f"{field} holds text: write {field}:{values[0]}")
    return _any_of([build(value) for value in values])


def _endpoint_term(op: str, values: list[str], *, turned: bool) -> EndpointTerm:
    if op not in (":", "="):
        raise FilterError(f"endpoint holds text: write endpoint:{values[0]}")
    return lambda asked: any(like(each, value) for value in values for each in asked) != turned


def _time_limit(field: str, value: str, zone: tzinfo | None) -> Predicate:
    """Compare a run's start with a moment that is resolved anew each time, so that `since:1h` moves with the clock."""
    _moment(value, datetime.now(UTC), zone)  # refuse nonsense now, not at the first run
    if field == "since":
        return lambda run, _state, now: run.started_at >= _moment(value, now, zone)
    return lambda run, _state, now: run.started_at < _moment(value, now, zone)


def _values(op: str, text: str) -> list[str]:
    """Split the values of a term at its commas: not inside quotes, and not the thousands of a compared number."""
    parts = [text] if op != ":" else re.findall(r'(?:"[^"]*"?|[^",])+', text)
    return [part.replace('"', "") for part in parts if part.replace('"', "")]


def parse_filter(text: str, zone: tzinfo | None = None) -> Filter:
    """Return the filter that a line of text says; FilterError (a ValueError) with the mend where it says none.

    Times without a zone are read in `zone` (None: the local one). A field without a value (`state:`) is an error.
    """
    terms: list[Predicate] = []
    bounds: list[Callable[[datetime], datetime]] = []
    endpoints: list[EndpointTerm] = []
    jobs: list[str] = []
    words: list[str] = []
    for match in re.finditer(_TERM, text):
        turned = bool(match["not"])
        name, op, values = _parts(match)
        if not name:
            if values[0].strip("!"):
                terms.append(_not(_word(values[0])) if turned else _word(values[0]))
                words += [] if turned else values
            continue
        if name == "endpoint":
            endpoints.append(_endpoint_term(op, values, turned=turned))
            continue
        predicate = _field(name, op, values, zone)
        terms.append(_not(predicate) if turned else predicate)
        if name == "since" and not turned:
            bounds.append(partial(_moment, values[0], zone=zone))
        elif name == "job" and not turned:
            jobs += values
    return Filter(
        text=text.strip(),
        terms=tuple(terms),
        endpoints=tuple(endpoints),
        jobs=tuple(jobs),
        words=tuple(words),
        bounds=tuple(bounds),
    )


def _parts(match: re.Match[str]) -> tuple[str, str, list[str]]:
    """Return field, operator and values of a term: field and operator '' for a word; FilterError without a value."""
    if match["quoted"] is not None:
        return "", "", [match["quoted"]]
    if match["field"] is None:
        names = _values(":", match["word"])
        return ("job", ":", names) if len(names) > 1 else ("", "", names or [""])
    name = match["field"].lower()
    values = _values(match["op"], match["value"])
    if not values:
        field = _ALIASES.get(name, name)
        if field not in FIELDS:
            raise FilterError(f"no field {name!r}{_nearest(field, FIELDS)}")
        mend = f"; there are {', '.join(STATES)}" if field == "state" else f": write {name}{match['op']}VALUE"
        raise FilterError(f"{name} has no value{mend}")
    return name, match["op"], values
