"""Sending what a file of a spool holds: many single events in one transaction, batches one by one."""

from __future__ import annotations

import time
from collections.abc import Callable

from tracking_core.dataclass import dataclass
from tracking_core.delivery import spool_codec, spool_file
from tracking_core.delivery.batches import Divided, events_in, stand_alone, together, write_divided
from tracking_core.delivery.counts import Replay
from tracking_core.delivery.spool_place import Entry
from tracking_core.errors import RowRejected, StoreError
from tracking_core.events import Batch, Receipt
from tracking_core.process.interrupts import from_outside

MOST_LINES = 2000
MOST_LINE_BYTES = 1024 * 1024
"""Of the lines with single events that are sent together."""

Write = Callable[[Batch], Receipt]


@dataclass(slots=True)
class Held:
    """A file that is being replayed, with its lock."""

    descriptor: int
    entry: Entry
    offset: int
    own: bool
    """Whether this process has written it."""

    keeps_refused: bool = False
    """Whether what the store does not take, as of runs that it does not hold, is set aside beside the file."""


def send(held: Held, write: Write, until: float | None, outcome: Replay, keep: Callable[[Batch], bool]) -> bool:
    """Send all of a file and remove it; False when it has to be gone on with. The caller closes it."""
    began_at = held.offset
    known: dict[bytes, Batch] = {}
    try:
        while (window := _window(held, outcome, known))[1] != held.offset:
            batches, after = window
            if until is not None and time.monotonic() >= until:
                return False
            done = Replay()
            for batch in batches:
                _send_batch(batch, held, write, done, keep)
                if done.error:
                    # Counted only when all of the window is through: it is sent again as a whole.
                    outcome.error = done.error
                    return False
            # No call in these, so that nothing comes in between.
            outcome.own_sent += done.own_sent
            outcome.own_lost += done.own_lost
            held.offset = after
            outcome.add(done)
        spool_file.remove(held.entry)
        began_at = held.offset
    except OSError as error:
        if from_outside(error):
            raise
        outcome.error = f"{held.entry.path}: {error.strerror or error}"
        return False
    finally:
        if held.offset != began_at:
            spool_file.save_progress(held.entry, held.offset)
    return True


def _window(held: Held, outcome: Replay, known: dict[bytes, Batch]) -> tuple[list[Batch], int]:
    """Return what is sent next, many single events together or one batch, and where the file goes on behind it.

    A line that cannot be read is set aside.
    """
    by_writer: dict[int, list[Batch]] = {}
    end = held.offset
    lines = size = 0
    for content, after in spool_file.lines_from(held.descriptor, held.offset):
        alone = True
        if content and not spool_file.is_header(content):
            try:
                batch = spool_codec.decode(content, known)
            except ValueError:
                if lines:
                    break
                outcome.rejected += 1
                spool_file.set_aside(held.entry, content)
            else:
                alone = not stand_alone(batch)
                if lines and alone:
                    break
                by_writer.setdefault(batch.writer_id, []).append(batch)
                lines += 1
        elif lines:
            break
        else:
            outcome.rejected += content is None
        end = after
        size += len(content or b"")
        if alone or lines >= MOST_LINES or size >= MOST_LINE_BYTES:
            break
    return [together(batches) for batches in by_writer.values()], end


def _send_batch(batch: Batch, held: Held, write: Write, outcome: Replay, keep: Callable[[Batch], bool]) -> None:
    try:
        divided = _written(write, batch)
    except StoreError as error:
        outcome.error = str(error) or type(error).__name__
        return
    for part in divided.blocked:
        if not keep(part):
            outcome.error = f"{held.entry.path}: no room for what the store does not take yet"
            return
        outcome.blocked += 1
    rejected = 0
    for part in divided.rejected:
        rejected += events_in(part)
        outcome.rejected += 1
        spool_file.set_aside(held.entry, spool_codec.encode(part))
    if held.keeps_refused and divided.refused:
        taken = batch.run_ids() - divided.refused.keys()
        spool_file.set_aside(held.entry, spool_codec.encode(batch.without(taken)))
    outcome.batches += bool(divided.sent or not (divided.rejected or divided.blocked))
    outcome.sent += divided.sent
    outcome.lost += divided.lost
    if held.own:
        outcome.own_sent += divided.sent
        outcome.own_lost += divided.lost + rejected
    outcome.refused.update(divided.refused)


def _written(write: Write, batch: Batch) -> Divided:
    def write_checked(part: Batch) -> Receipt:
        try:
            return write(part)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            if from_outside(error):
                raise
            # Nothing that is sent again would be taken; all else is the store's fault or comes from outside.
            raise RowRejected(f"{type(error).__name__}: {error}") from error

    return write_divided(write_checked, batch)
