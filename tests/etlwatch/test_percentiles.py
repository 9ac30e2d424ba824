"""No percentile is beyond the longest request, in tables and in charts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from etlwatch.analysis.baseline import baseline_of
from etlwatch.analysis.run_rows import build_rows
from etlwatch.analysis.series import columns_of, latest
from etlwatch.analysis.snapshot import Percentiles, RunDetails, Snapshot
from etlwatch.fields.endpoints import EndpointRow
from etlwatch.rendering.request_charts import run_columns_over_time, run_zoom
from etlwatch.rendering.run.view import view_of
from etlwatch.text.display import DisplayContext
from tests.etlwatch.fleet import NOW, make_cell, make_run
from tracking_core.histogram import bucket_of, middle_of, pack
from tracking_core.records import EndpointTotals

LONGEST = next(ms for ms in range(1_000, 1_100) if middle_of(bucket_of(ms)) > ms)
COUNTS = {bucket_of(100): 60, bucket_of(LONGEST): 40}
TOTAL_MS = 60 * 100 + 40 * LONGEST


def within(found: Percentiles | None) -> bool:
    assert found is not None
    return found.p50 <= found.p95 <= found.p99 <= LONGEST


def test_no_percentile_of_a_run_is_beyond_its_longest_request() -> None:
    run = make_run(lasted_s=60, status="completed", requests=100)
    totals = EndpointTotals(
        run_id=run.run_id, endpoint="/a", requests=100, max_ms=LONGEST, duration_ms=TOTAL_MS,
        histogram=tuple(pack(COUNTS)),
    )  # fmt: skip
    began = int(run.started_at.timestamp()) // 10 * 10
    cells = tuple(
        make_cell(began + 10 * place, requests=100, duration_ms=TOTAL_MS, histogram=tuple(pack(COUNTS)))
        for place in range(6)
    )
    details = RunDetails(run=run, run_id=run.run_id, endpoints=(totals,), series=cells)
    snapshot = Snapshot(at=NOW, read_at=0.0, poll_ms=0.0, runs=(run,), details=details)
    view, context = view_of(build_rows(snapshot)[0], snapshot), DisplayContext(NOW)
    assert within(EndpointRow(totals).percentiles)
    drawn = [*run_zoom(view, context, 6).columns, *run_columns_over_time(view, context, 6)]
    assert all(within(column.percentiles) for column in drawn if column.requests)
    assert within(latest(drawn, 600).percentiles)
    past = [replace(run, run_id=number) for number in range(1, 6)]
    usual = baseline_of(past, (), [replace(totals, run_id=each.run_id) for each in past])
    assert (usual.latency_p95_ms.p95, usual.endpoint_p95_ms["/a"].p95) == (LONGEST, LONGEST)


@pytest.mark.parametrize("width", [10, 60])
def test_a_column_is_never_slower_than_all_its_requests_took_together(width: int) -> None:
    cell = make_cell(0, width, requests=1, ms=LONGEST)
    (column,) = columns_of([cell], 0, width, 1, width)
    assert column.percentiles == Percentiles(p50=LONGEST, p95=LONGEST, p99=LONGEST)
    assert latest([column]).percentiles == column.percentiles
