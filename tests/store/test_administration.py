"""What a person changes in a store, asked in the same words of both kinds."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.store.stocking import Stock
from tests.support.waiting import wait_until
from tracking_core.clock import to_microseconds
from tracking_core.config import StoreLocation
from tracking_core.errors import SchemaMissing, SchemaNewer, StoreUnavailable
from tracking_core.events import Batch, RunEnd
from tracking_core.identity import format_run_id
from tracking_core.requests import RequestRow, tally
from tracking_core.store import open_store
from tracking_core.store.administration import Administration
from tracking_core.store.postgres.administration import PostgresAdministration
from tracking_core.store.queries import Reader
from tracking_core.store.retention import Candidate
from tracking_core.store.sqlite.administration import SqliteAdministration
from tracking_core.store.sqlite.store import SqliteStore

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ANA = "ana@bastion"

TABLES_OF_A_RUN = (
    "requests",
    "run_endpoints",
    "run_series",
    "phases",
    "phase_series",
    "source_counts",
    "errors",
    "writers",
    "runs",
)


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    stock = Stock(store_dsn)
    yield stock
    stock.close()


@pytest.fixture
def admin(stock: Stock) -> Iterator[Administration]:
    with stock.store.administration(10.0) as admin:
        yield admin


@pytest.fixture
def reader(stock: Stock) -> Iterator[Reader]:
    with stock.store.reader(10.0) as reader:
        yield reader


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask a store what no part of the product asks; `{}` stands for the schema."""
    if dsn.startswith("sqlite"):
        with closing(sqlite3.connect(dsn.removeprefix("sqlite:///"), isolation_level=None)) as file:
            return file.execute(statement.format("")).fetchall()
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(statement.format("tracking.").encode())
        return cursor.fetchall() if cursor.description else []


def rows_of(dsn: str, run_id: int) -> dict[str, int]:
    return {
        table: query(dsn, f"SELECT count(*) FROM {{}}{table} WHERE run_id = {run_id}")[0][0]
        for table in TABLES_OF_A_RUN
    }


def seen_of(dsn: str, run_id: int) -> dict[str, int]:
    """Return the rows of a run in all tables, raw requests only where they are shown: they may wait for their week."""
    found = rows_of(dsn, run_id)
    if not found["runs"]:
        with open_store(dsn).reader(10.0) as reader:
            found["requests"] = len(reader.pages(run_id, 10))
    return found


def in_small_steps(admin: Administration, **limits: int) -> None:
    assert isinstance(admin, PostgresAdministration | SqliteAdministration)
    admin.limits = replace(admin.limits, **limits)


def whole_run(stock: Stock, ended: datetime) -> int:
    """Record a run with something in every table."""
    run_id = stock.start(ended - HOUR)
    stock.requests(run_id, [(ended - HOUR + n * MINUTE, f"/{n % 2}", 200, 1, 10) for n in range(20)])
    stock.phase(run_id, "load", ended - MINUTE, position=1, counters={"items": {"processed": 1}})
    stock.source_count(run_id, "items", 20, ended)
    stock.error(run_id, "broken", ended)
    stock.end(run_id, ended)
    return run_id


def remaining(reader: Reader) -> set[int]:
    return {run.run_id for run in reader.recent_runs(1000)}


