"""Every command of the dashboard, declared once: bindings, footer, palette and help are made from these records.

Textual is not imported, so that the command line can check a keymap. ctrl+s, ctrl+q, ctrl+d and ctrl+h are not used:
many terminals stop and start output, end the shell, or send backspace with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

from etlwatch.commands.screens import (
    APP_COMMANDS,
    MOUSE,
    MOVE_COMMANDS,
    SCREEN_COMMANDS,
    Command,
    bindings_of,
    footer_of,
    key_of,
    remapped,
    textual_keymap,
)
from etlwatch.config.options import ConfigError, Problem, nearest, shown_key, written_key
from etlwatch.config.settings import Keymap, Sourced

__all__ = [
    "APP_COMMANDS", "EVERYWHERE", "GROUPS", "MOUSE", "MOVE_COMMANDS", "Command", "bindings_of", "footer_of", "key_of",
    "keymap_of", "remapped", "textual_keymap",
]  # fmt: skip

GROUPS: Final[Mapping[str, tuple[Command, ...]]] = {"app": APP_COMMANDS, **SCREEN_COMMANDS, "move": MOVE_COMMANDS}
"""Every command, by the first part of its name."""

EVERYWHERE: Final = ("app", "move")
"""The groups that work on every screen beside the screen's own."""

Chosen = Mapping[str, Sourced[tuple[str, ...]]]
INTERRUPT = "app.interrupt"
"""Leaves from anywhere, whatever has the focus: its key cannot be changed."""


def keymap_of(chosen: Chosen) -> Keymap:
    """Return the chosen keys; ConfigError for unknown commands and for keys that two commands would share."""
    if not chosen:
        return {}
    commands = {command.name: command for group in GROUPS.values() for command in group}
    problems = [problem for name, sourced in chosen.items() for problem in _problems_of(name, sourced, commands)]
    keymap = {name: sourced.value for name, sourced in chosen.items() if name in commands}
    problems += [_clash(*clash, chosen) for clash in _clashes(keymap)]
    if problems:
        raise ConfigError(problems)
    return keymap


def _problems_of(name: str, sourced: Sourced[tuple[str, ...]], commands: Mapping[str, Command]) -> Iterator[Problem]:
    key = f"keys.{written_key(name)}"
    if name not in commands:
        group = name.partition(".")[0]
        listed = GROUPS.get(group)
        accepted = (
            ", ".join(command.name for command in listed) if listed else ", ".join(f"{each}.…" for each in GROUPS)
        )
        yield Problem(
            where=sourced.place, key=key, what="is no command", accepted=accepted, meant=nearest(name, commands)
        )
    elif name == INTERRUPT:
        yield Problem(where=sourced.place, key=key, what="cannot be changed: ctrl+c always leaves")


def _clashes(keymap: Keymap) -> Iterator[tuple[Command, Command, str]]:
    """Yield pairs of commands that work on one screen and would share a key, though they do not by default."""
    seen: set[tuple[str, str]] = set()
    everywhere = [command for name in EVERYWHERE for command in GROUPS[name]]
    for name, group in GROUPS.items():
        together = everywhere if name in EVERYWHERE else [*group, *everywhere]
        for before, after in combinations(zip(together, remapped(together, keymap), strict=True), 2):
            pair = (before[0].name, after[0].name)
            if pair in seen or not keymap.keys() & set(pair):
                continue
            shared = _keys(before[1]) & _keys(after[1]) - (_keys(before[0]) & _keys(after[0]))
            if shared:
                seen.add(pair)
                yield before[0], after[0], min(shared)


def _keys(command: Command) -> set[str]:
    return {key for key in command.keys.split(",") if key}


def _clash(first: Command, second: Command, key: str, chosen: Chosen) -> Problem:
    # Reported for the command whose key was changed; for the first, if both were.
    changed, other = (first, second) if first.name in chosen else (second, first)
    return Problem(
        where=chosen[changed.name].place,
        key=f"keys.{changed.name}",
        what=f'and {other.name} ({other.help}) are both on "{shown_key(key)}"',
        accepted="a key that is free, or another one for the other command too",
    )
