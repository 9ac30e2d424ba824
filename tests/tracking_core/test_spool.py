"""The spool: what it keeps comes back exactly, whoever replays it, and nobody else may read or forge it."""

import dataclasses
import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.fake_store import FakeStore
from tests.tracking_core.sample_batches import OTHER_RUN, RUN, batch_of, end, raised, start_of
from tracking_core.delivery import spool, spool_file
from tracking_core.delivery import spool_codec as spool_codec
from tracking_core.delivery.spool import DiskSpool, replay_file
from tracking_core.delivery.spool_place import store_key
from tracking_core.delivery.store_link import StoreLink
from tracking_core.errors import RowBlocked, RowRejected, StoreUnavailable
from tracking_core.events import Batch, Receipt
from tracking_core.process.forks import begin_in_child
from tracking_core.requests import CellKey, Tally
from tracking_core.switch import TrackingSwitch

LABEL = "postgresql://db:5432/tracking as etl"
PROJECT = Path(__file__).resolve().parents[2]


class Sink:
    """A store that keeps what it is sent, until it fails."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.fault: Exception | None = None
        self.takes = 10**9
        self.refused: dict[int, str] = {}
        self.before: Callable[[], object] = lambda: None

    def write(self, batch: Batch) -> Receipt:
        """Store a batch."""
        self.before()
        if len(self.batches) >= self.takes:
            raise self.fault or StoreUnavailable("nobody answers")
        self.batches.append(batch)
        return Receipt(refused=self.refused)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


@pytest.fixture
def kept(directory: Path) -> Iterator[DiskSpool]:
    made = DiskSpool(LABEL, (directory,))
    yield made
    made.close()


def files(directory: Path, suffix: str = ".spool") -> list[Path]:
    return sorted(directory.glob(f"*/*/*{suffix}"))


def batches(count: int) -> list[Batch]:
    return [batch_of(2, batch_seq=seq, first=2 * seq) for seq in range(1, count + 1)]


def fill(place: DiskSpool, count: int) -> list[Batch]:
    """Keep so many batches and return them."""
    made = batches(count)
    assert all(place.take(batch) for batch in made)
    return made


def left_by_dead(directory: Path, count: int, label: str = LABEL) -> list[Batch]:
    """Return batches that wait in a file which nobody holds."""
    dead = DiskSpool(label, (directory,))
    made = fill(dead, count)
    dead.close()
    return made


def test_what_was_kept_comes_back_as_it_was_oldest_first(kept: DiskSpool, sink: Sink) -> None:
    single = batch_of(1, batch_seq=None, cells={}, starts=(start_of(),), errors=(raised(2),), ends=(end(),))
    made = [*fill(kept, 2), single]
    assert kept.take(made[2])
    outcome = kept.replay(sink.write)
    assert sink.batches == made
    assert (outcome.batches, outcome.sent, outcome.own_sent, outcome.error, outcome.left) == (3, 7, 7, "", 0)


def test_nothing_is_made_before_something_is_kept(kept: DiskSpool, directory: Path, sink: Sink) -> None:
    assert kept.is_empty
    kept.replay(sink.write)
    assert not directory.exists()


def test_a_file_is_removed_only_when_all_of_it_is_committed(kept: DiskSpool, directory: Path, sink: Sink) -> None:
    made = fill(kept, 3)
    sink.takes = 2
    outcome = kept.replay(sink.write)
    assert (outcome.sent, outcome.left, outcome.error) == (4, 1, "nobody answers")
    assert not kept.is_empty
    assert len(files(directory)) == 1
    sink.takes = 100
    assert kept.replay(sink.write).sent == 2
    assert sink.batches == made
    assert kept.is_empty
    assert list(directory.glob("*/*/*")) == []


def test_a_replay_goes_on_where_it_stopped_for_want_of_time(
    kept: DiskSpool, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(kept, 6)
    now = [100.0]
    monkeypatch.setattr(spool.time, "monotonic", lambda: now[0])
    sink.before = lambda: now.__setitem__(0, now[0] + 1.0)
    steps = []
    while not kept.is_empty:
        outcome = kept.replay(sink.write, until=now[0] + 2.0)
        steps.append((outcome.sent, outcome.unfinished))
    assert steps == [(4, True), (4, True), (4, False)]
    assert sink.batches == made


def test_another_process_goes_on_where_a_dead_one_stopped(directory: Path, sink: Sink) -> None:
    made = left_by_dead(directory, 5)
    first, second = DiskSpool(LABEL, (directory,)), DiskSpool(LABEL, (directory,))
    sink.takes = 3
    assert first.replay(sink.write).error
    first.close()
    sink.takes = 100
    assert second.replay(sink.write).sent == 4
    assert sink.batches == made
    assert list(directory.glob("*/*/*")) == []


def test_without_a_note_of_progress_all_is_sent_again_which_the_keys_make_harmless(directory: Path, sink: Sink) -> None:
    made = left_by_dead(directory, 3)
    (path,) = files(directory)
    path.with_suffix(".sent").write_text("torn")
    DiskSpool(LABEL, (directory,)).replay(sink.write)
    assert sink.batches == made


def test_what_is_kept_while_a_replay_is_under_way_stays_for_the_next_one(kept: DiskSpool, sink: Sink) -> None:
    fill(kept, 1)
    late = batch_of(1, batch_seq=9)
    sink.before = lambda: (setattr(sink, "before", lambda: None), kept.take(late))
    kept.replay(sink.write, others=False)
    assert not kept.is_empty
    kept.replay(sink.write)
    assert sink.batches[-1] == late
    assert kept.is_empty


def test_a_torn_tail_is_passed_over(directory: Path, sink: Sink) -> None:
    made = left_by_dead(directory, 3)
    (path,) = files(directory)
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    outcome = DiskSpool(LABEL, (directory,)).replay(sink.write)
    assert sink.batches == made[:2]
    assert outcome.rejected == 0
    assert files(directory) == []


@pytest.mark.parametrize("damage", [b"Z", b"\xff", b"0"])
def test_a_damaged_line_loses_nothing_but_itself(directory: Path, sink: Sink, damage: bytes) -> None:
    made = left_by_dead(directory, 3)
    (path,) = files(directory)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:40] + damage + lines[2][41:]
    path.write_bytes(b"".join(lines))
    outcome = DiskSpool(LABEL, (directory,)).replay(sink.write)
    assert sink.batches == [made[0], made[2]]
    assert outcome.rejected == 1


def test_a_damaged_header_loses_nothing(directory: Path, sink: Sink) -> None:
    made = left_by_dead(directory, 2)
    (path,) = files(directory)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([b"garbage\n", *lines[1:]]))
    DiskSpool(LABEL, (directory,)).replay(sink.write)
    assert sink.batches == made


@pytest.mark.parametrize("fault", [RowRejected("odd"), ValueError("odd"), TypeError("odd"), KeyError("odd")], ids=repr)
def test_what_the_store_rejects_for_its_values_is_set_aside_and_its_neighbours_go_on(
    kept: DiskSpool, directory: Path, fault: Exception
) -> None:
    made = fill(kept, 3)
    taken: list[Batch] = []

    def write(batch: Batch) -> Receipt:
        if any(row.seq == made[1].requests[0].seq for row in batch.requests):
            raise fault
        taken.append(batch)
        return Receipt()

    outcome = kept.replay(write)
    assert [batch for batch in taken if batch.batch_seq is not None] == [made[0], made[2]]
    assert (outcome.rejected, outcome.error) == (1, "")
    (aside,) = files(directory, ".rejected")
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    (line,) = aside.read_bytes().splitlines()
    assert spool_codec.decode(line.split(b" ", 2)[2]).requests[0] == made[1].requests[0]


def test_what_a_rule_stops_waits_in_a_file_of_its_own_until_it_is_taken(kept: DiskSpool, directory: Path) -> None:
    made = fill(kept, 3)
    stopped = made[1].requests[0].seq
    taken: set[int] = set()
    blocks = True

    def write(batch: Batch) -> Receipt:
        if blocks and any(row.seq == stopped for row in batch.requests):
            raise RowBlocked("a trigger")
        taken.update(row.seq for row in batch.requests)
        return Receipt()

    outcome = kept.replay(write, others=False)
    everything = {row.seq for batch in made for row in batch.requests}
    assert taken == everything - {stopped}
    assert (outcome.blocked, outcome.rejected, outcome.own_sent) == (1, 0, len(everything) - 1)
    assert kept.is_empty
    kept.replay(write, others=True)
    assert len(files(directory)) == 1
    kept.close()
    blocks = False
    (path,) = files(directory)
    assert replay_file(path, write).sent == 1
    assert taken == everything
    assert files(directory) == []


def test_a_file_that_is_replayed_by_hand_keeps_what_a_rule_stops(directory: Path) -> None:
    left_by_dead(directory, 2)
    (path,) = files(directory)

    def write(batch: Batch) -> Receipt:
        if batch.requests:
            raise RowBlocked("a trigger")
        return Receipt()

    assert replay_file(path, write).blocked > 0
    (left,) = files(directory)
    assert left != path
    outcome = DiskSpool(LABEL, (directory,)).replay(lambda _: Receipt())
    assert outcome.sent > 0
    assert files(directory) == []


def seqs(sink: Sink) -> list[int]:
    return sorted(row.seq for batch in sink.batches for row in batch.requests)


def test_single_events_are_sent_many_at_a_time_each_once(kept: DiskSpool, sink: Sink) -> None:
    for number in range(1, 2501):
        assert kept.take(batch_of(1, batch_seq=None, first=number))
        if number % 100 == 0:
            kept.take(batch_of(1, batch_seq=None, first=number))
            kept.take(dataclasses.replace(batch_of(1, batch_seq=None, first=number), writer_id=7))
    outcome = kept.replay(sink.write)
    assert [seqs(sink).count(number) for number in (1, 100, 101)] == [1, 2, 1]
    assert len(set(seqs(sink))) == 2500
    assert len(sink.batches) <= 6
    assert outcome.own_sent == 2525


@pytest.mark.parametrize("fault", [RowRejected("odd"), ValueError("odd"), KeyError("odd")], ids=repr)
def test_one_single_event_that_is_rejected_is_found_among_many(
    kept: DiskSpool, directory: Path, sink: Sink, fault: Exception
) -> None:
    for number in range(1, 501):
        kept.take(batch_of(1, batch_seq=None, first=number))

    def write(batch: Batch) -> Receipt:
        if any(row.seq == 150 for row in batch.requests):
            raise fault
        return sink.write(batch)

    outcome = kept.replay(write)
    assert seqs(sink) == [number for number in range(1, 501) if number != 150]
    assert (outcome.rejected, outcome.own_sent, outcome.own_lost, outcome.error) == (1, 499, 1, "")
    assert len(sink.batches) < 25
    assert files(directory) == []
    assert len(files(directory, ".rejected")) == 1


def test_what_a_failing_store_took_of_a_window_is_counted_once(kept: DiskSpool, sink: Sink) -> None:
    for writer in (1, 2):
        for number in range(1, 11):
            kept.take(dataclasses.replace(batch_of(1, batch_seq=None, first=number), writer_id=writer))
    sink.takes = 1
    assert kept.replay(sink.write).own_sent == 0
    sink.takes = 9
    assert kept.replay(sink.write).own_sent == 20


def test_events_of_refused_runs_are_lost_and_said_to_be(kept: DiskSpool, sink: Sink) -> None:
    sink.refused = {OTHER_RUN: "removed"}
    kept.take(batch_of(3))
    kept.take(batch_of(2, run_id=OTHER_RUN))
    outcome = kept.replay(sink.write)
    assert (outcome.sent, outcome.lost, outcome.own_lost) == (3, 2, 2)
    assert outcome.refused == {OTHER_RUN: "removed"}


# -- whose file it is --------------------------------------------------------------------------------------------------


def test_a_dead_process_s_file_is_replayed_by_another(directory: Path, sink: Sink) -> None:
    code = """
