"""Rows turned into records, for both stores: the order of the columns is that of the blocks in sql/*/reads.sql."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tracking_core.liveness import liveness_of
from tracking_core.records import (
    AuditEntry,
    Bundle,
    EndpointTotals,
    ErrorGroup,
    ErrorRecord,
    Phase,
    PhaseSample,
    RequestRecord,
    Run,
    RunOutline,
    SeriesCell,
    SourceCount,
    Switch,
    WriterLedger,
)
from tracking_core.store.dialect import Forms, counters_of, figures_of, tags_of

Row = Sequence[Any]
ENDED_RUNS_KEPT = 2_000


def _optional(convert: Callable[[Any], datetime], value: object) -> datetime | None:
    return None if value is None else convert(value)


class RunRecords:
    """Makes records of runs; those that have ended hardly ever change, so a poll finds them made already."""

    def __init__(self, forms: Forms) -> None:
        self._forms = forms
        self._ended: dict[int, tuple[Row, Run]] = {}

    def of(self, rows: Sequence[Row]) -> list[Run]:
        """Return runs, all read at one moment: the last column."""
        if not rows:
            return []
        return self.at([row[:-1] for row in rows], self._forms.moment(rows[0][-1]))

    def at(self, rows: Iterable[Row], now: datetime) -> list[Run]:
        """Return runs as they stand at a moment of the store's clock."""
        return [self._one(row, now) for row in rows]

    def _one(self, row: Row, now: datetime) -> Run:
        known = self._ended.get(row[0])
        if known is not None and (known[0] is row or known[0] == row):
            return known[1]
        record = run(row, self._forms, now)
        if record.ended_at is not None:
            if len(self._ended) >= ENDED_RUNS_KEPT:
                self._ended.clear()
            self._ended[record.run_id] = (row, record)
        return record


def run(row: Row, forms: Forms, now: datetime) -> Run:
    """Return a run; its derived state is judged by `now`, the store's clock when it was read."""
    (
        run_id,
        job,
        notes,
        tags,
        status,
        started,
        ended,
        duration_ms,
        heartbeat,
        heartbeat_interval_s,
        progress,
        requests,
        items,
        failed_requests,
        throttled_requests,
        errors,
        emitted,
        dropped,
        host,
        pid,
        boot_id,
        username,
        command,
        code_version,
        tracker_version,
        parent_run_id,
        ended_by,
        clock_offset_ms,
    ) = row
    moment = forms.moment
    started_at = moment(started)
    ended_at = _optional(moment, ended)
    heartbeat_at = _optional(moment, heartbeat)
    verdict = liveness_of(status=status, heartbeat_at=heartbeat_at, heartbeat_interval_s=heartbeat_interval_s, now=now)
    if ended_at is not None and duration_ms is not None:
        duration_s = duration_ms / 1000
    else:
        duration_s = max(((ended_at or now) - started_at).total_seconds(), 0.0)
    return Run(
        run_id=run_id,
        job=job,
        notes=notes,
        status=status,
        state=verdict.state,
        started_at=started_at,
        ended_at=ended_at,
        duration_s=duration_s,
        requests=requests,
        items=items,
        failed_requests=failed_requests,
        throttled_requests=throttled_requests,
        errors=errors,
        host=host,
        pid=pid,
        user=username,
        command=command,
        code_version=code_version,
        evidence=verdict.evidence,
        state_since=verdict.since,
        tags=tags_of(tags),
        heartbeat_at=heartbeat_at,
        heartbeat_interval_s=heartbeat_interval_s,
        progress_at=_optional(moment, progress),
        emitted=emitted,
        dropped=dropped,
        boot_id=boot_id,
        tracker_version=tracker_version,
        parent_run_id=parent_run_id,
        ended_by=ended_by,
        clock_offset_ms=clock_offset_ms,
    )


def outline(row: Row, forms: Forms) -> RunOutline:
    """Return when a run began and how it ended."""
    run_id, job, status, started, ended, duration_ms, requests = row
    started_at, ended_at = forms.moment(started), None if ended is None else forms.moment(ended)
    seconds = None
    if ended_at is not None:
        seconds = duration_ms / 1000 if duration_ms is not None else max((ended_at - started_at).total_seconds(), 0.0)
    return RunOutline(run_id, job, status, started_at, ended_at, seconds, requests)


def phase(row: Row, forms: Forms) -> Phase:
    """Return a phase."""
    run_id, name, position, status, started, ended, counters, memory_mb, peak_memory_mb, memory_limit_mb = row
    return Phase(
        run_id=run_id,
        phase=name,
        position=position,
        status=status,
        started_at=_optional(forms.moment, started),
        ended_at=_optional(forms.moment, ended),
        counters=counters_of(counters),
        memory_mb=memory_mb,
        peak_memory_mb=peak_memory_mb,
        memory_limit_mb=memory_limit_mb,
    )


def phase_sample(row: Row, forms: Forms) -> PhaseSample:
    """Return what a phase's progress looked like at some time."""
    run_id, name, bucket, at, processed, memory_mb = row
    return PhaseSample(
        run_id=run_id,
        phase=name,
        bucket=bucket,
        at=forms.moment(at),
        processed=figures_of(processed),
        memory_mb=memory_mb,
    )


