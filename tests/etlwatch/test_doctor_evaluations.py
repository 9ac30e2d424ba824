"""How the doctor evaluates what it measured: pure functions, each on both sides of its limit."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from etlwatch.doctor import outage_checks, probe, store_checks
from etlwatch.doctor.checks import CheckStatus, Result, brief
from tests.etlwatch.fleet import make_run
from tracking_core.clock import to_microseconds
from tracking_core.delivery.spool_file import SpoolFile
from tracking_core.errors import SchemaNewer
from tracking_core.identity import first_run_id_at
from tracking_core.records import Switch
from tracking_core.store import sql_files
from tracking_core.store.administration import Figures
from tracking_core.store.postgres.administration import Server, SessionState, Strays, TableRights
from tracking_core.store.postgres.store import RECORDING

NOW = datetime(2026, 10, 24, 3, 12, tzinfo=UTC)
OK, WARNING, FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4e-7, "0.4µs"), (3.8e-5, "38µs"), (0.0012, "1.2ms"), (0.023, "23ms"), (2.9, "2.9s")],
)
def test_short_times_are_written_in_the_unit_that_shows_them(seconds: float, text: str) -> None:
    assert brief(seconds) == text


def known() -> tuple[sql_files.Migration, ...]:
    return (
        sql_files.Migration(version=1, name="initial", sql="one"),
        sql_files.Migration(version=2, name="second", sql="two"),
    )


def applied(*versions: int, checksum: str = "") -> list[tuple[int, str, str]]:
    texts = {1: "one", 2: "two"}
    return [
        (
            version,
            "step",
            checksum or sql_files.Migration(version=version, name="", sql=texts.get(version, "")).checksum,
        )
        for version in versions
    ]


def test_tables_of_this_programs_version_pass() -> None:
    assert store_checks.evaluate_schema(applied(1, 2), known(), "db").status == OK


def test_older_tables_are_reported_with_init() -> None:
    result = store_checks.evaluate_schema(applied(1), known(), "db")
    assert result.status == WARNING
    assert "002_second" in result.detail


def test_newer_tables_are_reported_with_an_upgrade_and_much_newer_ones_cannot_be_read() -> None:
    assert "upgrade etlwatch" in store_checks.evaluate_schema(applied(1, 2, 3), known(), "db").detail
    with pytest.raises(SchemaNewer):
        store_checks.evaluate_schema(applied(1, 2, 3, 4, 5), known(), "db")


def test_a_migration_of_another_text_is_found() -> None:
    result = store_checks.evaluate_schema(applied(1, 2, checksum="x"), known(), "db")
    assert result.status == WARNING
    assert "another text" in result.detail


def server(*, in_recovery: bool = False, read_only: bool = False, announced_pid: int = 7) -> Server:
    return Server(
        version="17.2 (Debian)",
        role="job",
        backend_pid=7,
        announced_pid=announced_pid,
        in_recovery=in_recovery,
        read_only=read_only,
        encrypted=False,
    )


def rights(*, delete: bool = True, own: bool = True) -> list[TableRights]:
    return [
        TableRights(
            table=table,
            read=True,
            insert=True,
            update=True,
            delete=delete or table in ("throughput", "batches"),
            own=own,
        )
        for table in RECORDING
    ]


def test_an_owner_may_do_everything() -> None:
    result, no_probe = store_checks.evaluate_rights(server(), rights())
    assert (result.status, result.figure, no_probe) == (OK, "job on PostgreSQL 17.2, owner", "")


@pytest.mark.parametrize("state", ["in_recovery", "read_only"])
def test_a_server_that_takes_no_writes_is_found(state: str) -> None:
    result, no_probe = store_checks.evaluate_rights(server(**{state: True}), rights())
    assert result.status == WARNING
    assert no_probe


def test_a_table_that_is_missing_lacks_every_right() -> None:
    result, no_probe = store_checks.evaluate_rights(server(), [row for row in rights() if row.table != "writers"])
    assert "on writers" in result.detail
    assert no_probe


@pytest.mark.parametrize(("took", "status"), [(0.01, OK), (1.1, WARNING), (5.0, FAILED)])
def test_connecting_is_judged_by_the_deadline(took: float, status: CheckStatus) -> None:
    assert store_checks.evaluate_connect([took] * 3, 5.0).status == status


@pytest.mark.parametrize(("took", "status"), [(0.049, OK), (0.051, WARNING)])
def test_a_long_round_trip_is_found(took: float, status: CheckStatus) -> None:
    assert store_checks.evaluate_round_trip([took] * 3).status == status


@pytest.mark.parametrize(
    ("skew", "uncertainty", "status", "said"),
    [
        (0.0004, 0.001, OK, "no skew"),
        (-1.5, 0.001, OK, "1.5s behind"),
        (3600.0, 0.001, WARNING, "ahead"),
        (2.5, 1.0, OK, "ahead"),
    ],
)
def test_a_skewed_clock_is_reported_beyond_the_uncertainty(
    skew: float, uncertainty: float, status: CheckStatus, said: str
) -> None:
    result = store_checks.evaluate_skew(skew, uncertainty)
    assert result.status == status
    assert said in result.figure


def test_session_state_would_be_found() -> None:
    clean = SessionState(prepared=0, locks=0, channels=0)
    assert store_checks.evaluate_pooler("in between", clean).status == OK
    result = store_checks.evaluate_pooler("in between", SessionState(prepared=2, locks=0, channels=1))
    assert result.status == FAILED
    assert "2 prepared statements, 1 listening channels" in result.figure


def test_a_pooler_announces_a_process_of_its_own() -> None:
    assert not server().behind_pooler
    assert server(announced_pid=99).behind_pooler


def weeks(first: int, last: int) -> list[tuple[int, int]]:
    def bound(week: int) -> int:
        return first_run_id_at(to_microseconds(NOW + timedelta(weeks=week, days=-1)))

    return [(bound(week), bound(week + 1)) for week in range(first, last)]


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (weeks(-5, 104), OK),
        (weeks(-5, 7), WARNING),
        (weeks(-5, 0), FAILED),
        ([], FAILED),
        (weeks(-5, 3) + weeks(4, 104), WARNING),
    ],
)
def test_partitions_reach_no_further_than_a_gap(found: list[tuple[int, int]], status: CheckStatus) -> None:
    result = store_checks.evaluate_partitions(found, NOW)
    assert result.status == status
    assert "init" in result.detail or status == OK


def test_rows_in_the_default_partition_are_found() -> None:
    assert store_checks.evaluate_strays(Strays(requests=0, newest_run_id=None)).status == OK
    many = Strays(requests=store_checks.STRAYS_COUNTED, newest_run_id=first_run_id_at(0))
    result = store_checks.evaluate_strays(many)
    assert result.status == WARNING
    assert result.figure == "100,000+ rows"


@pytest.mark.parametrize(("cells", "status"), [(0, OK), (2_000, OK), (2_001, WARNING), (5_000, WARNING)])
def test_cells_that_nobody_joins_are_found(cells: int, status: CheckStatus) -> None:
    assert store_checks.evaluate_overdue(cells).status == status


def test_live_runs_pass_and_lost_ones_are_a_warning() -> None:
    live = make_run("sync", minutes_ago=5)
    assert store_checks.evaluate_lost([live], NOW).status == OK
    lost = [make_run("sync", minutes_ago=50, number=number, state="lost") for number in range(5)]
    result = store_checks.evaluate_lost([live, *lost], NOW)
    assert (result.status, result.figure) == (WARNING, "5 of 6 running")
    assert "and 2 more" in result.detail


def off(job: str) -> Switch:
    scope = "job" if job else "global"
    return Switch(scope=scope, job=job, enabled=False, changed_at=NOW, changed_by="ana", reason="")


def test_switches_that_are_off_are_found_the_global_one_first() -> None:
    assert store_checks.evaluate_switches([], here=True).status == OK
    assert store_checks.evaluate_switches([off("a"), off("b")], here=True).figure == "off for 2 jobs"
    assert store_checks.evaluate_switches([off("a"), off("")], here=True).figure == "off for all jobs"


def test_a_file_is_private_to_its_owner() -> None:
    assert store_checks.evaluate_modes(0o600, stat.S_IFDIR | 0o755).status == OK
    assert store_checks.evaluate_modes(0o640, stat.S_IFDIR | 0o755).status == WARNING
    assert "directory" in store_checks.evaluate_modes(0o600, stat.S_IFDIR | 0o777).figure
    assert store_checks.evaluate_modes(0o600, stat.S_IFDIR | 0o1777).status == OK


def test_the_file_system_is_that_of_the_nearest_mount_point() -> None:
    mounts = [("/", "ext4"), ("/srv", "nfs4"), ("/srv/local", "xfs")]
    assert store_checks.file_system_of(Path("/srv/etl/tracking.db"), mounts) == "nfs4"
    assert store_checks.file_system_of(Path("/srv/local/tracking.db"), mounts) == "xfs"
    assert store_checks.file_system_of(Path("/srvother/tracking.db"), mounts) == "ext4"
    assert store_checks.file_system_of(Path("/srv/x"), [*mounts, ("/srv", "ext4")]) == "ext4"
    assert store_checks.file_system_of(Path("/x"), []) == ""


@pytest.mark.parametrize(
    ("kind", "free", "status"),
    [("ext4", 1 << 40, OK), ("nfs4", 1 << 40, WARNING), ("fuse.sshfs", 1 << 40, WARNING), ("ext4", 1 << 20, WARNING)],
)
def test_a_network_disk_and_a_full_one_are_found(kind: str, free: int, status: CheckStatus) -> None:
    assert store_checks.evaluate_file_system(kind, free).status == status


def figures(**changes: int) -> Figures:
    counted = dict.fromkeys(("raw", "distinct", "by_endpoint", "over_time", "on_run", "of_all_runs"), 20)
    return Figures(**{**counted, "in_ledgers": 21, **changes})


def test_a_run_passes_when_every_table_counts_the_same() -> None:
    assert probe.evaluate_run(figures(), 20, "1ms a call").status == OK


@pytest.mark.parametrize(
    "table", ["raw", "distinct", "by_endpoint", "over_time", "on_run", "of_all_runs", "in_ledgers"]
)
def test_a_table_that_counts_otherwise_is_named(table: str) -> None:
    result = probe.evaluate_run(figures(**{table: 19}), 20, "1ms a call")
    assert result.status == FAILED
    words = {"in_ledgers": "ledger", "on_run": "on the run"}
    assert f"{words.get(table, table.replace('_', ' '))} 1" in result.figure


@pytest.mark.parametrize(("took", "status"), [(0.002, OK), (5.1, WARNING)])
def test_a_heartbeat_that_takes_half_its_interval_is_a_warning(took: float, status: CheckStatus) -> None:
    assert probe.evaluate_heartbeat(took, 10.0).status == status


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (outage_checks.evaluate_deadline(0.74), OK),
        (outage_checks.evaluate_deadline(0.76), FAILED),
        (outage_checks.evaluate_breaker([0.0005, 0.0005, 0.2]), OK),
        (outage_checks.evaluate_breaker([0.001, 0.001, 0.001]), FAILED),
        (outage_checks.evaluate_buffered(0.001, [1e-6] * 1999 + [0.2]), OK),
        (outage_checks.evaluate_buffered(0.051, [1e-6] * 2000), FAILED),
        (outage_checks.evaluate_buffered(0.001, [1e-6] * 1990 + [0.006] * 10), FAILED),
    ],
)
def test_limits_of_what_an_unreachable_store_costs_a_job(result: Result, status: CheckStatus) -> None:
    assert result.status == status


GIB = 1 << 30


@pytest.mark.parametrize(
    ("mode", "disk", "writable", "status"),
    [
        (0o700, (100 * GIB, 90 * GIB, 10 * GIB), True, OK),
        (0o700, (100 * GIB, 96 * GIB, 4 * GIB), True, WARNING),
        (0o777, (100 * GIB, 90 * GIB, 10 * GIB), True, WARNING),
        (0o700, (100 * GIB, 90 * GIB, 10 * GIB), False, FAILED),
    ],
)
def test_the_spool_is_private_writable_and_has_room(
    mode: int, disk: tuple[int, int, int], writable: bool, status: CheckStatus
) -> None:
    assert outage_checks.evaluate_spool(Path("/spool"), mode, disk, writable=writable).status == status


def spooled(**changes: object) -> SpoolFile:
    given = {"path": Path("/x"), "store": "db", "bytes": 9, "batches": 3, "age_s": 60.0, "in_use": False, **changes}
    return SpoolFile(**given)  # type: ignore[arg-type]


def test_spooled_batches_pass_while_their_process_runs() -> None:
    assert outage_checks.evaluate_spooled([spooled(in_use=True)], "db").status == OK
    assert outage_checks.evaluate_spooled([spooled()], "db").status == WARNING
    assert outage_checks.evaluate_spooled([spooled(store="other")], "db").status == OK
    assert outage_checks.evaluate_spooled([spooled(in_use=True, rejected=2)], "db").status == WARNING
