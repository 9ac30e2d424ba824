"""Rows, verdicts, order and cells of the runs table."""

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from etlwatch.analysis.baseline import JobBaseline, Usual, baselines_of_listed
from etlwatch.analysis.forecast import share_done
from etlwatch.analysis.health import health_of_runs
from etlwatch.analysis.run_rows import RunRow, build_rows, phase_now
from etlwatch.analysis.snapshot import Percentiles, Rates, Snapshot
from etlwatch.fields.field import Order
from etlwatch.fields.runs import RUNS, row_role
from etlwatch.text.display import ASCII, UNICODE, DisplayContext
from etlwatch.text.spans import plain_text
from tests.etlwatch.fleet import NOW, make_error, make_phase, make_run
from tracking_core.records import Run

CONTEXT = DisplayContext(NOW, ZoneInfo("Europe/Paris"))


def snapshot_of(*runs: Run, **parts: object) -> Snapshot:
    return Snapshot(at=NOW, read_at=0.0, poll_ms=0.4, runs=runs, **parts)  # type: ignore[arg-type]


def row_of(run: Run, **parts: object) -> RunRow:
    return build_rows(snapshot_of(run, **parts))[0]


def texts(row: RunRow, context: DisplayContext = CONTEXT) -> dict[str, str]:
    return {key: plain_text(spans) for key, spans in RUNS.cells(row, context).items()}


# -- verdicts


def test_a_lost_run_is_red_says_how_long_it_is_silent_and_keeps_the_proof() -> None:
    run = make_run(state="lost", heartbeat_at=NOW - timedelta(minutes=14), evidence="no heartbeat for 840 s")
    verdict = row_of(run).verdict
    assert (verdict.tone, verdict.note, verdict.because) == ("red", "silent 14m", "no heartbeat for 840 s")
    assert verdict.since == NOW - timedelta(minutes=14)
    assert verdict.needs_you


def test_a_failed_run_is_named_by_its_newest_error() -> None:
    run = make_run(lasted_s=60, status="failed", errors=1, notes="nightly\ntime data is bad")
    verdict = row_of(run, last_errors={run.run_id: make_error(run)}).verdict
    assert verdict.note == "ValueError"
    assert verdict.because.startswith("ValueError in load: time data '0000-00-00'")
    assert row_of(run).verdict.note == "time data is bad"


def test_a_failure_is_made_good_by_a_success_begun_after_it() -> None:
    failed = make_run("ads", minutes_ago=60, lasted_s=60, status="failed")
    again = make_run("ads", minutes_ago=30, lasted_s=60)
    other = make_run("crm", minutes_ago=20, lasted_s=60)
    rows = {row.run.run_id: row for row in build_rows(snapshot_of(again, failed, other))}
    assert rows[failed.run_id].verdict.made_good
    assert rows[failed.run_id].verdict.tone == "dim"
    assert not rows[failed.run_id].verdict.needs_you
    assert not build_rows(snapshot_of(failed, other))[0].verdict.made_good


def test_an_earlier_success_makes_nothing_good() -> None:
    early = make_run("ads", minutes_ago=90, lasted_s=60)
    failed = make_run("ads", minutes_ago=60, lasted_s=60, status="failed")
    assert build_rows(snapshot_of(failed, early))[0].verdict.needs_you


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"status": "terminated", "ended_by": "signal SIGTERM"}, "SIGTERM"),
        ({"status": "abandoned", "ended_by": "person ana@bastion"}, "closed by ana@bastion"),
        ({"status": "abandoned", "ended_by": "exit"}, "left without an end"),
        ({"status": "completed", "notes": "first\nlast words\n"}, "last words"),
    ],
)
def test_an_ended_run_says_how_it_ended(fields: dict[str, str], note: str) -> None:
    assert row_of(make_run(lasted_s=60, **fields)).verdict.note == note  # type: ignore[arg-type]


def test_a_state_of_a_newer_version_is_shown_as_it_is() -> None:
    row = row_of(make_run(state="quarantined"))
    assert texts(row)["state"] == "? quarantined"


# -- phases


