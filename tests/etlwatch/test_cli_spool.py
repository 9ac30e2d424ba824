"""`spool status` and `spool replay`: what waits, its delivery, and what does not rise from the dead."""

from pathlib import Path

from tests.etlwatch.cli_program import Program
from tests.support.ports import free_port
from tests.tracking_core.sample_batches import RUN, batch_of, end, start_of
from tracking_core import SimpleETLTracker
from tracking_core.config import resolve, spool_directories
from tracking_core.delivery.spool import DiskSpool
from tracking_core.identity import format_run_id
from tracking_core.store import open_store


def leave(dsn: str, count: int = 3) -> Path:
    """Leave a run of so many requests in the spool, as a job that is gone; return its file."""
    spool = DiskSpool(resolve(dsn).label, spool_directories())
    assert spool.take(batch_of(count, starts=(start_of(),), ends=(end(),)))
    spool.close()
    (path,) = spool_directories()[0].glob("*/*/*.spool")
    return path


def test_status_lists_what_waits(etlwatch: Program, sqlite_store_dsn: str) -> None:
    empty = etlwatch("spool", "--dsn", sqlite_store_dsn)
    assert (empty.status, empty.err) == (0, "nothing waits\n")
    path = leave(sqlite_store_dsn)
    (file,) = etlwatch("spool", "status", "--format", "json").data
    assert (file["file"], file["batches"], file["in_use"]) == (str(path), 1, False)
    assert file["store"] == resolve(sqlite_store_dsn).label
    assert "gone" in etlwatch("spool", "status").out


def test_replay_delivers_once_and_removes_the_file(etlwatch: Program, store_dsn: str) -> None:
    path = leave(store_dsn)
    done = etlwatch("spool", "replay", "--dsn", store_dsn)
    assert (done.status, done.out) == (0, "4 events in 1 batch delivered\n")
    assert not path.exists()
    (run,) = SimpleETLTracker(store_dsn).get_recent_runs()
    assert (run.run_id, run.requests, run.status) == (RUN, 3, "completed")
    assert etlwatch("spool", "replay", "--dsn", store_dsn, "--format", "json").data[0]["sent"] == 0


def test_a_spool_replayed_after_its_run_was_cleaned_up_is_refused_and_nothing_rises_from_the_dead(
    etlwatch: Program, store_dsn: str
) -> None:
    leave(store_dsn)
    assert etlwatch("spool", "replay", "--dsn", store_dsn).status == 0
    assert SimpleETLTracker(store_dsn).cleanup_old_runs(0) == 1
    spool = DiskSpool(resolve(store_dsn).label, spool_directories())
    assert spool.take(batch_of(2, batch_seq=2, first=10, starts=(start_of(),), ends=(end(),)))
    spool.close()
    done = etlwatch("spool", "replay", "--dsn", store_dsn, "--format", "json")
    assert done.status == 1
    assert done.data[0]["refused"] == {format_run_id(RUN): "removed"}
    assert (done.data[0]["sent"], done.data[0]["lost"]) == (0, 3)
    assert format_run_id(RUN) in done.err
    with open_store(store_dsn).reader(5.0) as reader:
        assert reader.run(RUN) is None
        assert reader.endpoints(RUN) == []


def test_a_named_file_is_delivered_to_the_store_at_hand(etlwatch: Program, sqlite_store_dsn: str) -> None:
    path = leave("postgresql://renamed.example/tracking")
    assert etlwatch("spool", "replay", "--dsn", sqlite_store_dsn).out.startswith("0 events")
    assert etlwatch("spool", "replay", "--dsn", sqlite_store_dsn, "--other-store", str(path)).status == 0
    assert SimpleETLTracker(sqlite_store_dsn).get_recent_runs()[0].requests == 3


def test_a_file_of_another_store_is_refused_by_name(etlwatch: Program, sqlite_store_dsn: str) -> None:
    path = leave("postgresql://elsewhere.example/tracking as etl")
    refused = etlwatch("spool", "replay", "--dsn", sqlite_store_dsn, str(path))
    assert refused.status == 1
    assert f"{path} waits for postgresql://elsewhere.example/tracking" in refused.complaint
    assert path.exists()
    with open_store(sqlite_store_dsn).reader(5.0) as reader:
        assert reader.recent_runs(5) == []


def test_what_another_store_does_not_take_is_kept_beside_the_file(etlwatch: Program, sqlite_store_dsn: str) -> None:
    spool = DiskSpool("postgresql://elsewhere.example/tracking", spool_directories())
    assert spool.take(batch_of(2, batch_seq=2))
    spool.close()
    (path,) = spool_directories()[0].glob("*/*/*.spool")
    done = etlwatch("spool", "replay", "--dsn", sqlite_store_dsn, "--other-store", str(path), "--format", "json")
    assert (done.status, done.data[0]["refused"]) == (1, {format_run_id(RUN): "unknown"})
    (kept,) = path.parent.glob("*.rejected")
    assert len(kept.read_bytes().splitlines()) == 1
    assert "rejected or expired" in etlwatch("spool", "status").err


def test_a_file_that_lies_among_those_of_another_store_is_left(etlwatch: Program, sqlite_store_dsn: str) -> None:
    path = leave("postgresql://elsewhere.example/tracking")
    aside = path.rename(path.with_suffix(".aside"))
    own = leave(sqlite_store_dsn)
    moved = aside.rename(own.parent / path.name)
    done = etlwatch("spool", "replay", "--dsn", sqlite_store_dsn, "--format", "json")
    assert (done.status, done.data[0]["sent"], done.data[0]["left"]) == (1, 4, 1)
    assert moved.exists()
    assert not own.exists()


def test_a_store_that_cannot_answer_leaves_the_file(etlwatch: Program) -> None:
    dsn = f"postgresql://127.0.0.1:{free_port()}/nowhere"
    path = leave(dsn)
    done = etlwatch("spool", "replay", "--dsn", dsn)
    assert done.status == 3
    assert path.exists()


def test_check_reports_what_waits_on_this_host_for_whatever_store(etlwatch: Program, sqlite_store_dsn: str) -> None:
    quiet = etlwatch("check", "--dsn", sqlite_store_dsn)
    assert (quiet.status, "spool" in quiet.out) == (0, False)
    leave("postgresql://elsewhere.example/tracking")
    told = etlwatch("check", "--dsn", sqlite_store_dsn)
    assert told.status == 1
    assert "1 spool file waits on this host, the oldest for " in told.out
    assert "spooled=1;0;;0" in told.out
    assert etlwatch("check", "--dsn", sqlite_store_dsn, "-c", "spooled").status == 2


def test_replay_names_what_waits_for_other_stores(etlwatch: Program, sqlite_store_dsn: str) -> None:
    leave("postgresql://elsewhere.example/tracking as etl")
    done = etlwatch("spool", "replay", "--dsn", sqlite_store_dsn)
    assert done.status == 0
    assert "1 file waits for postgresql://elsewhere.example/tracking as etl" in done.err
    assert "etlwatch spool replay --dsn" in done.err


def test_what_is_not_used_is_named_and_stops_nobody(etlwatch: Program, sqlite_store_dsn: str, tmp_path: Path) -> None:
    path = leave(sqlite_store_dsn)
    (tmp_path / "second name").hardlink_to(path)
    shown = etlwatch("spool", "status")
    assert shown.status == 0
    assert f"not used: {path}: has a second name (a hard link)" in shown.err
    assert etlwatch("spool", "replay", "--dsn", sqlite_store_dsn, str(path)).status == 1
    assert "must be your own" in etlwatch("spool", "replay", "--dsn", sqlite_store_dsn, str(path)).err
