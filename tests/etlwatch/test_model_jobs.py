"""The jobs screen's rows: success, trend, strip, what is late and what has trouble, and every word around them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from etlwatch.analysis.baseline import baseline_of
from etlwatch.analysis.jobs import JobRow, build_job, count_jobs, history_of
from etlwatch.fields.field import Order
from etlwatch.fields.jobs import JOBS
from etlwatch.rendering.panes import job_pane, job_parts, job_title, jobs_headline
from etlwatch.text.display import ASCII, DisplayContext
from etlwatch.text.spans import plain_text, spans_width
from tests.etlwatch.fleet import NOW, make_run
from tests.etlwatch.job_night import CONTEXT, PARIS, ended_runs, night_jobs
from tracking_core.records import Run

HOUR = timedelta(hours=1)


def jobs() -> dict[str, JobRow]:
    return {row.job: row for row in night_jobs()}


def row_of(runs: list[Run], *, now: datetime = NOW, **options: object) -> JobRow:
    baseline = baseline_of([run for run in runs if run.status == "completed"])
    return build_job(history_of("sync", runs, baseline=baseline, zone=PARIS, **options), now=now, zone=PARIS)  # type: ignore[arg-type]


def texts(row: JobRow, *, cells: int = 30, context: DisplayContext = CONTEXT) -> dict[str, str]:
    return {key: plain_text(spans) for key, spans in JOBS.cells(row, context, brief=cells < 30).items()}


# -- as drawn


def test_the_drawn_rows() -> None:
    drawn = {row.job: texts(row) for row in night_jobs()}
    assert drawn["nightly_ledger"] == {
        "job": "nightly_ledger",
        "strip": "▃" * 7 + "▄" + "▃" * 15 + "▄" + "▃" * 5 + "!",
        "success": "30/30 100%",
        "usual": "12m",
        "p95": "14m",
        "trend": "0%",
        "began": "Sun 02:00",
        "next": "overdue 1h 12m (02:00)",
    }
    assert drawn["ads_metrics_pull"]["strip"].endswith("×▃▃▃×●")
    assert drawn["ads_metrics_pull"]["success"] == "26/29  90%"
    assert drawn["crm_contacts_sync"]["strip"].endswith("▲?")
    assert drawn["crm_contacts_sync"]["trend"] == "+18%"
    assert drawn["crm_contacts_sync"]["next"] == "now ▲ 2.0×"
    assert drawn["crm_contacts_sync"]["began"] == "today 02:14"
    assert drawn["warehouse_orders"]["strip"].endswith("║●")
    assert drawn["warehouse_orders"]["next"] == "now ║"
    assert drawn["invoices_export"]["next"] == "now ●"
    assert drawn["product_catalog"]["strip"] == " " * 27 + "▄■●"
    assert drawn["product_catalog"]["success"] == "1/2    –"
    assert [drawn["product_catalog"][key] for key in ("usual", "p95", "trend")] == ["3 runs", "–", "–"]


def test_the_drawn_order_and_line_one() -> None:
    rows = JOBS.sort(night_jobs())
    assert [row.job for row in rows] == [
        "nightly_ledger", "ads_metrics_pull", "crm_contacts_sync", "warehouse_orders", "invoices_export",
        "product_catalog",
    ]  # fmt: skip
    said = "  ".join(plain_text(part.spans) for part in job_parts(count_jobs(rows)))
    assert said == "jobs  1 overdue  3 with trouble  2 ok"


def test_the_drawn_headline_and_pane() -> None:
    rows = JOBS.sort(night_jobs())
    assert plain_text(jobs_headline(rows, CONTEXT, brief=False)) == (
        " nightly_ledger has not begun: expected at 02:00 CET (28 of 30 nights within 3m), now 1h 12m overdue."
    )
    assert plain_text(jobs_headline(rows, CONTEXT, brief=True)) == (
        " nightly_ledger has not begun: due 02:00, 1h 12m overdue."
    )
    late = rows[0]
    assert plain_text(job_title(late, CONTEXT)) == "! overdue 1h 12m  nightly_ledger"
    assert [plain_text(line) for line in job_pane(late, CONTEXT)] == [
        " expected 02:00 CET: 28 of its last 30 began within 3m of it",
        " last     Sun 02:00, completed in 12m (usual 12m), from etl-02",
    ]


def test_the_smallest_layout_is_the_drawn_one() -> None:
    row = jobs()["nightly_ledger"]
    cells = texts(row, cells=20)
    assert cells["strip"] == "▃" * 13 + "▄▃▃▃▃▃!"
    assert (cells["success"], cells["next"]) == ("30/30", "overdue 1h 12m")
    assert [column.header for column in JOBS.layout(80)] == ["job", "last 20 (half=p95)", "success", "usual", "next"]
    assert JOBS.layout(119) == JOBS.layout(80)
    assert JOBS.layout(159) == JOBS.layout(120) != JOBS.layout(119)
    assert JOBS.layout(200) == JOBS.layout(160) != JOBS.layout(159)


@pytest.mark.parametrize("width", [80, 120, 160])
def test_every_layout_fits_its_width_and_every_cell_its_column(width: int) -> None:
    columns = JOBS.layout(width)
    assert 2 + sum(column.width + (column.gap if n else 0) for n, column in enumerate(columns)) <= width
    for row in night_jobs():
        cells = JOBS.cells(row, CONTEXT, brief=JOBS.is_narrow(width))
        for column in columns:
            if column.key != "job":
                assert spans_width(cells[column.key]) <= column.width, (row.job, column.key)


def test_ascii_keeps_every_width() -> None:
    context = DisplayContext(NOW, PARIS, ASCII)
    for row in night_jobs():
        for key, spans in JOBS.cells(row, context, brief=False).items():
            text = plain_text(spans)
            assert text.isascii(), (key, text)
            assert len(text) == len(texts(row)[key])


# -- what follows from the runs


def test_a_run_that_took_much_longer_than_its_p95_stands_out() -> None:
    runs = ended_runs("sync", 10, since=60)
    runs[3] = replace(runs[3], duration_s=30 * 60.0)
    inked = JOBS.cells(row_of(runs), CONTEXT, brief=False)["strip"]
    assert [text for text, role in inked if role == "amber-fill"] == ["▇"]


def test_runs_that_ended_badly_and_lost_ones_count_against_success() -> None:
    lost = make_run("sync", minutes_ago=10, state="lost", number=1)
    killed = make_run("sync", minutes_ago=20, lasted_s=5, status="terminated", number=2)
    row = row_of([make_run("sync", minutes_ago=1), lost, killed, *ended_runs("sync", 10, count=4, since=60)])
    assert (row.completed, row.counted) == (4, 6)


def test_a_rate_of_nine_in_ten_is_remarkable_and_of_two_runs_unknown() -> None:
    poor = row_of(ended_runs("sync", 10, since=60, failed=(3, 9, 12)))
    assert JOBS.cells(poor, CONTEXT, brief=False)["success"][0] == ("27/30", "amber")
    fine = row_of(ended_runs("sync", 10, since=60, failed=(3,)))
    assert JOBS.cells(fine, CONTEXT, brief=False)["success"][0] == ("29/30", "dim")
    assert texts(row_of(ended_runs("sync", 10, count=2, since=60)))["success"] == "2/2    –"


def test_a_drift_is_told_and_noise_is_not() -> None:
    slower = [
        replace(run, duration_s=720.0 if n < 10 else 600.0) for n, run in enumerate(ended_runs("s", 10, since=60))
    ]
    row = row_of(slower)
    assert row.trend == pytest.approx(0.2)
    assert row.drifting
    assert "took +20%" in plain_text(job_pane(row, CONTEXT)[-1])
    noisy = [replace(run, duration_s=720.0 if n % 2 else 600.0) for n, run in enumerate(ended_runs("s", 10, since=60))]
    assert not row_of(noisy).drifting
    faster = [
        replace(run, duration_s=400.0 if n < 10 else 600.0) for n, run in enumerate(ended_runs("s", 10, since=60))
    ]
    assert texts(row_of(faster))["trend"] == "−33%"
    assert not row_of(faster).drifting
    assert row_of(ended_runs("s", 10, count=9, since=60)).trend is None


# -- late, and trouble


def test_a_job_is_not_late_within_its_own_unpunctuality() -> None:
    runs = ended_runs("sync", 10, since=60, every=60)
    began = runs[0].started_at
    assert row_of(runs, now=began + HOUR + timedelta(seconds=50)).overdue_s is None
    assert texts(
        row_of(runs, now=began + HOUR + timedelta(seconds=50)), context=DisplayContext(began + HOUR * 1.01, PARIS)
    )["next"] == (f"due {(began + HOUR).astimezone(PARIS):%H:%M}")
    late = row_of(runs, now=began + 2 * HOUR)
    assert late.overdue_s == 3_600
    assert late.trouble == "overdue"


def test_a_job_that_runs_is_not_late_however_long_it_takes() -> None:
    runs = [make_run("sync", minutes_ago=400), *ended_runs("sync", 10, since=460, every=60)]
    assert row_of(runs).overdue_s is None
    lost = [make_run("sync", minutes_ago=400, state="lost"), *ended_runs("sync", 10, since=460, every=60)]
    assert row_of(lost).overdue_s is not None, "a lost run runs no more"


def test_a_job_that_pauses_every_night_is_not_late_in_the_night() -> None:
    morning = NOW.replace(hour=6, minute=0, second=0)
    starts = [morning - timedelta(days=day) + n * timedelta(minutes=10) for day in (1, 2) for n in range(72)]
    runs = [make_run("sync", minutes_ago=(NOW - start).total_seconds() / 60, lasted_s=60, number=n)
            for n, start in enumerate(sorted(starts, reverse=True))]  # fmt: skip
    evening = max(starts)
    night, noon = evening + 4 * HOUR, evening + 18 * HOUR
    assert row_of(runs[:30], starts=starts, now=night).overdue_s is None, "nor did it begin at this hour yesterday"
    assert row_of(runs[:30], starts=starts, now=noon).overdue_s is not None


def test_a_job_that_nobody_runs_any_more_is_no_alarm() -> None:
    runs = ended_runs("sync", 10, since=60 * 24 * 30, every=60)
    row = row_of(runs)
    assert row.overdue_s is None
    assert row.given_up_since is not None
    assert row.rank == 3
    assert texts(row)["next"] == "–"
    assert "it is no longer expected" in plain_text(job_pane(row, CONTEXT)[-1])
    assert count_jobs([row]).given_up == 1


def test_a_failure_is_trouble_until_a_later_run_completes() -> None:
    assert row_of(ended_runs("sync", 10, since=60, failed=(0,))).trouble == "failed"
    assert row_of(ended_runs("sync", 10, since=60, failed=(1,))).trouble == ""
    again = [make_run("sync", minutes_ago=1), *ended_runs("sync", 10, since=60, failed=(0,))]
    assert row_of(again).trouble == "failed", "that it runs again mends nothing yet"


def test_what_is_known_of_an_ok_job_is_when_it_is_next() -> None:
    row = row_of(ended_runs("sync", 10, since=30, every=60))
    assert texts(row)["next"] == "today 03:42"
    assert plain_text(job_pane(row, CONTEXT)[-1]) == (
        " next     03:42 CET: 29 of its last 29 began 1h 00m after the one before, give or take 36s"
    )
    assert plain_text(jobs_headline([row], CONTEXT, brief=False)) == " Nothing needs you. Next is sync, today 03:42."


def test_trouble_without_lateness_is_named_in_line_two() -> None:
    rows = [row for row in JOBS.sort(night_jobs()) if row.overdue_s is None]
    assert plain_text(jobs_headline(rows, CONTEXT, brief=False)) == (
        " Nothing is overdue. ads_metrics_pull failed, crm_contacts_sync lost, warehouse_orders stalled."
    )


def test_an_empty_store_has_no_jobs_yet() -> None:
    assert plain_text(jobs_headline([], CONTEXT, brief=False)) == " No jobs yet."
    assert [plain_text(part.spans) for part in job_parts(count_jobs([]))] == ["jobs"]


def test_jobs_are_sorted_by_any_column_the_unknown_last() -> None:
    rows = night_jobs()
    assert JOBS.sort(rows, Order("usual"))[0].job == "warehouse_orders"
    assert JOBS.sort(rows, Order("usual"))[-1].job == "product_catalog"
    assert JOBS.sort(rows, Order("usual", inverted=True))[-1].job == "product_catalog"
    assert JOBS.sort(rows, Order("success"))[0].job == "product_catalog"
    assert [row.job for row in JOBS.sort(rows, Order(inverted=True))] == [row.job for row in JOBS.sort(rows)][::-1]


def test_hostile_names_are_made_safe() -> None:
    name = "\x1b[31mevil\u202e"
    row = build_job(history_of(name, ended_runs(name, 10, since=60), zone=PARIS), now=NOW, zone=PARIS)
    said = [
        texts(row)["job"],
        plain_text(job_title(row, CONTEXT)),
        plain_text(jobs_headline([row], CONTEXT, brief=True)),
    ]
    assert all("\x1b" not in text and "\u202e" not in text for text in said)
