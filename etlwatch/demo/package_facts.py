"""Turn what packages say about themselves into comparable facts.

Owns the small parsers: names, versions, licences, requirements and kinds of file. They are pure, take any
text a package author ever wrote, and never raise: what cannot be understood comes back as unknown. Reading
files is `distributions`' part.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

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
    """One dependency edge, as the depending package declares it."""

    name: str  # normalised
    extras: str  # comma-separated, "" for none
    specifier: str  # ">=1.2,<3", "" for any version
    marker: str  # the condition after ";", "" for none
    extra: str  # the optional feature that asks for it, "" when it is always needed


def normalise_name(name: str) -> str:
    """Give a distribution's name in the form in which names are compared (PEP 503)."""
    return _SEPARATORS.sub("-", name.strip()).lower()


def is_usual_version(version: str) -> bool:
    """Say whether a version follows PEP 440; old packages and hand-made ones often do not."""
    return _VERSION.fullmatch(version.strip()) is not None


def parse_requirement(text: str) -> Requirement | None:
    """Read one `Requires-Dist` line; None for a line that names no distribution."""
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
    """Reduce what a package says about its licence to one short name.

    The most exact source wins: an SPDX expression, then trove classifiers, then the free text, which may hold
    anything from "MIT" to the whole licence.
    """
    if expression and expression.strip():
        return expression.strip()
    named = {_licence_from_words(text.rpartition("::")[2]) for text in classifiers if text.startswith("License ::")}
    named.discard(UNKNOWN_LICENCE)
    if named:
        return " OR ".join(sorted(named))
    return _licence_from_words(free_text or "")


def _licence_from_words(text: str) -> str:
    # The head of a whole licence text names it; what follows quotes other licences.
    head = text.strip()[:400].lower()
    for pattern, name in _LICENCE_WORDS:
        if re.search(pattern, head):
            return name
    return UNKNOWN_LICENCE


def kind_of_file(path: str) -> str:
    """Name the kind of an installed file by its place and ending: python, bytecode, typing, extension, …"""
    pure = PurePosixPath(path)
    if any(part.endswith((".dist-info", ".egg-info")) for part in pure.parts):
        return "metadata"
    if "bin" in pure.parts[:-1] and ".." in pure.parts:
        return "script"
    # A versioned library ("libfoo.so.1.2") has its real ending in the middle.
    if ".so." in pure.name:
        return "extension"
    return _KINDS.get(pure.suffix.lower(), "data")


def duplicated_names(names: Iterable[str]) -> frozenset[str]:
    """Find the normalised names that occur more than once: a package installed in several places."""
    seen: set[str] = set()
    twice: set[str] = set()
    for name in names:
        (twice if name in seen else seen).add(name)
    return frozenset(twice)
