"""Making a bundle: records of any store, as a reader gave them, put into a SQLite file of their own.

Contains how a record becomes a row again, so that the file answers as its source did. A bundle is written once: it
stands still at the moment that it is sealed with, which is the now of everybody who reads it (`reader.py`), and no
job writes to it (`store.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar

from tracking_core.clock import to_microseconds
from tracking_core.config import StoreLocation
from tracking_core.records import (
    AuditEntry,
    EndpointTotals,
    ErrorRecord,
    Phase,
    PhaseSample,
    RequestRecord,
    Run,
    SeriesCell,
    SourceCount,
    Switch,
    Traffic,
    WriterLedger,
)
from tracking_core.sanitize import ADJUSTED, clean_tags, clean_text
from tracking_core.store import sql_files
from tracking_core.store.parameters import COUNTED, to_json
from tracking_core.store.sqlite.connection import SqliteConnection, pack_blob
from tracking_core.store.sqlite.store import SqliteStore
from tracking_core.version import VERSION

Record = TypeVar("Record")
TextKept: TypeAlias = Literal["none", "redacted", "all"]
"""What a bundle holds of texts beside names: nothing, what is left of them without secrets, or all."""

_RUN = (
    "run_id", "job", "notes", "status", "requests", "items", "failed_requests", "throttled_requests", "errors",
    "emitted", "dropped", "host", "pid", "boot_id", "command", "code_version", "tracker_version", "parent_run_id",
    "ended_by", "clock_offset_ms", "heartbeat_interval_s",
)  # fmt: skip
_PHASE = ("run_id", "phase", "position", "status", "memory_mb", "peak_memory_mb", "memory_limit_mb")
_REQUEST = (
    "run_id", "writer_id", "seq", "page_offset", "page_limit", "items", "duration_ms", "status", "throttled",
    "endpoint", "error",
)  # fmt: skip
_FREE = frozenset({"notes", "command", "error", "message", "traceback", "reason"})
_DOCUMENTS = frozenset({"tags", "detail", "counters", "processed", "overhead"})
_ERROR = ("run_id", "writer_id", "seq", "phase", "error_type", "message", "traceback", "fingerprint")


class SqliteArchive(SqliteConnection):
    """The one connection that writes a bundle; nothing of it stands in the file before it is sealed."""

    def __init__(self, location: StoreLocation, deadline: float, *, text: TextKept = "all") -> None:
        """Make the file, which must not be there, with empty tables; raises StoreRefused or StoreUnavailable."""
        self._kept: TextKept = text
        SqliteStore(location).initialize()
        super().__init__(location, deadline)
        self._sql = sql_files.blocks("sqlite", "archive")
        with self.operation() as raw:
            raw.execute(self._sql["begin"])
            raw.execute(self._sql["make_bundle"])

    def put_runs(self, runs: Iterable[Run]) -> None:
        """Put runs as they stood; a derived state is derived again by whoever reads."""
        self._put("put_run", runs, lambda one: _run_row(one) | {"tags": self._document(one.tags)})

    def put_phases(self, phases: Iterable[Phase]) -> None:
        """Put phases."""
        self._put("put_phase", phases, _phase_row)

    def put_phase_samples(self, samples: Iterable[PhaseSample]) -> None:
        """Put what phases had done by some time."""
        self._put("put_phase_sample", samples, _sample_row)

    def put_requests(self, requests: Iterable[RequestRecord]) -> None:
        """Put single requests."""
        self._put("put_request", requests, lambda one: _plain(one, _REQUEST) | {"at": to_microseconds(one.at)})

    def put_endpoints(self, endpoints: Iterable[EndpointTotals]) -> None:
        """Put requests by endpoint."""
        self._put("put_endpoint", endpoints, lambda one: _counted(one) | _plain(one, ("run_id", "endpoint", "max_ms")))

    def put_series(self, run_id: int, cells: Iterable[SeriesCell]) -> None:
        """Put the requests of one run over time."""
        self._put(
            "put_series", cells, lambda one: _counted(one) | _plain(one, ("bucket", "width")) | {"run_id": run_id}
        )

    def put_source_counts(self, counts: Iterable[SourceCount]) -> None:
        """Put what sources said they have."""
        self._put(
            "put_source_count",
            counts,
            lambda one: _plain(one, ("run_id", "entity", "items")) | {"at": to_microseconds(one.at)},
        )

    def put_errors(self, errors: Iterable[ErrorRecord]) -> None:
        """Put errors; one that is there already stays as it is."""
        self._put("put_error", errors, lambda one: _plain(one, _ERROR) | {"at": to_microseconds(one.at)})

    def put_ledger(self, entries: Iterable[WriterLedger]) -> None:
        """Put what writers emitted and what of it was stored."""
        fields = ("run_id", "writer_id", "emitted", "stored", "dropped")
        self._put("put_ledger", entries, lambda one: _plain(one, fields) | {"overhead": to_json(one.overhead)})

    def put_switches(self, switches: Iterable[Switch]) -> None:
        """Put how the tracking switch stood."""
        fields = ("scope", "job", "enabled", "changed_by", "reason")
        self._put(
            "put_switch", switches, lambda one: _plain(one, fields) | {"changed_at": to_microseconds(one.changed_at)}
        )

    def put_deeds(self, deeds: Iterable[AuditEntry]) -> None:
        """Put what people did."""
        self._put(
            "put_deed",
            deeds,
            lambda one: (
                _plain(one, ("id", "actor", "action"))
                | {"at": to_microseconds(one.at), "detail": self._document(one.detail)}
            ),
        )

    def seal(self, run_id: int, *, made_at: datetime, source: str) -> None:
        """Commit the bundle: the run that it is about, its source's clock when it was read, and the source's label."""
        with self.operation() as raw:
            raw.execute(self._sql["add_up_series"])
            sealed = {"run_id": run_id, "made_at": to_microseconds(made_at), "source": source, "version": VERSION}
            raw.execute(self._sql["seal"], sealed)
            raw.commit()
            raw.execute(self._sql["one_file"])

    def _put(self, block: str, records: Iterable[Record], row: Callable[[Record], Mapping[str, Any]]) -> None:
        with self.operation() as raw:
            raw.executemany(self._sql[block], (self._texts(row(record)) for record in records))

    def _texts(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row with as much of its texts as is kept; names always stay."""
        if self._kept == "all":
            return row
        return {
            name: value
            if not isinstance(value, str) or name in _DOCUMENTS
            # That a request had an error stays, and so does the mark of a number that was changed.
            else (ADJUSTED if value.startswith(ADJUSTED) else "")
            if name in _FREE and self._kept == "none"
            else clean_text(value)
            for name, value in row.items()
        }

    def _document(self, document: Mapping[str, object]) -> str:
        """Return tags, or what a person did, as they are kept: without texts only what tells whom an entry is about."""
        if self._kept == "all":
            return to_json(dict(document))
        if self._kept == "none":
            return to_json({name: document[name] for name in ("run_id", "scope", "job") if name in document})
        texts = {name: value for name, value in document.items() if isinstance(value, str)}
        return to_json({**document, **clean_tags(texts)})


def _plain(record: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _at(moment: datetime | None) -> int | None:
    return None if moment is None else to_microseconds(moment)


def _counted(traffic: Traffic) -> dict[str, Any]:
    return _plain(traffic, COUNTED) | {"histogram": pack_blob(list(traffic.histogram))}


def _run_row(run: Run) -> dict[str, Any]:
    return _plain(run, _RUN) | {
        "username": run.user,
        "started_at": to_microseconds(run.started_at),
        "ended_at": _at(run.ended_at),
        "duration_ms": None if run.ended_at is None else round(run.duration_s * 1000),
        "heartbeat_at": _at(run.heartbeat_at),
        "progress_at": _at(run.progress_at),
    }


def _phase_row(phase: Phase) -> dict[str, Any]:
    return _plain(phase, _PHASE) | {
        "started_at": _at(phase.started_at),
        "ended_at": _at(phase.ended_at),
        "counters": to_json(phase.counters),
    }


def _sample_row(sample: PhaseSample) -> dict[str, Any]:
    return _plain(sample, ("run_id", "phase", "bucket", "memory_mb")) | {
        "at": _at(sample.at),
        "processed": to_json(sample.processed),
    }
