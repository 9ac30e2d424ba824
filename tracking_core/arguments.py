"""The arguments of the public methods, read into plain values.

`CallArguments` is what a tracker uses: no value raises, unless it is strict. The functions below it accept honest
values of any type (numpy's numbers, Decimal, enums) and raise TypeError or ValueError, naming the argument, for all
others. What a number's range may be is not their concern: that is dealt with in sanitize.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from tracking_core.events import PhaseStatus
from tracking_core.identity import ID_LENGTH, MAX_RUN_ID, parse_run_id
from tracking_core.process.interrupts import from_outside, load, suppress_faults
from tracking_core.sanitize import float_text

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")

_ZERO: int | float = 0
MOST_UNITS = 1_000
"""Entries read of one mapping: a mapping may have no end."""

_PHASE_STATUSES = frozenset(str(status) for status in PhaseStatus)


class CallArguments:
    """Reads the arguments of one tracker's calls.

    Not strict: what can be read is read, the rest becomes 0, empty text or None, and `mistaken` is called, with the
    argument's name and what became of it. Where a list of `changes` is given, that is added to it, to be stored.
    Strict: TypeError or ValueError instead.
    """

    def __init__(self, mistaken: Callable[[str, str], None], *, strict: bool) -> None:
        self._mistaken = mistaken
        self._strict = strict

    def run_id(self, value: object) -> int | None:
        """Return a run id, also one given as its digits or 13 characters; None for what names no run."""
        return self._read("run_id", value, run_id_of, _loose_run_id, None)

    def number(self, name: str, value: object, changes: list[str] | None = None) -> int | float:
        """Return a plain number; 0 for what is none."""
        return self._read(name, value, lambda given: number_of(name, given), _loose_number, _ZERO, changes)

    def optional_number(self, name: str, value: object, changes: list[str] | None = None) -> int | float | None:
        """Return a plain number or None; None for what is none."""
        return None if value is None else self._read(
            name, value, lambda given: number_of(name, given), _loose_number, None, changes
        )  # fmt: skip

    def count(self, name: str, value: object, changes: list[str] | None = None) -> int | float:
        """Return a plain number; 0 for what is none. A negative one stays, to be marked with the row."""
        strictly = count_of if self._strict else number_of
        return self._read(name, value, lambda given: strictly(name, given), _loose_number, _ZERO, changes)

    def counts(self, name: str, value: object) -> dict[str, int | float]:
        """Return numbers by unit; {} for what is no mapping."""
        return self._read(name, value, lambda given: counts_of(name, given), lambda given: self._units(name, given), {})

    def _units(self, name: str, value: Any) -> dict[str, int | float]:
        units = islice(value.items(), MOST_UNITS)
        return {text_of(unit): self.count(f"{name} of a unit", number) for unit, number in units}

    def name(self, argument: str, value: object, changes: list[str] | None = None) -> str:
        """Return a name (an endpoint, a phase, an entity); '' for None."""

        def read(given: object) -> str:
            if given is None:
                raise TypeError(f"{argument} is None; a name is needed")
            return text_of(given)

        return self._read(argument, value, read, read, "", changes)

    def text(self, value: object) -> str | None:
        """Return text, or None for None; of an object that cannot be written its type."""
        return None if value is None else text_of(value)

    def job(self, value: object) -> str | None:
        """Return a job's name, None when none is given."""
        if value is None:
            return None
        name = self._read("job", value, lambda given: str(_of_type("job", given, str, "text")), text_of, "")
        return name.strip() or None

    def tags(self, value: object) -> dict[str, str]:
        """Return tags as text by name; {} for what is no mapping."""
        return self._read("tags", value, tags_of, lambda given: tags_of(dict(islice(given, MOST_UNITS))), {})

    def phase_status(self, value: object) -> str:
        """Return a phase's status; '' for what is none, which means the one before."""

        def loosely(given: object) -> str:
            return phase_status_of(text_of(getattr(given, "value", given)).strip().lower())

        return self._read("status", value, phase_status_of, loosely, "")

    def flag(self, name: str, value: object, changes: list[str] | None = None) -> bool:
        """Return the truth of any object; False for one that has none."""
        return self._read(name, value, bool, bool, otherwise=False, changes=changes)

    def request_error(self, value: object) -> str | None:
        """Return the text of a request's `error`."""
        return None if value is None else self._read("error", value, error_text_of, text_of, "")

    def error(self, value: object) -> BaseException | str:
        """Return an error to record: an exception, or the text of any other object."""

        def strictly(given: object) -> BaseException | str:
            return _of_type("error", given, BaseException | str, "an exception or a string")  # type: ignore[no-any-return]

        otherwise: BaseException | str = ""
        return self._read("error", value, strictly, text_of, otherwise)

    def moment_us(self, name: str, value: object) -> int | None:
        """Return a moment in microseconds since 1970-01-01Z; a time without a zone is local. None for what is none."""
        return None if value is None else self._read(name, value, moment_us_of, _loose_moment_us, None)

    def limit(self, value: object, otherwise: int) -> int:
        """Return how many rows are wanted."""

        def strictly(given: object) -> int:
            limit = int(_of_type("limit", given, int, "an int"))
            if limit < 0:
                raise ValueError(f"limit is {limit}; 0 or more are accepted")
            return limit

        found = self._read("limit", value, strictly, lambda given: int(_loose_number(given)), otherwise)
        return min(max(found, 0), MAX_RUN_ID)

    def timeout(self, value: object) -> float | None:
        """Return a time limit in seconds, None for none."""
        seconds = self._read("timeout", value, timeout_of, _loose_number, None)
        return None if seconds is None or seconds != seconds else max(float(seconds), 0.0)

    def _read(
        self,
        name: str,
        value: object,
        strictly: Callable[[Any], T],
        loosely: Callable[[Any], T],
        otherwise: T,
        changes: list[str] | None = None,
    ) -> T:
        try:
            return strictly(value)
        except Exception as error:
            if from_outside(error):
                raise
            if self._strict:
                if isinstance(error, TypeError | ValueError):
                    raise
                raise TypeError(f"{name} is of type {type(value).__name__}, which cannot be read") from error
        try:
            found = loosely(value)
        except Exception as error:
            if from_outside(error):
                raise
            found, became = otherwise, f"could not be read and is {otherwise!r}"
        else:
            became = f"was read as {float_text(found)}" if isinstance(found, int | float) else "was read as plain text"
        # Its type and not its value: what is no number may be anything, a password too.
        change = f"{name} of type {type(value).__name__} {became}"
        if changes is not None:
            changes.append(change)
        self._mistaken(name, change)
        return found


