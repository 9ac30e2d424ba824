"""Fixtures of the tests of commands: the command line in this process, a store to fill, a demo with little to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from etlwatch.demo import runner
from etlwatch.demo.runner import JobCall
from tests.etlwatch.cli_program import Program
from tests.store.stocking import Stock


@pytest.fixture
def etlwatch(capsys: pytest.CaptureFixture[str]) -> Program:
    """Return the command line, called in this process."""
    return Program(capsys)


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    """Yield a writer into the test's store."""
    filled = Stock(store_dsn)
    yield filled
    filled.close()


@pytest.fixture
def quick_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the same jobs run with little to do and an API that answers at once."""
    monkeypatch.setattr(runner, "API", {**runner.API, "seed": 1, "latency_ms": 0, "retry_after_s": 0})
    (tmp_path / "empty").mkdir()
    once = [
        JobCall(
            module=call.module,
            arguments=(
                *call.arguments,
                *(("--pace", "0") if "--pace" in call.arguments else ()),
                *(("--root", str(tmp_path / "empty")) if call.module.endswith("inventory") else ()),
            ),
            expected_status=call.expected_status,
        )
        for call in runner.ONCE
    ]
    monkeypatch.setattr(runner, "ONCE", tuple(once))