class TestSwitch:
    def test_turning_it_off_for_all_jobs_reaches_a_writer(
        self, stock: Stock, admin: Administration, reader: Reader
    ) -> None:
        switch = admin.set_switch(enabled=False, job=None, actor=ANA, reason="disk is full")
        assert (switch.scope, switch.job, switch.enabled) == ("global", "", False)
        assert (switch.changed_by, switch.reason) == (ANA, "disk is full")
        assert abs(switch.changed_at - reader.now()) < MINUTE
        assert reader.switches() == [switch]
        with stock.store.writer(5.0) as writer:
            assert writer.switched_off("inventory")

    def test_a_switch_of_one_job_leaves_the_others_on(self, stock: Stock, admin: Administration) -> None:
        switch = admin.set_switch(enabled=False, job="crm", actor=ANA, reason="")
        assert (switch.scope, switch.job) == ("job", "crm")
        with stock.store.writer(5.0) as writer:
            assert writer.switched_off("crm")
            assert not writer.switched_off("inventory")

    def test_turning_it_on_again_keeps_who_did_it_last(
        self, stock: Stock, admin: Administration, reader: Reader
    ) -> None:
        admin.set_switch(enabled=False, job=None, actor=ANA, reason="disk is full")
        switch = admin.set_switch(enabled=True, job=None, actor="ben", reason="")
        assert (switch.enabled, switch.changed_by, switch.reason) == (True, "ben", "")
        assert reader.switches() == [switch]
        with stock.store.writer(5.0) as writer:
            assert not writer.switched_off("inventory")

    def test_every_turn_is_audited(self, admin: Administration, reader: Reader) -> None:
        admin.set_switch(enabled=False, job="crm", actor=ANA, reason="why")
        admin.set_switch(enabled=True, job=None, actor="ben", reason="")
        on, off = reader.audit()
        assert (on.actor, on.action, on.detail) == ("ben", "tracking on", {"scope": "global", "job": "", "reason": ""})
        assert (off.actor, off.action) == (ANA, "tracking off")
        assert off.detail == {"scope": "job", "job": "crm", "reason": "why"}
        assert abs(off.at - reader.now()) < MINUTE

    @pytest.mark.parametrize(("job", "actor"), [("", ANA), ("  ", ANA), (None, ""), (None, " ")])
    def test_a_job_and_an_actor_have_names(
        self, admin: Administration, reader: Reader, job: str | None, actor: str
    ) -> None:
        with pytest.raises(ValueError, match="is empty; a name is needed"):
            admin.set_switch(enabled=False, job=job, actor=actor, reason="")
        assert reader.switches() == []

    def test_text_that_no_database_takes_is_made_safe(self, admin: Administration, reader: Reader) -> None:
        admin.set_switch(enabled=False, job="c\0rm", actor="an\ud800a", reason="\0")
        (switch,) = reader.switches()
        assert (switch.job, switch.changed_by, switch.reason) == ("c\ufffdrm", "an\ufffda", "\ufffd")


