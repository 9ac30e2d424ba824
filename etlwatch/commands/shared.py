"""Commands that several lists have: filter, sort, mark, and the time cursor.

A command belongs to one list, by the first part of its name: a keymap may give it another key in one list only.
"""

from __future__ import annotations

from etlwatch.commands.command import Command

__all__ = ["filter_and_sort", "mark", "sort", "time_cursor"]


def filter_and_sort(group: str, things: str, example: str) -> tuple[Command, ...]:
    """Return the commands that choose and order the things of a list; `example` is a filter to learn from."""
    return (
        Command(
            name=f"{group}.filter",
            keys="slash",
            shown="/",
            action="filter",
            title=f"Filter the {things}",
            help=example,
            footer=("/", "filter", 1),
            priority=True,
        ),
        *sort(group, things),
    )


def sort(group: str, things: str, *, priority: int = 1) -> tuple[Command, ...]:
    """Return the commands that order the things of a list; `priority` is that of the keys in the footer."""
    return (
        Command(
            name=f"{group}.sort_left",
            keys="less_than_sign",
            shown="<",
            action="sort(-1)",
            title=f"Sort the {things} by the column to the left",
            help="sort by the column to the left",
            footer=("< >", "sort", priority),
        ),
        Command(
            name=f"{group}.sort_right",
            keys="greater_than_sign",
            shown=">",
            action="sort(1)",
            title=f"Sort the {things} by the column to the right",
            help="sort by the column to the right",
        ),
        Command(
            name=f"{group}.invert",
            keys="I",
            shown="I",
            action="invert",
            title=f"Invert the order of the {things}",
            help="turn the order round",
        ),
    )


def mark(group: str, thing: str, use: str, footer: tuple[str, str, int] | None = None) -> Command:
    """Return the command that marks a thing of a list; `use` says what acts on marked ones."""
    return Command(
        name=f"{group}.mark",
        keys="",
        shown="space",
        action="mark",
        title=f"Mark the {thing}",
        help=f"mark the {thing} under the cursor for {use}",
        footer=footer,
    )


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
