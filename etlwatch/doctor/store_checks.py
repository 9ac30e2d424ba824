"""Checks of the store itself: which one, who we are there, how far away it is, its clock, what lies in between."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from statistics import median

from etlwatch.doctor.findings import Result, brief, failed, ok, warning
from etlwatch.doctor.patient import Patient
from etlwatch.model.numbers import bytes_, duration
from tracking_core.clock import to_microseconds
from tracking_core.errors import SchemaNewer, StoreRefused
from tracking_core.store import queries
from tracking_core.store.migrate import check_readable, pending
from tracking_core.store.postgres.examiner import Server, SessionState, TableRights

CONNECTS = 5
PINGS = 20
QUESTIONS = 10
"""More than after which psycopg would prepare a statement of its own accord."""

SLOW_CONNECT_SHARE = 0.2
"""Of the deadline: from here on a busy moment is enough to miss it."""

SLOW_PING_S = 0.05
SKEW_S = 2.0

# S read, I insert, U update, D delete: what a job's own writing needs of each table.
NEEDED = {
    "runs": "SIU", "requests": "SI", "run_endpoints": "SIU", "run_series": "SIU", "throughput": "SIUD",
    "phases": "SIU", "phase_series": "SIU", "source_counts": "SIU", "errors": "SI", "batches": "SIUD", "writers": "SIU",
    "switches": "S", "removed_runs": "S", "retention": "S", "schema_version": "S", "audit": "I",
}  # fmt: skip
REMOVED_FROM = (
    "runs", "requests", "run_endpoints", "run_series", "throughput", "phases", "phase_series", "source_counts",
    "errors", "batches", "writers",
)  # fmt: skip
"""Where a probe leaves rows, and a clean-up removes them."""


def check_store(patient: Patient) -> Result:
    """Say which store answers, and of which version its tables are."""
    path = patient.location.path
    if path is not None:
        from tracking_core.store.sqlite.reader import unborn

        if unborn(patient.location):
            patient.absent = patient.no_probe = "no job has made the file yet"
            return ok("not there yet, the first job makes it")
    elif wrong := _judge_encoding(patient):
        return wrong
    with patient.examiner() as examiner:
        versions = examiner.versions()
    dialect = patient.location.kind
    schema = judge_schema(versions, queries.migrations(dialect), patient.location.label)
    return schema if path is None else _with_size(schema, path.stat().st_size)


def _judge_encoding(patient: Patient) -> Result | None:
    """Return a failed check where the database's encoding lacks characters that jobs record; None where it is right."""
    from tracking_core.store.postgres.connection import ENCODING

    with patient.postgres() as examiner:
        encoding = examiner.encoding
    if encoding in ("", ENCODING):
        return None
    detail = f"Rows with characters that it lacks wait in the spool: make the database with ENCODING '{ENCODING}'."
    return failed(f"the encoding is {encoding}, not {ENCODING}", detail)


def _with_size(result: Result, size: int) -> Result:
    return Result(
        verdict=result.verdict,
        figure=f"{result.figure}, {bytes_(size)}",
        detail=result.detail,
        value=result.value,
        unit=result.unit,
    )


def judge_schema(applied: Sequence[tuple[int, str, str]], known: tuple[queries.Migration, ...], label: str) -> Result:
    """Judge the migrations that ran against those this program knows. Raises SchemaNewer beyond what can be read."""
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
        return warning(figure, f"`etlwatch init` would apply {names}; until then jobs write what both know.")
    return ok(f"schema {newest}", value=newest)


def check_role(patient: Patient) -> Result:
    """Say who we are there, and whether that may write."""
    path = patient.location.path
    if path is not None:
        may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        if not may_write:
            patient.no_probe = patient.no_probe or "this user may not write"
        figure = "may write" if may_write else "may not write the file or its directory"
        return ok(figure) if may_write else warning(figure, "Jobs of this user record nothing here.")
    with patient.postgres() as examiner:
        server, rights = examiner.server(), examiner.rights()
    late = ""
    if server.in_recovery:
        with patient.store().reader(patient.patience) as reader:
            reader.now()
            late = ", how far behind is unknown"
            if reader.behind_s is not None:
                late = f" {duration(reader.behind_s)} behind its primary"
    result, no_probe = judge_rights(server, rights, late)
    patient.no_probe = patient.no_probe or no_probe
    return result


