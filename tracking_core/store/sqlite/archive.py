"""Making a bundle: records of any store, as a reader returned them, put into a SQLite file of their own.

Which records belong together is decided in `etlwatch.reading.bundle`. A bundle is written once: its clock stands still
at the moment that it is sealed with, and no job writes to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from tracking_core.clock import to_microseconds
from tracking_core.config import StoreLocation
from tracking_core.dataclass import fields
from tracking_core.identity import VERSION
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
    WriterLedger,
)
from tracking_core.sanitize import ADJUSTED, clean_tags, clean_text
from tracking_core.store import sql_files
from tracking_core.store.sqlite.connection import SqliteConnection, pack_blob
from tracking_core.store.sqlite.store import SqliteStore
from tracking_core.store.writing import to_json

TextKept: TypeAlias = Literal["none", "redacted", "all"]
"""What a bundle holds of texts beside names: nothing, what is left of them without secrets, or all."""

_FREE = frozenset({"notes", "command", "error", "message", "traceback", "reason"})
_TEXT_DOCUMENTS = frozenset({"tags", "detail"})
_DOCUMENTS = _TEXT_DOCUMENTS | {"counters", "processed", "overhead"}


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
        """Put runs as they stood; a derived state is derived again by the reader."""
        self._put("put_run", runs)

    def put_phases(self, phases: Iterable[Phase]) -> None:
        """Put phases."""
        self._put("put_phase", phases)

    def put_phase_samples(self, samples: Iterable[PhaseSample]) -> None:
        """Put the progress that phases had at some time."""
        self._put("put_phase_sample", samples)

    def put_requests(self, requests: Iterable[RequestRecord]) -> None:
        """Put single requests."""
        self._put("put_request", requests)

    def put_endpoints(self, endpoints: Iterable[EndpointTotals]) -> None:
        """Put requests by endpoint."""
        self._put("put_endpoint", endpoints)

    def put_series(self, run_id: int, cells: Iterable[SeriesCell]) -> None:
        """Put the requests of one run over time."""
        self._put("put_series", cells, run_id=run_id)

    def put_source_counts(self, counts: Iterable[SourceCount]) -> None:
        """Put how many items sources have."""
        self._put("put_source_count", counts)

    def put_errors(self, errors: Iterable[ErrorRecord]) -> None:
        """Put errors; one that is there already stays as it is."""
        self._put("put_error", errors)

    def put_ledger(self, entries: Iterable[WriterLedger]) -> None:
        """Put what writers emitted and what of it was stored."""
        self._put("put_ledger", entries)

    def put_switches(self, switches: Iterable[Switch]) -> None:
        """Put how the tracking switch stood."""
        self._put("put_switch", switches)

    def put_audit(self, entries: Iterable[AuditEntry]) -> None:
        """Put what people changed."""
        self._put("put_audit_entry", entries)

    def seal(self, run_id: int, *, made_at: datetime, source: str) -> None:
        """Commit the bundle: the run that it is about, its source's clock when it was read, and the source's label."""
        with self.operation() as raw:
            raw.execute(self._sql["add_up_series"])
            sealed = {"run_id": run_id, "made_at": to_microseconds(made_at), "source": source, "version": VERSION}
            raw.execute(self._sql["seal"], sealed)
            raw.commit()
            raw.execute(self._sql["one_file"])

    def _put(self, block: str, records: Iterable[Any], **more: int) -> None:
        with self.operation() as raw:
            raw.executemany(self._sql[block], (self._texts(self._row(record)) | more for record in records))

    def _row(self, record: Any) -> dict[str, Any]:
        """Return a record's fields as columns; a statement takes those that it names."""
        row = {field.name: self._column(field.name, getattr(record, field.name)) for field in fields(record)}
        if isinstance(record, Run):
            row["username"] = record.user
            row["duration_ms"] = None if record.ended_at is None else round(record.duration_s * 1000)
        return row

    def _column(self, name: str, value: object) -> object:
        if isinstance(value, datetime):
            return to_microseconds(value)
        if isinstance(value, Mapping):
            return self._document(value) if name in _TEXT_DOCUMENTS else to_json(value)
        return pack_blob(list(value)) if isinstance(value, tuple) else value

    def _texts(self, row: dict[str, Any]) -> dict[str, Any]:
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
        """Return tags, or an audited change, as they are kept: without texts only the names that an entry is about."""
        if self._kept == "all":
            return to_json(dict(document))
        if self._kept == "none":
            return to_json({name: document[name] for name in ("run_id", "scope", "job") if name in document})
        texts = {name: value for name, value in document.items() if isinstance(value, str)}
        return to_json({**document, **clean_tags(texts)})