class TestClosing:
    def test_a_running_run_becomes_abandoned_by_a_person(
        self, stock: Stock, admin: Administration, reader: Reader
    ) -> None:
        run_id = stock.start(NOW - HOUR, notes="nightly")
        assert admin.close_run(run_id, actor=ANA, reason="host is gone")
        run = reader.run(run_id)
        assert run is not None
        assert (run.status, run.state, run.ended_by) == ("abandoned", "abandoned", "person ana@bastion")
        assert run.notes == "nightly\nhost is gone"
        assert run.ended_at is not None
        assert abs(run.ended_at - reader.now()) < MINUTE

    @pytest.mark.parametrize(
        ("notes", "reason", "expected"),
        [(None, "gone", "gone"), ("", "gone", "gone"), ("nightly", "", "nightly"), (None, "", None)],
    )
    def test_no_line_of_the_notes_is_empty(
        self,
        stock: Stock,
        admin: Administration,
        reader: Reader,
        notes: str | None,
        reason: str,
        expected: str | None,
    ) -> None:
        run_id = stock.start(NOW, notes=notes)
        admin.close_run(run_id, actor=ANA, reason=reason)
        run = reader.run(run_id)
        assert run is not None
        assert run.notes == expected

    def test_it_lasted_until_its_last_sign_of_life(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        run_id = stock.start(NOW - 2 * HOUR)
        stock.requests(run_id, [(NOW - HOUR, "/a", 200, 1, 10)])
        unheard_of = stock.start(NOW - 2 * HOUR)
        for each in (run_id, unheard_of):
            admin.close_run(each, actor=ANA, reason="")
        heard, unheard = reader.run(run_id), reader.run(unheard_of)
        assert heard is not None
        assert unheard is not None
        assert heard.duration_s == 3600
        # NOW is when the tests were collected; the rest of them may have taken their time since.
        assert 7_100 < unheard.duration_s < 9_000

    def test_it_is_audited(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        run_id = stock.start(NOW, job="crm")
        admin.close_run(run_id, actor=ANA, reason="gone")
        (entry,) = reader.audit()
        assert (entry.actor, entry.action) == (ANA, "close run")
        assert entry.detail == {"run_id": str(run_id), "id": format_run_id(run_id), "job": "crm", "reason": "gone"}

    def test_a_run_that_has_ended_stays_as_it_is(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        run_id = stock.finished(NOW - HOUR, NOW)
        before = reader.run(run_id)
        assert not admin.close_run(run_id, actor=ANA, reason="gone")
        assert not admin.close_run(run_id + 1, actor=ANA, reason="unknown")
        assert reader.run(run_id) == before
        assert reader.audit() == []

    def test_the_jobs_own_end_wins_later(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        run_id = stock.start(NOW - HOUR)
        admin.close_run(run_id, actor=ANA, reason="gone?")
        assert stock.end(run_id, NOW) == {run_id}
        run = reader.run(run_id)
        assert run is not None
        assert (run.status, run.ended_by) == ("completed", "job")
        assert [entry.action for entry in reader.audit()] == ["end after close", "close run"]


class TestPlan:
    def test_it_counts_finished_runs_by_when_they_ended(
        self, stock: Stock, admin: Administration, reader: Reader
    ) -> None:
        stock.finished(NOW - 50 * DAY, NOW - 40 * DAY, job="crm", requests=3)
        oldest = NOW - 45 * DAY
        stock.finished(NOW - 50 * DAY, oldest, job="crm", requests=2)
        stock.finished(NOW - 50 * DAY, NOW - 31 * DAY, job="ads")
        stock.finished(NOW - 50 * DAY, NOW - 5 * DAY, job="recent end")
        stock.start(NOW - 60 * DAY, job="still running")
        plan = admin.plan_cleanup(30)
        assert abs(plan.cutoff - (reader.now() - 30 * DAY)) < MINUTE
        assert (plan.days, plan.runs, plan.requests, plan.errors, plan.kept_running) == (30, 3, 5, 0, 1)
        assert [(job.job, job.runs, job.requests) for job in plan.jobs] == [("crm", 2, 5), ("ads", 1, 0)]
        assert plan.jobs[0].oldest == oldest

    def test_it_removes_nothing_and_is_not_audited(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        stock.finished(NOW - 50 * DAY, NOW - 40 * DAY)
        admin.plan_cleanup(0)
        assert len(reader.recent_runs(10)) == 1
        assert reader.audit() == []

    def test_a_cutoff_that_is_given_is_counted_again_as_it_is(self, stock: Stock, admin: Administration) -> None:
        stock.finished(NOW - 50 * DAY, NOW - 40 * DAY)
        plan = admin.plan_cleanup(30)
        assert admin.plan_cleanup(30, cutoff=plan.cutoff) == plan
        stock.finished(NOW - 50 * DAY, plan.cutoff - MINUTE, job="came in later")
        again = admin.plan_cleanup(30, cutoff=plan.cutoff)
        assert (again.cutoff, again.runs) == (plan.cutoff, 2)
        assert admin.plan_cleanup(30, cutoff=NOW - 45 * DAY).runs == 0

    def test_an_empty_store_has_nothing_to_remove(self, admin: Administration) -> None:
        plan = admin.plan_cleanup(0)
        assert (plan.runs, plan.requests, plan.errors, plan.jobs, plan.kept_running) == (0, 0, 0, (), 0)

    def test_a_million_years_are_a_cutoff_too(self, admin: Administration) -> None:
        assert admin.plan_cleanup(365_000_000).cutoff.year == 1970

    def test_zero_days_mean_every_finished_run_even_one_that_ended_ahead_of_the_clock(
        self, stock: Stock, admin: Administration
    ) -> None:
        stock.finished(NOW, NOW + HOUR)
        stock.finished(NOW - HOUR, NOW - MINUTE)
        stock.start(NOW)
        plan = admin.plan_cleanup(0)
        assert (plan.runs, plan.kept_running) == (2, 1)


class TestCleanup:
    def test_it_removes_what_the_plan_counted_and_nothing_else(
        self, stock: Stock, admin: Administration, reader: Reader, store_dsn: str
    ) -> None:
        old = whole_run(stock, NOW - 31 * DAY)
        five_days = whole_run(stock, NOW - 5 * DAY)
        assert all(rows_of(store_dsn, old).values())
        plan = admin.plan_cleanup(30)
        assert sum(admin.cleanup(30, actor=ANA, cutoff=plan.cutoff)) == plan.runs == 1
        assert not any(seen_of(store_dsn, old).values())
        assert all(rows_of(store_dsn, five_days).values())
        assert remaining(reader) == {five_days}

    def test_a_running_run_is_never_removed(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        running = stock.start(NOW - 400 * DAY, heartbeat_interval_s=1.0)
        stock.requests(running, [(NOW - 400 * DAY, "/a", 200, 1, 1)])
        gone = stock.finished(NOW - 400 * DAY, NOW - 399 * DAY)
        assert sum(admin.cleanup(30, actor=ANA)) == 1
        assert sum(admin.cleanup(0, actor=ANA)) == 0
        assert remaining(reader) == {running}
        assert gone not in remaining(reader)

    def test_a_run_that_began_long_ago_and_ended_lately_stays(
        self, stock: Stock, admin: Administration, reader: Reader
    ) -> None:
        run_id = stock.finished(NOW - 90 * DAY, NOW - DAY)
        assert sum(admin.cleanup(30, actor=ANA)) == 0
        assert remaining(reader) == {run_id}

    def test_zero_days_remove_every_finished_run(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        running = stock.start(NOW)
        stock.finished(NOW - DAY, NOW - MINUTE)
        stock.finished(NOW, NOW + HOUR)
        assert sum(admin.cleanup(0, actor=ANA)) == 2
        assert remaining(reader) == {running}

    def test_runs_that_ended_after_the_plan_stay(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        stock.finished(NOW - DAY, NOW - HOUR)
        plan = admin.plan_cleanup(0)
        later = stock.finished(NOW - DAY, plan.cutoff + MINUTE)
        assert sum(admin.cleanup(0, actor=ANA, cutoff=plan.cutoff)) == 1
        assert remaining(reader) == {later}

    def test_it_goes_in_steps_and_the_oldest_end_goes_first(
        self, stock: Stock, admin: Administration, reader: Reader
    ) -> None:
        runs = [stock.finished(NOW - 50 * DAY, NOW - (49 - n) * DAY) for n in range(5)]
        in_small_steps(admin, runs=2)
        steps = admin.cleanup(30, actor=ANA)
        assert next(steps) == 2
        assert remaining(reader) == set(runs[2:])
        assert [step for step in steps if step] == [2, 1]

    def test_whoever_stops_asking_keeps_the_rest(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        for _ in range(4):
            stock.finished(NOW - 50 * DAY, NOW - 40 * DAY, requests=3)
        in_small_steps(admin, runs=1)
        steps = admin.cleanup(30, actor=ANA)
        next(steps)
        del steps
        assert len(remaining(reader)) == 3
        (entry,) = reader.audit()
        assert (entry.detail["runs"], entry.detail["requests"], entry.detail["finished"]) == (1, 3, False)
        assert sum(admin.cleanup(30, actor=ANA)) == 3

    def test_a_run_whose_job_ends_it_anew_meanwhile_stays_whole(
        self, stock: Stock, admin: Administration, reader: Reader, store_dsn: str
    ) -> None:
        doomed = [whole_run(stock, NOW - 40 * DAY), whole_run(stock, NOW - 39 * DAY)]
        before = rows_of(store_dsn, doomed[1])
        assert isinstance(admin, PostgresAdministration | SqliteAdministration)
        change = admin._change
        postpone = f"UPDATE {{}}runs SET ended_at = {literal(store_dsn, NOW)} WHERE run_id = {doomed[1]}"

        def meanwhile() -> AbstractContextManager[None]:
            if reader.audit():
                # The clean-up has begun: this is between choosing and removing.
                query(store_dsn, postpone)
            return change()

        admin._change = meanwhile  # type: ignore[method-assign]
        assert sum(admin.cleanup(30, actor=ANA)) == 1
        assert not any(rows_of(store_dsn, doomed[0]).values())
        assert rows_of(store_dsn, doomed[1]) == before
        assert remaining(reader) == {doomed[1]}

    def test_runs_that_never_hold_still_end_it_with_an_error(self, stock: Stock, admin: Administration) -> None:
        whole_run(stock, NOW - 40 * DAY)
        assert isinstance(admin, PostgresAdministration | SqliteAdministration)
        unknown = Candidate(run_id=1, requests=0, errors=0, duration_ms=0)
        admin._choose = lambda _: [unknown]  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable, match="change faster than they can be removed"):
            list(admin.cleanup(30, actor=ANA))

    def test_it_is_audited_with_counts(self, stock: Stock, admin: Administration, reader: Reader) -> None:
        stock.finished(NOW - 50 * DAY, NOW - 40 * DAY, requests=3)
        whole_run(stock, NOW - 40 * DAY)
        plan = admin.plan_cleanup(30)
        list(admin.cleanup(30, actor=ANA, cutoff=plan.cutoff))
        (entry,) = reader.audit()
        assert (entry.actor, entry.action) == (ANA, "cleanup")
        assert entry.detail == {
            "days": 30,
            "cutoff": plan.cutoff.isoformat(),
            "keep_last_success": False,
            "runs": 2,
            "requests": 23,
            "errors": 1,
            "weeks": 0,
            "finished": True,
        }

    def test_what_arrives_late_for_a_removed_run_is_refused(
        self, stock: Stock, admin: Administration, reader: Reader, store_dsn: str
    ) -> None:
        run_id = stock.finished(NOW - DAY, NOW - HOUR)
        list(admin.cleanup(0, actor=ANA))
        late = RequestRow(run_id, 99, to_microseconds(NOW), "/a", None, None, 200, 1, 1, False, None)
        receipt = stock.write(requests=(late,), cells=tally([late]))
        assert receipt.refused == {run_id: "removed"}
        stock.start(NOW - DAY, run_id=run_id)
        assert remaining(reader) == set()
        assert not any(rows_of(store_dsn, run_id).values())

    def test_after_zero_days_an_unknown_run_that_ended_before_is_still_taken(
        self, stock: Stock, admin: Administration, reader: Reader
    ) -> None:
        stock.finished(NOW - DAY, NOW - HOUR)
        list(admin.cleanup(0, actor=ANA))
        spooled = stock.finished(NOW - DAY, NOW - 2 * HOUR)
        assert remaining(reader) == {spooled}

    def test_after_thirty_days_an_unknown_run_that_ended_before_is_refused(
        self, stock: Stock, admin: Administration, reader: Reader
    ) -> None:
        list(admin.cleanup(30, actor=ANA))
        started = to_microseconds(NOW - 50 * DAY)
        run_id = stock.start(NOW)
        template = reader.run(run_id)
        assert template is not None
        end = RunEnd(run_id=run_id + 1, status="completed", ended_us=to_microseconds(NOW - 40 * DAY), duration_ms=1)
        receipt = stock.write(starts=(stock.run_start(run_id + 1, started),), ends=(end,))
        assert receipt.refused == {run_id + 1: "removed"}
        assert remaining(reader) == {run_id}

    def test_the_cutoff_never_goes_back(self, admin: Administration, store_dsn: str) -> None:
        list(admin.cleanup(10, actor=ANA))
        newest = query(store_dsn, "SELECT cutoff FROM {}retention")
        list(admin.cleanup(30, actor=ANA))
        list(admin.cleanup(0, actor=ANA))
        assert query(store_dsn, "SELECT cutoff FROM {}retention") == newest

    def test_only_runs_that_a_spool_may_still_hold_leave_a_tombstone(
        self, stock: Stock, admin: Administration, store_dsn: str
    ) -> None:
        stock.finished(NOW - 50 * DAY, NOW - 40 * DAY)
        recent = stock.finished(NOW - 50 * DAY, NOW - 31 * DAY)
        list(admin.cleanup(30, actor=ANA))
        assert query(store_dsn, "SELECT run_id FROM {}removed_runs") == [(recent,)]

    def test_tombstones_and_batch_keys_go_when_no_spool_can_hold_them_any_more(
        self, stock: Stock, admin: Administration, store_dsn: str
    ) -> None:
        for age, number in ((36, 1), (36, 2), (36, 3), (34, 4)):
            at = literal(store_dsn, NOW - age * DAY)
            query(store_dsn, f"INSERT INTO {{}}removed_runs (run_id, removed_at) VALUES ({number}, {at})")
            query(store_dsn, f"INSERT INTO {{}}batches (writer_id, batch_seq, at) VALUES (1, {number}, {at})")
        in_small_steps(admin, purge=2)
        assert sum(admin.cleanup(30, actor=ANA)) == 0
        assert query(store_dsn, "SELECT run_id FROM {}removed_runs") == [(4,)]
        assert query(store_dsn, "SELECT batch_seq FROM {}batches WHERE writer_id = 1") == [(4,)]

    @pytest.mark.parametrize("days", [-1, True, False, 1.5, "30", None])
    def test_days_that_are_no_whole_number_of_zero_or_more_are_refused(self, admin: Administration, days: Any) -> None:
        admin.close()
        with pytest.raises(ValueError, match="days is"):
            admin.cleanup(days, actor=ANA)
        with pytest.raises(ValueError, match="days is"):
            admin.plan_cleanup(days)

    def test_a_cutoff_without_a_zone_is_refused(self, admin: Administration) -> None:
        admin.close()
        with pytest.raises(ValueError, match="a time needs its zone"):
            admin.cleanup(30, actor=ANA, cutoff=datetime(2026, 1, 1))
        with pytest.raises(ValueError, match="a time needs its zone"):
            admin.plan_cleanup(30, cutoff=datetime(2026, 1, 1))
        with pytest.raises(ValueError, match="a name is needed"):
            admin.cleanup(30, actor="")


class TestLastSuccess:
    @pytest.fixture
    def successes(self, stock: Stock) -> set[int]:
        """Record what has a last success worth keeping, and what has not; return those that are."""
        old = NOW - 60 * DAY
        stock.finished(old, old + HOUR, job="retired")
        kept = {stock.finished(old + DAY, old + DAY + HOUR, job="retired")}
        failed = stock.start(old + 2 * DAY, job="retired")
        stock.end(failed, old + 2 * DAY + HOUR, status="failed")
        stock.finished(old, old + HOUR, job="nightly")
        kept.add(stock.finished(NOW - DAY, NOW - DAY + HOUR, job="nightly"))
        never = stock.start(old, job="never succeeded")
        stock.end(never, old + HOUR, status="failed")
        return kept

    def test_it_stays_however_old_it_is_when_it_is_asked_for(
        self, stock: Stock, admin: Administration, reader: Reader, successes: set[int]
    ) -> None:
        plan = admin.plan_cleanup(30, keep_last_success=True)
        assert (plan.runs, plan.keep_last_success, plan.last_successes) == (4, True, 1)
        assert {job.job: job.runs for job in plan.jobs} == {"retired": 2, "nightly": 1, "never succeeded": 1}
        assert sum(admin.cleanup(30, actor=ANA, cutoff=plan.cutoff, keep_last_success=True)) == 4
        assert remaining(reader) == successes
        assert reader.audit()[0].detail["keep_last_success"] is True
        again = admin.plan_cleanup(30, keep_last_success=True)
        assert (again.runs, again.last_successes) == (0, 1)

    def test_it_goes_otherwise_and_the_plan_says_how_many(
        self, stock: Stock, admin: Administration, reader: Reader, successes: set[int]
    ) -> None:
        plan = admin.plan_cleanup(30)
        assert (plan.runs, plan.keep_last_success, plan.last_successes) == (5, False, 1)
        assert sum(admin.cleanup(30, actor=ANA)) == 5
        assert len(remaining(reader)) == 1

    def test_zero_days_keep_it_too(
        self, stock: Stock, admin: Administration, reader: Reader, successes: set[int]
    ) -> None:
        assert admin.plan_cleanup(0, keep_last_success=True).last_successes == 2
        assert sum(admin.cleanup(0, actor=ANA, keep_last_success=True)) == 4
        assert remaining(reader) == successes

    def test_what_it_holds_stays_whole(self, stock: Stock, admin: Administration, store_dsn: str) -> None:
        run_id = whole_run(stock, NOW - 40 * DAY)
        before = rows_of(store_dsn, run_id)
        in_small_steps(admin, runs=1)
        whole_run(stock, NOW - 41 * DAY)
        assert sum(admin.cleanup(30, actor=ANA, keep_last_success=True)) == 1
        assert rows_of(store_dsn, run_id) == before


def literal(dsn: str, moment: datetime) -> str:
    return str(to_microseconds(moment)) if dsn.startswith("sqlite") else f"'{moment.isoformat()}'"


def test_a_writer_gets_its_turn_between_the_steps(stock: Stock, admin: Administration, reader: Reader) -> None:
    for _ in range(6):
        stock.finished(NOW - 50 * DAY, NOW - 40 * DAY, requests=3)
    in_small_steps(admin, runs=1)
    written = []
    for step in admin.cleanup(30, actor=ANA):
        if step:
            written.append(stock.start(NOW))
    assert remaining(reader) == set(written)
    assert len(written) == 6


def test_a_large_run_goes_from_a_file_in_parts_and_stays_listed_until_its_last(sqlite_store_dsn: str) -> None:
    stock = Stock(sqlite_store_dsn)
    run_id = stock.finished(NOW - 50 * DAY, NOW - 40 * DAY, requests=25)
    with stock.store.administration(10.0) as admin, stock.store.reader(10.0) as reader:
        in_small_steps(admin, weight=10)
        steps = admin.cleanup(30, actor=ANA)
        assert [next(steps), rows_of(sqlite_store_dsn, run_id)["requests"]] == [0, 15]
        assert [next(steps), rows_of(sqlite_store_dsn, run_id)["requests"]] == [0, 5]
        assert remaining(reader) == {run_id}
        assert sum(steps) == 1
    stock.close()
    assert not any(rows_of(sqlite_store_dsn, run_id).values())


def test_a_sqlite_file_gets_shorter(sqlite_store_dsn: str) -> None:
    path = Path(sqlite_store_dsn.removeprefix("sqlite:///"))
    stock = Stock(sqlite_store_dsn)
    for _ in range(20):
        stock.finished(NOW - 50 * DAY, NOW - 40 * DAY, requests=1000)
    stock.close()
    full = path.stat().st_size
    with stock.store.administration(10.0) as admin:
        assert sum(admin.cleanup(30, actor=ANA)) == 20
    assert path.stat().st_size < full / 4
    assert query(sqlite_store_dsn, "PRAGMA freelist_count") == [(0,)]
    assert query(sqlite_store_dsn, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_without_auto_vacuum_is_cleaned_up_all_the_same(sqlite_store_dsn: str) -> None:
    with closing(sqlite3.connect(sqlite_store_dsn.removeprefix("sqlite:///"), isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = DELETE")
        file.execute("PRAGMA auto_vacuum = NONE")
        file.execute("VACUUM")
    stock = Stock(sqlite_store_dsn)
    stock.finished(NOW - 50 * DAY, NOW - 40 * DAY, requests=2000)
    stock.close()
    with stock.store.administration(10.0) as admin:
        assert sum(admin.cleanup(30, actor=ANA)) == 1


def test_a_named_file_that_is_not_there_is_not_made_by_a_keeper(tmp_path: Path) -> None:
    with pytest.raises(SchemaMissing, match="does not exist yet"):
        open_store(f"sqlite:///{tmp_path / 'typo.db'}").administration(5.0)
    assert not (tmp_path / "typo.db").exists()


def test_the_embedded_default_can_be_switched_off_before_any_job_ran(tmp_path: Path) -> None:
    location = StoreLocation(kind="sqlite", label="file", path=tmp_path / "own" / "tracking.db", named=False)
    store = SqliteStore(location)
    with store.administration(5.0) as admin:
        admin.set_switch(enabled=False, job=None, actor=ANA, reason="")
    with store.writer(5.0) as writer:
        assert writer.switched_off("inventory")


def test_a_store_without_tables_or_with_newer_ones_says_so(stock: Stock, store_dsn: str, postgres_dsn: str) -> None:
    with pytest.raises(SchemaMissing):
        open_store(postgres_dsn).administration(5.0)
    name = "'future', '', 0" if stock.store.kind == "sqlite" else "'future', ''"
    query(store_dsn, f"INSERT INTO {{}}schema_version VALUES (99, {name})")
    with pytest.raises(SchemaNewer):
        stock.store.administration(5.0)


def test_a_batch_with_a_late_end_and_a_removed_run_keeps_its_neighbours(
    stock: Stock, admin: Administration, reader: Reader
) -> None:
    removed = stock.finished(NOW - DAY, NOW - HOUR)
    living = stock.start(NOW)
    list(admin.cleanup(0, actor=ANA))
    rows = tuple(
        RequestRow(run_id, 50, to_microseconds(NOW), "/a", None, None, 200, 1, 1, False, None)
        for run_id in (removed, living)
    )
    with stock.store.writer(5.0) as writer:
        receipt = writer.write(Batch(writer_id=5, batch_seq=1, requests=rows, cells=tally(rows)))
    assert receipt.refused == {removed: "removed"}
    run = reader.run(living)
    assert run is not None
    assert run.requests == 1


def test_a_batch_on_its_way_leaves_nothing_of_a_removed_run(postgres_store_dsn: str) -> None:
    stock = Stock(postgres_store_dsn)
    run_id = whole_run(stock, NOW - 40 * DAY)
    stock.close()
    admin = stock.store.administration(20.0)
    with psycopg.connect(postgres_store_dsn) as late, psycopg.connect(postgres_store_dsn, autocommit=True) as watch:
        late.execute("INSERT INTO tracking.source_counts VALUES (%s, 1, now(), 'late')", [run_id])
        late.execute("UPDATE tracking.runs SET items = items + 1 WHERE run_id = %s", [run_id])
        cleaning = threading.Thread(target=lambda: list(admin.cleanup(30, actor=ANA)))
        cleaning.start()
        blocked = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: watch.execute(blocked).fetchone() == (1,), "the clean-up waits for the late batch")
        late.commit()
        cleaning.join()
    admin.close()
    assert not any(rows_of(postgres_store_dsn, run_id).values())
