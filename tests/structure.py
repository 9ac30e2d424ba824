"""How the source is built, in numbers: `python -m tests.structure`.

Prints files and Python lines by package, the import cycles (lazy imports counted, imports for type checking only not),
the files at the top of `etlwatch`, and the longest files.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PACKAGES = ("tracking_core", "etlwatch")


def sources(root: Path = ROOT) -> dict[str, Path]:
    """Return every module of the two packages by its dotted name."""
    files = (path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imports() -> dict[str, frozenset[str]]:
    """Return which modules of the two packages each of them imports, anywhere in it."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    return {module: frozenset(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def cycles(edges: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Return the groups of modules that import one another, directly or by way of others."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for module in edges.get(ahead.pop(), frozenset()) - seen:
                seen.add(module)
                ahead.append(module)
        return seen

    reach = {module: reached(module) for module in edges}
    groups = {frozenset(other for other in reach[module] if module in reach[other]) for module in edges}
    return sorted(sorted(group) for group in groups if group)


def main() -> None:
    """Print the figures."""
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in sources().items()}
    parts = sorted({".".join(name.split(".")[:2]) for name in lines if name.count(".") > 1})
    for part in (*PACKAGES, *parts):
        own = [count for name, count in lines.items() if name == part or name.startswith(f"{part}.")]
        print(f"{part:28}{len(own):5} files {sum(own):7} lines")
    median = statistics.median(lines.values())
    print(f"{'both packages':28}{len(lines):5} files {sum(lines.values()):7} lines, median {median:.0f}")
    found = cycles(imports())
    print(f"import cycles: {len(found)} over {sum(map(len, found))} modules")
    for group in found:
        print("   ", " ".join(group))
    print("files at the top of etlwatch:", len(list((ROOT / "etlwatch").glob("*.py"))))
    print("longest:", ", ".join(f"{name} {lines[name]}" for name in sorted(lines, key=lambda name: -lines[name])[:8]))


if __name__ == "__main__":
    main()
