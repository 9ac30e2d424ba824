"""The night of the drawn screens as a FakeStore: what the drawn screens show, in the records that a store gives.

Stalled, throttled and slow follow from the pasts of the jobs, as they do in a real store.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

from tests.etlwatch.fleet import NOW, FakeStore, make_cell, make_error, make_phase, make_run
from tracking_core import histogram
from tracking_core.records import EndpointTotals, Run, SeriesCell, SourceCount, WriterLedger

USUAL_S = {"crm_contacts_sync": 3_060, "ads_metrics_pull": 2_040, "warehouse_orders": 3_480, "invoices_export": 1_560}


def night() -> FakeStore:
    """Return the store at 03:12:44."""
    store = FakeStore()
    _tonight(store)
    number = 0
    for job, usual in USUAL_S.items():
        for index in range(28):
            number += 131_071
            lasted = usual * (1 + 0.1 * math.sin(index * 1.7))
            run = make_run(
                job,
                minutes_ago=60 * (9 + 24 * index) + len(job),
                lasted_s=lasted,
                number=number,
                requests=int(usual * 5),
                items=int(usual * 50),
            )
            store.runs.append(run)
            store.histograms[run.run_id] = {histogram.bucket_of(300): int(usual * 5)}
            list_s, load_s = lasted * 0.43, lasted * 0.53
            for place, name, begin, took in ((1, "list", 0.0, list_s), (2, "load", list_s, load_s)):
                start = run.started_at + timedelta(seconds=begin)
                phase = replace(
                    make_phase(run, name, place), started_at=start, ended_at=start + timedelta(seconds=took)
                )
                store.phase_list.append(phase)
            store.endpoint_list.append(
                EndpointTotals(
                    run_id=run.run_id,
                    endpoint="/contacts",
                    requests=run.requests,
                    duration_ms=run.requests * 800,
                    max_ms=1_000,
                    histogram=(run.requests * 256 + histogram.bucket_of(800),),
                )
            )
    store.cells = _fleet_cells()
    return store


def _add(store: FakeStore, run: Run, phase: str, p95: int | None, rate: float | None = None) -> Run:
    """Add a run; `phase` is `3/5 load 41` (per cent) or `4/4`."""
    store.runs.append(run)
    place, _, rest = phase.partition(" ")
    position, count = (int(part) for part in place.split("/"))
    name, _, done = rest.partition(" ")
    if done:
        status = "failed" if run.status == "failed" else "running"
        for index in range(1, count + 1):
            if index == position:
                current = make_phase(run, name, index, status, rows=int(done), of_rows=100)
                store.phase_list.append(current)
            else:
                store.phase_list.append(
                    make_phase(run, f"step{index}", index, "completed" if index < position else "pending")
                )
    else:
        store.phase_list.extend(make_phase(run, f"step{index}", index) for index in range(1, count + 1))
    if p95 is not None:
        store.histograms[run.run_id] = {histogram.bucket_of(p95): run.requests}
    if rate is not None:
        store.traffic[run.run_id] = (int(rate * 104), int(rate * 1_040))
    return run


def _tonight(store: FakeStore) -> None:
    _add(
        store,
        make_run(
            "crm_contacts_sync",
            minutes_ago=58.2,
            state="lost",
            requests=48_200,
            items=413_000,
            errors=3,
            heartbeat_at=NOW - timedelta(minutes=14),
            evidence="no heartbeat for 840 s; it beats every 10 s",
        ),
        "3/5 load 41",
        None,
    )
    failed = _add(
        store,
        make_run(
            "ads_metrics_pull",
            minutes_ago=62.7,
            lasted_s=1_503,
            status="failed",
            requests=31_000,
            items=30_900,
            errors=3,
            failed_requests=204,
        ),
        "3/3 load 12",
        1_900,
    )
    store.error_list.append(make_error(failed, error_type="UniqueViolation", message="duplicate key value"))
    _add(
        store,
        make_run(
            "warehouse_orders",
            minutes_ago=80.4,
            progress_at=NOW - timedelta(minutes=22),
            requests=10_400,
            items=83_000,
        ),
        "4/6 enrich 67",
        840,
        0.0,
    )
    throttled = _add(
        store,
        make_run(
            "ads_metrics_pull",
            minutes_ago=32.73,
            requests=22_200,
            items=21_900,
            throttled_requests=400,
            failed_requests=412,
        ),
        "2/3 fetch 58",
        2_900,
        3.1,
    )
    since = int(NOW.timestamp()) // 60 * 60 - 14 * 60
    store.series_lists[throttled.run_id] = [
        make_cell(since + minute * 60, 60, requests=60, throttled=0 if minute < 0 else 19) for minute in range(-15, 14)
    ]
    slow = _add(
        store,
        make_run(
            "crm_contacts_sync",
            minutes_ago=102.5,
            number=7,
            requests=91_200,
            items=774_000,
            errors=16,
        ),
        "3/5 load 74",
        2_900,
        12.4,
    )
    _add(store, make_run("invoices_export", minutes_ago=11.7, requests=8_120, items=81_200), "2/4 fetch 38", 310, 11.9)
    _add(store, make_run("product_catalog", minutes_ago=3.53, requests=1_904, items=19_000), "1/2 fetch 22", 280, 9.4)
    _add(store, make_run("warehouse_orders", minutes_ago=1.02, requests=311, items=2_480), "1/6 list 90", 330, 5.1)
    _add(
        store,
        make_run(
            "product_catalog",
            minutes_ago=88,
            lasted_s=88,
            status="terminated",
            requests=802,
            items=8_020,
            ended_by="signal SIGTERM",
        ),
        "1/2 fetch 9",
        290,
    )
    for job, ago, lasted, requests, items, p95 in (
        ("invoices_export", 71, 1_541, 18_800, 188_000, 305),
        ("warehouse_orders", 140, 3_304, 14_900, 119_000, 350),
        ("ads_metrics_pull", 122, 2_011, 32_100, 32_100, 610),
        ("crm_contacts_sync", 162, 2_921, 88_000, 750_000, 790),
        ("invoices_export", 131, 1_490, 18_800, 188_000, 301),
    ):
        _add(store, make_run(job, minutes_ago=ago, lasted_s=lasted, requests=requests, items=items), "4/4", p95)
    _open_details(store, slow)


def _fleet_cells() -> list[SeriesCell]:
    """Return an hour and a half of traffic: a sag of throughput, a step of latency, a rise of 429."""
    end = int(NOW.timestamp()) // 10 * 10
    cells = []
    for index in range(540):
        bucket = end - (540 - index) * 10
        late = index > 400
        requests = int((2_600 if index > 430 else 4_400) * (1 + 0.18 * math.sin(index / 9.0)))
        throttled = int(requests * 0.062) if index > 430 else 0
        errors = int(requests * 0.001) if index % 37 == 0 else 0
        slow = 2_500 if late else 900
        counts = {
            histogram.bucket_of(178): int(requests * 0.9),
            histogram.bucket_of(slow): int(requests * 0.08),
            histogram.bucket_of(int(slow * 1.3)): max(1, int(requests * 0.02)),
        }
        cells.append(
            make_cell(
                bucket,
                requests=requests,
                status_2xx=requests - throttled - errors,
                status_4xx=throttled,
                throttled=throttled,
                status_5xx=errors,
                histogram=tuple(histogram.pack(counts)),
            )
        )
    return cells


def _open_details(store: FakeStore, run: Run) -> None:
    """Add all that the run screen shows of the slow run."""
    store.phase_list = [
        replace(phase, started_at=NOW - timedelta(minutes=73))
        if phase.run_id == run.run_id and phase.status == "running"
        else phase
        for phase in store.phase_list
    ]
    store.endpoint_list += [
        EndpointTotals(
            run_id=run.run_id,
            endpoint="/contacts",
            requests=61_000,
            items=700_000,
            failed=14,
            throttled=180,
            duration_ms=61_000 * 900,
            max_ms=10_012,
            status_2xx=60_800,
            status_4xx=186,
            status_5xx=14,
            histogram=(50_000 * 256 + histogram.bucket_of(800), 11_000 * 256 + histogram.bucket_of(2_900)),
        ),
        EndpointTotals(
            run_id=run.run_id,
            endpoint="/companies",
            requests=30_200,
            items=74_000,
            duration_ms=30_200 * 180,
            max_ms=900,
            status_2xx=30_200,
            histogram=(30_200 * 256 + histogram.bucket_of(180),),
        ),
    ]
    begin = int(run.started_at.timestamp()) // 10 * 10
    store.run_cells = [
        make_cell(
            begin + minute * 60,
            60,
            requests=int(3_000 - minute * 20 if minute < 70 else 740),
            ms=800 if minute < 70 else 2_900,
        )
        for minute in range(103)
    ]
    store.series_lists[run.run_id] = store.run_cells
    store.source_list = [
        SourceCount(run_id=run.run_id, entity="contacts", items=950_000, at=run.started_at),
        SourceCount(run_id=run.run_id, entity="companies", items=98_210, at=run.started_at),
    ]
    store.ledger_list = [
        WriterLedger(
            run_id=run.run_id,
            writer_id=71,
            emitted=104_412,
            stored=104_409,
            dropped=0,
            overhead={"calls": 104_412, "cpu_ms": 180.0, "worst_us": 310.0},
        )
    ]
    timeout = {"error_type": "ReadTimeout", "message": "no answer within 10s", "phase": "load", "fingerprint": "f2"}
    store.error_list.extend(
        make_error(run, 100 + index, at=NOW - timedelta(minutes=75 - index * 5), **timeout) for index in range(14)
    )
    store.error_list.extend(make_error(run, 200 + index, at=NOW - timedelta(minutes=11 - index)) for index in range(2))
