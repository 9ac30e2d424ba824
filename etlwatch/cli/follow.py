"""`--follow`: a loop that reads again, writes what is new, reconnects, and ends when stdout is closed."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from etlwatch.cli import connect, output
from etlwatch.cli.configuration import configured
from etlwatch.cli.output import Data, Format, OutputGone
from etlwatch.cli.terminal import report
from etlwatch.config.options import INTERVAL
from etlwatch.reading.poller import Backoff, describe_failure
from etlwatch.text.numbers import duration
from tracking_core.errors import StoreError

if TYPE_CHECKING:
    from tracking_core.store.base import Reader, Store


def check_format(form: Format) -> None:
    """Raise UsageError for JSON, which is one list with an end."""
    if form is Format.JSON:
        raise click.UsageError("--follow writes as it comes, and a JSON list would never end: --format jsonl")


class Stream:
    """Rows as they come, one line each: jsonl, or csv below one heading."""

    def __init__(self, form: Format, fields: Sequence[str]) -> None:
        self._form = form
        self._fields = fields
        self._begun = False

    def write(self, rows: Sequence[Data]) -> None:
        """Write rows now."""
        if self._form is Format.CSV:
            output.write_csv(rows, fields=self._fields, heading=not self._begun)
        elif rows:
            output.write_rows(Format.JSONL, rows, fields=self._fields)
        self._begun = True


def follow(look: Callable[[Reader], None]) -> None:
    """Let `look` look at the store that is meant, again and again; ends by an exception alone.

    The store must answer at first; later it may be away, which is said once and mended by trying again.
    """
    with connect.store() as store:
        go_on(store, look, interval=configured()[INTERVAL].value, wait=wait_or_end)


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
    backoff = backoff or Backoff()
    reader: Reader | None = None
    answered_at: float | None = None
    try:
        while True:
            try:
                reader = reader or store.reader(connect.READ_SECONDS)
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


def wait_or_end(seconds: float) -> None:
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
