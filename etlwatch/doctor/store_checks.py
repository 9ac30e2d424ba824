"""Checks of the store: version, rights, response times, clock, pooler, its file, and what has accumulated in it."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

from etlwatch.doctor.checks import Check, Result, Target, brief, failed, noted, ok, skipped, warning
from etlwatch.text.numbers import bytes_, duration, number_of, span, stamp
from tracking_core.clock import from_microseconds, to_microseconds
from tracking_core.config import enabled_by, settings
from tracking_core.dataclass import replace
from tracking_core.errors import SchemaNewer, StoreRefused, StoreUnavailable
from tracking_core.identity import first_run_id_at, format_run_id, run_time_us
from tracking_core.records import Run, Switch
from tracking_core.store import sql_files
from tracking_core.store.administration import PROBE_JOB
from tracking_core.store.postgres.administration import Server, SessionState, Strays, TableRights
from tracking_core.store.postgres.store import RECORDING, WORDS
from tracking_core.store.sql_files import check_readable, pending

CONNECTS = 5
PINGS = 20
QUERIES = 10
"""More than the number after which psycopg prepares a statement by default."""

SLOW_CONNECT_SHARE = 0.2
"""Of the deadline: beyond this, a short load peak is enough to miss it."""

SLOW_PING_S = 0.05
SKEW_S = 2.0

REMOVED_FROM = (
    "runs", "requests", "run_endpoints", "run_series", "throughput", "phases", "phase_series", "source_counts",
    "errors", "batches", "writers",
)  # fmt: skip
"""Tables that hold rows of a probe, and from which a clean-up removes rows."""

PARTITIONS_AHEAD = timedelta(weeks=8)
"""With less than this ahead it is time for `init`."""

STRAYS_COUNTED = 100_000
OVERDUE_COUNTED = 5_000
MANY_OVERDUE = 2_000
"""A few hours without writes leave fewer cells than this: more means that nobody joins them."""

NAMED_RUNS = 3

LEAST_FREE_BYTES = 1 << 30
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs",
    }
)  # fmt: skip
"""File systems of several machines, on which the write-ahead log's shared memory does not work."""


def check_settings(target: Target) -> Result:
    """Return how a job started from this environment delivers; fail on settings that cannot be read."""
    # The tracker's defaults, which the environment overrides.
    found = settings(
        delivery="immediate", overload="aggregate", deadline=5.0, heartbeat_interval=10.0, environ=target.environ
    )
    target.deadline = found.deadline
    by_environment = bool(target.environ.get("TRACKING_DELIVERY", "").strip())
    where = "by the environment" if by_environment else "unless the job sets it"
    return ok(f"{found.delivery} {where}, deadline {found.deadline:g} s", value=found.deadline, unit="s")


def check_store(target: Target) -> Result:
    """Connect, and compare the version of the tables with this program's."""
    path = target.location.path
    if path is not None:
        from tracking_core.store.sqlite.reader import without_file

        if without_file(target.location):
            target.absent = target.no_probe = "no job has created the file yet"
            return ok("does not exist yet; the first job creates it")
    elif wrong := _check_encoding(target):
        return wrong
    with target.examiner() as examiner:
        versions = examiner.versions()
    schema = evaluate_schema(versions, sql_files.migrations(target.location.kind), target.location.label)
    return schema if path is None else replace(schema, figure=f"{schema.figure}, {bytes_(path.stat().st_size)}")


def _check_encoding(target: Target) -> Result | None:
    """Return a failure where the database's encoding lacks characters that jobs record, else None."""
    from tracking_core.store.postgres.connection import ENCODING

    with target.postgres() as examiner:
        encoding = examiner.encoding
    if encoding in ("", ENCODING):
        return None
    detail = f"Rows with other characters stay in the spool: create the database with ENCODING '{ENCODING}'."
    return failed(f"the encoding is {encoding}, not {ENCODING}", detail)


