"""One poll of a past moment, as the dashboard's poller makes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from etlwatch.analysis.snapshot import Snapshot
from etlwatch.reading.gatherer import Gatherer, Watch
from etlwatch.reading.past import reader_as_of
from tracking_core.store.queries import Reader


def read_as_of(
    reader: Reader, watch: Watch, moment: datetime, *, monotonic: Callable[[], float] = time.monotonic
) -> Snapshot:
    """Return what a watch shows of a past moment."""
    return Gatherer(monotonic, at_once=True).read(reader_as_of(reader, moment), watch)
