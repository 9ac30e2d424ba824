"""The record of a command, and what is made from such records: bindings, keymap, shown keys, footer.

Loads nothing of Textual before a screen asks for bindings, so that a keymap can be checked without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from etlwatch.config.options import shown_key
from etlwatch.rendering.lines import Key
from tracking_core.dataclass import dataclass, replace

if TYPE_CHECKING:
    from textual.binding import BindingType


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of the dashboard: its key, its action and its texts."""

    name: str
    """Unique; the binding's id, by which a keymap may give it another key."""

    keys: str
    """Textual's names, commas between: `less_than_sign`, `colon,ctrl+p`."""

    shown: str
    """The keys as they are shown: `<`, `: ctrl+p`."""

    action: str
    """Textual's action: `sort(-1)`."""

    title: str
    """Its name in the palette; '' leaves it out."""

    help: str
    """What it does, in a few words, for help and palette."""

    footer: tuple[str, str, int] | None = None
    """Key, word and priority in the footer (the highest number is dropped first); None leaves it out.

    Of two keys the second belongs to the next command.
    """

    priority: bool = False
    """Whether it runs before the focused widget gets the key, and before the next key is handled.

    For commands that work everywhere, and for those that open a text field: what is typed next belongs there.
    """

    changes: bool = False
    """Whether it changes the store: shown greyed, with the reason, where that is not allowed."""


def command(
    name: str,
    keys: str,
    action: str,
    *,
    help: str,  # noqa: A002 - as the field is called
    title: str = "",
    shown: str | None = None,
    footer: tuple[str, str, int] | None = None,
    priority: bool = False,
    changes: bool = False,
) -> Command:
    """Return a command whose keys are shown as `shown`, by default all of them under their usual names."""
    if shown is None:
        shown = " ".join(map(shown_key, filter(None, keys.split(","))))
    return Command(name=name, keys=keys, shown=shown, action=action, title=title, help=help, footer=footer,
                   priority=priority, changes=changes)  # fmt: skip


def bindings_of(commands: Iterable[Command]) -> list[BindingType]:
    """Return Textual's bindings of these commands.

    A command whose key the widget binds itself gets a key that is never sent, so that a keymap can change it.
    """
    from textual.binding import Binding

    return [
        Binding(
            command.keys or _no_key(command.name),
            command.action,
            command.help,
            show=False,
            key_display=command.shown,
            id=command.name,
            priority=command.priority,
        )
        for command in commands
        if command.action
    ]


def _no_key(name: str) -> str:
    """Return a key that no terminal sends: one for each command, since Textual's keymap removes keys, not bindings."""
    return f"no-key-for-{name}"


def textual_keymap(keymap: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return a keymap in Textual's form."""
    return {name: ",".join(keys) or _no_key(name) for name, keys in keymap.items()}


def remapped(commands: Sequence[Command], keymap: Mapping[str, Sequence[str]]) -> tuple[Command, ...]:
    """Return commands with the keys that a keymap gives them, wherever they are shown."""
    if not keymap:
        return tuple(commands)
    changed = [_with_keys(command, keymap.get(command.name)) for command in commands]
    for index, (before, after) in enumerate(zip(commands, changed, strict=True)):
        if before.footer is None:
            continue
        pair = [after, *changed[index + 1 : index + 2]] if " " in before.footer[0] else [after]
        if any(command.name in keymap for command in pair):
            keys = [command.shown.split()[0] for command in pair if command.shown]
            changed[index] = replace(after, footer=(" ".join(keys), *before.footer[1:]) if after.shown else None)
    return tuple(changed)


def _with_keys(command: Command, keys: Sequence[str] | None) -> Command:
    if keys is None:
        return command
    return replace(command, keys=",".join(keys), shown=" ".join(map(shown_key, keys)))


def key_of(name: str, commands: Iterable[Command]) -> str:
    """Return the first key of a command as it is shown; '' where it has none."""
    return next((command.shown.split()[0] for command in commands if command.name == name and command.shown), "")


def footer_of(commands: Sequence[Command], words: Mapping[str, str] | None = None) -> list[Key]:
    """Return the footer's keys in the order of the commands; `words` replaces the word of a command by its name."""
    replaced = words or {}
    return [
        Key(command.footer[0], replaced.get(command.name, command.footer[1]), command.footer[2])
        for command in commands
        if command.footer is not None
    ]
