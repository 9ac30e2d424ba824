"""Checks of the spool: whether it would take what a store does not, and what waits in it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from etlwatch.doctor import probe
from etlwatch.doctor.findings import Result, failed, ok, warning
from etlwatch.doctor.patient import Patient
from etlwatch.doctor.probe import Probe
from etlwatch.model.numbers import bytes_, share, span
from tracking_core import identity
from tracking_core.config import spool_directories
from tracking_core.delivery.spool import LEAST_FREE_SHARE, DiskSpool, store_key
from tracking_core.delivery.spool_file import SpoolFile, waiting
from tracking_core.delivery.spool_place import folder_for, own_name
from tracking_core.events import Batch, Receipt
from tracking_core.store.examining import PROBE_ERA_S

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_spool(patient: Patient) -> Result:
    """Put a batch into the spool and take it out again; only look at its place with `--read-only`."""
    directories = spool_directories(patient.environ)
    if not patient.read_only:
        fault = _try_spool(directories)
        if fault:
            return failed(fault, f"Tried {' and '.join(map(str, directories))}: what the store misses is lost.")
    places = [directory / own_name() for directory in directories]
    place = next((place for place in places if place.is_dir()), None)
    if place is None:
        nearest = next((parent for parent in (places or [Path("/")])[0].parents if parent.exists()), Path("/"))
        return judge_spool(nearest, 0o700, shutil.disk_usage(nearest), writable=os.access(nearest, os.W_OK))
    mode = stat.S_IMODE(place.stat().st_mode)
    return judge_spool(place, mode, shutil.disk_usage(place), writable=os.access(place, os.W_OK))


def _try_spool(directories: tuple[Path, ...]) -> str:
    """Return what goes wrong with a batch that is spooled and replayed, '' when nothing does; leaves nothing."""
    label = f"etlwatch-doctor {os.urandom(8).hex()}"
    made = [folder_for(directory, store_key(label)).path for directory in directories]
    absent = [folder for place in made for folder in place.parents if not folder.exists()]
    spool = DiskSpool(label, directories)
    batch = probe.batch_of(Probe(identity.new_run_id(), PROBE_ERA_S[0]), 1, 1, range(1, 3), begins=True)
    replayed: list[Batch] = []

    def write(again: Batch) -> Receipt:
        replayed.append(again)
        return Receipt()

    try:
        if not spool.take(batch):
            return "it takes nothing"
        file = next(path for folder in made for path in folder.glob("*"))
        if stat.S_IMODE(file.stat().st_mode) & _OTHERS or stat.S_IMODE(file.parent.stat().st_mode) & _OTHERS:
            return "others can read what waits in it"
        spool.replay(write, others=False)
        return "" if replayed == [batch] else "it does not give back what it took"
    finally:
        spool.close()
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in sorted(absent, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                folder.rmdir()


def judge_spool(place: Path, mode: int, disk: tuple[int, int, int], *, writable: bool) -> Result:
    """Judge the directory of the spool, its mode and its disk (total, used, free in bytes)."""
    total, _, free = disk
    left = free / total if total else 1.0
    figure = f"{bytes_(free)} ({share(left)}) free at {place}"
    if not writable:
        return failed(f"{place} cannot be written", "What the store misses is lost; TRACKING_SPOOL_DIR names another.")
    if left < LEAST_FREE_SHARE:
        detail = f"With less than {share(LEAST_FREE_SHARE)} of the disk free nothing is spooled."
        return warning(figure, detail, value=free, unit="bytes")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return warning(
            f"{place} has mode {mode:04o}", "Others can put files there: chmod 700 it.", value=free, unit="bytes"
        )
    return ok(figure, value=free, unit="bytes")


def check_spooled(patient: Patient) -> Result:
    """Say what waits in the spool, for this store and for others."""
    return judge_spooled(waiting(spool_directories(patient.environ)), patient.location.label)


def judge_spooled(files: Sequence[SpoolFile], label: str) -> Result:
    """Judge the files that wait; `label`: of the store under examination."""
    here = [file for file in files if file.store and store_key(file.store) == store_key(label)]
    dead = [file for file in here if not file.in_use and file.batches]
    rejected = sum(file.rejected for file in here)
    batches = sum(file.batches for file in here)
    elsewhere = sum(file.batches for file in files) - batches
    others = f", {elsewhere:,} for other stores" if elsewhere else ""
    figure = f"{batches:,} batches wait{others}" if batches or elsewhere else "nothing waits"
    if dead:
        oldest = span(max(file.age_s for file in dead))
        left = f"Left by {len(dead)} dead processes up to {oldest} ago"
        detail = f"{left}; the next job sends them, or `etlwatch spool replay`."
        return warning(figure, detail, value=batches, unit="batches")
    if rejected:
        detail = "Batches that nobody would have are kept beside them, in `.rejected` files."
        return warning(f"{figure}, {rejected:,} rejected", detail, value=batches, unit="batches")
    unused = [file for file in files if file.fault]
    if unused:
        detail = f"{unused[0].path} is not used: {unused[0].fault}."
        return warning(f"{figure}, {len(unused)} not used", detail, value=batches, unit="batches")
    return ok(figure, value=batches, unit="batches")


def check_spooled_or_skip(patient: Patient) -> Result:
    """Say what waits, where there is a spool to look into."""
    if not any(directory.is_dir() for directory in spool_directories(patient.environ)):
        return ok("nothing waits", value=0, unit="batches")
    return check_spooled(patient)
