"""Rows that nobody should have written, and records that are made once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.store.stocking import Stock
from tracking_core import histogram
from tracking_core.store import dialect
from tracking_core.store.dialect import LATEST, POSTGRES, SQLITE, Forms

NOW = datetime.now(UTC).replace(microsecond=0)
each_dialect = pytest.mark.parametrize("forms", [SQLITE, POSTGRES], ids=["sqlite", "postgres"])


@each_dialect
@pytest.mark.parametrize("microseconds", [2**63 - 1, -(2**63), 10**18])
def test_a_time_beyond_the_calendar_is_its_last_moment(forms: Forms, microseconds: int) -> None:
    assert forms.moment(microseconds) == LATEST


def test_both_dialects_mean_the_same_moment() -> None:
    assert SQLITE.moment(1_600_000_000_123_456) == datetime(2020, 9, 13, 12, 26, 40, 123456, UTC)
    assert POSTGRES.moment(1_600_000_000_123_456 - 946_684_800_000_000) == SQLITE.moment(1_600_000_000_123_456)


@each_dialect
@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "7", "{}"])
def test_json_that_is_no_object_is_an_empty_one(forms: Forms, text: str) -> None:
    assert forms.document(text) == {}


def test_a_torn_histogram_is_read_as_far_as_it_is_whole() -> None:
    blob = (5 * 256 + 3).to_bytes(8, "little") + b"\x01\x02"
    assert histogram.unpack(SQLITE.packed(blob)) == {3: 5}


def test_joined_histograms_add_up_when_unpacked() -> None:
    lists = [[2 * 256 + 1], [], [3 * 256 + 1, 256 + 9]]
    blobs = [b"".join(entry.to_bytes(8, "little") for entry in entries) for entries in lists]
    assert histogram.unpack(POSTGRES.joined(lists)) == {1: 5, 9: 1}
    assert histogram.unpack(SQLITE.joined(blobs)) == {1: 5, 9: 1}


def test_the_record_of_an_ended_run_is_made_once_until_the_run_changes(store_dsn: str) -> None:
    stock = Stock(store_dsn)
    ended, running = stock.finished(NOW - timedelta(hours=1), NOW), stock.start(NOW)
    with stock.store.reader(5.0) as reader:
        first, second = reader.recent_runs(2), reader.recent_runs(2)
        assert [run.run_id for run in first] == [running, ended]
        assert first[1] is second[1]
        assert first[0] is not second[0]
        stock.requests(ended, [(NOW, "/late", 200, 1, 1)])
        assert reader.recent_runs(2)[1].requests == 1
    stock.close()


def test_records_of_ended_runs_are_kept_up_to_a_number(monkeypatch: pytest.MonkeyPatch, sqlite_store_dsn: str) -> None:
    monkeypatch.setattr(dialect, "ENDED_RUNS_KEPT", 2)
    stock = Stock(sqlite_store_dsn)
    runs = [stock.finished(NOW - timedelta(hours=1), NOW) for _ in range(5)]
    with stock.store.reader(5.0) as reader:
        for _ in range(2):
            assert {run.run_id for run in reader.recent_runs(10)} == set(runs)
        assert len(reader._records._ended) <= 2  # type: ignore[attr-defined]
    stock.close()
