"""Read the Python distributions installed on a machine, and interpret their metadata.

What is odd about a distribution (no RECORD, undecodable bytes, broken lines, directories that vanish) is noted as a
`Quirk`; only one without a name raises `UnreadableDistributionError`. The parsers of metadata are pure and never raise.
"""

import csv
import io
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from email.errors import MessageError
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

from tracking_core.dataclass import dataclass

UNKNOWN_LICENCE = "unknown"

_SEPARATORS = re.compile(r"[-_.]+")
# The canonical shape of PEP 440 with its optional epoch, pre-, post-, development and local parts.
_VERSION = re.compile(
    r"v?(\d+!)?\d+(\.\d+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?"
    r"(-\d+|[-_.]?(post|rev|r)[-_.]?\d*)?([-_.]?dev[-_.]?\d*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?",
    re.IGNORECASE | re.ASCII,
)
_REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?P<rest>[^;]*)(?:;(?P<marker>.*))?",
    re.DOTALL,
)
_EXTRA_MARKER = re.compile(r"""\bextra\s*==\s*["']([^"']+)["']""")

# Tried in this order, so that "GNU Lesser" is found before "GPL" and "BSD 3" before "BSD".
_LICENCE_WORDS: tuple[tuple[str, str], ...] = (
    (r"lesser general public|lgpl", "LGPL"),
    (r"affero|agpl", "AGPL"),
    (r"general public license|\bgpl", "GPL"),
    (r"mozilla|\bmpl", "MPL"),
    (r"apache", "Apache-2.0"),
    (r"python software foundation|\bpsf", "PSF-2.0"),
    (r"bsd[- ]?3|3[- ]clause|new bsd|modified bsd", "BSD-3-Clause"),
    (r"bsd[- ]?2|2[- ]clause|simplified bsd", "BSD-2-Clause"),
    (r"0bsd", "0BSD"),
    (r"\bbsd", "BSD"),
    (r"\bisc\b|iscl", "ISC"),
    (r"\bmit\b|expat|permission is hereby granted, free of charge", "MIT"),
    (r"unlicense", "Unlicense"),
    (r"public domain|cc0", "public domain"),
    (r"zlib", "Zlib"),
    (r"proprietary|commercial|all rights reserved", "proprietary"),
)

