"""The table of docs/keys.md, from the commands: `python -m tests.etlwatch.key_table` writes it anew."""

from pathlib import Path

from etlwatch.commands import GROUPS, MOUSE, Command

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"
BEGIN, END = "<!-- keys -->\n", "<!-- end of keys -->"
WHERE = {
    "home": "on the runs",
    "run": "on a run",
    "zoom": "on a chart",
    "jobs": "on the jobs",
    "compare": "on two runs",
    "errors": "on all errors",
    "app": "everywhere",
    "move": "in lists and texts",
}


def table() -> str:
    """Return the keys as a Markdown table, where they work and what they do."""
    order = [*(group for group in GROUPS if group not in ("app", "move")), "app", "move"]
    rows = [_row(WHERE.get(group, group), command) for group in order for command in GROUPS[group] if command.shown]
    rows += [f"| with the mouse | `{what}` | {effect} |" for what, effect in MOUSE]
    return "\n".join(["| | key | what it does |", "|---|---|---|", *rows]) + "\n"


def _row(where: str, command: Command) -> str:
    keys = " ".join(f"`{key}`" for key in command.shown.split())
    return f"| {where} | {keys} | {command.help} |".replace("||", "|\\|")


def part_of(text: str) -> str:
    """Return what stands between the marks of the page."""
    return text.partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(before.replace(BEGIN + part_of(before) + END, BEGIN + table() + END), encoding="utf-8")
