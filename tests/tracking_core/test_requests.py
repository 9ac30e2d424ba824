"""Requests made into rows and added up many at a time: the same as one by one, only sooner."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracking_core import sample_batches
from tracking_core.delivery.rows import plain_columns, request_row
from tracking_core.events import RawRequest
from tracking_core.histogram import bucket_of
from tracking_core.requests import RequestColumns, RequestRow, Tally, cell_of, tally

RUN = sample_batches.RUN
PLAIN: RawRequest = (RUN, 1_790_000_000_000_000, "/a", 0, 100, 200, 7, 12.5, False, None)

numbers = st.none() | st.integers(-(2**64), 2**64) | st.floats()
counts = st.integers(0, 2**41) | st.floats() | st.booleans()
raw_requests = st.lists(
    st.tuples(
        st.just(RUN),
        st.integers(0, 2**52),
        st.sampled_from(["/a", "/b", "/c\0", "/" + "é" * 800]),
        numbers,
        numbers,
        st.sampled_from([200, 429, 500, None]) | numbers,
        counts,
        counts,
        st.booleans(),
        st.none() | st.text(max_size=5),
    ),
    min_size=1,
    max_size=6,
)
plain_requests = st.lists(
    st.tuples(
        st.just(RUN),
        st.integers(0, 2**52),
        st.sampled_from(["/a", "/b", "/c\0", "/" + "é" * 800]),
        st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
        st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
        st.none() | st.integers(0, 999),
        st.integers(0, 2**40),
        st.integers(0, 2**31) | st.floats(0, 2**31),
        st.booleans(),
        st.none(),
    ),
    min_size=1,
    max_size=20,
)


def one_by_one(raws: list[RawRequest], seq: int, offset_us: int) -> list[RequestRow]:
    return [request_row(raw, number, offset_us) for number, raw in enumerate(raws, start=seq)]


@given(plain_requests, st.integers(-(2**40), 2**40))
def test_plain_requests_are_made_into_the_same_rows_at_once(raws: list[RawRequest], offset_us: int) -> None:
    columns = plain_columns(raws, 42, offset_us)
    assert columns is not None
    assert list(RequestColumns([columns])) == one_by_one(raws, 42, offset_us)


@given(raw_requests)
def test_what_would_have_to_be_changed_is_left_to_the_way_that_marks_it(raws: list[RawRequest]) -> None:
    columns = plain_columns(raws, 1, 0)
    if columns is not None:
        assert list(RequestColumns([columns])) == one_by_one(raws, 1, 0)


@pytest.mark.parametrize(
    ("position", "value"),
    [(3, 2**63), (4, 1.5), (5, 2**31), (6, -1), (6, True), (7, math.nan), (7, -0.1), (7, math.inf), (9, "timeout")],
)
def test_one_request_with_an_odd_value_is_not_plain(position: int, value: object) -> None:
    odd = (*PLAIN[:position], value, *PLAIN[position + 1 :])
    for raws in ([odd], [PLAIN, odd], [odd, PLAIN]):
        assert plain_columns(raws, 1, 0) is None  # type: ignore[arg-type]


def added_one_by_one(rows: list[RequestRow]) -> dict[object, Tally]:
    cells: dict[object, Tally] = {}
    for row in rows:
        status = f"status_{(row.status or 0) // 100}xx"
        one = Tally(
            requests=1,
            failed=row.failed,
            throttled=row.throttled,
            items=row.items,
            duration_ms=row.duration_ms,
            max_ms=row.duration_ms,
            histogram={bucket_of(row.duration_ms): 1},
        )
        name = status if hasattr(one, status) else "status_other"
        setattr(one, name, 1)
        cells.setdefault(cell_of(row.run_id, row.endpoint, row.at_us), Tally()).add(one)
    return cells


rows = st.lists(
    st.builds(
        RequestRow,
        st.sampled_from([RUN, RUN + 1]),
        st.integers(1, 99),
        st.sampled_from([1_790_000_000_000_000, 1_790_000_009_999_999, 1_790_000_010_000_000]),
        st.sampled_from(["/a", "/b"]),
        st.none(),
        st.none(),
        st.sampled_from([None, 0, 200, 204, 301, 404, 429, 500, 599, 600, -250]),
        st.integers(0, 2**40),
        st.sampled_from([0, 1, 4095, 4096, 2**31]) | st.integers(0, 10_000),
        st.booleans(),
        st.none() | st.just("timeout") | st.just("[adjusted] count was -1, stored as 0"),
    ),
    max_size=60,
)


@given(rows)
def test_a_tally_counts_what_adding_one_by_one_counts(rows: list[RequestRow]) -> None:
    assert tally(rows) == added_one_by_one(rows)


@given(rows, rows)
def test_tallies_add_up(first: list[RequestRow], second: list[RequestRow]) -> None:
    together = tally(first)
    for key, cell in tally(second).items():
        together.setdefault(key, Tally()).add(cell)
    assert together == tally(first + second)


@given(rows, rows)
def test_columns_are_looked_at_as_the_rows_they_hold(first: list[RequestRow], second: list[RequestRow]) -> None:
    columns = RequestColumns((*RequestColumns.of(first).blocks, *RequestColumns.of(second).blocks))
    both = (*first, *second)
    assert len(columns) == len(both)
    assert list(columns) == list(both)
    assert {type(row) for row in columns} <= {RequestRow}
    assert columns == both
    assert both == columns
    assert columns[1:] == both[1:]
    assert tally(columns) == tally(both)
    assert columns.run_ids() == {row.run_id for row in both}
    assert columns.by_run() == Counter(row.run_id for row in both)
    assert columns.greatest(1) == {
        run_id: max(row.seq for row in both if row.run_id == run_id) for run_id in columns.run_ids()
    }