import os, sys
from pathlib import Path
from tests.tracking_core.sample_batches import batch_of
from tracking_core.delivery.spool import DiskSpool
spool = DiskSpool(sys.argv[1], (Path(sys.argv[2]),))
assert spool.take(batch_of(2)) and spool.take(batch_of(1, batch_seq=2))
os.kill(os.getpid(), 9)
"""
    died = subprocess.run([sys.executable, "-c", code, LABEL, str(directory)], cwd=PROJECT, check=False)
    assert died.returncode == -signal.SIGKILL
    outcome = DiskSpool(LABEL, (directory,)).replay(sink.write)
    assert (outcome.sent, outcome.own_sent) == (3, 0)
    assert sink.batches == [batch_of(2), batch_of(1, batch_seq=2)]
    assert files(directory) == []


def test_a_living_process_s_file_is_left_alone(directory: Path, sink: Sink) -> None:
    living, other = DiskSpool(LABEL, (directory,)), DiskSpool(LABEL, (directory,))
    fill(living, 1)
    outcome = other.replay(sink.write)
    assert (sink.batches, outcome.left) == ([], 1)
    living.close()
    assert other.replay(sink.write).sent == 2


def test_other_processes_files_are_left_alone_unless_asked_for(directory: Path, sink: Sink) -> None:
    left_by_dead(directory, 1)
    mine = DiskSpool(LABEL, (directory,))
    mine.replay(sink.write, others=False)
    assert sink.batches == []


def test_a_forked_child_leaves_its_parent_s_file_and_lock_alone(directory: Path, sink: Sink) -> None:
    parent = DiskSpool(LABEL, (directory,))
    fill(parent, 1)
    child = os.fork()
    if not child:
        good = parent.is_empty and parent.take(batch_of(1, batch_seq=7)) and len(files(directory)) == 2
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    outsider = DiskSpool(LABEL, (directory,))
    assert outsider.replay(sink.write).left == 1
    assert sink.batches == [batch_of(1, batch_seq=7)]


def test_a_file_that_is_being_made_is_not_taken_for_a_dead_process_s(
    directory: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, other = DiskSpool(LABEL, (directory,)), DiskSpool(LABEL, (directory,))
    flock, busy = fcntl.flock, [False]

    def meddled(descriptor: int, operation: int) -> None:
        if not busy[0]:
            busy[0] = True
            other.replay(sink.write)
            busy[0] = False
        flock(descriptor, operation)

    monkeypatch.setattr(spool_file.fcntl, "flock", meddled)
    fill(maker, 2)
    assert len(files(directory)) == 1
    monkeypatch.undo()
    maker.close()
    assert other.replay(sink.write).batches == 2


def test_only_spools_of_the_same_store_are_replayed(directory: Path, sink: Sink) -> None:
    left_by_dead(directory, 1, "postgresql://other:5432/tracking as etl")
    outcome = DiskSpool(LABEL, (directory,)).replay(sink.write)
    assert (sink.batches, outcome.left) == ([], 0)


SAME = [
    (LABEL, "postgresql://db:5432/tracking as another user"),
    (LABEL, "postgresql://db:5432/tracking"),
    (LABEL, "postgresql://DB/tracking"),
    ("postgresql://localhost/x", "postgresql://127.0.0.1:5432/x as me"),
    ("postgresql://[::1]:5433/x", "postgresql://localhost:5433/x"),
    ("postgresql://a,b:1/x", "postgresql://a:5432,b:1/x"),
    ("postgresql:///x as me (socket /run)", "postgresql:///x as you (socket /run)"),
    ("/data/./tracking.db", "/data/tracking.db"),
]
DIFFERENT = [
    (LABEL, "postgresql://db:5433/tracking as etl"),
    (LABEL, "postgresql://db:5432/other as etl"),
    ("postgresql:// (service a)", "postgresql:// (service b)"),
    ("postgresql://[::1]:5433/x", "postgresql://[::2]:5433/x"),
    ("/data/tracking.db", "/data/other.db"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_store_by_several_names_has_one_spool(one: str, other: str) -> None:
    assert store_key(one) == store_key(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_stores_have_different_spools(one: str, other: str) -> None:
    assert store_key(one) != store_key(other)


# -- who may read and write it -----------------------------------------------------------------------------------------


def test_files_and_directories_are_their_owner_s_alone(kept: DiskSpool, directory: Path) -> None:
    old = os.umask(0)
    try:
        fill(kept, 1)
    finally:
        os.umask(old)
    (path,) = files(directory)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, directory, directory.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_credentials_are_kept(directory: Path) -> None:
    from tracking_core.config import resolve

    location = resolve("postgresql://etl:correct-horse@db/tracking")
    place = DiskSpool(location.label, (directory,))
    fill(place, 1)
    (path,) = files(directory)
    assert b"correct-horse" not in path.read_bytes()
    assert json.loads(path.read_bytes().splitlines()[0].split(b" ", 2)[2])["store"] == location.label


# -- how much of it ----------------------------------------------------------------------------------------------------


def test_nothing_is_kept_beyond_the_cap_and_what_was_kept_stays(
    directory: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_LOOK_EVERY_BYTES", 1)
    place = DiskSpool(LABEL, (directory,), most_bytes=5_000)
    taken = [batch for batch in batches(200) if place.take(batch)]
    assert 1 < len(taken) < 100
    assert files(directory)[0].stat().st_size < 5_000 + 2_000
    assert not place.take(batch_of(1))
    place.replay(sink.write)
    assert sink.batches == taken
    assert place.take(batch_of(1))


def test_the_cap_holds_for_all_processes_together(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_LOOK_EVERY_BYTES", 1)
    one, other = (DiskSpool(LABEL, (directory,), most_bytes=5_000) for _ in range(2))
    while one.take(batch_of(2)):
        pass
    assert not other.take(batch_of(2))


def test_the_last_share_of_a_disk_is_left_free(kept: DiskSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [0.06]

    def statvfs(_path: object) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1000, 500, int(1000 * free[0]), 0, 0, 0, 0, 255))

    monkeypatch.setattr(spool.os, "statvfs", statvfs)
    monkeypatch.setattr(spool, "_LOOK_EVERY_BYTES", 1)
    assert kept.take(batch_of(1))
    free[0] = 0.04
    assert not kept.take(batch_of(1))


def test_a_full_disk_keeps_what_was_whole_and_says_no_to_the_rest(directory: Path, sink: Sink) -> None:
    code = """
