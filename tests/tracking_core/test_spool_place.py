"""Whose spools are read and written: this user's own regular files in this user's own directories, and no others."""

import multiprocessing
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tracking_core.sample_batches import batch_of
from tests.tracking_core.test_spool import LABEL, Sink, files, left_by_dead
from tracking_core.delivery import spool, spool_file, spool_place
from tracking_core.delivery.spool import DiskSpool, replay_file
from tracking_core.delivery.spool_place import Folder, own_name, store_key

STRANGER = 4321
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of somebody else")
KEY = store_key(LABEL)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A directory that everybody may write to, as a volume that several containers share."""
    made = tmp_path / "volume"
    made.mkdir()
    made.chmod(0o777)
    return made


@pytest.fixture
def own(base: Path) -> Path:
    return base / own_name()


def attempt(base: Path) -> tuple[bool, list[int | None]]:
    """Keep a batch and send what waits; return whether it was kept, and what was sent."""
    sink, place = Sink(), DiskSpool(LABEL, (base,))
    kept = place.take(batch_of(1, batch_seq=77))
    place.replay(sink.write, until=time.monotonic() + 5)
    place.close()
    return kept, [batch.batch_seq for batch in sink.batches]


def forge(base: Path) -> Path:
    """Leave a batch, as another user would to have it sent as this user's; return its file."""
    left_by_dead(base, 1)
    (path,) = files(base)
    return path


def test_everything_below_the_given_directory_is_the_owner_s_alone(base: Path, own: Path) -> None:
    left_by_dead(base, 1)
    (path,) = files(base)
    assert path.parent.parent == own
    assert [stat.S_IMODE(each.stat().st_mode) for each in (own, path.parent, path)] == [0o700, 0o700, 0o600]
    assert stat.S_IMODE(base.stat().st_mode) == 0o777


@AS_ROOT
@pytest.mark.parametrize("levels", [1, 2])
def test_a_directory_of_another_user_is_neither_read_nor_written(base: Path, tmp_path: Path, levels: int) -> None:
    path = forge(base)
    os.chown(path.parents[levels - 1], STRANGER, STRANGER)
    assert attempt(base) == (False, [])
    (unused,) = spool_file.waiting((base,))
    assert "belongs to user 4321" in unused.fault
    second = DiskSpool(LABEL, (base, tmp_path / "second"))
    assert second.take(batch_of(1))
    assert len(files(tmp_path / "second")) == 1
    second.close()


@AS_ROOT
def test_a_file_of_another_user_is_not_read_by_root_either(base: Path) -> None:
    path = forge(base)
    os.chown(path, STRANGER, STRANGER)
    assert attempt(base) == (True, [77])
    assert "belongs to user 4321" in spool_file.waiting((base,))[0].fault
    with pytest.raises(PermissionError, match="belongs to user"):
        replay_file(path, Sink().write)
    assert path.exists()


@pytest.mark.parametrize("level", [1, 2])
def test_a_link_below_the_given_directory_is_not_followed(base: Path, own: Path, tmp_path: Path, level: int) -> None:
    elsewhere = tmp_path / "elsewhere"
    forge(elsewhere)
    target = elsewhere / own_name()
    if level == 2:
        own.mkdir(0o700)
        (own / KEY).symlink_to(target / KEY)
    else:
        own.symlink_to(target)
    assert attempt(base) == (False, [])


def test_a_link_in_place_of_a_file_is_not_followed(base: Path, tmp_path: Path) -> None:
    path = forge(base)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert attempt(base) == (True, [77])
    assert (tmp_path / "elsewhere").exists()


def test_links_of_this_user_in_the_parents_are_followed(base: Path, tmp_path: Path) -> None:
    (tmp_path / "absolute").symlink_to(base)
    (tmp_path / "relative").symlink_to("absolute/../volume/below")
    assert attempt(tmp_path / "relative") == (True, [77])
    assert attempt(tmp_path / "absolute" / "deep" / "deeper") == (True, [77])
    (tmp_path / "round").symlink_to("round")
    assert attempt(tmp_path / "round") == (False, [])


@AS_ROOT
def test_links_of_another_user_in_the_parents_are_not_followed(base: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(base)
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
    assert attempt(link / "below") == (False, [])


def test_a_file_with_a_second_name_is_not_used(base: Path, tmp_path: Path) -> None:
    path = forge(base)
    os.link(path, tmp_path / "second name")
    assert attempt(base) == (True, [77])
    assert path.exists()
    assert "hard link" in spool_file.waiting((base,))[0].fault


@pytest.mark.parametrize("suffix", [".sent", ".rejected"])
@pytest.mark.parametrize("kind", ["link", "hard link", "fifo"])
def test_what_is_written_beside_a_file_changes_no_other_file(
    base: Path, tmp_path: Path, suffix: str, kind: str
) -> None:
    path, secret = forge(base), tmp_path / "secret"
    secret.write_text("untouched")
    beside = path.with_suffix(suffix)
    {"link": beside.symlink_to, "hard link": beside.hardlink_to, "fifo": lambda _: os.mkfifo(beside)}[kind](secret)
    entry = spool_place.Entry.at(path)
    spool_file.save_progress(entry, 5)
    spool_file.set_aside(entry, b"line")
    assert secret.read_text() == "untouched"


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 40 << 30)