def _of_type(name: str, value: object, kinds: Any, needed: str) -> Any:
    """Return a value of these types; TypeError for any other, a bool among them."""
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TypeError(f"{name} is of type {type(value).__name__}; {needed} is needed")
    return value


def run_id_of(value: object) -> int | None:
    """Return a run id; None for None and for a number that no run has. TypeError for a bool or what is no integer."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"run_id is of type {type(value).__name__}; the int that start_run returned is needed")
    number = operator.index(value)  # type: ignore[arg-type]
    return number if 0 < number <= MAX_RUN_ID else None


def number_of(name: str, value: object) -> int | float:
    """Return a plain number for whatever kind of number is given (numpy's, Decimal, Fraction); NaN if it defies that.

    TypeError for a bool and for what is no number.
    """
    kind = type(value)
    if kind is int or kind is float:
        return value  # type: ignore[return-value]
    if isinstance(value, bool) or not (hasattr(kind, "__index__") or hasattr(kind, "__float__")):
        raise TypeError(f"{name} is of type {kind.__name__}; a number is needed")
    # A number's own conversion may raise anything: a signalling NaN does.
    with suppress_faults():
        if hasattr(kind, "__index__"):
            return operator.index(value)  # type: ignore[arg-type]
        return _plain(value)
    return float("nan")


def _plain(value: object) -> int | float:
    number = float(value)  # type: ignore[arg-type]
    # A whole Decimal beyond 2**53 would lose its last digits as a float.
    if number.is_integer() and hasattr(type(value), "__int__"):
        return int(value)  # type: ignore[call-overload, no-any-return]
    return number


def count_of(name: str, value: object) -> int | float:
    """Return a plain number that is not negative; ValueError when it is."""
    number = number_of(name, value)
    if number < 0:
        raise ValueError(f"{name} is {number}; a count is 0 or more")
    return number


def counts_of(name: str, value: object) -> dict[str, int | float]:
    """Return numbers by unit; {} for None. TypeError for what is no mapping, ValueError for a negative one."""
    given = {} if value is None else _of_type(name, value, Mapping, "a mapping of units to counts")
    found = {text_of(unit): count_of(f"{name}[{unit!r}]", number) for unit, number in islice(given.items(), MOST_UNITS)}
    if len(found) == MOST_UNITS:
        raise ValueError(f"{name} has {MOST_UNITS} units or more; fewer are accepted")
    return found


def text_of(value: object) -> str:
    """Return text for any object, also for one whose `__str__` raises."""
    if type(value) is str:
        return value
    # A foreign `__str__` may raise anything.
    with suppress_faults():
        if isinstance(value, bytes):
            return value.decode("utf-8", "backslashreplace")
        # Of a subclass of text the plain text, also where it is what `__str__` returned.
        return str.__str__(value if isinstance(value, str) else str(value))
    return f"<unprintable {type(value).__name__}>"


def error_text_of(value: object) -> str:
    """Return the text of a request's `error`: of an exception its class and message."""
    if isinstance(value, BaseException):
        message = text_of(value)
        return f"{type(value).__name__}: {message}" if message else type(value).__name__
    return text_of(value)


def phase_status_of(value: object) -> str:
    """Return a phase's status; ValueError for anything else."""
    if not isinstance(value, str) or value not in _PHASE_STATUSES:
        raise ValueError(f"status is {value!r}; accepted: {', '.join(PhaseStatus)}")
    return str(value)


def tags_of(value: object) -> dict[str, str]:
    """Return tags as text by name; {} for None. TypeError for what is no mapping."""
    given = {} if value is None else _of_type("tags", value, Mapping, "a mapping")
    return {text_of(name): text_of(tag) for name, tag in islice(given.items(), MOST_UNITS)}


def days_of(value: object) -> int:
    """Return the age of a clean-up in days; ValueError for whatever is not a whole number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        given = value if isinstance(value, int) else f"of type {type(value).__name__}"
        raise ValueError(f"days is {given}; an int of 0 or more is accepted (0 means every finished run)")
    return value


def timeout_of(value: object) -> float | None:
    """Return a time limit in seconds, None for none; TypeError and ValueError for what is neither."""
    if value is None:
        return None
    seconds = number_of("timeout", value)
    if not seconds >= 0:
        raise ValueError(f"timeout is {seconds}; 0 or more seconds are accepted")
    return float(seconds)


def moment_us_of(value: object) -> int:
    """Return a datetime in microseconds since 1970-01-01Z, a naive one as local time; TypeError for anything else."""
    load("datetime")
    from datetime import datetime

    return _microseconds(_of_type("a moment", value, datetime, "a datetime"))


def _microseconds(moment: datetime) -> int:
    load("tracking_core.clock")
    from tracking_core.clock import to_microseconds

    return to_microseconds(moment.astimezone())


def _loose_run_id(value: Any) -> int | None:
    text = text_of(value).strip() if isinstance(value, str | bytes) else ""
    number = parse_run_id(text) if len(text) == ID_LENGTH else int(text)
    return run_id_of(number)


def _loose_number(value: Any) -> int | float:
    if isinstance(value, bool | int | float):
        return operator.index(value) if isinstance(value, bool | int) else float(value)
    if isinstance(value, str | bytes):
        text = text_of(value).strip()
        try:
            return int(text)
        except ValueError:
            return float(text)
    if hasattr(type(value), "__index__") or hasattr(type(value), "__float__"):
        return number_of("", value)
    # An enum whose members are not numbers themselves.
    return _loose_number(value.value) if isinstance(value.value, str | int | float) else number_of("", value.value)


def _loose_moment_us(value: Any) -> int:
    load("datetime")
    from datetime import date, datetime, time

    if isinstance(value, str | bytes):
        return _microseconds(datetime.fromisoformat(text_of(value).strip()))
    if isinstance(value, date):
        return _microseconds(datetime.combine(value, time()))
    return round(number_of("a moment", value) * 1_000_000)
