"""`etlwatch spool`: what jobs could not deliver and left on this machine, and its delivery now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from etlwatch.cli import connect, output
from etlwatch.cli.faults import Unsuccessful, store_fault
from etlwatch.cli.options import Format, format_option, store_option
from etlwatch.cli.terminal import report
from etlwatch.fields.field import FieldList, InCommand, data_field, data_fields
from etlwatch.text.numbers import bytes_, number_of, span
from tracking_core.config import spool_directories
from tracking_core.delivery.counts import Replay
from tracking_core.delivery.spool import DiskSpool, replay_file, store_meant
from tracking_core.delivery.spool_file import SpoolFile, set_aside_in, waiting
from tracking_core.delivery.spool_place import store_key
from tracking_core.errors import StoreUnavailable
from tracking_core.events import Batch, Receipt
from tracking_core.identity import format_run_id
from tracking_core.store.base import Store, Writer


@click.group(invoke_without_command=True)
@store_option
@format_option
@click.pass_context
def spool(context: click.Context, form: Format) -> None:
    """Show or deliver what jobs left in the spool.

    A job whose store does not take something keeps it in files of its own and delivers them itself when it can; the
    next job on this machine does it otherwise, or you with `etlwatch spool replay`. Alone it shows the files.
    """
    if context.invoked_subcommand is None:
        context.invoke(status, form=form)


@spool.command()
@store_option
@format_option
def status(form: Format) -> None:
    """List the files that wait, for any store, oldest first."""
    directories = spool_directories()
    files = waiting(directories)
    if form is not Format.TABLE:
        output.write_list(form, FILES, files, datetime.now(UTC))
        return
    aside = set_aside_in(directories)
    unused = [file for file in files if file.fault]
    files = [file for file in files if not file.fault]
    if not files:
        report("nothing waits")
    if aside:
        report(f"{len(aside)} file(s) of rejected or expired batches lie beside, the first is {_one_line(aside[0])}")
    for file in unused:
        report(f"not used: {_one_line(file.path)}: {file.fault}")
    output.write_list(form, FILES, files, datetime.now(UTC))


def _one_line(path: Path | str) -> str:
    return " ".join(str(path).splitlines())


FILES: FieldList[SpoolFile] = FieldList(
    [
        data_field("file", lambda file: str(file.path), heading="file", command=InCommand(shrinks_to=12)),
        data_field(
            "store", lambda file: file.store, heading="store",
            command=InCommand(text=lambda file, _: file.store or "?", shrinks_to=16),
        ),
        data_field("batches", heading="batches", command=InCommand()),
        data_field(
            "bytes", lambda file: file.bytes, heading="size",
            command=InCommand(text=lambda file, _: bytes_(file.bytes)),
        ),
        data_field(
            "age_s", lambda file: round(file.age_s, 3), heading="age",
            command=InCommand(text=lambda file, _: span(file.age_s)),
        ),
        data_field(
            "in_use", lambda file: file.in_use, heading="job",
            command=InCommand(text=lambda file, _: "lives" if file.in_use else "gone"),
        ),
        *data_fields("rejected fault"),
    ],
    command="store batches bytes age_s in_use file",
)  # fmt: skip
REPLAY: FieldList[Replay] = FieldList([
    *data_fields("batches sent lost rejected blocked expired left"),
    data_field("refused", lambda done: {format_run_id(run_id): why for run_id, why in done.refused.items()}),
    data_field("error"),
])  # fmt: skip


@spool.command()
@store_option
@click.option("--other-store", is_flag=True, help="Also FILES that wait for another store.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@format_option
def replay(files: tuple[Path, ...], other_store: bool, form: Format) -> None:
    """Deliver what waits for the store, or only FILES.

    What a standby did not take is sent to its primary by name: FILES, --other-store, and the primary with --dsn. What
    a store refuses of FILES is kept beside them.

    Doing it again is harmless: what is stored already is recognised. Files of living jobs are left to them. Exit status
    1 when something was refused, rejected or is left.
    """
    with connect.store() as store:
        if not other_store:
            _check_meant(files, store.label)
        done = _replay(store, files)
    if form is Format.TABLE:
        output.write_lines([_summary(done)])
    else:
        output.write_list(form, REPLAY, [done], datetime.now(UTC))
    if not files:
        _say_of_others(store.label)
    for run_id, reason in sorted(done.refused.items()):
        report(f"run {format_run_id(run_id)}: refused, {reason}")
    if done.error:
        raise store_fault(StoreUnavailable(done.error), connect.location())
    if done.refused or done.rejected or done.blocked or done.left:
        raise Unsuccessful("not all of it was delivered; `etlwatch spool status` lists what is left")


def _check_meant(files: Sequence[Path], label: str) -> None:
    """Refuse files that wait for another store than the one at hand."""
    for path in files:
        with _explained(path):
            meant = store_meant(path)
        if store_key(meant) != store_key(label):
            waits = f"waits for {_one_line(meant)}" if meant else "does not name its store"
            raise Unsuccessful(f"{_one_line(path)} {waits}; --other-store sends it to {_one_line(label)}")


def _say_of_others(label: str) -> None:
    """Name what waits for other stores, where it would be sent to."""
    files = [file for file in waiting(spool_directories(), seconds=0) if not file.fault]
    elsewhere = Counter(file.store or "an unknown store" for file in files if store_key(file.store) != store_key(label))
    for store, count in sorted(elsewhere.items()):
        wait = f"{number_of(count, 'file')} {'waits' if count == 1 else 'wait'}"
        report(f"{wait} for {_one_line(store)}: etlwatch spool replay --dsn DSN, with the DSN of that store")


def _replay(store: Store, files: Sequence[Path]) -> Replay:
    writer: list[Writer] = []

    def write(batch: Batch) -> Receipt:
        # Connected only when something waits.
        if not writer:
            writer.append(store.writer(connect.CHANGE_SECONDS))
        return writer[0].write(batch)

    directories = spool_directories()
    place = DiskSpool(store.label, directories)
    try:
        if files:
            total = Replay()
            for path in files:
                with _explained(path):
                    total.add(replay_file(path, write))
            return total
        return place.replay(write)
    finally:
        place.close()
        for connection in writer:
            connection.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        rule = "a spool file must be your own, in a directory that only you can write to"
        raise Unsuccessful(f"{_one_line(path)} is not used: {error.strerror or error}; {rule}") from None


def _summary(done: Replay) -> str:
    words = [f"{number_of(done.sent, 'event')} in {number_of(done.batches, 'batch')} delivered"]
    words += [f"{done.lost:,} refused"] if done.lost else []
    words += [f"{number_of(done.rejected, 'batch')} rejected"] if done.rejected else []
    words += [f"{number_of(done.blocked, 'part')} stopped by a rule of the store, kept"] if done.blocked else []
    words += [f"{number_of(done.expired, 'file')} too old"] if done.expired else []
    words += [f"{number_of(done.left, 'file')} left"] if done.left else []
    return ", ".join(words)
