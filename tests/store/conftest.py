"""The stores of the conformance suite: both kinds, and PostgreSQL behind the narrowest pooler (PROMISES P5)."""

import pytest


@pytest.fixture(params=["sqlite", "postgres", "pgbouncer"])
def store_dsn(request: pytest.FixtureRequest) -> str:
    """Return the DSN of a fresh, initialised store: the test runs once on each kind, and through pgbouncer.

    There in transaction mode with a pool of one: a statement that relied on its session would find another one.
    """
    dsn: str = request.getfixturevalue(f"{request.param}_store_dsn")
    return dsn


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test behind the pooler begin again when its one server connection was not given back in time.

    pgbouncer 1.18, which Debian 12 has, now and then keeps a link for a client that has committed in a pipeline and
    fallen idle; with a pool of one the next client waits for it in vain. Nothing else is tried twice.
    """
    for item in items:
        if "pgbouncer" in item.name:
            item.add_marker(pytest.mark.flaky(reruns=2, only_rerun=["StoreUnavailable"]))
