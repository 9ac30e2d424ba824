"""Checks of this machine's disk: the file of a SQLite store and the spool directory."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from etlwatch.doctor import probe
from etlwatch.doctor.target import Result, Target, failed, ok, skipped, warning
from etlwatch.text.numbers import bytes_, number_of, share, span
from tracking_core.config import spool_directories
from tracking_core.delivery.spool import LEAST_FREE_SHARE, DiskSpool
from tracking_core.delivery.spool_file import SpoolFile, waiting
from tracking_core.delivery.spool_place import folder_for, own_name, store_key
from tracking_core.errors import StoreUnavailable
from tracking_core.events import Batch, Receipt

LEAST_FREE_BYTES = 1 << 30
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs",
    }
)  # fmt: skip
"""File systems of several machines, on which the write-ahead log's shared memory does not work."""


def _path(target: Target) -> Path:
    assert target.location.path is not None
    return target.location.path


def check_journal(target: Target) -> Result:
    """Check that the write-ahead log is on, so that readers and a writer do not wait for each other."""
    with target.file() as examiner:
        mode, library = examiner.journal_mode(), examiner.library()
    if mode != "wal":
        return warning(f"{mode}, SQLite {library}", "Readers and writers wait for each other until a job writes again.")
    return ok(f"write-ahead log, SQLite {library}")


def check_integrity(target: Target) -> Result:
    """Read the whole file and check its pages."""
    with target.file() as examiner:
        try:
            found = examiner.quick_check()
        except StoreUnavailable:
            return skipped(f"not finished within {examiner.deadline:g} s")
    if found != "ok":
        detail = "Stop the jobs, keep the file and its -wal, and save what can be read with `sqlite3 FILE .recover`."
        return failed(" ".join(found.split()), detail)
    return ok("quick_check found no damage")


def check_file_mode(target: Target) -> Result:
    """Check who else can read the file or replace it."""
    path = _path(target)
    return evaluate_modes(stat.S_IMODE(path.stat().st_mode), path.parent.stat().st_mode)


def evaluate_modes(file: int, directory: int) -> Result:
    """Evaluate the modes of the file and of its directory."""
    figure = f"mode {file:04o}"
    if directory & stat.S_IWOTH and not directory & stat.S_ISVTX:
        return warning(f"{figure}, directory open to all", "Anybody can replace the file: chmod o-w the directory.")
    if file & _OTHERS:
        return warning(figure, "Others can read the notes, errors and tracebacks of all jobs: chmod 600 it.")
    return ok(figure)


def check_file_system(target: Target) -> Result:
    """Check the file's file system and the free space on it."""
    from psutil import disk_partitions

    path = _path(target)
    mounts = [(partition.mountpoint, partition.fstype) for partition in disk_partitions(all=True)]
    return evaluate_file_system(file_system_of(path.resolve(), mounts), shutil.disk_usage(path.parent).free)


def file_system_of(path: Path, mounts: Sequence[tuple[str, str]]) -> str:
    """Return the type of the file system that holds a path, '' when no mount point does."""
    kind, depth = "", -1
    for mountpoint, fstype in mounts:
        # Of two mounts on one point the later one is visible.
        if path.is_relative_to(mountpoint) and len(Path(mountpoint).parts) >= depth:
            kind, depth = fstype, len(Path(mountpoint).parts)
    return kind


def evaluate_file_system(kind: str, free: int) -> Result:
    """Evaluate a type of file system and the free bytes on it."""
    figure = f"{kind or 'unknown'}, {bytes_(free)} free"
    detail = ""
    if kind in NETWORK:
        detail = "SQLite's locks and write-ahead log need a local disk; several hosts need PostgreSQL."
    elif free < LEAST_FREE_BYTES:
        detail = "On a full disk the totals of runs stay exact, but further detail is lost."
    return warning(figure, detail, value=free, unit="bytes") if detail else ok(figure, value=free, unit="bytes")


