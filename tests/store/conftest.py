"""The stores of the conformance suite: both kinds, and PostgreSQL behind the narrowest pooler (promise P5)."""

import pytest


@pytest.fixture(params=["sqlite", "postgres", "pgbouncer"])
def store_dsn(request: pytest.FixtureRequest) -> str:
    """Return the DSN of a fresh, initialised store: the test runs once on each kind, and through pgbouncer.

    There in transaction mode with a pool of one: a statement that relied on its session would find another one.
    """
    dsn: str = request.getfixturevalue(f"{request.param}_store_dsn")
    return dsn
