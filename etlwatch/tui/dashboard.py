"""The Protocol of the application for screens and dialogs, so that they do not import it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from etlwatch.analysis.run_rows import RunRow
    from etlwatch.analysis.series import Window
    from etlwatch.analysis.snapshot import Snapshot, Watching
    from etlwatch.commands import Command
    from etlwatch.config.settings import Settings
    from etlwatch.fields.field import Order
    from etlwatch.reading.poller import Lost, Poller
    from etlwatch.text.display import Glyphs
    from etlwatch.tui.screens.base import DashboardScreen
    from tracking_core.store.base import Store


class Dashboard(Protocol):
    """The application as its screens and dialogs see it."""

    settings: Settings
    glyphs: Glyphs
    open_store: Callable[[], Store]
    poller: Poller
    latest: Snapshot | None
    """The last answer of the store."""

    shown: Snapshot | None
    """What is drawn: the last answer, or an older one while paused."""

    lost: Lost | None
    """The last failure while the store does not answer."""

    paused: bool
    window: Window
    moment: datetime | None
    """The past moment on screen; None for now."""

    cursor_s: float | None
    """The time cursor of all charts, seconds since 1970-01-01Z."""

    bytes_per_s: float | None
    orders: dict[str, Order]
    """How lists were sorted since the start, by their names."""

    watching: Watching

    @property
    def label(self) -> str:
        """The store's name."""

    def clock_now(self) -> datetime:
        """Return the store's clock as far as it is known, else this machine's."""

    def age_s(self) -> float | None:
        """Return the age of the shown data in seconds; None before the first answer."""

    def retry_in_s(self) -> float:
        """Return the seconds until the next attempt; 0 while the store answers."""

    def commands_on(self, screen: DashboardScreen) -> tuple[Command, ...]:
        """Return the commands that work on a screen, with their keys."""

    def show_message(self, text: str, *, severity: Literal["information", "warning", "error"] = "information") -> None:
        """Show a short message."""

    def copy(self, text: str) -> None:
        """Copy text to the terminal's clipboard."""

    def next_window(self) -> None:
        """Choose the next longer window of the charts."""

    def open_screen(self, name: str, *arguments: Any) -> None:
        """Open a screen by the name of its module in `etlwatch.tui.screens`."""

    async def close_run(self, row: RunRow | None) -> None:
        """Open the dialog that closes a run."""

    def bundle_run(self, row: RunRow) -> None:
        """Copy a run into a file."""

    def toggle_bell(self, row: RunRow | None) -> None:
        """Ring when this run changes state, or no longer."""

    def toggle_bells(self, rows: Sequence[RunRow]) -> None:
        """Ring when any of these runs changes state, or no longer."""
