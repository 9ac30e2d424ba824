"""A standby is read and refuses changes by name."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import OwnPostgres
from tests.support.session import SharedSession
from tests.tracking_core.sample_batches import batch_of, start_of
from tracking_core.errors import StoreRefused
from tracking_core.store import open_store


@pytest.fixture
def standby(shared_session: SharedSession) -> Iterator[str]:
    """Yield the DSN of a store whose server was made a standby, with one run in it."""
    server = OwnPostgres.create(shared_session, "standby", as_shipped=True)
    try:
        dsn = server.dsn("postgres")
        store = open_store(dsn)
        store.initialize()
        with store.writer(30) as writer:
            writer.write(batch_of(3, starts=(start_of(),)))
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        yield dsn
    finally:
        server.destroy()


def test_a_standby_is_read_and_refuses_changes_by_name(standby: str) -> None:
    store = open_store(standby)
    with store.reader(5) as reader:
        assert reader.recent_runs(1)[0].requests == 3
    words = "is a standby; changes go to its primary"
    with store.writer(5) as writer:
        with pytest.raises(StoreRefused, match=words):
            writer.write(batch_of(1, batch_seq=2, first=9))
        with pytest.raises(StoreRefused, match=words):
            writer.write(batch_of(1, batch_seq=None, first=9))
    with store.keeper(5) as keeper:
        with pytest.raises(StoreRefused, match=words):
            keeper.set_switch(enabled=False, job=None, actor="p", reason="")
        with pytest.raises(StoreRefused, match=words):
            list(keeper.cleanup(0, actor="p"))
