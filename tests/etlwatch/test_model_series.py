"""Cells to columns: nothing is lost or doubled, unfinished time is not thinned, and the grid stands still."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etlwatch.analysis.series import WINDOWS, columns_of, grid_of, latest, percentiles_of
from tests.etlwatch.fleet import make_cell

MIDNIGHT = 1_793_000_000 // 86_400 * 86_400


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
@pytest.mark.parametrize("columns", [1, 20, 28, 32, 45, 46, 150])
def test_a_grid_reaches_back_as_far_as_its_window_says(window, columns) -> None:
    grid = grid_of(window, columns=columns, now_s=MIDNIGHT + 777)
    assert grid.count == columns
    assert grid.step % window.base == 0
    assert grid.since % grid.step == 0
    assert grid.until - grid.since >= window.seconds - grid.step
    assert grid.since + grid.count * grid.step >= grid.until > grid.since + (grid.count - 1) * grid.step


def test_a_grid_stands_still_until_a_bucket_has_closed_and_settled() -> None:
    window = WINDOWS[1]
    first = grid_of(window, columns=45, now_s=MIDNIGHT + 12)
    assert all(grid_of(window, columns=45, now_s=MIDNIGHT + 12 + second / 10) == first for second in range(99))
    assert grid_of(window, columns=45, now_s=MIDNIGHT + 22).until == first.until + 10


def test_columns_do_not_move_while_the_last_one_fills() -> None:
    window = WINDOWS[1]
    starts = {grid_of(window, columns=45, now_s=MIDNIGHT + second).since for second in range(12, 92)}
    assert len(starts) == 1


def test_a_rate_counts_only_the_time_that_has_passed() -> None:
    columns = columns_of([make_cell(0, requests=50), make_cell(80, requests=50)], 0, 80, 3, 90)
    assert [column.seconds for column in columns] == [80, 10, 0]
    assert columns[0].rate == pytest.approx(50 / 80)
    assert columns[1].rate == pytest.approx(5)
    assert columns[2].rate is None


def test_a_wide_cell_is_shared_out_over_the_columns_it_covers() -> None:
    columns = columns_of([make_cell(0, 60, requests=60)], 0, 10, 6, 60)
    assert [column.requests for column in columns] == pytest.approx([10.0] * 6)
    assert all(column.percentiles is not None for column in columns)


@given(
    st.lists(st.tuples(st.integers(0, 59), st.sampled_from([10, 60]), st.integers(0, 500)), max_size=30),
    st.integers(1, 40),
)
def test_every_request_lands_in_exactly_one_place(cells: list[tuple[int, int, int]], count: int) -> None:
    given_cells = [make_cell(slot * 60, width, requests=number) for slot, width, number in cells]
    columns = columns_of(given_cells, 0, 3_600 / count, count, 3_600)
    assert sum(column.requests for column in columns) == pytest.approx(sum(number for _, _, number in cells))


def test_what_lies_outside_the_grid_is_left_out() -> None:
    columns = columns_of([make_cell(-100, requests=9), make_cell(900, requests=9)], 0, 10, 5, 50)
    assert sum(column.requests for column in columns) == 0


def test_classes_of_answers_are_told_apart() -> None:
    cell = make_cell(0, requests=100, status_2xx=80, status_4xx=15, throttled=10, status_5xx=3, status_other=2)
    (column,) = columns_of([cell], 0, 10, 1, 10)
    assert (column.throttled, column.client_errors, column.server_errors, column.not_ok) == (10, 5, 3, 20)
    assert column.share(column.not_ok) == pytest.approx(0.2)


def test_a_column_without_requests_has_neither_share_nor_percentiles() -> None:
    (column,) = columns_of([], 0, 10, 1, 10)
    assert column.rate == 0
    assert column.share(0) is None
    assert column.percentiles is None


def test_the_figures_come_from_the_newest_columns_that_cover_a_minute() -> None:
    cells = [make_cell(bucket, requests=bucket) for bucket in range(0, 120, 10)]
    figures = latest(columns_of(cells, 0, 10, 12, 120), 60)
    assert figures.seconds == 60
    assert figures.requests == sum(range(60, 120, 10))
    assert figures.rate == pytest.approx(figures.requests / 60)


def test_percentiles_are_within_five_per_cent() -> None:
    found = percentiles_of({make_cell(0, ms=840).histogram[0] % 256: 10})
    assert found is not None
    assert found.p50 == pytest.approx(840, rel=0.05)
    assert found.p99 == pytest.approx(840, rel=0.05)
    assert percentiles_of({}) is None
