"""The arguments of the public methods: programming errors raise here, odd but honest types become plain ones.

Owns the types and the signs of what a caller hands over, and nothing of its range: a count of 2**70 or a duration of
NaN is data, not a mistake in the program, and is dealt with in sanitize.py. Everything raised is TypeError or
ValueError, names the argument, and is raised before any I/O (CONTRACT 2).
"""

from __future__ import annotations

import operator
from collections.abc import Mapping

from tracking_core.identity import MAX_RUN_ID
from tracking_core.states import PhaseStatus

_PHASE_STATUSES = frozenset(str(status) for status in PhaseStatus)


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
    try:
        if hasattr(kind, "__index__"):
            return operator.index(value)  # type: ignore[arg-type]
        return _plain(value)
    except Exception:  # noqa: BLE001 - a number's own conversion may raise anything (a signalling NaN does)
        return float("nan")


def _plain(value: object) -> int | float:
    number = float(value)  # type: ignore[arg-type]
    # A whole Decimal beyond 2**53 would lose its last digits as a float.
    if number.is_integer() and hasattr(type(value), "__int__"):
        return int(value)  # type: ignore[call-overload, no-any-return]
    return number


def optional_number_of(name: str, value: object) -> int | float | None:
    """Return a plain number or None."""
    return None if value is None else number_of(name, value)


def count_of(name: str, value: object) -> int | float:
    """Return a plain number that is not negative; ValueError when it is."""
    number = number_of(name, value)
    if number < 0:
        raise ValueError(f"{name} is {number}; a count is 0 or more")
    return number


def counts_of(name: str, value: object) -> dict[str, int | float]:
    """Return numbers by unit; {} for None. TypeError for what is no mapping, ValueError for a negative one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is of type {type(value).__name__}; a mapping of units to counts is needed")
    return {text_of(unit): count_of(f"{name}[{unit!r}]", number) for unit, number in value.items()}


def text_of(value: object) -> str:
    """Return text for any object, also for one whose `__str__` raises."""
    if type(value) is str:
        return value
    try:
        if isinstance(value, bytes):
            return value.decode("utf-8", "backslashreplace")
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return f"<unprintable {type(value).__name__}>"


def optional_text_of(value: object) -> str | None:
    """Return text, or None for None."""
    return None if value is None else text_of(value)


def error_text_of(value: object) -> str | None:
    """Return the text of a request's `error`: of an exception its class and message."""
    if isinstance(value, BaseException):
        message = text_of(value)
        return f"{type(value).__name__}: {message}" if message else type(value).__name__
    return optional_text_of(value)


def name_of(argument: str, value: object) -> str:
    """Return a name (an endpoint, a phase, an entity); TypeError for None, which names nothing."""
    if value is None:
        raise TypeError(f"{argument} is None; a name is needed")
    return text_of(value)


def job_name_of(value: object) -> str | None:
    """Return a job's name, None when none is given; TypeError for what is no text."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"job is of type {type(value).__name__}; text is needed")
    return (value or "").strip() or None


def phase_status_of(value: object) -> str:
    """Return a phase's status; ValueError for any other word."""
    if not isinstance(value, str) or value not in _PHASE_STATUSES:
        raise ValueError(f"status is {value!r}; accepted: {', '.join(PhaseStatus)}")
    return str(value)


def tags_of(value: object) -> dict[str, str]:
    """Return tags as text by name; {} for None. TypeError for what is no mapping."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"tags is of type {type(value).__name__}; a mapping is needed")
    return {text_of(name): text_of(tag) for name, tag in value.items()}


def error_of(value: object) -> BaseException | str:
    """Return an error to record: an exception or text; TypeError for anything else."""
    if isinstance(value, BaseException | str):
        return value
    raise TypeError(f"error is of type {type(value).__name__}; an exception or a string is needed")


def limit_of(value: object) -> int:
    """Return how many rows are wanted; TypeError for what is no integer, ValueError for a negative one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"limit is of type {type(value).__name__}; an int is needed")
    if value < 0:
        raise ValueError(f"limit is {value}; 0 or more are accepted")
    return value


def days_of(value: object) -> int:
    """Return the age of a clean-up in days; ValueError for whatever is not a whole number of 0 or more (CONTRACT 2)."""
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
