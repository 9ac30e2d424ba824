"""One file of a spool: how it is laid out, locked, read and set aside.

    NAME.spool      lines of `length checksum json`; the first names the store, every other one is a batch
    NAME.sent       how far it was replayed, in bytes; only while it is neither untouched nor done
    NAME.rejected   lines that the store or this program would not have, in the same form
    NAME.expired    a file that was found when it was more than 30 days old

A torn tail is recognised and passed over; a damaged line loses nothing but itself. Whoever holds the lock of a file may
write or replay it. Lines and files are bounded before they are read. Which directories and files are trusted is
spool_place.py's.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tracking_core.dataclass import dataclass
from tracking_core.delivery.spool_place import FILE_MODE, Entry, Folder, open_own_file, own_name
from tracking_core.process.interrupts import suppress_faults

SUFFIX = ".spool"
SENT = ".sent"
REJECTED = ".rejected"
EXPIRED = ".expired"
NASCENT = ".new"
LONGEST_LINE = 32 * 1024 * 1024
"""Bytes; no batch is written that makes a longer one."""

LARGEST_FILE = 512 * 1024 * 1024
"""Bytes; twice what a spool holds. A larger file is none of ours and is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFile:
    """One file that waits, or a file or directory that is not used."""

    path: Path
    store: str
    """The label of the store that it is for, '' when it cannot be read."""

    bytes: int
    batches: int
    """Where there was no time to count all, those that were."""

    age_s: float
    """Since something was last put into it, in seconds."""

    in_use: bool
    """Whether the process that writes it still lives."""

    rejected: int = 0
    """Batches set aside from it."""

    fault: str = ""
    """Why it is not used, '' when it is."""


def line_of(content: bytes) -> bytes:
    """Return content as a line with its length and checksum; ValueError when it is longer than is read again."""
    line = b"%d %08x %s\n" % (len(content), zlib.crc32(content), content)
    if len(line) > LONGEST_LINE:
        raise ValueError("a batch longer than a line of a spool")
    return line


def lines_from(descriptor: int, offset: int = 0) -> Iterator[tuple[bytes | None, int]]:
    """Yield (content, where the next line begins) from an offset on; None for a damaged line, nothing for a torn tail.

    The first line of a file is its header. Of a line that is too long the first part is yielded as damaged, further
    parts as empty content, so that a caller can look at the time.
    """
    too_long = offset > 0 and os.pread(descriptor, 1, offset - 1) != b"\n"
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(offset)
        while line := file.readline(LONGEST_LINE):
            offset += len(line)
            if line.endswith(b"\n"):
                yield (b"" if too_long else _content_of(line)), offset
                too_long = False
            elif len(line) < LONGEST_LINE:
                return
            else:
                yield (b"" if too_long else None), offset
                too_long = True


def _content_of(line: bytes) -> bytes | None:
    length, _, rest = line.partition(b" ")
    checksum, _, content = rest[:-1].partition(b" ")
    try:
        whole = len(content) == int(length) and zlib.crc32(content) == int(checksum, 16)
    except ValueError:
        whole = False
    return content if whole else None