TRAPS: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "socket": _socket,
    "directory": Path.mkdir,
    "endless line": _sparse,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("trap", TRAPS)
def test_nothing_that_lies_there_makes_anybody_wait(base: Path, trap: str) -> None:
    path = forge(base)
    path.unlink()
    TRAPS[trap](path)
    TRAPS[trap](path.with_suffix(".sent"))
    assert attempt(base) == (True, [77])
    (unused,) = spool_file.waiting((base,))
    assert unused.fault


@AS_ROOT
def test_a_device_is_not_read(base: Path) -> None:
    path = forge(base)
    path.unlink()
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    assert attempt(base) == (True, [77])


def test_a_line_without_an_end_is_read_in_parts_and_given_up_at_the_deadline(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = forge(base)
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * 3000 + b"\n" + content.splitlines(keepends=True)[1])
    monkeypatch.setattr(spool_file, "LONGEST_LINE", 1000)
    sink = Sink()
    outcome = DiskSpool(LABEL, (base,)).replay(sink.write)
    assert (len(sink.batches), outcome.rejected, outcome.error) == (2, 1, "")
    path = forge(base)
    path.write_bytes(b"\0" * 100_000)
    times = iter(range(1_000_000))
    monkeypatch.setattr(spool.time, "monotonic", lambda: next(times))
    outcome = DiskSpool(LABEL, (base,)).replay(sink.write, until=20)
    assert (outcome.unfinished, outcome.left) == (True, 1)


def test_a_directory_of_one_s_own_that_others_may_enter_is_closed_to_them_first(base: Path, own: Path) -> None:
    forge(base)
    # As Kubernetes leaves a volume with a group of its own.
    for folder in (own, own / KEY):
        folder.chmod(0o2777)
    kept, sent = attempt(base)
    assert (kept, sorted(sent, key=str)) == (True, [1, 77])
    assert [stat.S_IMODE(folder.stat().st_mode) & 0o777 for folder in (own, own / KEY)] == [0o700, 0o700]


def test_what_version_0_1_0_left_is_sent_where_nobody_else_can_write(tmp_path: Path) -> None:
    old, new = tmp_path / "state" / "spool", tmp_path / "made"
    path = forge(new)
    old.mkdir(parents=True, mode=0o700)
    path.parent.rename(old / KEY)
    beside = old / "other"
    beside.mkdir(mode=0o755)
    assert [file.batches for file in spool_file.waiting((old,))] == [1]
    old.chmod(0o777)
    assert attempt(old)[1] == [77]
    old.chmod(0o755)
    assert sorted(attempt(old)[1], key=str) == [1, 77]
    # Looking into a directory that is only given changes nothing of what else lies there.
    assert stat.S_IMODE(beside.stat().st_mode) == 0o755


def test_a_directory_that_disappears_or_is_exchanged_raises_nothing(base: Path, own: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    trap = tmp_path / "trap"
    trap.mkdir()

    def meddle() -> None:
        while not stop.is_set():
            for change in (lambda: own.rename(tmp_path / "away"), lambda: own.symlink_to(trap), own.unlink):
                try:
                    change()
                except OSError:
                    continue

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        for _ in range(100):
            attempt(base)
            spool_file.waiting((base,))
    finally:
        stop.set()
        thread.join()
    assert list(trap.iterdir()) == []


def test_a_file_that_is_exchanged_while_it_is_opened_is_read_only_if_it_is_one_s_own(base: Path) -> None:
    path = forge(base)
    with Folder(base, (own_name(), KEY)).opened() as directory:
        path.rename(path.with_suffix(".kept"))
        os.mkfifo(path)
        with pytest.raises(PermissionError, match="not a regular file"):
            spool_place.open_own_file(directory, path.name, os.O_RDWR)


def _as_stranger(base: Path, answers: "multiprocessing.SimpleQueue[object]") -> None:
    os.setgroups([])
    os.setgid(STRANGER)
    os.setuid(STRANGER)
    trap = base / "etlwatch-spool-0"
    try:
        trap.mkdir(mode=0o777)
        (trap / KEY).mkdir(mode=0o777)
        os.mkfifo(trap / KEY / "a.spool")
    except OSError as error:
        answers.put(error)
    answers.put(attempt(base))


@AS_ROOT
@pytest.mark.parametrize("first", ["stranger", "owner"])
def test_two_users_of_one_directory_do_not_meet(base: Path, first: str) -> None:
    for folder in base.parents[:4]:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.SimpleQueue[object] = context.SimpleQueue()
    if first == "owner":
        forge(base)
    process = context.Process(target=_as_stranger, args=(base, answers))
    process.start()
    process.join(30)
    found = answers.get()
    if first == "owner":
        assert isinstance(found, OSError)
        found = answers.get()
    assert found == (True, [77])
    # The trap of the other user costs root its place there, and nothing else.
    assert attempt(base)[0] is (first == "owner")
