"""One run with all that its screens show, copied into one file: what is handed to a colleague.

The run itself to its last request, its job's baseline, what is known of its errors elsewhere, the living runs beside
which a silence is evaluated, and the switch. All is read in one view of the source, through the questions that screens
ask. Of other runs only what is shown of them is taken: no traceback, no request; of those of other jobs no command
either.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from etlwatch.analysis.baseline import MOST_RUNS
from etlwatch.analysis.jobs import RUNS_SHOWN
from etlwatch.reading.completed import MOST_COMPARED
from etlwatch.reading.details import ERRORS_COMPARED
from etlwatch.reading.errors import MOST_KINDS
from etlwatch.reading.jobs import STARTS_AT_MOST
from etlwatch.reading.listing import MOST_LIVE
from tracking_core.config import StoreLocation, resolve
from tracking_core.dataclass import dataclass, replace
from tracking_core.records import AuditEntry, ErrorRecord, RequestRecord, Run, Switch
from tracking_core.store.queries import Reader
from tracking_core.store.sqlite.archive import SqliteArchive, TextKept

PAGE: Final = 10_000
"""Requests that are read and written at a time."""

MOST_ERRORS: Final = 20_000
"""Errors of the run, and as many of their kinds elsewhere, the newest."""

WRITE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """What has been put into a file."""

    run: Run
    made_at: datetime
    requests: int
    """Single requests of the run."""

    history: int
    """Other runs of its job."""

    size: int
    """Bytes of the file."""

    left_out: tuple[str, ...] = ()
    """What there is more of than a bundle holds: `20,000 of 50,000 errors`."""


def file_name(run: Run) -> str:
    """Return what a bundle is called that nobody named: its job and the end of its id."""
    return f"{re.sub(r'[^A-Za-z0-9._]+', '-', run.job).strip('-.')[:60] or 'run'}-{run.id[-6:]}.etlwatch"


def size_words(size: int) -> str:
    """Write the size of a file: 124 KiB, 52 MiB."""
    return f"{size / 1024:,.0f} KiB" if size < 10 * 1024 * 1024 else f"{size / 1024 / 1024:,.0f} MiB"


def location_of(path: Path) -> StoreLocation:
    """Return a bundle's file as a place of a store; ConfigurationError for a name that no store can have."""
    return resolve(f"sqlite:///{path.absolute()}")