def test_the_phase_shown_is_the_one_that_runs() -> None:
    run = make_run()
    phases = [
        make_phase(run, "fetch", 2, "running", rows=41, of_rows=100),
        make_phase(run, "list", 1),
        make_phase(run, "load", 3, "pending"),
    ]
    now = phase_now(phases, ended=False)
    assert now is not None
    assert (now.position, now.count, now.name, now.share) == (2, 3, "fetch", pytest.approx(0.41))


def test_a_failed_run_shows_the_phase_in_which_it_failed() -> None:
    run = make_run(lasted_s=10, status="failed")
    now = phase_now(
        [make_phase(run, "list", 1), make_phase(run, "load", 2, "failed", rows=12, of_rows=100)], ended=True
    )
    assert now is not None
    assert (now.name, now.share) == ("load", pytest.approx(0.12))


def test_a_run_that_is_through_shows_only_the_number_of_its_phases() -> None:
    run = make_run(lasted_s=10)
    row = row_of(run, phases={run.run_id: (make_phase(run, "list", 1), make_phase(run, "load", 2))})
    assert texts(row)["phase"] == "2/2"
    assert texts(row)["done"] == ""


def test_between_two_phases_the_last_one_begun_is_shown() -> None:
    run = make_run()
    now = phase_now([make_phase(run, "list", 1), make_phase(run, "load", 2, "pending")], ended=False)
    assert now is not None
    assert (now.position, now.name, now.share) == (1, "list", None)


def test_a_run_without_phases_shows_none() -> None:
    assert phase_now([], ended=False) is None
    assert texts(row_of(make_run()))["phase"] == ""


def test_progress_is_that_of_the_unit_with_the_most_to_do_and_not_clamped() -> None:
    run = make_run()
    phase = make_phase(run, "load", 1, "running", files=1, of_files=2, rows=330, of_rows=300)
    assert share_done(phase) == pytest.approx(1.1)
    assert share_done(make_phase(run, "load", 1, "running", rows=5)) is None
    beyond = make_phase(run, "load", 1, "running", rows=3_330, of_rows=300)
    assert texts(row_of(run, phases={run.run_id: (beyond,)}))["done"] == "11×", "the column has four cells"


# -- what is usual


def test_the_past_of_a_job_is_its_newest_thirty_completed_runs() -> None:
    runs = [make_run("a", minutes_ago=index, lasted_s=100 + index, number=index) for index in range(1, 41)]
    failed = make_run("a", minutes_ago=1, lasted_s=9_999, status="failed")
    baseline = baselines_of_listed([failed, *runs])["a"]
    assert baseline.runs == 30
    assert baseline.duration_s.usual == 115
    assert baseline.duration_s.p95 == 129


def test_with_fewer_than_five_runs_there_is_a_number_instead_of_a_bar() -> None:
    runs = [make_run("a", minutes_ago=index, lasted_s=60, number=index) for index in range(1, 4)]
    live = make_run("a", minutes_ago=0.5)
    assert texts(build_rows(snapshot_of(live, *runs))[0])["bar"] == "3 runs"
    assert texts(build_rows(snapshot_of(live, *runs))[0])["ratio"] == ""
    assert texts(row_of(make_run()))["bar"] == "no runs"


def test_a_run_is_no_measure_of_itself() -> None:
    usual = [make_run("a", minutes_ago=100 * index, lasted_s=60, number=index) for index in range(2, 7)]
    long = make_run("a", minutes_ago=10, lasted_s=480, number=1)
    assert texts(build_rows(snapshot_of(long, *usual))[0])["ratio"] == "8.0×"
    assert texts(build_rows(snapshot_of(*usual))[0])["bar"] == "4 runs"


def test_with_five_runs_a_long_one_crosses_the_mark() -> None:
    baseline = {"sync": JobBaseline(runs=5, duration_s=Usual(runs=5, usual=300, p95=400))}
    row = build_rows(snapshot_of(make_run(minutes_ago=12), baselines=baseline))[0]
    assert texts(row)["bar"].startswith("━━━━╋━")
    assert texts(row)["ratio"] == "1.8×"


# -- cells


