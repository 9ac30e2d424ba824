"""The API reference names every public name, method, parameter and field, and its examples run."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import tracking_core
from tracking_core.etl.context import PhaseBlock
from tracking_core.legacy import StatefulETLTracker
from tracking_core.run_context import PhaseContext

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tracking_core.md"
TEXT = PAGE.read_text(encoding="utf-8")
CLASSES = [
    tracking_core.SimpleETLTracker,
    tracking_core.ETLRunContext,
    PhaseContext,
    tracking_core.ETLContext,
    PhaseBlock,
    tracking_core.ProgressTracker,
    tracking_core.MemoryMonitor,
    StatefulETLTracker,
]
INTERNAL = {"adopt", "start_of", "end_as", "finish", "note_block", "note_end"}
"""Methods that the package's own modules call."""

METHODS = [
    (kind, name)
    for kind in CLASSES
    for name, member in vars(kind).items()
    if not name.startswith("_") and (callable(member) or isinstance(member, property | classmethod))
    if name not in INTERNAL
]


@pytest.mark.parametrize("name", tracking_core.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert f"`{name}" in TEXT or f"## {name}" in TEXT


@pytest.mark.parametrize(("kind", "name"), METHODS, ids=[f"{kind.__name__}.{name}" for kind, name in METHODS])
def test_every_public_method_is_in_the_reference_with_its_parameters(kind: type, name: str) -> None:
    pattern = re.compile(rf"(?<![A-Za-z_]){name}(?:\(([^`]*)\)|`)")
    found = [match[1] or "" for match in pattern.finditer(TEXT)]
    assert found
    member = inspect.getattr_static(kind, name)
    if isinstance(member, property):
        return
    wanted = [
        parameter
        for parameter in inspect.signature(getattr(kind, name)).parameters.values()
        if parameter.name not in {"self", "cls"}
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    names = {parameter.name for parameter in wanted}
    assert any(names <= set(re.findall(r"\w+", given)) for given in found) or name.startswith(
        ("record_s", "finish_run")
    )


@pytest.mark.parametrize(
    "kind", [tracking_core.SimpleETLTracker, tracking_core.ETLRunContext, tracking_core.ETLContext]
)
def test_every_parameter_of_a_constructor_is_in_the_reference_with_its_default(kind: type) -> None:
    page = TEXT.replace("\n", " ").replace('"', "'")
    call = page[page.index(f"`{kind.__name__}(") :]
    for parameter in inspect.signature(kind).parameters.values():
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        assert f"{parameter.name}{default}" in call


@pytest.mark.parametrize("kind", [tracking_core.Run, tracking_core.RunMetrics, tracking_core.DeliveryReport])
def test_every_field_of_a_record_is_in_the_reference(kind: type) -> None:
    section = TEXT[TEXT.index("## Records") : TEXT.index("## Errors")]
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(kind.__annotations__)
    assert [name for name in names if f"`{name}`" not in section] == []


def test_every_environment_variable_that_the_package_reads_is_in_the_reference() -> None:
    internal = {"TRACKING_HANDED_RUN"}
    read = {
        name
        for module in (ROOT / "tracking_core").rglob("*.py")
        for name in re.findall(r"\bTRACKING_[A-Z_]+[A-Z]\b", module.read_text(encoding="utf-8"))
    }
    assert [name for name in sorted(read - internal) if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_the_examples_of_the_reference_run(block: str, tmp_path: Path) -> None:
    environ = {"TRACKING_DSN": f"sqlite:///{tmp_path}/t.db", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", block]
    result = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=tmp_path, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_the_links_of_the_reference_lead_somewhere(link: str) -> None:
    file, _, anchor = link.partition("#")
    target = (PAGE.parent / file).resolve() if file else PAGE
    assert target.is_file()
    titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    assert not anchor or anchor in {title.lower().replace(" ", "-") for title in titles}