def bundle_run(
    reader: Reader,
    find: Callable[[Reader], Run],
    path: Path,
    *,
    source: str,
    overwrite: bool = False,
    text: TextKept = "redacted",
) -> Bundled:
    """Write the run that `find` returns, and what its screens need, to a file that appears whole or not at all.

    `source` is the store's label; `text` is what is kept of texts beside names. Raises FileExistsError unless
    `overwrite`, other OSErrors of the file system, the reader's StoreError, and what `find` raises.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(path)
    # Beside its place, so that it gets there in one step; hidden, so that nobody takes it for whole.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with SqliteArchive(location_of(unfinished), WRITE_SECONDS, text=text) as archive, reader.one_view():
            made_at, run = reader.now(), find(reader)
            history = _put_history(reader, archive, run)
            requests, cut = _put_run(reader, archive, run)
            cut += _put_surroundings(reader, archive, run)
            others = reader.count_runs(jobs=[run.job]) - 1
            if history < others:
                cut.append(f"{history:,} of {others:,} other runs of its job")
            archive.seal(run.run_id, made_at=made_at, source=source)
        _move(unfinished, path, overwrite=overwrite)
    finally:
        for leftover in (unfinished, *(Path(f"{unfinished}{ending}") for ending in ("-wal", "-shm", "-journal"))):
            leftover.unlink(missing_ok=True)
    return Bundled(
        run=run, made_at=made_at, requests=requests, history=history, size=path.stat().st_size, left_out=tuple(cut)
    )


def _move(unfinished: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        unfinished.replace(path)
        return
    try:
        # Unlike a rename, a link never takes the place of a file that somebody has made meanwhile.
        path.hardlink_to(unfinished)
    except FileExistsError:
        raise FileExistsError(path) from None
    except OSError:
        # A file system without links.
        if path.exists():
            raise FileExistsError(path) from None
        unfinished.rename(path)


def _put_run(reader: Reader, archive: SqliteArchive, run: Run) -> tuple[int, list[str]]:
    """Put all of the run; return the number of its requests, and what was left out."""
    run_id, cut = run.run_id, []
    archive.put([run])
    archive.put(reader.phases([run_id]))
    archive.put(reader.phase_samples(run_id))
    archive.put(reader.endpoints(run_id))
    archive.put(reader.series(run_id), run_id=run_id)
    archive.put(reader.source_counts([run_id]))
    archive.put(reader.ledger(run_id))
    errors = reader.errors(run_id, MOST_ERRORS)
    archive.put(errors)
    if len(errors) == MOST_ERRORS < run.errors:
        cut.append(f"{MOST_ERRORS:,} of {run.errors:,} errors")
    kinds = list(dict.fromkeys(error.fingerprint for error in errors))
    elsewhere = reader.errors_named(kinds[:MOST_KINDS], MOST_ERRORS)
    archive.put(_counted_only(elsewhere))
    if len(kinds) > MOST_KINDS:
        cut.append(f"what other runs had of {MOST_KINDS:,} of {len(kinds):,} kinds of errors")
    if len(elsewhere) == MOST_ERRORS:
        there_are = reader.count_errors(fingerprints=kinds[:MOST_KINDS])
        cut.append(f"the newest {MOST_ERRORS:,} of {there_are:,} errors of these kinds")
    requests = 0
    for page in _request_pages(reader, run_id):
        archive.put(page)
        requests += len(page)
    return requests, cut


def _request_pages(reader: Reader, run_id: int) -> Iterator[Sequence[RequestRecord]]:
    after = (0, 0)
    while page := reader.requests(run_id, PAGE, after=after):
        yield page
        after = (page[-1].writer_id, page[-1].seq)


def _counted_only(errors: Iterable[ErrorRecord]) -> Iterator[ErrorRecord]:
    """Yield errors, newest first, without what is not shown of them: the newest of a kind has the message."""
    spoken: set[str] = set()
    for error in errors:
        message = "" if error.fingerprint in spoken else error.message
        spoken.add(error.fingerprint)
        yield replace(error, message=message, traceback="")


def _put_history(reader: Reader, archive: SqliteArchive, run: Run) -> int:
    """Put what the job's baseline needs: its last successes, before the run and now, and its last runs of any end."""
    newest = reader.runs_of_job(run.job, STARTS_AT_MOST)
    chosen = _by_id(
        [
            *reader.runs_of_job(run.job, MOST_RUNS, completed=True, before=run.started_at),
            *reader.runs_of_job(run.job, MOST_COMPARED, completed=True),
            *newest[:RUNS_SHOWN],
        ]
    )
    chosen.pop(run.run_id, None)
    others = _by_id([*chosen.values(), *newest])
    others.pop(run.run_id, None)
    archive.put(others.values())
    ids = list(chosen)
    archive.put(reader.phases(ids))
    archive.put(reader.endpoints_of_runs(ids))
    for run_id, cells in reader.series_of_runs(ids, 0).items():
        archive.put(cells, run_id=run_id)
    for other in chosen.values():
        archive.put(reader.source_counts([other.run_id]))
        if other.errors:
            errors = reader.errors(other.run_id, ERRORS_COMPARED)
            archive.put(replace(error, traceback="") for error in errors)
    return len(others)


def _by_id(runs: Iterable[Run]) -> dict[int, Run]:
    return {run.run_id: run for run in runs}


def _put_surroundings(reader: Reader, archive: SqliteArchive, run: Run) -> list[str]:
    """Put what stands beside the run: the switch, what people did to both, and the runs that a silence struck too.

    Return what was left out.
    """
    archive.put(switch for switch in reader.switches() if _touches(switch, run))
    archive.put(change for change in reader.audit(None) if is_about(change, run))
    left_out = []
    if run.state == "lost":
        living = reader.live_runs(MOST_LIVE)
        others = (other for other in living if other.run_id != run.run_id)
        archive.put(replace(other, notes=None, tags={}, command="") for other in others)
        there_are = reader.count_live() if len(living) == MOST_LIVE else len(living)
        if there_are > len(living):
            left_out.append(f"{len(living):,} of {there_are:,} living runs")
    return left_out


def _touches(switch: Switch, run: Run) -> bool:
    return switch.scope == "global" or switch.job == run.job


def is_about(change: AuditEntry, run: Run) -> bool:
    """Return whether what a person changed concerns a run."""
    detail = change.detail
    if "run_id" in detail:
        return str(detail["run_id"]) == str(run.run_id)
    return detail.get("scope") == "global" or (detail.get("scope") == "job" and detail.get("job") == run.job)