def test_the_drawn_row_of_a_running_run() -> None:
    run = make_run("invoices_export", minutes_ago=11.7, requests=8_120, items=81_200)
    row = row_of(
        run,
        phases={run.run_id: (make_phase(run, "list", 1), make_phase(run, "fetch", 2, "running", rows=38, of_rows=100))},
        rates={run.run_id: Rates(requests=11.9, items=119.0)},
        percentiles={run.run_id: Percentiles(p50=180, p95=310, p99=400)},
    )
    assert texts(row) == {
        "state": "● running",
        "job": "invoices_export",
        "began": "Mon 26 Oct 03:01",
        "start": "03:01",
        "time": "11m 42s",
        "bar": "no runs",
        "ratio": "",
        "phase": "2/2 fetch",
        "progress": "━━────",
        "done": "38%",
        "eta": "03:26–03:36",
        "req": "8,120",
        "rate": "11.9",
        "items": "81.2k",
        "err": "",
        "p95": "310ms",
        "note": "",
    }


def test_a_lost_run_has_no_rate_and_an_idle_one_none_either() -> None:
    lost = make_run(state="lost", requests=100)
    assert texts(row_of(lost))["rate"] == "–"
    assert texts(row_of(make_run()))["rate"] == ""


def test_errors_are_what_was_recorded_and_what_failed_together() -> None:
    run = make_run(lasted_s=60, status="failed", errors=3, failed_requests=204)
    cells = RUNS.cells(row_of(run), CONTEXT)
    assert cells["err"] == (("207", "red"),)


def test_stored_text_is_made_visible_in_every_cell() -> None:
    evil = "\x1b]0;owned\x07[/red]‮"
    run = make_run(evil, lasted_s=60, notes=evil)
    row = row_of(run, phases={run.run_id: (make_phase(run, evil, 1, "failed"),)})
    shown = "".join(texts(row).values())
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "‮" not in shown
    assert "[/red]" in texts(row)["job"]


def test_in_ascii_every_cell_is_ascii() -> None:
    run = make_run(requests=5, state="lost")
    row = row_of(run, phases={run.run_id: (make_phase(run, "load", 1, "running", rows=1, of_rows=3),)})
    assert "".join(texts(row, DisplayContext(NOW, CONTEXT.zone, ASCII)).values()).isascii()


def test_a_late_run_is_noted_by_its_first_finding_and_proven_by_all() -> None:
    run = make_run("sync", minutes_ago=30, progress_at=NOW - timedelta(minutes=15), requests=9)
    baseline = JobBaseline(runs=30, duration_s=Usual(runs=30, usual=600, p95=720, low=550, high=650))
    judged = health_of_runs([run], now=NOW, baselines={"sync": baseline})
    row = row_of(judged.runs[0], findings=judged.findings, baselines=judged.baselines)
    assert (row.verdict.state, row.verdict.tone, row.verdict.note) == ("stalled", "amber", "no progress for 15m")
    assert "; also slow: running for 30m" in row.verdict.because
    assert row.verdict.since == NOW - timedelta(minutes=15)
    assert texts(row)["ratio"] == "2.5×"
    assert row.baseline is baseline


def test_the_end_of_a_run_is_a_range_and_far_off_a_day() -> None:
    run = make_run("sync", minutes_ago=10)
    short = JobBaseline(runs=30, duration_s=Usual(runs=30, usual=1200, p95=1800, low=1, high=2))
    assert texts(row_of(run, baselines={"sync": short}))["eta"] == "03:22–03:32"
    long = JobBaseline(runs=30, duration_s=Usual(runs=30, usual=90_000, p95=90_000, low=1, high=2))
    assert texts(row_of(run, baselines={"sync": long}))["eta"] == "Tue 04:02"
    assert texts(row_of(make_run("sync", lasted_s=5), baselines={"sync": short}))["eta"] == ""


def test_completed_rows_recede_and_the_others_do_not() -> None:
    assert row_role(row_of(make_run(lasted_s=60))) == "dim"
    assert row_role(row_of(make_run())) == "plain"


