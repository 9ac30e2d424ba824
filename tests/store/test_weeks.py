"""Raw requests of removed runs on PostgreSQL: dropped by the week, deleted where that cannot be, and seen nowhere."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.store.stocking import Stock
from tests.store.test_administration import ANA, TABLES_OF_A_RUN, query, remaining, rows_of
from tests.support.postgres import GUARDED_ROLE, PostgresServer
from tests.support.waiting import wait_until
from tracking_core.clock import to_microseconds
from tracking_core.events import Batch, RunEnd
from tracking_core.identity import first_run_id_at
from tracking_core.requests import RequestRow, tally
from tracking_core.store import open_store
from tracking_core.store.administration import Administration
from tracking_core.store.postgres.administration import PostgresAdministration, Week, gaps, too_young
from tracking_core.store.queries import Reader
from tracking_core.store.retention import Cleanup

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)

REQUESTS = "SELECT count(*) FROM {}requests WHERE run_id = "
OUTSIDE = """
SELECT count(*) FROM {}requests AS request JOIN pg_class ON pg_class.oid = request.tableoid
WHERE relname LIKE '%default'
"""


def old_monday() -> datetime:
    """Return when a week began for which a fresh store has a partition, and which is over for at least 20 days."""
    day = NOW - 28 * DAY
    return day.replace(hour=0, minute=0, second=0) - day.weekday() * DAY


@pytest.fixture(params=["postgres", "pgbouncer"])
def dsn(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_store_dsn")
    return found


@pytest.fixture
def stock(dsn: str) -> Iterator[Stock]:
    stock = Stock(dsn)
    yield stock
    stock.close()


@pytest.fixture
def admin(stock: Stock) -> Iterator[PostgresAdministration]:
    with stock.store.administration(10.0) as admin:
        assert isinstance(admin, PostgresAdministration)
        admin.pauses = ()
        yield admin


@pytest.fixture
def reader(stock: Stock) -> Iterator[Reader]:
    with stock.store.reader(10.0) as reader:
        yield reader


seqs = itertools.count(1)


def paged(run_id: int, at: datetime, count: int = 5) -> tuple[RequestRow, ...]:
    return tuple(
        RequestRow(run_id, next(seqs), to_microseconds(at), "/a", number, 1, 200, 1, 1, False, None)
        for number in range(count)
    )


def recorded(stock: Stock, began: datetime, *, ended: datetime | None = None, job: str = "sync") -> int:
    """Record a run of an hour with five requests, or one that ended then."""
    run_id = stock.start(began, job=job)
    rows = paged(run_id, began)
    stock.write(requests=rows, cells=tally(rows))
    stock.end(run_id, ended or began + HOUR)
    return run_id


def weeks(dsn: str) -> set[str]:
    return {name for (name,) in query(dsn, "SELECT relname FROM pg_class WHERE relname LIKE 'requests!_p%' ESCAPE '!' "
                                           "AND relkind = 'r'")}  # fmt: skip


def name_of_week(moment: datetime) -> str:
    year, number, _ = moment.isocalendar()
    return f"requests_p{year}w{number:02d}"


def waiting_for(watch: psycopg.Connection[Any], holder: psycopg.Connection[Any]) -> int:
    """Return how many wait for a lock of another connection; other waits, here or of other tests, are none of ours."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
    return int(watch.execute(blocked, [holder.info.backend_pid]).fetchall()[0][0])


def cleaned(admin: Administration, cutoff: datetime, *, days: int = 14, keep_last_success: bool = False) -> int:
    return sum(admin.cleanup(days, actor=ANA, cutoff=cutoff, keep_last_success=keep_last_success))


# -- what is dropped


def test_a_week_in_which_nothing_stays_is_dropped_whole_as_planned(
    stock: Stock, admin: PostgresAdministration, reader: Reader, dsn: str
) -> None:
    monday = old_monday()
    runs = [recorded(stock, monday + n * DAY) for n in range(3)]
    later = recorded(stock, NOW - 2 * HOUR)
    plan = admin.plan_cleanup(14, cutoff=monday + WEEK)
    assert (plan.runs, plan.dropped_weeks, plan.cut_weeks, plan.waiting_requests) == (3, 1, 0, 0)
    assert plan.dropped_bytes > 8192
    assert cleaned(admin, plan.cutoff) == 3
    assert name_of_week(monday) not in weeks(dsn)
    assert not any(any(rows_of(dsn, run_id).values()) for run_id in runs)
    assert remaining(reader) == {later}
    assert rows_of(dsn, later)["requests"] == 5
    (entry,) = reader.audit()
    assert (entry.detail["runs"], entry.detail["weeks"], entry.detail["finished"]) == (3, 1, True)


