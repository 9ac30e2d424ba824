"""What `tracking_core` shows the world: its names, its version, what importing it loads, how it types."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tracking_core
from tracking_core.identity import VERSION

ROOT = Path(__file__).parents[2]
NAMES = [
    "ConfigurationError",
    "DeliveryReport",
    "ETLContext",
    "ETLRunContext",
    "MemoryMonitor",
    "ProgressTracker",
    "Run",
    "RunMetrics",
    "SimpleETLTracker",
    "TrackingError",
    "get_etl_tracker",
]
HEAVY = ("psycopg", "psutil", "sqlite3", "textual", "rich", "plotext", "click", "asyncio")


def test_the_public_names_are_these() -> None:
    assert tracking_core.__all__ == NAMES
    assert set(NAMES) <= set(dir(tracking_core))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(tracking_core, name)
    assert found.__name__ == name
    assert found.__doc__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'SimpleTracker'"):
        _ = tracking_core.SimpleTracker  # type: ignore[attr-defined]


def test_the_version_is_the_distribution_s() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize(
    "statement",
    [
        "import tracking_core",
        "from tracking_core import *",
        "import tracking_core; tracking_core.SimpleETLTracker('postgresql://db/x').disable()",
    ],
)
def test_importing_it_loads_no_driver_and_nothing_of_the_dashboard(statement: str) -> None:
    code = f"import sys\n{statement}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == ""


def test_a_job_type_checks_against_it() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "tests/typing/job.py"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert result.returncode == 0, result.stdout
