"""The command `etlwatch` itself: its options, its commands by name, and what it does without one.

A command's module is imported when the command is called or its help is shown, never before.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from etlwatch.cli.dashboard import open_dashboard
from etlwatch.cli.options import dashboard_options, store_option
from etlwatch.cli.output import version_option
from etlwatch.cli.terminal import has_screen, is_dumb, is_terminal, report
from tracking_core.identity import VERSION

COMMANDS: Mapping[str, str] = {
    "runs": "etlwatch.cli.runs:runs",
    "show": "etlwatch.cli.show:show",
    "errors": "etlwatch.cli.errors:errors",
    "jobs": "etlwatch.cli.jobs:jobs",
    "compare": "etlwatch.cli.compare:compare",
    "stats": "etlwatch.cli.stats:stats",
    "prove": "etlwatch.cli.prove:prove",
    "report": "etlwatch.cli.report:report",
    "bundle": "etlwatch.cli.bundle:bundle",
    "open": "etlwatch.cli.bundle:open_command",
    "check": "etlwatch.cli.check:check",
    "exec": "etlwatch.cli.exec:exec_command",
    "tracking": "etlwatch.cli.control:tracking",
    "close": "etlwatch.cli.control:close",
    "cleanup": "etlwatch.cli.cleanup:cleanup",
    "spool": "etlwatch.cli.spool:spool",
    "init": "etlwatch.cli.control:init",
    "config": "etlwatch.cli.config:config",
    "doctor": "etlwatch.cli.doctor:doctor",
    "demo": "etlwatch.cli.demo:demo",
}
"""Name → where the command is, in the order in which help lists them."""


class LazyGroup(click.Group):
    """A group that imports a command when somebody asks for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names of all commands, as help orders them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Return a command by its name, None for a name there is not."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return options_once(command)

    def make_parser(self, ctx: click.Context) -> Any:
        """Return a parser that takes a single-valued option once."""
        return _strict(super().make_parser(ctx), ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; a DSN in its place is told where it belongs."""
        word = args[0] if args else ""
        if "://" in word or "=" in word:
            raise click.UsageError("a DSN goes behind --dsn: etlwatch --dsn DSN", ctx)
        if word and word not in COMMANDS and not word.startswith("-"):
            raise click.UsageError(f"no such command {word!r}; there are {', '.join(COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


def options_once(command: click.Command) -> click.Command:
    """Let a command, and those below it, take a single-valued option once: click takes the last one silently."""
    if "make_parser" not in vars(command):
        make_parser = command.make_parser
        setattr(command, "make_parser", lambda ctx: _strict(make_parser(ctx), ctx))  # noqa: B010 - a method of one object
        for below in command.commands.values() if isinstance(command, click.Group) else ():
            options_once(below)
    return command


def _strict(parser: Any, ctx: click.Context) -> Any:
    parse = parser.parse_args

    def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
        values, rest, order = parse(args)
        given: set[click.Parameter] = set()
        for each in order:
            if isinstance(each, click.Option) and each in given and not (each.multiple or each.count or each.is_flag):
                raise click.UsageError(f"{'/'.join(each.opts)} is given twice", ctx)
            given.add(each)
        return values, rest, order

    parser.parse_args = parse_args
    return parser


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 no such run or not done, 2 wrong usage, 3 the store cannot answer, 130 interrupted.",
)
@store_option
@dashboard_options
@version_option(f"etlwatch {VERSION}", "--version")
@click.pass_context
def etlwatch(context: click.Context) -> int | None:
    """Watch ETL runs from a terminal.

    Without a command it opens the dashboard; on a dumb terminal and where there is none, it prints the runs.

    The store is what --dsn or --target say, before or after the command, else $ETLWATCH_TARGET, else $TRACKING_DSN,
    else the default target of your configuration, else a file of your own. For PostgreSQL everything that libpq knows
    works: PGSERVICE, ~/.pgpass, PGHOST and the rest fill in what a DSN leaves out.
    """
    if context.invoked_subcommand is not None:
        return None
    if has_screen():
        return open_dashboard()
    from etlwatch.cli.options import Format
    from etlwatch.cli.runs import print_runs
    from etlwatch.reading.runs import RunQuery

    print_runs(RunQuery(), Format.TABLE)
    if is_terminal(sys.stdout) and is_dumb(os.environ):
        report(f"TERM={os.environ['TERM']} cannot show the dashboard; `etlwatch runs --follow` prints a line a change")
    return None
