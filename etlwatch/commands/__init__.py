"""Every command of the dashboard, declared once: bindings, footer, palette and help are made from these records.

Contains keys and words, a file for each screen or family of screens. Help and footer show the keys that are declared
here, or what a keymap makes of them, and nothing else. The declarations load nothing of Textual, so that a keymap can
be checked without a screen.

Left alone on purpose: ctrl+s and ctrl+q stop and start the output of many terminals, ctrl+d ends shells, ctrl+h is
backspace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from etlwatch.commands.boards import COMPARE_COMMANDS, ERRORS_COMMANDS, JOBS_COMMANDS
from etlwatch.commands.command import Command, bindings_of, footer_of, key_of, remapped, textual_keymap
from etlwatch.commands.everywhere import APP_COMMANDS, MOVE_COMMANDS
from etlwatch.commands.home import HOME_COMMANDS
from etlwatch.commands.run import RUN_COMMANDS
from etlwatch.commands.zoom import ZOOM_COMMANDS

__all__ = [
    "APP_COMMANDS",
    "COMPARE_COMMANDS",
    "ERRORS_COMMANDS",
    "EVERYWHERE",
    "GROUPS",
    "HOME_COMMANDS",
    "JOBS_COMMANDS",
    "MOVE_COMMANDS",
    "RUN_COMMANDS",
    "ZOOM_COMMANDS",
    "Command",
    "bindings_of",
    "footer_of",
    "key_of",
    "remapped",
    "textual_keymap",
]

GROUPS: Final[Mapping[str, tuple[Command, ...]]] = {
    "app": APP_COMMANDS,
    "home": HOME_COMMANDS,
    "run": RUN_COMMANDS,
    "zoom": ZOOM_COMMANDS,
    "jobs": JOBS_COMMANDS,
    "compare": COMPARE_COMMANDS,
    "errors": ERRORS_COMMANDS,
    "move": MOVE_COMMANDS,
}
"""Every command, by the first part of its name."""

EVERYWHERE: Final = ("app", "move")
"""The groups that work on every screen beside the screen's own."""
