"""docs/promises.md names the test behind each promise: every one of them is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PROOFS = (TESTS.parent / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = sorted(
    set(re.findall(r"`((?:acceptance|etlwatch|interrupts|store|tracking_core)/test_\w+\.py(?:::\w+)?)`", PROOFS))
)


@cache
def functions_of(path: Path) -> frozenset[str]:
    """Return the names of a file's functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("named", NAMED)
def test_a_named_test_is_there(named: str) -> None:
    file, _, function = named.partition("::")
    path = TESTS / file
    assert path.is_file()
    assert not function or function in functions_of(path)


def test_every_promise_and_every_wish_names_a_test() -> None:
    rows = [line for line in PROOFS.splitlines() if re.match(r"\| P?\d+ \| ", line)]
    assert len(rows) >= 14 + 25 + 12
    assert [row for row in rows if "test" not in row.rpartition(" | ")[2]] == []
