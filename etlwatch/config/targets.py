"""Named stores: what all files together say of each, and which of them is meant.

Owns the target as it is in effect. A target is no boundary: whoever may write the stronger file may say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from etlwatch.config.errors import ConfigError, Problem, nearest, shown_value, written_key
from etlwatch.config.files import Layer
from etlwatch.config.schema import FileValues, TargetValues
from etlwatch.config.sourced import Sourced, first, said_by
from tracking_core.config import StoreLocation
from tracking_core.dataclass import dataclass

__all__ = ["Target", "chosen_target", "merged_targets"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A named store, as all files together have it."""

    location: Sourced[StoreLocation]
    write: Sourced[bool]
    """False where no file has the word."""

    colour: Sourced[str]
    theme: Sourced[str] | None = None
    interval: Sourced[float] | None = None


def merged_targets(files: Sequence[FileValues]) -> dict[str, Target]:
    """Return every target, field by field from the strongest file that says it; ConfigError for one without a store."""
    found: dict[str, Target] = {}
    problems: list[Problem] = []
    for name in sorted({name for values in files for name in values.targets}):
        said = [(values, values.targets[name]) for values in files if name in values.targets]
        target = _merged(name, said)
        if target is not None:
            found[name] = target
            continue
        key = f"target.{written_key(name)}"
        place = str(said[0][0].path)
        problems.append(Problem(where=place, key=key, what="names no store", accepted="dsn or service"))
    if problems:
        raise ConfigError(problems)
    return found


def _merged(name: str, said: Sequence[tuple[FileValues, TargetValues]]) -> Target | None:
    def each(pick: Callable[[TargetValues], T | None]) -> list[Sourced[T] | None]:
        heading = f"[target.{written_key(name)}]"
        return [said_by(Layer.TARGET, f"{values.path} {heading}", pick(target)) for values, target in said]

    def strongest(pick: Callable[[TargetValues], T | None]) -> Sourced[T] | None:
        return next((sourced for sourced in each(pick) if sourced is not None), None)

    location = strongest(lambda target: target.location)
    if location is None:
        return None
    return Target(
        location=location,
        write=first(each(lambda target: target.write), default=False),
        colour=first(each(lambda target: target.colour), default="none"),
        theme=strongest(lambda target: target.theme),
        interval=strongest(lambda target: target.interval),
    )


def chosen_target(
    named: Sourced[str] | None, files: Sequence[FileValues], targets: Mapping[str, object], *, use_default: bool
) -> Sourced[str | None]:
    """Return the name of the target in effect, or None.

    `named` is what flag or environment want; without it the files' default counts, where `use_default` holds: where
    nothing stronger names a store. Raises ConfigError for a name that is no target's, even of an unused default.
    """
    defaults = [
        Sourced(values.default_target, values.layer, str(values.path))
        for values in files
        if values.default_target is not None
    ]
    wrong = [_no_target(default, targets, "default_target") for default in defaults if default.value not in targets]
    if named is not None and named.value not in targets:
        wrong.insert(0, _no_target(named, targets))
    if wrong:
        raise ConfigError(wrong)
    if named is None and defaults and use_default:
        named = defaults[0]
    return named or Sourced(None, Layer.DEFAULT, "default")


def _no_target(named: Sourced[str], targets: Mapping[str, object], key: str = "") -> Problem:
    meant = nearest(named.value, targets)
    return Problem(
        where=named.place,
        key=key,
        what=f"is {shown_value(named.value)}",
        accepted=", ".join(map(shown_value, targets)) or "the name of a target, and the configuration has none",
        meant=shown_value(meant) if meant else "",
    )