def check_spool(target: Target) -> Result:
    """Write a batch to the spool and replay it; with `--read-only`, only look at its directory."""
    directories = spool_directories(target.environ)
    if not target.read_only:
        fault = _try_spool(directories)
        if fault:
            return failed(fault, f"Tried {' and '.join(map(str, directories))}: what the store misses is lost.")
    places = [directory / own_name() for directory in directories]
    place = next((place for place in places if place.is_dir()), None)
    if place is None:
        nearest = next((parent for parent in (places or [Path("/")])[0].parents if parent.exists()), Path("/"))
        return evaluate_spool(nearest, 0o700, shutil.disk_usage(nearest), writable=os.access(nearest, os.W_OK))
    mode = stat.S_IMODE(place.stat().st_mode)
    return evaluate_spool(place, mode, shutil.disk_usage(place), writable=os.access(place, os.W_OK))


def _try_spool(directories: tuple[Path, ...]) -> str:
    """Return what fails when a batch is spooled and replayed, '' when nothing does; leave no files."""
    label = f"etlwatch-doctor {os.urandom(8).hex()}"
    made = [folder_for(directory, store_key(label)).path for directory in directories]
    absent = [folder for place in made for folder in place.parents if not folder.exists()]
    spool = DiskSpool(label, directories)
    batch = probe.batch_of(probe.unstored_probe(), 1, 1, range(1, 3), begins=True)
    replayed: list[Batch] = []

    def write(again: Batch) -> Receipt:
        replayed.append(again)
        return Receipt()

    try:
        if not spool.take(batch):
            return "it accepts nothing"
        file = next(path for folder in made for path in folder.glob("*"))
        if stat.S_IMODE(file.stat().st_mode) & _OTHERS or stat.S_IMODE(file.parent.stat().st_mode) & _OTHERS:
            return "others can read its files"
        spool.replay(write, others=False)
        return "" if replayed == [batch] else "it does not return what it stored"
    finally:
        spool.close()
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in sorted(absent, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()


def evaluate_spool(place: Path, mode: int, disk: tuple[int, int, int], *, writable: bool) -> Result:
    """Evaluate the spool directory, its mode and its disk (total, used, free in bytes)."""
    total, _, free = disk
    left = free / total if total else 1.0
    if not writable:
        return failed(f"{place} cannot be written", "What the store misses is lost; TRACKING_SPOOL_DIR sets another.")
    figure = f"{bytes_(free)} ({share(left)}) free at {place}"
    detail = ""
    if left < LEAST_FREE_SHARE:
        detail = f"With less than {share(LEAST_FREE_SHARE)} of the disk free nothing is spooled."
    elif mode & (stat.S_IWGRP | stat.S_IWOTH):
        figure, detail = f"{place} has mode {mode:04o}", "Others can put files there: chmod 700 it."
    return warning(figure, detail, value=free, unit="bytes") if detail else ok(figure, value=free, unit="bytes")


def check_spooled(target: Target) -> Result:
    """Count what waits in the spool, for this store and for others."""
    directories = spool_directories(target.environ)
    files = waiting(directories) if any(directory.is_dir() for directory in directories) else ()
    return evaluate_spooled(files, target.location.label)


def evaluate_spooled(files: Sequence[SpoolFile], label: str) -> Result:
    """Evaluate the waiting spool files; `label` names the store under test."""
    here = [file for file in files if file.store and store_key(file.store) == store_key(label)]
    dead = [file for file in here if not file.in_use and file.batches]
    rejected = sum(file.rejected for file in here)
    batches = sum(file.batches for file in here)
    elsewhere = sum(file.batches for file in files) - batches
    unused = [file for file in files if file.fault]
    others = f", {elsewhere:,} for other stores" if elsewhere else ""
    figure = (
        f"{number_of(batches, 'batch')} {'waits' if batches == 1 else 'wait'}{others}"
        if batches or elsewhere
        else "nothing waits"
    )
    detail = ""
    if dead:
        oldest = span(max(file.age_s for file in dead))
        detail = f"Left by {len(dead)} dead processes up to {oldest} ago; the next job or `etlwatch spool replay` "
        detail += "sends them."
    elif rejected:
        figure = f"{figure}, {rejected:,} rejected"
        detail = "Batches that the store rejected are kept in `.rejected` files beside the others."
    elif unused:
        figure, detail = f"{figure}, {len(unused)} not used", f"{unused[0].path} is not used: {unused[0].fault}."
    return (
        warning(figure, detail, value=batches, unit="batches") if detail else ok(figure, value=batches, unit="batches")
    )
