"""What holds for one call: every option by its source, and the dashboard's settings, which follow from that.

Precedence: flag > environment > target > user's file > system's file. A target is not a permission: whoever can write
the user's file can change it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from etlwatch.analysis.states import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.config.files import FileValues, Layer
from etlwatch.config.options import (
    ASCII,
    COLOUR,
    DSN,
    INTERVAL,
    LOCAL,
    LOW_BANDWIDTH,
    LOW_BANDWIDTH_INTERVAL_S,
    MOUSE,
    OPTIONS,
    TARGET,
    THEME,
    WINDOW,
    WRITE,
    ZONE,
    Check,
    ConfigError,
    InvalidValue,
    Option,
    Problem,
    from_text,
    nearest,
    shown_value,
    written_key,
    zone_called,
)
from tracking_core.config import StoreLocation, resolve
from tracking_core.conninfo import SECRET_KEYWORDS, write_pairs
from tracking_core.dataclass import dataclass, field

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

WRITTEN_WITHIN_S: Final = 86_400.0
"""A file without writes for longer is not one that jobs record into."""

Flags = dict[str, Any]
"""The options given on the command line, by name."""

Keymap = Mapping[str, tuple[str, ...]]
"""Textual's names of keys by command; empty for no key."""

INTERVALS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between polls that `+` and `-` step through."""

READ_ONLY: Final = "read-only: start with --write"
"""Why nothing may be changed by default."""


@dataclass(frozen=True, slots=True)
class Sourced(Generic[T_co]):
    """A value and where it was set."""

    value: T_co
    layer: Layer
    place: str
    """A flag, `$VARIABLE`, a file (with `[target.NAME]` for a target's value), or `default`."""


def first(candidates: Sequence[Sourced[T] | None], *, default: T) -> Sourced[T]:
    """Return the first candidate that is set, else the default."""
    found = next((sourced for sourced in candidates if sourced is not None), None)
    return found if found is not None else Sourced(default, Layer.DEFAULT, "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """The configuration of this call of the program."""

    target: Sourced[str | None]
    """The name of the target in effect; None for a store that is not named by a target."""

    location: Sourced[StoreLocation]
    options: Mapping[str, Sourced[Any]]
    """Every option of OPTIONS, by name."""

    keys: Mapping[str, Sourced[tuple[str, ...]]]
    """Textual's names of keys by command, for commands with other keys than declared."""

    targets: Mapping[str, Mapping[str, Sourced[Any]]]
    """All targets by name, each with its `location`, its `write` and `colour`, and the other options that it sets."""

    def __getitem__(self, option: Option[T]) -> Sourced[T]:
        """Return the value of an option."""
        return self.options[option.name]

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds of health."""
        return Thresholds(**{option.name: self[option].value for option in OPTIONS if "thresholds" in option.tables})

    @property
    def refusal(self) -> str:
        """Why a command may not change the store; '' where it may.

        A store that is not named by a target is refused only with --read-only: naming it for one command is intent.
        """
        write = self[WRITE]
        if write.value or (self.target.value is None and write.layer is not Layer.FLAG):
            return ""
        if self.target.value is None or write.layer is Layer.FLAG:
            return self.write_reason
        name = written_key(self.target.value)
        return f"the target {name} is read-only: use --write, or set write = true in [target.{name}]"

    @property
    def write_reason(self) -> str:
        """Why the dashboard may change the store, or in a few words what allows it."""
        write = self[WRITE]
        if write.layer is Layer.FLAG:
            return f"{write.place} was given"
        if self.target.value is None:
            return READ_ONLY
        if write.value:
            return f"the target {self.target.value} has write = true"
        return f"read-only: needs --write, or write = true for {written_key(self.target.value)}"


def effective(flags: Flags, environ: Mapping[str, str], files: Sequence[FileValues] = ()) -> Effective:
    """Return the configuration in effect; `files` highest precedence first.

    Raises ConfigError for problems of the environment and unknown targets, and ConfigurationError (of `tracking_core`)
    for a --dsn or $TRACKING_DSN that names no store.
    """
    environment = _Environment(environ)
    targets = merged_targets(files)
    name = _target_name(flags, environment, files, targets)
    target = targets[name.value] if name.value is not None else {}

    def value_of(option: Option[Any]) -> Sourced[Any]:
        given = flags.get(option.name)
        candidates = [
            environment.override(option),
            None if given is None else Sourced(given, Layer.FLAG, option.flag_for(given)),
            environment.option(option),
            target.get(option.name),
            *_from_files(files, lambda values: values.options.get(option.name)),
        ]
        return first(candidates, default=option.default)

    options = {option.name: value_of(option) for option in OPTIONS}
    environment.raise_problems()
    return Effective(
        target=name,
        location=target.get("location") or _location(flags, environ),
        options=options,
        keys=chosen_keys(files),
        targets=targets,
    )


def _from_files(files: Sequence[FileValues], pick: Callable[[FileValues], T | None]) -> list[Sourced[T]]:
    found = [(values, pick(values)) for values in files]
    return [Sourced(value, values.layer, str(values.path)) for values, value in found if value is not None]


def chosen_keys(files: Sequence[FileValues]) -> dict[str, Sourced[tuple[str, ...]]]:
    """Return the keys of commands, each from the first file that sets it."""
    found: dict[str, Sourced[tuple[str, ...]]] = {}
    for values in reversed(files):
        found |= {name: Sourced(keys, values.layer, str(values.path)) for name, keys in values.keys.items()}
    return dict(sorted(found.items()))


def merged_targets(files: Sequence[FileValues]) -> dict[str, dict[str, Sourced[Any]]]:
    """Return every target, each option from the first file that sets it; ConfigError for one without a store."""
    found: dict[str, dict[str, Sourced[Any]]] = {}
    problems: list[Problem] = []
    for name in sorted({name for values in files for name in values.targets}):
        heading = f"[target.{written_key(name)}]"
        files_with_it = [values for values in files if name in values.targets]
        target: dict[str, Sourced[Any]] = {each.name: first([], default=each.default) for each in (WRITE, COLOUR)}
        for values in reversed(files_with_it):
            place = f"{values.path} {heading}"
            target |= {key: Sourced(value, Layer.TARGET, place) for key, value in values.targets[name].items()}
        if "location" in target:
            found[name] = {"location": target.pop("location"), **target}
        else:
            where, key = str(files_with_it[0].path), f"target.{written_key(name)}"
            problems.append(Problem(where=where, key=key, what="names no store", accepted="dsn or service"))
    if problems:
        raise ConfigError(problems)
    return found


def _target_name(
    flags: Flags, environment: _Environment, files: Sequence[FileValues], targets: Mapping[str, object]
) -> Sourced[str | None]:
    by_dsn, name = flags.get("dsn") is not None, flags.get("target")
    if by_dsn and name is not None:
        raise ConfigError([Problem(where="--dsn and --target", what="both name a store", accepted="one of the two")])
    named = Sourced(name, Layer.FLAG, "--target") if name is not None else None
    if named is None and not by_dsn:
        named = environment.option(TARGET)
    return chosen_target(named, files, targets, use_default=not (by_dsn or environment.names_store))


def chosen_target(
    named: Sourced[str | None] | None, files: Sequence[FileValues], targets: Collection[str], *, use_default: bool
) -> Sourced[str | None]:
    """Return the name of the target in effect, or None.

    `named` is set by a flag or the environment; else the files' default_target counts if `use_default`, which is False
    where something stronger names a store. Raises ConfigError for an unknown target, even of an unused default.
    """
    defaults = _from_files(files, lambda values: values.default_target)
    problems = [_unknown_target(each, targets, "default_target") for each in defaults if each.value not in targets]
    if named is not None and named.value not in targets:
        problems.insert(0, _unknown_target(named, targets))
    if problems:
        raise ConfigError(problems)
    return first([named, *(defaults if use_default else ())], default=None)


def _unknown_target(named: Sourced[str | None], targets: Collection[str], key: str = "") -> Problem:
    name = named.value or ""
    meant = nearest(name, targets)
    return Problem(
        where=named.place,
        key=key,
        what=f"is {shown_value(name)}",
        accepted=", ".join(map(shown_value, targets)) or "the name of a target, and the configuration has none",
        meant=shown_value(meant) if meant else "",
    )


def _location(flags: Flags, environ: Mapping[str, str]) -> Sourced[StoreLocation]:
    given = flags.get("dsn")
    location = resolve(given, environ=environ)
    if given is not None:
        return Sourced(location, Layer.FLAG, "--dsn")
    if location.named:
        return Sourced(location, Layer.ENVIRONMENT, f"${DSN.variable}")
    return first([], default=location)


class _Environment:
    """The values of environment variables, checked like those of a file."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[Problem] = []

    @property
    def names_store(self) -> bool:
        return bool(self._environ.get(DSN.variable, "").strip())

    def override(self, option: Option[Any]) -> Sourced[Any] | None:
        """Return a value that precedes even a flag: `mono` with $NO_COLOR."""
        return Sourced("mono", Layer.ENVIRONMENT, "$NO_COLOR") if option is THEME and self._has("NO_COLOR") else None

    def option(self, option: Option[T]) -> Sourced[T] | None:
        """Return the value of an option's variable, None where it is not set or not valid."""
        given = self._environ.get(option.variable, "").strip() if option.variable else ""
        if given:
            return self._checked(given, option.variable, option.check)
        # $TZ may have forms that are not in the zone database: the C library interprets it.
        is_local = option is ZONE and self._has("TZ")
        return Sourced(LOCAL, Layer.ENVIRONMENT, "$TZ") if is_local else None  # type: ignore[arg-type]

    def _has(self, variable: str) -> bool:
        return bool(self._environ.get(variable))

    def _checked(self, given: str, variable: str, check: Check[T]) -> Sourced[T] | None:
        try:
            return Sourced(from_text(given, check), Layer.ENVIRONMENT, f"${variable}")
        except InvalidValue as error:
            self._problems.append(error.problem(given, where=f"${variable}"))
            return None

    def raise_problems(self) -> None:
        if self._problems:
            raise ConfigError(self._problems)


def problems_of(environ: Mapping[str, str], files: Sequence[FileValues], known: Sequence[Problem]) -> list[Problem]:
    """Return the problems between files and of the environment, without those that follow from `known` ones.

    `known` are the problems of the files: a target whose dsn is invalid names no store.
    """
    environment = _Environment(environ)
    named = environment.option(TARGET)
    names = sorted({name for values in files for name in values.targets})
    found: list[Problem] = []
    try:
        merged_targets(files)
    except ConfigError as error:
        invalid = {problem.key for problem in known}
        found += [
            problem for problem in error.problems if not {f"{problem.key}.dsn", f"{problem.key}.service"} & invalid
        ]
    try:
        chosen_target(named, files, names, use_default=True)
    except ConfigError as error:
        found += error.problems
    for option in OPTIONS:
        environment.option(option)
    try:
        environment.raise_problems()
    except ConfigError as error:
        found += error.problems
    return found


def hidden_file(found: Effective, environ: Mapping[str, str], *, now_s: float) -> Path | None:
    """Return the embedded file, if jobs wrote to it within a day while the default target names another store."""
    if found.target.value is None or found.target.layer not in (Layer.USER, Layer.SYSTEM):
        return None
    path = resolve(None, environ={name: value for name, value in environ.items() if name != DSN.variable}).path
    if path is None or path == found.location.value.path:
        return None
    # The latest writes may be in the -wal file only.
    written = 0.0
    for each in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            written = max(written, each.stat().st_mtime)
    return path if now_s - written < WRITTEN_WITHIN_S else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the dashboard looks and polls."""

    interval: float = INTERVAL.default
    """Seconds between the end of a poll and the next; at least 0.1."""

    theme: str = THEME.default
    """`auto`, `dark`, `light`, `ansi` or `mono`."""

    ascii_only: bool = ASCII.default
    mouse: bool = MOUSE.default
    low_bandwidth: bool = LOW_BANDWIDTH.default
    """Whether the list of runs has no charts; `z` shows them."""

    label: str = ""
    """The store's name in line 1; '' for its own label."""

    store_option: tuple[str, ...] = ()
    """Flags that name this store in a command line: `--dsn DSN`, `-t NAME`, or none for the default; no password."""

    colour: str = COLOUR.default
    """Of that name, to distinguish stores: `red`, `amber`, `blue` or `none`."""

    demo: bool = False
    """Whether the demo's jobs record into the store."""

    window: str = WINDOW.default
    """The first time range of the charts: the name of a window of `etlwatch.analysis.series`."""

    zone: tzinfo | None = None
    """The zone of displayed times; None is the local one."""

    thresholds: Thresholds = DEFAULT_THRESHOLDS
    """The limits of health states."""

    keymap: Keymap = field(default_factory=dict)
    """The commands with other keys than declared."""

    as_of: datetime | None = None
    """The time of a store that does not change, such as a bundle; None for a live one."""

    first_run: int | None = None
    """The run whose screen is opened first."""

    notices: tuple[str, ...] = ()
    """Messages that are shown once the dashboard is open."""

    may_write: bool = False
    """Whether this dashboard may turn tracking on and off, clean up and close runs."""

    write_reason: str = READ_ONLY
    """The reason that is shown where it may not."""

    def __post_init__(self) -> None:
        if not self.interval >= 0.1:
            raise ValueError(f"the interval is at least 0.1 seconds; given: {self.interval}")


def settings_of(
    config: Effective, keymap: Keymap, *, ascii_only: bool = False, notices: tuple[str, ...] = ()
) -> Settings:
    """Return the dashboard's settings; `ascii_only` where the terminal accepts nothing else."""
    low_bandwidth, interval = config[LOW_BANDWIDTH].value, config[INTERVAL]
    slow = low_bandwidth and interval.layer is Layer.DEFAULT
    return Settings(
        interval=LOW_BANDWIDTH_INTERVAL_S if slow else interval.value,
        low_bandwidth=low_bandwidth,
        theme=config[THEME].value,
        ascii_only=config[ASCII].value or ascii_only,
        mouse=config[MOUSE].value,
        label=config.target.value or "",
        store_option=_store_flags(config),
        colour=config[COLOUR].value,
        window=config[WINDOW].value,
        zone=zone_called(config[ZONE].value),
        thresholds=config.thresholds,
        keymap=keymap,
        notices=notices,
        may_write=config[WRITE].value,
        write_reason=config.write_reason,
    )


def _store_flags(config: Effective) -> tuple[str, ...]:
    """Return the flags that name this store in a command line to copy, without a password."""
    if config.target.value is not None:
        return ("--target", config.target.value)
    if config.location.layer is not Layer.FLAG:
        return ()
    location = config.location.value
    if location.path is not None:
        return ("--dsn", location.dsn)
    shown = {keyword: value for keyword, value in location.keywords.items() if keyword not in SECRET_KEYWORDS}
    return ("--dsn", write_pairs(shown) or "postgresql://")
