"""One file of a spool: how it is laid out, locked, read and set aside.

    NAME.spool      lines of `length checksum json`; the first names the store, every other one is a batch
    NAME.sent       how far it was replayed, in bytes; only while it is neither untouched nor done
    NAME.rejected   lines that the store or this program would not have, in the same form

A torn tail is recognised and passed over; a damaged line loses nothing but itself. Whoever holds the lock of a file may
write or replay it. Decides nothing about when.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".spool"
SENT = ".sent"
REJECTED = ".rejected"
NASCENT = ".new"
FILE_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFile:
    """One file that waits."""

    path: Path
    store: str
    """The label of the store that it is for, '' when it cannot be read."""

    bytes: int
    batches: int
    age_s: float
    """Since something was last put into it, in seconds."""

    in_use: bool
    """Whether the process that writes it still lives."""

    rejected: int = 0
    """Batches set aside from it."""


def line_of(content: bytes) -> bytes:
    """Return content as a line with its length and checksum."""
    return b"%d %08x %s\n" % (len(content), zlib.crc32(content), content)


def lines_from(descriptor: int, offset: int = 0) -> Iterator[tuple[bytes | None, int]]:
    """Yield (content, where the next line begins) from an offset on; None for a damaged line, nothing for a torn tail.

    The first line of a file is its header.
    """
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(offset)
        for line in file:
            offset += len(line)
            if not line.endswith(b"\n"):
                return
            yield _content_of(line), offset


def _content_of(line: bytes) -> bytes | None:
    length, _, rest = line.partition(b" ")
    checksum, _, content = rest[:-1].partition(b" ")
    try:
        whole = len(content) == int(length) and zlib.crc32(content) == int(checksum, 16)
    except ValueError:
        whole = False
    return content if whole else None


def create(folder: Path, name: str, store: str) -> tuple[int, Path, int]:
    """Make a file with its header; return its descriptor, which holds the lock, its path and its length.

    It gets its name when it is locked: nobody may take it for one that a dead process left. Raises OSError.
    """
    nascent = folder / f"{name}{NASCENT}"
    descriptor = os.open(nascent, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        header = line_of(json.dumps({"format": 1, "store": store}).encode("ascii"))
        write_whole(descriptor, header)
        path = nascent.with_suffix(SUFFIX)
        nascent.rename(path)
    except BaseException:
        os.close(descriptor)
        nascent.unlink(missing_ok=True)
        raise
    return descriptor, path, len(header)


def claim(path: Path) -> int | None:
    """Return a descriptor that holds the lock of a file; None when its process lives, or it is gone or not ours."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if is_own(found) and stat.S_ISREG(found.st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have sent and removed it a moment ago.
            if os.fstat(descriptor).st_nlink:
                return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def is_own(found: os.stat_result) -> bool:
    """Return whether a file is this user's own; everybody's are root's."""
    return os.geteuid() in (found.st_uid, 0)


def is_header(content: bytes) -> bool:
    """Return whether a line is the header of a file."""
    return content.startswith(b'{"format":')


def remove(path: Path) -> None:
    """Remove a file and what is known of its progress; what was set aside from it stays."""
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.with_suffix(SENT).unlink(missing_ok=True)


def progress(path: Path) -> int:
    """Return how far a file was replayed, in bytes; 0 when nobody says so."""
    try:
        return int(path.with_suffix(SENT).read_bytes())
    except (OSError, ValueError):
        return 0


def save_progress(path: Path, offset: int) -> None:
    """Note how far a file was replayed; where that cannot be noted it will be replayed once more, which is harmless."""
    with suppress(OSError):
        descriptor = os.open(path.with_suffix(SENT), os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, FILE_MODE)
        try:
            os.write(descriptor, b"%d" % offset)
        finally:
            os.close(descriptor)


def set_aside(path: Path, content: bytes) -> None:
    """Keep a line that nobody will have beside its file, for a person to look at."""
    with suppress(OSError):
        aside = path.with_suffix(REJECTED)
        descriptor = os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, FILE_MODE)
        try:
            write_whole(descriptor, line_of(content))
        finally:
            os.close(descriptor)


def write_whole(descriptor: int, content: bytes) -> None:
    """Write all of it; raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def modified(path: Path) -> float:
    """Return when a file was last written, in seconds since 1970; now when it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def waiting(directories: tuple[Path, ...]) -> list[SpoolFile]:
    """Return every file that waits in these directories, for any store, oldest first."""
    found = []
    for directory in directories:
        for path in sorted(directory.glob(f"*/*{SUFFIX}"), key=modified):
            with suppress(OSError):
                found.append(_describe(path))
    return found


def rejected(directories: tuple[Path, ...]) -> list[Path]:
    """Return the files of set aside batches in these directories."""
    return [path for directory in directories for path in sorted(directory.glob(f"*/*{REJECTED}"))]


def _describe(path: Path) -> SpoolFile:
    age_s = max(time.time() - modified(path), 0.0)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        store = _store_of(descriptor)
        left = [content for content, _ in lines_from(descriptor, progress(path))]
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    claimed = claim(path)
    if claimed is not None:
        os.close(claimed)
    return SpoolFile(
        path=path,
        store=store,
        bytes=size,
        batches=sum(content is not None and not is_header(content) for content in left),
        age_s=age_s,
        in_use=claimed is None,
        rejected=_lines_in(path.with_suffix(REJECTED)),
    )


def _store_of(descriptor: int) -> str:
    content, _ = next(lines_from(descriptor), (None, 0))
    try:
        return str(json.loads(content)["store"]) if content is not None else ""
    except (ValueError, LookupError, TypeError):
        return ""


def _lines_in(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0
