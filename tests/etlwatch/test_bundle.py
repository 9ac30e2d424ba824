"""A run in one file: it answers as its store did, of whatever kind, and stands still at the moment it was made."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from etlwatch.analysis.snapshot import RunDetails, Snapshot
from etlwatch.cli.connect import find_run
from etlwatch.reading import bundle as bundling
from etlwatch.reading.bundle import bundle_run, file_name, location_of
from etlwatch.reading.gatherer import AskedJobs, AskedRuns, Gatherer, Watch
from tests.etlwatch.cli_program import MAIN, PROJECT, Program
from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.fleet import make_run
from tests.etlwatch.looking_back import read_as_of
from tests.store.stocking import WRITER_ID, Stock
from tests.support.peek import peek
from tests.support.terminal import Terminal
from tracking_core import SimpleETLTracker
from tracking_core.clock import to_microseconds
from tracking_core.errors import StoreRefused
from tracking_core.histogram import unpack
from tracking_core.identity import first_run_id_at
from tracking_core.records import Bundle
from tracking_core.requests import RequestRow, tally
from tracking_core.store import open_store
from tracking_core.store.queries import Reader

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
PASSWORD = "hunter2"


@pytest.fixture
def stock(store_dsn: str) -> Iterator[Stock]:
    """A store with the past of a job, and another job beside it."""
    filled = Stock(store_dsn)
    for night in range(40, 0, -1):
        began = NOW - night * DAY
        run_id = filled.start(began, job="crm", notes=f"night {night}")
        filled.requests(run_id, [(began + n * MINUTE, f"/{n % 3}", 200, 10, 100 + n) for n in range(6)])
        filled.phase(run_id, "load", began, position=1, status="completed", counters={"rows": {"processed": 5}})
        filled.source_count(run_id, "contacts", 60, began)
        if night % 9 == 0:
            filled.error(run_id, f"night {night} broke", began + MINUTE)
        filled.end(run_id, began + (8 + night % 3) * MINUTE, status="failed" if night % 7 == 0 else "completed")
    other = filled.start(NOW - DAY, job="ads", notes="of another job")
    filled.error(other, "broken elsewhere", NOW - DAY)
    filled.end(other, NOW - DAY + MINUTE, status="failed")
    with filled.store.administration(5) as admin:
        admin.set_switch(enabled=False, job="ads", actor="ana", reason="not ours")
        admin.set_switch(enabled=True, job="crm", actor="ana", reason="on again")
    yield filled
    filled.close()


def begin(stock: Stock, at: datetime, *, throttled: bool = False, heartbeat_interval_s: float = 10) -> int:
    """A run with something on every tab."""
    run_id = stock.start(
        at, job="crm", notes="tonight", tags={"team": "crm"}, heartbeat_interval_s=heartbeat_interval_s
    )
    rows = tuple(
        RequestRow(
            run_id=run_id,
            seq=1_000 + n,
            at_us=to_microseconds(at + timedelta(seconds=20 * n)),
            endpoint="/contacts",
            page_offset=100 * n if n != 3 else 900,
            page_limit=100,
            status=429 if throttled and n % 2 else 500 if n == 5 else 200,
            items=100,
            duration_ms=50 * n,
            throttled=throttled and n % 2 == 1,
            error="reset" if n == 5 else None,
        )
        for n in range(30)
    )
    stock.write(requests=rows, cells=tally(rows))
    stock.phase(run_id, "extract", at, position=1, status="completed", counters={"rows": {"total": 9, "processed": 9}})
    stock.phase(run_id, "load", at + MINUTE, position=2, counters={"rows": {"total": 90, "processed": 5}}, memory_mb=80)
    stock.source_count(run_id, "contacts", 3_000, at)
    stock.error(run_id, "broken", at + MINUTE)
    stock.error(run_id, "broken again", at + 2 * MINUTE)
    stock.ledger(run_id, emitted=40, dropped=1, overhead={"calls": 40, "cpu_ms": 3.5, "worst_us": 80})
    return run_id


def failed(stock: Stock) -> int:
    run_id = begin(stock, NOW - 30 * MINUTE)
    stock.end(run_id, NOW - 10 * MINUTE, status="failed", duration_ms=1_200_345)
    return run_id


def old(stock: Stock) -> int:
    """A run with as many successes after it as before it."""
    run_id = begin(stock, NOW - 20 * DAY - MINUTE)
    stock.end(run_id, NOW - 20 * DAY + 10 * MINUTE)
    return run_id


def stalled(stock: Stock) -> int:
    """One that lives, and is answered 429 now and then."""
    run_id = begin(stock, NOW - 13 * MINUTE, throttled=True)
    stock.beat(run_id)
    return run_id


def lost(stock: Stock) -> int:
    """One of several runs that went silent together."""
    others = [
        stock.start(NOW - 3 * 60 * MINUTE, job=job, notes="beside it", heartbeat_interval_s=0.001)
        for job in ("ads", "shop", "mail")
    ]
    run_id = begin(stock, NOW - 30 * MINUTE, heartbeat_interval_s=0.001)
    stock.beat(run_id, *others)
    return run_id


@dataclass
class Made:
    """A run in its store, and the bundle of it."""

    store: Reader
    file: Reader
    path: Path
    run_id: int
    state: str
    about: Bundle


RUNS_ON_STORES = pytest.mark.parametrize(
    ("store_dsn", "state"),
    [("sqlite", "failed"), ("postgres", "incomplete"), ("sqlite", "stalled"), ("postgres", "lost")],
    indirect=["store_dsn"],
)
RUNS = {"failed": failed, "incomplete": old, "stalled": stalled, "lost": lost}


@pytest.fixture
def made(state: str, stock: Stock, tmp_path: Path) -> Iterator[Made]:
    run_id = RUNS[state](stock)
    path = tmp_path / "night.etlwatch"
    with stock.store.reader(5) as store:
        bundle_run(store, lambda view: find_run(view, str(run_id)), path, source=stock.store.label)
        with open_store(location_of(path)).reader(5) as file:
            about = file.bundle  # type: ignore[attr-defined]
            # The store's clock has gone on; for the comparison it stands where the bundle's does.
            store.at = about.made_at  # type: ignore[attr-defined]
            yield Made(store, file, path, run_id, state, about)


def told_of(snapshot: Snapshot, run_id: int) -> dict[str, Any]:
    """Return all that screens are told of one run."""
    (run,) = (run for run in snapshot.runs if run.run_id == run_id)
    return {
        "now": snapshot.at,
        "run": run,
        "findings": snapshot.findings.get(run_id),
        "past": snapshot.baselines.get(run.job),
        "outage": snapshot.outage,
        "phases": snapshot.phases.get(run_id),
        "percentiles": snapshot.percentiles.get(run_id),
        "rates": snapshot.rates.get(run_id),
        "last error": snapshot.last_errors.get(run_id),
        "new errors": run_id in snapshot.new_errors,
        "kinds": snapshot.kinds.get(run_id),
        "doubts": snapshot.doubts.get(run_id),
        **{f"its {field.name}": getattr(snapshot.details, field.name) for field in fields(RunDetails)},
        "board": snapshot.board,
        "switches": [switch for switch in snapshot.switches if switch.job in ("", run.job)],
    }


@RUNS_ON_STORES
def test_every_screen_of_a_run_is_told_what_its_store_told_it(made: Made) -> None:
    watch = Watch(columns=0, open_run=made.run_id, board=AskedRuns(after=made.run_id, before=None))
    store, file = (told_of(Gatherer().read(reader, watch), made.run_id) for reader in (made.store, made.file))
    assert file["run"].state == made.state
    assert (file["outage"] is not None) == (made.state == "lost")
    for part, told in store.items():
        assert file[part] == told, part
    assert file["its coverage"]
    assert file["its kinds"]
    assert file["board"].before is not None


@RUNS_ON_STORES
def test_its_job_stands_as_it_stood_in_the_store(made: Made) -> None:
    watch = Watch(columns=0, board=AskedJobs())
    boards = [Gatherer().read(reader, watch).board for reader in (made.store, made.file)]
    crm = [next(each for each in board.histories if each.job == "crm") for board in boards]  # type: ignore[union-attr]
    assert crm[0] == crm[1]


@RUNS_ON_STORES
def test_the_past_of_a_run_can_be_looked_at_as_in_its_store(made: Made) -> None:
    run = made.file.run(made.run_id)
    assert run is not None
    for minutes in (1, 3, 7, 25):
        moment = run.started_at + minutes * MINUTE
        watch = Watch(columns=0, open_run=made.run_id)
        store, file = (told_of(read_as_of(reader, watch, moment), made.run_id) for reader in (made.store, made.file))
        for part, told in store.items():
            assert file[part] == told, (minutes, part)


@RUNS_ON_STORES
def test_a_bundle_says_what_it_is_about_and_stands_still(made: Made) -> None:
    assert (made.about.run_id, made.file.now(), made.file.now()) == (
        made.run_id,
        made.about.made_at,
        made.about.made_at,
    )
    assert PASSWORD not in made.about.source


@RUNS_ON_STORES
def test_of_other_runs_only_what_is_shown_of_them_is_in_it(made: Made) -> None:
    dsn = location_of(made.path).dsn
    assert peek(dsn, "SELECT DISTINCT run_id FROM tracking.requests") == [(made.run_id,)]
    assert peek(dsn, f"SELECT count(*) FROM tracking.errors WHERE run_id != {made.run_id} AND traceback != ''") == [
        (0,)
    ]
    others = "SELECT count(*) FROM tracking.runs WHERE job != 'crm' AND (notes IS NOT NULL OR command != '')"
    assert peek(dsn, others) == [(0,)]
    assert peek(dsn, "SELECT DISTINCT job FROM tracking.switches") == [("crm",)]
    assert peek(dsn, "SELECT DISTINCT json_extract(detail, '$.job') FROM audit") == [("crm",)]


@RUNS_ON_STORES
def test_the_sums_of_a_bundle_are_those_of_the_runs_in_it(made: Made) -> None:
    dsn = location_of(made.path).dsn
    (together,) = peek(dsn, "SELECT sum(requests), sum(failed), sum(items), sum(duration_ms) FROM tracking.throughput")
    assert [together] == peek(dsn, "SELECT sum(requests), sum(failed), sum(items), sum(duration_ms) FROM run_series")


@RUNS_ON_STORES
def test_a_bundle_is_one_sound_file_for_its_owner_alone_and_nothing_is_left_beside_it(made: Made) -> None:
    assert [path.name for path in made.path.parent.iterdir() if "night" in path.name] == ["night.etlwatch"]
    assert made.path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(f"file:{made.path}?mode=ro&immutable=1", uri=True)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@RUNS_ON_STORES
def test_nobody_writes_to_a_bundle(made: Made) -> None:
    store = open_store(location_of(made.path))
    before = made.path.read_bytes()
    for connect in (store.writer, store.administration):
        with pytest.raises(StoreRefused, match="is a bundle"):
            connect(5)
    tracker = SimpleETLTracker(location_of(made.path).dsn)
    tracker.end_run(tracker.start_run(), True)
    assert made.path.read_bytes() == before


def test_requests_are_read_to_the_last_whatever_a_page_holds(
    stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etlwatch.reading.bundle.PAGE", 7)
    run_id = failed(stock)
    other = Stock(stock.store.location.dsn, writer_id=WRITER_ID - 1)  # type: ignore[attr-defined]
    other.requests(run_id, [(NOW, "/more", 200, 1, 1)] * 10)
    other.close()
    path = tmp_path / "run.etlwatch"
    with stock.store.reader(5) as reader:
        made = bundle_run(reader, lambda view: find_run(view, str(run_id)), path, source="here")
    assert made.requests == 40
    assert peek(location_of(path).dsn, "SELECT count(*), count(DISTINCT writer_id) FROM requests") == [(40, 2)]


# -- what is in the texts


def with_secrets(stock: Stock) -> int:
    """A run recorded by a program that masks nothing."""
    secret = f"password={PASSWORD}"
    run_id = first_run_id_at(to_microseconds(NOW - MINUTE)) + 99
    tags = {"token": PASSWORD, "team": "crm"}
    start = stock.run_start(run_id, to_microseconds(NOW - MINUTE), job="crm", notes=secret, tags=tags)
    stock.write(starts=(replace(start, command=secret),))
    stock.requests(run_id, [(NOW - MINUTE, f"/x?key={PASSWORD}{n}", 500, 1, 10) for n in range(8)])
    stock.error(run_id, secret, NOW - MINUTE)
    stock.end(run_id, NOW, status="failed")
    with stock.store.administration(5) as admin:
        admin.set_switch(enabled=True, job="crm", actor="ana", reason=f"token={PASSWORD}")
    return run_id


@pytest.mark.parametrize("text", ["none", "redacted", "all"])
def test_texts_are_kept_as_far_as_that_is_asked_for(
    stock: Stock, tmp_path: Path, text: Literal["none", "redacted", "all"]
) -> None:
    run_id = with_secrets(stock)
    path = tmp_path / "run.etlwatch"
    with stock.store.reader(5) as reader:
        bundle_run(reader, lambda view: find_run(view, str(run_id)), path, source="here", text=text)
    assert (PASSWORD.encode() in path.read_bytes()) == (text == "all")
    with open_store(location_of(path)).reader(5) as file:
        run, (error,), endpoints = file.run(run_id), file.errors(run_id), file.endpoints(run_id)
        requests = file.requests(run_id, 100)
    assert run is not None
    kept = {"none": "", "redacted": "password=***", "all": f"password={PASSWORD}"}[text]
    assert (run.notes, run.command, error.message) == (kept, kept, kept)
    tags = {"none": {}, "redacted": {"token": "***", "team": "crm"}, "all": {"token": PASSWORD, "team": "crm"}}[text]
    assert run.tags == tags
    assert (run.job, run.requests, len(requests)) == ("crm", 8, 8)
    assert sum(each.requests for each in endpoints) == sum(each.failed for each in endpoints) == 8
    assert len(endpoints) == (8 if text == "all" else 1)
    assert all(sum(unpack(each.histogram).values()) == each.requests for each in endpoints)


# -- as commands


@pytest.fixture
def bundled(etlwatch: Program, stock: Stock, store_dsn: str, tmp_path: Path) -> tuple[str, Path]:
    """Return the id of a run and the bundle that the command made of it."""
    failed(stock)
    path = tmp_path / "with space.etlwatch"
    answer = etlwatch("bundle", "crm@latest", str(path), "--dsn", store_dsn)
    assert (answer.status, answer.out) == (0, "")
    assert answer.err.startswith("bundled ")
    assert "30 requests, 40 more runs of its job" in answer.err
    return answer.err.split()[1], path


@pytest.mark.parametrize("question", ["show", "errors", "compare"])
def test_commands_answer_from_a_bundle_as_from_its_store(
    etlwatch: Program, bundled: tuple[str, Path], store_dsn: str, question: str
) -> None:
    run_id, path = bundled
    asked = (question, run_id, "--format", "json")
    store, file = (etlwatch(*asked, "--dsn", dsn) for dsn in (store_dsn, f"sqlite:///{path}"))
    assert (file.status, file.out) == (store.status, store.out)
    assert json.loads(file.out)


def test_what_a_bundle_has_no_room_for_is_told(
    etlwatch: Program, stock: Stock, store_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost(stock)
    to = ("bundle", "crm@latest", "--dsn", store_dsn, "--overwrite", str(tmp_path / "run"))
    assert "in it are" not in etlwatch(*to).err
    monkeypatch.setattr(bundling, "MOST_LIVE", 2)
    monkeypatch.setattr(bundling, "MOST_ERRORS", 1)
    assert "in it are 1 of 2 errors, the newest 1 of 7 errors of these kinds, 2 of 3 living runs" in etlwatch(*to).err
    for _ in range(3):
        stock.end(stock.start(NOW - 2 * DAY, job="crm"), NOW - DAY, status="failed")
    monkeypatch.setattr(bundling, "STARTS_AT_MOST", 1)
    monkeypatch.setattr(bundling, "RUNS_SHOWN", 1)
    assert " of 43 other runs of its job" in etlwatch(*to).err


def test_a_bundle_has_every_audit_entry_of_its_run_however_many_others_there_are(
    etlwatch: Program, stock: Stock, store_dsn: str, tmp_path: Path
) -> None:
    lost(stock)
    path = tmp_path / "run"
    with stock.store.administration(5.0) as administration:
        for number in range(1_200):
            administration.set_switch(enabled=bool(number), job="other" if number else "crm", actor="ana", reason="r")
    assert etlwatch("bundle", "crm@latest", "--dsn", store_dsn, str(path)).status == 0
    with open_store(f"sqlite:///{path}").reader(5.0) as reader:
        assert {entry.detail["job"] for entry in reader.audit()} == {"crm"}


def test_open_without_a_terminal_prints_the_run(etlwatch: Program, bundled: tuple[str, Path], store_dsn: str) -> None:
    run_id, path = bundled
    answer = etlwatch("open", str(path))
    assert (answer.status, answer.out) == (0, etlwatch("show", run_id, "--dsn", store_dsn).out)


def test_a_file_that_is_there_is_not_taken_the_place_of_unless_that_is_asked_for(
    etlwatch: Program, bundled: tuple[str, Path], store_dsn: str
) -> None:
    run_id, path = bundled
    before = path.read_bytes()
    refused = etlwatch("bundle", run_id, str(path), "--dsn", store_dsn)
    assert refused.status == 1
    assert refused.complaint.endswith("nothing was written: name another file, or --overwrite to take its place")
    assert path.read_bytes() == before
    assert etlwatch("bundle", "crm@latest", str(path), "--dsn", store_dsn, "--overwrite").status == 0


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("bundle", "nothing@latest", "FILE"), 1, "no run of the job 'nothing'"),
        (("bundle", "crm@latest", "no/such/directory/FILE"), 3, "does not exist"),
        (("open", "FILE"), 3, "does not exist"),
        (("open", "tracking.db"), 1, "is no bundle but a store of its own"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_and_leaves_nothing(
    etlwatch: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], status: int, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    stock = Stock("sqlite:///tracking.db")
    failed(stock)
    stock.close()
    answer = etlwatch(*words, *(("--dsn", "sqlite:///tracking.db") if words[0] == "bundle" else ()))
    assert answer.status == status
    assert told in answer.complaint
    assert [path.name for path in tmp_path.iterdir() if "FILE" in path.name] == []


@pytest.mark.parametrize(
    "operation",
    [
        ("close", "crm@latest"),
        ("tracking", "off", "--all", "--reason", "x"),
        ("cleanup", "--older-than", "0d", "--yes"),
    ],
)
def test_a_bundle_is_not_changed_by_any_command(
    etlwatch: Program, bundled: tuple[str, Path], operation: tuple[str, ...]
) -> None:
    _, path = bundled
    before = path.read_bytes()
    answer = etlwatch(*operation, "--dsn", f"sqlite:///{path}")
    assert answer.status in (1, 3)
    assert path.read_bytes() == before


# -- the dashboard


@RUNS_ON_STORES
async def test_the_dashboard_opens_the_run_as_of_then(made: Made) -> None:
    store = open_store(location_of(made.path))
    still = {"as_of": made.about.made_at, "first_run": made.run_id, "zone": UTC}
    async with dashboard(store, size=(120, 30), **still) as opened:
        await opened.until(lambda: opened.app.shown is not None and opened.app.shown.details is not None)
        await opened.pilot.pause()
        assert type(opened.app.screen).__name__ == "RunScreen"
        assert f"as of {made.about.made_at:%Y-%m-%d %H:%M:%S}" in opened.lines()[0]
        assert opened.app.clock_now() == made.about.made_at
        await opened.press("escape")
        assert "crm" in opened.text


def bundles_in(directory: Path) -> list[Path]:
    return list(directory.glob("crm-*.etlwatch"))


async def test_a_key_on_a_run_bundles_it_beside_where_the_dashboard_was_started(
    stock: Stock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_id = failed(stock)
    async with dashboard(stock.store, size=(120, 30)) as opened:
        await opened.press("enter", "B")
        await opened.until(lambda: "bundled: etlwatch open " in opened.toasts)
        (path,) = bundles_in(tmp_path)
        assert str(path) in opened.toasts
        await opened.press("B")
        await opened.until(lambda: "is there already" in opened.toasts)
    with open_store(location_of(path)).reader(5) as reader:
        assert reader.bundle.run_id == run_id  # type: ignore[attr-defined]


def test_a_bundle_is_named_as_files_may_be() -> None:
    run = replace(make_run(job="../crm sync/日本:*"), run_id=2**62)
    assert file_name(run) == "crm-sync-000000.etlwatch"
    assert file_name(replace(run, job="日本")) == "run-000000.etlwatch"


def test_open_at_a_terminal_shows_the_run_and_capital_q_leaves(bundled: tuple[str, Path]) -> None:
    _, path = bundled
    command = [sys.executable, "-c", MAIN, "open", str(path)]
    with Terminal(command, columns=120, lines=30, environment={"PYTHONPATH": str(PROJECT)}) as terminal:
        terminal.wait_for("tonight")
        terminal.wait_for("as of")
        terminal.press("Q")
        assert terminal.wait_for_exit() == 0
