"""Two clean-ups at once: the second is told that one is under way; one that died keeps nobody waiting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from tests.store.stocking import Stock
from tests.store.test_administration import DAY, NOW, in_small_steps, query
from tracking_core import SimpleETLTracker
from tracking_core.errors import StoreRefused
from tracking_core.store import open_store

BEGUN = """
import sys, os
from dataclasses import replace
from tracking_core.store import open_store
admin = open_store(sys.argv[1]).administration(10.0)
admin.limits = replace(admin.limits, runs=1)
steps = admin.cleanup(30, actor="ben@job")
next(steps)
print("begun", flush=True)
os.kill(os.getpid(), 9)
"""


def stocked(dsn: str, runs: int = 6) -> None:
    stock = Stock(dsn)
    for _ in range(runs):
        stock.finished(NOW - 50 * DAY, NOW - 40 * DAY, requests=3)
    stock.close()


def test_the_second_is_told_who_is_at_it_and_begins_once_that_has_ended(
    store_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    stocked(store_dsn)
    with open_store(store_dsn).administration(10.0) as first, open_store(store_dsn).administration(10.0) as second:
        in_small_steps(first, runs=2)
        steps = first.cleanup(30, actor="ana@bastion")
        assert next(steps) == 2
        with pytest.raises(StoreRefused, match=r"a clean-up by ana@bastion is under way, 2 runs so far"):
            next(second.cleanup(0, actor="ben@job"))
        assert SimpleETLTracker(store_dsn).cleanup_old_runs(30) == 0
        assert "clean-up by ana@bastion is under way" in caplog.text
        assert sum(steps) == 4
        assert sum(second.cleanup(0, actor="ben@job")) == 0
    assert len(query(store_dsn, "SELECT 1 FROM {}audit")) == 2


def test_of_many_at_once_one_removes_and_the_others_are_told(store_dsn: str) -> None:
    stocked(store_dsn, 12)
    together, all_tried = threading.Barrier(4), threading.Barrier(4)
    removed: list[int] = []
    told: list[str] = []

    def clean() -> None:
        with open_store(store_dsn).administration(30.0) as admin:
            in_small_steps(admin, runs=1)
            together.wait(30)
            steps = admin.cleanup(30, actor="ana@bastion")
            try:
                gone = next(steps)
            except StoreRefused as error:
                told.append(str(error))
                all_tried.wait(30)
            else:
                all_tried.wait(30)
                removed.append(gone + sum(steps))

    threads = [threading.Thread(target=clean) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (removed, len(told)) == ([12], 3)


def test_one_that_was_killed_keeps_nobody_waiting(store_dsn: str) -> None:
    stocked(store_dsn)
    died = subprocess.run([sys.executable, "-c", BEGUN, store_dsn], capture_output=True, text=True, check=False)
    assert (died.stdout, died.returncode) == ("begun\n", -9), died.stderr
    with open_store(store_dsn).administration(10.0) as admin:
        assert sum(admin.cleanup(30, actor="ana@bastion")) == 5


@pytest.mark.parametrize(("until", "goes_on"), [(timedelta(minutes=1), True), (-timedelta(seconds=1), False)])
def test_one_on_another_machine_is_believed_until_its_time_is_over(
    store_dsn: str, until: timedelta, goes_on: bool
) -> None:
    stocked(store_dsn, 1)
    with (
        open_store(store_dsn).administration(10.0) as admin,
        open_store(store_dsn).administration(10.0) as other,
    ):
        steps = other.cleanup(30, actor="ben@job")
        next(steps)
        hold = {"machine": "b9/1", "pid": os.getpid(), "until": (datetime.now(UTC) + until).isoformat()}
        detail = json.dumps({"runs": 1, "hold": hold}).replace("{", "{{").replace("}", "}}")
        query(store_dsn, f"UPDATE {{}}audit SET detail = '{detail}'")
        if goes_on:
            with pytest.raises(StoreRefused, match="ben@job"):
                next(admin.cleanup(30, actor="ana@bastion"))
        else:
            assert sum(admin.cleanup(30, actor="ana@bastion")) == 0


def test_it_holds_on_for_as_long_as_it_goes_on(store_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stocked(store_dsn)
    monkeypatch.setattr("tracking_core.store.retention.LEASE_S", 0.0)
    with open_store(store_dsn).administration(10.0) as admin:
        in_small_steps(admin, runs=1)
        steps = admin.cleanup(30, actor="ana@bastion")
        next(steps)
        ((first,),) = query(store_dsn, "SELECT detail FROM {}audit")
        next(steps)
        ((second,),) = query(store_dsn, "SELECT detail FROM {}audit")
    held = [json.loads(each) if isinstance(each, str) else each for each in (first, second)]
    assert held[0]["hold"]["until"] < held[1]["hold"]["until"]