import resource, sys
from pathlib import Path
from tests.tracking_core.sample_batches import batch_of
from tracking_core.delivery.spool import DiskSpool
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
spool = DiskSpool(sys.argv[1], (Path(sys.argv[2]),))
print([spool.take(batch_of(2, batch_seq=seq)) for seq in range(1, 9)])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(spool.take(batch_of(1, batch_seq=9)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, LABEL, str(directory)], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    answers, room_again = map(json.loads, ran.stdout.lower().splitlines())
    count = sum(answers)
    assert 1 < count < 8
    assert answers == [True] * count + [False] * (8 - count)
    assert room_again
    outcome = DiskSpool(LABEL, (directory,)).replay(sink.write)
    assert [batch.batch_seq for batch in sink.batches] == [*range(1, count + 1), 9]
    assert outcome.rejected == 0


def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_raised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = DiskSpool(LABEL, (tmp_path / "file" / "below",))
    assert not place.take(batch_of(1))
    assert not DiskSpool(LABEL, ()).take(batch_of(1))
    assert place.is_empty


def test_a_file_older_than_thirty_days_is_set_aside_unread(directory: Path, sink: Sink) -> None:
    left_by_dead(directory, 2)
    (path,) = files(directory)
    old = time.time() - 31 * 86_400
    os.utime(path, (old, old))
    outcome = DiskSpool(LABEL, (directory,)).replay(sink.write)
    assert (sink.batches, outcome.expired) == ([], 1)
    assert files(directory) == []
    assert spool_file.set_aside_in((directory,)) == files(directory, ".expired") != []


# -- in the midst of it ------------------------------------------------------------------------------------------------


def test_what_is_to_be_kept_in_the_midst_of_a_line_is_kept_after_it(
    kept: DiskSpool, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(kept, 1)
    inner = batch_of(1, batch_seq=50)
    write, waiting = os.write, [inner]

    def interrupted(descriptor: int, content: bytes) -> int:
        half = max(len(content) // 2, 1)
        written = write(descriptor, content[:half])
        while waiting:
            assert kept.take(waiting.pop())
        return written

    monkeypatch.setattr(spool_file.os, "write", interrupted)
    outer = batch_of(2, batch_seq=51)
    assert kept.take(outer)
    monkeypatch.undo()
    kept.replay(sink.write)
    assert sink.batches[1:] == [outer, inner]


def test_ctrl_c_in_the_midst_of_a_line_tears_no_other(
    kept: DiskSpool, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(kept, 1)
    write = os.write

    def interrupted(descriptor: int, content: bytes) -> int:
        write(descriptor, content[:30])
        raise KeyboardInterrupt

    monkeypatch.setattr(spool_file.os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kept.take(batch_of(2, batch_seq=51))
    monkeypatch.undo()
    last = batch_of(1, batch_seq=52)
    assert kept.take(last)
    assert kept.replay(sink.write).rejected == 0
    assert sink.batches == [*made, last]


def test_threads_keep_and_replay_without_loss(kept: DiskSpool, sink: Sink) -> None:
    def keep(first: int) -> None:
        for seq in range(first, first + 50):
            assert kept.take(batch_of(1, batch_seq=seq))

    threads = [threading.Thread(target=keep, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        kept.replay(sink.write)
    kept.replay(sink.write)
    assert len(sink.batches) == 200
    assert {batch.batch_seq for batch in sink.batches} == {1000 * n + k for n in range(4) for k in range(50)}


# -- what a person sees ------------------------------------------------------------------------------------------------


def test_waiting_files_are_described(directory: Path, kept: DiskSpool, sink: Sink) -> None:
    left_by_dead(directory, 3)
    other = DiskSpool(LABEL, (directory,))
    sink.takes = 1
    other.replay(sink.write)
    other.close()
    fill(kept, 2)
    dead, living = sorted(spool_file.waiting((directory,)), key=lambda file: file.in_use)
    assert (dead.store, dead.batches, dead.in_use, dead.rejected) == (LABEL, 2, False, 0)
    assert (living.batches, living.in_use) == (2, True)
    assert living.bytes == living.path.stat().st_size
    assert 0 <= living.age_s < 3600
    assert spool_file.waiting((directory / "nowhere",)) == []


def test_progress_beyond_the_file_or_within_a_line_is_not_trusted(directory: Path, sink: Sink) -> None:
    for wrong in (b"999999999", b"-5", b"3", b"9" * 30, b"", b"0x10", b"\xff", b"1" * 1_000_000):
        made = left_by_dead(directory, 3)
        (path,) = files(directory)
        path.with_suffix(".sent").write_bytes(wrong)
        assert spool_file.waiting((directory,))[0].batches == 3
        DiskSpool(LABEL, (directory,)).replay(sink.write)
        assert sink.batches == made, wrong
        sink.batches.clear()


def test_a_spool_file_that_was_removed_or_closed_is_written_to_no_longer(
    directory: Path, tmp_path: Path, sink: Sink
) -> None:
    place = DiskSpool(LABEL, (directory,))
    fill(place, 1)
    files(directory)[0].unlink()
    assert place.take(batch_of(1, batch_seq=2))
    # As a program does that becomes a daemon: the number of our descriptor is another file's then.
    descriptor = place._descriptor
    assert descriptor is not None
    other = os.open(tmp_path / "the job's own", os.O_CREAT | os.O_RDWR)
    os.dup2(other, descriptor)
    assert place.take(batch_of(1, batch_seq=3))
    os.close(descriptor)
    assert place.take(batch_of(1, batch_seq=4))
    assert (tmp_path / "the job's own").read_bytes() == b""
    place.replay(sink.write)
    assert sorted(batch.batch_seq or 0 for batch in sink.batches) == [1, 2, 3, 4]


def test_one_file_can_be_sent_to_whatever_store(directory: Path, sink: Sink) -> None:
    made = left_by_dead(directory, 2, "postgresql://renamed/tracking")
    (path,) = files(directory)
    sink.takes = 1
    assert spool.replay_file(path, sink.write).left == 1
    sink.takes = 9
    assert spool.replay_file(path, sink.write).sent == 2
    assert sink.batches == made
    assert spool.replay_file(path, sink.write).left == 1


def test_a_spool_is_made_at_need_and_once(directory: Path) -> None:
    made: list[DiskSpool] = []
    meeting = threading.Barrier(2)

    def make() -> DiskSpool:
        # Two makers would meet here.
        with suppress(threading.BrokenBarrierError):
            meeting.wait(0.2)
        made.append(DiskSpool(LABEL, (directory,)))
        return made[-1]

    link = StoreLink(FakeStore, deadline=1, switch=TrackingSwitch({}), make_spool=make)  # type: ignore[arg-type]
    link.close_spool()
    begin_in_child()
    assert link.spool_is_empty
    assert made == []
    threads = [threading.Thread(target=lambda: link.spool.take(batch_of(1, batch_seq=1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert not link.spool_is_empty
    link.close_spool()


def light(cells: int, **parts: object) -> Batch:
    """Return a batch of sums without requests."""
    return batch_of(0, cells={CellKey(RUN, f"/{n}", n * 10): Tally(requests=1) for n in range(cells)}, **parts)


def test_requests_leave_a_reserve_to_sums_errors_and_ends(
    kept: DiskSpool, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statvfs(_descriptor: int) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1000, 500, 20, 0, 0, 0, 0, 255))

    monkeypatch.setattr(spool.os, "fstatvfs", statvfs)
    assert not kept.take(batch_of(1))
    whole = [light(3), batch_of(0, batch_seq=None, errors=(raised(1),)), batch_of(0, batch_seq=None, ends=(end(),))]
    assert all(kept.take(batch) for batch in whole)
    monkeypatch.setattr(spool, "BEYOND_BYTES", 0)
    assert not kept.take(light(3))
    monkeypatch.undo()
    assert kept.take(batch_of(1))
    kept.replay(sink.write)
    assert [events.errors + events.ends for events in sink.batches[:2]] == [(), (raised(1), end())]


def test_sums_are_kept_by_fewer_cells_where_there_is_no_room_for_all(
    kept: DiskSpool, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = spool_file.write_whole

    def small(descriptor: int, content: bytes) -> None:
        if len(content) > 5_000:
            os.write(descriptor, content[:100])
            raise OSError(28, "No space left on device")
        write(descriptor, content)

    monkeypatch.setattr(spool_file, "write_whole", small)
    long = dataclasses.replace(raised(1), message="x" * 50_000, traceback="y" * 50_000)
    assert kept.take(light(3000, errors=(long,)))
    monkeypatch.undo()
    outcome = kept.replay(sink.write)
    (batch,) = sink.batches
    assert sum(cell.requests for cell in batch.cells.values()) == 3000
    assert (len(batch.errors), outcome.rejected) == (1, 0)