def evaluate_schema(
    applied: Sequence[tuple[int, str, str]], known: tuple[sql_files.Migration, ...], label: str
) -> Result:
    """Compare applied migrations with this program's; raise SchemaNewer for tables that it cannot read."""
    newest = max((version for version, _, _ in applied), default=0)
    check_readable(newest, known[-1].version, label)
    figure = f"schema {newest} of {known[-1].version}"
    try:
        todo = pending(known, applied, label)
    except SchemaNewer:
        return warning(figure, "The tables are newer than this program: upgrade etlwatch.", value=newest)
    except StoreRefused as error:
        return warning(figure, str(error), value=newest)
    if todo:
        names = ", ".join(f"{step.version:03d}_{step.name}" for step in todo)
        return warning(figure, f"`etlwatch init` would apply {names}; until then newer columns stay empty.")
    return ok(f"schema {newest}", value=newest)


def check_role(target: Target) -> Result:
    """Return the role or user, and whether it may write."""
    path = target.location.path
    if path is not None:
        if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
            return ok("may write")
        target.no_probe = target.no_probe or "this user may not write"
        return warning("may not write the file or its directory", "Jobs of this user record nothing here.")
    with target.postgres() as examiner:
        server, rights = examiner.server(), examiner.rights()
    lag = ""
    if server.in_recovery:
        with target.store().reader(target.patience) as reader:
            reader.now()
            behind = reader.behind_s
        lag = ", lag unknown" if behind is None else f" {duration(behind)} behind its primary"
    result, no_probe = evaluate_rights(server, rights, lag)
    target.no_probe = target.no_probe or no_probe
    return result


def evaluate_rights(server: Server, rights: Sequence[TableRights], lag: str = "") -> tuple[Result, str]:
    """Compare a role's rights with those needed; return the result, and why no probe may be written ('' if one may)."""
    who = f"{server.role} on PostgreSQL {server.version.partition(' ')[0]}"
    if server.in_recovery or server.read_only:
        why = "a standby" if server.in_recovery else "read-only by its settings"
        return warning(f"{who}, {why}{lag}", "Jobs that are sent here record nothing."), f"the server is {why}"
    granted = {
        table.table: {
            letter
            for letter, has in zip("SIUD", (table.read, table.insert, table.update, table.delete), strict=True)
            if has
        }
        for table in rights
    }
    missing = [
        f"{word} on {table}"
        for table, letters in RECORDING.items()
        for letter, word in WORDS.items()
        if letter in letters and letter not in granted.get(table, set())
    ]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        detail = f"Missing: {', '.join(missing[:3])}{more}. Jobs with this role record nothing."
        return warning(f"{who}, cannot record", detail), "this role may not record"
    kept = [table for table in REMOVED_FROM if "D" not in granted.get(table, set())]
    if kept:
        detail = f"It may not delete rows of {', '.join(kept)}: a clean-up needs another role."
        return ok(f"{who}, records, cannot clean up", detail), "this role could not remove it again"
    owner = all(table.own for table in rights)
    detail = "" if owner else "It owns no tables: `init` needs another role, and a clean-up deletes rows in batches."
    return ok(f"{who}, {'owner' if owner else 'records'}{', encrypted' if server.encrypted else ''}", detail), ""


def check_connect(target: Target) -> Result:
    """Connect several times, as immediate delivery does for each call."""
    took = []
    for _ in range(CONNECTS):
        began = time.monotonic()
        with target.store().reader(target.patience):
            took.append(time.monotonic() - began)
    return evaluate_connect(took, target.deadline)


def evaluate_connect(took: Sequence[float], deadline: float) -> Result:
    """Compare connection times with a job's deadline, both in seconds."""
    typical, worst = median(took), max(took)
    figure = f"p50 {brief(typical)}, worst {brief(worst)} of {deadline:g} s allowed"
    value = round(typical * 1000, 3)
    if worst >= deadline:
        detail = "Calls of immediate delivery go to the spool: raise the deadline, or use buffered delivery."
        return failed(figure, detail, value=value, unit="ms")
    slow = "Immediate delivery connects for each call; buffered delivery keeps one connection."
    return noted(figure, slow if typical > deadline * SLOW_CONNECT_SHARE else "", value=value, unit="ms")


def _pings(target: Target) -> list[tuple[float, float]]:
    """Return pairs of (round trip, the store's clock minus ours at its middle), in seconds."""
    found = []
    with target.store().reader(target.patience) as reader:
        for _ in range(PINGS):
            before_us, began = time.time_ns() // 1000, time.monotonic()
            there_us = to_microseconds(reader.now()) + round((reader.behind_s or 0.0) * 1_000_000)
            took = time.monotonic() - began
            found.append((took, (there_us - before_us) / 1e6 - took / 2))
    return found


