"""`etlwatch errors --group`: what goes wrong, by kind, new or known, mended or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from etlwatch.analysis.errors import ErrorKind
from etlwatch.cli import connect, output, shapes
from etlwatch.cli.faults import Unsuccessful
from etlwatch.cli.output import Format
from etlwatch.cli.runs import fits_job, matches_job
from etlwatch.cli.selectors import find_run, no_such_job
from etlwatch.cli.table import Column, table
from etlwatch.cli.terminal import Look, Tone, say
from etlwatch.fields.errors import known_words, runs_words, success_words
from etlwatch.fields.runs import Pen
from etlwatch.reading.errors import ERRORS_OF_RUN, read_kinds, read_kinds_of_run
from etlwatch.text.numbers import moment
from tracking_core.identity import format_run_id
from tracking_core.store.queries import ERRORS_COUNTED

if TYPE_CHECKING:
    from tracking_core.store.base import Reader

WINDOW = timedelta(days=7)
KINDS_READ = 1_000
FIELDS = (
    "fingerprint", "error_type", "message", "phase", "job", "errors", "first_at", "last_at", "seen_errors", "seen_runs",
    "seen_since", "more", "new", "mended", "succeeded_at", "run_id", "id",
)  # fmt: skip


def find_kinds(
    reader: Reader, word: str | None, jobs: Sequence[str], since: timedelta | None, limit: int, at: str | None = None
) -> tuple[list[ErrorKind], datetime, str]:
    """Return the kinds of the run that `word` names, or of all runs since a span ago, and the store's clock.

    `at` a past moment those that were known then, and that moment. The text says what was not counted, '' for nothing.
    """
    unread = ""
    with reader.one_view():
        reader = connect.reader_at(reader, at)
        now = reader.now()
        if word is None:
            kinds = read_kinds(reader, now - (since or WINDOW), KINDS_READ if jobs else limit)
            if jobs and len(kinds) >= KINDS_READ:
                unread = f"only the newest {KINDS_READ:,} kinds of all jobs were looked through"
            if any(kind.cut for kind in kinds):
                unread = f"of more than {ERRORS_COUNTED:,} errors the newest were counted; a shorter --since has fewer"
        else:
            run = find_run(reader, word)
            kinds = read_kinds_of_run(reader, run)
            if run.errors > ERRORS_OF_RUN:
                unread = f"of {run.errors:,} errors the newest {ERRORS_OF_RUN:,} were counted"
    return [kind for kind in kinds if matches_job(kind.job, jobs)][:limit], now, unread


def kind_shape(kind: ErrorKind) -> dict[str, object]:
    """Return a kind as data, its keys FIELDS; `seen_…` are over all time, `run_id` is the newest run that had it.

    `more` says that not all were counted.
    """
    return {
        "fingerprint": kind.fingerprint,
        "error_type": kind.error_type,
        "message": kind.message,
        "phase": kind.phase,
        "job": kind.job or None,
        "errors": kind.errors,
        "first_at": shapes.moment(kind.first_at),
        "last_at": shapes.moment(kind.last_at),
        "seen_errors": kind.all_errors,
        "seen_runs": kind.all_runs,
        "seen_since": shapes.moment(kind.seen_since),
        "more": kind.cut or kind.all_cut,
        "new": kind.new,
        "mended": kind.mended,
        "succeeded_at": shapes.moment(kind.succeeded_at),
        "run_id": str(kind.run_id),
        "id": format_run_id(kind.run_id),
    }


def kind_table_columns(look: Look, now: datetime, *, one_run: bool) -> list[Column[ErrorKind]]:
    """Return the columns of a table of kinds; without the job where all are of one run."""
    pen = Pen(now, look.zone, look.glyphs)

    def tone(kind: ErrorKind) -> Tone:
        return "dim" if kind.mended else "red"

    columns: list[Column[ErrorKind]] = [
        Column(heading="count", full=lambda kind: f"{kind.errors:,}{'+' if kind.cut else ''}×", right=True),
        Column(heading="last", full=lambda kind: moment(kind.last_at, now, look.zone)),
    ]
    if not one_run:
        columns.append(Column(heading="job", full=lambda kind: kind.job, shrinks_to=12))
    return [
        *columns,
        Column(heading="phase", full=lambda kind: kind.phase or "", shrinks_to=6, leaves=3),
        Column(heading="error", full=lambda kind: kind.error_type, tone=tone, shrinks_to=12),
        Column(heading="message", full=lambda kind: kind.message, shrinks_to=16),
        Column(
            heading="known?",
            full=lambda kind: known_words(kind, pen),
            brief=lambda kind: "new" if kind.new else runs_words(kind),
        ),
        Column(heading="last success", full=lambda kind: success_words(kind, pen), shrinks_to=12, leaves=1),
    ]


def print_kinds(
    word: str | None, jobs: Sequence[str], since: timedelta | None, limit: int, form: Format, at: str | None
) -> None:
    """Print the kinds that are asked for."""
    with connect.reader() as reader:
        # One more than is listed tells whether there are others.
        kinds, now, unread = find_kinds(reader, word, jobs, since, limit + (form is Format.TABLE), at)
        mistake = no_such_job(reader, jobs, {kind.job for kind in kinds}, fits_job)
    if form is not Format.TABLE:
        output.write_rows(form, map(kind_shape, kinds), fields=FIELDS)
    else:
        if not kinds and not mistake:
            say("no errors")
        one_run = word is not None
        cut, kinds = len(kinds) > limit, kinds[:limit]
        output.write_table(lambda look: table(kind_table_columns(look, now, one_run=one_run), kinds, look))
        if cut:
            say(f"the newest {limit:,} are listed; --limit lists more")
    if unread:
        say(unread)
    if mistake:
        raise Unsuccessful(mistake)
