"""The six jobs of the drawn jobs screen, as runs, at 03:12:44 CET on a Monday."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from etlwatch.analysis.baseline import JobBaseline, baseline_of
from etlwatch.analysis.health import health_of_runs
from etlwatch.analysis.jobs import JobRow, build_job, history_of
from etlwatch.text.display import DisplayContext
from tests.etlwatch.fleet import NOW, make_run
from tracking_core.records import Run

PARIS = ZoneInfo("Europe/Paris")
CONTEXT = DisplayContext(NOW, PARIS)
DAY_MINUTES = 24 * 60


def ended_runs(
    job: str, minutes: float, *, count: int = 30, since: float, every: float = 120.0, failed: Sequence[int] = ()
) -> list[Run]:
    """Return runs, newest first, the newest begun `since` minutes ago; `failed` counts from it; two take longer."""
    return [
        make_run(
            job,
            minutes_ago=since + index * every,
            lasted_s=60 * minutes * (1.17 if index in (5, 21) else 1.0),
            status="failed" if index in failed else "completed",
            number=index,
            host="etl-02",
        )
        for index in range(count)
    ]


def night_runs() -> dict[str, list[Run]]:
    """Return the runs of each job, newest first."""
    late = ended_runs("nightly_ledger", 12, since=0, every=DAY_MINUTES)
    nights = [datetime(2026, 10, 25, 2, 0, 20, tzinfo=PARIS) - timedelta(days=night) for night in range(30)]
    nights[0] = datetime(2026, 10, 25, 2, 0, 20, fold=1, tzinfo=PARIS)
    nights[3] += timedelta(seconds=100)
    nights[11] += timedelta(seconds=100)
    nights[15] += timedelta(seconds=100)
    nights[7] -= timedelta(minutes=20)
    nights[19] += timedelta(minutes=50)
    late = [
        replace(run, started_at=night, ended_at=night + timedelta(seconds=run.duration_s))
        for run, night in zip(late, nights, strict=True)
    ]
    drifted = [
        replace(run, duration_s=run.duration_s * (1.18 if index < 10 else 1.0))
        for index, run in enumerate(ended_runs("crm_contacts_sync", 43, since=180))
    ]
    silent = make_run(
        "crm_contacts_sync",
        minutes_ago=58.2,
        state="lost",
        number=99,
        heartbeat_at=NOW - timedelta(minutes=14),
        evidence="no heartbeat for 840 s; it beats every 10 s",
    )
    return {
        "nightly_ledger": late,
        "ads_metrics_pull": [
            make_run("ads_metrics_pull", minutes_ago=32.7),
            *ended_runs("ads_metrics_pull", 34, since=62.7, failed=(0, 4, 11)),
        ],
        "crm_contacts_sync": [silent, make_run("crm_contacts_sync", minutes_ago=102.5), *drifted],
        "warehouse_orders": [
            make_run("warehouse_orders", minutes_ago=1.02),
            make_run(
                "warehouse_orders", minutes_ago=80.4, progress_at=NOW - timedelta(minutes=22), requests=9, number=1
            ),
            *ended_runs("warehouse_orders", 58, since=140, failed=(20,)),
        ],
        "invoices_export": [
            make_run("invoices_export", minutes_ago=11.7),
            *ended_runs("invoices_export", 26, since=71, every=60),
        ],
        "product_catalog": [
            make_run("product_catalog", minutes_ago=3.5),
            make_run("product_catalog", minutes_ago=88, lasted_s=88, status="terminated"),
            make_run("product_catalog", minutes_ago=200, lasted_s=60),
        ],
    }


def night_jobs() -> list[JobRow]:
    """Return the rows of the six jobs, their runs in their derived states."""
    runs = night_runs()
    baselines: dict[str, JobBaseline] = {
        job: baseline_of([run for run in own if run.status == "completed"]) for job, own in runs.items()
    }
    rows = []
    for job, own in runs.items():
        living = {run.run_id: run for run in health_of_runs(own, now=NOW, baselines=baselines).runs}
        rows.append(
            build_job(history_of(job, own, baseline=baselines[job], zone=PARIS), now=NOW, living=living, zone=PARIS)
        )
    return rows
