"""What a store gives back, asked in the same words of both kinds."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from etlwatch.reading import errors as error_reading
from etlwatch.reading.past import reader_as_of
from tests.store.stocking import WRITER_ID, Stock
from tracking_core import histogram
from tracking_core.config import StoreLocation
from tracking_core.errors import SchemaMissing, SchemaNewer, StoreError, StoreUnavailable
from tracking_core.identity import format_run_id
from tracking_core.records import Run
from tracking_core.store import open_store, queries
from tracking_core.store.postgres.reader import PostgresReader
from tracking_core.store.queries import Reader
from tracking_core.store.sqlite.reader import EmptyStoreReader, SqliteReader
from tracking_core.store.sqlite.store import SqliteStore

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    stock = Stock(store_dsn)
    yield stock
    stock.close()


@pytest.fixture
def reader(stock: Stock) -> Iterator[Reader]:
    with stock.store.reader(10.0) as reader:
        yield reader


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def execute(dsn: str, statement: str) -> None:
    """Do to a store what no part of the product does."""
    if dsn.startswith("sqlite"):
        with closing(sqlite3.connect(dsn.removeprefix("sqlite:///"), isolation_level=None)) as file:
            file.execute(statement)
    else:
        with psycopg.connect(dsn) as connection:
            connection.execute(statement.encode())


def judge_at(reader: Reader, moment: datetime) -> None:
    assert isinstance(reader, PostgresReader | SqliteReader)
    reader.at = moment


def test_an_empty_store_answers_every_question(reader: Reader) -> None:
    assert reader.recent_runs(10) == []
    assert reader.live_runs() == []
    assert reader.run(1) is None
    assert reader.run_ids_ending_in("0000") == []
    assert reader.latest_run_id("inventory") is None
    assert reader.phases([1, 2]) == []
    assert reader.phase_samples(1) == []
    assert reader.endpoints(1) == []
    assert reader.latencies([1]) == {}
    assert reader.series(1) == []
    assert reader.recent_traffic([1], 0) == {}
    assert reader.throughput(0, 2**40, 60) == []
    assert reader.source_counts([1]) == []
    assert reader.errors() == []
    assert reader.errors(1) == []
    assert reader.ledger(1) == []
    assert reader.switches() == []
    assert reader.audit() == []
    assert reader.count_runs() == reader.count_errors() == 0


def test_runs_and_errors_are_counted_by_what_they_belong_to(stock: Stock, reader: Reader) -> None:
    for number, job in enumerate(("crm", "crm", "ads")):
        run_id = stock.start(NOW - (number + 1) * HOUR, job=job)
        stock.error(run_id, "broken", NOW - (number + 1) * HOUR)
        stock.error(run_id, "again", NOW - (number + 1) * HOUR)
    stock.end(run_id, NOW, status="failed")
    kind = reader.errors(run_id, 1)[0].fingerprint
    assert (reader.count_runs(), reader.count_errors()) == (3, 6)
    assert (reader.count_runs(jobs=["crm"]), reader.count_errors(jobs=["crm"])) == (2, 4)
    assert (reader.count_runs(jobs=[]), reader.count_errors(jobs=[])) == (0, 0)
    assert [reader.count_runs(statuses=[status]) for status in ("failed", "running")] == [1, 2]
    assert sum(reader.count_runs(statuses=[status], most=1) for status in ("failed", "running")) == 1, "the newest"
    assert reader.count_runs(since=NOW - 2 * HOUR, until=NOW - 90 * MINUTE) == 1
    assert reader.count_errors(until=NOW - 90 * MINUTE) == 4
    assert reader.count_errors(fingerprints=[kind]) == 6
    assert reader.count_errors(fingerprints=["other"]) == 0


def test_errors_of_kinds_and_audit_entries_up_to_a_moment_are_limited_among_themselves(
    stock: Stock, reader: Reader
) -> None:
    run_id = stock.start(NOW - HOUR)
    for minutes in (50, 40, 30, 20):
        stock.error(run_id, "broken", NOW - minutes * MINUTE)
    kind = reader.errors(run_id, 1)[0].fingerprint
    then = reader.errors_named([kind], 2, until=NOW - 35 * MINUTE)
    assert [error.at for error in then] == [NOW - 40 * MINUTE, NOW - 50 * MINUTE]
    with stock.store.administration(5.0) as administration:
        for number in range(3):
            administration.set_switch(enabled=False, job=f"job-{number}", actor="ana", reason="r")
    newest, middle, oldest = reader.audit(None)
    assert reader.audit(1, until=middle.at) == [middle]
    assert reader_as_of(reader, oldest.at).audit(1) == [oldest]
    assert reader_as_of(reader, NOW - 35 * MINUTE).errors_named([kind], 2) == then
    assert newest.at > middle.at


def test_the_clock_is_aware_utc_and_now(reader: Reader) -> None:
    now = reader.now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < MINUTE


def test_a_running_run_comes_back_as_it_was_begun(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW - HOUR, job="crm", notes="first\nsecond", tags={"env": "prod"}, heartbeat_interval_s=10.0)
    run = reader.run(run_id)
    assert run is not None
    assert (run.run_id, run.job, run.notes, run.tags) == (run_id, "crm", "first\nsecond", {"env": "prod"})
    assert (run.status, run.state, run.evidence, run.ended_at, run.ended_by) == ("running", "running", "", None, None)
    assert run.started_at == NOW - HOUR
    assert run.started_at.tzinfo is UTC
    assert (run.host, run.pid, run.boot_id, run.user) == ("worker-3", 4711, "b0", "etl")
    assert (run.command, run.code_version, run.tracker_version) == ("python sync.py", "abc123", "0.1.0")
    assert (run.heartbeat_interval_s, run.clock_offset_ms, run.parent_run_id) == (10.0, -12, None)
    assert run.heartbeat_at is not None
    assert abs(run.heartbeat_at - reader.now()) < MINUTE
    assert (run.requests, run.items, run.failed_requests, run.throttled_requests, run.errors) == (0, 0, 0, 0, 0)


def test_a_running_run_lasts_until_the_moment_of_reading(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW - HOUR)
    judge_at(reader, NOW + timedelta(seconds=1.5))
    run = reader.run(run_id)
    assert run is not None
    assert run.duration_s == 3601.5


def test_a_run_whose_start_lies_ahead_lasts_nothing(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW + HOUR)
    run = reader.run(run_id)
    assert run is not None
    assert run.duration_s == 0


def test_an_ended_run_lasts_what_its_own_clock_measured(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW - HOUR)
    stock.end(run_id, NOW, status="failed", duration_ms=1234)
    run = reader.run(run_id)
    assert run is not None
    assert (run.status, run.state, run.ended_at, run.duration_s) == ("failed", "failed", NOW, 1.234)
    assert run.ended_by == "job"


def test_an_ended_run_without_a_measured_duration_lasts_from_start_to_end(stock: Stock, reader: Reader) -> None:
    run_id = stock.finished(NOW - HOUR, NOW)
    run = reader.run(run_id)
    assert run is not None
    assert run.duration_s == 3600


def test_a_silent_run_is_lost_after_three_of_its_own_intervals(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW, heartbeat_interval_s=20.0)
    begun = reader.run(run_id)
    assert begun is not None
    assert begun.heartbeat_at is not None
    judge_at(reader, begun.heartbeat_at + timedelta(seconds=60))
    alive = reader.run(run_id)
    judge_at(reader, begun.heartbeat_at + timedelta(seconds=75))
    lost = reader.run(run_id)
    assert alive is not None
    assert lost is not None
    assert alive.state == "running"
    assert (lost.status, lost.state) == ("running", "lost")
    assert lost.evidence == "no heartbeat for 75 s; it beats every 20 s"
    assert lost.state_since == begun.heartbeat_at + timedelta(seconds=60)


def test_a_run_that_nothing_beats_for_is_never_lost(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW)
    judge_at(reader, NOW + timedelta(days=30))
    run = reader.run(run_id)
    assert run is not None
    assert run.state == "running"


def test_recent_runs_are_the_newest_first_and_page_without_gaps(stock: Stock, reader: Reader) -> None:
    same_moment = [stock.start(NOW - HOUR) for _ in range(3)]
    older = stock.finished(NOW - 3 * HOUR, NOW - 2 * HOUR)
    newest = stock.start(NOW)
    expected = [newest, *reversed(same_moment), older]
    assert [run.run_id for run in reader.recent_runs(10)] == expected
    first = reader.recent_runs(2)
    second = reader.recent_runs(2, before=(first[-1].started_at, first[-1].run_id))
    third = reader.recent_runs(2, before=(second[-1].started_at, second[-1].run_id))
    assert [run.run_id for run in (*first, *second, *third)] == expected
    assert reader.recent_runs(0) == []


def test_live_runs_are_those_that_nobody_has_ended(stock: Stock, reader: Reader) -> None:
    stock.finished(NOW - HOUR, NOW)
    first, second = stock.start(NOW - HOUR), stock.start(NOW)
    assert [run.run_id for run in reader.live_runs()] == [second, first]
    assert [run.run_id for run in reader.live_runs(1)] == [second]


def test_live_runs_are_read_on_from_a_run(stock: Stock, reader: Reader) -> None:
    first, second, third = (stock.start(NOW - n * HOUR) for n in (3, 2, 2))
    newest = reader.live_runs()[0]
    assert newest.run_id == third
    assert [run.run_id for run in reader.live_runs(before=(newest.started_at, newest.run_id))] == [second, first]
    assert reader.live_runs(before=(NOW - 3 * HOUR, first)) == []


def test_a_run_is_found_by_the_end_of_its_characters(stock: Stock, reader: Reader) -> None:
    base = stock.start(NOW - HOUR, run_id=(1 << 60) + 31)
    other = stock.start(NOW, run_id=(1 << 61) + 31)
    letters = format_run_id(base)
    assert reader.run_ids_ending_in(letters[-4:]) == [other, base]
    assert reader.run_ids_ending_in(letters[-4:], limit=1) == [other]
    assert reader.run_ids_ending_in(letters[-4:].lower()) == [other, base]
    assert reader.run_ids_ending_in(letters[-4:].replace("0", "O")) == [other, base]
    assert reader.run_ids_ending_in(letters) == [base]


@pytest.mark.parametrize("suffix", ["", "  ", "U", "ab!", "0" * 14, "%", "Z" * 13])
def test_what_no_run_id_ends_in_finds_nothing(stock: Stock, reader: Reader, suffix: str) -> None:
    stock.start(NOW)
    assert reader.run_ids_ending_in(suffix) == []


@pytest.mark.parametrize("run_id", [0, -1, 2**63, 2**80])
def test_a_number_that_is_no_run_id_is_an_unknown_run(reader: Reader, run_id: int) -> None:
    assert reader.run(run_id) is None
    assert reader.series(run_id) == []
    assert reader.phases([run_id]) == []
    assert reader.errors(run_id) == []


def test_the_latest_run_of_a_job_is_the_one_begun_last(stock: Stock, reader: Reader) -> None:
    latest = stock.start(NOW - HOUR, job="crm")
    stock.start(NOW - 2 * HOUR, job="crm")
    stock.start(NOW, job="inventory")
    assert reader.latest_run_id("crm") == latest
    assert reader.latest_run_id("Crm") is None


def test_jobs_are_named_once_each(stock: Stock, reader: Reader) -> None:
    for job in ("crm", "ads", "crm", "Ledger ✓"):
        stock.start(NOW, job=job)
    assert sorted(reader.job_names()) == sorted(["Ledger ✓", "ads", "crm"])
    assert len(reader.job_names(2)) == 2


def test_a_jobs_past_is_its_newest_runs_all_or_completed(stock: Stock, reader: Reader) -> None:
    old, newer = stock.finished(NOW - 3 * HOUR, NOW - 2 * HOUR), stock.finished(NOW - HOUR, NOW)
    running = stock.start(NOW - MINUTE)
    stock.finished(NOW - HOUR, NOW, job="crm")
    assert [run.run_id for run in reader.runs_of_job("inventory", 9)] == [running, newer, old]
    assert [run.run_id for run in reader.runs_of_job("inventory", 9, completed=True)] == [newer, old]
    assert [run.run_id for run in reader.runs_of_job("inventory", 1, completed=True)] == [newer]
    assert [run.run_id for run in reader.runs_of_job("inventory", 9, before=NOW - HOUR)] == [old]
    assert [run.run_id for run in reader.runs_of_job("inventory", 1, completed_by=NOW)] == [newer]
    assert [run.run_id for run in reader.runs_of_job("inventory", 1, completed_by=NOW - MINUTE)] == [old]
    assert reader.runs_of_job("inventory", 1, completed_by=NOW - 2 * HOUR - MINUTE) == []


def test_several_runs_answer_at_once_for_endpoints_and_series(stock: Stock, reader: Reader) -> None:
    first, second = stock.start(NOW - HOUR), stock.start(NOW - HOUR)
    stock.requests(first, [(NOW - HOUR, "/a", 200, 1, 10), (NOW - MINUTE, "/a", 200, 1, 10)])
    stock.requests(second, [(NOW - MINUTE, "/b", 429, 0, 5)])
    assert [
        (totals.run_id, totals.endpoint, totals.requests) for totals in reader.endpoints_of_runs([second, first])
    ] == [
        (first, "/a", 2),
        (second, "/b", 1),
    ]
    series = reader.series_of_runs([first, second], seconds(NOW - 5 * MINUTE))
    assert {run_id: [cell.requests for cell in cells] for run_id, cells in series.items()} == {first: [1], second: [1]}
    assert series[second][0].throttled == 1
    assert [cell.requests for cell in reader.series_of_runs([first], 0)[first]] == [1, 1]
    assert [cell.bucket for cell in reader.series_of_runs([first], 0, until=series[first][0].bucket)[first]] == [
        seconds(NOW - HOUR) // 10 * 10
    ]
    assert reader.endpoint_names([second, first, 1]) == {
        run_id: frozenset(totals.endpoint for totals in reader.endpoints(run_id)) for run_id in (first, second)
    }
    assert reader.endpoint_names([]) == {}


def test_a_past_moment_is_read_from_starts_ends_series_samples_and_errors(stock: Stock, reader: Reader) -> None:
    at = NOW - HOUR
    over = stock.finished(at - HOUR, at - MINUTE)
    alive, later = stock.start(at - 30 * MINUTE), stock.start(at + MINUTE)
    stock.requests(alive, [(at - 20 * MINUTE, "/a", 200, 5, 10), (at - 10 * MINUTE, "/a", 429, 0, 10)])
    stock.requests(alive, [(at + 5 * MINUTE, "/a", 200, 7, 10)])
    for minutes, processed in ((-20, 5), (-10, 9), (10, 50)):
        stock.phase(alive, "load", at + minutes * MINUTE, counters={"items": {"processed": processed}})
    stock.error(alive, "before", at - MINUTE)
    stock.error(alive, "after", at + MINUTE)
    stock.end(alive, NOW)
    ids = [over, alive, later]
    assert [run.run_id for run in reader.runs_alive_at(at, at - 24 * HOUR)] == [alive]
    assert reader.runs_alive_at(at, at - 10 * MINUTE) == []
    assert reader.count_alive_at(at, at - 24 * HOUR) == 1
    traffic = reader.traffic_until(ids, seconds(at))
    assert list(traffic) == [alive]
    assert (traffic[alive].requests, traffic[alive].throttled, traffic[alive].items) == (2, 1, 5)
    samples = [(each.run_id, each.phase, each.at, each.processed) for each in reader.samples_until(ids, seconds(at))]
    assert samples == [
        (alive, "load", at - 20 * MINUTE, {"items": 5}),
        (alive, "load", at - 10 * MINUTE, {"items": 9}),
    ]
    assert reader.errors_until(ids, at) == {alive: (1, at - MINUTE)}
    assert [error.message for error in reader.errors(alive, until=at)] == ["before"]
    assert [error.message for error in reader.errors(until=at)] == ["before"]


def test_a_pause_is_the_longest_time_of_a_phase_without_an_update_or_a_request(stock: Stock, reader: Reader) -> None:
    began = (NOW - HOUR).replace(second=0, microsecond=0)
    run, living, idle = stock.start(began), stock.start(began), stock.start(began)
    stock.requests(run, [(began + n * MINUTE, "/a", 200, 1, 10) for n in (1, 2, 5)])
    for at in (20, 22, 23):
        stock.phase(run, "load", began + at * MINUTE, counters={"rows": {"processed": at}})
    stock.end(run, began + 30 * MINUTE)
    stock.requests(living, [(began + n * MINUTE, "/a", 200, 1, 10) for n in (1, 4)])
    pauses = reader.pauses_of_runs([run, living, idle])
    assert pauses[run][""] == 15 * 60
    assert pauses[run]["load"] in (2 * 60, 7 * 60), "to the end of the run where that ends the phase"
    assert pauses[living] == {"": 3 * 60}, "what follows its last request is not over"
    assert idle not in pauses
    assert reader.pauses_of_runs([living], until=seconds(began + 2 * MINUTE)) == {}, "one request makes no pause"
    assert reader.pauses_of_runs([run], until=seconds(began + 3 * MINUTE)) == {run: {"": 60}}
    assert reader.pauses_of_runs([]) == {}


def test_errors_of_one_kind_are_one_group_with_the_newest_word(stock: Stock, reader: Reader) -> None:
    first, second = stock.start(NOW - HOUR), stock.start(NOW - HOUR)
    stock.error(first, "old", NOW - HOUR)
    stock.error(first, "older", NOW - 2 * HOUR)
    stock.error(second, "new", NOW)
    (group,) = reader.error_groups(NOW - 3 * HOUR)
    assert (group.fingerprint, group.errors, group.runs) == ("f00d", 3, 2)
    assert (group.first_at, group.last_at) == (NOW - 2 * HOUR, NOW)
    assert (group.run_id, group.message, group.error_type, group.phase) == (second, "new", "ValueError", "load")
    assert reader.error_groups_named([group.key, ("sync", "none"), ("other", "f00d")]) == [group]
    assert [recent.errors for recent in reader.error_groups(NOW - MINUTE)] == [1]
    assert reader.error_groups(NOW + MINUTE) == []
    assert reader.error_groups_named([]) == []
    (then,) = reader.error_groups(NOW - 3 * HOUR, before=NOW)
    assert (then.errors, then.runs, then.last_at, then.message) == (2, 1, NOW - HOUR, "old")
    assert reader.error_groups_named([group.key], before=NOW) == [then]
    assert reader.error_groups_named([group.key], before=NOW - 2 * HOUR) == []


def test_the_same_error_in_another_job_is_another_kind(stock: Stock, reader: Reader) -> None:
    sync, other = stock.start(NOW - HOUR, job="sync"), stock.start(NOW - HOUR, job="other")
    for run_id, ago in ((sync, 30), (other, 20), (sync, 10)):
        stock.error(run_id, f"{ago} minutes ago", NOW - ago * MINUTE)
    of_sync, of_other = reader.error_groups(NOW - 2 * HOUR)
    assert (of_sync.key, of_sync.errors, of_sync.message) == (("sync", "f00d"), 2, "10 minutes ago")
    assert (of_other.key, of_other.errors, of_other.first_at) == (("other", "f00d"), 1, NOW - 20 * MINUTE)
    named = reader.error_groups_named([of_other.key, of_sync.key])
    assert [replace(group, kinds=2) for group in named] == [of_sync, of_other]
    (newest,) = reader.error_groups(NOW - 2 * HOUR, 1)
    assert newest == of_sync, "the number of kinds is that without the limit"


def test_kinds_of_some_jobs_are_counted_and_listed_among_theirs_alone(
    stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet, loud = stock.start(NOW - HOUR, job="quiet"), stock.start(NOW - HOUR, job="loud")
    stock.error(quiet, "old", NOW - HOUR)
    for minutes in range(5):
        stock.error(loud, "new", NOW - minutes * MINUTE)
    monkeypatch.setattr(queries, "ERRORS_COUNTED", 3)
    (of_all,) = reader.error_groups(NOW - 2 * HOUR, 1)
    assert of_all.job == "loud"
    (group,) = reader.error_groups(NOW - 2 * HOUR, 1, jobs=["quiet", "none"])
    assert (group.job, group.errors, group.cut) == ("quiet", 1, False)
    assert reader.error_groups(NOW - 2 * HOUR, jobs=[]) == []


def test_of_a_storm_of_errors_the_newest_are_counted_and_the_groups_say_so(
    stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stock.start(NOW - HOUR), stock.start(NOW - HOUR)
    stock.error(first, "old", NOW - HOUR)
    for seconds_ago in range(3):
        stock.error(second, "new", NOW - timedelta(seconds=seconds_ago))
    monkeypatch.setattr(queries, "ERRORS_COUNTED", 3)
    monkeypatch.setattr(queries, "ERRORS_OF_KIND_COUNTED", 2)
    (group,) = reader.error_groups(NOW - 2 * HOUR)
    assert (group.errors, group.cut) == (3, True)
    (group,) = reader.error_groups(NOW - MINUTE)
    assert (group.errors, group.runs, group.cut) == (3, 1, False)
    (always,) = reader.error_groups_named([group.key])
    assert (always.errors, always.runs, always.cut) == (2, 1, True)
    assert (always.first_at, always.last_at) == (NOW - HOUR, NOW), "the first is found, however many came after it"


def test_the_newest_errors_of_a_run_come_from_all_its_writers(stock: Stock, reader: Reader, store_dsn: str) -> None:
    run_id = stock.start(NOW - HOUR)
    others = [Stock(store_dsn, writer_id=writer_id) for writer_id in (7, 9)]
    for minutes, writer in enumerate([*others, stock, *others, stock]):
        writer.error(run_id, f"{minutes} minutes ago", NOW - minutes * MINUTE)
    for other in others:
        other.close()
    told = [error.message for error in reader.errors(run_id, 4)]
    assert told == [f"{minutes} minutes ago" for minutes in range(4)]
    assert [error.message for error in reader.errors(run_id, 2, until=NOW - 3 * MINUTE)] == [
        "3 minutes ago",
        "4 minutes ago",
    ]


def test_of_many_kinds_fewer_errors_of_each_are_counted(
    stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    storm = stock.start(NOW - HOUR, job="storm")
    for seconds_ago in range(4):
        stock.error(storm, "many", NOW - timedelta(seconds=seconds_ago))
    monkeypatch.setattr(queries, "ERRORS_COUNTED", 4)
    monkeypatch.setattr(queries, "LEAST_OF_KIND_COUNTED", 1)
    (alone,) = reader.error_groups_named([("storm", "f00d")])
    assert (alone.errors, alone.cut) == (4, False)
    (among_others,) = reader.error_groups_named([("storm", f) for f in ("f00d", "1", "2", "3")])
    assert (among_others.errors, among_others.cut) == (1, True)


def test_a_kind_that_jobs_share_is_told_of_each_also_beyond_what_is_counted(
    stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare, storm = stock.start(NOW - HOUR, job="rare"), stock.start(NOW - HOUR, job="storm")
    stock.error(rare, "one", NOW - HOUR)
    for seconds_ago in range(4):
        stock.error(storm, "many", NOW - timedelta(seconds=seconds_ago))
    kinds = [group.key for group in reader.error_groups(NOW - 2 * HOUR)]
    whole = {group.job: (group.errors, group.runs, group.cut) for group in reader.error_groups_named(kinds)}
    assert whole == {"storm": (4, 1, False), "rare": (1, 1, False)}
    monkeypatch.setattr(queries, "ERRORS_OF_KIND_COUNTED", 2)
    cut = {group.job: group for group in reader.error_groups_named(kinds)}
    assert (cut["storm"].errors, cut["storm"].cut) == (2, True)
    assert cut["rare"].cut, "those of all jobs are counted together; what was not counted is not taken for none"
    assert (cut["rare"].message, cut["rare"].first_at, cut["rare"].last_at) == ("one", NOW - HOUR, NOW - HOUR)


def test_phases_come_in_their_order_with_counters_and_memory(stock: Stock, reader: Reader) -> None:
    first, second = stock.start(NOW - HOUR), stock.start(NOW)
    stock.phase(first, "transform", NOW, position=2)
    stock.phase(first, "extract", NOW - MINUTE, position=1, counters={"items": {"total": 10, "processed": 4}})
    stock.phase(second, "extract", NOW, position=1, status="completed", memory_mb=12.5)
    phases = reader.phases([second, first, first])
    assert [(phase.run_id, phase.phase, phase.position) for phase in phases] == [
        (first, "extract", 1),
        (first, "transform", 2),
        (second, "extract", 1),
    ]
    assert phases[0].counters == {"items": {"total": 10, "processed": 4}}
    assert (phases[0].status, phases[0].started_at, phases[0].ended_at) == ("running", NOW - MINUTE, None)
    assert (phases[2].status, phases[2].memory_mb, phases[2].counters) == ("completed", 12.5, {})


def test_phase_samples_show_what_progress_looked_like_then(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW)
    for minutes, processed in ((0, 5), (1, 9)):
        at = NOW + minutes * MINUTE
        stock.phase(run_id, "load", at, counters={"items": {"processed": processed}}, memory_mb=100.0 + minutes)
    samples = reader.phase_samples(run_id)
    assert [(sample.processed, sample.memory_mb) for sample in samples] == [
        ({"items": 5}, 100.0),
        ({"items": 9}, 101.0),
    ]
    assert [sample.bucket for sample in samples] == [seconds(NOW) // 10 * 10, seconds(NOW + MINUTE) // 10 * 10]


def test_endpoints_add_up_a_runs_requests_most_requests_first(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW)
    stock.requests(
        run_id,
        [
            (NOW, "/a", 200, 10, 100),
            (NOW, "/b", 200, 1, 5),
            (NOW, "/b", 429, 0, 7),
            (NOW, "/b", 503, 0, 30_000),
            (NOW, "/b", 301, 0, 0),
            (NOW, "/b", None, 0, 1),
        ],
    )
    busy, quiet = reader.endpoints(run_id)
    assert (busy.run_id, busy.endpoint, busy.requests, busy.items) == (run_id, "/b", 5, 1)
    assert (busy.failed, busy.throttled, busy.duration_ms, busy.max_ms) == (2, 1, 30_013, 30_000)
    assert (busy.status_2xx, busy.status_3xx, busy.status_4xx, busy.status_5xx, busy.status_other) == (1, 1, 1, 1, 1)
    assert (quiet.endpoint, quiet.requests, quiet.items) == ("/a", 1, 10)
    assert histogram.unpack(quiet.histogram) == {histogram.bucket_of(100): 1}


def test_latencies_add_up_a_runs_endpoints(stock: Stock, reader: Reader) -> None:
    first, second, without = stock.start(NOW), stock.start(NOW), stock.start(NOW)
    stock.requests(first, [(NOW, "/a", 200, 1, 100), (NOW, "/b", 200, 1, 100), (NOW, "/b", 200, 1, 900)])
    stock.requests(second, [(NOW, "/a", 200, 1, 3)])
    assert reader.latencies([first, second, without]) == {
        first: {histogram.bucket_of(100): 2, histogram.bucket_of(900): 1},
        second: {histogram.bucket_of(3): 1},
    }
    assert reader.latencies([]) == {}


def test_a_series_is_fine_in_a_runs_first_quarter_of_an_hour(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW - HOUR)
    stock.requests(run_id, [(NOW - HOUR, "/a", 200, 1, 10), (NOW, "/a", 500, 2, 20), (NOW, "/b", 200, 3, 30)])
    early, late = reader.series(run_id)
    assert (early.bucket, early.width, early.requests) == (seconds(NOW - HOUR) // 10 * 10, 10, 1)
    assert (late.bucket, late.width, late.requests) == (seconds(NOW) // 60 * 60, 60, 2)
    assert (late.items, late.failed, late.duration_ms, late.status_2xx, late.status_5xx) == (5, 1, 50, 1, 1)
    assert sum(histogram.unpack(late.histogram).values()) == 2
    assert reader.series(run_id, late.bucket) == [late]
    assert reader.series(run_id, early.bucket) == [early, late]


def test_recent_traffic_counts_cells_that_begin_after_a_moment(stock: Stock, reader: Reader) -> None:
    busy, idle = stock.start(NOW), stock.start(NOW)
    stock.requests(busy, [(NOW, "/a", 200, 5, 10), (NOW + MINUTE, "/a", 200, 7, 10), (NOW + MINUTE, "/b", 200, 1, 10)])
    since = seconds(NOW + MINUTE) // 10 * 10
    assert reader.recent_traffic([busy, idle], since) == {busy: (2, 8)}
    assert reader.recent_traffic([busy], 0) == {busy: (3, 13)}
    assert reader.recent_traffic([busy], since + 10) == {}


def test_throughput_adds_all_runs_up_to_steps(stock: Stock, reader: Reader) -> None:
    start = NOW.replace(minute=0, second=0) - 2 * HOUR
    first, second = stock.start(start), stock.start(start)
    stock.requests(first, [(start, "/a", 200, 1, 100), (start + timedelta(seconds=30), "/a", 429, 0, 100)])
    stock.requests(second, [(start + timedelta(seconds=5), "/b", 503, 0, 100), (start + MINUTE, "/b", 200, 4, 7)])
    begin = seconds(start)
    first_minute, second_minute = reader.throughput(begin, begin + 120, 60)
    assert (first_minute.bucket, first_minute.width, first_minute.requests) == (begin, 60, 3)
    assert (first_minute.failed, first_minute.throttled, first_minute.items) == (1, 1, 1)
    assert (first_minute.status_2xx, first_minute.status_4xx, first_minute.status_5xx) == (1, 1, 1)
    assert histogram.unpack(first_minute.histogram) == {histogram.bucket_of(100): 3}
    assert (second_minute.bucket, second_minute.requests, second_minute.items) == (begin + 60, 1, 4)
    assert [cell.requests for cell in reader.throughput(begin, begin + 60, 60)] == [3]
    assert [cell.requests for cell in reader.throughput(begin, begin + 3600, 3600)] == [4]


def test_throughput_keeps_what_is_stored_wider_than_a_step_as_wide_as_it_is(
    stock: Stock, reader: Reader, widened: int
) -> None:
    cells = reader.throughput(widened, widened + 1200, 60)
    assert [(cell.bucket, cell.width, cell.requests) for cell in cells] == [(widened, 600, 5), (widened + 600, 60, 2)]
    assert [(cell.bucket, cell.width, cell.requests) for cell in reader.throughput(widened, widened + 1200, 1200)] == [
        (widened, 1200, 7)
    ]


def test_old_cells_of_all_runs_are_joined_into_wide_ones_without_shards(store_dsn: str, reader: Reader) -> None:
    assert isinstance(reader, PostgresReader | SqliteReader)
    begin = seconds(NOW) // 600 * 600 - 86400
    yesterday = datetime.fromtimestamp(begin, UTC)
    for writer_id in (1, 2, 3):
        stock = Stock(store_dsn, writer_id=writer_id)
        run_id = stock.start(yesterday)
        stock.requests(run_id, [(yesterday, "/a", 200, 1, 10), (yesterday + 5 * MINUTE, "/a", 500, 2, 900)])
        stock.close()
    (cell,) = reader.throughput(begin, begin + 600, 10)
    assert (cell.bucket, cell.width, cell.requests, cell.items, cell.failed) == (begin, 600, 6, 9, 3)
    assert histogram.unpack(cell.histogram) == {histogram.bucket_of(10): 3, histogram.bucket_of(900): 3}
    assert len(reader._ask("throughput", since=begin, until=begin + 600)) == 1


@pytest.fixture
def widened(stock: Stock, store_dsn: str) -> int:
    """All runs together as they are kept after a while: one wide cell, two shards of a narrower one."""
    begin = seconds(NOW) // 1200 * 1200 - 86400
    put_cells(store_dsn, [(begin, 600, 0, 5), (begin + 600, 60, 0, 1), (begin + 610, 10, 3, 1)])
    return begin


def put_cells(dsn: str, cells: list[tuple[int, int, int, int]]) -> None:
    names = "requests failed throttled items duration_ms status_2xx status_3xx status_4xx status_5xx status_other"
    columns = f"bucket, width, shard, {', '.join(names.split())}, histogram"
    for cell in cells:
        counts = f"{', '.join(map(str, cell))}, 0, 0, 0, 0, 0, 0, 0, 0, 0"
        if dsn.startswith("sqlite"):
            execute(dsn, f"INSERT INTO throughput ({columns}) VALUES ({counts}, x'')")
        else:
            execute(dsn, f"INSERT INTO tracking.throughput ({columns}) VALUES ({counts}, '{{}}')")


@pytest.mark.parametrize("step", [0, -10, 5, 61])
def test_a_step_that_is_no_multiple_of_ten_is_refused(reader: Reader, step: int) -> None:
    with pytest.raises(ValueError, match="a step is a multiple of 10 seconds; given"):
        reader.throughput(0, 100, step)


def test_an_error_that_stands_for_many_is_one_row_and_counts_as_all_of_them(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW)
    stock.error(run_id, "one", NOW)
    stock.error(run_id, "of a flood", NOW, many=40)
    run = reader.run(run_id)
    assert run is not None
    assert run.errors == 41
    assert [error.message for error in reader.errors(run_id)] == ["of a flood", "one"]
    assert [entry.stored for entry in reader.ledger(run_id)] == [2]


def test_source_counts_come_by_entity(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW)
    stock.source_count(run_id, "contacts", 5, NOW)
    stock.source_count(run_id, "companies", 3, NOW)
    stock.source_count(run_id, "contacts", 6, NOW + MINUTE)
    counts = [(count.entity, count.items, count.at) for count in reader.source_counts([run_id])]
    assert counts == [("companies", 3, NOW), ("contacts", 6, NOW + MINUTE)]


def test_errors_are_the_newest_of_a_run_or_of_all(stock: Stock, reader: Reader) -> None:
    first, second = stock.start(NOW), stock.start(NOW)
    stock.error(first, "one", NOW)
    stock.error(second, "two", NOW + MINUTE)
    stock.error(first, "three", NOW + 2 * MINUTE)
    assert [error.message for error in reader.errors()] == ["three", "two", "one"]
    assert [error.message for error in reader.errors(limit=1)] == ["three"]
    assert [error.message for error in reader.errors(first)] == ["three", "one"]
    assert [error.message for error in reader.errors(first, limit=1)] == ["three"]
    error = reader.errors(second)[0]
    assert (error.run_id, error.writer_id, error.seq, error.at) == (second, WRITER_ID, 1, NOW + MINUTE)
    assert (error.phase, error.error_type, error.traceback, error.fingerprint) == (
        "load",
        "ValueError",
        "Traceback …",
        "f00d",
    )


def test_the_ledger_says_what_was_emitted_and_what_is_stored(stock: Stock, reader: Reader) -> None:
    run_id = stock.start(NOW)
    stock.requests(run_id, [(NOW, "/a", 200, 1, 1)] * 3)
    stock.ledger(run_id, emitted=10, dropped=2, overhead={"calls": 3.0})
    (ledger,) = reader.ledger(run_id)
    assert (ledger.writer_id, ledger.emitted, ledger.stored, ledger.dropped) == (WRITER_ID, 10, 3, 2)
    assert ledger.overhead == {"calls": 3.0}
    assert ledger.missing == 5


# A view holds its connection while somebody else writes: a pool of one has none for that.
@pytest.mark.parametrize("store_dsn", ["sqlite", "postgres"], indirect=True)
def test_one_view_sees_one_moment(stock: Stock, reader: Reader) -> None:
    before = stock.start(NOW - HOUR)
    with reader.one_view():
        assert [run.run_id for run in reader.recent_runs(10)] == [before]
        moment = reader.now()
        meanwhile = threading.Thread(target=stock.start, args=(NOW,))
        meanwhile.start()
        meanwhile.join()
        with reader.one_view():
            assert [run.run_id for run in reader.recent_runs(10)] == [before]
        if stock.store.kind == "postgres":
            assert reader.now() == moment
    assert len(reader.recent_runs(10)) == 2


def test_each_view_sees_the_newest_runs_as_they_are_then(stock: Stock, reader: Reader) -> None:
    ids = [stock.start(NOW - HOUR + n * MINUTE) for n in range(4)]

    def looked_at(limit: int = 10) -> list[Run]:
        with reader.one_view():
            seen = reader.recent_runs(limit)
        # A living run's duration is that of the moment at which it is read.
        assert [replace(run, duration_s=0) for run in seen] == [
            replace(run, duration_s=0) for run in reader.recent_runs(limit)
        ]
        return seen

    assert [run.run_id for run in looked_at()] == ids[::-1]
    stock.requests(ids[0], [(NOW, "/items", 200, 7, 10)])
    assert [run.items for run in looked_at()] == [0, 0, 0, 7]
    stock.end(ids[3], NOW)
    stock.error(ids[3], "late", NOW)
    assert [(run.status, run.errors) for run in looked_at(2)] == [("completed", 1), ("running", 0)]
    newest = stock.start(NOW)
    assert [run.run_id for run in looked_at(3)] == [newest, ids[3], ids[2]]
    assert len(looked_at()) == 5
    with stock.store.administration(5.0) as admin:
        assert sum(admin.cleanup(0, actor="ann")) == 1
    assert [run.run_id for run in looked_at()] == [newest, *ids[2::-1]]


def test_a_view_on_postgres_is_sent_only_the_runs_that_have_changed(
    postgres_store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = Stock(postgres_store_dsn)
    ids = [stock.finished(NOW - HOUR, NOW) for _ in range(5)]
    sent: list[int] = []
    with stock.store.reader(5.0) as reader:
        ask = reader._ask  # type: ignore[attr-defined]

        def watched(block: str, **given: Any) -> Any:
            sent.extend(given["run_ids"] if block == "runs_named" else [])
            return ask(block, **given)

        monkeypatch.setattr(reader, "_ask", watched)
        for _ in range(3):
            with reader.one_view():
                assert len(reader.recent_runs(10)) == 5
        assert sent == ids
        stock.error(ids[2], "late", NOW)
        with reader.one_view():
            assert sum(run.errors for run in reader.recent_runs(10)) == 1
    assert sent == [*ids, ids[2]]
    stock.close()


def test_a_view_that_failed_leaves_a_reader_that_answers(stock: Stock, reader: Reader) -> None:
    stock.start(NOW)
    with pytest.raises(ZeroDivisionError), reader.one_view():
        len(reader.recent_runs(1)) / 0
    with pytest.raises(StoreError), reader.one_view():
        reader.latest_run_id("a\0b\ud800")
    assert len(reader.recent_runs(10)) == 1
    with reader.one_view():
        assert len(reader.recent_runs(10)) == 1


def test_a_question_that_failed_leaves_a_reader_that_answers(stock: Stock, reader: Reader) -> None:
    stock.start(NOW)
    with pytest.raises(StoreError):
        reader.latest_run_id("lone surrogate: \ud800")
    assert len(reader.recent_runs(10)) == 1


def test_a_reader_changes_nothing(stock: Stock, reader: Reader) -> None:
    assert isinstance(reader, PostgresReader | SqliteReader)
    reader._sql = {
        **reader._sql,
        "switches": "DELETE FROM runs" if stock.store.kind == "sqlite" else "DELETE FROM tracking.runs",
    }
    stock.start(NOW)
    with pytest.raises(StoreError):
        reader.switches()
    with pytest.raises(StoreError), reader.one_view():
        reader.switches()
    assert len(reader.recent_runs(10)) == 1


def test_a_store_without_tables_says_so(postgres_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for dsn in (postgres_dsn, f"sqlite:///{tmp_path / 'empty.db'}", f"sqlite:///{tmp_path / 'missing.db'}"):
        with pytest.raises(SchemaMissing, match="etlwatch init"):
            open_store(dsn).reader(5.0)


def test_a_much_newer_schema_is_refused(stock: Stock, store_dsn: str) -> None:
    if stock.store.kind == "sqlite":
        execute(store_dsn, "INSERT INTO schema_version VALUES (99, 'future', '', 0)")
    else:
        execute(store_dsn, "INSERT INTO tracking.schema_version VALUES (99, 'future', '')")
    with pytest.raises(SchemaNewer, match="schema version 99"):
        stock.store.reader(5.0)


def test_the_embedded_default_is_an_empty_store_until_a_job_makes_it(tmp_path: Path) -> None:
    location = StoreLocation(kind="sqlite", label="file", path=tmp_path / "tracking.db", named=False)
    store = SqliteStore(location)
    with store.reader(5.0) as reader:
        assert isinstance(reader, EmptyStoreReader)
        with reader.one_view():
            assert reader.recent_runs(10) == []
        assert abs(reader.now() - datetime.now(UTC)) < MINUTE
        assert not (tmp_path / "tracking.db").exists()
        stock = Stock(f"sqlite:///{tmp_path / 'tracking.db'}")
        run_id = stock.start(NOW)
        with reader.one_view():
            assert [run.run_id for run in reader.recent_runs(10)] == [run_id]
        stock.close()


def test_a_long_question_ends_at_the_deadline(sqlite_store_dsn: str) -> None:
    with open_store(sqlite_store_dsn).reader(0.05) as reader:
        assert isinstance(reader, SqliteReader)
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
        reader._sql = {**reader._sql, "switches": endless}
        with pytest.raises(StoreUnavailable, match="deadline"):
            reader.switches()
        assert reader.recent_runs(1) == []


def test_the_runs_of_several_jobs_are_those_of_each(stock: Stock, reader: Reader) -> None:
    for n in range(4):
        stock.finished(NOW - n * HOUR, NOW - n * HOUR + MINUTE, job="crm")
    failed = stock.start(NOW - 30 * MINUTE, job="ads")
    stock.end(failed, NOW - 20 * MINUTE, status="failed")
    alive = stock.start(NOW - 10 * MINUTE, job="ads")
    jobs = ["crm", "ads", "none"]
    for options in ({}, {"completed": True}, {"before": NOW - 15 * MINUTE}, {"completed_by": NOW - HOUR}):
        found = reader.runs_of_jobs(jobs, 3, **options)
        assert {job: [run.run_id for run in runs] for job, runs in found.items()} == {
            job: [run.run_id for run in reader.runs_of_job(job, 3, **options)] for job in jobs
        }
    assert reader.runs_of_jobs([], 3) == {}
    outlines = reader.outlines_of_jobs(jobs, 3)
    assert [run.run_id for run in outlines["ads"]] == [alive, failed]
    assert [run.duration_s for run in outlines["ads"]] == [None, 600.0]
    assert len(outlines["crm"]) == 3
    assert {run.run_id for run in reader.outlines_since(NOW - 25 * MINUTE)} == {
        failed, *(run.run_id for run in reader.runs_of_job("crm", 1)),
    }  # fmt: skip
    assert {run.job for run in reader.outlines_since(NOW - 24 * HOUR, ["ads"])} == {"ads"}
    assert [run.run_id for run in reader.runs_in_status(["failed", "running"], 9)] == [alive, failed]
    place = (NOW - 10 * MINUTE, alive)
    assert [run.run_id for run in reader.runs_in_status(["failed", "running"], 9, before=place)] == [failed]
    assert reader.count_live() == 1


def test_the_errors_of_jobs_are_found_however_old_their_runs_are(stock: Stock, reader: Reader) -> None:
    for n, job in enumerate(("crm", "ads", "crm")):
        stock.error(stock.start(NOW - n * HOUR, job=job), f"broken {n}", NOW - n * HOUR)
    assert [error.message for error in reader.errors_of_jobs(["crm"], 9)] == ["broken 0", "broken 2"]
    assert [error.message for error in reader.errors_of_jobs(["crm"], 9, until=NOW - MINUTE)] == ["broken 2"]
    assert reader.errors_of_jobs([], 9) == []


def test_errors_are_read_in_pages_each_once_however_many_have_one_moment(
    stock: Stock, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_reading, "ERRORS_A_PAGE", 2)
    run_id = stock.start(NOW - HOUR, job="crm")
    for minutes in (9, 7, 7, 7, 7, 7, 3, 2):
        stock.error(run_id, "broken", NOW - minutes * MINUTE)
    other = stock.start(NOW - HOUR, job="ads")
    stock.error(other, "broken", NOW - 7 * MINUTE)
    for limit, asked, there_are in ((99, {}, 9), (5, {}, 5), (99, {"run_id": run_id}, 8), (4, {"jobs": ["crm"]}, 4)):
        found = list(error_reading.newest_errors(reader, limit, **asked))  # type: ignore[arg-type]
        assert len({error.key for error in found}) == len(found) == there_are
        assert [error.at for error in found] == sorted((error.at for error in found), reverse=True)


def test_a_file_that_was_moved_away_or_replaced_is_not_read_as_if_it_were_there(sqlite_store_dsn: str) -> None:
    path = Path(sqlite_store_dsn.removeprefix("sqlite:///"))
    with open_store(sqlite_store_dsn).reader(5.0) as reader:
        with reader.one_view():
            assert reader.recent_runs(1) == []
        path.replace(path.with_name("aside.db"))
        with pytest.raises(StoreUnavailable, match="was moved or removed"), reader.one_view():
            pass
        open_store(sqlite_store_dsn).initialize()
        with pytest.raises(StoreUnavailable, match="is another file than before"), reader.one_view():
            pass