def check_round_trip(target: Target) -> Result:
    """Send a small query several times over one connection."""
    return evaluate_round_trip([took for took, _ in _pings(target)])


def evaluate_round_trip(took: Sequence[float]) -> Result:
    """Evaluate response times in seconds."""
    typical = median(took)
    figure = f"p50 {brief(typical)}, worst {brief(max(took))}"
    slow = "Every call of immediate delivery waits for a few of these; buffered delivery for none."
    return noted(figure, slow if typical > SLOW_PING_S else "", value=round(typical * 1000, 3), unit="ms")


def check_clock(target: Target) -> Result:
    """Compare this machine's clock with the store's."""
    # The shortest round trip has the least uncertainty: the clock was read somewhere within it.
    took, skew = min(_pings(target))
    return evaluate_skew(skew, took / 2)


def evaluate_skew(skew: float, uncertainty: float) -> Result:
    """Evaluate how far the store's clock is ahead of ours, in seconds."""
    size = abs(skew)
    value = round(skew, 4)
    if size <= uncertainty:
        return ok(f"no skew (± {brief(uncertainty)})", value=value, unit="s")
    figure = f"the store is {brief(size)} {'ahead' if skew > 0 else 'behind'}"
    detail = "States, ages and durations stay right; comparing by the wall clock does not."
    return noted(figure, detail if size - uncertainty > SKEW_S else "", value=value, unit="s")


def check_pooler(target: Target) -> Result:
    """Detect a pooler, and session state that a pooler would pass on to other clients."""
    with target.postgres() as first:
        server = first.server()
        state = first.session_after(QUERIES)
        if not server.behind_pooler:
            return evaluate_pooler("none in between", state)
        try:
            # Two client connections on one server connection: it is passed on between transactions.
            with target.postgres() as second:
                shared = second.server().backend_pid == first.server().backend_pid
        except StoreUnavailable:
            detail = (
                "A job's writer and heartbeat and a dashboard need one each: use transaction mode or a larger pool."
            )
            return failed("in between, session mode with room for one connection", detail)
    return evaluate_pooler("in between, transaction mode" if shared else "in between", state)


def evaluate_pooler(where: str, state: SessionState) -> Result:
    """Evaluate the session state after some queries; none is expected."""
    held = {
        "prepared statements": state.prepared,
        "advisory locks": state.locks,
        "listening channels": state.channels,
    }
    left = ", ".join(f"{number} {what}" for what, number in held.items() if number > 0)
    if left:
        return failed(f"{where}; {left} left", "A pooler in transaction mode would pass these on to other clients.")
    return ok(f"{where}; no session state is needed")


def check_partitions(target: Target) -> Result:
    """Return how far ahead the weekly partitions reach."""
    with target.postgres() as examiner:
        ranges = examiner.partitions()
    with target.store().reader(target.patience) as reader:
        now = reader.now()
    return evaluate_partitions(ranges, now)


def evaluate_partitions(ranges: Sequence[tuple[int, int]], now: datetime) -> Result:
    """Evaluate the run ids [from, to) of the weekly partitions, up to the first gap from now on."""
    here = reach = first_run_id_at(to_microseconds(now))
    for first, after_last in sorted(ranges):
        if first <= reach < after_last:
            reach = after_last
    if reach <= here:
        detail = "New requests go to a default partition, which a clean-up cannot drop: run `etlwatch init`."
        return failed("none for this week", detail, value=0.0, unit="days")
    until = from_microseconds(run_time_us(reach))
    ahead = until - now
    figure = f"reach {span(ahead.total_seconds())} ahead, to {until:%Y-%m-%d}"
    value = round(ahead / timedelta(days=1), 1)
    detail = "`etlwatch init` creates them for two years." if ahead < PARTITIONS_AHEAD else ""
    return noted(figure, detail, value=value, unit="days")


