"""Checks of a SQLite store's file: its journal and pages, who can read it, what it lies on, the room that is left."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from etlwatch.doctor.findings import Result, failed, ok, skipped, warning
from etlwatch.doctor.patient import Patient
from etlwatch.model.numbers import bytes_
from tracking_core.errors import StoreUnavailable

LEAST_FREE_BYTES = 1 << 30
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs",
    }
)  # fmt: skip
"""File systems of several machines, on which the write-ahead log's shared memory does not work."""


def _path(patient: Patient) -> Path:
    assert patient.location.path is not None
    return patient.location.path


def check_journal(patient: Patient) -> Result:
    """Say whether readers and a writer can work side by side."""
    with patient.file() as examiner:
        mode, library = examiner.journal_mode(), examiner.library()
    if mode != "wal":
        detail = "Readers and writers wait for each other until a job has written again."
        return warning(f"{mode}, SQLite {library}", detail)
    return ok(f"write-ahead log, SQLite {library}")


def check_integrity(patient: Patient) -> Result:
    """Read the whole file and see whether its pages make sense."""
    with patient.file() as examiner:
        try:
            said = examiner.quick_check()
        except StoreUnavailable:
            return skipped(f"not read through within {examiner.deadline:g} s")
    if said != "ok":
        detail = "Stop the jobs, keep the file and its -wal, and save what can be read with `sqlite3 FILE .recover`."
        return failed(" ".join(said.split()), detail)
    return ok("quick_check says ok")


def check_file(patient: Patient) -> Result:
    """Say who else can read the file or replace it."""
    path = _path(patient)
    return judge_modes(stat.S_IMODE(path.stat().st_mode), path.parent.stat().st_mode)


def judge_modes(file: int, directory: int) -> Result:
    """Judge the modes of the file and of the directory that holds it."""
    figure = f"mode {file:04o}"
    if directory & stat.S_IWOTH and not directory & stat.S_ISVTX:
        return warning(f"{figure}, directory open to all", "Anybody can put another file in its place: chmod o-w it.")
    if file & _OTHERS:
        return warning(figure, "Notes, errors and tracebacks of all jobs can be read by others: chmod 600 it.")
    return ok(figure)


def check_file_system(patient: Patient) -> Result:
    """Say what the file lies on and how much room is left."""
    path = _path(patient)
    from psutil import disk_partitions

    mounts = [(partition.mountpoint, partition.fstype) for partition in disk_partitions(all=True)]
    return judge_file_system(file_system_of(path.resolve(), mounts), shutil.disk_usage(path.parent).free)


def file_system_of(path: Path, mounts: Sequence[tuple[str, str]]) -> str:
    """Return the type of the file system that holds a path, '' when no mount point does."""
    kind, depth = "", -1
    for mountpoint, fstype in mounts:
        # Of two mounts on one point the later one is what is seen.
        if path.is_relative_to(mountpoint) and len(Path(mountpoint).parts) >= depth:
            kind, depth = fstype, len(Path(mountpoint).parts)
    return kind


def judge_file_system(kind: str, free: int) -> Result:
    """Judge a type of file system and the bytes that are free on it."""
    figure = f"{kind or 'unknown'}, {bytes_(free)} free"
    if kind in NETWORK:
        detail = "SQLite's locks and write-ahead log need a disk of this machine; several hosts need PostgreSQL."
        return warning(figure, detail, value=free, unit="bytes")
    if free < LEAST_FREE_BYTES:
        return warning(
            figure, "A full disk loses no run's totals, but the detail of what comes then.", value=free, unit="bytes"
        )
    return ok(figure, value=free, unit="bytes")
