"""What the linters cannot say: what an import loads, and what no module of `tracking_core` contains."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure import cycles, imports

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "tracking_core").rglob("*.py"))

# Matched at a string's beginning: capitals as SQL is written, lower case only where no English sentence begins so.
SQL = re.compile(
    r"\s*(?:(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP)\s+\S"
    r"|select\s.+\sfrom\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s"
    r"|(?:create|alter|drop)\s+(?:table|index|view|schema)\s)",
    re.DOTALL,
)


def modules_loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a statement loads in a fresh interpreter, beyond the interpreter's own."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path)))


each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def test_importing_tracking_core_loads_no_driver_and_no_terminal_library() -> None:
    heavy = {"psycopg", "sqlite3", "psutil", "textual", "rich", "plotext", "click", "asyncio", "etlwatch"}
    assert not modules_loaded_by("import tracking_core") & heavy


def test_the_command_line_loads_no_terminal_library() -> None:
    assert not modules_loaded_by("import etlwatch.cli") & {"textual", "rich", "plotext"}


def test_the_wheel_holds_both_packages_and_nothing_else() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["tracking_core", "etlwatch"]}


def test_a_cycle_of_imports_is_found() -> None:
    edges = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b"}), "d": frozenset({"a"})}
    assert cycles(edges) == [["b", "c"]]


def test_no_module_is_part_of_a_cycle_of_imports() -> None:
    assert cycles(imports()) == []


def test_the_dashboard_package_has_few_modules_of_its_own() -> None:
    assert len(list((ROOT / "etlwatch").glob("*.py"))) <= 6


@each_module
def test_no_module_prints(path: Path) -> None:
    calls = [node for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert not [node.lineno for node in calls if node.func.id == "print"]  # type: ignore[attr-defined]


@each_module
def test_no_module_catches_everything_namelessly(path: Path) -> None:
    handlers = [node for node in nodes(path) if isinstance(node, ast.ExceptHandler)]
    assert not [handler.lineno for handler in handlers if handler.type is None]


@each_module
def test_sql_stands_in_sql_files(path: Path) -> None:
    strings = [(node.lineno, str(node.value)) for node in nodes(path) if isinstance(node, ast.Constant)]
    assert not [(line, text[:60]) for line, text in strings if SQL.match(text)]


@each_module
def test_no_statement_is_built_where_it_is_executed(path: Path) -> None:
    calls = [node for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    executing = {"execute", "executemany", "executescript", "copy"}
    statements = [call.args[0] for call in calls if call.func.attr in executing and call.args]  # type: ignore[attr-defined]
    assert not [statement.lineno for statement in statements if isinstance(statement, ast.JoinedStr | ast.BinOp)]


@pytest.mark.parametrize(
    "text", ["SELECT 1", "\n    INSERT INTO runs", "select * from runs", "update runs set x = 1", "drop table runs"]
)
def test_the_check_knows_sql(text: str) -> None:
    assert SQL.match(text)


@pytest.mark.parametrize("text", ["Update the counters of a run.", "Select what to show", "created", "drop a batch"])
def test_the_check_knows_english(text: str) -> None:
    assert not SQL.match(text)


def test_every_action_of_a_workflow_is_pinned_by_its_commit() -> None:
    files = (ROOT / ".github" / "workflows").glob("*.yml")
    uses = [line for path in files for line in path.read_text().splitlines() if "uses:" in line]
    assert uses
    for line in uses:
        assert re.fullmatch(r"\s*- uses: [\w/-]+@[0-9a-f]{40} # v\d+(\.\d+)*", line), line
