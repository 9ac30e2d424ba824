"""The derived state of living runs with every proof, and many lost at once said as one outage."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from etlwatch.analysis.baseline import JobBaseline, Usual
from etlwatch.analysis.health import health_of_runs, outage_of
from tests.etlwatch.fleet import NOW, make_phase, make_run
from tracking_core.records import Run, SeriesCell

USUALLY_20_MINUTES = JobBaseline(runs=30, duration_s=Usual(runs=30, usual=1200, p95=1500, low=1100, high=1300))
MINUTE = timedelta(minutes=1)


def lost(job: str, host: str, silent_s: float, number: int = 0, **fields: object) -> Run:
    return make_run(
        job,
        minutes_ago=90,
        state="lost",
        number=number,
        host=host,
        heartbeat_at=NOW - timedelta(seconds=silent_s),
        evidence=f"no heartbeat for {silent_s:.0f} s; it beats every 10 s",
        **fields,
    )


def judged(*runs: Run, baselines: dict[str, JobBaseline] | None = None, **parts: object) -> list[Run]:
    return list(health_of_runs(runs, now=NOW, baselines=baselines or {}, **parts).runs)  # type: ignore[arg-type]


# -- one run


def test_the_first_that_holds_is_the_state_and_all_that_hold_are_the_evidence() -> None:
    run = make_run("sync", minutes_ago=45, progress_at=NOW - 20 * MINUTE, requests=900, throttled_requests=50)
    cells = [SeriesCell(bucket=int((NOW - MINUTE).timestamp()), width=60, requests=100, throttled=50)]
    health = health_of_runs([run], now=NOW, baselines={"sync": USUALLY_20_MINUTES}, series={run.run_id: cells})
    (after,) = health.runs
    assert [finding.kind for finding in health.findings[run.run_id]] == ["stalled", "throttled", "slow"]
    assert after.state == "stalled"
    assert after.state_since == NOW - 20 * MINUTE
    assert after.evidence.startswith("heartbeats arrive; the run has not moved for 20m")
    assert "; also throttled: 50% of its requests" in after.evidence
    assert "; also slow: running for 45m" in after.evidence
    assert after.status == "running", "the stored status is never touched"


def test_a_run_that_is_well_stays_as_it_was_read() -> None:
    run = make_run("sync", minutes_ago=5, progress_at=NOW)
    assert judged(run, baselines={"sync": USUALLY_20_MINUTES}) == [run]


def test_a_run_whose_past_was_not_read_is_not_judged_by_none() -> None:
    run = make_run("sync", minutes_ago=600, progress_at=NOW - 60 * MINUTE, requests=9)
    assert judged(run) == [run]
    assert judged(run, baselines={"sync": JobBaseline()})[0].state == "stalled", (
        "a job without a past is judged all the same"
    )


def test_a_slow_run_names_its_phase() -> None:
    run = make_run("sync", minutes_ago=45, progress_at=NOW)
    phase = make_phase(run, "load", 1, "running")
    (after,) = judged(run, baselines={"sync": USUALLY_20_MINUTES}, phases={run.run_id: [phase]})
    assert after.state == "slow"


def test_runs_that_have_ended_are_left_alone() -> None:
    run = make_run("sync", minutes_ago=600, lasted_s=9000)
    assert judged(run, baselines={"sync": USUALLY_20_MINUTES}) == [run]


# -- lost


def test_another_run_that_beats_on_its_host_proves_the_host_up() -> None:
    silent = lost("sync", "etl-03", 840)
    health = health_of_runs([silent, make_run("ads", host="etl-03")], now=NOW, baselines={})
    (finding,) = health.findings[silent.run_id]
    assert finding.note == "silent 14m, host is up"
    assert health.runs[0].evidence.endswith("; etl-03 is up: another run there beats")
    elsewhere = health_of_runs([silent, make_run("ads", host="etl-04")], now=NOW, baselines={})
    assert elsewhere.findings[silent.run_id][0].note == "silent 14m"
    for boot_id in ("b1/4026531836", "b0/4026532000", ""):
        container = health_of_runs([silent, make_run("ads", host="etl-03", boot_id=boot_id)], now=NOW, baselines={})
        assert container.findings[silent.run_id][0].note == "silent 14m", "a name that another machine has as well"
    unknown = health_of_runs([replace(run, boot_id="") for run in (silent, make_run("ads"))], now=NOW, baselines={})
    assert unknown.findings[silent.run_id][0].note == "silent 14m"


def test_two_lost_runs_are_two_lost_runs() -> None:
    assert outage_of([lost("a", "h1", 600), lost("b", "h2", 604, 1)]) is None


def test_many_runs_lost_at_once_are_one_outage() -> None:
    gone = [lost(f"job{n}", f"host{n % 3}", 600 + n, n) for n in range(6)]
    health = health_of_runs([*gone, make_run("young", minutes_ago=1)], now=NOW, baselines={})
    outage = health.outage
    assert outage is not None
    assert outage.run_ids == {run.run_id for run in gone}
    assert outage.since == NOW - timedelta(seconds=605)
    assert outage.sentence == "6 runs of 6 jobs on 3 hosts went silent within 5s"
    assert health.findings[gone[0].run_id][0].note == "silent 10m with 5 more"
    assert "one tracking outage: 6 runs" in health.runs[0].evidence


def test_runs_lost_at_different_times_are_no_outage() -> None:
    assert outage_of([lost(f"job{n}", "h", 600 * (n + 1), n) for n in range(6)]) is None


def test_a_few_lost_among_many_that_beat_are_no_outage() -> None:
    gone = [lost(f"job{n}", f"gone{n}", 600 + n, n) for n in range(3)]
    alive = [make_run(f"alive{n}", minutes_ago=60, number=n, host=f"h{n}") for n in range(4)]
    assert outage_of([*gone, *alive]) is None


def test_a_host_that_took_all_its_runs_along_is_an_outage_of_that_host() -> None:
    gone = [lost(f"job{n}", "etl-03", 600 + n, n) for n in range(3)]
    alive = [make_run(f"alive{n}", minutes_ago=60, number=n, host="etl-04") for n in range(9)]
    outage = outage_of([*gone, *alive])
    assert outage is not None
    assert outage.sentence == "3 runs of 3 jobs on etl-03 went silent within 2s"
    namesakes = [replace(run, host="etl-03", boot_id="b9/4026531836") for run in alive]
    assert outage_of([*gone, *namesakes]) == outage
