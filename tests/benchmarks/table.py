"""Findings as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tests.benchmarks.measuring import Finding

_HEAD = ("what", "ours", "peer", "", "ratio", "budget", "")
_RIGHT = (False, True, False, True, True, False, False)


def as_text(findings: Sequence[Finding], surroundings: Mapping[str, str]) -> str:
    """Return the table, with what it was measured on above and what is to be known below."""
    rows = [_HEAD, *(_cells(finding) for finding in findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [f"{name}: {value}" for name, value in surroundings.items()]
    lines.append("")
    for number, row in enumerate(rows):
        cells = zip(row, widths, _RIGHT, strict=True)
        lines.append(
            "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip()
        )
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    notes = [f"  {finding.what}: {finding.note}" for finding in findings if finding.note]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def as_json(findings: Sequence[Finding], surroundings: Mapping[str, str]) -> str:
    """Return one JSON document."""
    document = {"measured_on": dict(surroundings), "findings": [finding.as_json() for finding in findings]}
    return json.dumps(document, ensure_ascii=False, indent=2)


def _cells(finding: Finding) -> tuple[str, ...]:
    verdict = "" if finding.met is None else "met" if finding.met else "MISSED"
    theirs = "" if finding.theirs is None else _figure(finding.theirs, finding.unit)
    ratio = "" if finding.ratio is None else f"{finding.ratio:.3g} ×"
    return finding.what, _figure(finding.ours, finding.unit), finding.peer, theirs, ratio, finding.budget, verdict


def _figure(value: float, unit: str) -> str:
    digits = 0 if unit == "rows/s" or value >= 1000 else 1 if value >= 100 else 2 if value >= 0.1 else 3
    return f"{value:,.{digits}f} {unit}".replace(",", " ")
