"""Fixtures of the tracker's tests."""

from pathlib import Path

import pytest

from tests.support.fake_store import FakeStore


@pytest.fixture
def fake_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeStore:
    """Return the store that every tracker of the test opens, whatever its cfg.

    It stands alone: no spool takes what it does not, and after a fault it is tried again at once.
    """
    store = FakeStore()
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRACKING_SPOOL_DIR", str(tmp_path / "file" / "no-spool-here"))
    monkeypatch.setattr("tracking_core.delivery.store_link.FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr("tracking_core.store.open_store", lambda _cfg: store)
    return store
