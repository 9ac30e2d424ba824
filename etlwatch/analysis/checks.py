"""The answer of `check`, by the convention of monitoring plugins.

Which states are a warning and which are critical, the line, its performance data and the lines below it. Findings
come from `etlwatch.analysis.health`. The convention (https://www.monitoring-plugins.org/doc/guidelines.html): a line
`SERVICE STATUS - text | label=value;warn;crit;min`, more lines if need be, exit status 0, 1, 2 or 3.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from enum import IntEnum
from typing import Final, NamedTuple

from etlwatch.analysis.health import Health
from etlwatch.analysis.schedule import Turn, rhythm_of, turn_of
from etlwatch.analysis.states import RANKS
from etlwatch.text.numbers import behind, duration, late_by, moment, number_of, span
from etlwatch.text.safe import safe
from tracking_core.dataclass import dataclass, field
from tracking_core.records import Run, RunOutline, RunStatus, Switch

FORMS: Final = "10 (alert outside 0 to 10), 10: (below 10), ~:10 (above 10), 10:20 (outside), @10:20 (inside)"


_CHARACTERS: Final = frozenset("@~:.-0123456789")


class Range(NamedTuple):
    """Values that are all right, or with `inside` those that are not; both ends belong to it."""

    text: str
    low: float = 0.0
    high: float = math.inf
    inside: bool = False

    def alerts(self, value: float) -> bool:
        """Return whether a value has to be reported."""
        return (self.low <= value <= self.high) == self.inside


def parse_range(text: str) -> Range:
    """Return the range that a text means; ValueError naming the forms otherwise."""
    low, colon, high = text.removeprefix("@").rpartition(":")
    try:
        begin = -math.inf if low == "~" else float(low or 0)
        end = float(high) if high or not colon else math.inf
    except ValueError:
        begin, end = math.inf, -math.inf
    if begin > end or not (high or low) or not _CHARACTERS.issuperset(text):
        raise ValueError(f"{text!r} is no range: write {FORMS}")
    return Range(text, begin, end, text.startswith("@"))


SERVICE: Final = "ETLWATCH"
NAMED: Final = 3
"""Problems that the first line names; where there are more, all of them follow below it."""

CHECKED: Final = (
    "lost", "failed", "overdue", "stalled", "incomplete", "throttled", "slow", "unusual", "aged", "off", "spooled",
)  # fmt: skip
"""What can be a problem: states of runs and jobs, tracking that is off, and undelivered data on this host."""

PROBLEMS: Final = "problems"
"""What a range without a name applies to: the number of all problems."""

OF_ONE_JOB: Final = ("age", "duration", "items", "requests", "failed_requests", "errors")
"""Figures of the last run of a job, and the age of its last success in seconds: known where one job is checked."""

BEHIND: Final = "behind"
"""How many seconds a standby is behind its primary: states are those of its newest data."""

FAR_BEHIND: Final = Range(text="300", high=300.0)

FIGURES: Final = (PROBLEMS, "running", "time", BEHIND, *OF_ONE_JOB)
"""Numbers beside those of the states that a range may apply to."""


class Level(IntEnum):
    """The statuses of the convention; the values are the exit statuses."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is how grave."""

    critical: frozenset[str] = frozenset({"lost", "failed", "overdue", "stalled", "incomplete", "aged"})
    warning: frozenset[str] = frozenset({"throttled", "slow", "unusual", "off", "spooled"})
    critical_ranges: Mapping[str, Range] = field(default_factory=dict)
    """By state or figure, what its number may be."""

    warning_ranges: Mapping[str, Range] = field(default_factory=lambda: {BEHIND: FAR_BEHIND})
    overdue: timedelta = timedelta(0)
    """How much later than its rhythm lets expect a job may begin."""

    max_age: timedelta | None = None
    """How long ago the last success of a job may have ended; None for any time."""

    def level_of(self, name: str, number: float) -> Level:
        """Return how grave a number is: of the runs or jobs in a state, or a figure."""
        if name in self.critical_ranges and self.critical_ranges[name].alerts(number):
            return Level.CRITICAL
        if number and name in self.critical - self.critical_ranges.keys():
            return Level.CRITICAL
        if name in self.warning_ranges and self.warning_ranges[name].alerts(number):
            return Level.WARNING
        return Level.WARNING if number and name in self.warning - self.warning_ranges.keys() else Level.OK

    def thresholds_of(self, name: str) -> str:
        """Return the fields `warn;crit` of performance data."""
        warn = self.warning_ranges[name].text if name in self.warning_ranges else "0" if name in self.warning else ""
        crit = self.critical_ranges[name].text if name in self.critical_ranges else "0" if name in self.critical else ""
        return f"{warn};{crit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCheck(Turn):
    """What a check looks at of a job."""

    job: str
    failed_at: datetime | None = None
    """When the failure ended that no later run has made good."""

    succeeded_at: datetime | None = None
    """When the last success among its last runs ended."""


