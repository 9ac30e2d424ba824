"""The directories that hold spools, opened so that no other user can put anything in their place.

    BASE/etlwatch-spool-UID/STORE/NAME.spool

BASE is whatever directory is given or found; symbolic links in its path must be root's or this user's. Everything below
it belongs to this user, has mode 0700 and is opened without following links; a file is checked once it is open. Version
0.1.0 wrote to BASE/STORE: that is still read where BASE belongs to this user and nobody else can write to it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path, PurePosixPath

from tracking_core.dataclass import dataclass
from tracking_core.process.interrupts import load, suppress_faults

MOST_FILES = 10_000
"""Entries of a directory that are looked at; what is beyond has its turn when the first ones are gone."""

FILE_MODE = 0o600
_KEY = re.compile(r"[0-9a-f]{16}")
_DIRECTORY_MODE = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_FOREIGN_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MOST_STEPS = 1000
"""Of a path with its links followed; beyond it they go round in a circle."""

_GUARDED = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
# To pass through a directory is enough on the way; O_PATH does not ask for the right to list it.
_WAY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | _GUARDED


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of spools by its path; opened anew for each use, so that it may disappear in between."""

    base: Path
    below: tuple[str, ...]
    """Directories below the base, each of which must be this user's own."""

    own_base: bool = False
    """Whether the base itself must be this user's own, with nobody else able to write to it."""

    @property
    def path(self) -> Path:
        """Where it is, for messages."""
        return self.base.joinpath(*self.below)

    @contextmanager
    def opened(self, *, make: bool = False) -> Iterator[int]:
        """Hold the checked directory open in the block; `make` it and its parents where missing. Raises OSError."""
        descriptor = _open_base(self.base, make=make)
        try:
            if self.own_base:
                _check_directory(os.fstat(descriptor), self.base)
            for name in self.below:
                descriptor, above = _open_own(descriptor, name, make=make, close=not self.own_base), descriptor
                os.close(above)
            yield descriptor
        finally:
            os.close(descriptor)

    def entries(self, suffix: str) -> list[Entry]:
        """Return the files with a suffix, the oldest first; [] where there is no such directory. Raises OSError."""
        try:
            with self.opened() as descriptor, os.scandir(descriptor) as found:
                aged = [(_age(each), each.name) for each in islice(found, MOST_FILES) if each.name.endswith(suffix)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [Entry(self, name) for _, name in sorted(aged)]

    def folders(self) -> list[Folder]:
        """Return the directories of stores in it; [] where there is no such directory. Raises OSError."""
        try:
            with self.opened() as way:
                listed = os.open(".", os.O_RDONLY | os.O_CLOEXEC, dir_fd=way)
                try:
                    with os.scandir(listed) as found:
                        names = sorted(each.name for each in islice(found, MOST_FILES) if _KEY.fullmatch(each.name))
                finally:
                    os.close(listed)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [Folder(self.base, (*self.below, name), self.own_base) for name in names]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a folder by its name."""

    folder: Folder
    name: str

    @classmethod
    def at(cls, path: Path) -> Entry:
        """Return the file that a person names; its directory must be this user's own."""
        path = Path(os.path.abspath(path))  # noqa: PTH100 - a link is not to be resolved here
        return cls(Folder(path.parent, (), own_base=True), path.name)

    @property
    def path(self) -> Path:
        """Where it is, for messages."""
        return self.folder.path / self.name

    def beside(self, suffix: str) -> Entry:
        """Return the file of the same name with another suffix."""
        return Entry(self.folder, str(PurePosixPath(self.name).with_suffix(suffix)))

    def open(self, flags: int) -> int:
        """Open it and return the descriptor. Raises OSError, PermissionError for what is not this user's own file."""
        with self.folder.opened() as directory:
            return open_own_file(directory, self.name, flags)

    @contextmanager
    def opened(self, flags: int) -> Iterator[int]:
        """Hold it open in the block; raises what `open` raises."""
        descriptor = self.open(flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def rename(self, name: str) -> None:
        """Give it another name in the same directory. Raises OSError."""
        with self.folder.opened() as directory:
            os.rename(self.name, name, src_dir_fd=directory, dst_dir_fd=directory)

    def remove(self) -> None:
        """Remove it where it is there. Raises OSError."""
        with suppress(FileNotFoundError), self.folder.opened() as directory:
            os.unlink(self.name, dir_fd=directory)


def own_name() -> str:
    """Return the name of this user's directory for spools."""
    return f"etlwatch-spool-{os.geteuid()}"


def folder_for(base: Path, key: str) -> Folder:
    """Return the directory for spools of a store."""
    return Folder(base, (own_name(), key))


def folders_for(bases: tuple[Path, ...], key: str) -> list[Folder]:
    """Return every directory where spools of a store may wait, those of version 0.1.0 included."""
    return [folder for base in bases for folder in (folder_for(base, key), Folder(base, (key,), own_base=True))]


def open_own_file(directory: int, name: str, flags: int) -> int:
    """Open a file of a directory; PermissionError when it is not a regular file of this user with one name."""
    descriptor = os.open(name, flags | _GUARDED, FILE_MODE, dir_fd=directory)
    found = os.fstat(descriptor)
    problem = ""
    if not stat.S_ISREG(found.st_mode):
        problem = "not a regular file"
    elif found.st_uid != os.geteuid():
        problem = f"belongs to user {found.st_uid}"
    elif found.st_nlink > 1:
        problem = "has a second name (a hard link)"
    if problem:
        os.close(descriptor)
        raise PermissionError(errno.EPERM, problem, name)
    return descriptor


def _open_base(path: Path, *, make: bool) -> int:
    here = os.open("/", _WAY)
    try:
        names = list(reversed(path.parts[1:]))
        for _ in range(_MOST_STEPS):
            if not names:
                return here
            name = names.pop()
            target = _target(here, name)
            if target is None:
                here, above = _open_directory(here, name, _WAY, make=make), here
            else:
                steps = PurePosixPath(target)
                names += reversed(steps.parts[1:] if steps.is_absolute() else steps.parts)
                here, above = os.open("/" if steps.is_absolute() else ".", _WAY, dir_fd=here), here
            os.close(above)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))  # noqa: TRY301 - the descriptor is closed below
    except BaseException:
        os.close(here)
        raise


