"""Whether somebody has to be told, in one line, by the convention of monitoring plugins.

Owns which states are a warning and which are critical, the line and its performance data. Refuses to own the facts:
runs are judged and jobs are rows already. The convention (https://www.monitoring-plugins.org/doc/guidelines.html): one
line `SERVICE STATUS - text | label=value;warn;crit;min`, exit status 0, 1, 2 or 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import IntEnum
from typing import Final

from etlwatch.model.job_cells import late_by
from etlwatch.model.jobs import JobRow
from etlwatch.model.judged import Judgement, Outage
from etlwatch.model.numbers import moment, span
from etlwatch.model.verdict import RANKS
from etlwatch.text import safe
from tracking_core.records import Run, RunStatus, Switch

__all__ = ["CHECKED", "CheckResult", "Level", "Rules", "check_fleet", "unknown_line"]

SERVICE: Final = "ETLWATCH"
NAMED: Final = 3
"""Problems that the line names; the rest is counted."""

CHECKED: Final = ("lost", "failed", "overdue", "stalled", "throttled", "slow", "aged", "off")
"""What can be a problem: states of runs, a job that has not begun or has not completed, and tracking that is off."""


class Level(IntEnum):
    """The statuses of the convention; the values are the exit statuses."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is how grave."""

    critical: frozenset[str] = frozenset({"lost", "failed", "overdue", "aged"})
    warning: frozenset[str] = frozenset({"stalled", "throttled", "slow", "off"})
    overdue: timedelta = timedelta(0)
    """How much later than its rhythm lets expect a job may begin."""

    max_age: timedelta | None = None
    """How long ago the last success of a job may have ended; None for any time."""

    def level_of(self, state: str) -> Level:
        """Return how grave a state is."""
        return Level.CRITICAL if state in self.critical else Level.WARNING if state in self.warning else Level.OK