def endpoint(row: Row, forms: Forms) -> EndpointTotals:
    """Return the requests of a run to one endpoint."""
    run_id, name, max_ms, requests, failed, throttled, items, duration_ms, ok, moved, refused, broken, other, packed = (
        row
    )
    return EndpointTotals(
        run_id=run_id,
        endpoint=name,
        max_ms=max_ms,
        requests=requests,
        failed=failed,
        throttled=throttled,
        items=items,
        duration_ms=duration_ms,
        status_2xx=ok,
        status_3xx=moved,
        status_4xx=refused,
        status_5xx=broken,
        status_other=other,
        histogram=forms.packed(packed),
    )


def cell(row: Row, forms: Forms) -> SeriesCell:
    """Return the requests in one stretch of time."""
    return _cell((*row[:-1], forms.packed(row[-1])))


def cells_of_step(rows: Iterable[Row], step: int, forms: Forms) -> list[SeriesCell]:
    """Return cells added up to steps of that many seconds, by bucket; a cell wider than a step stays as wide as it is.

    Histograms are joined, not summed: a bucket may repeat, which whoever reads percentiles adds up anyway.
    """
    groups: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        width = max(row[1], step)
        groups.setdefault((row[0] - row[0] % width, width), []).append(row)
    cells = []
    for (bucket, width), members in sorted(groups.items()):
        columns = list(zip(*members, strict=True))
        sums = [sum(column) for column in columns[2:-1]]
        cells.append(_cell((bucket, width, *sums, forms.joined(list(columns[-1])))))
    return cells


def cells_within(rows: Iterable[Row], since: int, until: int, forms: Forms) -> list[SeriesCell]:
    """Return cells of which all that lie in [since, until) are added up to one, and those across an edge stay."""
    cells: list[SeriesCell] = []
    inside: list[Row] = []
    for row in rows:
        if row[0] >= since and row[0] + row[1] <= until:
            inside.append(row)
        else:
            cells.append(cell(row, forms))
    if inside:
        columns = list(zip(*inside, strict=True))
        sums = [sum(column) for column in columns[2:-1]]
        cells.append(_cell((since, until - since, *sums, forms.joined(list(columns[-1])))))
    return cells


def _cell(row: Row) -> SeriesCell:
    bucket, width, requests, failed, throttled, items, duration_ms, ok, moved, refused, broken, other, histogram = row
    return SeriesCell(
        bucket=bucket,
        width=width,
        requests=requests,
        failed=failed,
        throttled=throttled,
        items=items,
        duration_ms=duration_ms,
        status_2xx=ok,
        status_3xx=moved,
        status_4xx=refused,
        status_5xx=broken,
        status_other=other,
        histogram=histogram,
    )


def source_count(row: Row, forms: Forms) -> SourceCount:
    """Return how many items a source said it has."""
    run_id, entity, items, at = row
    return SourceCount(run_id=run_id, entity=entity, items=items, at=forms.moment(at))


def error(row: Row, forms: Forms) -> ErrorRecord:
    """Return a recorded error."""
    run_id, writer_id, seq, at, phase_name, error_type, message, traceback, fingerprint = row
    return ErrorRecord(
        run_id=run_id,
        writer_id=writer_id,
        seq=seq,
        at=forms.moment(at),
        phase=phase_name,
        error_type=error_type,
        message=message,
        traceback=traceback,
        fingerprint=fingerprint,
    )


def request(row: Row, forms: Forms) -> RequestRecord:
    """Return a single request."""
    run_id, writer_id, seq, at, endpoint, page_offset, page_limit, status, items, duration_ms, throttled, error = row
    return RequestRecord(
        run_id=run_id,
        writer_id=writer_id,
        seq=seq,
        at=forms.moment(at),
        endpoint=endpoint,
        page_offset=page_offset,
        page_limit=page_limit,
        status=status,
        items=items,
        duration_ms=duration_ms,
        throttled=bool(throttled),
        error=error,
    )


def error_group(row: Row, forms: Forms, *, most: int) -> ErrorGroup:
    """Return a kind of error; more than `most` that were counted say that there are others."""
    job, fingerprint, errors, runs, first_at, last_at, run_id, phase, error_type, message, counted = row
    return ErrorGroup(
        job=job,
        fingerprint=fingerprint,
        errors=min(errors, most),
        runs=runs,
        cut=counted > most,
        first_at=forms.moment(first_at),
        last_at=forms.moment(last_at),
        run_id=run_id,
        phase=phase,
        error_type=error_type,
        message=message,
    )


def ledger(row: Row, _forms: Forms) -> WriterLedger:
    """Return what a writer emitted and what of it is stored."""
    run_id, writer_id, emitted, stored, dropped, overhead = row
    return WriterLedger(
        run_id=run_id,
        writer_id=writer_id,
        emitted=emitted,
        stored=stored,
        dropped=dropped,
        overhead=figures_of(overhead),
    )


def switch(row: Row, forms: Forms) -> Switch:
    """Return a shared switch."""
    scope, job, enabled, changed_at, changed_by, reason = row
    return Switch(
        scope=scope,
        job=job,
        enabled=bool(enabled),
        changed_at=forms.moment(changed_at),
        changed_by=changed_by,
        reason=reason,
    )


def audit_entry(row: Row, forms: Forms) -> AuditEntry:
    """Return a deed of a person."""
    identifier, at, actor, action, detail = row
    document: Mapping[str, object] = forms.document(detail)
    return AuditEntry(id=identifier, at=forms.moment(at), actor=actor, action=action, detail=document)


def bundle(row: Row, forms: Forms) -> Bundle:
    """Return what a bundle says of itself."""
    run_id, made_at, source, version = row
    return Bundle(run_id=run_id, made_at=forms.moment(made_at), source=source, version=version)
