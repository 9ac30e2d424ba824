"""Find and read the Python distributions installed on a machine.

Owns the reading of `*.dist-info` and `*.egg-info`, with what really lies around there: no RECORD, no name,
undecodable bytes, broken lines, directories that vanish while they are read. Every oddity becomes a `Quirk`
and the reading goes on; only a distribution without a name raises `UnreadableDistributionError`. What the
fields mean is `package_facts`' part.
"""

import csv
import io
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from email.errors import MessageError
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

from tracking_core.dataclass import dataclass

_METADATA_NAMES = ("METADATA", "PKG-INFO")
_SIZE = re.compile(r"[0-9]{0,15}")  # up to a petabyte: more is a broken line, and would not fit a column


class UnreadableDistributionError(Exception):
    """A directory that looks like a distribution and does not even say its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """One oddity of a distribution, worth a row of its own."""

    kind: str  # "no file list", "undecodable metadata", …
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file as the installer wrote it down; nothing of it is checked yet."""

    path: str  # relative to the directory the distribution is installed in, with "/"
    digest: str  # "sha256=…", "" where none was recorded
    recorded_size: int | None  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDistribution:
    """What one distribution says about itself, decoded but not interpreted."""

    name: str
    version: str
    summary: str
    licence_expression: str | None
    licence_text: str | None
    classifiers: tuple[str, ...]
    requires: tuple[str, ...]
    requires_python: str
    installer: str
    location: Path  # the directory that the paths of `files` start from
    files: tuple[FileRecord, ...]
    quirks: tuple[Quirk, ...]


def search_roots() -> tuple[Path, ...]:
    """List the directories of this machine in which Python packages are usually installed.

    These are the running interpreter's own and, since a machine seldom has only one, the system's, the
    administrator's and the user's. Directories that do not exist are left out, doubles by symbolic link too.
    """
    candidates = [Path(entry) for entry in sys.path if entry]
    candidates += [Path(path) for name, path in sysconfig.get_paths().items() if name in ("purelib", "platlib")]
    prefixes = [Path(sys.base_prefix), Path("/usr"), Path("/usr/local")]
    home = os.environ.get("HOME")
    if home:
        prefixes.append(Path(home) / ".local")
    for prefix in prefixes:
        for pattern in ("lib*/python3*/site-packages", "lib*/python3*/dist-packages"):
            candidates += sorted(prefix.glob(pattern))
    roots: dict[Path, None] = {}
    for candidate in candidates:
        try:
            resolved = candidate.resolve(strict=True)
            if resolved.is_dir():
                roots[resolved] = None
        except OSError:
            continue  # gone, or not ours to read: then it holds nothing for us
    return tuple(roots)


def find_distributions(roots: Sequence[Path]) -> list[Path]:
    """List the metadata directories (or single egg-info files) below the given roots, in a stable order."""
    found: list[Path] = []
    for root in roots:
        try:
            entries = sorted(root.iterdir())
        except OSError:
            continue
        found += [entry for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    return found


def read_distribution(path: Path) -> RawDistribution:
    """Read one distribution from its metadata directory.

    Raises `UnreadableDistributionError` when there is no metadata or no name in it; any lesser oddity is
    noted among the quirks of what is returned.
    """
    quirks: list[Quirk] = []
    metadata = _read_metadata(path, quirks)
    name = _field(metadata, "Name")
    if not name:
        raise UnreadableDistributionError(f"{path.name} in {path.parent} does not say its name")
    version = _field(metadata, "Version")
    if not version:
        quirks.append(Quirk(kind="no version", detail=path.name))
    return RawDistribution(
        name=name,
        version=version,
        summary=_field(metadata, "Summary"),
        licence_expression=_field(metadata, "License-Expression") or None,
        licence_text=_field(metadata, "License") or None,
        classifiers=tuple(str(value) for value in metadata.get_all("Classifier", ())),
        requires=_requirements(path, metadata, quirks),
        requires_python=_field(metadata, "Requires-Python"),
        installer=(_read_text(path / "INSTALLER", quirks) or "").strip(),
        location=path.parent,
        files=tuple(_file_records(path, quirks)),
        quirks=tuple(quirks),
    )


def _read_metadata(path: Path, quirks: list[Quirk]) -> Message:
    # An egg-info may be the metadata file itself instead of a directory.
    candidates = [path] if path.is_file() else [path / name for name in _METADATA_NAMES]
    for candidate in candidates:
        text = _read_text(candidate, quirks)
        if text is not None:
            try:
                return Parser().parsestr(text, headersonly=True)
            except MessageError as error:
                raise UnreadableDistributionError(f"{path.name} in {path.parent} has malformed metadata") from error
    raise UnreadableDistributionError(f"{path.name} in {path.parent} has no metadata")


def _read_text(path: Path, quirks: list[Quirk]) -> str | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        if path.exists():
            quirks.append(Quirk(kind="unreadable file", detail=f"{path.name}: {error.strerror}"))
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        quirks.append(Quirk(kind="undecodable metadata", detail=f"{path.name}: byte {error.start}: {error.reason}"))
        return content.decode("utf-8", errors="replace")


def _field(metadata: Message, name: str) -> str:
    value = str(metadata.get(name, "")).strip()
    # Packaging tools once wrote this word for every field that was left out.
    return "" if value == "UNKNOWN" else value


def _requirements(path: Path, metadata: Message, quirks: list[Quirk]) -> tuple[str, ...]:
    declared = metadata.get_all("Requires-Dist")
    if declared is not None:
        return tuple(str(value) for value in declared)
    text = _read_text(path / "requires.txt", quirks) if path.is_dir() else None
    return tuple(_egg_requirements(text or ""))


def _egg_requirements(text: str) -> Iterator[str]:
    """Rewrite the sections of an egg's `requires.txt` ("[extra:marker]") as `Requires-Dist` lines."""
    marker = ""
    for line in (raw.strip() for raw in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            extra, _, condition = line[1:-1].partition(":")
            parts = [f"({condition})"] if condition else []
            parts += [f'extra == "{extra}"'] if extra else []
            marker = " and ".join(parts)
        elif line and not line.startswith("#"):
            yield f"{line}; {marker}" if marker else line


def _file_records(path: Path, quirks: list[Quirk]) -> Iterator[FileRecord]:
    if path.is_dir():
        record = _read_text(path / "RECORD", quirks)
        if record is not None:
            yield from _parse_record(record, quirks)
            return
        # Older installers list names only, relative to the metadata directory.
        names = _read_text(path / "installed-files.txt", quirks)
        if names is not None:
            for name in names.splitlines():
                if name.strip():
                    relative = os.path.normpath(PurePosixPath(path.name, name.strip()))
                    yield FileRecord(path=relative, digest="", recorded_size=None)
            return
    quirks.append(Quirk(kind="no file list", detail=path.name))


def _parse_record(text: str, quirks: list[Quirk]) -> Iterator[FileRecord]:
    """Read a RECORD line by line, so that one broken line costs one file and not all of them."""
    reader = csv.reader(io.StringIO(text.replace("\0", "\ufffd")))
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            quirks.append(Quirk(kind="broken record line", detail=f"line {reader.line_num}: {error}"))
            continue
        if not row:
            continue
        size = row[2].strip() if len(row) > 2 else ""
        if not row[0] or len(row) > 3 or not _SIZE.fullmatch(size):
            quirks.append(Quirk(kind="broken record line", detail=f"line {reader.line_num}: {','.join(row)[:80]}"))
            continue
        digest = row[1] if len(row) > 1 else ""
        yield FileRecord(path=row[0], digest=digest, recorded_size=int(size) if size else None)
