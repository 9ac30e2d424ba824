"""Fixtures of the tests of commands: the command line in this process, and a store to fill."""

from collections.abc import Iterator

import pytest

from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock


@pytest.fixture
def etlwatch(capsys: pytest.CaptureFixture[str]) -> Program:
    """Return the command line, called in this process."""
    return Program(capsys)


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    """Yield a writer into the test's store."""
    filled = Stock(store_dsn)
    yield filled
    filled.close()