def check_strays(target: Target) -> Result:
    """Count the rows in the default partition, which holds only runs with an absurd clock."""
    try:
        with target.postgres() as examiner:
            if missing := examiner.without_default():
                return evaluate_missing_defaults(missing)
            return evaluate_strays(examiner.strays(STRAYS_COUNTED))
    except StoreRefused:
        return skipped("this role may not read it")


def evaluate_missing_defaults(tables: Sequence[str]) -> Result:
    """Fail for the tables whose default partition was dropped or detached."""
    more = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
    detail = "Requests that fit no week wait in the spool until `etlwatch init` has made it again."
    return failed(f"missing below {tables[0]}{more}", detail, value=len(tables), unit="tables")


def evaluate_strays(strays: Strays) -> Result:
    """Evaluate the number of rows in the default partition."""
    rows = strays.requests
    if not rows:
        return ok("empty", value=0, unit="rows")
    more = "+" if rows >= STRAYS_COUNTED else ""
    newest = ""
    if strays.newest_run_id is not None:
        started = from_microseconds(run_time_us(strays.newest_run_id))
        newest = f" The newest, {format_run_id(strays.newest_run_id)}, has the start {started:%Y-%m-%d}."
    detail = f"The clocks of these runs' machines were wrong; a clean-up removes the rows one by one.{newest}"
    return warning(number_of(rows, "row", f"{rows:,}{more}"), detail, value=rows, unit="rows")


def check_throughput(target: Target) -> Result:
    """Count the throughput cells that are narrower than their age allows."""
    with target.store().reader(target.patience) as reader:
        now_s = to_microseconds(reader.now()) // 1_000_000
    with target.examiner() as examiner:
        return evaluate_overdue(examiner.overdue_cells(now_s, OVERDUE_COUNTED))


def evaluate_overdue(cells: int) -> Result:
    """Evaluate the number of cells that wait to be joined into wider ones."""
    more = "+" if cells >= OVERDUE_COUNTED else ""
    wait = "waits" if cells == 1 else "wait"
    figure = (
        f"{number_of(cells, 'cell', f'{cells:,}{more}')} {wait} to be joined" if cells else "nothing waits to be joined"
    )
    detail = "Long charts of all runs read more than needed, until jobs write batches again."
    return noted(figure, detail if cells > MANY_OVERDUE else "", value=cells, unit="cells")


def check_lost_runs(target: Target) -> Result:
    """List the runs that are lost and not closed."""
    with target.store().reader(target.patience) as reader:
        now, live = reader.now(), reader.live_runs()
    return evaluate_lost([run for run in live if run.job != PROBE_JOB], now)


def evaluate_lost(live: Sequence[Run], now: datetime) -> Result:
    """Evaluate the runs whose stored status is running."""
    lost = [run for run in live if run.state == "lost"]
    figure = f"{len(lost):,} of {len(live):,} running" if live else "no run is live"
    if not lost:
        return ok(figure, value=0, unit="runs")
    oldest = min(run.state_since or run.started_at for run in lost)
    named = ", ".join(f"{run.id} ({run.job})" for run in lost[:NAMED_RUNS])
    more = f" and {len(lost) - NAMED_RUNS} more" if len(lost) > NAMED_RUNS else ""
    silent = span((now - oldest).total_seconds())
    detail = f"No heartbeat for up to {silent}: {named}{more}. `etlwatch close RUN` closes a run whose process is dead."
    return warning(figure, detail, value=len(lost), unit="runs")


def check_switch(target: Target) -> Result:
    """Return whether jobs record."""
    with target.store().reader(target.patience) as reader:
        off = [switch for switch in reader.switches() if not switch.enabled]
    if any(switch.job in ("", PROBE_JOB) for switch in off):
        target.no_probe = target.no_probe or "tracking is switched off"
    return evaluate_switches(off, here=enabled_by(target.environ))


def evaluate_switches(off: Sequence[Switch], *, here: bool) -> Result:
    """Evaluate the switches that are off; `here`: whether this environment lets jobs record."""
    if not here:
        return warning("off in this environment", "TRACKING_ENABLED stops the recording of jobs started from here.")
    if not off:
        return ok("on")
    switch = min(off, key=lambda each: (each.job != "", each.changed_at))
    scope = number_of(len(off), "job") if switch.job else "all jobs"
    why = f": {switch.reason}" if switch.reason else ""
    name = f" {switch.job}" if switch.job else ""
    turned = f"Turned off{name} by {switch.changed_by}, {stamp(switch.changed_at)}{why}."
    return warning(f"off for {scope}", f"{turned} `etlwatch tracking on` turns it on again.")


