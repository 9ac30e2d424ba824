"""The settings of the dashboard, with their defaults, and how they follow from the configuration in effect."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from etlwatch.analysis.states import DEFAULT_THRESHOLDS, Thresholds
from etlwatch.config.effective import Effective
from etlwatch.config.files import Layer
from etlwatch.config.options import ASCII, COLOUR, INTERVAL, MOUSE, THEME, WINDOW, WRITE, ZONE, zone_called
from tracking_core.conninfo import SECRET_KEYWORDS, write_pairs
from tracking_core.dataclass import dataclass, field

Keymap = Mapping[str, tuple[str, ...]]
"""Textual's names of keys by command; empty for no key."""

INTERVALS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between polls that `+` and `-` step through."""

READ_ONLY: Final = "read-only: start with --write"
"""Why nothing may be changed by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the dashboard looks and polls."""

    interval: float = INTERVAL.default
    """Seconds between the end of a poll and the next; at least 0.1."""

    theme: str = THEME.default
    """`auto`, `dark`, `light`, `ansi` or `mono`."""

    ascii_only: bool = ASCII.default
    mouse: bool = MOUSE.default
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
    return Settings(
        interval=config[INTERVAL].value,
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
