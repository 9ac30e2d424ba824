"""Where batches wait that a store did not take: append-only files, one a process, removed once all is committed.

    <directory>/etlwatch-spool-<uid>/<store>/<host>-<pid>-<random>.spool

A process keeps a lock on its file for as long as it lives; whoever gets the lock of another's file may replay it.
Replaying twice is harmless: a batch has its key, a single event its own. Files hold what was recorded and no
credentials, and are readable by their owner alone. How a file is laid out is spool_file.py's, which directories and
files are trusted spool_place.py's.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from tracking_core.dataclass import dataclass, replace
from tracking_core.delivery import spool_codec, spool_file
from tracking_core.delivery.batches import (
    Divided,
    events_in,
    fewer,
    stand_alone,
    together,
    with_short_errors,
    write_divided,
)
from tracking_core.delivery.counts import Replay
from tracking_core.delivery.health_log import stderr_report
from tracking_core.delivery.rows import PendingBatch
from tracking_core.delivery.spool_place import MOST_FILES, Entry, folder_for, folders_for, store_key
from tracking_core.errors import RowRejected, StoreError
from tracking_core.events import Batch, Receipt
from tracking_core.identity import host_name
from tracking_core.process.forks import renew_in_child
from tracking_core.process.interrupts import from_outside, suppress_faults
from tracking_core.process.locks import ReentrantLock, take

MOST_BYTES = 256 * 1024 * 1024
LEAST_FREE_SHARE = 0.05
RESERVE_BYTES = 128 * 1024
"""Of a disk that requests leave free, so that a run's sums, errors and end can still be kept."""

BEYOND_BYTES = 4 * 1024 * 1024
"""What one process writes at most into the reserve and beyond the other bounds."""

FEWER_CELLS = (500, 50, 5)
LIFE_S = 30 * 86_400
"""Spools live 30 days; batch keys in the store 35, so a replay is recognised for as long as it is possible."""

MOST_LINES = 2000
MOST_LINE_BYTES = 1024 * 1024
"""Of the lines with single events that are sent together."""

_LOOK_EVERY_BYTES = 1024 * 1024
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._-]")


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


