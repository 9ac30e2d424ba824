"""P8: processes that record into one store and are killed anywhere; the full count is `python -m tests.kills`."""

from __future__ import annotations

import random

from tests.kills import assert_exact, kill_some


def test_processes_killed_while_they_record_lose_nothing_that_they_were_told_is_recorded(store_dsn: str) -> None:
    assert assert_exact(store_dsn, kill_some(store_dsn, range(1, 4), random.Random(1))) > 0
