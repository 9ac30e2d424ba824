"""What a shell and `man` get from the command line: completion and manual pages."""

import shutil
import subprocess
from pathlib import Path

import pytest

from etlwatch.cli.manpages import main, pages
from etlwatch.cli.root import COMMANDS
from tests.etlwatch.cli_program import command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str) -> None:
    done = command(environment={"_ETLWATCH_COMPLETE": f"{shell}_source"})
    if shell == "bash" and b"version" in done.stderr:
        pytest.skip("no bash of 4.4 or newer")
    assert done.returncode == 0
    assert b"_ETLWATCH_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [("etlwatch ru", {"runs"}), ("etlwatch runs --st", {"--state"}), ("etlwatch tracking o", {"on", "off"}),
     ("etlwatch runs -t pr", {"prod", "preview"}), ("etlwatch exec --tail std", {"stdout", "stderr"})],
)  # fmt: skip
def test_commands_options_and_targets_are_completed(tmp_path: Path, line: str, offered: set[str]) -> None:
    config = tmp_path / "config.toml"
    names = ("prod", "preview", "test")
    config.write_text("".join(f'[target.{name}]\nservice = "{name}"\n' for name in names))
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_ETLWATCH_COMPLETE": "bash_complete"}
    done = command(environment={**asked, "ETLWATCH_CONFIG": str(config)})
    assert {answer.partition(",")[2] for answer in done.stdout.decode().splitlines()} == offered


def test_every_command_has_a_page_with_its_options(tmp_path: Path) -> None:
    main(str(tmp_path / "man1"))
    assert {path.name for path in (tmp_path / "man1").iterdir()} == {
        "etlwatch.1",
        *(f"etlwatch-{name}.1" for name in COMMANDS),
    }
    text = (tmp_path / "man1" / "etlwatch-exec.1").read_text()
    assert text.startswith('.TH "ETLWATCH-EXEC" "1"')
    assert "\\-\\-tail" in text


def test_groff_takes_every_page_without_a_warning() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    source = "".join(text for _, text in pages())
    done = subprocess.run(
        [groff, "-man", "-ww", "-Tutf8", "-P-c"], input=source.encode(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert "ETLWATCH" in done.stdout.decode()
