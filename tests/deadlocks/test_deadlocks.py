"""A short sample of the hunt for deadlocks; `python -m tests.deadlocks` hunts as long as wanted."""

from __future__ import annotations

import pytest

from tests.deadlocks.hunting import Hunt


@pytest.mark.parametrize("seed", [1, 2])
def test_writers_a_clean_up_and_people_wait_for_each_other_in_no_circle(postgres_store_dsn: str, seed: int) -> None:
    found = Hunt(dsn=postgres_store_dsn, seed=seed, writers=6, rounds=40).run()
    assert found.conflicts == []
    assert found.faults == []
    assert found.batches == 6 * 40
    assert found.removed
    assert found.closed