def judge_rights(server: Server, rights: Sequence[TableRights], late: str = "") -> tuple[Result, str]:
    """Judge what the role may do; return the result, and why no probe is to be written ('' when one may be)."""
    who = f"{server.role} on PostgreSQL {server.version.partition(' ')[0]}"
    if server.in_recovery or server.read_only:
        why = "a standby" if server.in_recovery else "read-only by its settings"
        return warning(f"{who}, {why}{late}", "Jobs that are sent here record nothing."), f"the server is {why}"
    may = {
        table.table: {
            letter
            for letter, given in zip("SIUD", (table.read, table.insert, table.update, table.delete), strict=True)
            if given
        }
        for table in rights
    }
    lacking = [
        f"{word} on {table}"
        for table, letters in NEEDED.items()
        for letter, word in {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}.items()
        if letter in letters and letter not in may.get(table, set())
    ]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        detail = f"It lacks {', '.join(lacking[:3])}{more}: jobs under this role record nothing."
        return warning(f"{who}, cannot record", detail), "this role may not record"
    kept = [table for table in REMOVED_FROM if "D" not in may.get(table, set())]
    if kept:
        detail = f"It cannot remove rows of {', '.join(kept)}: a clean-up needs another role."
        return ok(f"{who}, records, cannot clean up", detail), "this role could not remove it again"
    owner = all(table.own for table in rights)
    detail = "" if owner else "It owns no tables: `init` needs another role, and a clean-up deletes rows in batches."
    return ok(f"{who}, {'owner' if owner else 'records'}{', encrypted' if server.encrypted else ''}", detail), ""


def check_connect(patient: Patient) -> Result:
    """Connect several times, as immediate delivery does for each call."""
    took = []
    for _ in range(CONNECTS):
        began = time.monotonic()
        with patient.store().reader(patient.patience):
            took.append(time.monotonic() - began)
    return judge_connect(took, patient.deadline)


def judge_connect(took: Sequence[float], deadline: float) -> Result:
    """Judge the seconds that connecting took against a job's deadline."""
    typical, worst = median(took), max(took)
    figure = f"p50 {brief(typical)}, worst {brief(worst)} of {deadline:g} s allowed"
    value = round(typical * 1000, 3)
    if worst >= deadline:
        detail = "Calls of immediate delivery end in the spool: raise the deadline, or use buffered delivery."
        return failed(figure, detail, value=value, unit="ms")
    if typical > deadline * SLOW_CONNECT_SHARE:
        detail = "Immediate delivery connects for each call; buffered delivery keeps one connection."
        return warning(figure, detail, value=value, unit="ms")
    return ok(figure, value=value, unit="ms")


def _pings(patient: Patient) -> list[tuple[float, float]]:
    """Return (seconds of the round trip, the store's clock minus ours at its middle) of some questions."""
    found = []
    with patient.store().reader(patient.patience) as reader:
        for _ in range(PINGS):
            before_us, began = time.time_ns() // 1000, time.monotonic()
            there_us = to_microseconds(reader.now()) + round((reader.behind_s or 0.0) * 1_000_000)
            took = time.monotonic() - began
            found.append((took, (there_us - before_us) / 1e6 - took / 2))
    return found


def check_round_trip(patient: Patient) -> Result:
    """Ask a small question several times over one connection."""
    return judge_round_trip([took for took, _ in _pings(patient)])


def judge_round_trip(took: Sequence[float]) -> Result:
    """Judge the seconds of the answers."""
    typical, worst = median(took), max(took)
    figure = f"p50 {brief(typical)}, worst {brief(worst)}"
    value = round(typical * 1000, 3)
    if typical > SLOW_PING_S:
        detail = "Every call of immediate delivery takes a few of these; buffered delivery takes none."
        return warning(figure, detail, value=value, unit="ms")
    return ok(figure, value=value, unit="ms")


def check_clock(patient: Patient) -> Result:
    """Compare this machine's clock with the store's."""
    # The quickest answer knows best: the clock was read somewhere within its round trip.
    took, skew = min(_pings(patient))
    return judge_skew(skew, took / 2)


def judge_skew(skew: float, uncertainty: float) -> Result:
    """Judge how far the store's clock is ahead of ours, in seconds."""
    size = abs(skew)
    value = round(skew, 4)
    if size <= uncertainty:
        return ok(f"no skew (± {brief(uncertainty)})", value=value, unit="s")
    figure = f"the store is {brief(size)} {'ahead' if skew > 0 else 'behind'}"
    if size - uncertainty > SKEW_S:
        detail = "Verdicts, ages and durations stay right; what people compare by the wall clock does not."
        return warning(figure, detail, value=value, unit="s")
    return ok(figure, value=value, unit="s")


def check_pooler(patient: Patient) -> Result:
    """Say whether a pooler stands in between, and whether a session of ours holds what one would take away."""
    with patient.postgres() as first:
        server = first.server()
        state = first.session_after(QUESTIONS)
        if not server.behind_pooler:
            return judge_pooler("none in between", state)
        # Two connections of ours on one of the server's: it is handed on between transactions.
        with patient.postgres() as second:
            shared = second.server().backend_pid == first.server().backend_pid
    return judge_pooler("in between, transaction mode" if shared else "in between", state)


def judge_pooler(where: str, state: SessionState) -> Result:
    """Judge what a session held after some questions."""
    held = {
        "prepared statements": state.prepared,
        "advisory locks": state.locks,
        "listening channels": state.channels,
    }
    left = ", ".join(f"{number} {what}" for what, number in held.items() if number > 0)
    if left:
        return failed(f"{where}; {left} left", "A pooler in transaction mode would hand these to strangers.")
    return ok(f"{where}; no session state is needed")
