"""Which stores and deliveries a test runs on."""

import pytest

BOTH_ONCE = pytest.mark.parametrize(
    ("store_dsn", "delivery"), [("sqlite", "immediate"), ("postgres", "buffered")], indirect=True
)
"""Both stores and both deliveries once, instead of all four pairs: for what a process does above either."""
