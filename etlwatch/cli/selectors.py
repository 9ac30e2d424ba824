"""What may be typed for a run, a span of time, a set of states; and what it means.

A run is its number, its 13 characters, the name of a job (its latest run), `JOB@-1` (the run before that one), or the
end of the 13 characters (four or more, if only one run ends so). A job's exact name wins over the end of an id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import click

from etlwatch.analysis.states import DERIVED
from etlwatch.cli.configuration import configured_zone
from etlwatch.cli.faults import Unsuccessful
from etlwatch.text.moments import parse_span
from etlwatch.text.numbers import number_of, stamp
from tracking_core.identity import ID_LENGTH, MAX_RUN_ID, format_run_id, parse_run_id
from tracking_core.records import Run, RunStatus

if TYPE_CHECKING:
    from tracking_core.store.base import Reader

Value = TypeVar("Value")

RUN_FORMS = (
    "its number, its 13 characters, four or more from their end, JOB (its latest run) or JOB@-1 (the one before)"
)
JOBS_COMPARED = 10_000
"""Names among which the closest one to a mistyped name is looked for."""

RUNS_NAMED = 3
"""Runs that are named where a suffix means several."""

SUFFIX_LENGTH = 4
STATES = (*(status.value for status in RunStatus), *DERIVED)

_OF_JOB = re.compile(r"(?P<job>.+)@(?:latest|-(?P<back>[0-9]{1,4}))", re.IGNORECASE | re.DOTALL)
_LOOKALIKES = str.maketrans({"I": "1", "L": "1", "O": "0"})
_SUFFIX = r"[0-9A-HJKMNP-TV-Z]+"


def find_run(reader: Reader, word: str) -> Run:
    """Return the run that a word names; Unsuccessful when there is none, or more than one."""
    try:
        return _find_run(reader, word.strip())
    except Unsuccessful:
        present: Reader | None = getattr(reader, "present", None)
        if present is None:
            raise
        run, zone = _find_run(present, word.strip()), configured_zone()
        began, then = stamp(run.started_at, zone), stamp(reader.now(), zone)
        raise Unsuccessful(f"run {run.id} began at {began}, after {then}") from None


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
    from etlwatch.config.errors import nearest

    name = nearest(word, reader.job_names(JOBS_COMPARED))
    return f"; did you mean {name!r}?" if name else ""


def no_such_job(
    reader: Reader, patterns: Iterable[str], listed: Collection[str], fits: Callable[[str, str], bool]
) -> str:
    """Return what is wrong with names or patterns that no job of the store has, '' where each has one.

    `listed` are jobs known to be there, so that names are read only where one of the patterns is in doubt.
    """
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


def parse_days(text: str) -> int:
    """Return the days of a span such as `30d`, `2w`, `0d`; ValueError for anything but whole days."""
    span = parse_span(text)
    if span % timedelta(days=1):
        raise ValueError(f"{text!r} is not a number of whole days, which clean-up works in: write 30d or 2w")
    return span.days


def parse_states(text: str) -> frozenset[str]:
    """Return one state, or several with commas between; ValueError naming all there are for any other word."""
    words = frozenset(word.strip().lower() for word in text.split(",") if word.strip())
    if not words or not words <= set(STATES):
        raise ValueError(f"{text!r} is no state; there are {', '.join(STATES)}")
    return words


def parsed_by(parse: Callable[[str], Value]) -> Callable[[click.Context, click.Parameter, str | None], Value | None]:
    """Return a callback for an option whose text `parse` reads; its ValueError becomes wrong usage."""

    def callback(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Value | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback
