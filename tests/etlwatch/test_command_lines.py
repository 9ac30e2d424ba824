"""One model, four faces: what `Y` copies from a screen is a command that answers what the screen shows."""

import asyncio
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from tests.etlwatch.cli_program import Program
from tests.etlwatch.dashboard import dashboard
from tests.store.stocking import Stock

NOW = datetime.now(UTC).replace(microsecond=0)
JOB = "crm 'sync' [/foo]"

SCREEN_KEYS = {
    "home": ((), JOB),
    "home filtered": (("slash", *"state:failed,lost job:crm*", "enter"), JOB),
    "run": (("enter",), "tonight"),
    "errors of the run": (("enter", "e"), "it broke"),
    "a chart of the run": (("enter", "z"), "/contacts"),
    "two runs": (("enter", "equals_sign"), "/contacts"),
    "charts of all": (("z",), "1h until "),
    "jobs": (("J",), JOB),
    "runs of a job": (("J", "enter"), JOB),
    "all errors": (("E",), "it broke"),
    "the switch": (("T",), "on"),
}


@pytest.fixture
def dsn(sqlite_store_dsn: str) -> str:
    stock = Stock(sqlite_store_dsn)
    for night in (3, 2, 1, 0):
        began = NOW - night * timedelta(days=1) - timedelta(minutes=10)
        run_id = stock.start(began, job=JOB, notes="tonight" if night == 0 else None)
        stock.requests(run_id, [(began, "/contacts", 200, 10, 100 * (4 - night))] * 5)
        if night == 0:
            stock.error(run_id, "it broke", began)
        stock.end(run_id, began + timedelta(minutes=5), status="completed" if night else "failed")
    stock.close()
    return sqlite_store_dsn


@pytest.mark.parametrize(
    "keys", [(), ("enter",), ("enter", "e"), ("enter", "equals_sign"), ("E",), ("J",)], ids=" ".join
)
def test_what_is_copied_in_the_past_answers_for_the_past(
    dsn: str, keys: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    from tracking_core.store import open_store

    then = NOW - timedelta(days=1)

    async def copied() -> str:
        async with dashboard(open_store(dsn), size=(160, 40), store_option=("--dsn", dsn)) as opened:
            opened.app.show_moment(then)
            await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
            await opened.press(*keys, "Y")
            return opened.app.clipboard

    line = asyncio.run(copied())
    answer = Program(capsys)(*shlex.split(line)[1:])
    assert f"--at {then.isoformat()} " in line
    assert answer.status == 0
    # What broke today had not happened yet.
    assert "tonight" not in answer.out
    assert "it broke" not in answer.out


async def test_a_screen_whose_command_knows_no_past_says_so(dsn: str) -> None:
    from tracking_core.store import open_store

    async with dashboard(open_store(dsn), size=(160, 40)) as opened:
        opened.app.show_moment(NOW - timedelta(days=1))
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.looking_back)
        await opened.press("z", "Y")
        assert "shows the present" in opened.toasts


@pytest.mark.parametrize("screen", SCREEN_KEYS)
def test_what_a_screen_copies_answers_what_it_shows(dsn: str, screen: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tracking_core.store import open_store

    keys, told = SCREEN_KEYS[screen]

    async def copied() -> str:
        async with dashboard(open_store(dsn), size=(160, 40), store_option=("--dsn", dsn), may_write=True) as opened:
            await opened.press(*keys)
            await opened.poll()
            await opened.press("Y")
            return opened.app.clipboard

    line = asyncio.run(copied())
    program, *words = shlex.split(line)
    answer = Program(capsys)(*words)
    assert (program, answer.status, answer.err) == ("etlwatch", 0, "")
    assert told in answer.out, line
