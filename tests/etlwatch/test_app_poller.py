"""Polling: what is asked when, what is remembered, and how a lost connection is reported and healed."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from queue import Queue

import pytest

from etlwatch.analysis.series import WINDOWS
from etlwatch.reading.gatherer import Gatherer, Watch
from etlwatch.reading.listing import ERRORS_A_POLL
from etlwatch.reading.poller import Backoff, Lost, Poller, Read, describe_failure
from tests.etlwatch.fleet import FakeStore, make_cell, make_error, make_phase, make_run
from tracking_core.errors import (
    ConfigurationError,
    SchemaMissing,
    SchemaNewer,
    StoreRefused,
    StoreUnavailable,
)


def poll(gatherer: Gatherer, store: FakeStore, watch: Watch | None = None) -> object:
    with store.reader(5.0) as reader:
        return gatherer.read(reader, watch or Watch())


def stocked() -> FakeStore:
    running = make_run("crm", minutes_ago=10, requests=100, items=1_000)
    done = make_run("ads", minutes_ago=60, lasted_s=600, requests=50, errors=2)
    return FakeStore(
        runs=[running, done],
        phase_list=[make_phase(running, "list", 1), make_phase(done, "load", 1)],
        histograms={running.run_id: {50: 100}, done.run_id: {60: 50}},
        traffic={running.run_id: (120, 1_200)},
        error_list=[make_error(done, 1), make_error(done, 2, error_type="KeyError")],
        cells=[make_cell(int(running.started_at.timestamp()) // 80 * 80)],
    )


# -- one poll


def test_living_runs_are_judged_by_their_pasts_in_the_list_and_in_the_details() -> None:
    slow = make_run("crm", minutes_ago=60)
    store = FakeStore(
        runs=[slow, *(make_run("crm", minutes_ago=1440 * n, lasted_s=600, number=n) for n in range(1, 7))]
    )
    snapshot = poll(Gatherer(), store, Watch(open_run=slow.run_id))
    assert snapshot.runs[0].state == "slow"
    assert [finding.kind for finding in snapshot.findings[slow.run_id]] == ["slow"]
    assert snapshot.baselines["crm"].duration_s.p95 == 600
    assert snapshot.details.run.state == "slow"


def test_what_is_usual_is_read_once_until_a_run_of_the_job_completes() -> None:
    store, gatherer = stocked(), Gatherer()
    poll(gatherer, store)
    assert store.asked["runs of jobs"] == 3, "two baselines, and once the completed runs"
    poll(gatherer, store)
    assert store.asked["runs of jobs"] == 3
    store.runs.append(make_run("ads", minutes_ago=5, lasted_s=60))
    poll(gatherer, store)
    assert store.asked["runs of jobs"] == 5


def test_a_snapshot_holds_what_is_on_screen() -> None:
    store = stocked()
    snapshot = poll(Gatherer(), store)
    running, done = store.runs
    assert [run.job for run in snapshot.runs] == ["crm", "ads"]
    assert snapshot.at == store.clock
    assert snapshot.complete
    assert set(snapshot.phases) == {running.run_id, done.run_id}
    assert snapshot.percentiles[done.run_id].p50 == pytest.approx(snapshot.percentiles[done.run_id].p99)
    assert set(snapshot.rates) == {running.run_id}
    assert snapshot.last_errors[done.run_id].error_type == "KeyError"
    assert snapshot.fleet.cells
    assert snapshot.details is None


def test_a_second_poll_asks_only_for_what_can_have_changed() -> None:
    store, gatherer = stocked(), Gatherer()
    poll(gatherer, store)
    store.asked = Counter()
    store.clock += timedelta(seconds=1)
    poll(gatherer, store)
    assert store.asked["phases of runs"] == 1, "phases of the finished run are known"
    assert store.asked["latencies of runs"] == 0, "no run has new requests"
    assert store.asked["throughput"] == 0, "no bucket has closed"
    assert store.asked["errors"] == 0, "no run has new errors"


def test_new_requests_bring_new_latencies_of_that_run_alone() -> None:
    store, gatherer = stocked(), Gatherer()
    poll(gatherer, store)
    store.asked = Counter()
    store.runs[0] = replace(store.runs[0], requests=101)
    poll(gatherer, store)
    assert store.asked["latencies of runs"] == 1


def test_a_poll_of_thousands_asks_about_those_that_changed_and_forgets_those_that_went() -> None:
    runs = [
        make_run(f"job{n % 7}", minutes_ago=n, lasted_s=30, number=n, requests=5, errors=n % 2) for n in range(1, 901)
    ]
    store = FakeStore(
        runs=runs,
        phase_list=[make_phase(run, "load", 1) for run in runs],
        histograms={run.run_id: {50: 5} for run in runs},
    )
    gatherer, watch = Gatherer(), Watch(limit=800)
    for _ in range(8):  # one job or more at a time is compared with its earlier runs
        first = poll(gatherer, store, watch)
    assert (len(first.runs), len(first.phases), len(first.percentiles)) == (800, 800, 800)
    store.asked = Counter()
    new = make_run("new", minutes_ago=0.5, requests=3)
    store.runs = [new, *runs[:400], *runs[401:]]
    store.phase_list.append(make_phase(new, "list", 1))
    store.histograms[new.run_id] = {40: 3}
    second = poll(gatherer, store, watch)
    assert second.runs[0] == new
    assert second.phases[new.run_id][0].phase == "list"
    assert {new.run_id} == second.percentiles.keys() - first.percentiles.keys()
    assert store.asked["latencies of runs"] == 1
    compared = sum(run.job == runs[800].job for run in runs[: 800 + 1]) + 1
    assert store.asked["phases of runs"] <= 1 + 2 * compared, "an older run came into the list: its job is compared"
    assert len(first.phases) == 800, "what a screen was given stays as it is"
    assert second.phases.keys() == second.percentiles.keys() == {run.run_id for run in second.runs}


def test_a_finished_run_whose_record_changed_is_asked_about_again() -> None:
    store, gatherer = stocked(), Gatherer()
    poll(gatherer, store)
    store.asked = Counter()
    store.runs[1] = replace(store.runs[1], notes="closed late")
    poll(gatherer, store)
    assert store.asked["phases of runs"] == 2


def test_the_chart_is_asked_for_when_a_bucket_closes_and_is_the_same_object_until_then() -> None:
    store, gatherer = stocked(), Gatherer()
    first = poll(gatherer, store).fleet
    assert poll(gatherer, store).fleet is first
    store.clock += timedelta(seconds=10)
    assert poll(gatherer, store).fleet is not first
    assert poll(gatherer, store, Watch(window=WINDOWS[0])).fleet.step == 10


def test_live_runs_older_than_the_newest_are_listed_too() -> None:
    runs = [make_run("done", minutes_ago=index, lasted_s=1, number=index) for index in range(1, 20)]
    store = FakeStore(runs=[*runs, make_run("ancient", minutes_ago=9_000)])
    snapshot = poll(Gatherer(), store, Watch(limit=10))
    assert len(snapshot.runs) == 11
    assert snapshot.runs[-1].job == "ancient"
    assert not snapshot.complete


def test_rates_are_over_the_time_the_run_has_had() -> None:
    store = stocked()
    store.runs[0] = young = make_run("crm", minutes_ago=0.5, requests=120)
    store.traffic = {young.run_id: (120, 0)}
    rates = poll(Gatherer(), store).rates
    assert rates[young.run_id].requests == pytest.approx(4.0)


def test_lost_runs_are_not_asked_what_they_did_lately() -> None:
    store = stocked()
    store.runs[0] = replace(store.runs[0], state="lost")
    assert poll(Gatherer(), store).rates == {}
    assert store.asked["recent_traffic"] == 0


def test_last_errors_of_many_runs_are_asked_for_over_several_polls() -> None:
    runs = [
        make_run("bad", minutes_ago=index, lasted_s=1, status="failed", errors=1, number=index)
        for index in range(1, 31)
    ]
    store, gatherer = FakeStore(runs=runs, error_list=[make_error(run) for run in runs]), Gatherer()
    assert len(poll(gatherer, store).last_errors) == ERRORS_A_POLL
    poll(gatherer, store)
    assert len(poll(gatherer, store).last_errors) == 30
    store.asked = Counter()
    poll(gatherer, store)
    assert store.asked["errors"] == 0


def test_the_open_run_is_read_in_full_and_then_only_where_it_moves() -> None:
    store, gatherer = stocked(), Gatherer()
    done = store.runs[1]
    details = poll(gatherer, store, Watch(open_run=done.run_id)).details
    assert details is not None
    assert details.run == done
    assert [error.error_type for error in details.errors] == ["KeyError", "ValueError"]
    store.asked = Counter()
    again = poll(gatherer, store, Watch(open_run=done.run_id)).details
    assert again.errors == details.errors
    assert (store.asked["endpoints"], store.asked["series"], store.asked["errors"]) == (0, 0, 0)
    store.runs[1] = replace(done, errors=3, requests=60)
    store.error_list.append(make_error(done, 3))
    poll(gatherer, store, Watch(open_run=done.run_id))
    assert (store.asked["endpoints"], store.asked["series"]) == (1, 1)
    assert store.asked["errors"] == 2, "the run's last error for the list, and the new one for its screen"


def test_the_series_of_a_moving_run_is_read_every_ten_seconds() -> None:
    store, gatherer = stocked(), Gatherer()
    watch = Watch(open_run=store.runs[0].run_id)
    for _ in range(20):
        store.clock += timedelta(seconds=1)
        store.runs[0] = replace(store.runs[0], requests=store.runs[0].requests + 1)
        poll(gatherer, store, watch)
    assert store.asked["series"] == 3


def test_a_run_that_was_cleaned_up_is_said_to_be_gone() -> None:
    store, gatherer = stocked(), Gatherer()
    gone = store.runs.pop()
    details = poll(gatherer, store, Watch(open_run=gone.run_id)).details
    assert details is not None
    assert details.run is None
    assert details.run_id == gone.run_id


def test_another_open_run_never_shows_the_details_of_the_last() -> None:
    store, gatherer = stocked(), Gatherer()
    poll(gatherer, store, Watch(open_run=store.runs[1].run_id))
    details = poll(gatherer, store, Watch(open_run=store.runs[0].run_id)).details
    assert details.errors == ()
    assert all(phase.run_id == store.runs[0].run_id for phase in details.phases)


# -- failures


@pytest.mark.parametrize(
    ("error", "what", "hopeless"),
    [
        (StoreUnavailable("connection refused\nis it running?"), "no connection", False),
        (StoreRefused("password authentication failed"), "refused", True),
        (SchemaMissing("no tables; run etlwatch init"), "no tables", True),
        (SchemaNewer("version 9"), "newer tables", True),
        (ConfigurationError("no such scheme"), "cannot be opened", True),
        (KeyError("x"), "the dashboard failed", False),
    ],
)
def test_a_failure_is_described_in_a_few_words_and_one_line(error: Exception, what: str, hopeless: bool) -> None:
    words, cause, by_hand = describe_failure(error)
    assert (words, by_hand) == (what, hopeless)
    assert "\n" not in cause
    assert cause


def test_waits_double_to_half_a_minute_and_half_of_each_is_chance() -> None:
    backoff = Backoff(draw=lambda: 1.0)
    assert [backoff.failed() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    backoff.succeeded()
    assert Backoff(draw=lambda: 0.0).failed() == 0.5
    assert backoff.failed() == 1


# -- the thread


class Results:
    """What a poller delivered, one after the other."""

    def __init__(self) -> None:
        self._queue: Queue[Read | Lost] = Queue()

    def __call__(self, result: Read | Lost) -> None:
        self._queue.put(result)

    def next(self) -> Read | Lost:
        return self._queue.get(timeout=10)

    def next_read(self) -> Read:
        while not isinstance(result := self.next(), Read):
            pass
        return result


@pytest.fixture
def results() -> Results:
    return Results()


def test_it_polls_until_stopped_and_closes_its_connection(results: Results) -> None:
    store = stocked()
    poller = Poller(lambda: store, results, interval=0.01)
    poller.start()
    assert isinstance(results.next(), Read)
    assert isinstance(results.next(), Read)
    poller.stop()
    assert poller.join(10)
    assert store.readers == 1, "one connection serves every poll"
    assert store.open_readers == 0


def test_a_lost_connection_is_reported_tried_again_and_heals(results: Results) -> None:
    store = stocked()
    poller = Poller(lambda: store, results, interval=0.01, backoff=Backoff(least=0.01))
    poller.start()
    results.next_read()
    store.break_down()
    lost = results.next()
    while not isinstance(lost, Lost):
        lost = results.next()
    assert (lost.what, lost.attempt, lost.hopeless) == ("no connection", 1, False)
    assert lost.cause == "server closed the connection (57P01)"
    store.heal()
    assert results.next_read().snapshot.runs
    poller.stop()
    assert poller.join(10)
    assert store.open_readers == 0


def test_a_refresh_ends_the_waiting_and_asks_for_everything_anew(results: Results) -> None:
    store = stocked()
    poller = Poller(lambda: store, results, interval=3_600)
    poller.start()
    results.next_read()
    asked = store.asked["throughput"]
    poller.refresh()
    results.next_read()
    assert store.asked["throughput"] == asked + 1
    poller.stop()
    assert poller.join(10)


def test_what_is_watched_is_asked_for_at_once(results: Results) -> None:
    store = stocked()
    poller = Poller(lambda: store, results, interval=3_600)
    poller.start()
    results.next_read()
    poller.watch = replace(poller.watch, open_run=store.runs[0].run_id)
    assert results.next_read().snapshot.details is not None
    poller.stop()
    assert poller.join(10)


def test_an_error_of_our_own_is_reported_and_survived(results: Results) -> None:
    store = stocked()
    store.failure = ZeroDivisionError("of our own making")
    poller = Poller(lambda: store, results, interval=0.01, backoff=Backoff(least=0.01))
    poller.start()
    lost = results.next()
    assert isinstance(lost, Lost)
    assert lost.cause == "ZeroDivisionError (of our own making)"
    store.heal()
    assert results.next_read()
    poller.stop()
    assert poller.join(10)


def test_stopping_waits_for_nothing_while_the_store_hangs(results: Results) -> None:
    release = threading.Event()
    entered = threading.Event()

    def hang() -> FakeStore:
        entered.set()
        release.wait(30)
        return stocked()

    poller = Poller(hang, results)
    poller.start()
    assert entered.wait(10)
    poller.stop()
    assert not poller.join(0.0)
    release.set()
    assert poller.join(10)
