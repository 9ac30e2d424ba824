"""The command line as tests call it: in this process, or as a process of its own; and runs for it to show."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etlwatch.__main__ import main

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command did: its exit status, and what it wrote where."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON on stdout."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on stderr of a command that failed, checked to be one and no traceback."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        assert self.out == ""
        return lines[0]


class Program:
    """`etlwatch` in this process, with what it writes captured."""

    def __init__(self, capsys: Any) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Answer:
        """Run a command line."""
        self._capsys.readouterr()
        status = main(list(arguments))
        captured = self._capsys.readouterr()
        return Answer(status=status, out=captured.out, err=captured.err)


def python(
    code: str, *, environment: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Run Python code in a process of its own that can import the project."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(PROJECT), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


MAIN = "import sys; from etlwatch.__main__ import main; sys.exit(main())"


def command(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command line in a process of its own."""
    return python(MAIN, environment=environment, arguments=arguments)