class DiskSpool:
    """The spool of one store in this process; without directories it takes nothing."""

    def __init__(self, label: str, directories: tuple[Path, ...], *, most_bytes: int = MOST_BYTES) -> None:
        self._label = label
        self._directories = directories
        self._most_bytes = most_bytes
        # Guards the file, its length and the held ones; held while writing a line, never while talking to a store.
        # Re-entrant: a `__del__` or a signal's handler may have something to keep in the midst of it.
        self._lock = ReentrantLock()
        self._begin()
        renew_in_child(self._renew)

    def _begin(self) -> None:
        self._appending = False
        self._late: deque[bytes] = deque()
        self._descriptor: int | None = None
        self._entry: Entry | None = None
        self._length = 0
        self._identity = (0, 0)
        self._beyond = 0
        self._unchecked = _LOOK_EVERY_BYTES
        self._written = 0
        """The hash of the last line."""

        self._own: list[Held] = []
        self._others: list[Held] = []
        self._blocked: DiskSpool | None = None
        """What rules of the store stop, in a file that is tried less often."""

    def _renew(self) -> None:
        """Forget the parent's files in a forked child; closing them here leaves the parent's locks alone."""
        inherited = self._descriptors()
        self._begin()
        _close(inherited)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of this process waits; other processes' files are not looked for."""
        return self._descriptor is None and not self._own

    def take(self, item: Batch | PendingBatch, until: float = math.inf, *, again: bool = False) -> bool:
        """Keep an item until it can be replayed; False when it cannot be kept by this moment. Never raises.

        Requests leave a reserve of the disk to sums, errors, starts and ends. Where there is no room for all sums, they
        are kept by fewer endpoints and times. `again`: it may be the last line already.
        """
        return any(self._take(form, until, again=again) for form in _forms(item))

    def _take(self, item: Batch | PendingBatch, until: float, *, again: bool) -> bool:
        if time.monotonic() >= until:
            return False
        try:
            line = spool_file.line_of(spool_codec.encode(item))
        except (ValueError, TypeError):
            return False
        detail = bool(item.requests)
        held: list[bool] = []
        try:
            if not take(self._lock, held, -1 if until == math.inf else max(until - time.monotonic(), 0)):
                # Another thread writes to a slow disk.
                return False
            if self._appending:
                self._late.append(line)
                return True
            if again and hash(line) == self._written:
                return True
            self._appending = True
            try:
                kept = self._append(line, detail=detail)
                while self._late:
                    self._append(self._late.popleft(), detail=False)
            except OSError as error:
                if from_outside(error):
                    raise
                return False
            finally:
                self._appending = False
            return kept
        finally:
            if True in held:
                self._lock.release()

    def take_blocked(self, batch: Batch) -> bool:
        """Keep what a rule of the store stops, so that it stops nothing else; False when it cannot be kept."""
        with self._lock:
            if self._blocked is None:
                self._blocked = DiskSpool(self._label, self._directories, most_bytes=self._most_bytes)
        return self._blocked.take(batch)

    def set_aside(self, batch: Batch) -> bool:
        """Keep what no store will take for a person to look at; False when it cannot be kept. Never raises."""
        for directory in self._directories:
            with suppress_faults(OSError, ValueError, TypeError):
                entry = Entry(folder_for(directory, store_key(self._label)), f"{_file_name()}{spool_file.SUFFIX}")
                if spool_file.set_aside(entry, spool_codec.encode(batch)):
                    return True
        return False

    def replay(
        self, write: Write, *, until: float | None = None, others: bool = True, outcome: Replay | None = None
    ) -> Replay:
        """Send what waits, oldest first, until the store fails or the moment `until` of the monotonic clock.

        `write` stores one batch and raises StoreError when it cannot. Files of dead processes are taken along when
        `others` is set, and are held from then on. A file is removed once all of it is committed.
        """
        outcome = outcome or Replay()
        if others:
            self._hold_others(outcome, until)
        held: list[Held] = []
        try:
            with self._lock:
                if not self._appending:
                    self._put_away()
                held, self._own = self._own, []
                if others:
                    held, self._others = held + self._others, []
                    blocked = self._blocked
                    if blocked is not None:
                        blocked._put_away()
                        # As there.
                        held += blocked._own
                        self._blocked = None
            while held and send(held[0], write, until, outcome, self.take_blocked):
                # Taken out first: a descriptor that is closed twice may be another file's by then.
                os.close(held.pop(0).descriptor)
        finally:
            with self._lock:
                self._own = [each for each in held if each.own] + self._own
                self._others = [each for each in held if not each.own] + self._others
        outcome.left += len(held)
        outcome.unfinished = (outcome.unfinished or bool(held)) and not outcome.error
        return outcome

    def close(self) -> None:
        """Let go of the files, so that another process may replay them."""
        with self._lock:
            # In the midst of a line there is a file to be gone on with; the process's end closes that one.
            descriptors = [] if self._appending else self._descriptors()
            if descriptors:
                self._descriptor, self._entry, self._length, self._own, self._others = None, None, 0, [], []
            blocked, self._blocked = self._blocked, None
        _close(descriptors)
        if blocked is not None:
            blocked.close()

    def _descriptors(self) -> list[int]:
        found = [held.descriptor for held in (*self._own, *self._others)]
        return found if self._descriptor is None else [*found, self._descriptor]

    def _append(self, line: bytes, *, detail: bool) -> bool:
        self._look_at_file()
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None
        if not self._has_room_for(line):
            self._beyond += len(line)
            if detail or self._beyond > BEYOND_BYTES:
                return False
        else:
            self._beyond = 0
        written, length = hash(line), self._length + len(line)
        try:
            spool_file.write_whole(self._descriptor, line)
            # No call in this, so that nothing comes in between.
            self._written, self._length = written, length
        except BaseException:
            # The disk is full, or ctrl-c came: what was written of the line goes, the lines before it stay.
            with suppress_faults(OSError):
                os.ftruncate(self._descriptor, self._length)
            raise
        return True

    def _look_at_file(self) -> None:
        """Write on only to a file that is still there and still the one that was opened."""
        if self._descriptor is None:
            return
        found = None
        with suppress_faults(OSError):
            found = os.fstat(self._descriptor)
        if found is None or (found.st_dev, found.st_ino) != self._identity:
            # The job closed every descriptor, to become a daemon: this number is nobody's now, or another file's.
            self._descriptor, self._entry, self._length = None, None, 0
        elif not found.st_nlink:
            # A cleaner of temporary directories removed it; what is in it can still be read here.
            self._put_away()

    def _put_away(self) -> None:
        """Hold the file that was written to for replay; the next batch opens another."""
        held: tuple[Held, ...] = ()
        if self._descriptor is not None and self._entry is not None:
            held = (Held(self._descriptor, self._entry, 0, own=True),)
        # No call in these, so that nothing comes in between: what is closed twice may be another's file.
        self._own += held
        self._descriptor, self._entry, self._length = None, None, 0

    def _open(self) -> None:
        fault: OSError | None = None
        name = f"{_file_name()}-{os.urandom(4).hex()}"
        for directory in self._directories:
            try:
                folder = folder_for(directory, store_key(self._label))
                self._descriptor, self._entry, self._length = spool_file.create(folder, name, self._label)
                made = os.fstat(self._descriptor)
                self._identity = made.st_dev, made.st_ino
                stderr_report.place = str(folder.path)
            except OSError as error:
                if from_outside(error):
                    raise
                fault = error
            else:
                return
        raise fault or OSError("no directory for a spool")

    def _has_room_for(self, line: bytes) -> bool:
        """Return whether a line leaves the reserve; looks at all of the disk and the directory from time to time."""
        assert self._descriptor is not None
        free = os.fstatvfs(self._descriptor)
        if free.f_bavail * free.f_frsize < len(line) + RESERVE_BYTES:
            return False
        self._unchecked += len(line)
        if self._unchecked >= _LOOK_EVERY_BYTES:
            if not self._has_room():
                return False
            self._unchecked = 0
        return True

    def _has_room(self) -> bool:
        assert self._entry is not None
        with self._entry.folder.opened() as directory:
            free = os.statvfs(directory)
            if free.f_blocks and free.f_bavail / free.f_blocks < LEAST_FREE_SHARE:
                return False
            kept = 0
            with os.scandir(directory) as found:
                for each in islice(found, MOST_FILES):
                    with suppress(FileNotFoundError):
                        size = each.stat(follow_symlinks=False)
                        kept += min(size.st_size, size.st_blocks * 512)
        return kept < self._most_bytes

    def _hold_others(self, outcome: Replay, until: float | None) -> None:
        """Take the locks of files whose processes are dead; those of living ones are counted as left."""
        held = {each.entry for each in self._others}
        for folder in folders_for(self._directories, store_key(self._label)):
            with suppress_faults(OSError):
                for entry in folder.entries(spool_file.SUFFIX):
                    if until is not None and time.monotonic() >= until:
                        outcome.unfinished = True
                        return
                    if entry not in held and entry != self._entry:
                        self._hold(entry, outcome)

    def _hold(self, entry: Entry, outcome: Replay) -> None:
        try:
            descriptor = spool_file.claim(entry)
        except FileNotFoundError:
            return
        except OSError as error:
            if from_outside(error):
                raise
            # Its process lives, or it is no file of this user.
            outcome.left += 1
            return
        meant = spool_file.store_of(descriptor)
        if meant and store_key(meant) != store_key(self._label):
            # Somebody put it here: another store's runs are unknown to this one, which would refuse them.
            outcome.left += 1
            os.close(descriptor)
            return
        if spool_file.age_s(descriptor) > LIFE_S:
            # Not removed: the clock may be wrong.
            outcome.expired += 1
            with suppress_faults(OSError):
                entry.rename(entry.beside(spool_file.EXPIRED).name)
            os.close(descriptor)
            return
        with self._lock:
            self._others.append(Held(descriptor, entry, spool_file.progress(entry, descriptor), own=False))


