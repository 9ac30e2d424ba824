"""What is asked of the open run: of its series and errors what is new, no more raw requests than can be shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from etlwatch.analysis.snapshot import RunDetails
from etlwatch.reading.details import DETAIL_EVERY_S, MOST_ERRORS, MOST_SEARCHED, RunDetailsCache
from tests.etlwatch.fleet import FakeReader, FakeStore, make_cell, make_error, make_run


def moving(minutes: int) -> FakeStore:
    """Return a store of one run that has made ten requests in each of so many minutes."""
    run = make_run("crm", minutes_ago=minutes, requests=10 * minutes)
    began = int(run.started_at.timestamp()) // 60 * 60
    return FakeStore(runs=[run], run_cells=[make_cell(began + 60 * n, 60) for n in range(minutes)])


def look(gatherer: RunDetailsCache, store: FakeStore) -> RunDetails:
    details = gatherer.read(FakeReader(store), store.runs[0].run_id, store.clock.timestamp())
    assert details is not None
    return details


def go_on(store: FakeStore, *, requests: int) -> None:
    store.clock += timedelta(seconds=DETAIL_EVERY_S)
    store.runs[0] = replace(store.runs[0], requests=store.runs[0].requests + requests)


def test_only_the_end_of_a_moving_runs_series_is_read_again() -> None:
    store, gatherer = moving(minutes=300), RunDetailsCache()
    look(gatherer, store)
    go_on(store, requests=15)
    last = store.run_cells[-1]
    store.run_cells[-1] = replace(last, requests=15)
    store.run_cells.append(make_cell(last.bucket + 60, 60, requests=10))
    store.asked.clear()
    assert look(gatherer, store).series == tuple(store.run_cells)
    assert store.asked["cells read"] == 2


def test_a_series_is_read_whole_again_when_older_requests_have_arrived_late() -> None:
    store, gatherer = moving(minutes=30), RunDetailsCache()
    look(gatherer, store)
    go_on(store, requests=7)
    store.run_cells[3] = replace(store.run_cells[3], requests=17)
    assert look(gatherer, store).series == tuple(store.run_cells)


def test_a_series_is_read_whole_again_when_a_finer_cell_has_appeared_before_its_end() -> None:
    store, gatherer = moving(minutes=30), RunDetailsCache()
    look(gatherer, store)
    go_on(store, requests=4)
    store.run_cells.insert(0, make_cell(store.run_cells[0].bucket, 10, requests=4))
    assert look(gatherer, store).series == tuple(store.run_cells)


def test_pages_are_not_looked_for_among_more_requests_than_can_be_searched_while_somebody_waits() -> None:
    store, gatherer = moving(minutes=5), RunDetailsCache()
    store.runs[0] = replace(store.runs[0], requests=MOST_SEARCHED + 1)
    assert look(gatherer, store).coverage_cut
    assert store.asked["pages"] == 0
    store.runs[0] = replace(store.runs[0], requests=MOST_SEARCHED)
    store.clock += timedelta(minutes=1)
    assert not look(gatherer, store).coverage_cut
    assert store.asked["pages"] == 1


def test_in_a_storm_only_new_errors_are_read_and_the_newest_stay_first() -> None:
    store, gatherer = moving(minutes=5), RunDetailsCache()
    run = store.runs[0]
    store.error_list = [make_error(run, seq) for seq in range(1, MOST_ERRORS + 51)]
    store.runs[0] = replace(run, errors=len(store.error_list))
    assert [error.seq for error in look(gatherer, store).errors] == list(range(MOST_ERRORS + 50, 50, -1))
    store.error_list += [make_error(run, MOST_ERRORS + 51), make_error(run, MOST_ERRORS + 52)]
    store.runs[0] = replace(run, errors=len(store.error_list))
    store.asked.clear()
    assert [error.seq for error in look(gatherer, store).errors] == list(range(MOST_ERRORS + 52, 52, -1))
    assert store.asked["errors read"] == 2


def test_errors_that_arrive_late_stand_in_their_place() -> None:
    store, gatherer = moving(minutes=5), RunDetailsCache()
    run = store.runs[0]
    store.error_list = [make_error(run, seq) for seq in (1, 2, 5)]
    store.runs[0] = replace(run, errors=3)
    look(gatherer, store)
    store.error_list += [make_error(run, seq) for seq in (3, 6)]
    store.runs[0] = replace(run, errors=5)
    assert [error.seq for error in look(gatherer, store).errors] == [6, 5, 3, 2, 1]