def test_what_lies_in_the_week_of_the_cutoff_is_seen_nowhere_and_goes_with_that_week_later(
    stock: Stock, admin: PostgresAdministration, reader: Reader, dsn: str
) -> None:
    monday = old_monday()
    removed = recorded(stock, monday)
    assert len(reader.pages(removed)) == 5
    plan = admin.plan_cleanup(14, cutoff=monday + 3 * DAY)
    assert (plan.runs, plan.dropped_weeks, plan.cut_weeks, plan.waiting_requests) == (1, 0, 0, 5)
    assert cleaned(admin, plan.cutoff) == 1
    assert rows_of(dsn, removed) == {table: 5 if table == "requests" else 0 for table in TABLES_OF_A_RUN}
    assert reader.pages(removed) == []
    assert reader.run(removed) is None
    again = admin.plan_cleanup(14, cutoff=monday + WEEK)
    assert (again.runs, again.dropped_weeks, again.waiting_requests) == (0, 1, 0)
    assert cleaned(admin, again.cutoff) == 0
    assert rows_of(dsn, removed)["requests"] == 0
    assert name_of_week(monday) not in weeks(dsn)


def test_weeks_that_never_held_anything_go_without_a_word(
    admin: PostgresAdministration, reader: Reader, dsn: str
) -> None:
    monday = old_monday()
    assert admin.plan_cleanup(14, cutoff=monday + WEEK).dropped_weeks == 0
    cleaned(admin, monday + WEEK)
    assert name_of_week(monday) not in weeks(dsn)
    assert reader.audit()[0].detail["weeks"] == 0


def test_no_week_of_the_future_is_dropped_whatever_cutoff_is_given(admin: PostgresAdministration, dsn: str) -> None:
    cleaned(admin, NOW + 365 * DAY)
    assert name_of_week(NOW) in weeks(dsn)
    assert name_of_week(NOW + 52 * WEEK) in weeks(dsn)


def test_initialising_again_remakes_no_dropped_week(stock: Stock, admin: PostgresAdministration, dsn: str) -> None:
    recorded(stock, old_monday())
    cleaned(admin, old_monday() + WEEK)
    before = weeks(dsn)
    open_store(dsn).initialize()
    assert weeks(dsn) == before


# -- what is deleted row by row


def test_a_week_that_holds_a_running_run_is_cut(
    stock: Stock, admin: PostgresAdministration, reader: Reader, dsn: str
) -> None:
    monday = old_monday()
    removed = recorded(stock, monday)
    running = stock.start(monday + DAY)
    rows = paged(running, monday + DAY)
    stock.write(requests=rows, cells=tally(rows))
    plan = admin.plan_cleanup(14, cutoff=monday + WEEK)
    assert (plan.dropped_weeks, plan.cut_weeks, plan.waiting_requests) == (0, 1, 0)
    assert cleaned(admin, plan.cutoff) == 1
    assert rows_of(dsn, removed)["requests"] == 0
    assert rows_of(dsn, running)["requests"] == 5
    assert remaining(reader) == {running}
    assert name_of_week(monday) in weeks(dsn)


def test_a_week_that_holds_the_last_success_of_a_job_is_cut(
    stock: Stock, admin: PostgresAdministration, reader: Reader, dsn: str
) -> None:
    monday = old_monday()
    removed, success = recorded(stock, monday), recorded(stock, monday + DAY)
    plan = admin.plan_cleanup(14, cutoff=monday + WEEK, keep_last_success=True)
    assert (plan.runs, plan.dropped_weeks, plan.cut_weeks) == (1, 0, 1)
    assert cleaned(admin, plan.cutoff, keep_last_success=True) == 1
    assert rows_of(dsn, removed)["requests"] == 0
    assert rows_of(dsn, success)["requests"] == 5
    assert remaining(reader) == {success}
    assert len(reader.pages(success)) == 5


