"""The one line for a monitoring system: what is how grave, what is named first, what the numbers say."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from etlwatch.analysis.baseline import JobBaseline, Usual
from etlwatch.analysis.checks import (
    CheckResult,
    JobCheck,
    Level,
    Rules,
    check_fleet,
    check_job,
    parse_range,
    unknown_line,
)
from etlwatch.analysis.health import Health, health_of_runs
from tests.etlwatch.fleet import NOW, make_run, outline_of
from tests.etlwatch.job_night import PARIS, ended_runs, night_jobs
from tracking_core.records import Run, Switch

USUALLY_20_MINUTES = JobBaseline(runs=30, duration_s=Usual(runs=30, usual=1200, p95=1500, low=1100, high=1300))


def judged(*runs: Run) -> Health:
    return health_of_runs(runs, now=NOW, baselines={"sync": USUALLY_20_MINUTES})


def job_of(*runs: Run) -> JobCheck:
    alive = any(run.status == "running" and run.state != "lost" for run in runs)
    newest = sorted(runs, key=lambda run: run.started_at, reverse=True)
    return check_job([outline_of(run) for run in newest], alive=alive, now=NOW, zone=PARIS)


def check(health: Health, *jobs: JobCheck, rules: Rules | None = None, **options: object) -> CheckResult:
    return check_fleet(health, jobs, rules=rules or Rules(), now=NOW, zone=PARIS, **options)  # type: ignore[arg-type]


def text_of(result: CheckResult) -> str:
    return result.line.partition(" | ")[0]


def test_all_is_well_when_nothing_needs_anybody() -> None:
    run = make_run("sync", minutes_ago=5)
    result = check(judged(run), job_of(run, *ended_runs("sync", 10, since=60, every=60)))
    assert result.level is Level.OK
    assert text_of(result) == "ETLWATCH OK - 1 job, 1 running; 1 with a rhythm, none overdue"


def test_an_empty_store_is_no_fault() -> None:
    assert text_of(check(judged())) == "ETLWATCH OK - no runs yet"


def test_a_late_run_is_a_warning_and_a_lost_one_critical() -> None:
    slow = make_run("sync", minutes_ago=45)
    assert check(judged(slow), job_of(slow)).level is Level.WARNING
    assert "sync slow: 1.8× its p95" in text_of(check(judged(slow), job_of(slow)))
    lost = make_run("ads", minutes_ago=45, state="lost", number=1, heartbeat_at=NOW - timedelta(minutes=14))
    result = check(judged(slow, lost), job_of(slow), job_of(lost))
    assert result.level is Level.CRITICAL
    assert text_of(result) == "ETLWATCH CRITICAL - ads lost: silent 14m, host is up; sync slow: 1.8× its p95"


def test_a_failure_counts_until_it_is_made_good() -> None:
    failed = check(judged(), job_of(*ended_runs("sync", 10, since=60, failed=(0,))))
    assert text_of(failed) == "ETLWATCH CRITICAL - sync failed 02:22"
    assert check(judged(), job_of(*ended_runs("sync", 10, since=60, failed=(1,)))).level is Level.OK
    again = [make_run("sync", minutes_ago=1), *ended_runs("sync", 10, since=60, failed=(0,))]
    assert check(judged(again[0]), job_of(*again)).level is Level.CRITICAL, "that it runs again mends nothing yet"


def test_a_failure_of_a_job_that_nobody_runs_any_more_is_none() -> None:
    old = ended_runs("sync", 10, since=60 * 24 * 30, every=60, failed=(0,))
    assert check(judged(), job_of(*old)).level is Level.OK


def test_a_job_that_has_not_begun_is_critical_from_the_lateness_that_is_asked_for() -> None:
    late = job_of(*next(row for row in night_jobs() if row.overdue_s is not None).runs)
    result = check(judged(), late)
    assert text_of(result) == "ETLWATCH CRITICAL - nightly_ledger has not begun: due 02:00, 1h 12m overdue"
    assert check(judged(), late, rules=Rules(overdue=timedelta(hours=1))).level is Level.CRITICAL
    assert check(judged(), late, rules=Rules(overdue=timedelta(hours=2))).level is Level.OK


def test_the_age_of_the_last_success_is_checked_where_that_is_asked_for() -> None:
    row = job_of(*ended_runs("sync", 10, since=300, every=24 * 60))
    assert check(judged(), row, rules=Rules(max_age=timedelta(hours=6))).level is Level.OK
    result = check(judged(), row, rules=Rules(max_age=timedelta(hours=4)))
    assert text_of(result) == "ETLWATCH CRITICAL - sync has not completed for 4h 50m"
    assert "age=17400s;;14400;0" in result.line
    never = job_of(*ended_runs("sync", 10, count=2, since=60, failed=(0, 1)))
    assert (
        "sync has not completed in its last runs" in check(judged(), never, rules=Rules(max_age=timedelta(days=9))).line
    )


def test_what_is_grave_can_be_said_otherwise() -> None:
    slow = make_run("sync", minutes_ago=45)
    rules = Rules(critical=frozenset({"slow"}), warning=frozenset())
    assert check(judged(slow), job_of(slow), rules=rules).level is Level.CRITICAL
    nothing = Rules(critical=frozenset(), warning=frozenset())
    result = check(judged(slow), job_of(slow), rules=nothing)
    assert result.level is Level.OK
    assert "slow=1;;;0" in result.line, "the number is told all the same"


def test_jobs_that_were_not_compared_are_counted() -> None:
    health = replace(judged(make_run("sync", minutes_ago=1)), jobs_left=3)
    result = check(health, job_of(make_run("sync", minutes_ago=1)))
    assert result.level is Level.OK
    assert text_of(result).endswith("; 3 jobs not compared with earlier runs")


def test_a_standby_tells_how_far_it_is_behind_and_far_behind_is_a_warning() -> None:
    job = job_of(*ended_runs("sync", 10, since=60))
    assert "behind" not in check(judged(), job).line, "a primary"
    level = check(judged(), job, behind_s=0.3)
    assert (level.level, text_of(level).endswith("behind")) == (Level.OK, False)
    some = check(judged(), job, behind_s=34.2)
    assert (some.level, text_of(some).endswith("; standby 34s behind")) == (Level.OK, True)
    assert some.line.endswith("behind=34s;300;;0")
    far = check(judged(), job, behind_s=301.0)
    assert text_of(far) == "ETLWATCH WARNING - standby 5m 01s behind"
    critical = Rules(critical_ranges={"behind": parse_range("60")})
    assert check(judged(), job, rules=critical, behind_s=61.0).level is Level.CRITICAL


def test_many_lost_at_once_are_one_problem_with_all_of_them_counted() -> None:
    gone = [
        make_run(f"job{n}", minutes_ago=60, state="lost", number=n, heartbeat_at=NOW - timedelta(seconds=600 + n))
        for n in range(5)
    ]
    result = check(judged(*gone), *map(job_of, gone))
    assert text_of(result) == ("ETLWATCH CRITICAL - tracking outage: 5 runs of 5 jobs on etl-03 went silent within 4s")
    assert "lost=5;;0;0" in result.line


def test_tracking_that_is_off_is_said() -> None:
    switch = Switch(
        scope="global", job="", enabled=False, changed_at=NOW - timedelta(hours=1), changed_by="ana", reason="move"
    )
    result = check(judged(), switches=[switch, replace(switch, enabled=True)])
    assert result.level is Level.WARNING
    assert text_of(result) == "ETLWATCH WARNING - tracking is off since 02:12"
    one = check(judged(), switches=[replace(switch, scope="job", job="sync")])
    assert text_of(one) == "ETLWATCH WARNING - tracking of sync is off since 02:12"


def failed_jobs(number: int) -> list[JobCheck]:
    return [job_of(make_run(f"job{n}", minutes_ago=60, lasted_s=60, status="failed", number=n)) for n in range(number)]


def test_the_gravest_are_named_and_all_of_them_follow() -> None:
    result = check(judged(), *failed_jobs(7))
    assert text_of(result).endswith("job0 failed 02:13; job1 failed 02:13; job2 failed 02:13; 4 more below")
    assert result.details == tuple(f"CRITICAL job{n} failed 02:13" for n in range(7))
    assert check(judged(), *failed_jobs(3)).details == ()


def test_evidence_and_jobs_are_told_where_more_is_asked_for() -> None:
    slow = make_run("sync", minutes_ago=45)
    job = job_of(slow, *ended_runs("sync", 10, since=300, every=24 * 60))
    (evidence,) = check(judged(slow), job, verbose=1).details
    assert evidence.startswith("WARNING sync slow: 1.8× its p95: running for 45m")
    assert check(judged(slow), job, verbose=2).details[1:] == ("sync: last success Sun 22:22, next due 22:12",)


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("10", [0, 10], [-1, 11]),
        ("10:", [10, 99], [9]),
        ("~:10", [-5, 10], [11]),
        ("10:20", [10, 20], [9, 21]),
        ("@10:20", [9, 21], [10, 15, 20]),
        ("-5:0.5", [-5, 0.5], [-6, 1]),
    ],
)
def test_ranges_are_those_of_monitoring_plugins(text: str, right: list[float], wrong: list[float]) -> None:
    given = parse_range(text)
    assert not any(map(given.alerts, right))
    assert all(map(given.alerts, wrong))


@pytest.mark.parametrize("text", ["", "x", "20:10", ":", "@", "~", "inf", "nan", "10:~", "1:2:3", "1_0", " 1"])
def test_what_is_no_range_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is no range: write 10 "):
        parse_range(text)


def test_a_range_holds_for_the_number_in_a_state() -> None:
    rules = Rules(critical_ranges={"failed": parse_range("2")}, warning_ranges={"failed": parse_range("1")})
    levels = [check(judged(), *failed_jobs(n), rules=rules).level for n in range(4)]
    assert levels == [Level.OK, Level.OK, Level.WARNING, Level.CRITICAL]
    assert "failed=3;1;2;0" in check(judged(), *failed_jobs(3), rules=rules).line


def test_a_range_without_a_name_holds_for_the_number_of_problems() -> None:
    rules = Rules(
        critical=frozenset(),
        warning=frozenset(),
        critical_ranges={"problems": parse_range("2")},
        warning_ranges={"problems": parse_range("0")},
    )
    levels = [check(judged(), *failed_jobs(n), rules=rules).level for n in range(4)]
    assert levels == [Level.OK, Level.WARNING, Level.WARNING, Level.CRITICAL]
    assert "problems=3;0;2;0" in check(judged(), *failed_jobs(3), rules=rules).line
    few = replace(rules, critical_ranges={"problems": parse_range("@0:0")}, warning_ranges={})
    assert text_of(check(judged(), rules=few)) == "ETLWATCH CRITICAL - 0 problems"


def test_the_figures_of_the_last_run_are_told_and_may_be_limited() -> None:
    last = make_run("sync", minutes_ago=60, lasted_s=600, items=0, requests=7)
    rules = Rules(warning_ranges={"items": parse_range("1:")})
    result = check(judged(), job_of(last), last=last, rules=rules)
    assert text_of(result) == (
        "ETLWATCH WARNING - items is 0; last run completed 02:22, 10m 00s, 0 items, 7 requests, 0 errors"
    )
    assert {"duration=600s;;;0", "items=0;1:;;0", "requests=7;;;0"} < set(result.line.split(" "))


def test_the_line_is_one_line_with_one_bar_whatever_jobs_are_called() -> None:
    name = "a|b\n\x1b[31mc"
    runs = [make_run(name, minutes_ago=60, lasted_s=60, status="failed")]
    for result in (check(judged(), job_of(*runs)).line, unknown_line(name)):
        assert "\n" not in result
        assert "\x1b" not in result
        assert result.count("|") == (1 if "ETLWATCH C" in result else 0)


def test_the_data_is_in_the_form_of_the_convention() -> None:
    slow = make_run("sync", minutes_ago=45)
    line = check(judged(slow), job_of(slow), seconds=0.0123).line
    data = line.partition(" | ")[2].split(" ")
    assert "time=0.012s;;;0" in data
    assert "slow=1;0;;0" in data
    assert "running=1;;;0" in data
    assert all(re.fullmatch(r"[a-z]+=\d+(\.\d+)?s?;\d*;\d*;0", each) for each in data)


@pytest.mark.parametrize("level", list(Level))
def test_the_levels_are_the_exit_statuses(level: Level) -> None:
    assert int(level) == {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}[level.name]
