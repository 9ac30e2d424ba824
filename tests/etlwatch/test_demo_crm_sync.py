"""The job `crm-sync`: retries of throttled and failed requests, and what it records of pages it gave up."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from etlwatch.demo import crm_sync
from etlwatch.demo.crm_sync import (
    ATTEMPTS,
    LONGEST_WAIT_S,
    Answer,
    Behaviour,
    CrmClient,
    CrmSync,
    CrmUnavailableError,
    RequestGivenUpError,
    seconds_to_wait,
    serving,
)
from tracking_core import ETLRunContext, SimpleETLTracker
from tracking_core.store import open_store
from tracking_core.store.queries import Reader

SMALL = {"contacts": 230, "companies": 40, "opportunities": 100}
ENTITIES = tuple(SMALL)


@dataclass
class Sync:
    """A sync against an API of its own, and what it left behind."""

    dsn: str
    result: sqlite3.Connection
    run_id: int = 0
    waits: list[float] = field(default_factory=list)

    def copy(self, behaviour: Behaviour) -> None:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(serving(behaviour))
            client = stack.enter_context(contextlib.closing(CrmClient(url)))
            run = stack.enter_context(ETLRunContext(SimpleETLTracker(self.dsn), "test", job="crm-sync"))
            assert run.run_id is not None
            self.run_id = run.run_id
            CrmSync(run, client, self.result, sleep=self.waits.append).sync(ENTITIES)

    def loaded(self) -> dict[str, int]:
        return dict(self.result.execute("SELECT entity, count(*) FROM records GROUP BY entity"))

    def reader(self) -> Reader:
        return open_store(self.dsn).reader(5.0)


@pytest.fixture
def sync(store_dsn: str) -> Iterator[Sync]:
    with contextlib.closing(sqlite3.connect(":memory:")) as result:
        yield Sync(store_dsn, result)


def test_a_calm_api_is_copied_whole_with_every_page_recorded(sync: Sync) -> None:
    sync.copy(Behaviour(sizes=SMALL, latency_ms=0, throttle_rate=0, error_rate=0))
    assert sync.loaded() == SMALL
    with sync.reader() as reader:
        run = reader.run(sync.run_id)
        assert run is not None
        assert (run.status, run.job, run.items, run.errors) == ("completed", "crm-sync", sum(SMALL.values()), 0)
        # Three counts, and pages of 50.
        assert run.requests == 3 + 5 + 1 + 2
        assert {count.entity: count.items for count in reader.source_counts([sync.run_id])} == SMALL
        phases = reader.phases([sync.run_id])
        assert [(phase.phase, phase.status) for phase in phases] == [
            (name, "completed") for name in ("count", *ENTITIES, "verify")
        ]
        assert phases[1].counters == {
            "pages": {"total": 5, "processed": 5},
            "records": {"total": 230, "processed": 230},
        }


def test_a_throttled_sync_waits_as_requested_and_misses_nothing(sync: Sync) -> None:
    sync.copy(Behaviour(seed=5, sizes=SMALL, latency_ms=0, throttle_rate=0.3, error_rate=0, retry_after_s=3))
    assert sync.loaded() == SMALL
    with sync.reader() as reader:
        run = reader.run(sync.run_id)
    assert run is not None
    assert run.throttled_requests == len(sync.waits) > 0
    assert set(sync.waits) == {3.0}
    assert (run.failed_requests, run.errors) == (0, 0)


def test_failures_that_pass_are_retried_and_counted(sync: Sync) -> None:
    sync.copy(Behaviour(seed=3, sizes=SMALL, latency_ms=0, throttle_rate=0, error_rate=0.3))
    assert sync.loaded() == SMALL
    with sync.reader() as reader:
        run = reader.run(sync.run_id)
    assert run is not None
    assert run.failed_requests == len(sync.waits) > 0
    assert run.errors == 0


def test_a_page_that_is_given_up_becomes_an_error_and_the_rest_is_copied(sync: Sync) -> None:
    broken = frozenset({("contacts", 100)})
    sync.copy(Behaviour(sizes=SMALL, latency_ms=0, throttle_rate=0, error_rate=0, broken_pages=broken))
    assert sync.loaded() == {**SMALL, "contacts": SMALL["contacts"] - 50}
    with sync.reader() as reader:
        run = reader.run(sync.run_id)
        (error,) = reader.errors(sync.run_id)
    assert run is not None
    assert (run.status, run.failed_requests, run.errors) == ("completed", ATTEMPTS, 1)
    assert (error.phase, error.error_type.rpartition(".")[2]) == ("contacts", "RequestGivenUpError")
    assert "/v1/contacts?offset=100&limit=50 given up after 4 attempts: 500" in error.message


def test_an_api_that_goes_down_fails_the_run_instead_of_being_hammered(sync: Sync) -> None:
    broken = frozenset(("contacts", offset) for offset in range(0, 250, 50))
    behaviour = Behaviour(sizes=SMALL, latency_ms=0, throttle_rate=0, error_rate=0, broken_pages=broken)
    with pytest.raises(CrmUnavailableError, match="contacts: 5 pages in a row"):
        sync.copy(behaviour)
    with sync.reader() as reader:
        run = reader.run(sync.run_id)
        status = {phase.phase: phase.status for phase in reader.phases([sync.run_id])}
    assert run is not None
    assert run.status == "failed"
    assert status == {"count": "completed", "contacts": "failed"}


def test_without_a_count_there_is_no_sync(sync: Sync) -> None:
    with pytest.raises(RequestGivenUpError, match="/v1/contacts/count given up after 4 attempts"):
        sync.copy(Behaviour(sizes=SMALL, latency_ms=0, throttle_rate=0, error_rate=1))
    with sync.reader() as reader:
        run = reader.run(sync.run_id)
    assert run is not None
    assert run.status == "failed"


def answer(status: int | None, retry_after_s: float | None = None) -> Answer:
    return Answer(status=status, payload={}, duration_ms=1.0, retry_after_s=retry_after_s, error="x")


def test_waits_double_with_jitter_unless_the_server_sets_them() -> None:
    for attempt in range(4):
        assert 0.05 * 2**attempt <= seconds_to_wait(answer(500), attempt) <= 0.15 * 2**attempt
    assert seconds_to_wait(answer(429, 2.0), 0) == 2.0
    assert seconds_to_wait(answer(503, 86_400.0), 0) == LONGEST_WAIT_S
    assert seconds_to_wait(answer(500), 50) == LONGEST_WAIT_S


def test_the_job_takes_its_entities_and_its_store_from_outside(
    sqlite_store_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_DSN", sqlite_store_dsn)
    with serving(Behaviour(sizes=SMALL, latency_ms=0, throttle_rate=0)) as url:
        crm_sync.main(["--entity", "companies", "--url", url])
    (run,) = SimpleETLTracker(sqlite_store_dsn).get_recent_runs()
    assert (run.job, run.notes, run.status, run.items) == ("crm-sync", "Sync of companies", "completed", 40)