def check_job(
    runs: Sequence[RunOutline],
    *,
    alive: bool,
    now: datetime,
    zone: tzinfo | None = None,
    starts: Iterable[datetime] | None = None,
) -> JobCheck:
    """Return what a check looks at of a job; `runs` are its last ones, newest first, `starts` by default theirs.

    A job is `alive` when one of these runs goes on.
    """
    began = sorted(starts if starts is not None else (run.started_at for run in runs))
    turn = turn_of(rhythm_of(began, zone), began, alive=alive, now=now, zone=zone)
    ended = next((run for run in runs if run.status in (RunStatus.COMPLETED, RunStatus.FAILED)), None)
    successes = [run.ended_at for run in runs if run.status == RunStatus.COMPLETED and run.ended_at is not None]
    return JobCheck(
        job=runs[0].job,
        expected=turn.expected,
        overdue_s=turn.overdue_s,
        given_up_since=turn.given_up_since,
        failed_at=ended.ended_at if ended is not None and ended.status == RunStatus.FAILED else None,
        succeeded_at=max(successes, default=None),
    )


@dataclass(frozen=True, slots=True)
class _Problem:
    """One thing that a check may report."""

    state: str
    text: str
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The answer of one check."""

    level: Level
    line: str
    """Without a line feed, and without `|` but before the performance data."""

    details: tuple[str, ...] = ()
    """The lines below it, without `|`."""


def unknown_line(text: str) -> str:
    """Return the line of a check that could not be made."""
    return f"{SERVICE} UNKNOWN - {_plain(text)}"


def check_fleet(
    health: Health,
    jobs: Sequence[JobCheck],
    *,
    rules: Rules,
    now: datetime,
    switches: Iterable[Switch] = (),
    zone: tzinfo | None = None,
    seconds: float | None = None,
    last: Run | None = None,
    spooled: Sequence[float] = (),
    behind_s: float | None = None,
    verbose: int = 0,
) -> CheckResult:
    """Return the answer of a check of living runs and of jobs; `seconds` is what asking took.

    `spooled`: for each file of undelivered data on this host, how many seconds ago something was put into it.
    `last` is the last run where one job is checked: its figures are reported, too. A failure counts until a run of its
    job begun after it has completed, and no more once nobody waits for the job. From `verbose` 1 on each problem is
    reported with its evidence, from 2 on every job.
    """
    found = [
        *_of_runs(health),
        *_of_jobs(jobs, rules, now, zone),
        *_of_switches(switches, now, zone),
        *_of_spools(spooled),
    ]
    numbers: Counter[str] = Counter(problem.state for problem in found)
    numbers["spooled"] = len(spooled)
    if health.outage is not None:
        # One problem, and yet so many runs.
        numbers["lost"] = sum(run.state == "lost" for run in health.runs)
    figures = _figures(health, jobs, now, last, seconds)
    if behind_s is not None:
        figures[BEHIND] = behind_s
    figures[PROBLEMS] = sum(numbers.values())
    reported = _reported(found, numbers, figures, rules)
    level = max((level for level, _ in reported), default=Level.OK)
    problems = [_plain(problem.text) for _, problem in reported]
    named = "; ".join(problems[:NAMED]) if problems else _well(health, jobs)
    more = f"; {len(reported) - NAMED} more below" if len(reported) > NAMED else ""
    more += f"; {number_of(health.jobs_left, 'job')} not compared with earlier runs" if health.jobs_left else ""
    late = f"; {behind(behind_s)}" if behind(behind_s) and all(each.state != BEHIND for _, each in reported) else ""
    latest = f"; last run {_plain(_latest(last, now, zone))}" if last is not None else ""
    data = " ".join(_data(numbers, figures, rules))
    return CheckResult(
        level=level,
        line=f"{SERVICE} {level.name} - {named}{more}{late}{latest} | {data}",
        details=tuple(_details(reported, jobs, now, zone, verbose)),
    )


def _reported(
    found: Iterable[_Problem], numbers: Mapping[str, int], figures: Mapping[str, float], rules: Rules
) -> list[tuple[Level, _Problem]]:
    """Return the problems that are no OK, the gravest first; a range that all together break makes each of them one."""
    overall = rules.level_of(PROBLEMS, figures[PROBLEMS])
    reported = [(max(overall, rules.level_of(each.state, numbers[each.state])), each) for each in found]
    for name, number in (*figures.items(), *((state, numbers[state]) for state in CHECKED)):
        level = rules.level_of(name, number)
        # What has problems of its own is reported by these.
        if level and name != PROBLEMS and not (name in CHECKED and numbers[name]):
            text = (name == BEHIND and behind(number)) or f"{name.replace('_', ' ')} is {number:.15g}"
            reported.append((level, _Problem(name, text)))
    if overall and not reported:
        reported.append((overall, _Problem(PROBLEMS, number_of(int(figures[PROBLEMS]), "problem"))))
    return sorted(
        (pair for pair in reported if pair[0] is not Level.OK),
        key=lambda pair: (-pair[0], RANKS.get(pair[1].state, 99)),
    )


def _details(
    reported: Sequence[tuple[Level, _Problem]],
    jobs: Iterable[JobCheck],
    now: datetime,
    zone: tzinfo | None,
    verbose: int,
) -> Iterator[str]:
    if verbose or len(reported) > NAMED:
        for level, problem in reported:
            because = f": {problem.because}" if verbose and problem.because else ""
            yield _plain(f"{level.name} {problem.text}{because}")
    for job in jobs if verbose > 1 else ():
        success = f"last success {moment(job.succeeded_at, now, zone)}" if job.succeeded_at else "no success"
        due = f", next due {moment(job.expected.at, now, zone)}" if job.expected else ", no rhythm"
        yield _plain(f"{job.job}: {success}{due}")


def _of_runs(health: Health) -> Iterable[_Problem]:
    outage = health.outage
    if outage is not None:
        yield _Problem("lost", f"tracking outage: {outage.sentence}")
    for run in health.runs:
        findings = health.findings.get(run.run_id, ())
        struck = outage is not None and run.run_id in outage.run_ids
        for finding in () if struck else findings:
            yield _Problem(finding.kind, f"{run.job} {finding.kind}: {finding.note}", finding.evidence)


def _of_jobs(jobs: Iterable[JobCheck], rules: Rules, now: datetime, zone: tzinfo | None) -> Iterable[_Problem]:
    for job in jobs:
        if job.overdue_s is not None and job.overdue_s > rules.overdue.total_seconds() and job.expected is not None:
            due = moment(job.expected.at, now, zone)
            yield _Problem("overdue", f"{job.job} has not begun: due {due}, {late_by(job.overdue_s)} overdue")
        if job.failed_at is not None and job.given_up_since is None:
            yield _Problem("failed", f"{job.job} failed {moment(job.failed_at, now, zone)}")
        age = None if job.succeeded_at is None else now - job.succeeded_at
        if rules.max_age is not None and job.given_up_since is None and (age is None or age > rules.max_age):
            ago = f"for {span(age.total_seconds())}" if age is not None else "in its last runs"
            yield _Problem("aged", f"{job.job} has not completed {ago}")


def _of_switches(switches: Iterable[Switch], now: datetime, zone: tzinfo | None) -> Iterable[_Problem]:
    for switch in switches:
        if not switch.enabled:
            which = "" if switch.scope == "global" else f" of {switch.job}"
            yield _Problem("off", f"tracking{which} is off since {moment(switch.changed_at, now, zone)}")


def _of_spools(ages_s: Sequence[float]) -> Iterable[_Problem]:
    if ages_s:
        files = f"{number_of(len(ages_s), 'spool file')} {'waits' if len(ages_s) == 1 else 'wait'}"
        text = f"{files} on this host, the oldest for {span(max(ages_s))}: etlwatch spool status"
        yield _Problem("spooled", text)


def _well(health: Health, jobs: Sequence[JobCheck]) -> str:
    if not jobs:
        return "no runs yet"
    living = sum(run.status == RunStatus.RUNNING for run in health.runs)
    known = sum(job.expected is not None for job in jobs)
    return f"{number_of(len(jobs), 'job')}, {living} running; {known} with a rhythm, none overdue"


def _latest(run: Run, now: datetime, zone: tzinfo | None) -> str:
    """Return the figures of a run in words."""
    when = f"since {moment(run.started_at, now, zone)}" if run.ended_at is None else moment(run.ended_at, now, zone)
    counts = ", ".join(number_of(getattr(run, f"{thing}s"), thing) for thing in ("item", "request", "error"))
    return f"{run.state} {when}, {duration(run.duration_s)}, {counts}"


def _plain(text: str) -> str:
    """Return text that fits into one line: nothing hidden, no line feed, and no bar, which begins the data."""
    return " ".join(safe(text).replace("|", "/").split())


def _figures(
    health: Health, jobs: Sequence[JobCheck], now: datetime, last: Run | None, seconds: float | None
) -> dict[str, float]:
    """Return the numbers beside those of the states, as far as they are known."""
    running = sum(run.status == RunStatus.RUNNING and run.state != "lost" for run in health.runs)
    found: dict[str, float] = {"running": running}
    if len(jobs) == 1 and jobs[0].succeeded_at is not None:
        found["age"] = (now - jobs[0].succeeded_at).total_seconds()
    if last is not None:
        found |= {"duration": last.duration_s, "items": last.items, "requests": last.requests}
        found |= {"failed_requests": last.failed_requests, "errors": last.errors}
    if seconds is not None:
        found["time"] = seconds
    return found


def _data(numbers: Mapping[str, int], figures: Mapping[str, float], rules: Rules) -> Iterator[str]:
    for state in CHECKED:
        if state == "off" or (state == "spooled" and not numbers[state]) or (state == "aged" and rules.max_age is None):
            continue
        yield f"{state}={numbers[state]};{rules.thresholds_of(state)};0"
    for name, number in figures.items():
        thresholds = rules.thresholds_of(name)
        if name == "age" and rules.max_age is not None and thresholds == ";":
            limit = f"{rules.max_age.total_seconds():.0f}"
            thresholds = f"{limit if 'aged' in rules.warning else ''};{limit if 'aged' in rules.critical else ''}"
        if name == PROBLEMS and thresholds == ";":
            continue
        value = (
            f"{number:.3f}s"
            if name == "time"
            else f"{number:.0f}s"
            if name in ("age", "duration", BEHIND)
            else f"{number:.0f}"
        )
        yield f"{name}={value};{thresholds};0"
