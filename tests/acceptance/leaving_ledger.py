"""The one equation of leaving: what was accepted is stored, spooled, or reported as dropped."""

from dataclasses import dataclass

from tests.acceptance.ledger import counts, replay_spool
from tests.support.peek import peek

BURST = """
import select
tracker = SimpleETLTracker(DSN, delivery="buffered")
run_id = tracker.start_run("leaving", job="leaving")
tracker.flush()
time.sleep(0.3)
print("ready", flush=True)
sys.stdin.readline()
accepted = sum(
    tracker.log_request(run_id, f"/contacts/{page % 5}", page * 100, 100, 200, 100, 12.5 + page % 50)
    for page in range(REQUESTS)
)
tracker.end_run(run_id, True)
print(accepted, flush=True)
# Python sees a signal only between two calls.
while "AT_ONCE" not in os.environ and not select.select([sys.stdin], [], [], 0.05)[0]:
    pass
"""
"""A job that logs REQUESTS requests as fast as it can and then leaves; told when to go on."""


@dataclass(frozen=True)
class Found:
    """Where the requests of all runs are."""

    emitted: int
    stored: int
    dropped: int


def found_in(dsn: str) -> Found:
    """Return what the ledgers of a store add up to."""
    ((emitted, stored, dropped),) = peek(
        dsn,
        "SELECT coalesce(sum(emitted), 0), coalesce(sum(stored), 0), coalesce(sum(dropped), 0) FROM tracking.writers",
    )
    return Found(int(emitted), int(stored), int(dropped))


def assert_accounted_for(dsn: str, accepted: int) -> tuple[int, int]:
    """Assert that all that was accepted is somewhere, also after a replay; return the numbers replayed and dropped."""
    before = found_in(dsn)
    replay_spool(dsn)
    after = found_in(dsn)
    totals = counts(dsn)
    assert (after.emitted, after.stored + after.dropped) == (accepted, accepted), (before, after, totals)
    assert totals["rows"] == totals["distinct"] == after.stored
    assert totals["runs"] == totals["endpoints"] == totals["series"] == totals["throughput"] >= after.stored
    assert int(peek(dsn, "SELECT sum(dropped) FROM tracking.runs")[0][0]) == after.dropped
    # Nothing was given as dropped that was spooled.
    assert before.stored + before.dropped <= accepted
    return after.stored - before.stored, after.dropped
