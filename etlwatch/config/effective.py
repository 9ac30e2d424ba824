"""Which value counts: flag > environment > target > user's file > system's file, field by field, each with its source.

Owns precedence and the permission to change things. Refuses to own how a value is checked (`values`, `schema`) and what
is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from etlwatch.analysis.thresholds import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.config.errors import ConfigError, Problem, Unusable, written_key
from etlwatch.config.files import Layer, config_paths, read_raw
from etlwatch.config.schema import DISPLAY, THRESHOLDS, Display, FileValues, read_values
from etlwatch.config.sourced import Sourced, first, said_by
from etlwatch.config.targets import Target, chosen_target, merged_targets
from etlwatch.config.values import LOCAL, from_text, text
from tracking_core.config import StoreLocation, resolve
from tracking_core.dataclass import dataclass

__all__ = ["VARIABLES", "Effective", "Flags", "chosen_keys", "effective", "hidden_file", "load", "problems_of"]

T = TypeVar("T")

TARGET_VARIABLE: Final = "ETLWATCH_TARGET"
STORE_VARIABLE: Final = "TRACKING_DSN"
VARIABLES: Final[Mapping[str, str]] = {name: f"ETLWATCH_{name.upper()}" for name in DISPLAY}
WRITTEN_WITHIN_S: Final = 86_400.0
"""A file that nobody has written to for longer is not one that jobs record into."""

DEFAULTS: Final = Display(theme="auto", ascii=False, mouse=True, interval=1.0, window="1h", zone=LOCAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line says; None where it says nothing."""

    dsn: str | None = None
    target: str | None = None
    write: bool | None = None
    theme: str | None = None
    ascii: bool | None = None
    mouse: bool | None = None
    interval: float | None = None

    def display(self, name: str) -> Sourced[Any] | None:
        """Return what a flag says of a display setting."""
        value = getattr(self, name, None)
        return said_by(Layer.FLAG, f"--no-{name}" if value is False else f"--{name}", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What holds for this call of the program."""

    target: Sourced[str | None]
    """The name of the target in effect; None where the store is named otherwise, or by nobody."""

    location: Sourced[StoreLocation]
    write: Sourced[bool]
    colour: Sourced[str]
    theme: Sourced[str]
    ascii: Sourced[bool]
    mouse: Sourced[bool]
    interval: Sourced[float]
    window: Sourced[str]
    zone: Sourced[str]
    """The name of a time zone, `local` for this machine's."""

    thresholds: Mapping[str, Sourced[float]]
    keys: Mapping[str, Sourced[tuple[str, ...]]]
    """Textual's names of keys by command, for those commands that a file gives others."""

    targets: Mapping[str, Target]
    """All there are, by name."""

    @property
    def limits(self) -> Thresholds:
        """The thresholds as the model takes them."""
        values: dict[str, Any] = {name: sourced.value for name, sourced in self.thresholds.items()}
        return Thresholds(**values)

    @property
    def refusal(self) -> str:
        """Why a command may change nothing in the store; '' where it may.

        A store that no target names is refused only to --read-only: who names it for one command means it.
        """
        if self.write.value or (self.target.value is None and self.write.layer is not Layer.FLAG):
            return ""
        if self.target.value is None or self.write.layer is Layer.FLAG:
            return self.write_reason
        name = written_key(self.target.value)
        return f"the target {name} is read-only: give --write, or say write = true in [target.{name}]"

    @property
    def write_reason(self) -> str:
        """Why the dashboard may change things, or in few words what it would take: it needs the word for any store."""
        by_flag = self.write.layer is Layer.FLAG
        if self.write.value:
            return "--write was given" if by_flag else f"the target {self.target.value} says so"
        if by_flag:
            return "--read-only was given"
        if self.target.value is None:
            return "read-only: start with --write"
        return f"read-only: needs --write, or write = true for {written_key(self.target.value)}"


def load(environ: Mapping[str, str]) -> tuple[FileValues, ...]:
    """Read the files there are, the user's first; ConfigError holds every problem of both."""
    found: list[FileValues] = []
    problems: list[Problem] = []
    for layer, (path, must_exist) in config_paths(environ).items():
        try:
            raw = read_raw(path, layer, must_exist=must_exist)
            if raw is not None:
                found.append(read_values(raw))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def effective(flags: Flags, environ: Mapping[str, str], files: Sequence[FileValues] = ()) -> Effective:
    """Return what holds; `files` strongest first.

    Raises ConfigError for what the environment says wrongly and for targets that are none, and ConfigurationError (of
    `tracking_core`) for a --dsn or $TRACKING_DSN that names no store.
    """
    said = _Environment(environ)
    targets = merged_targets(files)
    name = _target_name(flags, said, files, targets)
    target = targets[name.value] if name.value is not None else None

    def display(field: str) -> Sourced[Any]:
        places = [flags.display(field), said.display(field), getattr(target, field, None)]
        places += [said_by(values.layer, str(values.path), getattr(values.display, field)) for values in files]
        return first([said.above_all(field), *places], default=getattr(DEFAULTS, field))

    fields = {name: display(name) for name in DISPLAY}
    said.raise_problems()
    word = said_by(Layer.FLAG, "--write" if flags.write else "--read-only", flags.write)
    return Effective(
        target=name,
        location=target.location if target is not None else _location(flags, environ),
        write=first([word, target.write if target is not None else None], default=False),
        colour=target.colour if target is not None else first([], default="none"),
        thresholds=_thresholds(files),
        keys=chosen_keys(files),
        targets=targets,
        **fields,
    )


def problems_of(environ: Mapping[str, str], files: Sequence[FileValues], known: Sequence[Problem]) -> list[Problem]:
    """Return what is wrong between files and in the environment, beside the problems of the files that are `known`.

    Nothing is said that follows from a known problem: a target whose dsn is wrong names no store.
    """
    said = _Environment(environ)
    named = said.target()
    names = {name for values in files for name in values.targets}
    found: list[Problem] = []
    try:
        merged_targets(files)
    except ConfigError as error:
        wrong = {problem.key for problem in known}
        for problem in error.problems:
            mistyped = {f"{problem.key}.dsn", f"{problem.key}.service"} & wrong
            found += [] if mistyped else [problem]
    try:
        chosen_target(named, files, dict.fromkeys(sorted(names)), use_default=True)
    except ConfigError as error:
        found += error.problems
    for field in DISPLAY:
        said.display(field)
    try:
        said.raise_problems()
    except ConfigError as error:
        found += error.problems
    return found


def hidden_file(found: Effective, environ: Mapping[str, str], *, now_s: float) -> Path | None:
    """Return the embedded file, if jobs wrote to it within a day while the default target names another store."""
    if found.target.value is None or found.target.layer not in (Layer.USER, Layer.SYSTEM):
        return None
    path = resolve(None, environ={name: value for name, value in environ.items() if name != STORE_VARIABLE}).path
    if path is None or path == found.location.value.path:
        return None
    # What was written last may still stand beside the file.
    written = 0.0
    for each in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            written = max(written, each.stat().st_mtime)
    return path if now_s - written < WRITTEN_WITHIN_S else None


class _Environment:
    """The environment's word, checked like a file's."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[Problem] = []

    @property
    def names_store(self) -> bool:
        return bool(self._environ.get(STORE_VARIABLE, "").strip())

    def target(self) -> Sourced[str] | None:
        return self._read(TARGET_VARIABLE, text)

    def above_all(self, field: str) -> Sourced[Any] | None:
        """Return what beats even a flag: a terminal without colours."""
        return said_by(Layer.ENVIRONMENT, "$NO_COLOR", "mono") if field == "theme" and self._has("NO_COLOR") else None

    def display(self, field: str) -> Sourced[Any] | None:
        own = self._read(VARIABLES[field], DISPLAY[field])
        if own is None and field == "zone" and self._has("TZ"):
            # The C library knows forms of it that no table of zones has: its meaning is left to it.
            return Sourced(LOCAL, Layer.ENVIRONMENT, "$TZ")
        return own

    def _has(self, variable: str) -> bool:
        return bool(self._environ.get(variable))

    def _read(self, variable: str, check: Callable[[object], T]) -> Sourced[T] | None:
        given = self._environ.get(variable, "").strip()
        if not given:
            return None
        try:
            return Sourced(from_text(given, check), Layer.ENVIRONMENT, f"${variable}")
        except Unusable as error:
            self._problems.append(error.problem(given, where=f"${variable}"))
            return None

    def raise_problems(self) -> None:
        if self._problems:
            raise ConfigError(self._problems)


def _target_name(
    flags: Flags, said: _Environment, files: Sequence[FileValues], targets: Mapping[str, Target]
) -> Sourced[str | None]:
    if flags.dsn is not None and flags.target is not None:
        raise ConfigError([Problem(where="--dsn and --target", what="both name a store", accepted="one of the two")])
    named = said_by(Layer.FLAG, "--target", flags.target)
    if named is None and flags.dsn is None:
        named = said.target()
    return chosen_target(named, files, targets, use_default=flags.dsn is None and not said.names_store)


def _location(flags: Flags, environ: Mapping[str, str]) -> Sourced[StoreLocation]:
    place = resolve(flags.dsn, environ=environ)
    if flags.dsn is not None:
        return Sourced(place, Layer.FLAG, "--dsn")
    if place.named:
        return Sourced(place, Layer.ENVIRONMENT, f"${STORE_VARIABLE}")
    return first([], default=place)


def _thresholds(files: Sequence[FileValues]) -> dict[str, Sourced[float]]:
    return {
        name: first(
            [said_by(values.layer, str(values.path), values.thresholds.get(name)) for values in files],
            default=getattr(DEFAULT_THRESHOLDS, name),
        )
        for name in THRESHOLDS
    }


def chosen_keys(files: Sequence[FileValues]) -> dict[str, Sourced[tuple[str, ...]]]:
    """Return the keys of commands, each from the strongest file that gives them."""
    found: dict[str, Sourced[tuple[str, ...]]] = {}
    for values in reversed(files):
        found |= {name: Sourced(keys, values.layer, str(values.path)) for name, keys in values.keys.items()}
    return dict(sorted(found.items()))
