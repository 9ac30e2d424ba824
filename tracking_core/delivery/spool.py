"""Where batches wait that a store did not take: append-only files, one a process, removed once all is committed.

    <spool directory>/<store>/<host>-<pid>-<random>.spool

Each line is `length checksum json`, so a torn tail is recognised and ignored. A process keeps a lock on its file for as
long as it lives; whoever gets the lock of another's file may replay it. Replaying twice is harmless: a batch has its
key, a single event its own. Files hold what was recorded and no credentials, and are readable by their owner alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tracking_core.config import make_private_directory
from tracking_core.delivery import wire
from tracking_core.delivery.base import Replay, events_in
from tracking_core.errors import RowRejected, StoreError
from tracking_core.events import Batch, Receipt
from tracking_core.identity import host_name
from tracking_core.locks import reentrant_lock

MOST_BYTES = 256 * 1024 * 1024
LEAST_FREE_SHARE = 0.05
LIFE_S = 30 * 86_400
"""Spools live 30 days; batch keys in the store 35, so a replay is recognised for as long as it is possible."""

_LOOK_EVERY_BYTES = 1024 * 1024
_SUFFIX = ".spool"
_REJECTED = ".rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFile:
    """One file that waits."""

    path: Path
    store: str
    """The label of the store that it is for."""

    bytes: int
    batches: int
    age_s: float
    in_use: bool
    """Whether the process that writes it still lives."""


class DiskSpool:
    """The spool of one store in this process."""

    def __init__(self, label: str, directories: tuple[Path, ...], *, most_bytes: int = MOST_BYTES) -> None:
        self._label = label
        self._directories = directories
        self._most_bytes = most_bytes
        # Guards the file, its length and the detached ones; held while writing a line, never while talking to a store.
        self._lock = reentrant_lock()
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._length = 0
        self._unchecked = _LOOK_EVERY_BYTES
        self._detached: list[tuple[int, Path]] = []

    @property
    def is_empty(self) -> bool:
        """Whether this process has nothing waiting; other processes' files are not looked for."""
        return self._descriptor is None and not self._detached

    def take(self, batch: Batch) -> bool:
        """Keep a batch until it can be replayed; False when it cannot be kept. Never raises."""
        try:
            line = _line(wire.encode(batch))
            with self._lock:
                return self._append(line)
        except (OSError, ValueError, TypeError):
            return False

    def replay(self, write: Callable[[Batch], Receipt], *, until: float | None = None, others: bool = True) -> Replay:
        """Send what waits, oldest first, until the store fails or the moment `until` of the monotonic clock.

        `write` stores one batch and raises StoreError when it cannot. Files of dead processes are taken along when
        `others` is set. A file is removed once all of it is committed.
        """
        outcome = Replay()
        with self._lock:
            if self._descriptor is not None and self._path is not None:
                self._detached.append((self._descriptor, self._path))
                self._descriptor, self._path, self._length = None, None, 0
            own, self._detached = self._detached, []
        try:
            while own:
                descriptor, path = own[0]
                if not _send_file(descriptor, path, write, until, outcome):
                    break
                own.pop(0)
        finally:
            with self._lock:
                self._detached = own + self._detached
        outcome.left += len(own)
        if others and not outcome.error and (until is None or time.monotonic() < until):
            self._replay_others(write, until, outcome)
        return outcome

    def close(self) -> None:
        """Let go of the files, so that another process may replay them."""
        with self._lock:
            descriptors = [descriptor for descriptor, _ in self._detached]
            if self._descriptor is not None:
                descriptors.append(self._descriptor)
            self._descriptor, self._path, self._length, self._detached = None, None, 0, []
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)

    def renew(self) -> None:
        """Forget the parent's files in a forked child; closing them here leaves the parent's lock alone."""
        self._lock = reentrant_lock()
        self.close()

    def _append(self, line: bytes) -> bool:
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None
        self._unchecked += len(line)
        if self._unchecked >= _LOOK_EVERY_BYTES:
            if not self._has_room():
                return False
            self._unchecked = 0
        try:
            _write_whole(self._descriptor, line)
        except OSError:
            # The disk is full: what was written of the line goes, the lines before it stay.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._length)
            raise
        self._length += len(line)
        return True

    def _open(self) -> None:
        fault: OSError | None = None
        for directory in self._directories:
            try:
                folder = make_private_directory(directory / store_key(self._label))
                _refuse_strangers(folder)
                path = folder / f"{host_name()}-{os.getpid()}-{os.urandom(4).hex()}{_SUFFIX}"
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
            except OSError as error:
                fault = error
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            header = _line(json.dumps({"format": 1, "store": self._label}).encode())
            _write_whole(descriptor, header)
            self._descriptor, self._path, self._length = descriptor, path, len(header)
            return
        raise fault or OSError("no directory for a spool")

    def _has_room(self) -> bool:
        assert self._path is not None
        free = os.statvfs(self._path.parent)
        if free.f_blocks and free.f_bavail / free.f_blocks < LEAST_FREE_SHARE:
            return False
        kept = sum(path.stat().st_size for path in self._path.parent.glob(f"*{_SUFFIX}"))
        return kept < self._most_bytes

    def _replay_others(self, write: Callable[[Batch], Receipt], until: float | None, outcome: Replay) -> None:
        for directory in self._directories:
            for path in sorted((directory / store_key(self._label)).glob(f"*{_SUFFIX}"), key=_modified):
                if outcome.error or (until is not None and time.monotonic() >= until):
                    outcome.left += 1
                    continue
                descriptor = _claim(path)
                if descriptor is None:
                    outcome.left += path.exists()
                    continue
                if time.time() - _modified(path) > LIFE_S:
                    outcome.expired += 1
                    path.unlink(missing_ok=True)
                    os.close(descriptor)
                elif not _send_file(descriptor, path, write, until, outcome):
                    outcome.left += 1
                    os.close(descriptor)


