"""The configuration files: where they are, and their bytes turned into a TOML table.

Owns what may be wrong with a file as such: not there, not readable, not UTF-8, not TOML. Refuses to own what its keys
mean (`etlwatch.config.schema`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from etlwatch.config.errors import ConfigError, Problem
from tracking_core.config import home_directory
from tracking_core.dataclass import dataclass
from tracking_core.redaction import without_secrets

__all__ = ["SYSTEM_FILE", "Layer", "RawFile", "config_paths", "read_raw"]

SYSTEM_FILE: Final = Path("/etc/etlwatch/config.toml")
USER_VARIABLE: Final = "ETLWATCH_CONFIG"
SYSTEM_VARIABLE: Final = "ETLWATCH_SYSTEM_CONFIG"

_PLACE: Final = r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$"


class Layer(StrEnum):
    """Where a value may come from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    TARGET = "target"
    USER = "user"
    SYSTEM = "system"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFile:
    """A file that was read."""

    path: Path
    layer: Layer
    table: Mapping[str, Any]
    mode: int
    """Its permission bits."""

    @property
    def others_may_read(self) -> bool:
        """Whether anybody but its owner may read it."""
        return bool(self.mode & (stat.S_IRGRP | stat.S_IROTH))


def config_paths(environ: Mapping[str, str]) -> dict[Layer, tuple[Path, bool]]:
    """Return where the user's file and the system's are, strongest first, and whether each has to be there.

    $ETLWATCH_CONFIG and $ETLWATCH_SYSTEM_CONFIG name other files in their places, which then have to be there.
    """
    given = environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification has relative paths ignored.
    home = Path(given) if given.startswith("/") else home_directory(environ) / ".config"
    standard = {
        Layer.USER: (USER_VARIABLE, home / "etlwatch" / "config.toml"),
        Layer.SYSTEM: (SYSTEM_VARIABLE, SYSTEM_FILE),
    }
    named = {layer: environ.get(variable, "") for layer, (variable, _) in standard.items()}
    return {
        layer: (Path.cwd() / named[layer], True) if named[layer] else (path, False)
        for layer, (_, path) in standard.items()
    }


def read_raw(path: Path, layer: Layer, *, must_exist: bool = False) -> RawFile | None:
    """Read a file; None when there is none and none has to be. Raises ConfigError for one that cannot be used."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        if not must_exist:
            return None
        raise _unusable(path, "is not there") from None
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror or type(error).__name__}") from None
    return RawFile(path=path, layer=layer, table=parse(data, path), mode=mode)


def parse(data: bytes, path: Path) -> Mapping[str, Any]:
    """Return the table that the bytes of a file hold; ConfigError names the line of what is no TOML."""
    try:
        # Editors on other systems begin a file with a byte order mark, which TOML does not know.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unusable(path, f"line {line} is not UTF-8", accepted="a TOML file in UTF-8") from None
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _unusable(path, "is not TOML: it is nested too deeply") from None
    except ValueError as error:
        raise _unusable(path, _not_toml(str(error), text)) from None


def _not_toml(message: str, text: str) -> str:
    message = without_secrets(message)
    place = re.search(_PLACE, message)
    if place is None:
        return f"is not TOML: {message}"
    line = place[1] or str(len(text.splitlines()) or 1)
    column = f", column {place[2]}" if place[2] else ""
    reason = message[: place.start()]
    return f"line {line}{column} is not TOML: {reason[:1].lower()}{reason[1:]}"


def _unusable(path: Path, what: str, *, accepted: str = "") -> ConfigError:
    return ConfigError([Problem(where=str(path), what=what, accepted=accepted)])
