"""Where runs are recorded and how: a `cfg` and the environment turned into checked values.

Opens nothing, makes no directory but on request, imports no driver. A password stands in `StoreLocation.keywords` and
in what `dsn` returns, and in no repr, label or message.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from tracking_core import conninfo
from tracking_core.dataclass import dataclass, field
from tracking_core.errors import ConfigurationError
from tracking_core.identity import ID_LENGTH, MAX_RUN_ID, parse_run_id
from tracking_core.process.interrupts import suppress_faults
from tracking_core.redaction import use_own_patterns

ACCEPTED = (
    "accepted: a DSN (postgresql://user@host/dbname, 'host=… dbname=…', 'service=NAME', sqlite:///relative.db, "
    "sqlite:////absolute.db), a mapping of libpq keywords or {'dsn': DSN}, an object with the attributes db_host, "
    "db_port, db_name, db_user and db_password, or None for $TRACKING_DSN or else the embedded file"
)
MIN_DEADLINE = 0.05
"""Seconds; below it not even a healthy local server would be given its chance."""

MAX_DEADLINE = 3600.0

_SQLITE = "sqlite:"
_SCHEME = r"([A-Za-z][A-Za-z0-9+.-]*)://"
_ATTRIBUTES = {"db_host": "host", "db_port": "port", "db_name": "dbname", "db_user": "user", "db_password": "password"}
_OFF = frozenset({"0", "false", "off", "no"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLocation:
    """Where a store is: a PostgreSQL database or a SQLite file."""

    kind: Literal["postgres", "sqlite"]
    label: str
    """For screens, logs and messages; without credentials."""

    keywords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """libpq keywords, the password among them; empty for SQLite. What is left out, libpq's own variables fill in."""

    path: Path | None = None
    """The SQLite file, absolute; None for PostgreSQL."""

    named: bool = True
    """Whether a cfg or $TRACKING_DSN named this place; False for the embedded default."""

    @property
    def dsn(self) -> str:
        """Return a DSN to hand on to a process or a driver; it holds the password, so never show or log it."""
        if self.path is not None:
            return f"sqlite:///{self.path}"
        return conninfo.write_pairs(self.keywords) or "postgresql://"

    def __str__(self) -> str:
        """Return the label."""
        return self.label


def resolve(cfg: object = None, *, environ: Mapping[str, str] | None = None) -> StoreLocation:
    """Return the place that a `cfg` means; a StoreLocation is returned as it is.

    None means $TRACKING_DSN, else the embedded file. Raises ConfigurationError, which names what was given by its type,
    never its value, and what is accepted.
    """
    environ = os.environ if environ is None else environ
    if isinstance(cfg, StoreLocation):
        return cfg
    if cfg is None:
        dsn = environ.get("TRACKING_DSN", "").strip()
        if dsn:
            return _from_dsn(dsn, environ, given="$TRACKING_DSN")
        return _sqlite(_xdg(environ, "XDG_DATA_HOME", ".local/share") / "etlwatch" / "tracking.db", named=False)
    if isinstance(cfg, str):
        return _from_dsn(cfg.strip(), environ, given="the cfg string")
    if isinstance(cfg, Mapping):
        return _from_mapping(cast("Mapping[object, object]", cfg), environ)
    return _from_attributes(cfg, environ)


def _from_dsn(text: str, environ: Mapping[str, str], *, given: str) -> StoreLocation:
    if text.startswith(_SQLITE):
        return _from_sqlite(text, environ, given=given)
    try:
        if text.startswith(conninfo.URI_SCHEMES):
            return _postgres(conninfo.parse_uri(text), environ)
        scheme = re.match(_SCHEME, text)
        if scheme is not None:
            raise ValueError(f"the scheme {scheme[1]}:// is not one of postgresql://, postgres://, sqlite:///")  # noqa: TRY301
        if "=" not in text:
            mend = "a SQLite file is named sqlite:///relative.db or sqlite:////absolute.db"
            raise ValueError(f"it is neither a DSN nor a keyword=value list; {mend}" if text else "it is empty")  # noqa: TRY301
        return _postgres(conninfo.parse_pairs(text), environ)
    except ValueError as error:
        raise ConfigurationError(f"{given} cannot be used: {error}; {ACCEPTED}") from None