def test_every_column_of_the_layouts_that_can_be_filled_is_filled() -> None:
    keys = set(RUNS.cells(row_of(make_run()), DisplayContext(NOW, None, UNICODE)))
    assert {column.key for column in (*RUNS.layout(80), *RUNS.layout(160))} - keys == {"margin"}


# -- order


def fleet() -> tuple[RunRow, ...]:
    runs = [
        make_run("done-early", minutes_ago=90, lasted_s=600),
        make_run("done-late", minutes_ago=60, lasted_s=1_200),
        make_run("fresh", minutes_ago=2),
        make_run("old", minutes_ago=50, requests=7),
        make_run("stopped", minutes_ago=40, lasted_s=60, status="terminated"),
        make_run("left", minutes_ago=45, lasted_s=60, status="abandoned"),
        make_run("broken", minutes_ago=70, lasted_s=60, status="failed", errors=4),
        make_run("silent", minutes_ago=30, state="lost"),
        make_run("mended", minutes_ago=300, lasted_s=60, status="failed"),
        make_run("mended", minutes_ago=200, lasted_s=60),
    ]
    return build_rows(snapshot_of(*runs))


def jobs(order: Order) -> list[str]:
    return [row.run.job for row in RUNS.sort(fleet(), order)]


def test_the_default_order_is_what_needs_somebody_first() -> None:
    assert jobs(Order()) == [
        "silent", "broken", "old", "fresh", "stopped", "left", "done-late", "done-early", "mended", "mended",
    ]  # fmt: skip
    assert RUNS.sort(fleet(), Order())[-1].run.status == "failed"


def test_inverting_the_default_order_turns_it_round() -> None:
    assert jobs(Order(inverted=True)) == jobs(Order())[::-1]


def test_numbers_begin_with_the_greatest_and_words_with_the_first() -> None:
    assert jobs(Order("time"))[:2] == ["old", "silent"]
    assert jobs(Order("job"))[:2] == ["broken", "done-early"]
    assert jobs(Order("start"))[0] == "fresh"
    assert jobs(Order("err"))[0] == "broken"


def test_the_unknown_stands_last_in_either_direction() -> None:
    run = make_run("timed", minutes_ago=5)
    rows = build_rows(snapshot_of(run, make_run("untimed"), percentiles={run.run_id: Percentiles(p50=1, p95=2, p99=3)}))
    assert [row.run.job for row in RUNS.sort(rows, Order("p95"))] == ["timed", "untimed"]
    assert [row.run.job for row in RUNS.sort(rows, Order("p95", inverted=True))] == ["timed", "untimed"]


@pytest.mark.parametrize("column", RUNS.orders)
@pytest.mark.parametrize("inverted", [False, True])
def test_every_column_sorts_a_mixed_fleet_without_losing_a_run(column: str, inverted: bool) -> None:
    assert sorted(jobs(Order(column, inverted))) == sorted(jobs(Order()))


def test_stepping_goes_round_the_visible_columns_only() -> None:
    visible = ["state", "job", "time", "bar", "ratio", "margin"]
    order = Order()
    seen = []
    for _ in range(4):
        order = RUNS.next(order, 1, visible)
        seen.append(order.column)
    assert seen == ["job", "time", "ratio", "state"]
    assert RUNS.next(Order(), -1, visible).column == "ratio"
    assert RUNS.next(Order("p95"), 1, visible).column == "state"


def test_a_row_of_an_ended_run_is_kept_until_something_about_it_changes() -> None:
    done = make_run("sync", minutes_ago=60, lasted_s=60, status="failed")
    alive = make_run("sync", minutes_ago=5)
    first = Snapshot(at=NOW, read_at=0.0, poll_ms=0.0, runs=(alive, done))
    rows = build_rows(first)
    kept = {row.run.run_id: row for row in rows}
    again = build_rows(first, kept=kept)
    assert again[1] is rows[1]
    assert again[0] is not rows[0], "a living run is older now"
    success = make_run("sync", minutes_ago=20, lasted_s=60)
    mended = build_rows(replace(first, runs=(alive, success, done)), kept=kept)
    assert mended[2].verdict.made_good
