"""Fixtures of the tracker's tests."""

import pytest

from tests.support.fake_store import FakeStore


@pytest.fixture
def fake_store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """Return the store that every tracker of the test opens, whatever its cfg."""
    store = FakeStore()
    monkeypatch.setattr("tracking_core.store.open_store", lambda _cfg: store)
    return store
