"""Manual pages, made from the commands and options themselves: `python -m etlwatch.cli.manpages DIRECTORY`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from etlwatch.cli.root import etlwatch
from tracking_core.identity import VERSION


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the troff source of the page of each command."""
    context = click.Context(etlwatch, info_name="etlwatch", **etlwatch.context_settings)
    yield "etlwatch.1", _page(context)
    for name in etlwatch.list_commands(context):
        command = etlwatch.get_command(context, name)
        if command is not None:
            yield f"etlwatch-{name}.1", _page(click.Context(command, info_name=name, parent=context))


def _page(context: click.Context) -> str:
    command, path = context.command, context.command_path
    name = path.replace(" ", "-")
    help_lines = (command.help or "").strip().splitlines()
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [f'.TH "{name.upper()}" "1" "" "etlwatch {VERSION}" "etlwatch"', ".SH NAME"]
    lines += [f"{_text(name)} \\- {_text(command.get_short_help_str(200))}", ".SH SYNOPSIS", ".B " + _text(usage)]
    lines += [".SH DESCRIPTION", *(_text(line) if line else ".PP" for line in help_lines)]
    records = [found for each in command.get_params(context) if (found := each.get_help_record(context))]
    if records:
        lines.append(".SH OPTIONS")
    for names, text in records:
        lines += [".TP", ".B " + _text(names), _text(text)]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for below in command.list_commands(context):
            sub = command.get_command(context, below)
            if sub is not None:
                lines += [".TP", ".B " + _text(below), _text(sub.get_short_help_str(200))]
    if command.epilog:
        lines += [".SH NOTES", _text(command.epilog)]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Return text that troff shows as it stands: its escapes, hyphens and leading dots are no requests."""
    shown = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown


def main(directory: str) -> None:
    """Write all pages into a directory, which is made if need be."""
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    for name, source in pages():
        (place / name).write_text(source, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m etlwatch.cli.manpages DIRECTORY")
    main(sys.argv[1])
