"""Whether a living run is behind: by comparison with its job's own past, with proof, and never without a past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etlwatch.analysis.baseline import MINIMUM_RUNS, JobBaseline, PhaseBaseline, Usual, baseline_of, usual_of
from etlwatch.analysis.findings import RECENT_S, latest_progress
from etlwatch.analysis.forecast import estimate, share_done
from etlwatch.analysis.states import Thresholds
from tests.etlwatch.fleet import found_in as findings
from tracking_core.histogram import bucket_of, pack
from tracking_core.records import EndpointTotals, Phase, Run, SeriesCell

NOW = datetime(2026, 3, 2, 3, 12, 44, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def run_of(run_id: int = 1, *, began: datetime = NOW - 30 * MINUTE, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "run_id": run_id,
        "job": "sync",
        "notes": None,
        "status": "running",
        "state": "running",
        "started_at": began,
        "ended_at": None,
        "duration_s": (NOW - began).total_seconds(),
        "requests": 0,
        "items": 0,
        "failed_requests": 0,
        "throttled_requests": 0,
        "errors": 0,
        "host": "h",
        "pid": 1,
        "user": "u",
        "command": "c",
        "code_version": "",
        "progress_at": NOW,
    }
    return Run(**{**values, **changes})


def done(run_id: int, minutes: float, **changes: Any) -> Run:
    began = NOW - timedelta(days=run_id)
    seconds = minutes * 60
    ended = began + timedelta(seconds=seconds)
    return run_of(
        run_id, began=began, status="completed", state="completed", ended_at=ended, duration_s=seconds, **changes
    )


def phase_of(name: str, position: int, began: datetime | None, ended: datetime | None = None, **changes: Any) -> Phase:
    status = "pending" if began is None else "running" if ended is None else "completed"
    values: dict[str, Any] = {"run_id": 1, "status": status, "counters": {}}
    return Phase(**{**values, "phase": name, "position": position, "started_at": began, "ended_at": ended, **changes})


def cell(began: datetime, requests: int, throttled: int = 0, width: int = 60) -> SeriesCell:
    return SeriesCell(bucket=int(began.timestamp()), width=width, requests=requests, throttled=throttled)


def endpoint(run_id: int, name: str, milliseconds: int, requests: int = 100) -> EndpointTotals:
    return EndpointTotals(
        run_id=run_id,
        endpoint=name,
        requests=requests,
        max_ms=milliseconds,
        duration_ms=requests * milliseconds,
        histogram=tuple(pack({bucket_of(milliseconds): requests})),
    )


def baseline(**parts: Usual) -> JobBaseline:
    return JobBaseline(runs=30, **parts)  # type: ignore[arg-type]


USUALLY_20_MINUTES = Usual(runs=30, usual=1200, p95=1500, low=1100, high=1300)


def test_fewer_than_five_runs_are_no_normal() -> None:
    assert usual_of([1.0] * (MINIMUM_RUNS - 1)) == Usual(runs=MINIMUM_RUNS - 1)
    assert usual_of([1.0, 2.0, 3.0, 4.0, 100.0]).usual == 3.0
    assert usual_of([1.0, 2.0, 3.0, 4.0, 100.0]).p95 == 100.0
    assert Usual(runs=3).ratio(10) is None


def test_a_past_is_the_figures_of_its_runs_phases_and_endpoints() -> None:
    runs = [done(n, 10 + n, requests=600, items=6000, throttled_requests=6) for n in range(1, 6)]
    phases = [
        phase_of(
            name, place, run.started_at, run.started_at + minutes * MINUTE, run_id=run.run_id, peak_memory_mb=100.0
        )
        for run in runs
        for name, place, minutes in (("load", 2, 8), ("fetch", 1, 3))
    ]
    endpoints = [endpoint(run.run_id, "/contacts", 800) for run in runs]
    pauses = {run.run_id: {"": 300, "load": 40} for run in runs[:5]}
    found = baseline_of(runs, phases, endpoints, pauses)
    assert found.runs == 5
    assert found.duration_s.usual == 13 * 60
    assert found.requests.usual == 600
    assert found.throttled_share.usual == pytest.approx(0.01)
    assert [phase.phase for phase in found.phases] == ["fetch", "load"]
    assert found.phases[1].duration_s.usual == 8 * 60
    assert found.endpoint_p95_ms["/contacts"].usual == pytest.approx(800, rel=0.05)
    assert found.memory_mb.usual == 100
    assert (found.pauses_s[""].usual, found.pauses_s["load"].usual) == (300, 40)


def test_a_job_without_completed_runs_has_no_past() -> None:
    assert baseline_of([]) == JobBaseline()


def test_a_run_is_slow_far_beyond_its_jobs_p95_and_shows_since_when() -> None:
    late = run_of(began=NOW - 45 * MINUTE)
    (finding,) = findings(late, baseline(duration_s=USUALLY_20_MINUTES), now=NOW)
    assert finding.kind == "slow"
    assert finding.since == late.started_at + timedelta(seconds=1.25 * 1500)
    assert "1.8×" in finding.note
    for minutes in (20, 26, 31):
        well = run_of(began=NOW - minutes * MINUTE)
        assert findings(well, baseline(duration_s=USUALLY_20_MINUTES), now=NOW) == (), minutes


def test_a_run_is_slow_only_outside_of_the_interval_of_comparable_runs() -> None:
    """Durations that vary by half make a run of twice its p95 possible; five runs show less than thirty."""
    varied = [10, 24, 13, 31, 17, 12, 28, 15, 20, 11]
    for number, minutes, states in ((30, 35, []), (30, 95, ["slow"]), (5, 95, []), (5, 900, ["slow"])):
        known = baseline_of([done(n, varied[n % 10]) for n in range(1, number + 1)])
        found = findings(run_of(99, began=NOW - minutes * MINUTE), known, now=NOW)
        assert [each.kind for each in found] == states, (number, minutes)


def test_a_full_load_is_compared_with_full_loads() -> None:
    runs = [
        done(n, 60 + n % 3 if n % 6 == 0 else 10 + n % 3 / 9, tags={"mode": "full" if n % 6 == 0 else "new"})
        for n in range(1, 31)
    ]
    known = baseline_of(runs)
    for mode, minutes, states in (
        ("new", 14, ["slow"]),
        ("new", 12, []),
        ("full", 70, []),
        ("full", 99, ["slow"]),
        ("all", 500, []),
    ):
        run = run_of(99 + minutes, began=NOW - minutes * MINUTE, tags={"mode": mode})
        assert [each.kind for each in findings(run, known, now=NOW)] == states, (mode, minutes)


def test_without_a_normal_nothing_is_slow() -> None:
    assert findings(run_of(began=NOW - timedelta(days=3)), baseline(duration_s=Usual(runs=4)), now=NOW) == ()


def test_a_slow_run_names_the_phase_and_the_endpoint_that_cost_it() -> None:
    phases = [
        phase_of("fetch", 1, NOW - 45 * MINUTE, NOW - 40 * MINUTE),
        phase_of("load", 2, NOW - 40 * MINUTE),
    ]
    known = JobBaseline(
        runs=30,
        duration_s=USUALLY_20_MINUTES,
        phases=(
            PhaseBaseline(phase="fetch", position=1, duration_s=Usual(runs=30, usual=300, p95=320)),
            PhaseBaseline(phase="load", position=2, duration_s=Usual(runs=30, usual=900, p95=1000)),
        ),
        endpoint_p95_ms={
            "/contacts": Usual(runs=30, usual=800, p95=1000),
            "/deals": Usual(runs=30, usual=100, p95=110),
        },
    )
    (finding,) = findings(
        run_of(began=NOW - 45 * MINUTE),
        known,
        now=NOW,
        phases=phases,
        endpoints=[endpoint(1, "/contacts", 2900), endpoint(1, "/deals", 100)],
    )
    assert finding.note == "load +25m, /contacts"
    assert finding.evidence.startswith("phase load is 25m over its usual: /contacts answers in ")


@pytest.mark.parametrize(("still", "stalled"), [(25, True), (20, False)])
def test_a_run_is_stalled_when_its_pause_is_far_longer_than_usual(still: int, stalled: bool) -> None:
    quiet = run_of(began=NOW - 60 * MINUTE, progress_at=NOW - still * MINUTE, requests=9)
    known = baseline(pauses_s={"": Usual(runs=30, usual=300, p95=420)})
    found = findings(quiet, known, now=NOW)
    assert [finding.kind for finding in found] == (["stalled"] if stalled else [])
    if stalled:
        assert found[0].since == NOW - still * MINUTE
        assert found[0].note == "no progress for 25m"
        assert "longest pause is usually 5m" in found[0].evidence


def test_a_run_without_a_past_is_stalled_only_after_ten_minutes() -> None:
    assert findings(run_of(progress_at=NOW - 9 * MINUTE, requests=9), JobBaseline(), now=NOW) == ()
    (found,) = findings(run_of(progress_at=NOW - 11 * MINUTE, requests=9), JobBaseline(), now=NOW)
    assert found.kind == "stalled"


def test_a_run_that_tells_of_no_progress_is_never_said_to_stand_still() -> None:
    silent = run_of(began=NOW - 5 * HOUR, progress_at=None)
    phases = [phase_of("load", 1, NOW - 4 * HOUR)]
    assert findings(silent, JobBaseline(), now=NOW, phases=phases) == ()
    usually_tells = baseline(requests=Usual(runs=30, usual=500, p95=600))
    assert [found.kind for found in findings(silent, usually_tells, now=NOW)] == ["stalled"]
    counting = [phase_of("load", 1, NOW - 4 * HOUR, counters={"rows": {"processed": 7}})]
    assert [found.kind for found in findings(silent, JobBaseline(), now=NOW, phases=counting)] == ["stalled"]


def test_a_phase_may_pause_as_long_as_it_usually_does_and_no_other_phase() -> None:
    """Fourteen minutes of transforming without a request do not make fourteen minutes usual while loading."""
    known = JobBaseline(
        runs=30,
        pauses_s={
            "": Usual(runs=30, usual=840, p95=900),
            "transform": Usual(runs=30, usual=840, p95=900),
            "load": Usual(runs=30, usual=40, p95=45),
        },
    )
    for name, minutes, states in (
        ("transform", 44, []), ("transform", 46, ["stalled"]), ("load", 2, []), ("load", 9, ["stalled"]),
    ):  # fmt: skip
        moved = NOW - minutes * MINUTE
        run = run_of(began=NOW - 5 * HOUR, progress_at=moved)
        phases = [phase_of(name, 1, NOW - 2 * HOUR, counters={"rows": {"processed": 7}})]
        found = findings(run, known, now=NOW, phases=phases)
        assert [each.kind for each in found] == states, (name, minutes)
    assert found[0].since == moved
    assert found[0].evidence == ("heartbeats arrive; phase load has not moved for 9m; its longest pause is usually 40s")


def test_without_a_past_a_run_stands_still_after_ten_times_its_own_pause_so_far() -> None:
    phases = [phase_of("load", 1, NOW - 2 * HOUR, counters={"rows": {"processed": 7}})]
    for pause, seconds, states in ((10, 119, []), (10, 121, ["stalled"]), (60, 590, []), (60, 610, ["stalled"])):
        run = run_of(began=NOW - 5 * HOUR, progress_at=NOW - timedelta(seconds=seconds))
        found = findings(run, JobBaseline(), now=NOW, phases=phases, pauses={"load": pause, "": 7_000})
        assert [each.kind for each in found] == states, (pause, seconds)


def test_a_phase_that_began_is_progress() -> None:
    quiet = run_of(began=NOW - 60 * MINUTE, progress_at=None)
    assert latest_progress(quiet, [phase_of("load", 1, NOW - MINUTE)]) == NOW - MINUTE


def test_a_run_is_throttled_by_the_share_of_its_latest_answers() -> None:
    series = [cell(NOW - n * MINUTE, 100, 31 if n <= 14 else 0) for n in range(20, 0, -1)]
    (finding,) = findings(run_of(), baseline(throttled_share=Usual(runs=30, usual=0.002)), now=NOW, series=series)
    assert finding.kind == "throttled"
    assert finding.note == "429 31%"
    assert finding.since == NOW - 14 * MINUTE
    assert finding.value == pytest.approx(0.31)


@pytest.mark.parametrize(
    ("series", "usual"),
    [
        ([(1, 5, 5)], 0.0),  # five requests prove nothing
        ([(1, 100, 8)], 0.0),  # below a tenth
        ([(1, 100, 31)], 0.2),  # always a fifth: not three times as much
        ([(RECENT_S // 60 + 5, 100, 90)], 0.0),  # long ago
    ],
)
def test_a_few_a_usual_or_an_old_share_is_no_throttling(series: Sequence[tuple[int, int, int]], usual: float) -> None:
    cells = [cell(NOW - ago * MINUTE, requests, throttled) for ago, requests, throttled in series]
    known = baseline(throttled_share=Usual(runs=30, usual=usual))
    assert findings(run_of(), known, now=NOW, series=cells) == ()


def test_all_that_hold_are_listed_gravest_first() -> None:
    bad = run_of(began=NOW - 90 * MINUTE, progress_at=NOW - 40 * MINUTE, requests=9)
    series = [cell(NOW - MINUTE, 100, 50)]
    known = baseline(duration_s=USUALLY_20_MINUTES, pauses_s={"": Usual(runs=30, usual=60, p95=60)})
    assert [one.kind for one in findings(bad, known, now=NOW, series=series)] == ["stalled", "throttled", "slow"]


@pytest.mark.parametrize("changes", [{"status": "completed", "state": "completed"}, {"state": "lost"}])
def test_a_run_that_is_over_or_lost_is_not_behind(changes: Mapping[str, Any]) -> None:
    found = findings(run_of(began=NOW - 90 * MINUTE, **changes), baseline(duration_s=USUALLY_20_MINUTES), now=NOW)
    assert [each.kind for each in found] == (["lost"] if changes["state"] == "lost" else [])


def test_thresholds_can_be_moved() -> None:
    late = run_of(began=NOW - 45 * MINUTE)
    assert (
        findings(late, baseline(duration_s=USUALLY_20_MINUTES), now=NOW, thresholds=Thresholds(slow_times_p95=2)) == ()
    )


def test_the_end_is_a_range_from_the_phases_own_rate_and_what_is_to_come() -> None:
    phases = [
        phase_of("load", 1, NOW - 10 * MINUTE, counters={"rows": {"total": 100, "processed": 50}}),
        phase_of("verify", 2, None),
    ]
    known = JobBaseline(
        runs=30,
        phases=(
            PhaseBaseline(phase="verify", position=2, duration_s=Usual(runs=30, usual=300, p95=360, low=240, high=330)),
        ),
    )
    eta = estimate(run_of(), phases, known, now=NOW)
    assert eta is not None
    assert eta.low < NOW + 15 * MINUTE < eta.high
    assert estimate(run_of(), phases, JobBaseline(), now=NOW) is None


def test_without_totals_the_end_is_what_the_job_usually_takes() -> None:
    eta = estimate(run_of(began=NOW - 10 * MINUTE), [], baseline(duration_s=USUALLY_20_MINUTES), now=NOW)
    assert eta is not None
    assert (eta.low, eta.high) == (NOW + 10 * MINUTE, NOW + 15 * MINUTE)
    assert estimate(run_of(began=NOW - 30 * MINUTE), [], baseline(duration_s=USUALLY_20_MINUTES), now=NOW) is None
    assert estimate(run_of(), [], JobBaseline(), now=NOW) is None


def test_a_phase_is_done_by_the_unit_with_most_to_do() -> None:
    counters = {"files": {"total": 2, "processed": 2}, "rows": {"total": 100, "processed": 120}, "x": {"processed": 5}}
    assert share_done(phase_of("load", 1, NOW, counters=counters)) == 1.2
    assert share_done(phase_of("load", 1, NOW, counters={"x": {"processed": 5}})) is None
