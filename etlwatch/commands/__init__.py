"""Every command of the dashboard, declared once: bindings, footer, palette and help are made from these records.

Textual is not imported, so that the command line can check a keymap. ctrl+s, ctrl+q, ctrl+d and ctrl+h are not used:
many terminals stop and start output, end the shell, or send backspace with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from etlwatch.commands.command import Command, bindings_of, footer_of, key_of, remapped, textual_keymap
from etlwatch.commands.screens import APP_COMMANDS, MOVE_COMMANDS, SCREEN_COMMANDS

__all__ = [
    "APP_COMMANDS", "EVERYWHERE", "GROUPS", "MOVE_COMMANDS", "Command", "bindings_of", "footer_of", "key_of",
    "remapped", "textual_keymap",
]  # fmt: skip

GROUPS: Final[Mapping[str, tuple[Command, ...]]] = {"app": APP_COMMANDS, **SCREEN_COMMANDS, "move": MOVE_COMMANDS}
"""Every command, by the first part of its name."""

EVERYWHERE: Final = ("app", "move")
"""The groups that work on every screen beside the screen's own."""