def _target(directory: int, name: str) -> str | None:
    """Return where a symbolic link leads, None for anything else; PermissionError for the link of another user."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISLNK(found.st_mode):
        return None
    target = os.readlink(name, dir_fd=directory)
    again = os.stat(name, dir_fd=directory, follow_symlinks=False)
    # Read between two looks at the same link: another user may exchange it in between.
    if found.st_uid not in (0, os.geteuid()) or (found.st_ino, found.st_ctime_ns) != (again.st_ino, again.st_ctime_ns):
        raise PermissionError(errno.EPERM, "a symbolic link of another user", name)
    return target


def _open_directory(directory: int, name: str, flags: int, *, make: bool) -> int:
    try:
        return os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, _DIRECTORY_MODE, dir_fd=directory)
    return os.open(name, flags, dir_fd=directory)


def _open_own(directory: int, name: str, *, make: bool, close: bool) -> int:
    """Open a directory of this user's own; with `close`, one that others could enter is closed to them first."""
    descriptor = _open_directory(directory, name, os.O_RDONLY | os.O_DIRECTORY | _GUARDED, make=make)
    try:
        found = os.fstat(descriptor)
        if close and found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
            # As a volume's group mode or a careless chmod leaves it; what lies in it is checked file by file.
            with suppress_faults(OSError):
                os.fchmod(descriptor, _DIRECTORY_MODE)
                found = os.fstat(descriptor)
        _check_directory(found, name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_directory(found: os.stat_result, name: str | Path) -> None:
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"belongs to user {found.st_uid}", str(name))
    if found.st_mode & _FOREIGN_WRITE:
        raise PermissionError(errno.EPERM, "can be written by others", str(name))


def _age(entry: os.DirEntry[str]) -> float:
    with suppress_faults(OSError):
        return entry.stat(follow_symlinks=False).st_mtime
    return 0.0


def store_key(label: str) -> str:
    """Return the directory name of a store's spools: the same for every user, and for the usual names of one place."""
    # Imported late: it loads the system's cryptography, for the name of a directory that most jobs never need.
    load("hashlib")
    import hashlib

    return hashlib.sha256(_place(label).encode("utf-8", "surrogateescape")).hexdigest()[:16]


_LABEL = re.compile(r"(postgresql://)([^/ ]*)(/.*?)?(?: as .*?)?( \(.*\))?", re.DOTALL)
_LOOPBACK = frozenset({"127.0.0.1", "[::1]", "localhost.localdomain"})


def _place(label: str) -> str:
    """Return a label without the user, with ports written out, and one name for this machine."""
    match = _LABEL.fullmatch(label)
    if match is None:
        return os.path.realpath(label)
    hosts = []
    for host in match[2].lower().split(","):
        name, _, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "")
        hosts.append(f"{'localhost' if name in _LOOPBACK else name}:{port or 5432}")
    return "".join((match[1], ",".join(hosts), match[3] or "", match[4] or ""))