def _postgres(keywords: Mapping[str, str], environ: Mapping[str, str]) -> StoreLocation:
    expanded = conninfo.expand_dbname(conninfo.with_dbname(keywords))
    conninfo.check_keywords(expanded)
    return StoreLocation(kind="postgres", label=conninfo.describe(expanded, environ), keywords=expanded)


def _from_sqlite(text: str, environ: Mapping[str, str], *, given: str) -> StoreLocation:
    problem = None
    name = text.removeprefix("sqlite:///")
    if name == text:
        problem = "sqlite needs three slashes before a relative path and four before an absolute one"
    elif not name or name.endswith("/"):
        problem = "it names no file"
    elif name == ":memory:":
        problem = "a database in memory would be another one for each connection"
    elif "?" in name or "\0" in name:
        problem = "options and NUL characters are not accepted in a file name"
    if problem is not None:
        raise ConfigurationError(f"{given} cannot be used: {problem}; {ACCEPTED}")
    path = home_directory(environ) / name[2:] if name.startswith("~/") else Path(name)
    return _sqlite(Path(os.path.normpath(Path.cwd() / path)), named=True)


def _sqlite(path: Path, *, named: bool) -> StoreLocation:
    return StoreLocation(kind="sqlite", label=str(path), path=path, named=named)


def _from_mapping(cfg: Mapping[object, object], environ: Mapping[str, str]) -> StoreLocation:
    if not cfg:
        raise ConfigurationError(f"cfg is an empty {type(cfg).__name__}: it names no store; {ACCEPTED}")
    keywords: dict[str, str] = {}
    for keyword, value in cfg.items():
        if not isinstance(keyword, str) or (keyword not in conninfo.KEYWORDS and keyword not in {"dsn", "database"}):
            known = ", ".join(str(key) for key in cfg if isinstance(key, str) and key.isidentifier())
            raise ConfigurationError(
                f"cfg is a {type(cfg).__name__} with the keys {known}, not all libpq's; {ACCEPTED}"
            )
        if value is not None:
            keywords[keyword] = _text(value, f"cfg[{keyword!r}]")
    dsn = keywords.pop("dsn", None)
    if dsn is None:
        return _checked(keywords, environ, given=f"the cfg {type(cfg).__name__}")
    location = _from_dsn(dsn.strip(), environ, given="cfg['dsn']")
    if not keywords:
        return location
    if location.kind == "sqlite":
        raise ConfigurationError(f"cfg['dsn'] names a SQLite file, which takes no further keywords; {ACCEPTED}")
    if "database" in keywords:
        keywords.setdefault("dbname", keywords["database"])
    return _checked({**location.keywords, **keywords}, environ, given=f"the cfg {type(cfg).__name__}")


def _from_attributes(cfg: object, environ: Mapping[str, str]) -> StoreLocation:
    values = {attribute: getattr(cfg, attribute, None) for attribute in _ATTRIBUTES}
    keywords = {
        _ATTRIBUTES[attribute]: _text(value, f"cfg.{attribute}")
        for attribute, value in values.items()
        if value is not None and value != ""
    }
    if not keywords:
        raise ConfigurationError(f"cfg is of type {type(cfg).__qualname__}, which names no store; {ACCEPTED}")
    return _checked(keywords, environ, given=f"the cfg of type {type(cfg).__qualname__}")


def _checked(keywords: Mapping[str, str], environ: Mapping[str, str], *, given: str) -> StoreLocation:
    try:
        return _postgres(keywords, environ)
    except ValueError as error:
        raise ConfigurationError(f"{given} cannot be used: {error}; {ACCEPTED}") from None


