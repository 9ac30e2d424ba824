"""The phases and units of a context: their names, the checks of these, and a phase as a `with` block."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Mapping
from numbers import Number
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tracking_core.dataclass import dataclass
from tracking_core.events import PhaseStatus
from tracking_core.process.interrupts import error_behind, is_clean_exit, is_recorded

if TYPE_CHECKING:
    from tracking_core.etl.context import ETLContext


DEFAULT_PHASES = ("extract", "transform", "load")
DEFAULT_UNITS = ("conversations", "messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitNames:
    """Hold what is named after one unit: attributes of the progress tracker and keys of the statistics."""

    unit: str
    """As a parameter of `update_progress`."""
    total: str
    """Expected count: attribute, parameter of `start_phase` and key."""
    processed: str
    """Processed count: attribute and key."""
    percent: str
    """Key of processed in percent of total; the unit loses a trailing `s`."""
    rate: str
    """Key of processed per second."""
    processed_in_all: str
    """Key of the count over all phases."""

    @classmethod
    def of(cls, unit: str) -> Self:
        """Name everything that belongs to `unit`."""
        return cls(
            unit=unit,
            total=f"total_{unit}",
            processed=f"processed_{unit}",
            percent=f"{unit.removesuffix('s')}_percent",
            rate=f"{unit}_per_second",
            processed_in_all=f"{unit}_processed",
        )


def checked_phases(phases: Iterable[str]) -> tuple[str, ...]:
    """Return the phases' names in their order.

    Raises TypeError for anything but strings, ValueError for none, an empty or a repeated name.
    """
    names = _checked_names("phases", phases)
    if not names:
        raise ValueError("phases must name at least one phase")
    return names


def checked_units(units: Iterable[str]) -> tuple[UnitNames, ...]:
    """Return what is named after each unit, in the units' order.

    Raises TypeError for anything but strings, ValueError for a name that cannot be part of a parameter's name, is
    repeated, or would share a statistics key with another (`row` and `rows` have one percent key).
    """
    names = [UnitNames.of(unit) for unit in _checked_names("units", units)]
    keys: dict[str, str] = {}
    for name in names:
        if not name.unit.isidentifier():
            raise ValueError(f"units: {name.unit!r} cannot be part of a parameter's name such as total_<unit>")
        for key in (name.total, name.processed, name.percent, name.rate):
            if key in keys:
                raise ValueError(f"units: {keys[key]!r} and {name.unit!r} would share the statistics key {key!r}")
            keys[key] = name.unit
    return tuple(names)


def bind_counts(parameters: tuple[str, ...], positional: tuple[int, ...], named: Mapping[str, int]) -> dict[str, int]:
    """Return a count for each parameter as Python would bind them; what was not given is 0.

    Raises TypeError for too many, unknown or doubly given arguments, naming what was given and what is accepted, and
    what `checked_count` raises.
    """
    accepted = ", ".join(parameters) or "none"
    if len(positional) > len(parameters):
        raise TypeError(f"{len(positional)} counts were given; accepted: {accepted}")
    unknown = [name for name in named if name not in parameters]
    if unknown:
        raise TypeError(f"unknown count {', '.join(map(repr, unknown))}; accepted: {accepted}")
    given = dict(zip(parameters, positional, strict=False))
    twice = [name for name in given if name in named]
    if twice:
        raise TypeError(f"count {', '.join(map(repr, twice))} was given twice, by position and by name")
    given.update(named)
    return {name: checked_count(name, given.get(name, 0)) for name in parameters}


def checked_count(name: str, value: object) -> int:
    """Return `value` as an int: any kind of number without a fraction (3.0, Decimal, numpy's) will do, None is 0.

    Raises TypeError for a bool or what is no real number, ValueError for a negative number or one with a fraction.
    """
    if value is None:
        return 0
    # A bool is an int to Python, but `total_messages=True` is a slip.
    if isinstance(value, bool) or not (hasattr(value, "__index__") or isinstance(value, Number)):
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    count = operator.index(value) if hasattr(value, "__index__") else _without_fraction(name, value)
    if count < 0:
        raise ValueError(f"{name} must not be negative: {count}")
    return count


def _without_fraction(name: str, number: Any) -> int:
    try:
        count = int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} must be a whole number, not {number}") from None
    if count != number:
        raise ValueError(f"{name} must be a whole number, not {number}")
    return count


def _checked_names(what: str, names: Iterable[str]) -> tuple[str, ...]:
    # A lone string would be taken letter by letter.
    if isinstance(names, str):
        raise TypeError(f"{what} must be a sequence of names, not the string {names!r}")
    checked = tuple(names)
    for name in checked:
        if not isinstance(name, str):
            raise TypeError(f"{what} must be strings, not {type(name).__name__}")
        if not name:
            raise ValueError(f"{what} must not hold an empty name")
        if checked.count(name) > 1:
            raise ValueError(f"{what} must differ: {name!r} is there more than once")
    return checked


class PhaseBlock:
    """Start a phase with a block, and end it as the block ends; made by `ETLContext.phase`.

    An exception is recorded, fails the phase and goes on. As for the run, `sys.exit()` and `sys.exit(0)`
    complete it; ctrl-c and a cancelled task fail it and are no error, and of
    another `sys.exit` the exception is recorded that was being handled. A block may end its phase itself.
    """

    # A class, not a generator: that one's frame would stand in every traceback that is recorded.
    __slots__ = ("_context", "_handled_before", "_named_totals", "_totals", "name", "result")

    def __init__(
        self, context: ETLContext, name: str, totals: tuple[int, ...], named_totals: Mapping[str, int]
    ) -> None:
        """Stand for a phase that is started when the block is entered."""
        self._context = context
        self._totals = totals
        self._named_totals = named_totals
        self._handled_before: BaseException | None = None
        self.name = name
        self.result: dict[str, Any] = {}
        """What the block adds to the phase's statistics, given to `end_phase`."""

    def update(self, *increments: int, **named_increments: int) -> None:
        """Count processed work; raises what `ETLContext.update_progress` raises."""
        self._context.update_progress(*increments, **named_increments)

    def __enter__(self) -> Self:
        """Start the phase; raises what `ETLContext.start_phase` raises."""
        self._handled_before = sys.exception()
        self._context.start_phase(self.name, *self._totals, **self._named_totals)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the phase; the exception goes on."""
        if error is None or is_clean_exit(error):
            self._end(self.result)
            return
        behind = error_behind(error, self._handled_before)
        if behind is not None and not is_recorded(behind, id(self._context)):
            self._context.record_error(self.name, behind)
        self._end({**self.result, "status": PhaseStatus.FAILED.value})

    def _end(self, result: dict[str, Any]) -> None:
        if self._context.current_phase == self.name:
            self._context.end_phase(result)