def test_a_large_run_goes_from_a_cut_week_in_parts(stock: Stock, admin: PostgresAdministration, dsn: str) -> None:
    monday = old_monday()
    stock.start(monday)
    removed = recorded(stock, monday)
    admin.limits = replace(admin.limits, purge=2)
    steps = admin.cleanup(14, actor=ANA, cutoff=monday + WEEK)
    assert next(steps) == 1
    seen = [rows_of(dsn, removed)["requests"] for step in steps if step == 0]
    assert [left for left in seen if 0 < left < 5] == [3, 1]


def test_what_no_week_takes_goes_row_by_row(stock: Stock, admin: PostgresAdministration, dsn: str) -> None:
    before_all_weeks, absurd = (
        recorded(stock, NOW - 300 * DAY),
        recorded(stock, NOW + 3000 * DAY, ended=NOW - 300 * DAY),
    )
    query(dsn, f"UPDATE {{}}runs SET ended_at = '{NOW - 300 * DAY}' WHERE run_id = {absurd}")
    kept = stock.start(NOW - 300 * DAY)
    rows = paged(kept, NOW)
    stock.write(requests=rows, cells=tally(rows))
    assert query(dsn, OUTSIDE) == [(15,)]
    assert cleaned(admin, NOW - 14 * DAY) == 2
    assert rows_of(dsn, before_all_weeks)["requests"] == rows_of(dsn, absurd)["requests"] == 0
    assert rows_of(dsn, kept)["requests"] == 5


def test_zero_days_delete_rows_and_leave_the_weeks_to_jobs_that_record_there(
    stock: Stock, admin: PostgresAdministration, dsn: str
) -> None:
    runs = [recorded(stock, old_monday()), recorded(stock, NOW - 2 * HOUR)]
    before = weeks(dsn)
    plan = admin.plan_cleanup(0)
    assert (plan.runs, plan.dropped_weeks, plan.waiting_requests) == (2, 0, 0)
    assert sum(admin.cleanup(0, actor=ANA)) == 2
    assert weeks(dsn) == before
    assert not any(rows_of(dsn, run_id)["requests"] for run_id in runs)


def test_a_role_that_owns_no_tables_deletes_rows(
    stock: Stock, postgres_server: PostgresServer, postgres_store_dsn: str
) -> None:
    dsn = postgres_store_dsn
    monday = old_monday()
    whole, waiting = recorded(stock, monday), recorded(stock, monday + WEEK)
    for statement in (
        f"GRANT USAGE ON SCHEMA tracking TO {GUARDED_ROLE}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tracking TO {GUARDED_ROLE}",
        f"REVOKE ALL ON tracking.{name_of_week(monday)} FROM {GUARDED_ROLE}",
    ):
        query(dsn, statement)
    guarded = postgres_server.guarded_dsn(str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]))
    with open_store(guarded).administration(10.0) as admin:
        plan = admin.plan_cleanup(14, cutoff=monday + WEEK + 3 * DAY)
        assert (plan.runs, plan.dropped_weeks, plan.waiting_requests) == (2, 0, 0)
        assert cleaned(admin, plan.cutoff) == 2
    assert rows_of(dsn, whole)["requests"] == rows_of(dsn, waiting)["requests"] == 0
    assert name_of_week(monday) in weeks(dsn)


# -- beside others


def test_a_week_that_somebody_reads_all_the_time_is_left_for_the_next_clean_up(
    stock: Stock, admin: PostgresAdministration, reader: Reader, postgres_store_dsn: str
) -> None:
    dsn, monday = postgres_store_dsn, old_monday()
    removed = recorded(stock, monday)
    admin.pauses = (1.0, 2.0)
    paused = []

    def let_others_pass(seconds: float) -> None:
        # Nobody is locked out between two tries: a job writes to that very block.
        paused.append(seconds)
        recorded(stock, monday + WEEK + len(paused) * HOUR)

    admin.pause = let_others_pass
    with psycopg.connect(dsn) as dump:
        dump.execute(f"SELECT count(*) FROM tracking.{name_of_week(monday)}".encode())
        assert cleaned(admin, monday + WEEK) == 1
        assert paused == [1.0, 2.0]
        assert reader.audit()[0].detail["weeks"] == 0
        assert reader.pages(removed) == []
    assert admin.plan_cleanup(14, cutoff=monday + WEEK).dropped_weeks == 1
    cleaned(admin, monday + WEEK)
    assert name_of_week(monday) not in weeks(dsn)