def _path(target: Target) -> Path:
    assert target.location.path is not None
    return target.location.path


def check_journal(target: Target) -> Result:
    """Check that the write-ahead log is on, so that readers and a writer do not wait for each other."""
    with target.file() as examiner:
        mode, library = examiner.journal_mode(), examiner.library()
    if mode != "wal":
        return warning(f"{mode}, SQLite {library}", "Readers and writers wait for each other until a job writes again.")
    return ok(f"write-ahead log, SQLite {library}")


def check_integrity(target: Target) -> Result:
    """Read the whole file and check its pages."""
    with target.file() as examiner:
        try:
            found = examiner.quick_check()
        except StoreUnavailable:
            return skipped(f"not finished within {examiner.deadline:g} s")
    if found != "ok":
        detail = "Stop the jobs, keep the file and its -wal, and save what can be read with `sqlite3 FILE .recover`."
        return failed(" ".join(found.split()), detail)
    return ok("quick_check found no damage")


def check_file_mode(target: Target) -> Result:
    """Check who else can read the file or replace it."""
    path = _path(target)
    return evaluate_modes(stat.S_IMODE(path.stat().st_mode), path.parent.stat().st_mode)


def evaluate_modes(file: int, directory: int) -> Result:
    """Evaluate the modes of the file and of its directory."""
    figure = f"mode {file:04o}"
    if directory & stat.S_IWOTH and not directory & stat.S_ISVTX:
        return warning(f"{figure}, directory open to all", "Anybody can replace the file: chmod o-w the directory.")
    if file & (stat.S_IRWXG | stat.S_IRWXO):
        return warning(figure, "Others can read the notes, errors and tracebacks of all jobs: chmod 600 it.")
    return ok(figure)


def check_file_system(target: Target) -> Result:
    """Check the file's file system and the free space on it."""
    from psutil import disk_partitions

    path = _path(target)
    mounts = [(partition.mountpoint, partition.fstype) for partition in disk_partitions(all=True)]
    return evaluate_file_system(file_system_of(path.resolve(), mounts), shutil.disk_usage(path.parent).free)


def file_system_of(path: Path, mounts: Sequence[tuple[str, str]]) -> str:
    """Return the type of the file system that holds a path, '' when no mount point does."""
    kind, depth = "", -1
    for mountpoint, fstype in mounts:
        # Of two mounts on one point the later one is visible.
        if path.is_relative_to(mountpoint) and len(Path(mountpoint).parts) >= depth:
            kind, depth = fstype, len(Path(mountpoint).parts)
    return kind


def evaluate_file_system(kind: str, free: int) -> Result:
    """Evaluate a type of file system and the free bytes on it."""
    figure = f"{kind or 'unknown'}, {bytes_(free)} free"
    detail = ""
    if kind in NETWORK:
        detail = "SQLite's locks and write-ahead log need a local disk; several hosts need PostgreSQL."
    elif free < LEAST_FREE_BYTES:
        detail = "On a full disk the totals of runs stay exact, but further detail is lost."
    return noted(figure, detail, value=free, unit="bytes")


CHECKS = (
    Check("settings", check_settings, needs_store=False),
    Check("store", check_store, "P12", needs_store=False, decides=True),
    Check("role", check_role),
    Check("connect", check_connect, "P3"),
    Check("round trip", check_round_trip),
    Check("clock", check_clock, "P10", "postgres"),
    Check("pooler", check_pooler, "P5", "postgres"),
    Check("partitions", check_partitions, kind="postgres"),
    Check("default partition", check_strays, kind="postgres"),
    Check("journal", check_journal, "P13", "sqlite"),
    Check("integrity", check_integrity, "P13", "sqlite"),
    Check("file mode", check_file_mode, kind="sqlite"),
    Check("file system", check_file_system, "P13", "sqlite"),
    Check("throughput", check_throughput),
    Check("lost runs", check_lost_runs, "P8"),
    Check("switch", check_switch),
)
