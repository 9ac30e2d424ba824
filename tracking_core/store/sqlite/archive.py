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

_PUT: Mapping[type, str] = {
    Run: "put_run",
    Phase: "put_phase",
    PhaseSample: "put_phase_sample",
    RequestRecord: "put_request",
    EndpointTotals: "put_endpoint",
    SeriesCell: "put_series",
    SourceCount: "put_source_count",
    ErrorRecord: "put_error",
    WriterLedger: "put_ledger",
    Switch: "put_switch",
    AuditEntry: "put_audit_entry",
}
"""The statement that puts a record, by its kind."""


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

    def put(self, records: Iterable[Any], *, run_id: int | None = None) -> None:
        """Put records of any kind, each into its table; with cells of a series the run that they belong to.

        An error that is there already stays as it is. A run's derived state is derived again by the reader.
        """
        more = {} if run_id is None else {"run_id": run_id}
        with self.operation() as raw:
            for record in records:
                raw.execute(self._sql[_PUT[type(record)]], self._texts(self._row(record)) | more)

    def seal(self, run_id: int, *, made_at: datetime, source: str) -> None:
        """Commit the bundle: the run that it is about, its source's clock when it was read, and the source's label."""
        with self.operation() as raw:
            raw.execute(self._sql["add_up_series"])
            sealed = {"run_id": run_id, "made_at": to_microseconds(made_at), "source": source, "version": VERSION}
            raw.execute(self._sql["seal"], sealed)
            raw.commit()
            raw.execute(self._sql["one_file"])

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
