"""The program `etlwatch`: joins the command line with the dashboard, which do not import each other."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from etlwatch.cli import entry

if TYPE_CHECKING:
    from etlwatch.config.settings import Settings
    from etlwatch.tui.opening import Opening
    from tracking_core.config import StoreLocation


UNCOLLECTED: Final = 200_000
"""Objects that a command makes before garbage is looked for."""

_COLLECTING: Final = gc.get_threshold()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's own) and return the exit status (see `etlwatch.cli.faults.Exit`)."""
    if argv is not None:
        return entry.run(_TextualDashboard(), argv)
    # Modules live as long as the process: to look through them for garbage, while they are loaded and again at the
    # end, costs a command a fifth of its time.
    gc.set_threshold(UNCOLLECTED, *_COLLECTING[1:])
    try:
        return entry.run(_TextualDashboard())
    finally:
        gc.freeze()


class _TextualDashboard:
    """The dashboard as the command line opens it; Textual is loaded by `run` only."""

    def __init__(self) -> None:
        self._opening: Opening | None = None

    def open_early(self, settings: Settings, location: StoreLocation) -> Opening:
        from etlwatch.tui.opening import Opening
        from etlwatch.tui.start import draw_first

        self._opening = Opening(sys.__stderr__, sys.__stdin__, os.environ)
        draw_first(self._opening, settings, location)
        return self._opening

    def run(self, settings: Settings, location: StoreLocation) -> int:
        from etlwatch.tui.start import run_dashboard

        gc.set_threshold(*_COLLECTING)
        return run_dashboard(location, settings, self._opening)


if __name__ == "__main__":
    sys.exit(main())