def _text(value: object, given: str) -> str:
    # Settings libraries wrap a password so that it is not printed by accident; this is the purpose it was kept for.
    reveal = getattr(value, "get_secret_value", None)
    if callable(reveal):
        value = reveal()
    if isinstance(value, bool) or not isinstance(value, str | int | os.PathLike):
        raise ConfigurationError(f"{given} is of type {type(value).__name__}, not text or a number; {ACCEPTED}")
    text = str(os.fspath(value)) if isinstance(value, os.PathLike) else str(value)
    if "\0" in text:
        raise ConfigurationError(f"{given} holds a NUL character; {ACCEPTED}")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a tracker delivers: its keywords, overruled by the environment.

    The environment wins over the keywords because its purpose is to change a job without touching its code.
    """

    delivery: Literal["immediate", "buffered"]
    overload: Literal["aggregate", "wait"]
    deadline: float
    """Seconds that connecting and each operation may take in all."""

    heartbeat_interval: float
    """Seconds between the signs of life of a running run."""

    record_command: Literal["names", "full"]
    """What of the command line is recorded: see identity.py."""

    strict: bool
    """Whether a wrong argument of a recording call raises instead of being stored as 0 or empty."""


def settings(
    *,
    delivery: str,
    overload: str,
    deadline: float,
    heartbeat_interval: float,
    record_command: str = "names",
    strict: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Return the checked settings of a tracker; $TRACKING_DELIVERY, _DEADLINE, _COMMAND and _STRICT overrule them.

    Raises ConfigurationError (a ValueError) naming the keyword or the variable, its value and what is accepted, and
    TypeError for a number that is none. It is raised when the tracker is made, before there is anything to record: a
    misspelt switch is reported at once, not when a run is missing.
    """
    environ = os.environ if environ is None else environ
    use_own_patterns(environ)
    return Settings(
        delivery=_choice("delivery", delivery, ("immediate", "buffered"), environ, "TRACKING_DELIVERY"),
        overload=_choice("overload", overload, ("aggregate", "wait"), environ),
        deadline=_seconds("deadline", deadline, environ, "TRACKING_DEADLINE"),
        heartbeat_interval=_seconds("heartbeat_interval", heartbeat_interval, environ),
        record_command=_choice("record_command", record_command, ("names", "full"), environ, "TRACKING_COMMAND"),
        strict=_truth(environ.get("TRACKING_STRICT", ""), strict),
    )


def _truth(variable: str, otherwise: object) -> bool:
    """Return what $TRACKING_STRICT is set to; ConfigurationError for a word or a keyword that is neither on nor off."""
    word = variable.strip().lower()
    if word in ("1", "true", "on", "yes"):
        return True
    if word in _OFF:
        return False
    if word or not isinstance(otherwise, bool):
        given = f"$TRACKING_STRICT is {variable!r}" if word else f"strict is of type {type(otherwise).__name__}"
        raise ConfigurationError(f"{given}; accepted: True or False, in the environment 1 or 0")
    return otherwise


def _choice(keyword: str, given: str, accepted: tuple[str, ...], environ: Mapping[str, str], variable: str = "") -> Any:
    """Return what a variable is set to, else what a keyword was given; ConfigurationError for what is not accepted."""
    word = environ.get(variable, "").strip().lower()
    name, value = (f"${variable}", word) if word else (keyword, given)
    if value not in accepted:
        raise ConfigurationError(f"{name} is {value!r}; accepted: {' or '.join(map(repr, accepted))}")
    return value


