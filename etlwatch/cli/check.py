"""`etlwatch check`: the same verdicts for a monitoring system, by the convention of its plugins.

One line on stdout whatever happens, more below it where there are more problems than fit, and an exit status of 0, 1, 2
or 3: here alone wrong usage is 3, as is a store that cannot answer.
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

from etlwatch.analysis.checks import (
    CHECKED,
    FIGURES,
    OF_ONE_JOB,
    PROBLEMS,
    CheckResult,
    Level,
    Range,
    Rules,
    check_fleet,
    parse_range,
    unknown_line,
)
from etlwatch.analysis.filter import fits_job, matches_job
from etlwatch.cli import connect, output
from etlwatch.cli.connect import no_such_job
from etlwatch.cli.faults import OutputFailed, OutputGone, Unsuccessful, strike_out
from etlwatch.cli.options import (
    SPAN,
    configured,
    configured_zone,
    declared_option,
    dsn_option,
    flags,
    jobs_option,
    parsed,
)
from etlwatch.config.options import TARGET
from etlwatch.reading.health import HealthReader
from etlwatch.reading.jobs import jobs_named, read_job_checks
from etlwatch.text.moments import parse_span
from tracking_core.identity import VERSION
from tracking_core.store.queries import Reader

DEFAULT = Rules()
DEFAULT_TIMEOUT = timedelta(seconds=30)
LONGEST_S = 86_400
EMPTY: tuple[frozenset[str], dict[str, Range]] = frozenset(), {}


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
        except click.exceptions.Exit as left:
            # By the convention help and version say nothing about what is checked.
            raise click.exceptions.Exit(left.exit_code or Level.UNKNOWN) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Make the check; what keeps it from an answer is UNKNOWN."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise _unknown(error) from None
        except (click.exceptions.Exit, click.Abort, OutputGone, OutputFailed):
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


def _graded(text: str) -> tuple[frozenset[str], dict[str, Range]]:
    """Return the states that a text names, and the ranges of numbers in it by name; ValueError for any other word."""
    states: set[str] = set()
    ranges: dict[str, Range] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, equals, limits = word.partition("=")
        name = name.strip().lower()
        if not equals and name in CHECKED:
            states.add(name)
        elif equals and name not in (*CHECKED, *FIGURES):
            raise ValueError(f"{name}: there are {', '.join((*CHECKED, *FIGURES))}")
        else:
            try:
                ranges[name if equals else PROBLEMS] = parse_range(limits if equals else word)
            except ValueError as error:
                states_there_are = "" if equals else f"; or a state: {', '.join(CHECKED)}"
                raise ValueError(f"{error}{states_there_are}") from None
    return frozenset(states), ranges


Graded = tuple[frozenset[str], dict[str, Range]] | None


def _rules(critical: Graded, warning: Graded, overdue: timedelta | None, max_age: timedelta | None) -> Rules:
    """Return the rules; a state that is named in one list leaves the other's default."""
    if critical is not None and warning is not None and critical[0] & warning[0]:
        both = ", ".join(sorted(critical[0] & warning[0]))
        raise click.UsageError(f"{both}: either --critical or --warning, not both")
    named = (critical or EMPTY)[0] | (warning or EMPTY)[0]
    return Rules(
        critical=critical[0] if critical is not None else DEFAULT.critical - named,
        warning=warning[0] if warning is not None else DEFAULT.warning - named,
        critical_ranges=(critical or EMPTY)[1],
        warning_ranges={**DEFAULT.warning_ranges, **(warning or EMPTY)[1]},
        overdue=overdue or timedelta(0),
        max_age=max_age,
    )


