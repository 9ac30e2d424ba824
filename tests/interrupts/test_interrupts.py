"""P16 as a sample: `python -m tests.interrupts` raises at every place of every public method."""

import pytest

from tests.interrupts.checking import check


@pytest.mark.parametrize("delivery", ["immediate", "buffered"])
@pytest.mark.parametrize("calls", ["request,run", "flush,block", "error,phases,close"])
def test_an_interrupted_call_is_recorded_whole_or_not_at_all(store_dsn: str, delivery: str, calls: str) -> None:
    assert check(store_dsn, delivery, "steps", "--every", "97", "--count", "40", "--calls", calls).faults == []
