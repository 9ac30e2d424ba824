"""The gantt of a run beside what is usual: ghost bars, what is to come, and one time axis with one now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from etlwatch.analysis.baseline import JobBaseline, PhaseBaseline, Usual
from etlwatch.analysis.run_rows import build_rows
from etlwatch.analysis.snapshot import RunDetails, Snapshot
from etlwatch.rendering.run.overview import run_facts
from etlwatch.rendering.run.phases import gantt_lines, phase_legend, phases_to_show
from etlwatch.rendering.run.view import RunView, view_of
from etlwatch.text.display import DisplayContext
from tests.etlwatch.fleet import NOW, make_phase, make_run
from tracking_core.records import Phase, Run

CONTEXT = DisplayContext(NOW)


def usual(seconds: float) -> Usual:
    return Usual(runs=30, usual=seconds, p95=seconds * 1.1, low=seconds * 0.95, high=seconds * 1.05)


PAST = JobBaseline(
    runs=30,
    duration_s=usual(3_000),
    request_rate=usual(30),
    phases=(
        PhaseBaseline(phase="fetch", position=1, duration_s=usual(600)),
        PhaseBaseline(phase="load", position=2, duration_s=usual(1_200)),
        PhaseBaseline(phase="verify", position=3, duration_s=usual(600)),
    ),
)


def opened(run: Run, phases: list[Phase], baseline: JobBaseline = PAST) -> RunView:
    details = RunDetails(run=run, run_id=run.run_id, phases=tuple(phases))
    snapshot = Snapshot(at=NOW, read_at=0.0, poll_ms=0.0, runs=(run,), baselines={run.job: baseline}, details=details)
    snapshot = replace(snapshot, phases={run.run_id: tuple(phases)})
    row = build_rows(snapshot)[0]
    return view_of(row, snapshot)


def living() -> RunView:
    run = make_run("sync", minutes_ago=20, requests=6_000)
    fetch = replace(
        make_phase(run, "fetch", 1), started_at=run.started_at, ended_at=run.started_at + timedelta(minutes=10)
    )
    load = replace(
        make_phase(run, "load", 2, "running", rows=50, of_rows=100),
        started_at=run.started_at + timedelta(minutes=10),
        ended_at=None,
    )
    return opened(run, [fetch, load])


def text(spans: object) -> str:
    return "".join(part for part, _ in spans)  # type: ignore[attr-defined]


def test_a_living_run_shows_the_phases_that_its_job_usually_has_after_it() -> None:
    view = living()
    assert [(phase.phase, phase.status) for phase in phases_to_show(view)] == [
        ("fetch", "completed"),
        ("load", "running"),
        ("verify", "pending"),
    ]


def test_an_ended_run_shows_only_its_own_phases() -> None:
    run = make_run("sync", minutes_ago=20, lasted_s=600)
    view = opened(run, [make_phase(run, "fetch", 1)])
    assert [phase.phase for phase in phases_to_show(view)] == ["fetch"]


def test_what_is_expected_lies_behind_the_one_now_line() -> None:
    lines = [text(line) for line in gantt_lines(living(), CONTEXT, width=160)]
    now_at = lines[2].index("│", 50)
    assert all(line[now_at] == "│" for line in lines[1:4])
    assert "░" in lines[2][now_at:]
    assert lines[3][now_at + 1 :].strip(" ─│") == ""
    assert "─" in lines[3][now_at + 1 :]
    assert "now" in lines[-1]


def test_heads_say_time_excess_usual_rate_and_progress() -> None:
    run = make_run("sync", minutes_ago=60, requests=6_000)
    load = replace(
        make_phase(run, "load", 2, "running", rows=50, of_rows=100), started_at=run.started_at, ended_at=None
    )
    head, late = (text(line) for line in gantt_lines(opened(run, [load]), CONTEXT, width=160)[:2])
    assert head.split() == ["time", "usual", "rate", "done"]
    assert late[:48].split() == ["▲", "2", "load", "1h", "00m", "2.7×", "20m", "1/min", "50%"]
    brief = text(gantt_lines(opened(run, [load]), CONTEXT, width=80)[0])
    assert brief[:27].split() == ["▲", "load", "1h", "00m", "2.7×"]


def test_without_a_past_nothing_usual_is_drawn() -> None:
    run = make_run("sync", minutes_ago=20)
    view = opened(run, [replace(make_phase(run, "load", 1, "running"), ended_at=None)], JobBaseline())
    assert text(phase_legend(view, CONTEXT)) == "phases  ━ done"
    assert not any("░" in text(line) for line in gantt_lines(view, CONTEXT, width=160))


def test_figures_stand_beside_their_usual_and_a_slow_rate_is_marked() -> None:
    facts = run_facts(living())
    assert (facts["time"].usual, facts["time"].p95, facts["time"].remark) == ("50m", "55m", "")
    assert facts["req/s"].remark == "0.2×"
    assert facts["req/s"].role == "amber bold"
    assert facts["items"].usual == ""