def _read(reader: Reader, patterns: tuple[str, ...], rules: Rules, began: float, verbose: int) -> CheckResult:
    zone = configured_zone()
    with reader.one_view():
        now = reader.now()
        names = jobs_named(reader, patterns)
        if mistake := no_such_job(reader, patterns, names, fits_job):
            raise Unsuccessful(mistake)
        meant = frozenset(names)
        living = [run for run in reader.live_runs() if run.job in meant]
        completed = [run for own in reader.runs_of_jobs(names, 1, completed=True).values() for run in own]
        judged = HealthReader(thresholds=configured().thresholds)
        health = judged.read_briefly(reader, [*living, *completed], now=now)
        alive = {run.run_id for run in living if run.state != "lost"}
        jobs = read_job_checks(reader, names, alive, now=now, zone=zone)
        last = next(iter(reader.runs_of_job(names[0], 1)), None) if patterns and len(names) == 1 else None
        switches = [
            switch for switch in reader.switches() if switch.scope == "global" or matches_job(switch.job, patterns)
        ]
    if last is not None:
        last = next((run for run in health.runs if run.run_id == last.run_id), last)
    elif unknown := sorted({*rules.critical_ranges, *rules.warning_ranges}.intersection(OF_ONE_JOB)):
        raise Unsuccessful(f"{', '.join(unknown)}: known where --job names one job")
    return check_fleet(
        health,
        jobs,
        rules=rules,
        now=now,
        switches=switches,
        zone=zone,
        seconds=time.monotonic() - began,
        last=last,
        behind_s=reader.behind_s,
        spooled=() if patterns else _spooled(),
        verbose=verbose,
    )


def _spooled() -> list[float]:
    """Return the ages of this user's spool files on this host, for whatever store, in seconds."""
    from tracking_core.config import spool_directories
    from tracking_core.delivery.spool_file import waiting

    return [file.age_s for file in waiting(spool_directories(), seconds=0) if not file.fault]


def _seconds_or_target(context: click.Context, _parameter: click.Parameter, text: str) -> timedelta:
    """Return how long a check may take; what is no time behind `-t` names a target, as it does for other commands."""
    number = text.strip().removesuffix("s")
    if number.isascii() and number.isdigit():
        return timedelta(seconds=min(int(number), LONGEST_S))
    try:
        return parse_span(text)
    except ValueError:
        flags(context)["target"] = text
        return DEFAULT_TIMEOUT


@click.command(
    cls=PluginCommand,
    epilog="Exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (also wrong usage, -h, -V, and a store that cannot "
    "answer).",
)
@dsn_option
@declared_option(TARGET, "--target")
@jobs_option("this job")
@click.option(
    "--overdue",
    type=SPAN,
    help="Report a job only when it is so much later than its rhythm lets expect.",
)
@click.option(
    "--max-age",
    type=SPAN,
    help="Report a job whose last success ended longer ago: 26h.",
)
@click.option(
    "--critical",
    "-c",
    type=parsed("list", _graded),
    help="What is critical: states, a RANGE, NAME=RANGE.  [default: lost,failed,overdue,stalled,incomplete,aged]",
)
@click.option(
    "--warning",
    "-w",
    type=parsed("list", _graded),
    help="What is a warning: the same.  [default: throttled,slow,unusual,off,spooled]",
)
@click.option(
    "--timeout",
    "-t",
    metavar="SPAN",
    default="30s",
    show_default=True,
    callback=_seconds_or_target,
    help="How long the whole check may take; a number is seconds.",
)
@click.option("--verbose", "-v", count=True, help="All problems with their evidence; -vv: every job as well.")
@output.version_option(f"check (etlwatch) {VERSION}", "--version", "-V")
def check(
    jobs: tuple[str, ...],
    overdue: timedelta | None,
    max_age: timedelta | None,
    critical: Graded,
    warning: Graded,
    timeout: timedelta,
    verbose: int,
) -> int:
    """Answer a monitoring system in one line and an exit status.

    Looks at living runs (lost, stalled, throttled, slow), at failures that no later run of their job made good, at jobs
    that have not begun when their rhythm lets expect it, at the age of the last success, at tracking that is off,
    and without --job at spool files that wait on this host. With one job the figures of its last run are shown.

    A RANGE is one of monitoring plugins: 10, 10:, ~:10, 10:20, @10:20. By itself it holds for the number of all
    problems; with a name for the runs or jobs in a state (failed=5), or for a figure: running, time, on a standby
    behind (seconds; a warning beyond 300), and with one --job age, duration (seconds), items, requests,
    failed_requests, errors.

    How far from usual is too far is set in the configuration file: [thresholds].
    """
    rules = _rules(critical, warning, overdue, max_age)
    began = time.monotonic()
    with _within(timeout.total_seconds()), connect.reader(quiet=True) as reader:
        result = _read(reader, jobs, rules, began, verbose)
    output.write_lines([result.line, *result.details])
    return int(result.level)
