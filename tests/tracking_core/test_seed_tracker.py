"""Every runnable code block of the first seed, with its import line changed and nothing else, against both stores."""

# ruff: noqa: F841 - the seed's statements as they stand

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from tests.support.peek import peek
from tracking_core import ETLRunContext, SimpleETLTracker, get_etl_tracker

# What the seed's examples take for granted: a cfg, and a source of pages.


@pytest.fixture
def cfg(store_dsn: str) -> object:
    return store_dsn


@dataclass(frozen=True)
class Page:
    offset: int
    limit: int
    items: list[str]
    duration: float


def fetch_pages() -> Iterator[Page]:
    yield Page(0, 100, ["contact"] * 100, 812.4)
    yield Page(100, 100, ["contact"] * 40, 402)


def fetch_broken_pages() -> Iterator[Page]:
    yield Page(0, 100, ["contact"] * 100, 812.4)
    raise ConnectionError("the API went away")


count = 1000
endpoint, offset, limit, status, duration = "/contacts", 0, 100, 200, 1000


def runs_in(cfg: str) -> list[tuple[object, ...]]:
    return peek(cfg, "SELECT job, status, notes, requests, items FROM tracking.runs ORDER BY run_id")


def test_migration(cfg: str, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = SimpleETLTracker(cfg)

    # Test direct usage
    run_id = tracker.start_run("Migration test")
    tracker.log_request(run_id, "/test", 0, 100, 200, 50, 1000)
    tracker.end_run(run_id, True, "Test completed")

    # Test context manager
    with ETLRunContext(tracker, "Context test") as run:
        run.log_request("/test", 0, 100, 200, 25, 500)

    # Test metrics
    metrics = tracker.get_run_metrics(run_id)
    print(f"Metrics: {metrics}")

    assert "total_items=50" in capsys.readouterr().out
    assert runs_in(cfg) == [
        ("Migration test", "completed", "Migration test\nTest completed", 1, 50),
        ("Context test", "completed", "Context test", 1, 25),
    ]


def test_option_one_and_two_of_the_new_api(cfg: str) -> None:
    tracker = SimpleETLTracker(cfg)
    run_id = tracker.start_run("My sync")
    tracker.log_request(run_id, endpoint, offset, limit, status, count, duration)
    tracker.end_run(run_id, True, "Completed")

    with ETLRunContext(tracker, "My sync") as run:
        run.log_request(endpoint, offset, limit, status, count, duration)
        # Automatic cleanup on exit

    assert [row[1:] for row in runs_in(cfg)] == [
        ("completed", "My sync\nCompleted", 1, 1000),
        ("completed", "My sync", 1, 1000),
    ]


def test_the_old_api(cfg: str) -> None:
    with pytest.warns(DeprecationWarning, match="migration"):
        tracker = get_etl_tracker(cfg)
    run_id = tracker.start_run("My sync")
    # tracker.run_id is automatically set
    assert tracker.run_id == run_id
    tracker.log_request(endpoint, offset, limit, status, count, duration)
    tracker.end_run(True, "Completed")
    assert runs_in(cfg) == [("My sync", "completed", "My sync\nCompleted", 1, 1000)]
    tracker.close()


def test_error_handling_old_and_new(cfg: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(DeprecationWarning, match="migration"):
        tracker = get_etl_tracker(cfg)
    try:
        tracker.log_request(endpoint, offset, limit, status, count, duration)
    except Exception as e:
        pytest.fail(f"no run is active, so nothing may happen: {e}")

    def ask(tracker: SimpleETLTracker, run_id: int | None) -> None:
        success = tracker.log_request(run_id, endpoint, offset, limit, status, count, duration)
        if not success:
            print("Warning: Failed to log request")

    new = SimpleETLTracker(cfg)
    ask(new, new.start_run("My sync"))
    assert capsys.readouterr().out == ""
    ask(new, 4711)
    assert capsys.readouterr().out == "Warning: Failed to log request\n"


def test_the_context_manager_block(cfg: str) -> None:
    tracker = SimpleETLTracker(cfg)
    # Automatic run management
    with ETLRunContext(tracker, "My sync") as run:
        run.log_request(endpoint, offset, limit, status, count, duration)
        run.log_source_count("contacts", 1000)
        # Automatic cleanup on exit (success or failure)
    assert peek(cfg, "SELECT entity, items FROM tracking.source_counts") == [("contacts", 1000)]


# Example 1: Basic Sync Script. `fetch_pages` is a parameter so that it can fail.


def sync_contacts_old(cfg: object, fetch_pages: Callable[[], Iterator[Page]]) -> None:
    tracker = get_etl_tracker(cfg)
    run_id = tracker.start_run("Contact sync")

    try:
        # Sync logic
        for page in fetch_pages():
            tracker.log_request("/contacts", page.offset, page.limit, 200, len(page.items), page.duration)

        tracker.end_run(True, "Sync completed")
    except Exception as e:
        tracker.end_run(False, f"Error: {e}")


def sync_contacts_direct(cfg: object, fetch_pages: Callable[[], Iterator[Page]]) -> None:
    tracker = SimpleETLTracker(cfg)
    run_id = tracker.start_run("Contact sync")

    try:
        # Sync logic
        for page in fetch_pages():
            tracker.log_request(run_id, "/contacts", page.offset, page.limit, 200, len(page.items), page.duration)

        tracker.end_run(run_id, True, "Sync completed")
    except Exception as e:
        tracker.end_run(run_id, False, f"Error: {e}")


def sync_contacts_context(cfg: object, fetch_pages: Callable[[], Iterator[Page]]) -> None:
    tracker = SimpleETLTracker(cfg)

    with ETLRunContext(tracker, "Contact sync") as run:
        # Sync logic
        for page in fetch_pages():
            run.log_request("/contacts", page.offset, page.limit, 200, len(page.items), page.duration)
        # Automatic cleanup


EXAMPLE_1 = {
    "old": (sync_contacts_old, "Contact sync\nSync completed", "Contact sync\nError: the API went away"),
    "direct": (sync_contacts_direct, "Contact sync\nSync completed", "Contact sync\nError: the API went away"),
    "context": (sync_contacts_context, "Contact sync", "Contact sync\nthe API went away"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("sync_contacts", "well", "badly"), EXAMPLE_1.values(), ids=EXAMPLE_1.keys())
def test_example_1_basic_sync_script(
    cfg: str, sync_contacts: Callable[[object, Callable[[], Iterator[Page]]], None], well: str, badly: str
) -> None:
    sync_contacts(cfg, fetch_pages)
    try:
        sync_contacts(cfg, fetch_broken_pages)
    except ConnectionError:
        assert sync_contacts is sync_contacts_context
    assert runs_in(cfg) == [
        ("Contact sync", "completed", well, 2, 140),
        ("Contact sync", "failed", badly, 1, 100),
    ]


# Example 2: Complex Sync with Multiple Entities


def sync_all_entities_old(cfg: object) -> None:
    tracker = get_etl_tracker(cfg)
    run_id = tracker.start_run("Full sync")

    try:
        for entity in ["contacts", "companies", "opportunities"]:
            # Sync entity
            tracker.log_source_count(entity, count)

        tracker.end_run(True, "All entities synced")
    except Exception as e:
        tracker.end_run(False, f"Error: {e}")


def sync_all_entities_new(cfg: object) -> None:
    tracker = SimpleETLTracker(cfg)

    with ETLRunContext(tracker, "Full sync") as run:
        for entity in ["contacts", "companies", "opportunities"]:
            # Sync entity
            run.log_source_count(entity, count)
        # Automatic cleanup


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("sync_all_entities", [sync_all_entities_old, sync_all_entities_new], ids=["old", "new"])
def test_example_2_complex_sync(cfg: str, sync_all_entities: Callable[[object], None]) -> None:
    sync_all_entities(cfg)
    assert [row[:2] for row in runs_in(cfg)] == [("Full sync", "completed")]
    assert peek(cfg, "SELECT entity, items FROM tracking.source_counts ORDER BY entity") == [
        ("companies", 1000),
        ("contacts", 1000),
        ("opportunities", 1000),
    ]


def test_the_seed_s_cfg_object_with_its_attributes(postgres_store_dsn: str) -> None:
    from tracking_core.config import resolve

    keywords = resolve(postgres_store_dsn).keywords
    names = {"db_host": "host", "db_port": "port", "db_name": "dbname", "db_user": "user", "db_password": "password"}
    sync_all_entities_new(SimpleNamespace(**{name: keywords.get(keyword) for name, keyword in names.items()}))
    assert len(runs_in(postgres_store_dsn)) == 1
