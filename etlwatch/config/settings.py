"""What a user may decide about the dashboard: values only, with their defaults.

Owns the settings record. Refuses to own where they come from (flags, environment) and what they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Final

from etlwatch.analysis.thresholds import DEFAULT_THRESHOLDS, Thresholds
from tracking_core.dataclass import dataclass, field

__all__ = ["INTERVALS", "READ_ONLY", "Keymap", "Settings"]

Keymap = Mapping[str, tuple[str, ...]]
"""Textual's names of keys by command; empty for no key."""

INTERVALS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between polls that `+` and `-` step through."""

READ_ONLY: Final = "read-only: start with --write"
"""Why nothing may be changed unless somebody said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the dashboard looks and polls."""

    interval: float = 1.0
    """Seconds between the end of a poll and the next; at least 0.1."""

    theme: str = "auto"
    """`auto`, `dark`, `light`, `ansi` or `mono`; NO_COLOR beats it."""

    ascii_only: bool = False
    mouse: bool = True
    label: str = ""
    """What the store is called in line 1; '' means by its own label."""

    store_option: tuple[str, ...] = ()
    """How a command line names this store: `--dsn DSN`, `-t NAME`, or nothing for the default; no password in it."""

    colour: str = "none"
    """Of that name: `red`, `amber`, `blue` or `none`, so that nobody takes one store for another."""

    demo: bool = False
    """Whether the demo's jobs record into the store."""

    window: str = "1h"
    """How far back the charts look at first: the name of a window of `etlwatch.analysis.series`."""

    zone: tzinfo | None = None
    """In which times are shown; None is the local one."""

    thresholds: Thresholds = DEFAULT_THRESHOLDS
    """How far from usual is too far."""

    keymap: Keymap = field(default_factory=dict)
    """Of the commands that have other keys than declared."""

    as_of: datetime | None = None
    """The moment at which the store stands still, as a bundle does; None for one whose clock goes on."""

    first_run: int | None = None
    """The run whose screen is opened first."""

    notices: tuple[str, ...] = ()
    """What is said once the dashboard is open."""

    may_write: bool = False
    """Whether this dashboard may turn the switch, clean up and close runs."""

    write_reason: str = READ_ONLY
    """Why it may not; said wherever something cannot be done for that."""

    def __post_init__(self) -> None:
        if not self.interval >= 0.1:
            raise ValueError(f"the interval is at least 0.1 seconds; given: {self.interval}")