def _forms(item: Batch | PendingBatch) -> Iterator[Batch | PendingBatch]:
    """Yield an item, and where it is no detail what takes less room and counts the same."""
    yield item
    if isinstance(item, PendingBatch) or item.requests:
        return
    smaller = item
    for most in FEWER_CELLS:
        if len(smaller.cells) > most:
            smaller = with_short_errors(replace(smaller, cells=fewer(smaller.cells, most)))
            yield smaller
    if smaller is item and item.errors:
        yield with_short_errors(item)


def _file_name() -> str:
    """Return how the names of this process's files begin."""
    return f"{_UNSAFE_IN_NAME.sub('_', host_name())[:64]}-{os.getpid()}"


def store_meant(path: Path) -> str:
    """Return the label of the store that a file is for, '' if unreadable; raises OSError as `replay_file` does."""
    with Entry.at(path).opened(os.O_RDONLY) as descriptor:
        return spool_file.store_of(descriptor)


def replay_file(path: Path, write: Write) -> Replay:
    """Send one file, whatever store it was meant for; `left` is 1 when its process lives or the store failed.

    What the store refuses is set aside in a `.rejected` file: another one may hold its runs.
    Raises OSError for what is not a spool file of this user in a directory that only this user can write to.
    """
    outcome = Replay()
    entry = Entry.at(path)
    try:
        descriptor = spool_file.claim(entry)
    except (BlockingIOError, FileNotFoundError):
        outcome.left = 1
        return outcome
    held = Held(descriptor, entry, spool_file.progress(entry, descriptor), own=False, keeps_refused=True)
    kept: list[int] = []

    def keep(batch: Batch) -> bool:
        with suppress_faults(OSError, ValueError, TypeError):
            line = spool_file.line_of(spool_codec.encode(batch))
            if not kept:
                name = f"{_file_name()}-{os.urandom(4).hex()}"
                kept.append(spool_file.create(entry.folder, name, spool_file.store_of(descriptor))[0])
            spool_file.write_whole(kept[0], line)
            return True
        return False

    if not send(held, write, None, outcome, keep):
        outcome.left = 1
    _close([descriptor, *kept])
    return outcome


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with suppress_faults(OSError):
            os.close(descriptor)


# -- sending what a file holds: many single events in one transaction, batches one by one -----------------------------


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
