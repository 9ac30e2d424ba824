"""Which modules a program loads."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOLD = "\nimport sys; sys.stderr.write('\\nmodules: ' + ' '.join(sorted(sys.modules)))"


def modules_loaded_by(code: str, *, cwd: Path = ROOT) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after some code, beyond those it begins with."""
    return _loaded(code, cwd) - _loaded("pass", cwd)


def _loaded(code: str, cwd: Path) -> set[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code + TOLD], env=environment, cwd=cwd, capture_output=True, text=True, check=True
    )
    return set(done.stderr.rpartition("modules: ")[2].split())
