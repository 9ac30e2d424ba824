"""`etlwatch demo`: real jobs to look at, live on a terminal, once without one."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from etlwatch.cli import connect, output
from etlwatch.cli.dashboard import open_dashboard
from etlwatch.cli.faults import Exit, strike_out
from etlwatch.cli.options import Format, dashboard_options, dsn_option, flags
from etlwatch.cli.runs import print_runs
from etlwatch.cli.terminal import has_screen, report
from etlwatch.reading.runs import RunQuery

if TYPE_CHECKING:
    from tracking_core.config import StoreLocation


@click.command()
@dsn_option
@dashboard_options
def demo() -> int:
    """Run real jobs and watch them.

    On a terminal the dashboard opens over jobs that go on until you quit; elsewhere they run once and the runs are
    printed. They record into demo.db beside your own store, begun afresh each time. With --dsn they record there; its
    tables are made if need be, and nothing is removed. $TRACKING_DSN is not used: no demo belongs into a store in use.
    """
    from etlwatch.demo import runner

    given = flags().get("dsn")
    if "target" in flags():
        raise click.UsageError("the demo takes --dsn, not --target: no demo belongs into a store in use")
    dsn = flags()["dsn"] = runner.default_demo_dsn() if given is None else given
    if given is None:
        # Its store is made for playing: all that a dashboard can do may be tried on it.
        flags().setdefault("write", True)
    place = connect.location()
    with connect.explained(place):
        runner.prepare(dsn, fresh=given is None)
    if given is not None:
        report(f"{place.label}: its tables are there, and the demo's runs are added to what it holds")
    if has_screen():
        return _live(place)
    return _once(place)


def _live(place: StoreLocation) -> int:
    from etlwatch.demo.runner import LiveDemo

    with LiveDemo(place.dsn) as jobs:
        status = open_dashboard(demo=True)
    for problem in jobs.problems:
        report(f"demo: {problem}")
    report(_look_again())
    return status


def _once(place: StoreLocation) -> int:
    from etlwatch.demo.runner import run_once

    report("running the demo's jobs once, in about 15 s")
    failed = run_once(place.dsn)
    print_runs(RunQuery(), Format.TABLE)
    output.write_lines(["", _look_again()])
    return Exit.NOT_FOUND if failed else Exit.DONE


def _look_again() -> str:
    place = connect.location()
    # A relative file is named in full: the next command may be typed somewhere else.
    shown = place.dsn if place.path is not None else strike_out(flags()["dsn"], place)
    return f"look again: etlwatch --dsn {shlex.quote(shown)}"
