"""P16 as a sample: `python -m tests.interrupts` raises at every place of every public method."""

import pytest

from tests.interrupts.checking import check


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
def test_an_interrupted_call_is_recorded_whole_or_not_at_all(store_dsn: str, delivery: str) -> None:
    every = "211" if delivery == "immediate" else "61"
    verdict = check(store_dsn, delivery, "steps", "--every", every)
    assert verdict.faults == []
    assert verdict.interrupts > 50
