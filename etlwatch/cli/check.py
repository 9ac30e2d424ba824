"""`etlwatch check`: the same verdicts for a monitoring system, by the convention of its plugins.

One line on stdout whatever happens, and an exit status of 0, 1, 2 or 3: here alone wrong usage is 3, as is a store that
cannot answer.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click

from etlwatch.cli import connect, output
from etlwatch.cli.configuration import configured, configured_zone
from etlwatch.cli.faults import Unsuccessful, strike_out
from etlwatch.cli.jobs import read_jobs
from etlwatch.cli.runs import matches_job
from etlwatch.cli.selectors import parse_span, parsed_by
from etlwatch.judging import Judge
from etlwatch.model.checks import CHECKED, Level, Rules, check_fleet, unknown_line
from tracking_core.store.base import Reader

DEFAULT = Rules()


class PluginCommand(click.Command):
    """A command that answers every fault in the form that a monitoring system reads."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments; wrong usage is UNKNOWN."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.ClickException as error:
            raise _unknown(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Make the check; what keeps it from an answer is UNKNOWN."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise _unknown(error) from None
        except (click.exceptions.Exit, click.Abort, output.OutputGone, output.OutputFailed):
            raise
        except Exception as error:
            raise _unknown(click.ClickException(f"unexpected {type(error).__name__}: {error}")) from error


def _unknown(error: click.ClickException) -> click.exceptions.Exit:
    output.write_lines([unknown_line(strike_out(error.format_message()))])
    return click.exceptions.Exit(Level.UNKNOWN)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """End what takes longer with a fault of its own; off the main thread, and where there are no alarms, never."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def too_late(_number: int, _frame: object) -> None:
        raise Unsuccessful(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, too_late)
    alarm = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *alarm)
        signal.signal(signal.SIGALRM, before)


def _states(_context: click.Context, _parameter: click.Parameter, text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    words = frozenset(word.strip().lower() for word in text.split(",") if word.strip())
    if not words <= set(CHECKED):
        raise click.BadParameter(f"{', '.join(sorted(words - set(CHECKED)))}: there are {', '.join(CHECKED)}")
    return words


def _rules(
    critical: frozenset[str] | None,
    warning: frozenset[str] | None,
    overdue: timedelta | None,
    max_age: timedelta | None,
) -> Rules:
    """Return the rules; a state that is named in one list leaves the other's default."""
    if critical is not None and warning is not None and critical & warning:
        raise click.UsageError(f"{', '.join(sorted(critical & warning))}: either --critical or --warning, not both")
    return Rules(
        critical=critical if critical is not None else DEFAULT.critical - (warning or frozenset()),
        warning=warning if warning is not None else DEFAULT.warning - (critical or frozenset()),
        overdue=overdue or timedelta(0),
        max_age=max_age,
    )


def _read(reader: Reader, jobs: tuple[str, ...], rules: Rules, began: float) -> tuple[Level, str]:
    with reader.one_view():
        rows, now = read_jobs(reader, jobs)
        missing = [job for job in jobs if not any(matches_job(row.job, [job]) for row in rows)]
        if missing:
            raise Unsuccessful(f"no run of the job {', '.join(map(repr, missing))}")
        living = [run for run in reader.live_runs() if matches_job(run.job, jobs)]
        judgement = Judge(thresholds=configured().limits).conclude(reader, living, now=now)
        switches = [switch for switch in reader.switches() if switch.scope == "global" or matches_job(switch.job, jobs)]
    seconds = time.monotonic() - began
    result = check_fleet(
        judgement, rows, rules=rules, now=now, switches=switches, zone=configured_zone(), seconds=seconds
    )
    return result.level, result.line


@click.command(
    cls=PluginCommand,
    epilog="Exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (also wrong usage, and a store that cannot answer).",
)
@connect.store_option
@click.option("--job", "-j", "jobs", multiple=True, metavar="JOB", help="Only this job; sync* works, repeatable.")
@click.option(
    "--overdue",
    metavar="SPAN",
    callback=parsed_by(parse_span),
    help="Tell of a job only when it is so much later than its rhythm lets expect.",
)
@click.option(
    "--max-age",
    metavar="SPAN",
    callback=parsed_by(parse_span),
    help="Tell of a job whose last success ended longer ago: 26h.",
)
@click.option(
    "--critical",
    "-c",
    metavar="STATES",
    callback=_states,
    help="What is critical, commas between.  [default: lost,failed,overdue,aged]",
)
@click.option(
    "--warning",
    "-w",
    metavar="STATES",
    callback=_states,
    help="What is a warning, commas between.  [default: stalled,throttled,slow,off]",
)
@click.option(
    "--timeout",
    metavar="SPAN",
    default="30s",
    show_default=True,
    callback=parsed_by(parse_span),
    help="How long the whole check may take.",
)
def check(
    jobs: tuple[str, ...],
    overdue: timedelta | None,
    max_age: timedelta | None,
    critical: frozenset[str] | None,
    warning: frozenset[str] | None,
    timeout: timedelta,
) -> int:
    """Answer a monitoring system in one line and an exit status.

    Looks at living runs (lost, stalled, throttled, slow), at failures that no later run of their job made good, at jobs
    that have not begun when their rhythm lets expect it, at the age of the last success, and at tracking that is off.

    How far from usual is too far says the configuration file: [thresholds].
    """
    rules = _rules(critical, warning, overdue, max_age)
    began = time.monotonic()
    with _within(timeout.total_seconds()), connect.reader() as reader:
        level, line = _read(reader, jobs, rules, began)
    output.write_lines([line])
    return int(level)
