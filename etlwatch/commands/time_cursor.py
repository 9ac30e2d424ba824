"""Moving the time cursor: made once for each screen with charts."""

from __future__ import annotations

from etlwatch.commands.command import Command

__all__ = ["time_cursor"]


def time_cursor(group: str, *, earlier: str, later: str, shown: tuple[str, str], priority: int) -> tuple[Command, ...]:
    """Return the commands that move the time cursor on a screen: their keys in Textual's names, and as people say them.

    `priority` is that of the pair in the footer.
    """
    return (
        Command(
            name=f"{group}.earlier",
            keys=earlier,
            shown=shown[0],
            action="move_cursor(-1)",
            title="",
            help="the time cursor of all charts a column earlier",
            footer=(f"{shown[0].split()[0]} {shown[1].split()[0]}", "cursor", priority),
        ),
        Command(
            name=f"{group}.later",
            keys=later,
            shown=shown[1],
            action="move_cursor(1)",
            title="",
            help="the time cursor a column later; at last it is gone",
        ),
    )