def _seconds(keyword: str, given: object, environ: Mapping[str, str], variable: str = "") -> float:
    text = environ.get(variable, "").strip()
    name, value = (f"${variable}", given) if text else (keyword, given)
    if text:
        try:
            value = float(text)
        except ValueError:
            raise ConfigurationError(f"{name} is {text!r}; accepted: a number of seconds such as 5 or 2.5") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is of type {type(value).__name__}; a number of seconds is needed")
    if not (math.isfinite(value) and MIN_DEADLINE <= value <= MAX_DEADLINE):
        raise ConfigurationError(f"{name} is {value}; accepted: {MIN_DEADLINE:g} to {MAX_DEADLINE:g} seconds")
    return float(value)


def enabled_by(environ: Mapping[str, str]) -> bool:
    """Return whether $TRACKING_ENABLED lets a job record: anything but 0, false, off or no, in whatever case."""
    return environ.get("TRACKING_ENABLED", "").strip().lower() not in _OFF


def job_of(environ: Mapping[str, str]) -> str | None:
    """Return the job's name that $TRACKING_JOB gives to runs whose code names none, or None."""
    return environ.get("TRACKING_JOB", "").strip() or None


def parent_run_of(environ: Mapping[str, str]) -> int | None:
    """Return the run that $TRACKING_RUN names, by number or by its 13 characters: the parent of runs begun here.

    None for anything else: a child process cannot answer for what its parent wrote.
    """
    text = environ.get("TRACKING_RUN", "").strip()
    if text.isascii() and text.isdigit() and len(text) > ID_LENGTH:
        number = int(text)
        return number if 0 < number <= MAX_RUN_ID else None
    try:
        return parse_run_id(text) or None
    except ValueError:
        return None


def spool_directories(environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Return the directories in which a user's own directory for spools is made, best first. Never raises.

    The named one alone, or the user's and the system's temporary one.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("TRACKING_SPOOL_DIR", "").strip()
    if named:
        with suppress_faults(OSError):
            return (Path.cwd() / named,)
        # The working directory was removed: a relative name leads nowhere.
        return (Path(named),) if named.startswith("/") else ()
    return (_xdg(environ, "XDG_STATE_HOME", ".local/state") / "etlwatch" / "spool", _temporary())


def make_private_directory(path: Path) -> Path:
    """Make a directory and its missing parents so that only their owner may enter (0700), and return it.

    One that exists is left as it is. Raises OSError.
    """
    missing = [path] if not path.exists() else []
    missing += [parent for parent in path.parents if not parent.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    return path


def is_trusted(path: Path) -> bool:
    """Return whether a file or directory is this user's or root's, and no directory that everybody may write to.

    So is one that is not there. In a shared directory another user may have made it first.
    """
    with suppress_faults(OSError):
        for found in (path.lstat(), path.stat()):
            everybody_s = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_IWOTH
            if found.st_uid not in (os.geteuid(), 0) or everybody_s:
                return False
    return True


def home_directory(environ: Mapping[str, str]) -> Path:
    """Return the user's home, or a private temporary place for a user without one (as in many containers)."""
    home = environ.get("HOME", "")
    if home.startswith("/"):
        return Path(home)
    with suppress_faults(RuntimeError):
        return Path.home()
    # The user's number is part of its name; it is made at once, so that nobody else makes it later.
    place = _temporary() / f"etlwatch-home-{os.geteuid()}"
    with suppress_faults(OSError):
        place.mkdir(mode=0o700)
    with suppress_faults(OSError):
        found = place.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
            return place
    return Path("/nonexistent")


def _xdg(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    # The XDG specification has relative paths ignored.
    given = environ.get(variable, "")
    return Path(given) if given.startswith("/") else home_directory(environ) / below_home


def _temporary() -> Path:
    # As `tempfile` finds it, without loading a random generator and three compressors for it. There is none where
    # everything is read-only: what is to be written there will not be.
    named = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    places = [Path(name) for name in (*filter(None, named), "/tmp", "/var/tmp", "/usr/tmp")]  # noqa: S108
    usable = (place for place in places if place.is_dir() and os.access(place, os.W_OK | os.X_OK))
    return next(usable, Path("/tmp")).absolute()  # noqa: S108
