"""P16: no exception from outside comes in the midst of an import, whose lock would stay held."""

import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.interrupts.raising import Late, at_step
from tests.support.job import ROOT
from tests.support.ports import free_port
from tracking_core.process import locks
from tracking_core.process.interrupts import load
from tracking_core.process.locks import start_thread


@pytest.mark.parametrize(
    ("store", "delivery"), [("sqlite", "immediate"), ("postgres", "immediate"), ("nobody", "buffered")]
)
def test_a_call_imports_nothing_on_its_own_thread(
    store: str, delivery: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    nobody = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    dsn = nobody if store == "nobody" else request.getfixturevalue(f"{store}_store_dsn")
    done = subprocess.run(
        [sys.executable, "-m", "tests.interrupts.importing", dsn, delivery],
        cwd=ROOT,
        env={**os.environ, "TRACKING_SPOOL_DIR": str(tmp_path), "TRACKING_QUIET": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_module_is_loaded_aside_and_an_interrupted_caller_leaves_it_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for step in range(1, 1000):
        name = f"loaded_{step}"
        (tmp_path / f"{name}.py").write_text("import threading\nthread = threading.get_ident()\n")
        outcome = at_step(lambda name=name: load(name), step, Late, also="importlib")  # type: ignore[misc]
        load(name)
        assert sys.modules.pop(name).thread != threading.get_ident()
        if not outcome.raised:
            break
    assert step > 10


def test_a_thread_that_ends_before_it_has_done_anything_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, kept, hit = threading.Thread.start, list[object](), list[bool]()
    monkeypatch.setattr(sys, "unraisablehook", kept.append)

    def hit_once(thread: threading.Thread) -> None:
        hit.append(True)
        if len(hit) == 1:
            # As CPython 3.11 raises in a new thread what was meant for the one that starts it.
            raise Late
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", hit_once)
    monkeypatch.setattr(locks, "suppress", lambda *_: nullcontext())
    assert start_thread(threading.Thread(target=lambda: None, daemon=True))
    assert (len(hit), len(kept)) == (2, 1)