_KINDS: dict[str, str] = {
    ".py": "python",
    ".pyc": "bytecode",
    ".pyi": "typing",
    ".so": "extension",
    ".pyd": "extension",
    ".dylib": "extension",
    ".dll": "extension",
    ".pyx": "source",
    ".pxd": "source",
    ".c": "source",
    ".cpp": "source",
    ".h": "source",
    ".hpp": "source",
    ".js": "web",
    ".css": "web",
    ".html": "web",
    ".md": "text",
    ".rst": "text",
    ".txt": "text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One dependency, as the depending package declares it."""

    name: str  # normalised
    extras: str  # comma-separated, "" for none
    specifier: str  # ">=1.2,<3", "" for any version
    marker: str  # the condition after ";", "" for none
    extra: str  # the optional feature that asks for it, "" when it is always needed


def normalise_name(name: str) -> str:
    """Return a distribution's name in the form in which names are compared (PEP 503)."""
    return _SEPARATORS.sub("-", name.strip()).lower()


def is_usual_version(version: str) -> bool:
    """Return whether a version follows PEP 440; those of old packages often do not."""
    return _VERSION.fullmatch(version.strip()) is not None


def parse_requirement(text: str) -> Requirement | None:
    """Parse one `Requires-Dist` line; None for a line that names no distribution."""
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        return None
    marker = (match["marker"] or "").strip()
    extra = _EXTRA_MARKER.search(marker)
    return Requirement(
        name=normalise_name(match["name"]),
        extras=",".join(sorted(part.strip() for part in (match["extras"] or "").split(",") if part.strip())),
        # Older tools put the specifier in parentheses: "six (>=1.10)".
        specifier=re.sub(r"\s+", "", match["rest"]).removeprefix("(").removesuffix(")"),
        marker=marker,
        extra=normalise_name(extra[1]) if extra else "",
    )


def normalise_licence(expression: str | None, classifiers: Sequence[str], free_text: str | None) -> str:
    """Return one short name of a licence: from an SPDX expression, else trove classifiers, else the free text."""
    if expression and expression.strip():
        return expression.strip()
    named = {_licence_from_words(text.rpartition("::")[2]) for text in classifiers if text.startswith("License ::")}
    named.discard(UNKNOWN_LICENCE)
    if named:
        return " OR ".join(sorted(named))
    return _licence_from_words(free_text or "")


def _licence_from_words(text: str) -> str:
    # A licence text begins with its name; further down it may quote other licences.
    head = text.strip()[:400].lower()
    for pattern, name in _LICENCE_WORDS:
        if re.search(pattern, head):
            return name
    return UNKNOWN_LICENCE


def kind_of_file(path: str) -> str:
    """Return the kind of an installed file by its path: python, bytecode, typing, extension, …"""
    pure = PurePosixPath(path)
    if any(part.endswith((".dist-info", ".egg-info")) for part in pure.parts):
        return "metadata"
    if "bin" in pure.parts[:-1] and ".." in pure.parts:
        return "script"
    # The suffix of a versioned library ("libfoo.so.1.2") is in the middle.
    if ".so." in pure.name:
        return "extension"
    return _KINDS.get(pure.suffix.lower(), "data")


def duplicated_names(names: Iterable[str]) -> frozenset[str]:
    """Return the names that occur more than once: packages installed in several places."""
    seen: set[str] = set()
    twice: set[str] = set()
    for name in names:
        (twice if name in seen else seen).add(name)
    return frozenset(twice)


_METADATA_NAMES = ("METADATA", "PKG-INFO")
_SIZE = re.compile(r"[0-9]{0,15}")  # up to a petabyte: more is a broken line, and would not fit a column


class UnreadableDistributionError(Exception):
    """A directory looks like a distribution and its metadata has no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """One oddity of a distribution."""

    kind: str  # "no file list", "undecodable metadata", …
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file as the installer recorded it, not checked yet."""

    path: str  # relative to the directory the distribution is installed in, with "/"
    digest: str  # "sha256=…", "" where none was recorded
    recorded_size: int | None  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDistribution:
    """The metadata of one distribution, decoded but not interpreted."""

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
    """Return the existing directories in which Python packages are usually installed, each once.

    These are the running interpreter's, the system's, the administrator's and the user's.
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
            continue  # deleted or not readable
    return tuple(roots)


def find_distributions(roots: Sequence[Path]) -> list[Path]:
    """Return the metadata directories (or single egg-info files) in the given roots, in a stable order."""
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

    Raises `UnreadableDistributionError` when there is no metadata or no name in it.
    """
    quirks: list[Quirk] = []
    metadata = _read_metadata(path, quirks)
    name = _field(metadata, "Name")
    if not name:
        raise UnreadableDistributionError(f"{path.name} in {path.parent} has no name")
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
    # Old packaging tools write this word for every field that was left out.
    return "" if value == "UNKNOWN" else value


def _requirements(path: Path, metadata: Message, quirks: list[Quirk]) -> tuple[str, ...]:
    declared = metadata.get_all("Requires-Dist")
    if declared is not None:
        return tuple(str(value) for value in declared)
    text = _read_text(path / "requires.txt", quirks) if path.is_dir() else None
    return tuple(_egg_requirements(text or ""))


def _egg_requirements(text: str) -> Iterator[str]:
    """Yield the sections of an egg's `requires.txt` ("[extra:marker]") as `Requires-Dist` lines."""
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
    """Yield the files of a RECORD; a broken line loses only its own file."""
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
