"""The store that a command means: its place, its connections, and the runs and jobs that words name in it.

Errors of a store leave here as `faults.StoreCannotAnswer`.

A run is its number, its 13 characters, the name of a job (its latest run), `JOB@-1` (the run before that one), or the
end of the 13 characters (four or more, if only one run ends so). A job's exact name wins over the end of an id.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from etlwatch.cli import faults
from etlwatch.cli.faults import OutputGone, Unsuccessful
from etlwatch.cli.options import configured, configured_zone
from etlwatch.cli.terminal import report
from etlwatch.config.options import INTERVAL
from etlwatch.text.numbers import behind, duration, number_of, stamp
from tracking_core.config import StoreLocation
from tracking_core.errors import ConfigurationError, StoreError
from tracking_core.identity import ID_LENGTH, MAX_RUN_ID, format_run_id, parse_run_id
from tracking_core.redaction import use_own_patterns

if TYPE_CHECKING:
    from etlwatch.reading.poller import Backoff
    from tracking_core.records import Run
    from tracking_core.store.administration import Administration
    from tracking_core.store.base import Store
    from tracking_core.store.queries import Reader

READ_SECONDS = 5.0
"""How long a store may take to connect, and for each answer."""

CHANGE_SECONDS = 60.0
"""How long one step of a change may take: a step of a clean-up removes many rows."""

RUN_FORMS = (
    "its number, its 13 characters, four or more from their end, JOB (its latest run) or JOB@-1 (the one before)"
)
JOBS_COMPARED = 10_000
"""Names among which the closest one to a mistyped name is looked for."""

RUNS_NAMED = 3
"""Runs that are named where a suffix means several."""

SUFFIX_LENGTH = 4

_OF_JOB = re.compile(r"(?P<job>.+)@(?:latest|-(?P<back>[0-9]{1,4}))", re.IGNORECASE | re.DOTALL)
_LOOKALIKES = str.maketrans({"I": "1", "L": "1", "O": "0"})
_SUFFIX = r"[0-9A-HJKMNP-TV-Z]+"


def location() -> StoreLocation:
    """Return the place of the store that is meant; a wrong DSN or target is wrong usage, as is a $TRACKING_REDACT."""
    try:
        use_own_patterns(os.environ)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    return configured().location.value


@contextmanager
def store() -> Iterator[Store]:
    """Yield the store that is meant; nothing is connected yet."""
    place = location()
    with explained(place):
        from tracking_core.store import open_store

        yield open_store(place)


@contextmanager
def reader(at: str | None = None, *, quiet: bool = False) -> Iterator[Reader]:
    """Yield a connection for reading, as of the moment that `--at` names, closed at the end.

    BadParameter where that is no moment. That a standby is behind is reported at the end.
    """
    with store() as opened, opened.reader(READ_SECONDS) as connection:
        yield connection if at is None else _reader_at(connection, at)
        if not quiet and (late := behind(connection.behind_s)):
            report(f"{opened.label}: {late}; states are those of its newest data")


def _reader_at(reader: Reader, at: str) -> Reader:
    from etlwatch.reading.past import reader_as_of
    from etlwatch.text.moments import MomentError, parse_moment

    try:
        return reader_as_of(reader, parse_moment(at, now=reader.now(), zone=configured_zone()))
    except MomentError as error:
        raise click.BadParameter(str(error), param_hint="'--at'") from None


def _present(reader: Reader) -> Reader:
    """Return the reader of the present behind one of a past moment, and any other reader as it is."""
    present: Reader = getattr(reader, "present", reader)
    return present


@contextmanager
def administration() -> Iterator[Administration]:
    """Yield a connection for a person's changes, closed at the end."""
    with store() as opened, opened.administration(CHANGE_SECONDS) as connection:
        yield connection


@contextmanager
def explained(place: StoreLocation) -> Iterator[None]:
    """Raise an error of a store inside the block as `faults.StoreCannotAnswer`."""
    try:
        yield
    except StoreError as error:
        raise faults.store_fault(error, place) from error


def follow(look: Callable[[Reader], None]) -> None:
    """Let `look` look at the store that is meant, again and again; ends by an exception alone.

    The store must answer at first; later it may be away, which is said once and mended by trying again.
    """
    with store() as opened:
        go_on(opened, look, interval=configured()[INTERVAL].value, wait=_wait_or_end)