def store_key(label: str) -> str:
    """Return the directory name of a store's spools; the same for every user who names that store."""
    # Imported late: it loads the system's cryptography, for the name of a directory that most jobs never need.
    import hashlib

    return hashlib.sha256(re.sub(r" as \S+", "", label).encode()).hexdigest()[:16]


def waiting(directories: tuple[Path, ...]) -> list[SpoolFile]:
    """Return every file that waits in these directories, for any store."""
    found = []
    for directory in directories:
        for path in sorted(directory.glob(f"*/*{_SUFFIX}")):
            with suppress(OSError):
                found.append(_describe(path))
    return found


def _describe(path: Path) -> SpoolFile:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        lines = list(_lines(descriptor))
        store = str(json.loads(lines[0]).get("store", "")) if lines else ""
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    claimed = _claim(path)
    if claimed is not None:
        os.close(claimed)
    return SpoolFile(
        path=path,
        store=store,
        bytes=size,
        batches=max(len(lines) - 1, 0),
        age_s=max(time.time() - _modified(path), 0.0),
        in_use=claimed is None,
    )


def _line(content: bytes) -> bytes:
    return b"%d %08x %s\n" % (len(content), zlib.crc32(content), content)


def _lines(descriptor: int) -> Iterator[bytes]:
    """Yield the whole lines of a file; the first torn or damaged one ends it."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        for line in file:
            length, _, rest = line.partition(b" ")
            checksum, _, content = rest.partition(b" ")
            body = content[:-1]
            try:
                whole = content.endswith(b"\n") and len(body) == int(length) and zlib.crc32(body) == int(checksum, 16)
            except ValueError:
                whole = False
            if not whole:
                return
            yield body


def _send_file(
    descriptor: int, path: Path, write: Callable[[Batch], Receipt], until: float | None, outcome: Replay
) -> bool:
    """Send all of a file and remove it; False when it has to be tried again."""
    lines = _lines(descriptor)
    next(lines, None)
    for content in lines:
        if until is not None and time.monotonic() >= until:
            return False
        try:
            batch = wire.decode(content)
            receipt = write(batch)
        except (ValueError, RowRejected):
            outcome.rejected += 1
            _set_aside(path, content)
            continue
        except StoreError as error:
            outcome.error = str(error)
            return False
        outcome.batches += 1
        outcome.sent += events_in(batch)
        outcome.refused.update(receipt.refused)
    path.unlink(missing_ok=True)
    os.close(descriptor)
    return True


def _set_aside(path: Path, content: bytes) -> None:
    with suppress(OSError):
        descriptor = os.open(path.with_suffix(_REJECTED), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            _write_whole(descriptor, _line(content))
        finally:
            os.close(descriptor)


def _claim(path: Path) -> int | None:
    """Return a descriptor that holds the lock of a file, None when its process lives or the file is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _write_whole(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _refuse_strangers(folder: Path) -> None:
    """Raise PermissionError for a directory that is not this user's own: under /tmp anybody may have made it."""
    for place in (folder, folder.parent):
        found = place.lstat()
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
            raise PermissionError(f"{place} belongs to somebody else")