def create(folder: Folder, name: str, store: str) -> tuple[int, Entry, int]:
    """Make a file with its header; return its descriptor, which holds the lock, its entry and its length.

    It gets its name when it is locked: nobody may take it for one that a dead process left. Raises OSError.
    """
    with folder.opened(make=True) as directory:
        nascent = f"{name}{NASCENT}"
        descriptor = open_own_file(directory, nascent, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND)
        try:
            os.fchmod(descriptor, FILE_MODE)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            header = line_of(json.dumps({"format": 1, "store": store}).encode("ascii"))
            write_whole(descriptor, header)
            os.rename(nascent, f"{name}{SUFFIX}", src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.close(descriptor)
            with suppress(FileNotFoundError):
                os.unlink(nascent, dir_fd=directory)
            raise
    return descriptor, Entry(folder, f"{name}{SUFFIX}"), len(header)


def claim(entry: Entry) -> int:
    """Return a descriptor that holds the lock of a file.

    Raises BlockingIOError when its process lives, FileNotFoundError when it is gone, and OSError naming what is wrong
    with it when it may not be used.
    """
    descriptor = entry.open(os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _check(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(found: os.stat_result) -> None:
    if not found.st_nlink:
        # Another process sent and removed it a moment ago.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if found.st_size > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"larger than {LARGEST_FILE >> 20} MiB")


def is_header(content: bytes) -> bool:
    """Return whether a line is the header of a file."""
    return content.startswith(b'{"format":')


def remove(entry: Entry) -> None:
    """Remove a file and what is known of its progress; what was set aside from it stays."""
    entry.remove()
    with suppress_faults(OSError):
        entry.beside(SENT).remove()


def progress(entry: Entry, descriptor: int) -> int:
    """Return how far a file was replayed, in bytes; 0 where that is unknown or not the beginning of a line of it."""
    with suppress_faults(OSError, ValueError, OverflowError):
        with entry.beside(SENT).opened(os.O_RDONLY) as sent:
            offset = int(os.read(sent, 32))
        # Anything else than the end of a line is wrong: replaying from the start is exact, too.
        return offset if offset > 0 and os.pread(descriptor, 1, offset - 1) == b"\n" else 0
    return 0


def save_progress(entry: Entry, offset: int) -> None:
    """Note how far a file was replayed; where that cannot be noted it will be replayed once more, which is harmless."""
    with suppress_faults(OSError), entry.beside(SENT).opened(os.O_CREAT | os.O_WRONLY) as descriptor:
        # Of one width, so that no longer number shows through.
        os.write(descriptor, b"%020d" % offset)


def set_aside(entry: Entry, content: bytes) -> bool:
    """Keep a line that nobody will have beside its file, for a person to look at; return whether it is kept."""
    with suppress_faults(OSError, ValueError):
        with entry.beside(REJECTED).opened(os.O_CREAT | os.O_WRONLY | os.O_APPEND) as descriptor:
            write_whole(descriptor, line_of(content))
        return True
    return False


def write_whole(descriptor: int, content: bytes) -> None:
    """Write all of it; raises OSError."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def age_s(descriptor: int) -> float:
    """Return how long ago a file was last written, in seconds."""
    return max(time.time() - os.fstat(descriptor).st_mtime, 0.0)


def waiting(bases: tuple[Path, ...], *, seconds: float = 5.0) -> list[SpoolFile]:
    """Return every file that waits below these directories, for any store, oldest first; batches are counted so long.

    What lies there and is not used is returned too, with its fault.
    """
    until = time.monotonic() + seconds
    found: list[SpoolFile] = []
    for root in _roots(bases):
        try:
            folders = root.folders()
        except OSError as error:
            found += (_unused(root.path, error),) if root.below else ()
            continue
        found += (file for folder in folders for file in _waiting_in(folder, until))
    return found


def _roots(bases: tuple[Path, ...]) -> list[Folder]:
    """Return the directories with those of stores in them."""
    return [root for base in bases for root in (Folder(base, (own_name(),)), Folder(base, (), own_base=True))]


def _waiting_in(folder: Folder, until: float) -> Iterator[SpoolFile]:
    try:
        entries = folder.entries(SUFFIX)
    except OSError as error:
        if not folder.own_base:
            yield _unused(folder.path, error)
        return
    for entry in entries:
        try:
            yield _describe(entry, until)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield _unused(entry.path, error)


def _unused(path: Path, error: OSError) -> SpoolFile:
    fault = error.strerror or type(error).__name__
    return SpoolFile(path=path, store="", bytes=0, batches=0, age_s=0.0, in_use=False, fault=fault)


def set_aside_in(bases: tuple[Path, ...]) -> list[Path]:
    """Return the files of rejected batches, and those that were too old to be sent, below these directories."""
    found: list[Path] = []
    for root in _roots(bases):
        with suppress_faults(OSError):
            for folder in root.folders():
                found += (entry.path for suffix in (REJECTED, EXPIRED) for entry in folder.entries(suffix))
    return found


def _describe(entry: Entry, until: float) -> SpoolFile:
    with entry.opened(os.O_RDONLY) as descriptor:
        size = os.fstat(descriptor).st_size
        _check(os.fstat(descriptor))
        batches = 0
        for content, _ in lines_from(descriptor, progress(entry, descriptor)):
            batches += bool(content) and not is_header(content)  # type: ignore[arg-type]
            if time.monotonic() >= until:
                break
        return SpoolFile(
            path=entry.path,
            store=store_of(descriptor),
            bytes=size,
            batches=batches,
            age_s=age_s(descriptor),
            in_use=_is_locked(descriptor),
            rejected=_lines_in(entry.beside(REJECTED), until),
        )


def _is_locked(descriptor: int) -> bool:
    with suppress_faults(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    return True


def store_of(descriptor: int) -> str:
    """Return the label of the store that a file is for, '' when it cannot be read."""
    content, _ = next(lines_from(descriptor), (None, 0))
    try:
        return str(json.loads(content)["store"]) if content else ""
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


def _lines_in(entry: Entry, until: float) -> int:
    count = 0
    with suppress_faults(OSError), entry.opened(os.O_RDONLY) as descriptor:
        _check(os.fstat(descriptor))
        for _ in lines_from(descriptor):
            count += 1
            if time.monotonic() >= until:
                break
    return count
