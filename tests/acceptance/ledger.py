"""The one meaning of "nothing lost": every event stored exactly once, and every total the same number."""

from tests.support.peek import peek
from tracking_core.config import resolve, spool_directories
from tracking_core.delivery.spool import DiskSpool
from tracking_core.store import open_store


def counts(dsn: str) -> dict[str, int]:
    """Return how many requests each table of a store holds, by bare SQL."""
    questions = {
        "rows": "SELECT count(*) FROM tracking.requests",
        "distinct": "SELECT count(*) FROM (SELECT DISTINCT run_id, page_offset FROM tracking.requests) AS pages",
        "endpoints": "SELECT coalesce(sum(requests), 0) FROM tracking.run_endpoints",
        "series": "SELECT coalesce(sum(requests), 0) FROM tracking.run_series",
        "throughput": "SELECT coalesce(sum(requests), 0) FROM tracking.throughput",
        "runs": "SELECT coalesce(sum(requests), 0) FROM tracking.runs",
    }
    return {name: int(peek(dsn, question)[0][0]) for name, question in questions.items()}


def assert_nothing_lost(dsn: str, requests: int, *, detail: int | None = None) -> None:
    """Assert that a store holds so many requests, whatever is asked, and the detail of all or of so many."""
    found = counts(dsn)
    rows = requests if detail is None else detail
    assert found == {**dict.fromkeys(found, requests), "rows": rows, "distinct": rows}


def status_of(dsn: str) -> list[str]:
    """Return the stored states of all runs."""
    return [str(row[0]) for row in peek(dsn, "SELECT status FROM tracking.runs ORDER BY run_id")]


def replay_spool(dsn: str) -> int:
    """Deliver what waits for a store, as `etlwatch spool replay` does; return how many events that were."""
    spool = DiskSpool(resolve(dsn).label, spool_directories())
    with open_store(dsn).writer(30.0) as writer:
        outcome = spool.replay(writer.write)
    spool.close()
    assert (outcome.error, outcome.left, outcome.rejected, outcome.refused) == ("", 0, 0, {})
    return outcome.sent