@dataclass(frozen=True, slots=True)
class _Problem:
    """One thing that somebody may have to know."""

    state: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The answer of one check."""

    level: Level
    line: str
    """Without a line feed, and without `|` but before the performance data."""


def unknown_line(text: str) -> str:
    """Return the line of a check that could not be made."""
    return f"{SERVICE} UNKNOWN - {_plain(text)}"


def check_fleet(
    judgement: Judgement,
    jobs: Sequence[JobRow],
    *,
    rules: Rules,
    now: datetime,
    switches: Iterable[Switch] = (),
    zone: tzinfo | None = None,
    seconds: float | None = None,
) -> CheckResult:
    """Return what a check says of living runs and of jobs; `seconds` is what asking took.

    A failure counts until a run of its job begun after it has completed, and no more once nobody waits for the job.
    """
    found = [
        *_of_runs(judgement),
        *_of_jobs(jobs, rules, now, zone),
        *_of_switches(switches, now, zone),
    ]
    told = [problem for problem in found if rules.level_of(problem.state) is not Level.OK]
    order = {state: place for place, state in enumerate(("off", "overdue", "aged", *RANKS))}
    told.sort(key=lambda problem: (-rules.level_of(problem.state), order.get(problem.state, 99)))
    level = max((rules.level_of(problem.state) for problem in told), default=Level.OK)
    numbers = Counter(problem.state for problem in found)
    if judgement.outage is not None:
        # One problem, and yet so many runs.
        numbers["lost"] = sum(run.state == "lost" for run in judgement.runs)
    text = _told(told) if told else _well(judgement, jobs)
    return CheckResult(
        level=level, line=f"{SERVICE} {level.name} - {text} | {_data(numbers, rules, judgement, jobs, now, seconds)}"
    )


def _of_runs(judgement: Judgement) -> Iterable[_Problem]:
    outage = judgement.outage
    if outage is not None:
        yield _Problem("lost", _outage(outage))
    for run in judgement.runs:
        findings = judgement.findings.get(run.run_id, ())
        struck = outage is not None and run.run_id in outage.run_ids
        for finding in () if struck else findings:
            yield _Problem(finding.state, f"{run.job} {finding.state}: {finding.note}")


def _outage(outage: Outage) -> str:
    return f"tracking outage: {outage.sentence}"


def _of_jobs(jobs: Iterable[JobRow], rules: Rules, now: datetime, zone: tzinfo | None) -> Iterable[_Problem]:
    for row in jobs:
        if row.overdue_s is not None and row.overdue_s > rules.overdue.total_seconds() and row.expected is not None:
            due = moment(row.expected.at, now, zone)
            yield _Problem("overdue", f"{row.job} has not begun: due {due}, {late_by(row.overdue_s)} overdue")
        failed = _last_failure(row)
        if failed is not None and row.given_up_since is None:
            yield _Problem("failed", f"{row.job} failed {moment(failed.ended_at, now, zone)}")
        age = _age_of_success(row, now)
        if rules.max_age is not None and row.given_up_since is None and (age is None or age > rules.max_age):
            ago = f"for {span(age.total_seconds())}" if age is not None else "in its last runs"
            yield _Problem("aged", f"{row.job} has not completed {ago}")


def _last_failure(row: JobRow) -> Run | None:
    """Return the failure that is not made good, if there is one."""
    ended = [run for run in row.runs if run.status in (RunStatus.COMPLETED, RunStatus.FAILED)]
    return ended[-1] if ended and ended[-1].status == RunStatus.FAILED else None


def _age_of_success(row: JobRow, now: datetime) -> timedelta | None:
    ended = [run.ended_at for run in row.runs if run.status == RunStatus.COMPLETED and run.ended_at is not None]
    return now - max(ended) if ended else None


def _of_switches(switches: Iterable[Switch], now: datetime, zone: tzinfo | None) -> Iterable[_Problem]:
    for switch in switches:
        if not switch.enabled:
            which = "" if switch.scope == "global" else f" of {switch.job}"
            yield _Problem("off", f"tracking{which} is off since {moment(switch.changed_at, now, zone)}")


def _told(problems: Sequence[_Problem]) -> str:
    named = "; ".join(_plain(problem.text) for problem in problems[:NAMED])
    return f"{named}; {len(problems) - NAMED} more" if len(problems) > NAMED else named


def _well(judgement: Judgement, jobs: Sequence[JobRow]) -> str:
    if not jobs:
        return "no runs yet"
    living = sum(run.status == RunStatus.RUNNING for run in judgement.runs)
    known = sum(row.expected is not None for row in jobs)
    jobs_word = "job" if len(jobs) == 1 else "jobs"
    return f"{len(jobs)} {jobs_word}, {living} running; {known} with a rhythm, none overdue"


def _plain(text: str) -> str:
    """Return text that fits into the one line: nothing hidden, no line feed, and no bar, which begins the data."""
    return " ".join(safe(text).replace("|", "/").split())


def _data(
    numbers: Counter[str],
    rules: Rules,
    judgement: Judgement,
    jobs: Sequence[JobRow],
    now: datetime,
    seconds: float | None,
) -> str:
    data = []
    for state in CHECKED:
        if state == "off" or (state == "aged" and rules.max_age is None):
            continue
        level = rules.level_of(state)
        warn, crit = ("0" if level is each else "" for each in (Level.WARNING, Level.CRITICAL))
        data.append(f"{state}={numbers[state]};{warn};{crit};0")
    data.append(f"running={sum(run.status == RunStatus.RUNNING and run.state != 'lost' for run in judgement.runs)};;;0")
    if len(jobs) == 1:
        age = _age_of_success(jobs[0], now)
        limit = "" if rules.max_age is None else f"{rules.max_age.total_seconds():.0f}"
        level = rules.level_of("aged")
        warn, crit = (limit if level is each else "" for each in (Level.WARNING, Level.CRITICAL))
        if age is not None:
            data.append(f"age={age.total_seconds():.0f}s;{warn};{crit};0")
    if seconds is not None:
        data.append(f"time={seconds:.3f}s;;;0")
    return " ".join(data)
