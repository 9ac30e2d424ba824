"""Holes and overlaps in what was paged through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etlwatch.analysis.coverage import coverage_of, coverage_words
from tests.store.stocking import Stock
from tracking_core.clock import to_microseconds
from tracking_core.records import Page
from tracking_core.requests import RequestRow, tally

NOW = datetime.now(UTC).replace(microsecond=0)


def page(offset: int, limit: int | None = 100, *, items: int = 100, whole: bool = True, endpoint: str = "/a") -> Page:
    return Page(endpoint=endpoint, page_offset=offset, page_limit=limit, items=items, whole=whole)


def test_pages_side_by_side_are_whole() -> None:
    (found,) = coverage_of([page(0), page(100), page(200, items=30)])
    assert found.complete
    assert (found.pages, found.first, found.last) == (3, 0, 300)
    assert coverage_words([found]) == ("3 whole, no holes, no overlaps", True)


def test_a_page_that_was_never_answered_is_a_hole_with_its_offset() -> None:
    (found,) = coverage_of([page(0), page(100, whole=False), page(100, whole=False), page(200)])
    assert found.holes == ((100, 200),)
    assert found.never == (100,)
    assert coverage_words([found]) == ("2 whole, 1 hole, no overlaps, 1 never answered", False)


def test_a_retry_that_succeeded_leaves_nothing_missing() -> None:
    (found,) = coverage_of([page(0), page(100, whole=False), page(100), page(200)])
    assert found.complete


def test_a_page_fetched_twice_and_one_that_reaches_into_the_next_are_overlaps() -> None:
    (found,) = coverage_of([page(0), page(0), page(50), page(150)])
    assert found.overlaps == ((0, 100),)
    assert found.holes == ()


def test_page_numbers_are_told_from_offsets() -> None:
    (found,) = coverage_of([page(1), page(2), page(4)])
    assert found.numbered
    assert found.holes == ((3, 4),)
    assert found.overlaps == ()


def test_without_a_limit_a_page_covers_what_it_returned() -> None:
    (found,) = coverage_of([page(0, None, items=70), page(70, None, items=30)])
    assert found.complete


def test_endpoints_are_told_apart() -> None:
    found = coverage_of([page(0), page(100), page(0, endpoint="/b"), page(300, endpoint="/b")])
    assert [(each.endpoint, each.holes) for each in found] == [("/a", ()), ("/b", ((100, 300),))]


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 60), st.booleans()), max_size=30))
def test_holes_and_overlaps_are_what_counting_each_item_says(asked: list[tuple[int, int, bool]]) -> None:
    pages = sorted(
        (page(offset * 3, limit, whole=whole) for offset, limit, whole in asked), key=lambda each: each.page_offset
    )
    times: dict[int, int] = {}
    for each in pages:
        if each.whole:
            for item in range(each.page_offset, each.page_offset + (each.page_limit or 0)):
                times[item] = times.get(item, 0) + 1
    for found in coverage_of(pages):
        if found.numbered:
            continue
        assert {item for start, end in found.overlaps for item in range(start, end)} == {
            item for item, many in times.items() if many > 1
        }
        covered = set(times)
        assert not covered & {item for start, end in found.holes for item in range(start, end)}


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    stock = Stock(store_dsn)
    yield stock
    stock.close()


def test_pages_are_read_from_one_run_alone(stock: Stock) -> None:
    run_id, other = stock.start(NOW), stock.start(NOW)
    for seq, (of, offset, status, error) in enumerate(
        [
            (run_id, 0, 200, None),
            (run_id, 100, 500, None),
            (run_id, 200, 200, "cut off"),
            (run_id, 300, None, None),
            (run_id, None, 200, None),
            (other, 0, 200, None),
        ],
        start=1,
    ):
        row = RequestRow(of, seq, to_microseconds(NOW), "/a", offset, 100, status, 100, 5, False, error)
        stock.write(requests=(row,), cells=tally((row,)))
    with stock.store.reader(5.0) as reader:
        assert [(each.page_offset, each.whole) for each in reader.pages(run_id)] == [
            (0, True),
            (100, False),
            (200, False),
            (300, False),
        ]
        assert len(reader.pages(run_id, 2)) == 2
