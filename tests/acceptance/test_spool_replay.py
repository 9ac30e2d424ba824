"""Spools replayed by several processes that are killed anywhere: every event is stored once, nobody's is lost.

`python -m tests.acceptance.test_spool_replay DSN DIRECTORY [KILLS]` replays with as many kills as are asked for.
"""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.ledger import assert_nothing_lost
from tests.support.job import ROOT
from tests.support.peek import peek
from tests.tracking_core.sample_batches import end, raised, rows, start_of
from tracking_core import SimpleETLTracker
from tracking_core.config import resolve
from tracking_core.delivery.spool import DiskSpool
from tracking_core.events import Batch, LedgerEntry, RunStart
from tracking_core.identity import new_run_id
from tracking_core.requests import tally
from tracking_core.store import open_store

SINGLE = 1500
KEYED = 500
REPLAY = """
import os, signal, sys
from pathlib import Path
from tracking_core.config import resolve
from tracking_core.delivery.spool import DiskSpool
from tracking_core.store import open_store
dsn, directory, left, after = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "after"
writer = open_store(dsn).writer(30.0)

def write(batch):
    global left
    left -= 1
    if left == 0 and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    receipt = writer.write(batch)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return receipt

DiskSpool(resolve(dsn).label, (directory,)).replay(write)
"""


def started() -> RunStart:
    """Return a run that begins now."""
    return start_of(new_run_id(), started_us=time.time_ns() // 1000)


def leave(dsn: str, directory: Path, start: RunStart) -> None:
    """Leave a run in a spool as two dead processes would: single events of one, batches of the other, and a copy."""
    now_us = time.time_ns() // 1000
    made = [row._replace(at_us=now_us, page_offset=row.seq) for row in rows(SINGLE + KEYED, run_id=start.run_id)]
    spool = DiskSpool(resolve(dsn).label, (directory,))
    for row in made[:SINGLE]:
        single = Batch(writer_id=11, batch_seq=None, starts=(start,), requests=(row,), cells=tally((row,)))
        assert spool.take(single)
    error = raised(SINGLE + 1, run_id=start.run_id)
    ledger = (LedgerEntry(run_id=start.run_id, emitted=SINGLE + 1),)
    spool.take(
        Batch(
            writer_id=11,
            batch_seq=None,
            starts=(start,),
            errors=(error,),
            ends=(dataclasses.replace(end(start.run_id), ended_us=now_us),),
            ledger=ledger,
        )
    )
    spool.close()
    (path,) = directory.glob("*/*/*.spool")
    shutil.copy(path, path.with_name("copy.spool"))
    other = DiskSpool(resolve(dsn).label, (directory,))
    for seq, first in enumerate(range(SINGLE, SINGLE + KEYED, 100), start=1):
        part = made[first : first + 100]
        assert other.take(Batch(writer_id=12, batch_seq=seq, starts=(start,), requests=tuple(part), cells=tally(part)))
    other.close()


def replay_with_kills(dsn: str, directory: Path, kills: int, *, together: int = 3, seed: int = 1) -> None:
    """Replay by so many processes, some at a time, each killed at another write, before or after it is committed."""
    chance = random.Random(seed)
    for _ in range(0, kills, together):
        processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    REPLAY,
                    dsn,
                    str(directory),
                    str(chance.randint(1, 4)),
                    chance.choice(["after", ""]),
                ],
                cwd=ROOT,
            )
            for _ in range(together)
        ]
        assert all(process.wait(60) in (0, -signal.SIGKILL) for process in processes)


def replay_rest(dsn: str, directory: Path) -> None:
    """Replay what is left and assert that nothing is."""
    spool = DiskSpool(resolve(dsn).label, (directory,))
    with open_store(dsn).writer(30.0) as writer:
        outcome = spool.replay(writer.write)
    spool.close()
    assert (outcome.error, outcome.left, outcome.rejected, outcome.blocked) == ("", 0, 0, 0)
    assert list(directory.glob("*/*/*.spool")) == []


def assert_stored(dsn: str, directory: Path) -> None:
    """Assert that the run was stored exactly."""
    replay_rest(dsn, directory)
    assert_nothing_lost(dsn, SINGLE + KEYED)
    assert peek(dsn, "SELECT errors, emitted, status FROM tracking.runs") == [
        (1, SINGLE + 1 + SINGLE + KEYED, "completed")
    ]


@pytest.mark.timeout(120)
def test_processes_that_are_killed_while_they_replay_the_same_files_lose_and_double_nothing(
    store_dsn: str, tmp_path: Path
) -> None:
    leave(store_dsn, tmp_path, started())
    replay_with_kills(store_dsn, tmp_path, 6)
    assert_stored(store_dsn, tmp_path)


def test_events_of_a_removed_run_among_others_are_refused_and_the_others_stored(store_dsn: str, tmp_path: Path) -> None:
    gone, kept = started(), started()
    label = resolve(store_dsn).label
    with open_store(store_dsn).writer(30.0) as writer:
        ended = dataclasses.replace(end(gone.run_id), ended_us=time.time_ns() // 1000)
        writer.write(Batch(writer_id=1, batch_seq=1, starts=(gone,), ends=(ended,)))
    assert SimpleETLTracker(store_dsn).cleanup_old_runs(0) == 1
    spool = DiskSpool(label, (tmp_path,))
    for number in range(1, 101):
        for start in (gone, kept):
            (row,) = rows(1, run_id=start.run_id, first=number)
            assert spool.take(Batch(writer_id=2, batch_seq=None, starts=(start,), requests=(row,), cells=tally((row,))))
    with open_store(store_dsn).writer(30.0) as writer:
        outcome = spool.replay(writer.write)
    assert (outcome.sent, outcome.lost, outcome.own_sent, outcome.own_lost) == (100, 100, 100, 100)
    assert outcome.refused == {gone.run_id: "removed"}
    assert peek(store_dsn, "SELECT run_id, requests FROM tracking.runs") == [(kept.run_id, 100)]


if __name__ == "__main__":
    target, place, times = sys.argv[1], Path(sys.argv[2]), int((*sys.argv, "100")[3])
    open_store(target).initialize()
    leave(target, place, started())
    replay_with_kills(target, place, times, together=8, seed=os.getpid())
    assert_stored(target, place)
    sys.stdout.write(f"{times} replays killed: exact\n")
