"""Which runs are listed, and how little of them is read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from etlwatch.reading.listing import AGAIN_EVERY_S, COUNTED_EVERY_S, MOST_LIVE, Listing
from tests.etlwatch.fleet import NOW, FakeReader, FakeStore, make_run
from tracking_core.records import Run


def stocked(number: int) -> FakeStore:
    return FakeStore(runs=[make_run(f"job{n}", minutes_ago=n, lasted_s=30, number=n) for n in range(1, number + 1)])


def jobs(runs: tuple[Run, ...]) -> list[str]:
    return [run.job for run in runs]


def test_the_first_page_of_a_large_store_is_one_question_for_its_runs() -> None:
    store = stocked(3_000)
    listed = Listing().read(FakeReader(store), 200, at_s=0.0)
    assert len(listed.runs) == 200
    assert not listed.complete
    assert (store.asked["recent_runs"], store.asked["runs read"]) == (1, 200)


def test_a_poll_reads_the_newest_page_however_many_are_listed() -> None:
    store, listing = stocked(3_000), Listing()
    first = listing.read(FakeReader(store), 2_700, at_s=0.0)
    assert jobs(first.runs) == [f"job{n}" for n in range(1, 2_701)]
    store.asked.clear()
    again = listing.read(FakeReader(store), 2_700, at_s=1.0)
    assert jobs(again.runs) == jobs(first.runs)
    assert store.asked["runs read"] == 200


def test_the_end_of_the_store_is_known_as_such() -> None:
    listing = Listing()
    listed = listing.read(FakeReader(stocked(450)), 700, at_s=0.0)
    assert (len(listed.runs), listed.complete) == (450, True)
    assert listing.read(FakeReader(stocked(450)), 700, at_s=1.0).complete


def test_new_runs_push_others_below_the_first_page_and_none_is_lost() -> None:
    store, listing = stocked(1_000), Listing()
    listing.read(FakeReader(store), 700, at_s=0.0)
    store.runs += [make_run(f"new{n}", minutes_ago=0.5, number=n) for n in range(30)]
    listed = listing.read(FakeReader(store), 700, at_s=1.0).runs
    assert jobs(listed)[30:] == [f"job{n}" for n in range(1, 671)]
    store.runs += [make_run(f"storm{n}", minutes_ago=0.2, lasted_s=1, number=100 + n) for n in range(300)]
    listed = listing.read(FakeReader(store), 700, at_s=2.0).runs
    assert jobs(listed)[330:] == [f"job{n}" for n in range(1, 371)]


def test_a_run_that_ends_below_the_first_page_is_shown_as_ended() -> None:
    store, listing = stocked(600), Listing()
    store.runs[400] = make_run("long", minutes_ago=401, number=401)
    listing.read(FakeReader(store), 600, at_s=0.0)
    store.runs[400] = replace(store.runs[400], status="failed", state="failed", ended_at=NOW)
    listed = listing.read(FakeReader(store), 600, at_s=1.0).runs
    assert [run.status for run in listed if run.job == "long"] == ["failed"]


def test_what_was_removed_below_the_first_page_is_gone_after_a_while() -> None:
    store, listing = stocked(600), Listing()
    listing.read(FakeReader(store), 500, at_s=0.0)
    del store.runs[300:350]
    for turn in range(1, 4):
        listed = listing.read(FakeReader(store), 500, at_s=turn * AGAIN_EVERY_S).runs
    assert jobs(listed) == [f"job{n}" for n in (*range(1, 301), *range(351, 551))]


def test_living_runs_are_listed_however_old_and_once() -> None:
    store, listing = stocked(600), Listing()
    old = make_run("old", minutes_ago=10_000, heartbeat_at=NOW - timedelta(minutes=1))
    store.runs.append(old)
    listed = listing.read(FakeReader(store), 300, at_s=0.0).runs
    assert listed[-1] == old
    assert len(listed) == 301


def test_living_runs_that_are_not_listed_are_counted() -> None:
    store = stocked(300)
    store.runs += [make_run(f"live{n}", minutes_ago=400 + n, number=1000 + n) for n in range(MOST_LIVE + 40)]
    listed = Listing().read(FakeReader(store), 200, at_s=0.0)
    assert (len(listed.runs), listed.living) == (200 + MOST_LIVE, MOST_LIVE + 40)
    assert Listing().read(FakeReader(stocked(300)), 200, at_s=0.0).living is None
    assert store.asked["count_live"] == 1


def test_the_runs_of_the_store_are_counted_where_not_all_are_listed_and_that_only_now_and_then() -> None:
    store, listing = stocked(600), Listing()
    numbers = [listing.read(FakeReader(store), limit, at_s=at).there_are for limit, at in ((200, 0.0), (400, 5.0))]
    assert numbers == [600, 600]
    assert store.asked["count_runs"] == 1
    listing.read(FakeReader(store), 200, at_s=COUNTED_EVERY_S)
    assert store.asked["count_runs"] == 2
    assert Listing().read(FakeReader(store), 700, at_s=0.0).there_are is None