def test_nobody_waits_for_a_drop_that_waits_for_the_reader_of_its_week(
    stock: Stock, admin: PostgresAdministration, postgres_store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, monday = postgres_store_dsn, old_monday()
    recorded(stock, monday)
    monkeypatch.setattr("tracking_core.store.postgres.administration.LOCK_WAIT_MS", 5_000)
    with psycopg.connect(dsn) as dump, psycopg.connect(dsn, autocommit=True) as watch:
        dump.execute(f"SELECT count(*) FROM tracking.{name_of_week(monday)}".encode())
        cleaning = threading.Thread(target=cleaned, args=(admin, monday + WEEK))
        cleaning.start()
        wait_until(lambda: waiting_for(watch, dump) == 1, "the drop waits for the reader of the week")
        with open_store(dsn).writer(10.0) as writer:
            began = to_microseconds(monday + WEEK)
            start = stock.run_start(first_run_id_at(began) + 77, began)
            rows = paged(start.run_id, monday + WEEK)
            writer.write(Batch(writer_id=9, batch_seq=1, starts=(start,), requests=rows, cells=tally(rows)))
        assert waiting_for(watch, dump) == 1, "the writer was not kept waiting until the drop gave up"
        dump.rollback()
        cleaning.join()
    assert name_of_week(monday) not in weeks(dsn)


def test_a_week_is_dropped_as_soon_as_its_reader_is_gone(
    stock: Stock, admin: PostgresAdministration, postgres_store_dsn: str
) -> None:
    dsn, monday = postgres_store_dsn, old_monday()
    recorded(stock, monday)
    dump = psycopg.connect(dsn)
    dump.execute(f"SELECT count(*) FROM tracking.{name_of_week(monday)}".encode())
    admin.pauses = (1.0, 2.0)
    admin.pause = lambda _: dump.close()
    cleaned(admin, monday + WEEK)
    assert name_of_week(monday) not in weeks(dsn)


def test_a_run_that_comes_into_a_week_before_its_drop_keeps_it(
    stock: Stock, admin: PostgresAdministration, dsn: str
) -> None:
    monday = old_monday()
    recorded(stock, monday)
    steps = admin.cleanup(14, actor=ANA, cutoff=monday + WEEK)
    drop = admin._drop

    def replay_and_then_drop(week: Week, under_way: Cleanup) -> bool:
        if week.name == name_of_week(monday):
            spooled = stock.start(monday + DAY)
            rows = paged(spooled, monday + DAY)
            stock.write(requests=rows, cells=tally(rows))
        return drop(week, under_way)

    admin._drop = replay_and_then_drop  # type: ignore[method-assign]
    assert sum(steps) == 1
    assert name_of_week(monday) in weeks(dsn)
    assert query(dsn, "SELECT count(*) FROM {}requests") == [(10,)]


def test_a_replay_that_meets_the_drop_of_its_week_loses_nothing(
    stock: Stock, admin: PostgresAdministration, reader: Reader, postgres_store_dsn: str
) -> None:
    dsn, monday = postgres_store_dsn, old_monday()
    recorded(stock, monday)
    run_id = first_run_id_at(to_microseconds(monday + DAY)) + 77
    rows = paged(run_id, monday + DAY)
    with open_store(dsn).writer(10.0) as writer:
        insert = writer._insert_requests  # type: ignore[attr-defined]

        def drop_then_insert(batch: Batch) -> object:
            # By now the run is there, for this writer alone.
            cleaned(admin, monday + WEEK)
            return insert(batch)

        writer._insert_requests = drop_then_insert  # type: ignore[attr-defined]
        start = stock.run_start(run_id, to_microseconds(monday + DAY))
        writer.write(Batch(writer_id=9, batch_seq=1, starts=(start,), requests=rows, cells=tally(rows)))
    assert name_of_week(monday) not in weeks(dsn)
    assert len(reader.pages(run_id)) == 5
    assert query(dsn, OUTSIDE) == [(5,)]


def test_two_clean_ups_at_once_do_not_stumble_over_each_others_weeks(
    stock: Stock, admin: PostgresAdministration, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As where the first is taken for one that died.
    monkeypatch.setattr("tracking_core.store.administration.holds", lambda *_, **__: False)
    monday = old_monday()
    recorded(stock, monday)
    drop = admin._drop

    def after_another(week: Week, under_way: Cleanup) -> bool:
        with stock.store.administration(10.0) as other:
            cleaned(other, monday + WEEK)
        return drop(week, under_way)

    admin._drop = after_another  # type: ignore[method-assign]
    assert cleaned(admin, monday + WEEK) == 1
    assert name_of_week(monday) not in weeks(dsn)


# -- what comes late


def late_run(stock: Stock, began: datetime, ended: datetime | None) -> tuple[int, dict[int, str]]:
    """Replay a whole run at once, as a spool does; return its id and what was refused."""
    run_id = first_run_id_at(to_microseconds(began)) + 77
    rows = paged(run_id, began)
    end = RunEnd(run_id=run_id, status="completed", ended_us=to_microseconds(ended or NOW), duration_ms=1)
    receipt = stock.write(
        starts=(stock.run_start(run_id, to_microseconds(began)),),
        requests=rows,
        cells=tally(rows),
        ends=(end,) if ended else (),
    )
    return run_id, dict(receipt.refused)


def test_what_is_replayed_into_a_dropped_week_is_refused_and_lies_in_no_default_partition(
    stock: Stock, admin: PostgresAdministration, reader: Reader, dsn: str
) -> None:
    monday = old_monday()
    removed = recorded(stock, monday)
    cleaned(admin, monday + WEEK)
    late, refused = late_run(stock, monday + DAY, monday + 2 * DAY)
    assert refused == {late: "removed"}
    rows = paged(removed, monday)
    assert stock.write(requests=rows, cells=tally(rows)).refused == {removed: "removed"}
    assert remaining(reader) == set()
    assert query(dsn, OUTSIDE) == [(0,)]


def test_a_run_of_a_dropped_week_that_still_runs_is_taken_and_its_rows_go_with_it(
    stock: Stock, admin: PostgresAdministration, reader: Reader, dsn: str
) -> None:
    monday = old_monday()
    recorded(stock, monday)
    cleaned(admin, monday + WEEK)
    late, refused = late_run(stock, monday + DAY, None)
    assert refused == {}
    assert len(reader.pages(late)) == 5
    stock.end(late, monday + WEEK + DAY)
    assert cleaned(admin, monday + WEEK + 2 * DAY) == 1
    assert rows_of(dsn, late)["requests"] == 0


# -- requests in flight while their run is removed: two connections


@pytest.mark.parametrize("count", [5, 50])
@pytest.mark.parametrize("beside_another", [False, True])
def test_a_clean_up_waits_for_a_batch_under_way_and_removes_what_it_wrote(
    stock: Stock,
    admin: PostgresAdministration,
    reader: Reader,
    postgres_store_dsn: str,
    count: int,
    beside_another: bool,
) -> None:
    dsn, monday = postgres_store_dsn, old_monday()
    removed, living = stock.finished(monday, monday + HOUR), stock.start(monday)
    rows = paged(removed, NOW, count) + (paged(living, NOW, count) if beside_another else ())
    cleaning = threading.Thread(target=cleaned, args=(admin, monday + WEEK))
    with open_store(dsn).writer(10.0) as writer, psycopg.connect(dsn, autocommit=True) as watch:
        insert = writer._insert_requests  # type: ignore[attr-defined]

        def clean_meanwhile() -> None:
            cleaning.start()
            wait_until(lambda: waiting_for(watch, writer.raw) == 1, "the clean-up waits for the batch")  # type: ignore[attr-defined]

        def insert_then_clean(batch: Batch) -> object:
            inserted = insert(batch)
            clean_meanwhile()
            return inserted

        # A small batch is inserted; a larger one is copied, and what is done meanwhile is told.
        writer._insert_requests = insert_then_clean  # type: ignore[attr-defined]
        batch = Batch(writer_id=9, batch_seq=1, requests=rows, cells=tally(rows))
        assert writer.write(batch, meanwhile=clean_meanwhile).refused == {}
        cleaning.join()
    assert not any(rows_of(dsn, removed).values())
    assert reader.endpoints(removed) == []
    run = reader.run(living)
    assert run is not None
    assert run.requests == len(reader.pages(living, 1000)) == (count if beside_another else 0)


def test_a_clean_up_waits_for_a_single_request_under_way_and_removes_it(
    stock: Stock, admin: PostgresAdministration, reader: Reader, postgres_store_dsn: str
) -> None:
    dsn, monday = postgres_store_dsn, old_monday()
    removed = stock.finished(monday, monday + HOUR)
    # Of this number, which is none of those in 64 that are stored as a batch.
    row = paged(removed, NOW, 1)[0]._replace(seq=1)
    # A first request makes the cell of all runs that the second one then has to wait for.
    other = stock.start(NOW)
    cleaning = threading.Thread(target=cleaned, args=(admin, monday + WEEK))
    with open_store(dsn).writer(10.0) as writer, psycopg.connect(dsn) as holder:
        writer.write(Batch(writer_id=8, batch_seq=None, requests=(row._replace(run_id=other),), cells={}))
        holder.execute("SELECT * FROM tracking.throughput FOR UPDATE")
        request = Batch(writer_id=8, batch_seq=None, requests=(row,), cells=tally([row]))
        writing = threading.Thread(target=writer.write, args=(request,))
        writing.start()
        with psycopg.connect(dsn, autocommit=True) as watch:
            wait_until(lambda: waiting_for(watch, holder) == 1, "the request waits for the cell of all runs")
            cleaning.start()
            wait_until(lambda: waiting_for(watch, writer.raw) == 1, "the clean-up waits for the request")  # type: ignore[attr-defined]
        holder.commit()
        writing.join()
        cleaning.join()
    assert reader.run(removed) is None
    assert not any(rows_of(dsn, removed).values())


def test_what_an_older_program_wrote_of_a_removed_run_goes_with_its_tombstone(
    stock: Stock, admin: PostgresAdministration, reader: Reader, postgres_store_dsn: str
) -> None:
    dsn, monday = postgres_store_dsn, old_monday()
    removed = stock.finished(monday, NOW - 20 * DAY)
    assert cleaned(admin, NOW - DAY) == 1
    query(dsn, f"INSERT INTO {{}}run_endpoints VALUES ({removed}, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, '/a', '{{{{}}}}')")
    query(dsn, f"INSERT INTO {{}}writers (run_id, writer_id) VALUES ({removed}, 7)")
    assert reader.run(removed) is None
    assert any(rows_of(dsn, removed).values())
    admin.at = NOW + 36 * DAY
    cleaned(admin, NOW - DAY)
    assert not any(rows_of(dsn, removed).values())
    assert query(dsn, "SELECT count(*) FROM {}removed_runs") == [(0,)]


# -- the arithmetic


def week(first: int, beyond: int, *, owned: bool = True, stays: bool = False) -> Week:
    return Week(
        name="", block="", first=first, beyond=beyond, owned=owned, bytes=1, stays=stays, requests=0
    )  # fmt: skip


def test_every_run_id_lies_in_one_week_or_in_one_gap() -> None:
    assert gaps([]) == [(0, 2**63 - 1)]
    assert gaps([week(0, 10), week(10, 20), week(30, 40)]) == [(20, 29), (40, 2**63 - 1)]
    assert gaps([week(5, 10)]) == [(0, 4), (10, 2**63 - 1)]


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        (week(0, 100), True),
        (week(0, 101), False),
        (week(0, 100, stays=True), False),
        (week(0, 100, owned=False), False),
    ],
)
def test_a_week_goes_whole_when_it_is_past_and_ours_and_nothing_in_it_stays(given: Week, whole: bool) -> None:
    assert given.goes_whole(100) is whole


def test_what_is_too_young_never_lies_beyond_now() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert too_young(now + DAY, now) == too_young(now, now) == first_run_id_at(to_microseconds(now))
    assert too_young(now - DAY, now) < too_young(now, now)
