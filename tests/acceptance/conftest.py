"""Fixtures of the promises' tests."""

import pytest


@pytest.fixture(params=["immediate", "buffered"])
def delivery(request: pytest.FixtureRequest) -> str:
    """Return how the tracker delivers: the test runs once in each way."""
    name: str = request.param
    return name
