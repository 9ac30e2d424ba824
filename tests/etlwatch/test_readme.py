"""What README and docs show: it runs, it is there, it is what the program has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from etlwatch.cli.root import COMMANDS
from tests.etlwatch.cli_program import PROJECT, command, python
from tests.etlwatch.key_table import PAGE, part_of, table

TEXT = (PROJECT / "README.md").read_text(encoding="utf-8")
GUIDE = (PROJECT / "tracking_core" / "docs" / "migration.md").read_text(encoding="utf-8")
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")])
COMMANDS_PAGE = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
PICTURE = PROJECT / "docs" / "dashboard.svg"
MOST_BYTES = 200_000


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def shown(*words: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(command(*words, "--format", "json").stdout)
    return found


def test_the_job_runs_as_it_stands_and_the_next_line_shows_its_run(tmp_path: Path) -> None:
    (job,) = blocks(TEXT, "python")
    path = tmp_path / "job.py"
    path.write_text(job, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, path], env=_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "etlwatch show crm-sync" in TEXT
    run = shown("show", "crm-sync@latest")["run"]
    assert (run["status"], run["requests"], run["items"]) == ("completed", 3, 237)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(PROJECT)}


def test_the_job_is_a_small_one() -> None:
    (job,) = blocks(TEXT, "python")
    assert len([line for line in job.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("block", blocks(GUIDE, "python"), ids=lambda block: block.splitlines()[0])
def test_every_block_of_the_migration_guide_runs_and_records(block: str) -> None:
    done = python(block)
    assert (done.returncode, done.stdout) == (0, b"")
    assert (b"DeprecationWarning" in done.stderr) == ("get_etl_tracker" in block)
    (run,) = json.loads(command("runs", "--format", "json").stdout)
    assert run["status"] == "completed"
    assert run["requests"] in (1, 2)


def test_the_table_of_keys_is_that_of_the_bindings() -> None:
    assert part_of(PAGE.read_text(encoding="utf-8")) == table(), "python -m tests.etlwatch.key_table writes it anew"


def test_every_command_is_in_the_table_and_every_one_that_is_shown_exists() -> None:
    in_table = set(re.findall(r"^\| `etlwatch (\w+)", COMMANDS_PAGE, re.MULTILINE))
    assert in_table == set(COMMANDS)
    called = set(
        re.findall(r"\betlwatch ((?!-)[a-z]+)\b(?=[ `\n)])", " ".join(blocks(TEXT + COMMANDS_PAGE, "sh") + _inline()))
    )
    assert called <= set(COMMANDS)
    assert called


def _inline() -> list[str]:
    return re.findall(r"`(\.?etlwatch [^`]*)`", TEXT + GUIDE + COMMANDS_PAGE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (target[1:] in headings) if target.startswith("#") else (page.parent / target).is_file(), target


def test_the_picture_is_small_and_whoever_looks_at_it_fetches_nothing() -> None:
    picture = PICTURE.read_text(encoding="utf-8")
    assert len(picture.encode()) < MOST_BYTES
    assert "url(http" not in picture
    assert "@import" not in picture
    assert "crm_contacts_sync" in picture


def test_the_changelog_speaks_of_this_version() -> None:
    version = re.search(r'^version = "(.*)"', (PROJECT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert f"## {version[1]}" in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