def go_on(
    store: Store,
    look: Callable[[Reader], None],
    *,
    interval: float,
    wait: Callable[[float], None],
    backoff: Backoff | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Do what `follow` does, by a clock of the caller's."""
    from etlwatch.reading.poller import Backoff, describe_failure

    backoff = backoff or Backoff()
    reader: Reader | None = None
    answered_at: float | None = None
    try:
        while True:
            try:
                reader = reader or store.reader(READ_SECONDS)
                look(reader)
            except StoreError as error:
                if answered_at is None:
                    raise
                if reader is not None:
                    reader.close()
                    reader = None
                if not backoff.failures:
                    what, cause, _ = describe_failure(error)
                    report(f"{what}: {cause}; trying again")
                wait(backoff.failed())
                continue
            if backoff.failures:
                report(f"{store.label} answers again, after {duration(monotonic() - (answered_at or 0))}")
                backoff.succeeded()
            answered_at = monotonic()
            wait(interval)
    finally:
        if reader is not None:
            reader.close()


def _wait_or_end(seconds: float) -> None:
    """Wait; raises OutputGone as soon as stdout is closed, which writing alone would notice late."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        time.sleep(seconds)
        return
    gone = select.poll()
    # No event is asked for: errors and hang-ups are reported anyway.
    gone.register(descriptor, 0)
    if gone.poll(seconds * 1000):
        raise OutputGone


def find_run(reader: Reader, word: str) -> Run:
    """Return the run that a word names; Unsuccessful when there is none, or more than one."""
    try:
        return _find_run(reader, word.strip())
    except Unsuccessful:
        if _present(reader) is reader:
            raise
        run, zone = _find_run(_present(reader), word.strip()), configured_zone()
        began, then = stamp(run.started_at, zone), stamp(reader.now(), zone)
        raise Unsuccessful(f"run {run.id} began at {began}, after {then}") from None


def job_meant(reader: Reader, word: str) -> str | None:
    """Return the job whose latest run a word means: `crm` or `crm@latest`; None where it names any other run."""
    if any(reader.run(run_id) is not None for run_id in _exact_ids(word)):
        return None
    match = _OF_JOB.fullmatch(word)
    if reader.latest_run_id(word) is not None:
        return word
    return match["job"] if match and not match["back"] else None


def _find_run(reader: Reader, word: str) -> Run:
    for run_id in _exact_ids(word):
        run = reader.run(run_id)
        if run is not None:
            return run
    latest = reader.runs_of_job(word, 1)
    if latest:
        return latest[0]
    if match := _OF_JOB.fullmatch(word):
        return _before_latest(reader, match["job"], int(match["back"] or 0))
    suffix = word.upper().replace("-", "").translate(_LOOKALIKES)
    if re.fullmatch(_SUFFIX, suffix) and SUFFIX_LENGTH <= len(suffix) < ID_LENGTH:
        return _ending_in(reader, suffix, word)
    raise Unsuccessful(f"no run or job {word!r}{closest_job(reader, word) or f'; a run is {RUN_FORMS}'}")


def _before_latest(reader: Reader, job: str, back: int) -> Run:
    runs = reader.runs_of_job(job, back + 1)
    if len(runs) > back:
        return runs[back]
    if not runs:
        mend = closest_job(reader, job) or "; `etlwatch runs` lists what there is"
        raise Unsuccessful(f"no run of the job {job!r}{mend}")
    oldest = f"{job}@-{len(runs) - 1}" if len(runs) > 1 else job
    raise Unsuccessful(f"{job!r} has only {number_of(len(runs), 'run')}: the oldest is {oldest!r}")


def closest_job(reader: Reader, word: str) -> str:
    """Return `; did you mean …?` with the job whose name a word resembles most, '' where none does."""
    # Imported late: most words need no correction.
    from etlwatch.config.options import nearest

    name = nearest(word, reader.job_names(JOBS_COMPARED))
    return f"; did you mean {name!r}?" if name else ""


def no_such_job(
    reader: Reader, patterns: Iterable[str], listed: Collection[str], fits: Callable[[str, str], bool]
) -> str:
    """Return what is wrong with names or patterns that no job of the store has, '' where each has one.

    `listed` are jobs known to be there, so that names are read only where one of the patterns is in doubt. A job that
    is there now is one, also for the reader of a past moment.
    """
    reader = _present(reader)
    doubtful = [pattern for pattern in patterns if not any(fits(job, pattern) for job in listed)]
    names = reader.job_names() if doubtful else []
    unknown = [
        pattern
        for pattern in doubtful
        if not any(fits(job, pattern) for job in names) and reader.latest_run_id(pattern) is None
    ]
    return "; ".join(f"no job {pattern!r}{closest_job(reader, pattern)}" for pattern in unknown)


def _exact_ids(word: str) -> Iterable[int]:
    # A number first: 13 digits can be both, and only one of the two will be there.
    if word.isascii() and word.isdigit() and len(word) <= len(str(MAX_RUN_ID)) and 0 < int(word) <= MAX_RUN_ID:
        yield int(word)
    try:
        yield parse_run_id(word)
    except ValueError:
        return


def _ending_in(reader: Reader, suffix: str, word: str) -> Run:
    found = reader.run_ids_ending_in(suffix, RUNS_NAMED + 1)
    if not found:
        mend = closest_job(reader, word) or f"; a run is {RUN_FORMS}"
        raise Unsuccessful(f"no run ends in {word!r}, and no job is called so{mend}")
    if len(found) > 1:
        some = ", ".join(format_run_id(run_id) for run_id in found[:RUNS_NAMED])
        more = " and more" if len(found) > RUNS_NAMED else ""
        raise Unsuccessful(f"several runs end in {word!r}: {some}{more}; type more of it")
    run = reader.run(found[0])
    if run is None:
        raise Unsuccessful(f"the run {format_run_id(found[0])} was removed a moment ago")
    return run
