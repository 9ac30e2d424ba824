"""From the old tracker to the new one: both functions do the same work, side by side over the same tables.

Run it: python examples/migration.py
"""

import warnings

from tracking_core import ETLRunContext, SimpleETLTracker, TrackingError, get_etl_tracker

PAGES = [["ana", "ben"], ["cho"]]


def before() -> None:
    """Keep one active run in the tracker, and guard every call against the store."""
    tracker = get_etl_tracker(None)
    try:
        tracker.start_run("Contact sync")
        for number, page in enumerate(PAGES):
            tracker.log_request("/contacts", number * 2, 2, 200, len(page), 40)
        tracker.end_run(True, "all contacts")
    except TrackingError as error:
        print(f"not recorded: {error}")


def after() -> None:
    """Let a block hold the run: it ends as the block does, and no store fault raises."""
    tracker = SimpleETLTracker()
    with ETLRunContext(tracker, "Contact sync") as run:
        for number, page in enumerate(PAGES):
            run.log_request("/contacts", number * 2, 2, 200, len(page), 40)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        before()
    after()
    print("two runs of one job:", {run.job for run in SimpleETLTracker().get_recent_runs(2)})
